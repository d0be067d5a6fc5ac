//! Who has which address, alone or together with others.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{
    hash::Hash,
    mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use foldhash::fast::FixedState;
use hashbrown::hash_map::{Entry, HashMap};

use super::Conflict;
use crate::{
    name::ObjectKey,
    sharing::{Backend, Port, Sharing, SharingProblem},
};

/// The addresses in use, in no order. Two maps, so that IPv4 addresses take no more room than they need.
#[derive(Clone, Debug, Default)]
pub(super) struct Users {
    v4: HashMap<Ipv4Addr, User, FixedState>,
    v6: HashMap<Ipv6Addr, User, FixedState>,
}

/// Who has an address. Most Services do not share, so that case is small.
#[derive(Clone, Debug)]
enum User {
    Alone(ObjectKey),
    Shared(Box<Shared>),
}

/// Who has an address that can be shared.
#[derive(Clone, Debug)]
enum Shared {
    One(ObjectKey, Sharing),
    Many(Party),
}

/// Services that share an address.
#[derive(Clone, Debug)]
struct Party {
    key: Arc<str>,
    backend: Backend,
    /// At least two, sorted.
    members: Vec<(ObjectKey, Arc<[Port]>)>,
    /// Whose each port is, sorted.
    ports: Vec<(Port, ObjectKey)>,
}

/// What it means that a Service has come to an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Joined {
    /// Nobody had it before.
    pub(super) is_first: bool,
    /// Nobody of its namespace had it before, if that was asked.
    pub(super) is_first_of_namespace: bool,
    /// The key by which it could be shared before.
    pub(super) former_key: Option<Arc<str>>,
}

/// What it means that a Service has left an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// Nobody has it now.
    pub(super) is_last: bool,
    /// Nobody of its namespace has it now, if that was asked.
    pub(super) is_last_of_namespace: bool,
    /// The key by which it could be shared, when nobody has it now.
    pub(super) former_key: Option<Arc<str>>,
}

impl Users {
    fn get(&self, address: IpAddr) -> Option<&User> {
        match address {
            IpAddr::V4(address) => self.v4.get(&address),
            IpAddr::V6(address) => self.v6.get(&address),
        }
    }

    pub(super) fn is_used(&self, address: IpAddr) -> bool {
        self.get(address).is_some()
    }

    /// Who has `address`, by name.
    pub(super) fn owners(&self, address: IpAddr) -> impl Iterator<Item = &ObjectKey> {
        let (one, many) = match self.get(address) {
            Some(User::Alone(owner)) => (Some(owner), None),
            Some(User::Shared(shared)) => match &**shared {
                Shared::One(owner, _) => (Some(owner), None),
                Shared::Many(party) => (None, Some(party)),
            },
            None => (None, None),
        };
        let many = many.into_iter().flat_map(|party| &party.members).map(|(owner, _)| owner);
        one.into_iter().chain(many)
    }

    /// Whether a Service of `namespace` has `address`.
    pub(super) fn has_namespace(&self, address: IpAddr, namespace: &str) -> bool {
        self.get(address).is_some_and(|user| user.has_namespace(namespace))
    }

    /// What keeps `owner` from having `address` together with the others that have it.
    pub(super) fn conflict(
        &self,
        address: IpAddr,
        owner: &ObjectKey,
        sharing: Option<&Sharing>,
    ) -> Option<Conflict> {
        self.get(address)?.conflict(owner, sharing)
    }

    /// The key by which `address` is shared, or could be.
    pub(super) fn key(&self, address: IpAddr) -> Option<&Arc<str>> {
        self.get(address)?.key()
    }

    /// Lets `owner` have `address` as well; looks for others of its namespace only if that `counts`.
    pub(super) fn join(
        &mut self,
        address: IpAddr,
        owner: &ObjectKey,
        sharing: Option<&Sharing>,
        counts: bool,
    ) -> Result<Joined, Conflict> {
        match address {
            IpAddr::V4(address) => join(self.v4.entry(address), owner, sharing, counts),
            IpAddr::V6(address) => join(self.v6.entry(address), owner, sharing, counts),
        }
    }

    /// Takes `address` from `owner`, if it has it; looks for others of its namespace only if that `counts`.
    pub(super) fn leave(&mut self, address: IpAddr, owner: &ObjectKey, counts: bool) -> Option<Left> {
        match address {
            IpAddr::V4(address) => leave(self.v4.entry(address), owner, counts),
            IpAddr::V6(address) => leave(self.v6.entry(address), owner, counts),
        }
    }
}

fn join<K: Hash>(
    entry: Entry<'_, K, User, FixedState>,
    owner: &ObjectKey,
    sharing: Option<&Sharing>,
    counts: bool,
) -> Result<Joined, Conflict> {
    match entry {
        Entry::Vacant(entry) => {
            entry.insert(User::one(owner, sharing));
            Ok(Joined { is_first: true, is_first_of_namespace: true, former_key: None })
        }
        Entry::Occupied(mut entry) => {
            let user = entry.get_mut();
            if let Some(conflict) = user.conflict(owner, sharing) {
                return Err(conflict);
            }
            let is_first_of_namespace = counts && !user.has_namespace(&owner.namespace);
            let former_key = user.key().cloned();
            user.join(owner, sharing);
            Ok(Joined { is_first: false, is_first_of_namespace, former_key })
        }
    }
}

