//! The controller together with a small world: Services and configuration as an API server keeps them.

mod adoption;
mod allocation;
mod cluster;
mod configuration;
mod contest;
mod events;
mod families;
mod findings;
mod held;
mod history;
mod model;
mod moves;
mod reasons;
mod reservations;
mod secrets;
mod sharing;
mod simulation;
mod waiting;
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
    config::{ObjectStatus, PoolSpec, ReservationSpec, Spec},
    drain,
    event::Severity,
    request::Request,
    selector::Labels,
    sharing::{Backend, Port, Protocol, Sharing},
    view::{Family, FamilyPolicy, Scope},
};

/// The unix time at which all tests begin.
pub(super) const EPOCH: i64 = 1_800_000_000;

/// An API server with a controller.
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) services: BTreeMap<ObjectKey, Service>,
    pub(super) objects: BTreeMap<ObjectRef, Object>,
    /// What speakers say.
    pub(super) networks: BTreeMap<ObjectRef, Network>,
    pub(super) controller: Controller,
    /// Writes that the API server has not taken yet.
    pub(super) writes: VecDeque<Write>,
    /// What the last write to a Service was based on, and the version that it led to.
    based: BTreeMap<ObjectKey, (Version, Version)>,
    /// The version that was given last.
    pub(super) version: Version,
    /// How many writes the API server has taken and refused.
    pub(super) landed: usize,
    pub(super) refused: usize,
}

/// A write under way.
#[derive(Clone, Debug)]
pub(super) struct Write {
    service: ObjectKey,
    created: Option<i64>,
    write: u64,
    version: Version,
    pub(super) assignment: Assignment,
}

pub(super) fn key(name: &str) -> ObjectKey {
    match name.split_once('/') {
        Some((namespace, name)) => ObjectKey::new(namespace, name),
        None => ObjectKey::new("default", name),
    }
}

