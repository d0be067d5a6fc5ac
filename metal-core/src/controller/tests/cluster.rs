//! An API server with a leader, and one that was a leader before: everything between them takes its time.

use alloc::collections::BTreeSet;

use super::*;
use crate::finding::Finding;

/// What the API server has, and who works on it.
pub(super) struct Cluster {
    pub(super) now: Instant,
    version: Version,
    pub(super) services: BTreeMap<ObjectKey, Service>,
    /// The version before the last one of each Service: an outdated list has that.
    former: BTreeMap<ObjectKey, Service>,
    pub(super) objects: BTreeMap<ObjectRef, Object>,
    /// What a speaker has found out; it never takes anything back.
    pub(super) findings: Vec<Finding>,
    pub(super) leader: Replica,
    /// A write that a former leader has checked its lease for, but not sent.
    paused: Option<Write>,
    /// Services whose sharing has changed, and addresses that a former leader wrote: what they conflict with
    /// is put right once everything has come to rest.
    pub(super) excused: BTreeSet<ObjectKey>,
    pub(super) tainted: BTreeSet<IpAddr>,
    /// What was said about pools, last.
    pub(super) usage: BTreeMap<PoolName, Usage>,
}

/// A controller with what is on its way to it and from it.
pub(super) struct Replica {
    pub(super) controller: Controller,
    services: VecDeque<Input>,
    configs: VecDeque<Input>,
    written: VecDeque<Input>,
    outbox: VecDeque<Write>,
    based: BTreeMap<ObjectKey, (Version, Version)>,
}

impl Cluster {
    pub(super) fn new() -> Self {
        let mut cluster = Self {
            now: Instant::ZERO,
            version: 0,
            services: BTreeMap::new(),
            former: BTreeMap::new(),
            objects: BTreeMap::new(),
            findings: Vec::new(),
            leader: Replica::new(),
            paused: None,
            excused: BTreeSet::new(),
            tainted: BTreeSet::new(),
            usage: BTreeMap::new(),
        };
        cluster.leader.controller.handle_input(Instant::ZERO, Input::Synced);
        cluster
    }

    /// Somebody changes a Service, or deletes it.
    pub(super) fn put(&mut self, key: ObjectKey, service: Option<Service>) {
        self.version += 1;
        let before = self.services.remove(&key);
        if let Some(service) = service {
            let changes_sharing = before.as_ref().is_some_and(|before| before.sharing != service.sharing);
            if changes_sharing {
                self.excused.insert(key.clone());
            }
            self.services.insert(key.clone(), Service { version: self.version, ..service });
            self.former.extend(before.map(|before| (key.clone(), before)));
        } else {
            self.former.remove(&key);
        }
        self.leader.services.push_back(Input::Service(key.clone(), self.services.get(&key).cloned()));
    }

    /// Somebody changes a configuration object, or deletes it.
    pub(super) fn configure(&mut self, reference: ObjectRef, spec: Option<Spec>) {
        let before = self.objects.remove(&reference);
        let object = spec.map(|spec| Object {
            created: Some(0),
            labels: Labels::new(),
            spec,
            status: before.map(|before| before.status).unwrap_or_default(),
        });
        self.objects.extend(object.clone().map(|object| (reference.clone(), object)));
        self.leader.configs.push_back(Input::Config(reference, object));
    }

    /// A speaker finds out that a stranger has an address of a Service.
    pub(super) fn find(&mut self, finding: Finding) {
        self.findings.retain(|known| (&known.service, known.address) != (&finding.service, finding.address));
        self.findings.push(finding);
        let input = self.said();
        self.leader.controller.handle_input(self.now, input);
    }

    fn said(&self) -> Input {
        let name = "speaker-n1".into();
        let object = ObjectRef { kind: "ConfigurationState", namespace: "metallb-system".into(), name };
        let findings = self.findings.clone();
        let network = Network { speaker: Some("n1".into()), findings, ..Network::default() };
        Input::Network(object, Some(network))
    }

    /// The leader hears some news, from one watch or the other.
    pub(super) fn deliver(&mut self, choices: &[u8]) {
        for choice in choices {
            let Replica { services, configs, written, .. } = &mut self.leader;
            let mut queues: Vec<_> =
                [services, configs, written].into_iter().filter(|queue| !queue.is_empty()).collect();
            if queues.is_empty() {
                return;
            }
            let chosen = usize::from(*choice) % queues.len();
            if let Some(input) = queues[chosen].pop_front() {
                self.leader.controller.handle_input(self.now, input);
            }
        }
    }

