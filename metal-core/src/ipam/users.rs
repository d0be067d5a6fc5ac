//! Who has which address, alone or together with others.

use alloc::{boxed::Box, sync::Arc, vec, vec::Vec};
use core::{mem, net::IpAddr};

use foldhash::fast::FixedState;
use hashbrown::hash_map::{Entry, HashMap};

use super::Conflict;
use crate::{
    name::ObjectKey,
    sharing::{Backend, Port, Sharing, SharingProblem},
};

/// The addresses in use, in no order.
#[derive(Clone, Debug, Default)]
pub(super) struct Users {
    by_address: HashMap<IpAddr, User, FixedState>,
}

/// Who has an address. Most have one alone, so that case is small.
#[derive(Clone, Debug)]
enum User {
    One { owner: ObjectKey, sharing: Option<Box<Sharing>> },
    Many(Box<Party>),
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
    pub(super) fn is_used(&self, address: IpAddr) -> bool {
        self.by_address.contains_key(&address)
    }

    /// Who has `address`, by name.
    pub(super) fn owners(&self, address: IpAddr) -> impl Iterator<Item = &ObjectKey> {
        let (one, many) = match self.by_address.get(&address) {
            Some(User::One { owner, .. }) => (Some(owner), None),
            Some(User::Many(party)) => (None, Some(party)),
            None => (None, None),
        };
        let many = many.into_iter().flat_map(|party| &party.members).map(|(owner, _)| owner);
        one.into_iter().chain(many)
    }

    /// Whether a Service of `namespace` has `address`.
    pub(super) fn has_namespace(&self, address: IpAddr, namespace: &str) -> bool {
        self.by_address.get(&address).is_some_and(|user| user.has_namespace(namespace))
    }

    /// What keeps `owner` from having `address` together with the others that have it.
    pub(super) fn conflict(
        &self,
        address: IpAddr,
        owner: &ObjectKey,
        sharing: Option<&Sharing>,
    ) -> Option<Conflict> {
        self.by_address.get(&address)?.conflict(owner, sharing)
    }

    /// The key by which `address` is shared, or could be.
    pub(super) fn key(&self, address: IpAddr) -> Option<&Arc<str>> {
        self.by_address.get(&address)?.key()
    }

    /// Lets `owner` have `address` as well; looks for others of its namespace only if that `counts`.
    pub(super) fn join(
        &mut self,
        address: IpAddr,
        owner: &ObjectKey,
        sharing: Option<&Sharing>,
        counts: bool,
    ) -> Result<Joined, Conflict> {
        match self.by_address.entry(address) {
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

    /// Takes `address` from `owner`, if it has it; looks for others of its namespace only if that `counts`.
    pub(super) fn leave(&mut self, address: IpAddr, owner: &ObjectKey, counts: bool) -> Option<Left> {
        let Entry::Occupied(mut entry) = self.by_address.entry(address) else { return None };
        match entry.get_mut() {
            User::One { owner: only, .. } if only == owner => {
                let former_key = entry.remove().key().cloned();
                Some(Left { is_last: true, is_last_of_namespace: true, former_key })
            }
            User::One { .. } => None,
            User::Many(party) => {
                if !party.remove(owner) {
                    return None;
                }
                if let [(last, ports)] = &*party.members {
                    let (key, backend, ports) = (party.key.clone(), party.backend.clone(), ports.clone());
                    let sharing = Some(Box::new(Sharing { key, backend, ports }));
                    *entry.get_mut() = User::One { owner: last.clone(), sharing };
                }
                let is_last_of_namespace = counts && !entry.get().has_namespace(&owner.namespace);
                Some(Left { is_last: false, is_last_of_namespace, former_key: None })
            }
        }
    }
}

impl User {
    fn one(owner: &ObjectKey, sharing: Option<&Sharing>) -> Self {
        Self::One { owner: owner.clone(), sharing: sharing.cloned().map(Box::new) }
    }

    fn key(&self) -> Option<&Arc<str>> {
        match self {
            Self::One { sharing, .. } => sharing.as_ref().map(|sharing| &sharing.key),
            Self::Many(party) => Some(&party.key),
        }
    }

    fn has_namespace(&self, namespace: &str) -> bool {
        match self {
            Self::One { owner, .. } => &*owner.namespace == namespace,
            Self::Many(party) => {
                let place = party.members.partition_point(|(owner, _)| &*owner.namespace < namespace);
                party.members.get(place).is_some_and(|(owner, _)| &*owner.namespace == namespace)
            }
        }
    }

    fn conflict(&self, newcomer: &ObjectKey, sharing: Option<&Sharing>) -> Option<Conflict> {
        let conflict = |by: &ObjectKey, problem| Some(Conflict { by: by.clone(), problem });
        match self {
            Self::One { owner, .. } if owner == newcomer => None,
            Self::One { owner, sharing: other } => match (sharing, other) {
                (Some(sharing), Some(other)) => {
                    sharing.conflict(other).and_then(|problem| conflict(owner, problem))
                }
                _ => conflict(owner, SharingProblem::NotShared),
            },
            Self::Many(party) => {
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

    fn join(&mut self, newcomer: &ObjectKey, sharing: Option<&Sharing>) {
        match (&mut *self, sharing) {
            (Self::One { owner, .. }, _) if owner == newcomer => *self = Self::one(newcomer, sharing),
            (Self::One { owner, sharing: Some(other) }, Some(sharing)) => {
                let mut party = Party {
                    key: other.key.clone(),
                    backend: other.backend.clone(),
                    members: vec![],
                    ports: vec![],
                };
                party.insert(owner, &other.ports);
                party.insert(newcomer, &sharing.ports);
                *self = Self::Many(Box::new(party));
            }
            (Self::Many(party), Some(sharing)) => party.insert(newcomer, &sharing.ports),
            // Excluded by `conflict`.
            (Self::One { .. } | Self::Many(_), None) | (Self::One { sharing: None, .. }, Some(_)) => {
                debug_assert!(false, "{newcomer} cannot share");
            }
        }
    }
}

impl Party {
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
