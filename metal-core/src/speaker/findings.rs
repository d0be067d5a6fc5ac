//! What is odd about addresses here: kept by address, told as one list.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    vec::Vec,
};
use core::{net::IpAddr, time::Duration};

use ipnet::IpNet;

use super::{Found, Output, Reason, Speaker, conflict::Shown};
use crate::{
    event::{Event, Severity},
    finding::Finding,
    time::Instant,
    view::{Family, LinkIndex},
};

/// As many findings as one speaker tells.
pub const MAX_FINDINGS: usize = 256;

/// The time between two lists: whoever forges frames must not keep us busy with lists.
const PAUSE: Duration = Duration::from_millis(100);

/// The link of what is about all links.
const ANY: LinkIndex = 0;

/// How bad it is (the worst first), the address, and the link.
type Key = (u8, IpAddr, LinkIndex);

/// Something odd about an address.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Oddity {
    reason: Reason,
    announced: bool,
    replaceable: bool,
    message: alloc::string::String,
    /// The device that has the address, where the host itself answers.
    device: Option<LinkIndex>,
}

/// All that is odd now, and what was told of it.
#[derive(Debug, Default)]
pub(super) struct Findings {
    odd: BTreeMap<Key, (Instant, Oddity)>,
    keys: BTreeMap<IpAddr, Vec<Key>>,
    /// On how many addresses the host itself answers, by the device that has them and the link it answers on.
    traps: BTreeMap<(LinkIndex, LinkIndex), usize>,
    told: Vec<Found>,
    told_at: Option<Instant>,
    due: Option<Instant>,
}

impl Findings {
    /// When the list is to be told.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// How many there are, by reason.
    pub(super) fn count(&self) -> BTreeMap<Reason, usize> {
        let mut counts = BTreeMap::new();
        for (_, oddity) in self.odd.values() {
            *counts.entry(oddity.reason).or_default() += 1;
        }
        counts
    }

    /// What is odd about an address now; answers the traps that are the first of their kind.
    fn set(&mut self, now: Instant, address: IpAddr, odd: BTreeMap<Key, Oddity>) -> Vec<Oddity> {
        let before = self.keys.remove(&address).unwrap_or_default();
        if before.is_empty() && odd.is_empty() {
            return Vec::new();
        }
        let mut kept = BTreeMap::new();
        for key in before {
            if let Some((since, oddity)) = self.odd.remove(&key) {
                if let Some(trap) = oddity.device.map(|device| (device, key.2))
                    && let Some(count) = self.traps.get_mut(&trap)
                {
                    *count -= 1;
                }
                kept.insert(key, since);
            }
        }
        let mut first = Vec::new();
        if !odd.is_empty() {
            self.keys.insert(address, odd.keys().copied().collect());
        }
        for (key, oddity) in odd {
            if let Some(trap) = oddity.device.map(|device| (device, key.2)) {
                let count = self.traps.entry(trap).or_insert_with(|| {
                    first.push(oddity.clone());
                    0
                });
                *count += 1;
            }
            self.odd.insert(key, (kept.get(&key).copied().unwrap_or(now), oddity));
        }
        self.traps.retain(|_, count| *count > 0);
        let pause = self.told_at.map_or(now, |told| told + PAUSE);
        self.due.get_or_insert(pause.max(now));
        first
    }
}

impl Speaker {
    /// Looks at what is odd about an address.
    pub(super) fn review(&mut self, now: Instant, address: IpAddr) {
        let odd = self.oddities(address);
        for trap in self.findings.set(now, address, odd) {
            self.note(trap.message.clone());
            let event =
                Event { severity: Severity::Warning, reason: trap.reason.code(), message: trap.message };
            self.reports.push_back(Output::NodeEvent(event));
        }
    }

    /// Tells what is odd, if that is something else than before.
    pub(super) fn tell_findings(&mut self, now: Instant) {
        self.findings.due = None;
        let interface = |link| self.nics.get(&link).map(|nic| nic.link.name.clone()).unwrap_or_default();
        let found = self.findings.odd.iter().flat_map(|((_, address, link), (since, oddity))| {
            let services = self.addresses.get(address).into_iter().flat_map(|carried| &carried.services);
            services.map(move |service| {
                let Oddity { reason, announced, replaceable, ref message, .. } = *oddity;
                let finding = Finding {
                    service: service.clone(),
                    address: *address,
                    interface: interface(*link),
                    reason,
                    announced,
                    replaceable,
                    message: message.clone(),
                };
                Found { since: *since, finding }
            })
        });
        let found: Vec<_> = found.take(MAX_FINDINGS).collect();
        if found != self.findings.told {
            self.findings.told.clone_from(&found);
            self.findings.told_at = Some(now);
            self.reports.push_back(Output::Findings(found));
        }
    }

