//! What a Service shows, and the writes that make it so.

use alloc::{format, string::String, vec::Vec};
use core::net::IpAddr;

use super::{
    Assignment, Controller, Output, Timer,
    contest::Contest,
    record::{Lost, Record, placed},
};
use crate::{
    event::{Event, Severity},
    name::{ObjectKey, PoolName},
    reason::Reason,
    time::Instant,
    view::Condition,
};

/// The reason of the condition when nothing is missing.
const ASSIGNED: &str = "Assigned";

impl Controller {
    /// Lets a Service show what it has, if it does not and will not by itself.
    pub(super) fn show(&mut self, now: Instant, key: &ObjectKey) {
        let Some(record) = self.services.get(key) else { return };
        let target = self.target(key, record);
        self.tell_announced(key, target.announced.as_ref());
        self.write(now, key, target);
    }

    /// Lets a Service show nothing of ours.
    pub(super) fn clear(&mut self, now: Instant, key: &ObjectKey) {
        self.write(now, key, Assignment::default());
    }

    fn write(&mut self, now: Instant, key: &ObjectKey, target: Assignment) {
        let Some(record) = self.services.get_mut(key) else { return };
        if record.contest.as_ref().is_some_and(|contest| contest.is_paused()) {
            return;
        }
        if !record.ask(&target, self.write + 1) {
            return;
        }
        self.write += 1;
        let version = record.version();
        if let Some(contest) = &mut record.contest {
            contest.wrote(now);
            self.timers.set(Timer::Contest(key.clone()), contest.deadline());
        }
        self.outputs.push_back(Output::Assign {
            service: key.clone(),
            write: self.write,
            version,
            assignment: target,
        });
    }

    /// What a Service of ours should show.
    fn target(&self, key: &ObjectKey, record: &Record) -> Assignment {
        let addresses = record.addresses();
        let mut pools: Vec<PoolName> = record.owns.iter().map(|own| own.pool.clone()).collect();
        if let [one, other] = &*pools
            && one == other
        {
            pools.truncate(1);
        }
        let is_gone = pools.iter().any(|pool| self.ipam.pool(pool).is_none());
        let labels = record.orphan.as_ref().filter(|_| is_gone).map(|orphan| orphan.labels.clone());
        let pool_labels = labels.filter(|labels| !labels.is_empty());
        let announced = self.announced(key, record);
        Assignment { addresses, pools, pool_labels, condition: self.condition(record), announced }
    }

    fn condition(&self, record: &Record) -> Option<Condition> {
        let contested = record.contest.as_ref().and_then(|contest| contest.reason());
        let reason = contested.or_else(|| record.reason.clone());
        let status = !record.owns.is_empty();
        Some(match (reason, status) {
            (None, true) => Condition { status, reason: ASSIGNED.into(), message: placed(&record.owns) },
            (None, false) => return None,
            (Some(reason), true) => {
                Condition { status, reason: reason.code().into(), message: explained(&reason, record) }
            }
            (Some(reason), false) => match record.lost.as_ref().filter(|_| is_lack(&reason)) {
                Some(Lost::Before(said)) => said.clone(),
                Some(Lost::Now(lost)) => {
                    Condition { status, reason: lost.code().into(), message: format!("{lost}") }
                }
                None => Condition { status, reason: reason.code().into(), message: format!("{reason}") },
            },
        })
    }

    /// Whether a Service says so already, as after a restart.
    pub(super) fn says_so(&self, key: &ObjectKey) -> bool {
        let record = self.services.get(key);
        record.is_some_and(|record| {
            record.service.condition.is_some() && self.condition(record) == record.service.condition
        })
    }

    /// Another manager has overwritten what we wrote.
    pub(super) fn contest(&mut self, now: Instant, key: &ObjectKey) {
        let Some(record) = self.services.get_mut(key) else { return };
        let Some(manager) = record.service.written_by.clone() else { return };
        let contest = record.contest.get_or_insert_with(|| Contest::new(now, manager.clone()).into());
        if contest.is_over(now) {
            **contest = Contest::new(now, manager.clone());
        }
        let stops = contest.overwritten(now, manager);
        let reason = contest.reason();
        self.timers.set(Timer::Contest(key.clone()), contest.deadline());
        if let Some(reason) = reason.filter(|_| stops) {
            self.note(format!("{key} is left alone for a while: {reason}"));
            self.tell(key, Severity::Warning, reason.code(), format!("{reason}"));
        }
    }

    /// The pause of a quarrel is over, or the quarrel.
    pub(super) fn contest_timer(&mut self, now: Instant, key: &ObjectKey) {
        let Some(record) = self.services.get_mut(key) else { return };
        let Some(contest) = &mut record.contest else { return };
        contest.resume(now);
        if contest.is_over(now) {
            record.contest = None;
        } else {
            self.timers.set(Timer::Contest(key.clone()), contest.deadline());
        }
        self.look_at(key);
    }

    pub(super) fn tell(
        &mut self,
        key: &ObjectKey,
        severity: Severity,
        reason: &'static str,
        message: String,
    ) {
        let event = Event { severity, reason, message };
        self.outputs.push_back(Output::Event { service: key.clone(), event });
    }

    pub(super) fn note(&mut self, note: String) {
        self.outputs.push_back(Output::Note(note));
    }
}

/// The reason why a Service does not have all it asks for, with what it has.
pub(super) fn explained(reason: &Reason, record: &Record) -> String {
    match reason {
        Reason::AddressOutsidePool { .. } => format!("{reason}"),
        reason => format!("{reason}; the Service has {}", placed(&record.owns)),
    }
}

/// Whether a reason only says that there is nothing for a Service that has lost what it had.
pub(super) const fn is_lack(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::PoolExhausted(_)
            | Reason::NoMatchingPool(_)
            | Reason::FamilyUnavailable(_)
            | Reason::QuotaExceeded { .. }
            | Reason::AddressInUse { .. }
            | Reason::AddressReserved { .. }
            | Reason::SharingConflict { .. }
    )
}

/// Whether one of the addresses is not among the others.
pub(super) fn has_new(addresses: &[IpAddr], before: &[IpAddr]) -> bool {
    addresses.iter().any(|address| !before.contains(address))
}
