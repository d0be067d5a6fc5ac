//! Runs the controller on manifests until it has nothing left to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use metal_core::{
    Instant, Machine,
    config::{Configuration, Object, ObjectRef, Refusal},
    controller::{Controller, Input, Output, ServiceState},
    name::ObjectKey,
    selector::Labels,
    view::{self, Created, Network, Node, Scope},
};
use metal_k8s::{Change, Fault, Manifests, Unusable};

use super::report::{Count, Pool, Reason, Refused, Report, Service, State};

/// The kind of a pool.
const POOL: &str = "IPAddressPool";

/// What the controller makes of the manifests.
pub(crate) fn plan(manifests: &Manifests) -> Report {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut world = World {
        controller: Controller::new(u64::try_from(since.as_micros()).unwrap_or(u64::MAX)),
        services: BTreeMap::new(),
        namespaces: BTreeSet::new(),
        objects: BTreeMap::new(),
        verdicts: BTreeMap::new(),
    };
    for change in manifests.changes() {
        world.take(change);
    }
    world.settle();
    world.report(manifests)
}

/// The controller, and the objects as they stand.
struct World {
    controller: Controller,
    services: BTreeMap<ObjectKey, view::Service>,
    /// The namespaces that the controller knows.
    namespaces: BTreeSet<Arc<str>>,
    objects: BTreeMap<ObjectRef, Object>,
    verdicts: BTreeMap<ObjectRef, Vec<Refusal>>,
}

/// All that is decided here is decided at the same moment.
const NOW: Instant = Instant::ZERO;
/// When something is created that has no time of creation: it is not there yet, and all else is older.
const TO_COME: i64 = i64::MAX;

impl World {
    fn take(&mut self, change: Change) {
        let input = match change {
            Change::Service(key, Some(mut service)) => {
                // Who wrote a status before is no matter of a plan.
                service.written_by = None;
                service.created.get_or_insert(TO_COME);
                self.services.insert(key.clone(), service.clone());
                // There is a namespace, whether or not it is among the manifests; if it is, it says more later.
                if self.namespaces.insert(key.namespace.clone()) {
                    let none = Input::Namespace(key.namespace.clone(), Some(Labels::new()));
                    self.controller.handle_input(NOW, none);
                }
                Input::Service(key, Some(service))
            }
            Change::Config(object, Some(mut value)) => {
                value.created.get_or_insert(TO_COME);
                self.objects.insert(object.clone(), value.clone());
                Input::Config(object, Some(value))
            }
            Change::Namespace(name, labels) => {
                self.namespaces.insert(name.clone());
                Input::Namespace(name, labels)
            }
            Change::Network(object, network) => Input::Network(object, network),
            Change::Node(name, node) => {
                let object = ObjectRef { kind: "Node", namespace: "".into(), name: name.as_str().into() };
                let network = |node: Node| Network { addresses: node.addresses, ..Network::default() };
                Input::Network(object, node.map(network))
            }
            Change::Synced => Input::Synced,
            _ => return,
        };
        self.controller.handle_input(NOW, input);
    }

    /// Performs what the controller asks for, as an API server would, until nothing is left.
    fn settle(&mut self) {
        while let Some(output) = self.controller.poll_output(NOW) {
            match output {
                Output::Assign { service: key, write, assignment, .. } => {
                    if let Some(service) = self.services.get_mut(&key) {
                        service.assigned = assignment.addresses;
                        service.assigned_from = assignment.pools;
                        service.pool_labels = assignment.pool_labels;
                        service.condition = assignment.condition;
                        let seen = Input::Service(key.clone(), Some(service.clone()));
                        self.controller.handle_input(NOW, seen);
                    }
                    self.controller.handle_input(NOW, Input::Written { service: key, write });
                }
                Output::Verdict { object, refusals } => drop(self.verdicts.insert(object, refusals)),
                Output::Event { .. } | Output::Usage { .. } | Output::SecretsInUse(_) | Output::Note(_) => {}
            }
        }
    }

