//! What speakers have found out about addresses: what Services say of it, and which addresses nobody else gets.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec::Vec,
};
use core::{net::IpAddr, time::Duration};

use super::{
    Controller, Timer,
    record::{Own, Record},
};
use crate::{
    event::Severity,
    finding::Finding,
    ipam::Grant,
    name::{NodeName, ObjectKey},
    speaker::Reason,
    time::Instant,
    view::{Condition, Family, Network},
};

/// How long automatic allocation leaves an address alone after the last report that a stranger has it.
const WARY: Duration = Duration::from_secs(10 * 60);

/// What speakers have found out.
#[derive(Debug, Default)]
pub(super) struct Findings {
    by_service: BTreeMap<ObjectKey, BTreeSet<(NodeName, Finding)>>,
    /// How many speakers have said something of their nodes.
    speakers: usize,
    /// Addresses that strangers have or lately had, and how often that is reported now.
    contested: BTreeMap<IpAddr, usize>,
}

impl Findings {
    /// What was found about an address of a Service, by whom, as far as it counts. That it cannot be announced at one
    /// place says nothing while there are others; but where a stranger has it, somebody is about to announce it.
    fn of<'a>(
        &'a self,
        service: &ObjectKey,
        address: IpAddr,
    ) -> impl Iterator<Item = &'a (NodeName, Finding)> {
        let all = self.by_service.get(service).into_iter().flatten();
        let all = all.filter(move |(_, finding)| finding.address == address);
        let counts = move |finding: &Finding| {
            let says = |reason| all.clone().filter(move |(_, other)| other.reason == reason);
            let nodes = |reason| says(reason).map(|(node, _)| node).collect::<BTreeSet<_>>().len();
            finding.announced
                || finding.reason == Reason::AddressConflict
                || nodes(finding.reason) >= self.speakers
        };
        let service = self.by_service.get(service).into_iter().flatten();
        service.filter(move |(_, finding)| finding.address == address && counts(finding))
    }

    /// The worst of what was found about an address of a Service. Of the same that several have found it is that of
    /// the first node by name, so that it changes seldom.
    fn worst(&self, service: &ObjectKey, address: IpAddr) -> Option<&Finding> {
        let rank = |(node, finding): &&(NodeName, Finding)| {
            (finding.announced, rank(finding.reason), node.clone(), finding.clone())
        };
        self.of(service, address).min_by_key(rank).map(|(_, finding)| finding)
    }

    /// The addresses that strangers have or lately had.
    pub(super) fn contested(&self) -> impl Iterator<Item = IpAddr> {
        self.contested.keys().copied()
    }
}

/// The worst first.
const fn rank(reason: Reason) -> u8 {
    match reason {
        Reason::AddressConflict => 0,
        Reason::AddressOutsideSubnets => 2,
        _ => 1,
    }
}

