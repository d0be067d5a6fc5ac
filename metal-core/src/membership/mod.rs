//! Which speakers are alive on which link, and what each of them claims.
//!
//! Every speaker broadcasts a small sealed [`beacon`] on each of its links, once per interval. Who is silent
//! for a detection time (interval times multiplier, by the sender's word) is gone. A beacon also tells the
//! addresses that its sender answers for; what these mean is [`ownership`](crate::ownership)'s business.
//!
//! Three things keep a recording from keeping anybody alive: a key per incarnation, a sequence that only
//! rises, and trust that is earned by echoing a random number of the receiver's. No clocks are compared.

pub mod beacon;
mod counters;
mod link;
mod listen;
mod peer;
mod receive;
mod send;
#[cfg(test)]
mod tests;

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::{fmt, net::IpAddr, time::Duration};

use self::{
    beacon::{Claim, Salt, Seal, Secret, key_id, member_hash},
    link::OwnLink,
};
pub use self::{
    counters::Counters,
    link::Port,
    peer::{Peer, PeerId},
};
use crate::{
    machine::Machine,
    name::NodeName,
    time::Instant,
    timer::Timers,
    view::{LinkIndex, Mac},
};

/// Who this speaker is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The node it runs on.
    pub node: NodeName,
    /// Random bytes that no other process ever uses.
    pub salt: Salt,
    /// For jitter.
    pub seed: u64,
    /// Milliseconds between two beacons; at least 1.
    pub interval_ms: u16,
    /// How many intervals of silence mean death; at least 1.
    pub multiplier: u8,
}

/// What membership is told.
pub enum Input<'a> {
    /// The secret of the cluster. Nothing is sent or believed before.
    Key(Secret),
    /// A link takes part as it is now; `None` when it does not.
    Link(LinkIndex, Option<Port>),
    /// What we claim on an address now.
    Claim(LinkIndex, IpAddr, Option<Claim>),
    /// This speaker knows what it may claim.
    Ready,
    /// This speaker is ending.
    Leaving,
    /// This speaker has ended: say farewell.
    Farewell,
    /// A whole Ethernet frame from a link.
    Frame(LinkIndex, &'a [u8]),
}

/// What membership wants done, and what it has found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a whole Ethernet frame.
    Send(LinkIndex, Vec<u8>),
    /// A member is there now.
    Joined(LinkIndex, PeerId),
    /// A member is gone.
    Lost {
        /// Where it was heard.
        link: LinkIndex,
        /// The node it runs on.
        node: NodeName,
        /// How it ended.
        cause: Loss,
    },
    /// Something about a member has changed that matters for who is in line.
    Changed(LinkIndex, PeerId),
    /// The claims of members on these addresses have changed.
    Claims(LinkIndex, Vec<IpAddr>),
    /// A link has been listened to for long enough: claims may be made there.
    Listened(LinkIndex),
    /// Another of our links serves the same LAN (true), or no longer does.
    Standby(LinkIndex, bool),
    /// This process was too late by this much to judge anybody: it has to start over on all links.
    Starved(Duration),
}

/// How a member ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It was silent for its detection time.
    Silent,
    /// It said farewell.
    Farewell,
}

/// The membership machine.
#[derive(Debug)]
pub struct Membership {
    identity: Identity,
    hash: u32,
    key: Option<Key>,
    ready: bool,
    leaving: bool,
    sequence: u64,
    random: u64,
    links: BTreeMap<LinkIndex, OwnLink>,
    /// The seals of all incarnations that are peers somewhere.
    seals: BTreeMap<Salt, (NodeName, Seal)>,
    timers: Timers<Timer>,
    outputs: VecDeque<Output>,
    /// Links with news that cannot wait for the next regular beacon.
    urgent: BTreeSet<LinkIndex>,
    counters: Counters,
}

struct Key {
    secret: Secret,
    id: u32,
    seal: Seal,
}