    /// The leader decides; its writes are queued, a later one in the place of an earlier one.
    pub(super) fn decide(&mut self) -> Vec<Output> {
        let outputs = drain(&mut self.leader.controller, self.now);
        for output in &outputs {
            match output {
                Output::Assign { service, write, version, assignment } => {
                    let write = Write {
                        service: service.clone(),
                        created: self.services.get(service).and_then(|service| service.created),
                        write: *write,
                        version: *version,
                        assignment: assignment.clone(),
                    };
                    self.leader.outbox.retain(|queued| queued.service != *service);
                    self.leader.outbox.push_back(write);
                }
                Output::Usage { pool, object, usage, held } => {
                    if let Some(object) = self.objects.get_mut(object) {
                        object.status.held = held.clone();
                    }
                    match usage {
                        Some(usage) => drop(self.usage.insert(pool.clone(), *usage)),
                        None => drop(self.usage.remove(pool)),
                    }
                }
                Output::Verdict { object, refusals } => {
                    if let Some(object) = self.objects.get_mut(object) {
                        object.status.accepted = refusals.is_empty();
                    }
                }
                Output::Event { .. } | Output::SecretsInUse(_) | Output::Note(_) => {}
            }
        }
        outputs
    }

    /// One of the leader's writes arrives; the Service, if it is taken.
    pub(super) fn land(&mut self, choice: u8) -> Option<ObjectKey> {
        let index = usize::from(choice) % self.leader.outbox.len().max(1);
        let write = self.leader.outbox.remove(index)?;
        let own = self.leader.based.get(&write.service).filter(|(based, _)| *based == write.version);
        let version = own.map_or(write.version, |(_, got)| *got);
        let key = write.service.clone();
        if !self.accept(&write, version) {
            return None;
        }
        let got = self.services[&key].version;
        self.leader.based.insert(key.clone(), (write.version, got));
        self.leader.written.push_back(Input::Written { service: key.clone(), write: write.write });
        Some(key)
    }

    /// The API server takes a write, if it is based on the last version.
    fn accept(&mut self, write: &Write, version: Version) -> bool {
        let Some(service) = self.services.get_mut(&write.service) else { return false };
        if service.version != version || service.created != write.created {
            return false;
        }
        let before = service.clone();
        show(service, &write.assignment);
        if *service != before {
            self.version += 1;
            service.version = self.version;
            self.former.insert(write.service.clone(), before);
            let input = Input::Service(write.service.clone(), Some(service.clone()));
            self.leader.services.push_back(input);
        }
        true
    }

    /// The leader is gone, with one write on its way or none; another one starts with a list that may be
    /// outdated in part at first.
    pub(super) fn restart(&mut self, pauses: bool, outdated: &[u8]) {
        let mut former = core::mem::replace(&mut self.leader, Replica::new());
        if pauses && let Some(write) = former.outbox.pop_front() {
            self.paused = Some(write);
        }
        let mut services: Vec<_> = self.services.clone().into_iter().collect();
        if outdated.first().is_some_and(|first| first % 2 == 0) {
            services.reverse();
        }
        self.usage.clear();
        let said = self.said();
        let leader = &mut self.leader.controller;
        for (index, (key, service)) in services.into_iter().enumerate() {
            let is_outdated =
                outdated.get(index % outdated.len().max(1)).is_some_and(|number| number % 3 == 0);
            if let Some(old) = self.former.get(&key).filter(|_| is_outdated) {
                leader.handle_input(self.now, Input::Service(key.clone(), Some(old.clone())));
            }
            leader.handle_input(self.now, Input::Service(key.clone(), Some(service)));
            if let Some(old) = self.former.get(&key).filter(|_| is_outdated) {
                leader.handle_input(self.now, Input::Service(key, Some(old.clone())));
            }
        }
        for (object, value) in self.objects.clone() {
            leader.handle_input(self.now, Input::Config(object, Some(value)));
        }
        leader.handle_input(self.now, said);
        assert_eq!(drain(leader, self.now), [], "nothing before everything is listed");
        leader.handle_input(self.now, Input::Synced);
    }

    /// The former leader wakes up and sends what it has checked before.
    pub(super) fn wake(&mut self) {
        let Some(write) = self.paused.take() else { return };
        if self.accept(&write, write.version) {
            self.tainted.extend(&write.assignment.addresses);
        }
    }

    /// Everything comes to rest.
    pub(super) fn settle<E>(
        &mut self,
        mut look: impl FnMut(&mut Self) -> Result<Vec<Output>, E>,
    ) -> Result<(), E> {
        for round in 0..10_000_u16 {
            self.deliver(&[0; 100]);
            let outputs = look(self)?;
            let is_quiet =
                outputs.is_empty() && self.leader.outbox.is_empty() && self.leader.services.is_empty();
            if is_quiet && self.leader.written.is_empty() && self.leader.configs.is_empty() {
                self.excused.clear();
                self.tainted.clear();
                return Ok(());
            }
            // In any order, but the same each time.
            self.land(round.wrapping_mul(97).to_le_bytes()[0]);
        }
        panic!("the cluster does not come to rest");
    }
}

impl Replica {
    fn new() -> Self {
        Self {
            controller: controller(),
            services: VecDeque::new(),
            configs: VecDeque::new(),
            written: VecDeque::new(),
            outbox: VecDeque::new(),
            based: BTreeMap::new(),
        }
    }
}
