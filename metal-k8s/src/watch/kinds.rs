//! The kinds that are watched: what of each object is told, and what the sink has to know of it.

use metal_core::{
    config::{ObjectRef, Spec},
    name::{NodeName, ObjectKey},
};

use super::{Context, Kind, key};
use crate::{backend::Role, change::Change, legacy, parse, raw, seen::Transitions, status, view};

impl Kind for raw::Service {
    fn change(self, context: &Context) -> Change {
        let key = key(&self);
        let uid = self.metadata.uid.clone();
        let since = match context.options.role {
            Role::Controller => Transitions::of(&self.status),
            Role::Speaker { .. } => Transitions::default(),
        };
        let service = view::service(self, &context.options);
        context.seen.show_service(status::service_ref(&key), uid, service.version, since);
        Change::Service(key, Some(service))
    }

    fn gone(key: ObjectKey, context: &Context) -> Change {
        context.forget("Service", key.clone());
        Change::Service(key, None)
    }
}

impl Kind for raw::EndpointSlice {
    fn change(self, _: &Context) -> Change {
        Change::Endpoints(key(&self), view::endpoint_slice(self))
    }

    fn gone(key: ObjectKey, _: &Context) -> Change {
        Change::Endpoints(key, None)
    }
}

impl Kind for raw::Node {
    fn change(self, context: &Context) -> Change {
        let name = NodeName::from(&*key(&self).name);
        Change::Node(name, Some(view::node(self, &context.options.role)))
    }

    fn gone(key: ObjectKey, _: &Context) -> Change {
        Change::Node(NodeName::from(&*key.name), None)
    }
}

impl Kind for raw::Pool {
    fn change(self, context: &Context) -> Change {
        config(parse::POOL, &self.metadata, parse::pool_value(self.spec), self.status, context)
    }

    fn gone(key: ObjectKey, context: &Context) -> Change {
        Change::Config(context.forget(parse::POOL, key), None)
    }
}

impl Kind for raw::Reservation {
    fn change(self, context: &Context) -> Change {
        let spec = parse::reservation_value(self.spec);
        config(parse::RESERVATION, &self.metadata, spec, self.status, context)
    }

    fn gone(key: ObjectKey, context: &Context) -> Change {
        Change::Config(context.forget(parse::RESERVATION, key), None)
    }
}

impl Kind for raw::Namespace {
    fn change(self, _: &Context) -> Change {
        Change::Namespace(key(&self).name, Some(self.metadata.labels.unwrap_or_default()))
    }

    fn gone(key: ObjectKey, _: &Context) -> Change {
        Change::Namespace(key.name, None)
    }
}

impl Kind for raw::ConfigurationState {
    fn change(self, _: &Context) -> Change {
        let object = parse::reference(parse::CONFIGURATION_STATE, &self.metadata);
        Change::Network(object, Some(view::network(&self)))
    }

    fn gone(key: ObjectKey, _: &Context) -> Change {
        let ObjectKey { namespace, name } = key;
        Change::Network(ObjectRef { kind: parse::CONFIGURATION_STATE, namespace, name }, None)
    }
}

impl Kind for raw::L2Advertisement {
    fn change(self, context: &Context) -> Change {
        let spec = parse::l2_advertisement_value(self.spec);
        config(parse::L2_ADVERTISEMENT, &self.metadata, spec, self.status, context)
    }

    fn gone(key: ObjectKey, context: &Context) -> Change {
        Change::Config(context.forget(parse::L2_ADVERTISEMENT, key), None)
    }
}

macro_rules! judged {
    ($($type:ident $kind:ident $read:ident;)*) => {$(
        impl Kind for raw::$type {
            fn change(self, context: &Context) -> Change {
                config(parse::$kind, &self.metadata, parse::$read(self.spec), self.status, context)
            }

            fn gone(key: ObjectKey, context: &Context) -> Change {
                Change::Config(context.forget(parse::$kind, key), None)
            }
        }
    )*};
}

judged! {
    BgpPeer BGP_PEER bgp_peer_value;
    BgpAdvertisement BGP_ADVERTISEMENT bgp_advertisement_value;
    Community COMMUNITY community_value;
    BfdProfile BFD_PROFILE bfd_profile_value;
}

impl Kind for raw::ConfigMap {
    fn change(self, context: &Context) -> Change {
        let spec = legacy::spec(&self.data);
        config(parse::CONFIG_MAP, &self.metadata, spec, serde_json::Value::Null, context)
    }

    fn gone(key: ObjectKey, context: &Context) -> Change {
        Change::Config(context.forget(parse::CONFIG_MAP, key), None)
    }
}

fn config(
    kind: &'static str,
    meta: &kube::core::ObjectMeta,
    spec: Spec,
    status: serde_json::Value,
    context: &Context,
) -> Change {
    let object = parse::reference(kind, meta);
    if context.options.role != Role::Controller {
        // Only the controller writes it, and says what was in force.
        return Change::Config(object, Some(parse::object(meta, spec, &serde_json::Value::Null)));
    }
    let value = parse::object(meta, spec, &status);
    context.seen.show_config(object.clone(), meta.uid.clone(), status);
    Change::Config(object, Some(value))
}
