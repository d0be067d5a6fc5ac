//! What is known about another speaker's link.

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};
use core::{net::IpAddr, ops::Bound, time::Duration};

use ipnet::IpNet;

use super::beacon::{Beacon, Claim, Flags, Header, Heard, Nonce, Page, Salt, member_hash};
use crate::{name::NodeName, time::Instant, view::Mac};

/// One link of one incarnation of a speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId {
    /// The incarnation.
    pub salt: Salt,
    /// The number of its link on its own host.
    pub ifindex: u32,
}

/// Another speaker, as heard on one of our links.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The node it runs on.
    pub node: NodeName,
    /// Names its incarnation in beacons.
    pub hash: u32,
    /// The name of its interface.
    pub interface: Arc<str>,
    /// The prefixes of its addresses on that interface.
    pub prefixes: Vec<IpNet>,
    /// What it is about.
    pub flags: Flags,
    /// How willing its node is to serve; lower is better.
    pub tier: u8,
    /// Whether it hears us here: only then it can be told anything.
    pub hears_us: bool,
    /// It has heard nobody here for a detection time: it sends, but cannot serve.
    pub deaf: bool,

    /// It has echoed a nonce of ours: it is no recording.
    pub(super) trusted: bool,
    pub(super) mac: Mac,
    pub(super) highest: u64,
    pub(super) nonce: Nonce,
    pub(super) heard: Heard,
    /// Since when it hears nobody, or somebody again.
    heard_since: Instant,
    pub(super) interval: Duration,
    pub(super) multiplier: u8,
    /// When its last sign of life came, and its last beacon.
    pub(super) heard_at: Instant,
    pub(super) beacon_at: Instant,
    /// Silent until then, it is gone.
    pub(super) deadline: Instant,
    /// It is late, and asked whether it is still there.
    pub(super) suspected: bool,
    /// Whom it suspects itself.
    suspects: Vec<u32>,
    /// When it was last answered in person.
    pub(super) answered: Option<Instant>,
    /// How many probes went out since it was last heard, and the number of the first.
    pub(super) probes: u8,
    pub(super) first_probe: u64,
    claims: BTreeMap<IpAddr, Claim>,
    known_digest: u64,
    claims_total: u32,
    claims_digest: u64,
}

/// What a beacon changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Something that matters for who is in line.
    pub facts: bool,
    /// Claims on these addresses.
    pub claims: Vec<IpAddr>,
}

impl Peer {
    pub(super) fn new(now: Instant, header: &Header<'_>, mac: Mac) -> Self {
        Self {
            node: header.node.into(),
            hash: member_hash(header.node, &header.salt),
            interface: header.interface.into(),
            prefixes: Vec::new(),
            flags: Flags::default(),
            tier: 0,
            hears_us: false,
            deaf: false,
            trusted: false,
            mac,
            highest: 0,
            nonce: Nonce::default(),
            heard: Heard::default(),
            heard_since: now,
            interval: Duration::ZERO,
            multiplier: 1,
            heard_at: now,
            beacon_at: now,
            deadline: now,
            suspected: false,
            suspects: Vec::new(),
            answered: None,
            probes: 0,
            first_probe: 0,
            claims: BTreeMap::new(),
            known_digest: 0,
            claims_total: 0,
            claims_digest: 0,
        }
    }

    /// Its claim on `address`.
    #[must_use]
    pub fn claim(&self, address: IpAddr) -> Option<&Claim> {
        self.claims.get(&address)
    }

    /// All addresses that it claims here.
    pub fn claims(&self) -> impl Iterator<Item = (&IpAddr, &Claim)> {
        self.claims.iter()
    }

    /// Whether it may serve: it is neither deaf nor about to leave, nor does it serve this LAN through another
    /// link.
    #[must_use]
    pub const fn stands_in_line(&self) -> bool {
        !self.deaf && !self.flags.contains(Flags::LEAVING) && !self.flags.contains(Flags::STANDBY)
    }

    /// How long it may be silent, by its own word.
    pub(super) fn detection(&self) -> Duration {
        self.interval * u32::from(self.multiplier)
    }

