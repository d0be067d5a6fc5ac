//! What the controller knows of one Service.

use alloc::{boxed::Box, collections::VecDeque, format, string::String, vec::Vec};
use core::{fmt::Write as _, net::IpAddr};

use super::{Assignment, agenda::Age, agenda::Step, contest::Contest};
use crate::{
    name::{ObjectKey, PoolName},
    reason::Reason,
    selector::Labels,
    sharing::Sharing,
    view::{Condition, Scope, Service, Version},
};

/// What the controller knows of one Service.
#[derive(Debug)]
pub(super) struct Record {
    /// As it was seen last.
    pub(super) service: Service,
    /// The addresses that are claimed for it, in the order in which it shows them.
    pub(super) owns: Vec<Own>,
    /// How it shared when they were claimed.
    pub(super) sharing: Option<Sharing>,
    /// Addresses that it has given up but may still show: nobody else gets them before that is over.
    pub(super) leaving: Vec<IpAddr>,
    /// Why it does not have what it asks for, as it was said last.
    pub(super) reason: Option<Reason>,
    /// What it says of its announcement, as it was told last: the status and the reason.
    pub(super) announced: Option<(bool, String)>,
    /// How it came to have nothing, if it had something before.
    pub(super) lost: Option<Lost>,
    /// What is left of the pool that its addresses came from, once that is gone.
    pub(super) orphan: Option<Box<Orphan>>,
    /// It has waited for its namespace long enough.
    pub(super) is_impatient: bool,
    /// The quarrel with another manager about its status.
    pub(super) contest: Option<Box<Contest>>,
    /// What was asked to be written and has not been seen since.
    in_flight: VecDeque<Asked>,
    /// Everything that was asked for up to this number has been written, or never will be.
    confirmed: u64,
    /// What is in flight may have been refused, because the Service has another version now.
    is_doubtful: bool,
}

/// An address of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) address: IpAddr,
    /// The pool that it is or was in.
    pub(super) pool: PoolName,
    /// The Service had it before this controller knew the Service.
    pub(super) is_kept: bool,
}

/// What is left of a pool that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Orphan {
    pub(super) labels: Labels,
    pub(super) reassigns: bool,
}

/// How a Service lost its addresses.
#[derive(Clone, Debug)]
pub(super) enum Lost {
    /// This controller took them from it.
    Now(Reason),
    /// A controller before this one did, and said so.
    Before(Condition),
}

/// A write that was asked for.
#[derive(Debug)]
struct Asked {
    write: u64,
    target: Assignment,
}

/// What is new about a Service.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing that says anything about who writes it.
    Plain,
    /// Another manager has overwritten what was written.
    Overwritten,
}

impl Record {
    pub(super) fn new(service: Service) -> Self {
        let lost = service.condition.as_ref().filter(|said| {
            service.assigned.is_empty() && matches!(&*said.reason, "AddressConflict" | "SharingConflict")
        });
        Self {
            lost: lost.cloned().map(Lost::Before),
            announced: service.announced.clone().map(|told| (told.status, told.reason)),
            orphan: service.pool_labels.clone().map(|labels| Box::new(Orphan { labels, reassigns: false })),
            service,
            owns: Vec::new(),
            sharing: None,
            leaving: Vec::new(),
            reason: None,
            is_impatient: false,
            contest: None,
            in_flight: VecDeque::new(),
            confirmed: 0,
            is_doubtful: false,
        }
    }

    pub(super) fn age(&self, key: &ObjectKey) -> Age {
        (self.service.created, key.clone())
    }