impl Controller {
    /// Takes what a speaker has found out in place of what it said before; says whether other addresses than before
    /// are contested.
    pub(super) fn find_out(
        &mut self,
        now: Instant,
        before: Option<&Network>,
        after: Option<&Network>,
    ) -> bool {
        let said = |network: Option<&Network>| -> BTreeSet<(NodeName, Finding)> {
            let speaker = network.and_then(|network| network.speaker.clone());
            let findings = network.into_iter().flat_map(|network| &network.findings);
            speaker
                .into_iter()
                .flat_map(|speaker| findings.clone().map(move |finding| (speaker.clone(), finding.clone())))
                .collect()
        };
        let speaks = |network: Option<&Network>| network.is_some_and(|network| network.speaker.is_some());
        let mut touched = BTreeSet::new();
        if speaks(before) != speaks(after) {
            let count = if speaks(after) { self.findings.speakers + 1 } else { self.findings.speakers - 1 };
            self.findings.speakers = count;
            touched.extend(self.findings.by_service.keys().cloned());
        }
        let (before, after) = (said(before), said(after));
        let mut is_news = false;
        for (node, finding) in before.difference(&after) {
            touched.insert(finding.service.clone());
            if let Some(all) = self.findings.by_service.get_mut(&finding.service) {
                all.remove(&(node.clone(), finding.clone()));
                if all.is_empty() {
                    self.findings.by_service.remove(&finding.service);
                }
            }
        }
        for (node, finding) in after.difference(&before) {
            touched.insert(finding.service.clone());
            let all = self.findings.by_service.entry(finding.service.clone()).or_default();
            all.insert((node.clone(), finding.clone()));
        }
        let conflicts = |said: &BTreeSet<(NodeName, Finding)>| -> Vec<IpAddr> {
            let conflicts = said.iter().filter(|(_, finding)| finding.reason == Reason::AddressConflict);
            conflicts.map(|(_, finding)| finding.address).collect()
        };
        for address in conflicts(&after) {
            let count = self.findings.contested.entry(address).or_insert_with(|| {
                is_news = true;
                0
            });
            *count += 1;
            self.timers.stop(&Timer::Contested(address));
        }
        for address in conflicts(&before) {
            if let Some(count) = self.findings.contested.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    self.timers.set(Timer::Contested(address), now + WARY);
                }
            }
        }
        for service in touched {
            self.look_at(&service);
        }
        is_news
    }

    /// Nobody has reported an address for so long that it is as good as any other.
    pub(super) fn forget_contested(&mut self, address: IpAddr) {
        if self.findings.contested.get(&address) == Some(&0) {
            self.findings.contested.remove(&address);
            self.avoid();
        }
    }

    /// Whether a Service leaves an address as soon as it can have another one: a stranger has it, nobody has ever been
    /// told of it, and the Service does not insist on it.
    pub(super) fn gives_way(&self, key: &ObjectKey, record: &Record, own: &Own) -> bool {
        let replaceable = |finding: &Finding| {
            finding.reason == Reason::AddressConflict && finding.replaceable && !finding.announced
        };
        let found = self.findings.of(key, own.address).any(|(_, finding)| replaceable(finding));
        found && !insists(record, own.address)
    }

    /// Whether a Service would leave an address to a stranger, but cannot have another one.
    pub(super) fn is_squeezed(&self, key: &ObjectKey) -> bool {
        let record = self.services.get(key);
        record.is_some_and(|record| record.owns.iter().any(|own| self.gives_way(key, record, own)))
    }

    /// Tells of addresses that a Service leaves to strangers because of `grant`.
    pub(super) fn tell_moves(&mut self, key: &ObjectKey, grant: &Grant) {
        let Some(record) = self.services.get(key) else { return };
        let left = record.owns.iter().filter(|own| !grant.addresses.contains(&own.address));
        let told: Vec<_> = left
            .filter(|own| self.gives_way(key, record, own))
            .filter_map(|own| {
                let family = |address: &&IpAddr| Family::of(**address) == Family::of(own.address);
                let instead = grant.addresses.iter().find(family)?;
                let found = &self.findings.worst(key, own.address)?.message;
                Some(format!("{found}; the Service gets {instead} instead"))
            })
            .collect();
        for message in told {
            self.note(format!("{key}: {message}"));
            self.tell(key, Severity::Warning, Reason::AddressConflict.code(), message);
        }
    }

    /// The condition `Announced`, as far as there is something to say.
    pub(super) fn announced(&self, key: &ObjectKey, record: &Record) -> Option<Condition> {
        let found = record.owns.iter().filter_map(|own| self.findings.worst(key, own.address));
        let worst = found.clone().min_by_key(|finding| (finding.announced, rank(finding.reason)))?;
        let mut message = String::new();
        for finding in found {
            if message.contains(&finding.message) {
                continue;
            }
            let separator = if message.is_empty() { "" } else { "; " };
            message = format!("{message}{separator}{}", finding.message);
            if finding.reason == Reason::AddressConflict && !finding.announced {
                message.push_str(if insists(record, finding.address) {
                    "; the Service asks for this address and keeps it"
                } else if finding.replaceable {
                    "; no other address is free for the Service"
                } else {
                    "; it may have been announced before, so the Service keeps it"
                });
            }
        }
        Some(Condition { status: worst.announced, reason: worst.reason.code().into(), message })
    }

    /// Tells what is new about the condition `Announced`.
    pub(super) fn tell_announced(&mut self, key: &ObjectKey, condition: Option<&Condition>) {
        let Some(record) = self.services.get_mut(key) else { return };
        let now = condition.map(|condition| (condition.status, condition.reason.clone()));
        if record.announced == now {
            return;
        }
        record.announced = now;
        let Some(condition) = condition else { return };
        let Some(reason) = Reason::from_code(&condition.reason) else { return };
        let severity = match reason {
            Reason::AddressOutsideSubnets => Severity::Normal,
            _ => Severity::Warning,
        };
        let message = condition.message.clone();
        self.note(format!("{key}: {message}"));
        self.tell(key, severity, reason.code(), message);
    }
}

/// Whether a Service asks for its address of this family.
fn insists(record: &Record, address: IpAddr) -> bool {
    let request = record.service.request.as_ref();
    request.is_ok_and(|request| request.addresses.iter().any(|wanted| wanted.family() == Family::of(address)))
}
