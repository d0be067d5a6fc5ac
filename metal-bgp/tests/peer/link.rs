//! Two machines and a network between them that keeps the order of octets and nothing else: it cuts them anywhere,
//! delays them, closes and resets connections at any octet, loses attempts to connect.

mod routes;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use metal_bgp::{
    fsm::State,
    peer::{Cause, ConnectionId, Input, Mode, Output, Peer, PeerAs, SessionId, Settings, Stop, Transport},
};
use metal_core::{Instant, Machine, drain};

use crate::support::{secs, updates};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What reaches one end of a connection.
#[derive(Debug)]
enum Arrival {
    Connected,
    Accepted(u64),
    Bytes(Vec<u8>),
    End(Transport),
}

/// One end of a TCP connection.
#[derive(Debug, Default)]
struct End {
    /// What the machine there calls it; `None` once it has closed it.
    id: Option<ConnectionId>,
    /// What is on its way here, in order.
    inbox: VecDeque<(Instant, Arrival)>,
    /// Nothing arrives any more.
    over: bool,
}

struct Side {
    peer: Peer,
    listens: bool,
    /// The one that was told.
    session: Option<SessionId>,
    open: BTreeMap<ConnectionId, u64>,
    closed: u64,
    opened: u64,
    announced: u64,
}