    /// The addresses that are claimed for it.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        self.owns.iter().map(|own| own.address).collect()
    }

    /// What has to be done with it first.
    pub(super) fn next_step(&self) -> Step {
        // While a write is under way its status is behind what was decided.
        let has_unclaimed =
            self.owns.is_empty() && !self.service.assigned.is_empty() && self.in_flight.is_empty();
        if self.service.scope != Scope::Ours || has_unclaimed { Step::Adopt } else { Step::Serve }
    }

    /// Whether this is an older version of the Service than the one that is known.
    pub(super) fn is_outdated(&self, service: &Service) -> bool {
        self.service.created == service.created && (1..self.service.version).contains(&service.version)
    }

    /// Takes the Service as it is now.
    pub(super) fn observe(&mut self, service: Service) -> News {
        let (before, now) = (shown(&self.service), shown(&service));
        let mut news = News::Plain;
        if self.service.created != service.created {
            // Another Service of the same name: what was written to the former one does not count.
            self.in_flight.clear();
            self.lost = None;
            self.announced = None;
        } else if service.version == 0 && before == now {
            // Without versions whatever is under way is still to come.
        } else if let Some(landed) = self.in_flight.iter().position(|asked| asked.target == now) {
            let others = self.in_flight.iter().skip(landed).position(|asked| asked.target != now);
            self.in_flight.drain(..others.map_or(self.in_flight.len(), |others| landed + others));
        } else {
            // Somebody else has written the Service, and what was under way is refused because of that. It is
            // not a quarrel as long as our entry in the status stands.
            let expected = self.in_flight.iter().rfind(|asked| asked.write <= self.confirmed);
            let ours = expected.map_or(&before.addresses, |asked| &asked.target.addresses);
            if service.written_by.is_some() && now.addresses != *ours && !ours.is_empty() {
                news = News::Overwritten;
            }
            self.in_flight.clear();
        }
        if changes_wish(&self.service, &service) {
            self.lost = None;
        }
        self.is_doubtful =
            service.version != 0 && self.in_flight.back().is_some_and(|asked| asked.write > self.confirmed);
        self.service = service;
        news
    }

    /// The version that a write has to be based on.
    pub(super) const fn version(&self) -> Version {
        self.service.version
    }

    /// What it will show once all that was asked for is written.
    pub(super) fn expected(&self) -> Assignment {
        self.in_flight.back().map_or_else(|| shown(&self.service), |asked| asked.target.clone())
    }

    /// Takes the news that the write of this number has been made. What was asked for before has been overtaken.
    pub(super) fn confirm(&mut self, write: u64) {
        self.confirmed = self.confirmed.max(write);
        if self.in_flight.back().is_some_and(|asked| asked.write <= self.confirmed) {
            self.is_doubtful = false;
        }
        // A write that changes nothing is never seen.
        if let [only] = self.in_flight.make_contiguous()
            && only.write <= self.confirmed
            && only.target == shown(&self.service)
        {
            self.in_flight.clear();
        }
    }

    /// The addresses it has given up and does not show any more, nor will because of a write under way.
    pub(super) fn take_left(&mut self) -> Vec<IpAddr> {
        if self.leaving.is_empty() {
            return Vec::new();
        }
        let written = self.in_flight.iter().rfind(|asked| asked.write <= self.confirmed);
        let mut visible = written.map_or(&self.service.assigned, |asked| &asked.target.addresses).clone();
        let coming = self.in_flight.iter().filter(|asked| asked.write > self.confirmed);
        visible.extend(coming.flat_map(|asked| &asked.target.addresses));
        self.leaving.extract_if(.., |address| !visible.contains(address)).collect()
    }

    /// Remembers that `target` is being written; says whether it has to be.
    pub(super) fn ask(&mut self, target: &Assignment, write: u64) -> bool {
        let news = core::mem::take(&mut self.is_doubtful) || self.expected() != *target;
        if news {
            self.in_flight.push_back(Asked { write, target: target.clone() });
        }
        news
    }
}

/// What a Service shows.
pub(super) fn shown(service: &Service) -> Assignment {
    Assignment {
        addresses: service.assigned.clone(),
        pools: service.assigned_from.clone(),
        pool_labels: service.pool_labels.clone(),
        condition: service.condition.clone(),
        announced: service.announced.clone(),
    }
}

/// Whether a Service asks for something else than before.
fn changes_wish(before: &Service, now: &Service) -> bool {
    before.request != now.request
        || before.families != now.families
        || before.family_policy != now.family_policy
        || before.sharing != now.sharing
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

/// Addresses with the pools they come from, as people write them.
pub(super) fn placed(owns: &[Own]) -> String {
    match owns {
        [one, other] if one.pool == other.pool => {
            format!("{} and {} from pool {}", one.address, other.address, one.pool)
        }
        [one, other] => {
            format!("{} from pool {} and {} from pool {}", one.address, one.pool, other.address, other.pool)
        }
        owns => {
            let mut text = String::new();
            for own in owns {
                let _ = write!(text, "{} from pool {}", own.address, own.pool);
            }
            text
        }
    }
}
