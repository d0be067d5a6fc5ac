//! The controller together with a small world: Services and configuration as an API server keeps them.

mod allocation;
mod configuration;
mod model;
mod writes;

use alloc::{
    collections::{BTreeMap, VecDeque},
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::net::IpAddr;

use super::*;
use crate::{
    config::{PoolSpec, Spec},
    drain,
    event::Severity,
    request::Request,
    selector::Labels,
    view::{Family, FamilyPolicy, Scope},
};

/// An API server with a controller.
pub(super) struct World {
    pub(super) services: BTreeMap<ObjectKey, Service>,
    pub(super) objects: BTreeMap<ObjectRef, Object>,
    pub(super) controller: Controller,
    /// Writes that the API server has not taken yet.
    pub(super) writes: VecDeque<(ObjectKey, Vec<IpAddr>, Option<PoolName>)>,
    /// Whether a write replaces an older one of the same Service that is still queued.
    pub(super) coalesces: bool,
}

pub(super) fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

pub(super) fn at(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn pool_ref(name: &str) -> ObjectRef {
    ObjectRef { kind: "IPAddressPool", namespace: "metallb-system".into(), name: name.into() }
}

/// A Service of this age.
pub(super) fn service(created: i64) -> Service {
    Service { created: Some(created), ..Service::default() }
}

pub(super) fn asking_for(created: i64, addresses: &[&str], pool: Option<&str>) -> Service {
    let addresses = addresses.iter().map(|address| at(address)).collect();
    let request = Ok(Request { addresses, pool: pool.map(PoolName::from) });
    Service { request, ..service(created) }
}

pub(super) fn dual(created: i64, family_policy: FamilyPolicy) -> Service {
    Service { families: alloc::vec![Family::V4, Family::V6], family_policy, ..service(created) }
}

pub(super) fn pool_of(addresses: &[&str]) -> PoolSpec {
    let addresses = addresses.iter().map(ToString::to_string).collect();
    PoolSpec { addresses, auto_assign: true, ..PoolSpec::default() }
}

impl World {
    /// A synced controller that knows these pools.
    pub(super) fn new(pools: &[(&str, &str)]) -> Self {
        let (services, controller) = (BTreeMap::new(), Controller::new());
        let mut world = Self {
            services,
            objects: BTreeMap::new(),
            controller,
            writes: VecDeque::new(),
            coalesces: false,
        };
        for (name, addresses) in pools {
            let addresses: Vec<_> = addresses.split(',').collect();
            world.set_pool(name, pool_of(&addresses));
        }
        world.controller.handle_input(Instant::ZERO, Input::Synced);
        world.run();
        world
    }

    pub(super) fn set_pool(&mut self, name: &str, spec: PoolSpec) {
        let object = Object { created: Some(0), labels: Labels::new(), spec: Spec::Pool(spec) };
        self.objects.insert(pool_ref(name), object.clone());
        self.controller.handle_input(Instant::ZERO, Input::Config(pool_ref(name), Some(object)));
    }

    pub(super) fn pool(&mut self, name: &str, addresses: &[&str]) {
        self.set_pool(name, pool_of(addresses));
    }

    pub(super) fn remove_pool(&mut self, name: &str) {
        self.objects.remove(&pool_ref(name));
        self.controller.handle_input(Instant::ZERO, Input::Config(pool_ref(name), None));
    }

    /// Creates a Service, or changes one: its status stays.
    pub(super) fn apply(&mut self, name: &str, service: Service) {
        let status = self.services.get(&key(name)).filter(|_| service.assigned.is_empty());
        let (assigned, assigned_from) = status
            .map(|old| (old.assigned.clone(), old.assigned_from.clone()))
            .unwrap_or((service.assigned.clone(), service.assigned_from.clone()));
        self.services.insert(key(name), Service { assigned, assigned_from, ..service });
        self.notify(&key(name));
    }

    pub(super) fn delete(&mut self, name: &str) {
        self.services.remove(&key(name));
        // Writes carry the uid, so that none reaches a later Service of the same name.
        self.writes.retain(|(written, ..)| *written != key(name));
        self.notify(&key(name));
    }

    /// Somebody writes the status.
    pub(super) fn overwrite(&mut self, name: &str, addresses: &[&str], from: Option<&str>) {
        let service = self.services.get_mut(&key(name)).unwrap();
        service.assigned = addresses.iter().map(|address| at(address)).collect();
        service.assigned_from = from.map(PoolName::from);
        self.notify(&key(name));
    }

    pub(super) fn notify(&mut self, key: &ObjectKey) {
        let service = self.services.get(key).cloned();
        self.controller.handle_input(Instant::ZERO, Input::Service(key.clone(), service));
    }

    /// Polls the controller; its writes are queued.
    pub(super) fn poll(&mut self) -> Vec<Output> {
        let outputs = drain(&mut self.controller, Instant::ZERO);
        for output in &outputs {
            if let Output::Assign { service, addresses, pool } = output {
                self.writes.retain(|(queued, ..)| !self.coalesces || queued != service);
                self.writes.push_back((service.clone(), addresses.clone(), pool.clone()));
            }
        }
        outputs
    }

    /// The API server takes the oldest write.
    pub(super) fn land(&mut self) {
        self.land_any(0);
    }

    /// The API server takes one of the writes, of several to one Service the oldest.
    pub(super) fn land_any(&mut self, choice: usize) {
        let Some((chosen, ..)) = self.writes.get(choice % self.writes.len().max(1)) else { return };
        let oldest = self.writes.iter().position(|(key, ..)| key == chosen).unwrap_or_default();
        let Some((key, addresses, pool)) = self.writes.remove(oldest) else { return };
        if let Some(service) = self.services.get_mut(&key) {
            let before = service.clone();
            (service.assigned, service.assigned_from) = (addresses.clone(), pool.clone());
            if *service != before {
                self.notify(&key);
            }
        }
        self.controller.handle_input(Instant::ZERO, Input::Written { service: key, addresses, pool });
    }

    /// Lets everything come to rest; what the controller put out.
    pub(super) fn run(&mut self) -> Vec<Output> {
        let mut all = Vec::new();
        loop {
            let outputs = self.poll();
            if outputs.is_empty() && self.writes.is_empty() {
                return all;
            }
            all.extend(outputs);
            assert!(all.len() < 100_000, "the world does not come to rest");
            self.land();
        }
    }

    /// A new controller that has to find out everything; writes under way are lost.
    pub(super) fn restart(&mut self) {
        self.controller = Controller::new();
        self.writes.clear();
        let keys: Vec<_> = self.services.keys().rev().cloned().collect();
        keys.iter().for_each(|key| self.notify(key));
        for (object, value) in self.objects.clone() {
            self.controller.handle_input(Instant::ZERO, Input::Config(object, Some(value)));
        }
        assert_eq!(drain(&mut self.controller, Instant::ZERO), [], "nothing before everything is listed");
        self.controller.handle_input(Instant::ZERO, Input::Synced);
    }

    /// What a Service shows.
    pub(super) fn shows(&self, name: &str) -> String {
        let service = &self.services[&key(name)];
        let from = service.assigned_from.as_ref().map(|pool| format!(" from {pool}")).unwrap_or_default();
        format!("{}{from}", listed(&service.assigned))
    }
}

/// The writes among `outputs`, as `name=addresses`.
pub(super) fn assigned(outputs: &[Output]) -> Vec<String> {
    let assign = |output: &Output| match output {
        Output::Assign { service, addresses, .. } => Some(format!("{}={}", service.name, listed(addresses))),
        _ => None,
    };
    outputs.iter().filter_map(assign).collect()
}

/// The events among `outputs`, as `name: reason: message`.
pub(super) fn events(outputs: &[Output]) -> Vec<String> {
    let event = |output: &Output| match output {
        Output::Event { service, event } => {
            let mark = if event.severity == Severity::Warning { "!" } else { "" };
            Some(format!("{}: {}{mark}: {}", service.name, event.reason, event.message))
        }
        _ => None,
    };
    outputs.iter().filter_map(event).collect()
}

pub(super) fn notes<'a>(outputs: &'a [Output]) -> Vec<&'a str> {
    let note = |output: &'a Output| match output {
        Output::Note(note) => Some(note.as_str()),
        _ => None,
    };
    outputs.iter().filter_map(note).collect()
}
