//! The objects that a speaker makes itself: one for each thing it has to say, which is all in the status.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use kube::api::ApiResource;
use metal_core::{
    name::{NodeName, ObjectKey, PeerName},
    speaker::Status as L2Status,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{hex, label, owner};
use crate::{
    backend::Pod,
    crd::{BGPSessionState, BGPSessionStateStatus, ServiceBGPStatus, ServiceL2Status},
};

const NODE_LABEL: &str = "metallb.io/node";
const SERVICE_LABEL: &str = "metallb.io/service-name";
const NAMESPACE_LABEL: &str = "metallb.io/service-namespace";
const SESSION_NODE_LABEL: &str = "frrk8s.metallb.io/node";
const SESSION_PEER_LABEL: &str = "frrk8s.metallb.io/peer";
const SESSION_VRF_LABEL: &str = "frrk8s.metallb.io/vrf";
/// Tells our session states from those of frr-k8s, which may be in the same namespace.
const WRITER_LABEL: &str = "app.kubernetes.io/managed-by";
const WRITER: &str = "metal-speaker";
/// What frr-k8s writes where there is no BFD.
const NO_BFD: &str = "N/A";
/// Longer names of nodes do not become part of another name.
const NODE_PART: usize = 200;

/// How the session with a router stands on this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionState {
    /// The VRF that it is in; `None` for the default one.
    pub vrf: Option<String>,
    /// The state of the session, by its name in RFC 4271.
    pub phase: &'static str,
    /// How the router is by BFD; `None` without BFD.
    pub bfd: Option<String>,
    /// What ended the session last, or what it is waiting for, in words.
    pub message: String,
    /// The router: its address, or the interface where it is.
    pub router: String,
}

/// The kinds of such objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnKind {
    ServiceL2,
    ServiceBgp,
    Session,
}

/// Who writes them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author<'a> {
    pub(crate) node: &'a NodeName,
    pub(crate) namespace: &'a str,
    pub(crate) pod: Option<&'a Pod>,
}

/// What one of them says; `None` when it must not exist.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Own {
    /// On which interfaces the node answers for a Service.
    L2 { service: ObjectKey, status: Option<L2Status> },
    /// To which peers the node announces a Service.
    Bgp { service: ObjectKey, peers: Option<Vec<PeerName>> },
    /// How a session stands.
    Session { peer: PeerName, state: Option<SessionState> },
}

impl OwnKind {
    pub(crate) const ALL: [Self; 3] = [Self::ServiceL2, Self::ServiceBgp, Self::Session];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ServiceL2 => "ServiceL2Status",
            Self::ServiceBgp => "ServiceBGPStatus",
            Self::Session => "BGPSessionState",
        }
    }

    /// The resource, untyped: an answer must not fail because of an object that somebody else wrote.
    pub(crate) fn resource(self) -> ApiResource {
        match self {
            Self::ServiceL2 => ApiResource::erase::<ServiceL2Status>(&()),
            Self::ServiceBgp => ApiResource::erase::<ServiceBGPStatus>(&()),
            Self::Session => ApiResource::erase::<BGPSessionState>(&()),
        }
    }

    /// What selects the objects of a node.
    pub(crate) fn selector(self, node: &NodeName) -> String {
        let node = label(node.as_str());
        match self {
            Self::ServiceL2 | Self::ServiceBgp => format!("{NODE_LABEL}={node}"),
            Self::Session => format!("{SESSION_NODE_LABEL}={node},{WRITER_LABEL}={WRITER}"),
        }
    }
}

impl Own {
    pub(crate) const fn kind(&self) -> OwnKind {
        match self {
            Self::L2 { .. } => OwnKind::ServiceL2,
            Self::Bgp { .. } => OwnKind::ServiceBgp,
            Self::Session { .. } => OwnKind::Session,
        }
    }

