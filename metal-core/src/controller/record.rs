//! What the controller knows of one Service.

use alloc::{collections::VecDeque, string::String, vec::Vec};
use core::{fmt::Write as _, net::IpAddr};

use super::agenda::{Age, Step};
use crate::{
    name::{ObjectKey, PoolName},
    reason::Reason,
    view::{Scope, Service},
};

/// What the controller knows of one Service.
#[derive(Debug)]
pub(super) struct Record {
    /// As it was seen last.
    pub(super) service: Service,
    /// The addresses that are claimed for it, in the order in which it shows them.
    pub(super) held: Vec<IpAddr>,
    /// The pool they came from.
    pub(super) pool: Option<PoolName>,
    /// Addresses that it has given up but may still show: nobody else gets them before that is over.
    pub(super) leaving: Vec<IpAddr>,
    /// Why it does not have what it asks for, as it was said last.
    pub(super) reason: Option<Reason>,
    /// Whether it was said that an address lies outside every pool.
    pub(super) is_outside: bool,
    /// What was asked to be written and has not been seen since.
    in_flight: VecDeque<Shown>,
    /// What was asked to be written and has not been confirmed since.
    unconfirmed: VecDeque<u64>,
}

/// What a Service shows: its addresses, and the pool they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) pool: Option<PoolName>,
}

impl Record {
    pub(super) const fn new(service: Service) -> Self {
        Self {
            service,
            held: Vec::new(),
            leaving: Vec::new(),
            pool: None,
            reason: None,
            is_outside: false,
            in_flight: VecDeque::new(),
            unconfirmed: VecDeque::new(),
        }
    }

    pub(super) fn age(&self, key: &ObjectKey) -> Age {
        (self.service.created, key.clone())
    }

    /// What has to be done with it first.
    pub(super) fn next_step(&self) -> Step {
        // While a write is under way its status is behind what was decided.
        let has_unclaimed =
            self.held.is_empty() && !self.service.assigned.is_empty() && self.in_flight.is_empty();
        if self.service.scope != Scope::Ours || has_unclaimed { Step::Adopt } else { Step::Serve }
    }

    /// Takes the Service as it is now.
    pub(super) fn observe(&mut self, service: Service) {
        let (before, now) = (shown(&self.service), shown(&service));
        if self.service.created != service.created {
            // Another Service of the same name: what was written to the former one does not count.
            self.in_flight.clear();
            self.unconfirmed.clear();
        } else if before == now {
            // Whatever is under way has not arrived.
        } else if let Some(landed) = self.in_flight.iter().position(|write| *write == now) {
            self.in_flight.drain(..=landed);
        } else {
            // Somebody else has written.
            self.in_flight.clear();
        }
        self.service = service;
    }

    /// What it will show once all that was asked for is written.
    pub(super) fn expected(&self) -> Shown {
        self.in_flight.back().cloned().unwrap_or_else(|| shown(&self.service))
    }

    /// Takes the news that the write of this number has been made. What was asked for before has been overtaken.
    pub(super) fn confirm(&mut self, write: u64) {
        while self.unconfirmed.pop_front_if(|asked| *asked <= write).is_some() {}
    }

    /// The addresses it has given up and does not show any more, nor will because of a write under way.
    pub(super) fn take_left(&mut self) -> Vec<IpAddr> {
        let shown = match self.in_flight.back() {
            None => &self.service.assigned,
            Some(write) if self.unconfirmed.is_empty() => &write.addresses,
            Some(_) => return Vec::new(),
        };
        self.leaving.extract_if(.., |address| !shown.contains(address)).collect()
    }

    /// Remembers that `target` is being written; says whether it has to be.
    pub(super) fn ask(&mut self, target: &Shown, write: u64) -> bool {
        let news = self.expected() != *target;
        if news {
            self.in_flight.push_back(target.clone());
            self.unconfirmed.push_back(write);
        }
        news
    }
}

fn shown(service: &Service) -> Shown {
    Shown { addresses: service.assigned.clone(), pool: service.assigned_from.first().cloned() }
}

/// Addresses as people write them.
pub(super) fn listed(addresses: &[IpAddr]) -> String {
    let mut text = String::new();
    for (index, address) in addresses.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        let _ = write!(text, "{separator}{address}");
    }
    text
}
