//! The objects of a cluster as speakers see them.

use std::{collections::BTreeMap, net::IpAddr};

use metal_core::{
    config::{L2AdvertisementSpec, Object, ObjectRef, ObjectStatus, PoolSpec, Spec},
    name::{NodeName, ObjectKey},
    selector::Labels,
    speaker::Input,
    view::{Endpoint, EndpointSlice, Node, Service},
};

/// What an API server holds.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// Services by name, all in namespace `default`.
    pub services: BTreeMap<String, Service>,
    /// Where each Service has ready endpoints.
    pub endpoints: BTreeMap<String, Vec<String>>,
    /// Nodes by name.
    pub nodes: BTreeMap<String, Node>,
    /// Configuration objects.
    pub config: BTreeMap<ObjectRef, Object>,
}

impl Cluster {
    /// A pool 10.0.0.0/24 and fd00::/120 that is advertised everywhere, and these nodes.
    #[must_use]
    pub fn new(nodes: &[&str]) -> Self {
        let mut cluster = Self::default();
        for node in nodes {
            cluster.nodes.insert((*node).into(), Node::default());
        }
        let addresses = vec!["10.0.0.0/24".into(), "fd00::/120".into()];
        let pool = PoolSpec { addresses, auto_assign: true, ..PoolSpec::default() };
        cluster.configure("IPAddressPool", "first", Spec::Pool(pool));
        cluster.advertise(L2AdvertisementSpec::default());
        cluster
    }

    /// Replaces the advertisement.
    pub fn advertise(&mut self, spec: L2AdvertisementSpec) {
        self.configure("L2Advertisement", "first", Spec::L2Advertisement(spec));
    }

    /// Adds a Service with an address and an endpoint on each of `nodes`.
    pub fn serve(&mut self, name: &str, address: IpAddr, nodes: &[&str]) {
        let service =
            Service { assigned: vec![address], assigned_from: vec!["first".into()], ..Service::default() };
        self.services.insert(name.into(), service);
        self.endpoints.insert(name.into(), nodes.iter().map(|node| (*node).into()).collect());
    }

    /// Everything as inputs of a speaker, up to and including the end of the listing.
    #[must_use]
    pub fn inputs(&self) -> Vec<Input<'static>> {
        let config = self.config.iter().map(|(key, object)| Input::Config(key.clone(), Some(object.clone())));
        let nodes = self.nodes.iter().map(|(name, node)| node_input(name, Some(node)));
        let services = self.services.iter().map(|(name, service)| service_input(name, Some(service)));
        let endpoints = self.endpoints.iter().map(|(name, nodes)| endpoints_input(name, nodes));
        config.chain(nodes).chain(services).chain(endpoints).chain([Input::Synced]).collect()
    }

    /// Replaces a configuration object.
    pub fn configure(&mut self, kind: &'static str, name: &str, spec: Spec) {
        let key = ObjectRef { kind, namespace: "metallb-system".into(), name: name.into() };
        self.config.insert(
            key,
            Object { created: None, labels: Labels::new(), spec, status: ObjectStatus::default() },
        );
    }
}

/// A Service of namespace `default` as an input.
#[must_use]
pub fn service_input(name: &str, service: Option<&Service>) -> Input<'static> {
    Input::Service(ObjectKey::new("default", name), service.cloned())
}

/// A Node as an input.
#[must_use]
pub fn node_input(name: &str, node: Option<&Node>) -> Input<'static> {
    Input::Node(NodeName::from(name), node.cloned())
}

/// The endpoints of a Service of namespace `default` as an input.
#[must_use]
pub fn endpoints_input(name: &str, nodes: &[String]) -> Input<'static> {
    let key = ObjectKey::new("default", name);
    let endpoint =
        |node: &String| Endpoint { node: Some(NodeName::from(node.as_str())), ready: true, serving: true };
    let slice = EndpointSlice { service: key.clone(), endpoints: nodes.iter().map(endpoint).collect() };
    Input::Endpoints(key, Some(slice))
}