    /// Who is gone finds nothing any more.
    pub(super) fn end_findings(&mut self) {
        self.findings.due = None;
        if !core::mem::take(&mut self.findings.told).is_empty() {
            self.reports.push_back(Output::Findings(Vec::new()));
        }
    }

    fn oddities(&self, address: IpAddr) -> BTreeMap<Key, Oddity> {
        let mut odd = BTreeMap::new();
        let carried = self.addresses.get(&address).filter(|carried| !carried.services.is_empty());
        let Some(carried) = carried.filter(|_| self.synced) else { return odd };
        let mut add = |link, oddity: Oddity| {
            odd.insert((rank(oddity.reason), address, link), oddity);
        };
        let plain =
            |reason, message| Oddity { reason, announced: true, replaceable: false, message, device: None };
        let node = &self.setup.node;
        let is_served = matches!(carried.reason, None | Some(Reason::AllNodesExcluded));
        for (link, nic) in self.nics.iter().filter(|(_, nic)| nic.active) {
            let name = &nic.link.name;
            if let Some(stranger) = self.strangers.get(&(*link, address)) {
                let mac = Shown(stranger.mac);
                let message = if stranger.announced {
                    format!(
                        "{mac}, which is no node of this cluster, has the address {address} as well, seen on {name} of \
                         node {node}: that node defends it; look for the host that has the address configured"
                    )
                } else {
                    format!(
                        "{mac}, which is no node of this cluster, has the address {address}, seen on {name} of node \
                         {node}: the address is not announced there while that is so"
                    )
                };
                let (announced, replaceable) = (stranger.announced, stranger.replaceable);
                add(*link, Oddity { announced, replaceable, ..plain(Reason::AddressConflict, message) });
            }
            if let Some(trap) = self.traps.find(*link, address).filter(|_| is_served) {
                let device = self.nics.get(&trap.device).map_or("", |nic| &nic.link.name);
                let message = trap.explain(node, name, device, address);
                add(*link, Oddity { device: Some(trap.device), ..plain(Reason::HostAnswers, message) });
            }
        }
        for link in self.nics.keys().filter(|link| self.ownership.owns((**link, address))) {
            if let Some(about) = self.disagreement((*link, address)) {
                let reason = Reason::AdvertisementsDisagree;
                add(*link, plain(reason, format!("{reason} on {about}")));
            }
        }
        if let Some(reason @ Reason::InterfaceMissing) = carried.reason {
            let message = format!("{reason} ({})", self.named_interfaces(address));
            add(ANY, Oddity { announced: false, ..plain(reason, message) });
        }
        if self.is_outside_subnets(address) {
            let reason = Reason::AddressOutsideSubnets;
            add(ANY, plain(reason, format!("{address}: {reason}")));
        }
        odd
    }

    /// Whether we serve an address that lies in no subnet of our links, as far as anybody there has one.
    fn is_outside_subnets(&self, address: IpAddr) -> bool {
        let active: BTreeSet<LinkIndex> =
            self.nics.iter().filter(|(_, nic)| nic.active).map(|(link, _)| *link).collect();
        if !active.iter().any(|link| self.ownership.owns((*link, address))) {
            return false;
        }
        let ours = active.iter().filter_map(|link| self.nics.get(link)).flat_map(|nic| &nic.link.prefixes);
        let peers = active.iter().flat_map(|link| self.membership.peers(*link));
        let theirs = peers.flat_map(|(_, peer)| &peer.prefixes);
        let mut is_known = false;
        for prefix in ours.chain(theirs).filter(|prefix| is_subnet(prefix)) {
            if prefix.contains(&address) {
                return false;
            }
            is_known |= Family::of(prefix.addr()) == Family::of(address);
        }
        is_known
    }
}

/// Whether a prefix says in which subnet a host is.
fn is_subnet(prefix: &IpNet) -> bool {
    let is_link_local = match prefix {
        IpNet::V4(prefix) => prefix.addr().is_link_local(),
        IpNet::V6(prefix) => prefix.addr().is_unicast_link_local(),
    };
    !is_link_local && prefix.prefix_len() < prefix.max_prefix_len()
}

/// The order in which findings are told.
const fn rank(reason: Reason) -> u8 {
    match reason {
        Reason::AddressConflict => 0,
        Reason::InterfaceMissing => 1,
        Reason::HostAnswers => 2,
        Reason::AddressOutsideSubnets => 4,
        Reason::AdvertisementsDisagree => 5,
        _ => 3,
    }
}