    fn report(&self, manifests: &Manifests) -> Report {
        let decided = self.controller.services().filter(|state| state.scope != Scope::NotLoadBalancer);
        let mut services: Vec<_> = decided.map(|state| (self.age(&state.service), service(state))).collect();
        services.sort_by(|one, other| one.0.cmp(&other.0));
        let services = services.into_iter().map(|(_, service)| service).collect();

        let mut refused: Vec<_> = manifests.unusable().iter().map(unusable).collect();
        for (object, refusals) in &self.verdicts {
            refused.extend(refusals.iter().map(|refusal| self.refused(manifests, object, refusal)));
        }
        refused.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
        Report { services, pools: self.pools(), refused }
    }

    fn age(&self, key: &ObjectKey) -> (Created, ObjectKey) {
        (self.services.get(key).and_then(|service| service.created), key.clone())
    }

    fn pools(&self) -> Vec<Pool> {
        let mut pools: BTreeMap<String, Pool> = BTreeMap::new();
        for (object, refusals) in self.verdicts.iter().filter(|(object, _)| object.kind == POOL) {
            let name = object.name.to_string();
            let reason = refusals.first().map(|refusal| self.reason(object, refusal));
            let none = Count::default();
            let pool = Pool {
                name: name.clone(),
                accepted: false,
                reason,
                assigned_v4: none,
                assigned_v6: none,
                available_v4: none,
                available_v6: none,
            };
            pools.insert(name, pool);
        }
        for (pool, v4, v6, _) in self.controller.pools() {
            let name = pool.name.to_string();
            let pool = Pool {
                name: name.clone(),
                accepted: true,
                reason: None,
                assigned_v4: Count(v4.assigned),
                assigned_v6: Count(v6.assigned),
                available_v4: Count(v4.available),
                available_v6: Count(v6.available),
            };
            pools.insert(name, pool);
        }
        pools.into_values().collect()
    }

    fn refused(&self, manifests: &Manifests, object: &ObjectRef, refusal: &Refusal) -> Refused {
        let place = manifests.field(object, &refusal.field);
        let Reason { code, message } = self.reason(object, refusal);
        let (file, line) = place.map_or((None, None), |place| (place.file, Some(place.line)));
        Refused {
            kind: Some(object.kind.into()),
            name: Some(object.name.to_string()),
            code,
            message,
            file,
            line,
        }
    }

    /// A refusal that stands also when the object is alone is about the object itself, any other about
    /// another object.
    fn reason(&self, object: &ObjectRef, refusal: &Refusal) -> Reason {
        let mut alone = Configuration::new();
        alone.apply(object.clone(), self.objects.get(object).cloned());
        alone.synced();
        let verdicts = alone.take_changes().verdicts;
        let is_own = verdicts.iter().any(|(_, refusals)| refusals.contains(refusal));
        let code = if is_own { "Invalid" } else { "Conflict" };
        Reason { code: code.into(), message: refusal.to_string() }
    }
}

fn service(state: ServiceState) -> Service {
    let ServiceState { service: key, scope, addresses, pools, is_kept, reason } = state;
    let reason = reason.map(|reason| Reason { code: reason.code().into(), message: reason.to_string() });
    let pools: Vec<String> = pools.iter().map(ToString::to_string).collect();
    let (namespace, name) = (key.namespace.to_string(), key.name.to_string());
    let service = Service { namespace, name, addresses, pool: None, pools, state: State::NotOurs, reason };
    if scope != Scope::Ours {
        return Service { addresses: Vec::new(), pools: Vec::new(), reason: None, ..service };
    }
    let state = match (service.addresses.is_empty(), is_kept) {
        (true, _) => State::Pending,
        (false, true) => State::Kept,
        (false, false) => State::Assigned,
    };
    Service { pool: service.pools.first().cloned(), state, ..service }
}

fn unusable(document: &Unusable) -> Refused {
    let code = match document.fault {
        Fault::Illegible => "NotYAML",
        Fault::Undecodable => "Undecodable",
        Fault::Duplicate => "Duplicate",
    };
    Refused {
        kind: document.kind.clone(),
        name: document.name.clone(),
        code: code.into(),
        message: document.message.clone(),
        file: document.place.file.clone(),
        line: Some(document.place.line),
    }
}