impl fmt::Debug for Key {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:08x})", self.id)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The next regular beacon.
    Beacon(LinkIndex),
    /// The end of listening.
    Listen(LinkIndex),
    /// Another link of ours is no longer heard.
    Twin(LinkIndex),
    /// Ask a member that is late.
    Probe(LinkIndex, PeerId),
    /// Give a member up.
    Peer(LinkIndex, PeerId),
}

impl Membership {
    /// Alone, without a key and without links.
    #[must_use]
    pub fn new(mut identity: Identity) -> Self {
        identity.interval_ms = identity.interval_ms.max(1);
        identity.multiplier = identity.multiplier.max(1);
        Self {
            hash: member_hash(identity.node.as_str(), &identity.salt),
            random: identity.seed,
            identity,
            key: None,
            ready: false,
            leaving: false,
            sequence: 0,
            links: BTreeMap::new(),
            seals: BTreeMap::new(),
            timers: Timers::new(),
            outputs: VecDeque::new(),
            urgent: BTreeSet::new(),
            counters: Counters::default(),
        }
    }

    /// The hash that names this incarnation in beacons.
    #[must_use]
    pub const fn hash(&self) -> u32 {
        self.hash
    }

    /// How often this speaker says that it is there.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.identity.interval_ms.into())
    }

    /// How long this speaker may be silent.
    #[must_use]
    pub fn detection(&self) -> Duration {
        self.interval() * self.identity.multiplier.into()
    }

    /// Whether a secret is there.
    #[must_use]
    pub const fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The members that are alive on a link, in a stable order.
    pub fn peers(&self, link: LinkIndex) -> impl Iterator<Item = (&PeerId, &Peer)> {
        self.links.get(&link).into_iter().flat_map(|link| &link.peers).filter(|(_, peer)| peer.trusted)
    }

    /// One member that is alive on a link.
    #[must_use]
    pub fn peer(&self, link: LinkIndex, id: &PeerId) -> Option<&Peer> {
        self.links.get(&link)?.peers.get(id).filter(|peer| peer.trusted)
    }

    /// Whether a MAC address is that of a member on a link, alive or gone lately: a frame may be late, and who was
    /// frozen may send one more.
    #[must_use]
    pub fn is_member(&self, now: Instant, link: LinkIndex, mac: Mac) -> bool {
        self.links.get(&link).is_some_and(|link| link.is_member(now, mac))
    }

    /// Whether claims may be made on a link: it was listened to, and no other link of ours serves its LAN.
    #[must_use]
    pub fn may_claim(&self, link: LinkIndex) -> bool {
        self.key.is_some() && self.links.get(&link).is_some_and(|link| link.listen.is_none() && !link.standby)
    }

    /// When the last beacon went out on a link.
    #[must_use]
    pub fn last_sent(&self, link: LinkIndex) -> Option<Instant> {
        self.links.get(&link)?.last_sent
    }

    /// What came in, went out, and was refused.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    fn set_key(&mut self, now: Instant, secret: Secret) {
        let id = key_id(&secret);
        if self.key.as_ref().is_some_and(|key| key.id == id) {
            return;
        }
        let seal = Seal::derive(&secret, &self.identity.salt, self.identity.node.as_str());
        self.key = Some(Key { secret, id, seal });
        self.seals.clear();
        for index in self.links.keys().copied().collect::<Vec<_>>() {
            self.start(now, index);
        }
    }

    fn set_link(&mut self, now: Instant, index: LinkIndex, port: Option<Port>) {
        match (port, self.links.get_mut(&index)) {
            (Some(port), Some(link)) => {
                if link.port != port {
                    link.port = port;
                    self.urgent.insert(index);
                }
            }
            (Some(port), None) => {
                self.links.insert(index, OwnLink::new(port));
                self.start(now, index);
            }
            (None, _) => self.remove_link(index),
        }
    }

    fn remove_link(&mut self, index: LinkIndex) {
        let Some(link) = self.links.remove(&index) else { return };
        self.urgent.remove(&index);
        for timer in [Timer::Beacon(index), Timer::Listen(index), Timer::Twin(index)] {
            self.timers.stop(&timer);
        }
        for id in link.peers.keys() {
            self.timers.stop(&Timer::Peer(index, *id));
            self.timers.stop(&Timer::Probe(index, *id));
        }
        self.forget_seals();
    }

    /// Drops the seals of incarnations that are gone everywhere.
    fn forget_seals(&mut self) {
        let links = &self.links;
        self.seals.retain(|salt, _| {
            let first = PeerId { salt: *salt, ifindex: 0 };
            let last = PeerId { salt: *salt, ifindex: u32::MAX };
            links.values().any(|link| link.peers.range(first..=last).next().is_some())
        });
    }

    /// A member is silent. If another one has heard it lately, it was us who missed something: wait, but not
    /// for more than another detection time.
    fn give_up(&mut self, now: Instant, index: LinkIndex, id: PeerId) {
        let Some(link) = self.links.get(&index) else { return };
        let Some(peer) = link.peers.get(&id) else { return };
        let last = peer.heard_at + peer.detection() * 2;
        let vouched = peer.late_at().is_some_and(|late| {
            link.peers
                .iter()
                .any(|(other, witness)| other.salt != id.salt && witness.vouches_for(peer.hash, late))
        });
        if vouched && now < last {
            self.timers.set(Timer::Peer(index, id), (now + peer.interval / 4).min(last));
        } else {
            self.lose(index, id, Loss::Silent);
        }
    }

    /// A member is gone. What has been recorded from it must not earn trust again.
    fn lose(&mut self, index: LinkIndex, id: PeerId, cause: Loss) {
        self.timers.stop(&Timer::Peer(index, id));
        self.timers.stop(&Timer::Probe(index, id));
        let (Some(key), Some(link)) = (&self.key, self.links.get_mut(&index)) else { return };
        let Some(peer) = link.peers.remove(&id) else { return };
        link.remember(&peer);
        if peer.trusted {
            link.renew_nonce(&key.secret, &self.identity.salt, index);
            self.outputs.push_back(Output::Lost { link: index, node: peer.node, cause });
        }
        self.forget_seals();
    }

    fn fire(&mut self, now: Instant, timer: Timer) {
        match timer {
            Timer::Beacon(link) => self.send_regular(now, link),
            Timer::Listen(link) => self.end_listening(now, link),
            Timer::Twin(link) => self.judge_twins(now, link),
            Timer::Probe(link, peer) => self.send_probe(now, link, peer),
            Timer::Peer(link, peer) => self.give_up(now, link, peer),
        }
    }
}

impl Machine for Membership {
    type Input<'a> = Input<'a>;
    type Output = Output;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        self.wake(now);
        match input {
            Input::Key(secret) => self.set_key(now, secret),
            Input::Link(index, port) => self.set_link(now, index, port),
            Input::Claim(index, address, claim) => {
                if let Some(link) = self.links.get_mut(&index)
                    && link.set_claim(address, claim)
                {
                    self.urgent.insert(index);
                }
            }
            Input::Ready => {
                if !self.ready {
                    self.ready = true;
                    self.urgent.extend(self.links.keys());
                }
            }
            Input::Leaving => {
                if !self.leaving {
                    self.leaving = true;
                    self.urgent.extend(self.links.keys());
                }
            }
            Input::Farewell => self.send_farewell(),
            Input::Frame(index, frame) => self.receive(now, index, frame),
        }
    }

    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.wake(now);
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            if let Some(timer) = self.timers.take_due(now) {
                self.fire(now, timer);
            } else if let Some(link) = self.urgent.pop_first() {
                self.send_extra(now, link);
            } else {
                return None;
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
}
