//! The endpoints of Services, summed up over their slices.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::{
    name::{NodeName, ObjectKey},
    view::EndpointSlice,
};

/// Where a Service has endpoints that take traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Serving {
    /// There is at least one.
    pub anywhere: bool,
    /// The nodes they run on, as far as they say so.
    pub nodes: BTreeSet<NodeName>,
}

/// All EndpointSlices.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    slices: BTreeMap<ObjectKey, EndpointSlice>,
    /// Keys of the slices of a Service, and their sum.
    services: BTreeMap<ObjectKey, (BTreeSet<ObjectKey>, Serving)>,
}

impl Endpoints {
    /// Takes a slice as it is now. Answers with the Services for which this made a difference.
    pub(super) fn set(&mut self, key: ObjectKey, slice: Option<EndpointSlice>) -> BTreeSet<ObjectKey> {
        let service = slice.as_ref().map(|slice| slice.service.clone());
        let before = match slice {
            Some(slice) => self.slices.insert(key.clone(), slice),
            None => self.slices.remove(&key),
        };
        let mut touched = BTreeSet::new();
        if let Some(before) = before {
            if let Some((slices, _)) = self.services.get_mut(&before.service) {
                slices.remove(&key);
            }
            touched.insert(before.service);
        }
        if let Some(service) = service {
            self.services.entry(service.clone()).or_default().0.insert(key);
            touched.insert(service);
        }
        touched.retain(|service| self.sum_up(service));
        touched
    }

    /// Where a Service has endpoints that take traffic; `None` means nowhere.
    pub(super) fn serving(&self, service: &ObjectKey) -> Option<&Serving> {
        self.services.get(service).map(|(_, serving)| serving)
    }

    fn sum_up(&mut self, service: &ObjectKey) -> bool {
        let Some((slices, serving)) = self.services.get_mut(service) else { return false };
        let mut sum = Serving::default();
        let endpoints =
            slices.iter().filter_map(|key| self.slices.get(key)).flat_map(|slice| &slice.endpoints);
        for endpoint in endpoints.filter(|endpoint| endpoint.serves()) {
            sum.anywhere = true;
            sum.nodes.extend(endpoint.node.clone());
        }
        let changed = *serving != sum;
        *serving = sum;
        if slices.is_empty() {
            self.services.remove(service);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;
    use crate::view::Endpoint;

    fn slice(service: &str, endpoints: &[(Option<&str>, bool, bool)]) -> Option<EndpointSlice> {
        let endpoint = |(node, ready, serving): &(Option<&str>, bool, bool)| Endpoint {
            node: node.map(NodeName::from),
            ready: *ready,
            serving: *serving,
        };
        Some(EndpointSlice {
            service: ObjectKey::new("default", service),
            endpoints: endpoints.iter().map(endpoint).collect(),
        })
    }

    #[test]
    fn slices_add_up_and_only_differences_count() {
        let mut endpoints = Endpoints::default();
        let [web, db] = ["web", "db"].map(|name| ObjectKey::new("default", name));
        let [one, two] = ["one", "two"].map(|name| ObjectKey::new("default", name));
        let touched = |set: BTreeSet<ObjectKey>| set.into_iter().collect::<Vec<_>>();

        let ready = slice("web", &[(Some("n1"), true, true), (None, true, true), (Some("n2"), false, false)]);
        assert_eq!(touched(endpoints.set(one.clone(), ready.clone())), vec![web.clone()]);
        assert_eq!(touched(endpoints.set(one.clone(), ready)), vec![]);
        let serving = endpoints.serving(&web).unwrap();
        assert!(serving.anywhere && serving.nodes == BTreeSet::from(["n1".into()]));

        // Terminating, but still serving.
        let terminating = slice("web", &[(Some("n3"), false, true)]);
        assert_eq!(touched(endpoints.set(two.clone(), terminating)), vec![web.clone()]);
        assert_eq!(endpoints.serving(&web).unwrap().nodes.len(), 2);

        // A slice may change its Service.
        assert_eq!(touched(endpoints.set(two, slice("db", &[(None, true, true)]))), vec![db, web.clone()]);
        assert_eq!(touched(endpoints.set(one.clone(), None)), vec![web.clone()]);
        assert_eq!(endpoints.serving(&web), None);
        assert_eq!(touched(endpoints.set(one, None)), vec![]);
    }
}
