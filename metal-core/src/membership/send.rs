//! What membership sends.

use core::time::Duration;

use super::{
    Membership, Output, Timer,
    beacon::{Answer, Beacon, Farewell, Flags, Header, Message, Nonce, Page, Probe, emit},
    link::{Budget, OwnLink},
    peer::{MAX_SUSPECTS, PeerId},
};
use crate::{
    time::Instant,
    view::{LinkIndex, Mac},
};

impl Membership {
    pub(super) fn send_regular(&mut self, now: Instant, index: LinkIndex) {
        let next = now + self.jittered_interval();
        let Some(link) = self.links.get_mut(&index) else { return };
        link.budget = Budget::FULL;
        self.urgent.remove(&index);
        self.timers.set(Timer::Beacon(index), next);
        self.broadcast(now, index);
        if let Some(link) = self.links.get_mut(&index) {
            link.recent = [link.recent[1], self.sequence];
            if link.has_news() {
                self.urgent.insert(index);
            }
        }
    }

    /// Says what cannot wait, as far as the budget goes; the next regular beacon says the rest.
    pub(super) fn send_extra(&mut self, now: Instant, index: LinkIndex) {
        let Some(link) = self.links.get_mut(&index) else { return };
        if self.key.is_none() || link.budget.news == 0 {
            return;
        }
        link.budget.news -= 1;
        self.broadcast(now, index);
        if self.links.get(&index).is_some_and(OwnLink::has_news) {
            self.urgent.insert(index);
        }
    }

    /// Answers one member in person, with everything we claim if it wants to know.
    pub(super) fn answer(&mut self, now: Instant, index: LinkIndex, id: PeerId, everything: bool) {
        let mut from = Page::FIRST;
        loop {
            let Some(link) = self.links.get_mut(&index) else { return };
            let Some(peer) = link.peers.get_mut(&id) else { return };
            if link.budget.answers == 0 {
                return;
            }
            link.budget.answers -= 1;
            peer.answered = Some(now);
            let (mac, echo) = (peer.mac, (peer.hash, peer.nonce));
            let Some((mut beacon, room)) = self.beacon(index) else { return };
            if !beacon.echoes.contains(&echo) {
                beacon.echoes.truncate(ECHOES - 1);
                beacon.echoes.push(echo);
            }
            let Some(link) = self.links.get(&index) else { return };
            beacon.page = link.page(from, beacon.room_for_page(room));
            let last = beacon.page.to;
            self.send(index, mac, &Message::Beacon(beacon));
            if !everything || last == Page::LAST {
                return;
            }
            // One claim twice is simpler than to count on.
            from = last;
        }
    }

    /// Asks a member that is late. The last question leaves the time of one step for its answer.
    pub(super) fn send_probe(&mut self, now: Instant, index: LinkIndex, id: PeerId) {
        let number = self.sequence + 1;
        let Some(link) = self.links.get_mut(&index) else { return };
        let Some(peer) = link.peers.get_mut(&id) else { return };
        if !peer.suspected {
            peer.suspected = true;
            self.counters.suspected += 1;
        }
        if peer.probes >= PROBES || link.budget.probes == 0 {
            return;
        }
        link.budget.probes -= 1;
        if peer.probes == 0 {
            peer.first_probe = number;
        }
        peer.probes += 1;
        let step = peer.deadline.since(now) / u32::from(PROBES + 2 - peer.probes);
        let mac = peer.mac;
        self.timers.set(Timer::Probe(index, id), now + step.max(Duration::from_millis(1)));
        self.send(index, mac, &Message::Probe(Probe { challenge: number.to_be_bytes() }));
    }

    pub(super) fn send_answer(&mut self, index: LinkIndex, id: PeerId, challenge: Nonce) {
        let Some(link) = self.links.get_mut(&index) else { return };
        let Some(peer) = link.peers.get(&id) else { return };
        if link.budget.answers > 0 {
            link.budget.answers -= 1;
            let mac = peer.mac;
            self.send(index, mac, &Message::Answer(Answer { challenge }));
        }
    }

    pub(super) fn send_farewell(&mut self) {
        if self.key.is_none() {
            return;
        }
        let links: alloc::vec::Vec<_> = self.links.keys().copied().collect();
        for index in links {
            self.timers.stop(&Timer::Beacon(index));
            self.urgent.remove(&index);
            self.send(index, EVERYBODY, &Message::Farewell(Farewell::default()));
        }
    }

    fn broadcast(&mut self, now: Instant, index: LinkIndex) {
        let Some((mut beacon, room)) = self.beacon(index) else { return };
        let Some(link) = self.links.get_mut(&index) else { return };
        link.last_sent = Some(now);
        beacon.page = link.next_page(beacon.room_for_page(room));
        self.send(index, EVERYBODY, &Message::Beacon(beacon));
    }

    /// A beacon without its page, and the room for its body.
    fn beacon(&mut self, index: LinkIndex) -> Option<(Beacon, usize)> {
        let key = self.key.as_ref()?;
        let link = self.links.get_mut(&index)?;
        let listening = link.listen.is_some();
        let flags = Flags::default()
            .with(Flags::LEAVING, self.leaving)
            .with(Flags::LISTENING, listening || !self.ready)
            .with(Flags::SOLICIT, listening)
            .with(Flags::STANDBY, link.standby);
        let beacon = Beacon {
            interval_ms: self.identity.interval_ms,
            multiplier: self.identity.multiplier,
            rules: ELECTION_RULES,
            tier: 0,
            flags,
            newest_key: key.id,
            nonce: link.nonce,
            echoes: link.next_echoes(ECHOES),
            heard: link.next_heard(HEARD),
            suspects: link
                .peers
                .values()
                .filter(|peer| peer.trusted && peer.suspected)
                .map(|peer| peer.hash)
                .take(MAX_SUSPECTS)
                .collect(),
            prefixes: link.port.prefixes.iter().take(PREFIXES).map(ipnet::IpNet::trunc).collect(),
            claims_total: link.claims_total(),
            claims_digest: link.claims_digest(),
            page: Page::default(),
        };
        let header = Header {
            key_id: key.id,
            salt: self.identity.salt,
            sequence: 0,
            ifindex: index,
            interface: &link.port.name,
            node: self.identity.node.as_str(),
        };
        Some((beacon, header.room()))
    }

    fn send(&mut self, index: LinkIndex, to: Mac, message: &Message) {
        let (Some(key), Some(link)) = (&self.key, self.links.get(&index)) else { return };
        // Every sealing takes a new number: it is the nonce.
        self.sequence += 1;
        let header = Header {
            key_id: key.id,
            salt: self.identity.salt,
            sequence: self.sequence,
            ifindex: index,
            interface: &link.port.name,
            node: self.identity.node.as_str(),
        };
        let frame = emit(to, link.port.mac, &header, message, &key.seal);
        self.counters.count_sent(message.kind());
        self.outputs.push_back(Output::Send(index, frame));
    }

    /// 90 to 100 % of the interval, so that speakers do not fall into step.
    fn jittered_interval(&mut self) -> Duration {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let interval = self.interval();
        let tenth = u64::try_from(interval.as_micros() / 10).unwrap_or(u64::MAX).max(1);
        interval - Duration::from_micros((mixed ^ (mixed >> 31)) % tenth)
    }
}

const EVERYBODY: Mac = [0xff; 6];

/// The version of MetalLB's order plus subnet fit.
const ELECTION_RULES: u8 = 1;

/// Questions to a member before it is given up.
const PROBES: u8 = 8;

const ECHOES: usize = 16;
const HEARD: usize = 64;
const PREFIXES: usize = 8;
