//! What changes of the configuration, of namespaces and of the network do to Services.

use alloc::{collections::BTreeSet, sync::Arc, vec::Vec};
use core::{net::IpAddr, time::Duration};

use ipnet::IpNet;

use super::{Controller, Output, Timer, agenda::Queue, record::Orphan};
use crate::{
    config::{ObjectRef, Pool, bgp::Password},
    name::{ObjectKey, PoolName},
    selector::Labels,
    time::Instant,
    view::Network,
};

/// How long a Service waits for its namespace.
const PATIENCE: Duration = Duration::from_secs(1);

/// The labels of a namespace that is not known.
static NO_LABELS: Labels = Labels::new();

impl Controller {
    /// Puts changes of the configuration into effect.
    pub(super) fn reconfigure(&mut self) {
        let changes = self.config.take_changes();
        for (object, refusals) in changes.verdicts {
            self.outputs.push_back(Output::Verdict { object, refusals });
        }
        if !changes.peers.is_empty() || self.secrets_in_use.is_none() {
            self.tell_secrets();
        }
        if changes.pools.is_empty() && changes.reservations.is_empty() {
            return;
        }
        // Reservations and pools may have swapped ranges, so all that give up some go first.
        for object in &changes.reservations {
            self.ipam.remove_reservation(object);
        }
        for object in &changes.reservations {
            if let Some(reservation) = self.config.snapshot().reservation(object) {
                let taken = self.ipam.set_reservation(reservation.clone());
                debug_assert_eq!(taken, Ok(()), "reservations in force do not overlap");
            }
        }
        let mut concerned = BTreeSet::new();
        for name in &changes.pools {
            let now = self.config.snapshot().pool(name).cloned();
            let before = self.ipam.pool(name).cloned();
            concerned.extend(self.outside.get(name).into_iter().flatten().cloned());
            let space = |pool: &Option<Arc<Pool>>| {
                pool.as_ref().map(|pool| (pool.ranges.clone(), pool.exclude.clone(), pool.avoid_buggy_ips))
            };
            if space(&now) == space(&before) {
                continue;
            }
            for range in now.iter().chain(&before).flat_map(|pool| &pool.ranges) {
                concerned.extend(self.ipam.used_in(*range).map(|(_, owner)| owner.clone()));
            }
            if let (Some(before), None) = (&before, &now) {
                self.orphan(before, &concerned);
            }
            self.ipam.remove_pool(name);
        }
        for name in &changes.pools {
            if let Some(pool) = self.config.snapshot().pool(name) {
                let taken = self.ipam.set_pool(pool.clone());
                debug_assert_eq!(taken, Ok(()), "pools in force do not overlap");
            }
        }
        for name in &changes.pools {
            self.review_holds(name);
        }
        for key in concerned {
            self.look_at(&key);
        }
        self.look_at_waiting();
        self.recount.extend(changes.pools);
    }

    /// Says which Secrets the speakers have to read, if that is new.
    fn tell_secrets(&mut self) {
        let peers = self.config.snapshot().bgp().peers();
        let names = peers.filter_map(|peer| match &peer.password {
            Some(Password::FromSecret(name)) => Some(Arc::from(name.as_str())),
            Some(Password::Plain(_)) | None => None,
        });
        let names: BTreeSet<Arc<str>> = names.collect();
        if self.secrets_in_use.as_ref() != Some(&names) {
            self.secrets_in_use = Some(names.clone());
            self.outputs.push_back(Output::SecretsInUse(names));
        }
    }

    /// A pool is gone: those who have addresses of it remember what matters of it.
    fn orphan(&mut self, pool: &Pool, concerned: &BTreeSet<ObjectKey>) {
        for key in concerned {
            if let Some(record) = self.services.get_mut(key)
                && record.owns.iter().any(|own| own.pool == pool.name)
            {
                let (labels, reassigns) = (pool.labels.clone(), pool.reassigns);
                record.orphan = Some(Orphan { labels, reassigns }.into());
            }
        }
    }

    /// The labels of a namespace have changed.
    pub(super) fn relabel(&mut self, namespace: &Arc<str>, labels: Option<Labels>) {
        let before = match labels {
            Some(labels) => self.namespaces.insert(namespace.clone(), labels),
            None => self.namespaces.remove(namespace),
        };
        if before.as_ref() != self.namespaces.get(namespace) {
            self.agenda.wake(&Queue::Of(namespace.clone()));
        }
    }