    /// Whether all its claims are known.
    pub(super) fn is_complete(&self) -> bool {
        usize::try_from(self.claims_total) == Ok(self.claims.len()) && self.claims_digest == self.known_digest
    }

    pub(super) const fn claims_anything(&self) -> bool {
        self.claims_total > 0
    }

    /// Notes whether it hears us. Who hears nobody for a detection time is deaf; it is cured when it hears us,
    /// or somebody for as long: only then it has learnt what it missed. Answers whether anything is different.
    pub(super) fn note_hearing(&mut self, now: Instant, hears_us: bool, heard_nobody_before: bool) -> bool {
        let before = (self.hears_us, self.deaf);
        let nobody = self.heard.total == 0;
        if nobody != heard_nobody_before {
            self.heard_since = now;
        }
        self.hears_us = hears_us;
        if hears_us {
            self.deaf = false;
        } else if now.since(self.heard_since) >= self.detection() {
            self.deaf = nobody;
        }
        before != (self.hears_us, self.deaf)
    }

    /// When it counts as late, if that matters: only the end of a member with claims would move an address.
    pub(super) fn late_at(&self) -> Option<Instant> {
        let matters = self.trusted && self.claims_anything() && self.multiplier > 1;
        matters.then(|| self.heard_at + self.interval * 3 / 2)
    }

    /// Whether it has heard the member `hash` lately, which has been late for us since `since`. What it said
    /// before says nothing, nor does a list that is full.
    pub(super) fn vouches_for(&self, hash: u32, since: Instant) -> bool {
        self.trusted
            && self.beacon_at > since
            && self.heard.contains(hash) == Some(true)
            && self.suspects.len() < MAX_SUSPECTS
            && !self.suspects.contains(&hash)
    }

    /// Takes over what a beacon says. Whether it hears us and is trusted is for the caller to judge.
    pub(super) fn update(&mut self, header: &Header<'_>, mac: Mac, beacon: Beacon) -> Changes {
        let Beacon { interval_ms, multiplier, tier, flags, nonce, heard, suspects, prefixes, page, .. } =
            beacon;
        let mut changes = Changes {
            facts: (self.flags, self.tier) != (flags, tier)
                || self.prefixes != prefixes
                || *self.interface != *header.interface,
            claims: Vec::new(),
        };
        if *self.interface != *header.interface {
            self.interface = header.interface.into();
        }
        self.mac = mac;
        self.interval = Duration::from_millis(interval_ms.into());
        self.multiplier = multiplier;
        (self.flags, self.tier) = (flags, tier);
        (self.nonce, self.heard, self.prefixes, self.suspects) = (nonce, heard, prefixes, suspects);
        (self.claims_total, self.claims_digest) = (beacon.claims_total, beacon.claims_digest);
        self.turn(page, &mut changes.claims);
        changes
    }

    /// Replaces what was known between the ends of `page`.
    fn turn(&mut self, page: Page, changed: &mut Vec<IpAddr>) {
        let known = || self.claims.range((Bound::Included(page.from), Bound::Included(page.to)));
        // Mostly nothing has changed.
        if known().eq(page.claims.iter().map(|(address, claim)| (address, claim))) {
            return;
        }
        let gone = known()
            .filter(|(address, _)| page.claims.binary_search_by_key(address, |(known, _)| known).is_err())
            .map(|(address, _)| *address);
        changed.extend(gone);
        for address in &*changed {
            if let Some(claim) = self.claims.remove(address) {
                self.known_digest = self.known_digest.wrapping_sub(claim.digest(*address));
            }
        }
        for (address, claim) in page.claims {
            let known = self.claims.get(&address).copied();
            if known == Some(claim) || self.claims.len() >= MAX_CLAIMS {
                continue;
            }
            let before = known.map_or(0, |known| known.digest(address));
            self.known_digest = self.known_digest.wrapping_sub(before).wrapping_add(claim.digest(address));
            self.claims.insert(address, claim);
            changed.push(address);
        }
    }
}

/// As many members as a beacon names as suspect.
pub(super) const MAX_SUSPECTS: usize = 8;

/// More addresses than a speaker ever serves; beyond that somebody who holds the key is broken.
const MAX_CLAIMS: usize = 1 << 17;