struct World {
    seed: u64,
    now: Instant,
    random: Random,
    sides: [Side; 2],
    /// What is announced, if that is not just anything.
    routes: Option<[routes::Routes; 2]>,
    connections: BTreeMap<u64, [End; 2]>,
    /// Faults happen.
    wild: bool,
    /// How often something is announced, in percent.
    announcing: u64,
    accepted: u64,
    dialled: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let modes = [
            [Mode::Dial, Mode::Listen],
            [Mode::Both, Mode::Both],
            [Mode::Both, Mode::Dial],
            [Mode::Both, Mode::Listen],
        ];
        let modes = modes[usize::try_from(random.below(4)).expect("small")];
        let hold_times = [0, 3, 9, 90];
        let mut side = |me: u32, other: u32, id: u8, mode: Mode| {
            let hold_time = hold_times[usize::try_from(random.below(4)).expect("small")];
            let settings =
                Settings { mode, hold_time, ..Settings::new(me, PeerAs::Is(other), [10, 0, 0, id].into()) };
            Side {
                peer: Peer::new(settings.check().expect("good"), random.below(u64::MAX)),
                listens: mode != Mode::Dial,
                session: None,
                open: BTreeMap::new(),
                closed: 0,
                opened: 0,
                announced: 0,
            }
        };
        let sides = [side(64_512, 64_513, 1, modes[0]), side(64_513, 64_512, 2, modes[1])];
        Self {
            seed,
            now: Instant::from_secs(1),
            random,
            sides,
            routes: None,
            connections: BTreeMap::new(),
            dialled: 0,
            wild: true,
            announcing: 3,
            accepted: 0,
        }
    }

    fn tell(&mut self, side: usize, input: Input<'_>) {
        self.sides[side].peer.handle_input(self.now, input);
        self.poll(side);
    }

    fn poll(&mut self, side: usize) {
        for output in drain(&mut self.sides[side].peer, self.now) {
            self.perform(side, output);
        }
        // At most one session, and it is the one that was told.
        let it = &self.sides[side];
        assert_eq!(
            it.peer.negotiated().map(|negotiated| negotiated.session),
            it.session,
            "seed {}",
            self.seed
        );
        assert_eq!(it.peer.state() == State::Established, it.session.is_some());
        let connections: Vec<_> = it.peer.connections().collect();
        assert_eq!(connections.len(), it.open.len(), "seed {}", self.seed);
    }

    fn delay(&mut self) -> Duration {
        Duration::from_micros(if self.wild {
            self.random.below(400_000)
        } else {
            100 + self.random.below(20_000)
        })
    }

    fn perform(&mut self, side: usize, output: Output) {
        match output {
            Output::Connect(id) => {
                let it = &mut self.sides[side];
                it.opened += 1;
                self.dialled += 1;
                it.open.insert(id, self.dialled);
                let mut ends = [End::default(), End::default()];
                ends[side].id = Some(id);
                let (there, back) = (self.now + self.delay(), self.delay());
                if self.wild && self.random.chance(30) {
                    // No answer at all.
                } else if !self.sides[1 - side].listens {
                    ends[side].inbox.push_back((there + back, Arrival::End(Transport::Refused)));
                } else {
                    self.accepted += 1;
                    ends[1 - side].inbox.push_back((there, Arrival::Accepted(self.accepted)));
                    ends[side].inbox.push_back((there + back, Arrival::Connected));
                }
                self.connections.insert(self.dialled, ends);
            }
            Output::Close { connection, last_words } => {
                let it = &mut self.sides[side];
                it.closed += 1;
                let at = it.open.remove(&connection).expect("closed once");
                self.end(at, side).id = None;
                if last_words.is_empty() && self.random.chance(50) {
                    self.send(at, side, Arrival::End(Transport::Reset));
                } else {
                    self.send(at, side, Arrival::Bytes(last_words));
                    self.send(at, side, Arrival::End(Transport::Closed));
                }
                assert_eq!(self.sides[side].peer.transmit(connection).count(), 0);
            }
            Output::Established(negotiated) => {
                let it = &mut self.sides[side];
                assert_eq!(it.session, None, "seed {}", self.seed);
                it.session = Some(negotiated.session);
                if let Some(routes) = &mut self.routes {
                    routes[side].up(self.now, &negotiated);
                }
            }
            Output::Ended(ending) => {
                let it = &mut self.sides[side];
                if ending.session.is_some() {
                    assert_eq!(it.session.take(), ending.session);
                    if let Some(routes) = &mut self.routes {
                        routes[side].down(self.now);
                    }
                }
                // The other side is as correct as this one.
                let fine = !matches!(
                    ending.cause,
                    Cause::Malformed(_)
                        | Cause::Unexpected(..)
                        | Cause::Refused(_)
                        | Cause::NotifiedUnreadably
                );
                assert!(fine, "seed {}: {ending}", self.seed);
            }
            Output::RouteRefresh { .. } | Output::Malformed(_) => panic!("seed {}: {output:?}", self.seed),
        }
    }

    /// Puts something on the way to the other end, behind everything that is on it already.
    fn send(&mut self, at: u64, from: usize, what: Arrival) {
        let arrival = self.now + self.delay();
        let end = self.end(at, 1 - from);
        let arrival = end.inbox.back().map_or(arrival, |(last, _)| arrival.max(*last));
        end.inbox.push_back((arrival, what));
    }

    /// The sockets take something.
    fn transmit(&mut self, side: usize) {
        for (id, at) in self.sides[side].open.clone() {
            let limit = if self.wild { self.random.below(3_000) } else { 100_000 };
            let limit = usize::try_from(limit).expect("small");
            let bytes: Vec<u8> = self.sides[side].peer.transmit(id).flatten().copied().take(limit).collect();
            if !bytes.is_empty() {
                self.tell(side, Input::Sent(id, bytes.len()));
                self.send(at, side, Arrival::Bytes(bytes));
            }
        }
    }

    /// The owner of a machine announces something.
    fn announce(&mut self, side: usize) {
        if self.routes.is_some() {
            self.announce_routes(side);
            return;
        }
        let it = &mut self.sides[side];
        let wants = it.peer.wants_updates();
        assert!(wants.is_none() || wants == it.session);
        if let Some(session) = wants
            && self.random.chance(self.announcing)
        {
            let count = 1 + self.random.below(300);
            it.announced += count;
            let bytes = Arc::from(updates(u32::try_from(count).expect("small")));
            self.tell(side, Input::Updates(session, bytes));
        }
    }

    /// What is first on the way to anybody.
    fn deliver(&mut self) {
        let due = |end: &End| end.inbox.front().is_some_and(|(at, _)| *at <= self.now);
        let found = self
            .connections
            .iter()
            .flat_map(|(at, ends)| [(*at, 0, &ends[0]), (*at, 1, &ends[1])])
            .find(|(_, _, end)| due(end))
            .map(|(at, side, _)| (at, side));
        let Some((at, side)) = found else { return };
        let end = self.end(at, side);
        let Some((_, arrival)) = end.inbox.pop_front() else { return };
        if end.over {
            return;
        }
        match (arrival, end.id) {
            (Arrival::Accepted(number), None) => {
                let id = ConnectionId::Accepted(number);
                end.id = Some(id);
                self.sides[side].opened += 1;
                self.sides[side].open.insert(id, at);
                self.tell(side, Input::Accepted(number));
            }
            (Arrival::Connected, Some(id)) => self.tell(side, Input::Connected(id)),
            (Arrival::Bytes(bytes), Some(id)) => {
                // Cut anywhere.
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let most = if self.wild { 40 } else { 100_000 };
                    let len = usize::try_from(1 + self.random.below(most)).expect("small").min(rest.len());
                    let (part, behind) = rest.split_at(len);
                    rest = behind;
                    if let Some(routes) = &mut self.routes {
                        routes[side].hear(id, part);
                    }
                    self.tell(side, Input::Received(id, part));
                }
            }
            (Arrival::End(transport), Some(id)) => {
                end.over = true;
                self.tell(side, Input::Failed(id, transport));
            }
            // It was given up here: whoever dialled it learns that.
            (Arrival::Accepted(_) | Arrival::Connected | Arrival::Bytes(_) | Arrival::End(_), _) => {}
        }
    }

    /// Breaks a connection at whatever octet it is, for one side or both.
    fn fault(&mut self) {
        let which = usize::try_from(self.random.below(3)).expect("small");
        let Some(at) = self.connections.keys().rev().nth(which).copied() else { return };
        for side in 0..2 {
            if self.random.chance(70) {
                let keep = usize::try_from(self.random.below(4)).expect("small");
                let cut = self.random.below(5_000);
                let now = self.now;
                let end = self.end(at, side);
                end.inbox.truncate(keep);
                if let Some((_, Arrival::Bytes(bytes))) = end.inbox.back_mut() {
                    bytes.truncate(usize::try_from(cut).expect("small") % (bytes.len() + 1));
                }
                let when = end.inbox.back().map_or(now, |(at, _)| *at).max(now);
                end.inbox.push_back((when, Arrival::End(Transport::Reset)));
            }
        }
    }

    /// On to the next thing that happens.
    fn step(&mut self) {
        for side in 0..2 {
            self.announce(side);
            self.transmit(side);
        }
        let arrivals = self.connections.values().flatten().filter_map(|end| Some(end.inbox.front()?.0));
        let timers = self.sides.iter().filter_map(|side| side.peer.poll_timeout());
        let wakes = self.routes.iter().flatten().filter_map(routes::Routes::next_wake);
        let next = arrivals.chain(timers).chain(wakes).min().unwrap_or(self.now + secs(1));
        self.now = self.now.max(next.min(self.now + secs(1)));
        self.deliver();
        for side in 0..2 {
            self.poll(side);
        }
        // Nobody is there any more, and nothing is on its way.
        self.connections.retain(|_, ends| ends.iter().any(|end| end.id.is_some() || !end.inbox.is_empty()));
    }

    fn end(&mut self, at: u64, side: usize) -> &mut End {
        &mut self.connections.get_mut(&at).expect("a connection")[side]
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
            if self.wild && self.random.chance(2) {
                self.fault();
            }
            if self.wild && self.random.chance(1) {
                let side = usize::try_from(self.random.below(2)).expect("small");
                let input = match self.random.below(4) {
                    0 => Input::Restart(Stop::Reset("try again".into())),
                    1 => Input::BfdDown,
                    2 => Input::Start,
                    _ => Input::Restart(Stop::ForRestart),
                };
                self.tell(side, input);
            }
        }
    }
}

