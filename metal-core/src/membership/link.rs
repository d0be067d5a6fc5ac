//! One of our own links: what we say there and whom we hear.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use ipnet::IpNet;
use sha2::{Digest, Sha256};

use super::{
    beacon::{Claim, Flags, Heard, Nonce, Page, Salt, Secret},
    peer::{Peer, PeerId},
};
use crate::{
    time::Instant,
    view::{LinkIndex, Mac},
};

/// A link of this host that takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The interface's name.
    pub name: String,
    /// Its Ethernet address.
    pub mac: Mac,
    /// The prefixes of its addresses.
    pub prefixes: Vec<IpNet>,
}

/// The time in which a link is only listened to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listen {
    pub started: Instant,
    pub until: Instant,
    /// A claim that may be a recording has prolonged it, once.
    pub held_back: bool,
}

/// How many frames may go out besides the regular beacons until the next of these. What others make us send
/// must not keep back our own news.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Broadcasts with news; thousands of new claims are a page each.
    pub news: u8,
    /// Answers in person.
    pub answers: u8,
    /// Questions to members that are late.
    pub probes: u8,
}

impl Budget {
    pub(super) const NONE: Self = Self { news: 0, answers: 0, probes: 0 };
    pub(super) const FULL: Self = Self { news: 96, answers: 96, probes: 32 };
}

#[derive(Debug)]
pub(super) struct OwnLink {
    pub port: Port,
    pub nonce: Nonce,
    nonces: u64,
    pub peers: BTreeMap<PeerId, Peer>,
    /// Members that are gone, and until when they are remembered.
    former: BTreeMap<Mac, Instant>,
    pub listen: Option<Listen>,
    /// Our links whose beacons arrive here, and until when that counts.
    pub twins: BTreeMap<LinkIndex, Instant>,
    pub standby: bool,
    /// Sequences of the last two regular beacons: older ones of ours are recordings.
    pub recent: [u64; 2],
    pub last_sent: Option<Instant>,
    pub budget: Budget,
    claims: BTreeMap<IpAddr, Claim>,
    digest: u64,
    changed: BTreeSet<IpAddr>,
    page_cursor: IpAddr,
    echo_cursor: Option<PeerId>,
    heard_cursor: Option<PeerId>,
}

impl OwnLink {
    pub(super) const fn new(port: Port) -> Self {
        Self {
            port,
            nonce: [0; 8],
            nonces: 0,
            peers: BTreeMap::new(),
            former: BTreeMap::new(),
            listen: None,
            twins: BTreeMap::new(),
            standby: false,
            recent: [0; 2],
            last_sent: None,
            budget: Budget::NONE,
            claims: BTreeMap::new(),
            digest: 0,
            changed: BTreeSet::new(),
            page_cursor: Page::FIRST,
            echo_cursor: None,
            heard_cursor: None,
        }
    }

    /// A new nonce, so that what has been recorded earns no trust. The secret keeps it from being guessed.
    pub(super) fn renew_nonce(&mut self, secret: &Secret, salt: &Salt, index: LinkIndex) {
        self.nonces += 1;
        let mut hash = Sha256::new();
        hash.update(b"metal link nonce v1");
        hash.update(secret);
        hash.update(salt);
        hash.update(index.to_be_bytes());
        hash.update(self.nonces.to_be_bytes());
        self.nonce = hash.finalize().first_chunk().copied().unwrap_or_default();
    }

    /// Whether a MAC address is that of a member, alive or gone lately.
    pub(super) fn is_member(&self, now: Instant, mac: Mac) -> bool {
        self.peers.values().any(|peer| peer.mac == mac)
            || self.former.get(&mac).is_some_and(|until| now < *until)
    }

    /// A member is gone.
    pub(super) fn remember(&mut self, peer: &Peer) {
        if self.former.len() >= MAX_FORMER {
            // All that is known of time here is when somebody was heard last.
            self.former.retain(|_, until| peer.heard_at < *until);
        }
        if self.former.len() < MAX_FORMER {
            self.former.insert(peer.mac, peer.heard_at + REMEMBERED);
        }
    }

    pub(super) fn set_claim(&mut self, address: IpAddr, claim: Option<Claim>) -> bool {
        let before = match claim {
            Some(claim) => self.claims.insert(address, claim),
            None => self.claims.remove(&address),
        };
        if before == claim {
            return false;
        }
        let digest = |claim: Option<Claim>| claim.map_or(0, |claim| claim.digest(address));
        self.digest = self.digest.wrapping_sub(digest(before)).wrapping_add(digest(claim));
        self.changed.insert(address);
        true
    }

    pub(super) fn claims_total(&self) -> u32 {
        u32::try_from(self.claims.len()).unwrap_or(u32::MAX)
    }

    pub(super) const fn claims_digest(&self) -> u64 {
        self.digest
    }