    /// Always the same for the same node and subject, so that a repeated write meets the same object.
    pub(crate) fn name(&self, node: &NodeName) -> String {
        let hash = |subject: &dyn fmt::Display| {
            let hash = Sha256::digest(format!("{node}#{subject}"));
            hex(&hash[..10])
        };
        match self {
            Self::L2 { service, .. } => format!("l2-{}", hash(service)),
            Self::Bgp { service, .. } => format!("bgp-{}", hash(service)),
            Self::Session { peer, .. } if node.as_str().len() <= NODE_PART => {
                format!("{node}-{}", hash(peer))
            }
            Self::Session { peer, .. } => format!("bgp-{}", hash(peer)),
        }
    }

    /// The object without its status, and with nothing but its status: they are written apart. `None` when it must not
    /// exist.
    pub(crate) fn manifests(&self, author: Author<'_>) -> Option<(Value, Value)> {
        let Author { node, namespace, pod } = author;
        let (labels, said) = match self {
            Self::L2 { service, status } => {
                let interfaces: Vec<_> =
                    status.as_ref()?.interfaces.iter().map(|name| json!({"name": name})).collect();
                of_service(node, service, "interfaces", &json!(interfaces))
            }
            Self::Bgp { service, peers } => {
                let mut peers: Vec<_> = peers.as_ref()?.iter().map(PeerName::as_str).collect();
                peers.sort_unstable();
                peers.dedup();
                of_service(node, service, "peers", &json!(peers))
            }
            Self::Session { peer, state } => of_session(node, peer, state.as_ref()?),
        };
        let resource = self.kind().resource();
        let head = || {
            json!({
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "metadata": {"name": self.name(node), "namespace": namespace},
            })
        };
        let (mut main, mut status) = (head(), head());
        main["spec"] = json!({});
        main["metadata"]["labels"] = labels;
        if let Some(pod) = pod {
            main["metadata"]["ownerReferences"] = json!([owner(pod)]);
        }
        status["status"] = said;
        Some((main, status))
    }
}

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind().name();
        match self {
            Self::L2 { service, .. } | Self::Bgp { service, .. } => {
                write!(f, "the {kind} of Service {service}")
            }
            Self::Session { peer, .. } => write!(f, "the {kind} of BGPPeer {peer}"),
        }
    }
}

/// The labels and the status of what is said about a Service.
fn of_service(node: &NodeName, service: &ObjectKey, field: &str, said: &Value) -> (Value, Value) {
    let labels = json!({
        NODE_LABEL: label(node.as_str()),
        SERVICE_LABEL: label(&service.name),
        NAMESPACE_LABEL: label(&service.namespace),
    });
    let status = json!({
        "node": node.as_str(),
        "serviceName": &*service.name,
        "serviceNamespace": &*service.namespace,
        field: said,
    });
    (labels, status)
}

/// The labels and the status of a session.
fn of_session(node: &NodeName, peer: &PeerName, state: &SessionState) -> (Value, Value) {
    let vrf = state.vrf.clone().unwrap_or_default();
    let labels = json!({
        SESSION_NODE_LABEL: label(node.as_str()),
        SESSION_PEER_LABEL: written_out(&state.router),
        SESSION_VRF_LABEL: legal(&vrf),
        WRITER_LABEL: WRITER,
    });
    let status = BGPSessionStateStatus {
        bgp_status: Some(state.phase.into()),
        bfd_status: Some(state.bfd.clone().unwrap_or_else(|| NO_BFD.into())),
        node: Some(node.to_string()),
        peer: Some(written_out(&state.router)),
        vrf: Some(vrf),
        bgp_peer: Some(peer.to_string()),
        router: Some(state.router.clone()),
        message: Some(state.message.clone()),
    };
    (labels, json!(status))
}

/// A router as frr-k8s writes it, so that it is the value of a label, too: IPv6 in full with dashes for colons.
fn written_out(router: &str) -> String {
    let (address, interface) = router.split_once('%').unwrap_or((router, ""));
    let text = match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) if interface.is_empty() => full(address),
        Ok(IpAddr::V6(address)) => format!("{}-{interface}", full(address)),
        _ => router.into(),
    };
    legal(&text)
}

/// `text` as the value of a label: letters, digits and marks between them.
fn legal(text: &str) -> String {
    let is_mark = |letter: char| matches!(letter, '-' | '_' | '.');
    let letter = |letter: char| if letter.is_ascii_alphanumeric() || is_mark(letter) { letter } else { '-' };
    let text: String = text.chars().map(letter).collect();
    label(text.trim_matches(is_mark))
}