fn leave<K: Hash>(entry: Entry<'_, K, User, FixedState>, owner: &ObjectKey, counts: bool) -> Option<Left> {
    let Entry::Occupied(mut entry) = entry else { return None };
    if entry.get().is_only(owner) {
        let former_key = entry.remove().key().cloned();
        return Some(Left { is_last: true, is_last_of_namespace: true, former_key });
    }
    let User::Shared(shared) = entry.get_mut() else { return None };
    let Shared::Many(party) = &mut **shared else { return None };
    if !party.remove(owner) {
        return None;
    }
    if let [(last, ports)] = &*party.members {
        let (key, backend, ports) = (party.key.clone(), party.backend.clone(), ports.clone());
        **shared = Shared::One(last.clone(), Sharing { key, backend, ports });
    }
    let is_last_of_namespace = counts && !entry.get().has_namespace(&owner.namespace);
    Some(Left { is_last: false, is_last_of_namespace, former_key: None })
}

impl User {
    fn one(owner: &ObjectKey, sharing: Option<&Sharing>) -> Self {
        match sharing {
            None => Self::Alone(owner.clone()),
            Some(sharing) => Self::Shared(Box::new(Shared::One(owner.clone(), sharing.clone()))),
        }
    }

    fn is_only(&self, owner: &ObjectKey) -> bool {
        match self {
            Self::Alone(only) => only == owner,
            Self::Shared(shared) => matches!(&**shared, Shared::One(only, _) if only == owner),
        }
    }

    fn key(&self) -> Option<&Arc<str>> {
        let Self::Shared(shared) = self else { return None };
        Some(match &**shared {
            Shared::One(_, sharing) => &sharing.key,
            Shared::Many(party) => &party.key,
        })
    }

    fn has_namespace(&self, namespace: &str) -> bool {
        let one = match self {
            Self::Alone(owner) => owner,
            Self::Shared(shared) => match &**shared {
                Shared::One(owner, _) => owner,
                Shared::Many(party) => return party.has_namespace(namespace),
            },
        };
        &*one.namespace == namespace
    }

    fn conflict(&self, newcomer: &ObjectKey, sharing: Option<&Sharing>) -> Option<Conflict> {
        let conflict = |by: &ObjectKey, problem| Some(Conflict { by: by.clone(), problem });
        if self.is_only(newcomer) {
            return None;
        }
        let shared = match self {
            Self::Alone(owner) => return conflict(owner, SharingProblem::NotShared),
            Self::Shared(shared) => &**shared,
        };
        match (shared, sharing) {
            (Shared::One(owner, _), None) => conflict(owner, SharingProblem::NotShared),
            (Shared::One(owner, other), Some(sharing)) => {
                sharing.conflict(other).and_then(|problem| conflict(owner, problem))
            }
            (Shared::Many(party), sharing) => {
                let (first, _) = party.members.iter().find(|(member, _)| member != newcomer)?;
                let Some(sharing) = sharing else { return conflict(first, SharingProblem::NotShared) };
                if let Some(problem) = sharing.mismatch(&party.key, &party.backend) {
                    return conflict(first, problem);
                }
                sharing.ports.iter().find_map(|port| {
                    let holder = party.holder(*port).filter(|holder| *holder != newcomer)?;
                    conflict(holder, SharingProblem::Port(*port))
                })
            }
        }
    }

    /// Adds `newcomer`, which conflicts with nobody.
    fn join(&mut self, newcomer: &ObjectKey, sharing: Option<&Sharing>) {
        if self.is_only(newcomer) {
            *self = Self::one(newcomer, sharing);
            return;
        }
        let (Self::Shared(shared), Some(sharing)) = (self, sharing) else {
            debug_assert!(false, "{newcomer} cannot share");
            return;
        };
        match &mut **shared {
            Shared::One(owner, other) => {
                let mut party = Party {
                    key: other.key.clone(),
                    backend: other.backend.clone(),
                    members: Vec::new(),
                    ports: Vec::new(),
                };
                party.insert(owner, &other.ports);
                party.insert(newcomer, &sharing.ports);
                **shared = Shared::Many(party);
            }
            Shared::Many(party) => party.insert(newcomer, &sharing.ports),
        }
    }
}

impl Party {
    fn has_namespace(&self, namespace: &str) -> bool {
        let place = self.members.partition_point(|(owner, _)| &*owner.namespace < namespace);
        self.members.get(place).is_some_and(|(owner, _)| &*owner.namespace == namespace)
    }

    fn holder(&self, port: Port) -> Option<&ObjectKey> {
        let place = self.ports.binary_search_by_key(&port, |(port, _)| *port).ok()?;
        Some(&self.ports[place].1)
    }

    /// Adds a member, or changes its ports; nobody else has them.
    fn insert(&mut self, owner: &ObjectKey, ports: &Arc<[Port]>) {
        match self.members.binary_search_by(|(member, _)| member.cmp(owner)) {
            Ok(place) => {
                let former = mem::replace(&mut self.members[place].1, ports.clone());
                self.free(&former);
            }
            Err(place) => self.members.insert(place, (owner.clone(), ports.clone())),
        }
        for port in ports.iter() {
            if let Err(place) = self.ports.binary_search_by_key(port, |(port, _)| *port) {
                self.ports.insert(place, (*port, owner.clone()));
            }
        }
    }

    fn remove(&mut self, owner: &ObjectKey) -> bool {
        let Ok(place) = self.members.binary_search_by(|(member, _)| member.cmp(owner)) else { return false };
        let (_, ports) = self.members.remove(place);
        self.free(&ports);
        true
    }

    fn free(&mut self, ports: &[Port]) {
        for port in ports {
            if let Ok(place) = self.ports.binary_search_by_key(port, |(port, _)| *port) {
                self.ports.remove(place);
            }
        }
    }
}