    pub(super) fn has_news(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The page for the next broadcast: everything if it fits, else what has changed, else the next one in turn.
    pub(super) fn next_page(&mut self, room: usize) -> Page {
        let mut page = self.page(Page::FIRST, room);
        if page.to != Page::LAST {
            let from = self.changed.first().copied().unwrap_or(self.page_cursor);
            if from != Page::FIRST {
                page = self.page(from, room);
            }
        }
        self.changed.retain(|address| *address < page.from || *address > page.to);
        self.page_cursor = successor(page.to);
        page
    }

    /// The page that starts at `from`.
    pub(super) fn page(&self, from: IpAddr, room: usize) -> Page {
        Page::fill(from, self.claims.range(from..).map(|(address, claim)| (*address, *claim)), room)
    }

    /// Nonces to echo: first of those that do not name us as heard, then of the others in turn.
    pub(super) fn next_echoes(&mut self, count: usize) -> Vec<(u32, Nonce)> {
        let echo = |(_, peer): (&PeerId, &Peer)| (peer.hash, peer.nonce);
        let mut echoes: Vec<_> =
            self.peers.iter().filter(|(_, peer)| !peer.hears_us).map(echo).take(count).collect();
        let left = count - echoes.len();
        let others = || self.peers.iter().filter(|(_, peer)| peer.hears_us);
        let after = others().filter(|(id, _)| Some(**id) > self.echo_cursor);
        let chosen: Vec<_> = after.chain(others()).take(left.min(others().count())).collect();
        let last = chosen.last().map(|(id, _)| **id);
        echoes.extend(chosen.into_iter().map(echo));
        if last.is_some() {
            self.echo_cursor = last;
        }
        echoes
    }

    /// Whom we hear: all, or the next 64 in turn.
    pub(super) fn next_heard(&mut self, count: usize) -> Heard {
        let mut members: Vec<(PeerId, u32)> =
            self.peers.iter().filter(|(_, peer)| peer.trusted).map(|(id, peer)| (*id, peer.hash)).collect();
        // Two links of one incarnation follow each other.
        members.dedup_by_key(|(_, hash)| *hash);
        let total = u16::try_from(members.len()).unwrap_or(u16::MAX);
        if members.len() > count {
            let split = members.partition_point(|(id, _)| Some(*id) <= self.heard_cursor);
            members.rotate_left(split);
            members.truncate(count);
            self.heard_cursor = members.last().map(|(id, _)| *id);
        }
        Heard { total, members: members.into_iter().map(|(_, hash)| hash).collect() }
    }

    /// Whether every member that is named here has been heard with all its claims, by the word of somebody
    /// who has been here longer.
    pub(super) fn knows_everybody(&self, us: u32) -> bool {
        let known =
            |hash: u32| hash == us || self.peers.values().any(|peer| peer.trusted && peer.hash == hash);
        let complete = |peer: &Peer| {
            peer.trusted
                && peer.is_complete()
                && usize::from(peer.heard.total) == peer.heard.members.len()
                && peer.heard.members.iter().all(|hash| known(*hash))
        };
        let settled = |peer: &Peer| peer.stands_in_line() && !peer.flags.contains(Flags::LISTENING);
        self.peers.values().any(settled) && self.peers.values().all(complete)
    }

    /// The longest time that anybody here may be silent.
    pub(super) fn longest_detection(&self, own: Duration) -> Duration {
        self.peers.values().map(Peer::detection).fold(own, Duration::max)
    }
}

/// The address after `address`; the first after the last.
fn successor(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => address
            .to_bits()
            .checked_add(1)
            .map_or(Ipv6Addr::UNSPECIFIED.into(), |bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(address) => {
            address.to_bits().checked_add(1).map_or(Page::FIRST, |bits| Ipv6Addr::from_bits(bits).into())
        }
    }
}

/// How long a member is remembered that is gone: as long as somebody may look into why a node was frozen.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);

/// As many of them as are remembered.
const MAX_FORMER: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::beacon::ClaimState;

    #[test]
    fn pages_rotate_and_what_changed_goes_first() {
        let port = Port { name: "eth0".into(), mac: [2; 6], prefixes: Vec::new() };
        let mut link = OwnLink::new(port);
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        let claim = Claim { term: 1, state: ClaimState::Held };
        for n in 0..100 {
            assert!(link.set_claim(address(n), Some(claim)));
            assert!(!link.set_claim(address(n), Some(claim)));
        }
        // Room for 30 claims of 10 bytes.
        let room = 2 + 5 + 17 + 300;
        let spans = |link: &mut OwnLink| {
            let page = link.next_page(room);
            (page.from, page.to, page.claims.len())
        };
        assert_eq!(spans(&mut link), (address(0), address(29), 30));
        assert_eq!(spans(&mut link), (address(30), address(59), 30));
        assert_eq!(spans(&mut link), (address(60), address(89), 30));
        assert_eq!(spans(&mut link), (address(90), Page::LAST, 10));
        assert!(!link.has_news());
        assert_eq!(spans(&mut link), (address(0), address(29), 30));
        link.set_claim(address(77), None);
        assert_eq!(spans(&mut link), (address(77), Page::LAST, 22));
        for n in 30..100 {
            link.set_claim(address(n), None);
        }
        assert_eq!(spans(&mut link), (Page::FIRST, Page::LAST, 30));
        assert!(!link.has_news());
    }

    #[test]
    fn addresses_follow_each_other() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(successor(ip("10.0.0.255")), ip("10.0.1.0"));
        assert_eq!(successor(ip("255.255.255.255")), ip("::"));
        assert_eq!(successor(Page::LAST), Page::FIRST);
    }
}