    /// Whether a Service has to wait: pools select by the labels of namespaces, and its own is not known, which
    /// happens when both are created together and the news of the Service comes first.
    pub(super) fn awaits_namespace(&mut self, now: Instant, key: &ObjectKey) -> bool {
        let Some(record) = self.services.get(key) else { return false };
        let is_known = self.namespaces.is_empty() || self.namespaces.contains_key(&key.namespace);
        if is_known || record.is_impatient || !record.owns.is_empty() {
            return false;
        }
        let selects = |pool: &Arc<Pool>| {
            pool.allocation.as_ref().is_some_and(|allocation| !allocation.namespace_selectors.is_empty())
        };
        if !self.config.snapshot().pools().any(selects) {
            return false;
        }
        let age = record.age(key);
        let timer = Timer::Namespace(key.clone());
        if self.timers.get(&timer).is_none() {
            self.timers.set(timer, now + PATIENCE);
        }
        self.agenda.wait(age, alloc::vec![Queue::Of(key.namespace.clone())]);
        true
    }

    /// A Service does not wait for its namespace any longer.
    pub(super) fn namespace_timer(&mut self, key: &ObjectKey) {
        if let Some(record) = self.services.get_mut(key) {
            record.is_impatient = true;
            self.look_at(key);
        }
    }

    /// The labels of a namespace.
    pub(super) fn namespace_labels(&self, namespace: &str) -> &Labels {
        self.namespaces.get(namespace).unwrap_or(&NO_LABELS)
    }

    /// What an object says about the network of nodes has changed.
    pub(super) fn reconnect(&mut self, now: Instant, object: ObjectRef, network: Option<Network>) {
        let before = match network.clone() {
            Some(network) => self.networks.insert(object, network),
            None => self.networks.remove(&object),
        };
        if before == network {
            return;
        }
        let is_contested = self.find_out(now, before.as_ref(), network.as_ref());
        let kept = |network: &Option<Network>| network.as_ref().map(avoided).unwrap_or_default();
        if is_contested || kept(&before) != kept(&network) {
            self.avoid();
        }
    }

    /// Keeps automatic allocation away from what the network uses itself.
    pub(super) fn avoid(&mut self) {
        let avoided: BTreeSet<_> =
            self.networks.values().flat_map(avoided).chain(self.findings.contested()).collect();
        let released: Vec<_> = self.avoided.difference(&avoided).copied().collect();
        if self.avoided != avoided {
            self.ipam.avoid(avoided.clone());
            self.avoided = avoided;
        }
        for address in released {
            self.offer(address);
        }
    }

    /// Says how full a pool is, if that is news.
    pub(super) fn count(&mut self, name: PoolName) {
        let object = self.config.snapshot().object_of(&name).cloned();
        let held = self.holds.of_pool(&name);
        let now = object.zip(self.ipam.usage(&name)).map(|(object, usage)| (object, usage, held));
        let before = self.counted.get(&name);
        if before == now.as_ref() {
            return;
        }
        let replaced = before.filter(|(object, ..)| now.as_ref().is_none_or(|(now, ..)| now != object));
        if let Some((object, ..)) = replaced {
            let (pool, object) = (name.clone(), object.clone());
            self.outputs.push_back(Output::Usage { pool, object, usage: None, held: Vec::new() });
        }
        match now {
            Some(now) => {
                let (object, usage, held) = now.clone();
                let pool = name.clone();
                self.outputs.push_back(Output::Usage { pool, object, usage: Some(usage), held });
                self.counted.insert(name, now);
            }
            None => drop(self.counted.remove(&name)),
        }
    }

    /// Looks at a Service again.
    pub(super) fn look_at(&mut self, key: &ObjectKey) {
        if let Some(record) = self.services.get(key) {
            self.agenda.push(record.next_step(), record.age(key));
        }
    }

    /// Looks at all who wait again.
    pub(super) fn look_at_waiting(&mut self) {
        let waiting: Vec<_> = self.agenda.waiting().map(|(_, key)| key.clone()).collect();
        waiting.iter().for_each(|key| self.look_at(key));
    }
}

/// What automatic allocation leaves alone because of the network: addresses of nodes and routers, the first and
/// the last address of IPv4 subnets (RFC 1812), and the anycast address of routers in IPv6 subnets (RFC 4291).
fn avoided(network: &Network) -> Vec<IpAddr> {
    let mut avoided: Vec<_> = network.addresses.iter().chain(&network.gateways).copied().collect();
    for subnet in &network.subnets {
        match subnet {
            IpNet::V4(subnet) if subnet.prefix_len() < 31 => {
                avoided.extend([IpAddr::V4(subnet.network()), IpAddr::V4(subnet.broadcast())]);
            }
            IpNet::V6(subnet) if subnet.prefix_len() < 127 => avoided.push(IpAddr::V6(subnet.network())),
            IpNet::V4(_) | IpNet::V6(_) => {}
        }
    }
    avoided
}