#[test]
fn whatever_the_network_does_there_is_a_session_when_it_is_calm() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        world.calm_down();
        let sessions: Vec<_> = world.sides.iter().map(|side| side.peer.negotiated().cloned()).collect();
        let [Some(one), Some(other)] = &sessions[..] else {
            panic!(
                "seed {seed}: {:?}",
                world.sides.each_ref().map(|side| side.peer.status().at(world.now).to_string())
            )
        };
        assert_eq!((one.peer_as, other.peer_as), (64_513, 64_512));
        assert_eq!(one.hold_time, other.hold_time);
        let ends: Vec<_> = (0..2)
            .map(|side| world.sides[side].open[&sessions[side].as_ref().expect("one").connection])
            .collect();
        assert_eq!(ends[0], ends[1], "seed {seed}: both mean the same connection");

        // When both stop there is nothing left that could fire.
        for side in 0..2 {
            world.tell(side, Input::Stop(Stop::Shutdown(String::new())));
            let it = &world.sides[side];
            assert_eq!(it.peer.poll_timeout(), None, "seed {seed}");
            assert_eq!((it.open.len(), it.opened - it.closed), (0, 0), "seed {seed}");
            assert_eq!(it.peer.counters().findings, Default::default());
            assert_eq!(it.peer.counters().unwanted_updates, 0);
        }
    }
}