pub(super) fn at(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn pool_ref(name: &str) -> ObjectRef {
    ObjectRef { kind: "IPAddressPool", namespace: "metallb-system".into(), name: name.into() }
}

pub(super) fn reservation_ref(name: &str) -> ObjectRef {
    ObjectRef { kind: "IPReservation", ..pool_ref(name) }
}

/// A Service of this age.
pub(super) fn service(created: i64) -> Service {
    Service { created: Some(created), ..Service::default() }
}

/// What the annotations ask for: addresses, separated by commas, and a pool.
pub(super) fn request(addresses: &str, pool: &str) -> Result<Request, crate::request::RequestError> {
    Request::parse(Some(addresses), None, Some(pool))
}

pub(super) fn asking_for(created: i64, addresses: &[&str], pool: Option<&str>) -> Service {
    let request = request(&addresses.join(","), pool.unwrap_or_default());
    Service { request, ..service(created) }
}

pub(super) fn dual(created: i64, family_policy: FamilyPolicy) -> Service {
    Service { families: alloc::vec![Family::V4, Family::V6], family_policy, ..service(created) }
}

/// How a Service shares by `key` with this TCP port.
pub(super) fn shares(key: &str, port: u16) -> Option<Sharing> {
    Sharing::new(key, Backend::Anywhere, [Port { protocol: Protocol::Tcp, number: port }])
}

pub(super) fn sharing(created: i64, key: &str, port: u16) -> Service {
    Service { sharing: shares(key, port), ..service(created) }
}

pub(super) fn pool_of(addresses: &[&str]) -> PoolSpec {
    let addresses = addresses.iter().map(ToString::to_string).collect();
    PoolSpec { addresses, auto_assign: true, ..PoolSpec::default() }
}

impl World {
    /// A synced controller that knows these pools.
    pub(super) fn new(pools: &[(&str, &str)]) -> Self {
        let mut world = Self {
            now: Instant::ZERO,
            services: BTreeMap::new(),
            objects: BTreeMap::new(),
            networks: BTreeMap::new(),
            controller: controller(),
            writes: VecDeque::new(),
            based: BTreeMap::new(),
            version: 0,
            landed: 0,
            refused: 0,
        };
        for (name, addresses) in pools {
            let addresses: Vec<_> = addresses.split(',').collect();
            world.set_pool(name, pool_of(&addresses));
        }
        world.input(Input::Synced);
        world.run();
        world
    }

    pub(super) fn input(&mut self, input: Input) {
        self.controller.handle_input(self.now, input);
    }

    pub(super) fn set_object(&mut self, reference: ObjectRef, spec: Spec) {
        let status = self.objects.get(&reference).map(|object| object.status.clone()).unwrap_or_default();
        let object = Object { created: Some(0), labels: Labels::new(), spec, status };
        self.objects.insert(reference.clone(), object.clone());
        self.input(Input::Config(reference, Some(object)));
    }

    pub(super) fn set_pool(&mut self, name: &str, spec: PoolSpec) {
        self.set_object(pool_ref(name), Spec::Pool(spec));
    }

    pub(super) fn reserve(&mut self, name: &str, spec: ReservationSpec) {
        self.set_object(reservation_ref(name), Spec::Reservation(spec));
    }

    pub(super) fn pool(&mut self, name: &str, addresses: &[&str]) {
        self.set_pool(name, pool_of(addresses));
    }

    pub(super) fn remove(&mut self, reference: &ObjectRef) {
        self.objects.remove(reference);
        self.input(Input::Config(reference.clone(), None));
    }

    pub(super) fn remove_pool(&mut self, name: &str) {
        self.remove(&pool_ref(name));
    }

    /// Creates a Service, or changes one: what was written to it stays.
    pub(super) fn apply(&mut self, name: &str, service: Service) {
        let old = self.services.get(&key(name)).filter(|_| service.assigned.is_empty());
        let mut service = service;
        if let Some(old) = old {
            let shown = record::shown(old);
            show(&mut service, &shown);
            service.written_by = old.written_by.clone();
        }
        self.put(key(name), service);
    }

    /// Changes a Service.
    pub(super) fn edit(&mut self, name: &str, edit: impl FnOnce(&mut Service)) {
        let mut service = self.services[&key(name)].clone();
        edit(&mut service);
        self.put(key(name), service);
    }

    fn put(&mut self, key: ObjectKey, service: Service) {
        self.version += 1;
        self.services.insert(key.clone(), Service { version: self.version, ..service });
        self.notify(&key);
    }

    pub(super) fn delete(&mut self, name: &str) {
        self.replace(key(name), None);
    }

    /// A Service is this from now on, or gone.
    pub(super) fn replace(&mut self, key: ObjectKey, service: Option<Service>) {
        match service {
            Some(service) => self.put(key, service),
            None => {
                self.services.remove(&key);
                self.notify(&key);
            }
        }
    }

    /// Another manager writes the status.
    pub(super) fn overwrite(&mut self, name: &str, addresses: &[&str], by: Option<&str>) {
        self.edit(name, |service| {
            service.assigned = addresses.iter().map(|address| at(address)).collect();
            service.written_by = by.map(Into::into);
        });
    }

    pub(super) fn notify(&mut self, key: &ObjectKey) {
        let service = self.services.get(key).cloned();
        self.input(Input::Service(key.clone(), service));
    }

    /// Polls the controller; its writes are queued.
    pub(super) fn poll(&mut self) -> Vec<Output> {
        let outputs = drain(&mut self.controller, self.now);
        for output in &outputs {
            match output {
                Output::Usage { object, held, .. } => {
                    if let Some(object) = self.objects.get_mut(object) {
                        object.status.held = held.clone();
                    }
                }
                Output::Verdict { object, refusals } => {
                    if let Some(object) = self.objects.get_mut(object) {
                        object.status.accepted = refusals.is_empty();
                    }
                }
                _ => {}
            }
            if let Output::Assign { service, write, version, assignment } = output {
                let created = self.services.get(service).and_then(|service| service.created);
                self.writes.push_back(Write {
                    service: service.clone(),
                    created,
                    write: *write,
                    version: *version,
                    assignment: assignment.clone(),
                });
            }
        }
        outputs
    }

    /// The API server takes the oldest write.
    pub(super) fn land(&mut self) {
        let Some(write) = self.writes.pop_front() else { return };
        let Some(service) = self.services.get_mut(&write.service) else { return };
        let own = self.based.get(&write.service).filter(|(based, _)| *based == write.version);
        let version = own.map_or(write.version, |(_, got)| *got);
        if service.created != write.created || (version != 0 && version != service.version) {
            self.refused += 1;
            return;
        }
        self.landed += 1;
        let before = service.clone();
        show(service, &write.assignment);
        service.written_by = None;
        if *service != before {
            self.version += 1;
            service.version = self.version;
        }
        self.based.insert(write.service.clone(), (write.version, service.version));
        self.notify(&write.service);
        self.input(Input::Written { service: write.service, write: write.write });
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

    /// Lets time pass, with all that happens meanwhile; what the controller put out.
    pub(super) fn pass(&mut self, seconds: u64) -> Vec<Output> {
        let end = self.now + core::time::Duration::from_secs(seconds);
        let mut all = self.run();
        while let Some(next) = self.controller.poll_timeout().filter(|next| *next <= end) {
            self.now = next;
            all.extend(self.run());
        }
        self.now = end;
        all.extend(self.run());
        all
    }

    /// A new controller that has to find out everything; writes under way are lost.
    pub(super) fn restart(&mut self) {
        self.controller = controller();
        self.writes.clear();
        self.based.clear();
        let keys: Vec<_> = self.services.keys().rev().cloned().collect();
        keys.iter().for_each(|key| self.notify(key));
        for (object, value) in self.objects.clone() {
            self.input(Input::Config(object, Some(value)));
        }
        for (node, network) in self.networks.clone() {
            self.input(Input::Network(node, Some(network)));
        }
        assert_eq!(drain(&mut self.controller, self.now), [], "nothing before everything is listed");
        self.input(Input::Synced);
    }

    /// What a Service shows.
    pub(super) fn shows(&self, name: &str) -> String {
        let service = &self.services[&key(name)];
        let pools: Vec<_> = service.assigned_from.iter().map(PoolName::as_str).collect();
        let from = if pools.is_empty() { String::new() } else { format!(" from {}", pools.join(",")) };
        format!("{}{from}", listed(&service.assigned))
    }

    /// The condition of a Service: `True Assigned: 192.0.2.1 from pool a`.
    pub(super) fn condition(&self, name: &str) -> String {
        let Some(condition) = &self.services[&key(name)].condition else { return String::new() };
        let status = if condition.status { "True" } else { "False" };
        format!("{status} {}: {}", condition.reason, condition.message)
    }

    /// The condition `Announced` of a Service: `False AddressConflict: ...`.
    pub(super) fn announced(&self, name: &str) -> String {
        let Some(condition) = &self.services[&key(name)].announced else { return String::new() };
        let status = if condition.status { "True" } else { "False" };
        format!("{status} {}: {}", condition.reason, condition.message)
    }

    /// What the controller thinks of a Service.
    pub(super) fn state(&self, name: &str) -> ServiceState {
        self.controller.services().find(|state| state.service == key(name)).unwrap()
    }
}

fn controller() -> Controller {
    Controller::new(u64::try_from(EPOCH).unwrap() * 1_000_000)
}

/// Lets a Service show this.
pub(super) fn show(service: &mut Service, shown: &Assignment) {
    service.assigned = shown.addresses.clone();
    service.assigned_from = shown.pools.clone();
    service.pool_labels = shown.pool_labels.clone();
    service.condition = shown.condition.clone();
    service.announced = shown.announced.clone();
}

/// The writes among `outputs`, as `name=addresses`.
pub(super) fn assigned(outputs: &[Output]) -> Vec<String> {
    let assign = |output: &Output| match output {
        Output::Assign { service, assignment, .. } => {
            Some(format!("{}={}", service.name, listed(&assignment.addresses)))
        }
        _ => None,
    };
    outputs.iter().filter_map(assign).collect()
}

/// The events among `outputs`, as `name: reason: message`; a warning has an exclamation mark.
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

/// What is said about a pool: IPv4 addresses assigned and available.
pub(super) fn usage(pool: &str, outputs: &[Output]) -> Vec<Option<(u64, u64)>> {
    let of_pool = |output: &Output| match output {
        Output::Usage { pool: name, usage, .. } if name.as_str() == pool => {
            Some(usage.map(|usage| (usage.assigned_v4, usage.available_v4)))
        }
        _ => None,
    };
    outputs.iter().filter_map(of_pool).collect()
}