fn full(address: Ipv6Addr) -> String {
    let groups: Vec<_> = address.segments().iter().map(|group| format!("{group:04x}")).collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(own: &Own) -> (Value, Value) {
        let (node, pod) = ("n1".into(), Pod { name: "speaker-x".into(), uid: "7".into() });
        own.manifests(Author { node: &node, namespace: "metallb-system", pod: Some(&pod) }).unwrap()
    }

    #[test]
    fn a_service_and_its_peers_in_order() {
        let service = ObjectKey::new("shop", "web");
        let own = Own::Bgp { service, peers: Some(vec!["b".into(), "a".into(), "b".into()]) };
        let (main, status) = written(&own);
        assert_eq!(
            (&main["apiVersion"], &main["kind"]),
            (&json!("metallb.io/v1beta1"), &json!("ServiceBGPStatus"))
        );
        assert_eq!(
            main["metadata"]["labels"],
            json!({"metallb.io/node": "n1", "metallb.io/service-name": "web", "metallb.io/service-namespace": "shop"})
        );
        assert_eq!(main["metadata"]["ownerReferences"][0]["kind"], "Pod");
        assert_eq!(
            status["status"],
            json!({"node": "n1", "serviceName": "web", "serviceNamespace": "shop", "peers": ["a", "b"]})
        );
        assert_eq!(main["metadata"]["name"], status["metadata"]["name"]);
        assert!(main["metadata"]["name"].as_str().unwrap().starts_with("bgp-"));
    }

    #[test]
    fn a_session_is_what_frr_k8s_writes_and_more() {
        let state = SessionState {
            vrf: None,
            phase: "Active",
            bfd: None,
            message: "connection refused".into(),
            router: "2001:db8::1".into(),
        };
        let (main, status) = written(&Own::Session { peer: "tor".into(), state: Some(state.clone()) });
        assert_eq!(
            (&main["apiVersion"], &main["kind"], &main["spec"]),
            (&json!("frrk8s.metallb.io/v1beta1"), &json!("BGPSessionState"), &json!({}))
        );
        let peer = "2001-0db8-0000-0000-0000-0000-0000-0001";
        assert_eq!(
            main["metadata"]["labels"],
            json!({"frrk8s.metallb.io/node": "n1", "frrk8s.metallb.io/peer": peer, "frrk8s.metallb.io/vrf": "",
                "app.kubernetes.io/managed-by": "metal-speaker"})
        );
        assert_eq!(
            status["status"],
            json!({"bgpStatus": "Active", "bfdStatus": "N/A", "node": "n1", "peer": peer, "vrf": "",
                "bgpPeer": "tor", "router": "2001:db8::1", "message": "connection refused"})
        );
        let red = SessionState { vrf: Some("red".into()), bfd: Some("Up".into()), ..state };
        let (_, status) = written(&Own::Session { peer: "tor".into(), state: Some(red) });
        assert_eq!((&status["status"]["vrf"], &status["status"]["bfdStatus"]), (&json!("red"), &json!("Up")));
    }

    #[test]
    fn routers_become_values_of_labels() {
        for (router, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("eth0", "eth0"),
            ("eth0.100", "eth0.100"),
            ("fe80::1%eth0", "fe80-0000-0000-0000-0000-0000-0000-0001-eth0"),
            ("if@1-", "if-1"),
        ] {
            assert_eq!(written_out(router), expected);
        }
    }

    #[test]
    fn names_are_names_also_on_nodes_with_long_ones() {
        let long = NodeName::from("n".repeat(250));
        for own in [
            Own::Session { peer: "tor".into(), state: None },
            Own::Bgp { service: ObjectKey::new("shop", "web"), peers: None },
        ] {
            assert!(own.name(&long).len() <= 253);
            assert_ne!(own.name(&long), own.name(&"n1".into()));
            let author = Author { node: &long, namespace: "metallb-system", pod: None };
            assert!(own.manifests(author).is_none());
        }
    }
}