impl World {
    /// Both sides start, and wild minutes are followed by a calm as long as sessions take to come back.
    fn calm_down(&mut self) {
        for side in 0..2 {
            self.tell(side, Input::Start);
        }
        self.run(secs(120));
        self.wild = false;
        // Whoever is in a pause waits a minute at most, whoever waits for an OPEN that was lost four; connections
        // that the other side no longer knows are found out by the hold time, if there is one.
        self.sweep();
        self.run(secs(330));
    }

    /// The network forgets connections of which one end is gone, as a real one does with resets.
    fn sweep(&mut self) {
        for ends in self.connections.values_mut() {
            let one_is_gone = ends.iter().any(|end| end.over);
            for end in ends.iter_mut().filter(|end| one_is_gone && !end.over && end.id.is_some()) {
                end.inbox.push_back((self.now, Arrival::End(Transport::Reset)));
            }
        }
    }
}

#[test]
fn what_is_announced_arrives() {
    for seed in 100..108 {
        let mut world = World::new(seed);
        world.wild = false;
        for side in 0..2 {
            world.tell(side, Input::Start);
        }
        world.run(secs(20));
        world.announcing = 100;
        world.announce(0);
        world.announce(1);
        // Nothing more is announced, and what is on its way arrives.
        for _ in 0..200 {
            world.transmit(0);
            world.transmit(1);
            world.now += Duration::from_millis(50);
            while world
                .connections
                .values()
                .flatten()
                .any(|end| end.inbox.front().is_some_and(|(at, _)| *at <= world.now))
            {
                world.deliver();
            }
            world.poll(0);
            world.poll(1);
        }
        for side in 0..2 {
            let (here, there) = (&world.sides[side], &world.sides[1 - side]);
            assert!(here.announced > 0, "seed {seed}");
            assert_eq!(here.announced, there.peer.counters().prefixes_announced, "seed {seed}");
            assert_eq!(here.peer.counters().sent.update, there.peer.counters().received.update);
        }
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = |seed| {
        let mut world = World::new(seed);
        for side in 0..2 {
            world.tell(side, Input::Start);
        }
        world.run(secs(30));
        (world.now, world.sides.map(|side| *side.peer.counters()))
    };
    assert_eq!(run(5), run(5));
}
