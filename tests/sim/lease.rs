//! Replicas that elect a leader over a Lease, in virtual time: a slow and lossy way to the API server, clocks
//! that run unequally fast, pauses, kills and clean stops.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

use metal_core::{
    Instant, Machine, drain,
    lease::{Elector, Input, Output, Record, TIMEOUT, Write},
};
use metal_tests::random::Random;

use crate::{millis, random::each_seed};

/// Killed, paused or cut off: another one leads within this time.
const TAKEOVER: Duration = Duration::from_secs(5);
/// Given back: another one leads within this time.
const HANDOVER: Duration = Duration::from_millis(400);
/// A write of a leader goes through within this time, or never: its time-out less what clocks differ by.
const FLIGHT: Duration = Duration::from_millis(900);

#[test]
fn random_elections_have_one_leader_at_most() {
    each_seed("random_elections", chaos);
}

#[test]
fn a_dead_leader_is_replaced_within_five_seconds() {
    each_seed("a_dead_leader", |seed| {
        takeover(seed, |world, leader| world.kill(leader));
    });
}

#[test]
fn a_frozen_leader_is_replaced_within_five_seconds_and_wakes_up_as_nobody_special() {
    each_seed("a_frozen_leader", |seed| {
        let (mut world, frozen) = takeover(seed, |world, leader| world.pause(leader, millis(20_000)));
        world.run(millis(30_000));
        assert!(!world.leads(frozen), "the one that replaced it still leads");
    });
}

#[test]
fn a_leader_that_stops_is_replaced_at_once() {
    each_seed("a_leader_that_stops", |seed| {
        let mut world = World::new(seed, 3);
        let leader = world.until_led(TAKEOVER);
        let rest = world.random.between(millis(0), millis(3_000));
        world.run(rest);
        world.stop(leader);
        world.run_while(millis(2_000), |world| world.replicas[leader].is_some());
        let start = world.now;
        world.until_led(TAKEOVER);
        let took = world.now.since(start);
        assert!(took < HANDOVER, "nobody led for {took:?} after a clean stop");
    });
}

#[test]
fn a_leader_leads_on_while_nothing_goes_wrong() {
    each_seed("a_leader_leads_on", |seed| {
        let mut world = World::new(seed, 3);
        let leader = world.until_led(TAKEOVER);
        world.run_while(Duration::from_secs(100), |world| {
            assert!(world.leads(leader), "it lost the Lease at {}", world.now);
            true
        });
    });
}

#[test]
fn an_outage_of_the_api_server_ends_with_a_leader() {
    each_seed("an_outage", |seed| {
        let mut world = World::new(seed, 3);
        let leader = world.until_led(TAKEOVER);
        let length = world.random.between(millis(500), millis(20_000));
        world.weather.loss = 1_000;
        world.run(length);
        assert!(
            length < millis(4_000) || !world.leads(leader),
            "it led for {length:?} without an API server"
        );
        world.weather.loss = 0;
        world.until_led(TAKEOVER);
    });
}

/// Something happens to the leader after a while, and somebody else leads soon enough.
fn takeover(seed: u64, fault: impl Fn(&mut World, usize)) -> (World, usize) {
    let replicas = 2 + usize::from(seed.is_multiple_of(2));
    let mut world = World::new(seed, replicas);
    let leader = world.until_led(TAKEOVER);
    let rest = world.random.between(millis(3_000), millis(9_000));
    world.run(rest);
    assert!(world.leads(leader));
    fault(&mut world, leader);
    let start = world.now;
    world.run_while(TAKEOVER, |world| (0..replicas).all(|id| id == leader || !world.leads(id)));
    let took = world.now.since(start);
    assert!(took < TAKEOVER, "nobody led for {took:?}");
    (world, leader)
}

fn chaos(seed: u64) {
    let mut world = World::new(seed, 2 + usize::from(seed.is_multiple_of(2)));
    for _ in 0..20 {
        let replica = world.random.index(world.replicas.len());
        let replica = (0..world.replicas.len()).find(|id| world.leads(*id)).unwrap_or(replica);
        match world.random.below(8) {
            0 => world.kill(replica),
            1 => world.stop(replica),
            2 | 3 => {
                let length = world.random.between(millis(10), millis(12_000));
                world.pause(replica, length);
            }
            4 => world.weather = Weather { delay: millis(1_500), loss: 100, ..Weather::CALM },
            5 => world.weather = Weather { lasts: 100, ..Weather::CALM },
            6 => world.meddle(),
            _ => world.weather = Weather::CALM,
        }
        let rest = world.random.between(millis(0), millis(5_000));
        world.run(rest);
        if world.random.chance(700) {
            world.start_missing();
        }
    }
    world.weather = Weather::CALM;
    // Until all are awake, and those that were told to stop have.
    world.run(millis(15_000));
    world.start_missing();
    world.until_led(TAKEOVER);
}

/// How requests travel.
#[derive(Clone, Copy)]
struct Weather {
    /// The longest time in one direction.
    delay: Duration,
    /// Of 1000 requests, how many never arrive.
    loss: u64,
    /// Of 1000 requests, how many arrive many seconds late.
    lasts: u64,
}

impl Weather {
    const CALM: Self = Self { delay: Duration::from_millis(20), loss: 0, lasts: 0 };
}

struct World {
    now: Instant,
    random: Random,
    weather: Weather,
    server: Server,
    replicas: Vec<Option<Replica>>,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    /// Orders events of the same instant, names replicas and numbers requests.
    serial: u64,
}

/// The Lease in the API server.
#[derive(Default)]
struct Server {
    lease: Option<Record>,
    version: u64,
}

struct Replica {
    /// Which start of the process it is.
    incarnation: u64,
    elector: Elector,
    /// Its clock: where it started, and how fast it runs in millionths.
    origin: u64,
    rate: u64,
    paused: Option<Instant>,
    /// What arrived while it was paused.
    waiting: VecDeque<Input>,
    /// The number of the request under way.
    request: Option<u64>,
    stops: bool,
    /// Writes of the leader that may still arrive.
    in_flight: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A replica looks at its clock, or at what it might write as a leader.
    Wake(usize, u64),
    Work(usize, u64),
    Resume(usize, u64),
    /// A request reaches the server.
    Arrives(usize, u64, u64, Ask),
    /// An answer, or the time-out.
    Answer(usize, u64, u64, Reply),
    /// What a leader wrote takes effect.
    Lands(usize, u64),
    /// It does not.
    Fails(usize, u64),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ask {
    Read,
    Write { version: Option<u64>, holder: Option<Box<str>>, transitions: u32 },
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reply {
    Found(Option<(Option<Box<str>>, u32, u64)>),
    Written(u64),
    Conflict,
    Failed,
}

impl World {
    fn new(seed: u64, replicas: usize) -> Self {
        let mut world = Self {
            now: Instant::from_secs(1_000),
            random: Random::new(seed),
            weather: Weather::CALM,
            server: Server::default(),
            replicas: (0..replicas).map(|_| None).collect(),
            events: BinaryHeap::new(),
            serial: 0,
        };
        world.start_missing();
        world
    }

    fn start_missing(&mut self) {
        for id in 0..self.replicas.len() {
            if self.replicas[id].is_some() {
                continue;
            }
            let incarnation = self.number();
            self.replicas[id] = Some(Replica {
                incarnation,
                elector: Elector::new(&format!("replica-{id}-{incarnation}")),
                origin: self.now.as_micros() - self.random.below(900_000_000),
                rate: 990_000 + self.random.below(20_000),
                paused: None,
                waiting: VecDeque::new(),
                request: None,
                stops: false,
                in_flight: 0,
            });
            self.schedule(self.now, Event::Wake(id, incarnation));
            self.schedule(self.now, Event::Work(id, incarnation));
        }
    }

    /// SIGKILL: what it sent is on its way all the same.
    fn kill(&mut self, id: usize) {
        self.replicas[id] = None;
    }

    /// SIGTERM: it writes nothing more, waits for what is under way, and gives the Lease back.
    fn stop(&mut self, id: usize) {
        if let Some(replica) = &mut self.replicas[id] {
            replica.stops = true;
            let wake = Event::Work(id, replica.incarnation);
            self.schedule(self.now, wake);
        }
    }

    /// SIGSTOP.
    fn pause(&mut self, id: usize, length: Duration) {
        let end = self.now + length;
        if let Some(replica) = &mut self.replicas[id]
            && replica.paused.is_none()
        {
            replica.paused = Some(end);
            let resume = Event::Resume(id, replica.incarnation);
            self.schedule(end, resume);
        }
    }

    /// Somebody edits the Lease without touching its holder.
    fn meddle(&mut self) {
        if let Some(lease) = &mut self.server.lease {
            self.server.version += 1;
            lease.version = self.server.version;
        }
    }

    /// Whether a replica believes at this instant that it leads. A paused one is asked as well: its clock
    /// goes on.
    fn leads(&self, id: usize) -> bool {
        self.replicas[id].as_ref().is_some_and(|replica| replica.elector.leads(replica.clock(self.now)))
    }

    /// Runs until somebody leads, and says who.
    fn until_led(&mut self, limit: Duration) -> usize {
        let nobody = |world: &Self| (0..world.replicas.len()).all(|id| !world.leads(id));
        self.run_while(limit, nobody);
        (0..self.replicas.len())
            .find(|id| self.leads(*id))
            .unwrap_or_else(|| panic!("nobody leads at {}", self.now))
    }

    fn run(&mut self, time: Duration) {
        self.run_while(time, |_| true);
    }

    fn run_while(&mut self, time: Duration, goes_on: impl Fn(&Self) -> bool) {
        let end = self.now + time;
        while goes_on(self) {
            match self.events.peek() {
                Some(Reverse((at, ..))) if *at <= end => {}
                _ => {
                    self.now = end;
                    return;
                }
            }
            let Some(Reverse((at, _, event))) = self.events.pop() else { return };
            self.now = at;
            self.handle(event);
            let leaders: Vec<_> = (0..self.replicas.len()).filter(|id| self.leads(*id)).collect();
            assert!(leaders.len() <= 1, "{leaders:?} all believe to lead at {}", self.now);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Wake(id, incarnation) => {
                if self.awake(id, incarnation).is_some() {
                    self.act(id);
                }
            }
            Event::Resume(id, incarnation) => {
                let now = self.now;
                let Some(replica) = self.alive(id, incarnation) else { return };
                replica.paused = None;
                let clock = replica.clock(now);
                while let Some(input) = replica.waiting.pop_front() {
                    replica.elector.handle_input(clock, input);
                }
                self.act(id);
                self.schedule(now, Event::Work(id, incarnation));
            }
            Event::Work(id, incarnation) => self.work(id, incarnation),
            Event::Arrives(id, incarnation, request, ask) => {
                let reply = self.server.answer(ask);
                self.travel(Event::Answer(id, incarnation, request, reply));
            }
            Event::Answer(id, incarnation, request, reply) => {
                let Some(replica) = self.alive(id, incarnation) else { return };
                // The time-out comes in any case, and whatever comes after it is nobody's answer any more.
                if replica.request == Some(request) {
                    replica.request = None;
                    self.tell(id, reply.into());
                }
            }
            Event::Lands(id, incarnation) => {
                for other in (0..self.replicas.len()).filter(|other| *other != id) {
                    assert!(
                        !self.leads(other),
                        "at {} a write of replica {id} lands while {other} leads",
                        self.now
                    );
                }
                self.handle(Event::Fails(id, incarnation));
            }
            Event::Fails(id, incarnation) => {
                if let Some(replica) = self.alive(id, incarnation) {
                    replica.in_flight -= 1;
                }
            }
        }
    }

    /// What a leader does: it writes again and again, and checks right before each write.
    fn work(&mut self, id: usize, incarnation: u64) {
        let now = self.now;
        let Some(replica) = self.awake(id, incarnation) else { return };
        if replica.stops {
            if replica.in_flight == 0 {
                self.tell(id, Input::Stop);
                return;
            }
        } else if replica.elector.leads(replica.clock(now)) {
            replica.in_flight += 1;
            let lands = now + self.random.between(millis(1), FLIGHT);
            self.schedule(lands, Event::Lands(id, incarnation));
        }
        let pause = self.random.between(millis(1), millis(300));
        self.schedule(now + pause, Event::Work(id, incarnation));
    }

    fn tell(&mut self, id: usize, input: Input) {
        let now = self.now;
        let Some(replica) = &mut self.replicas[id] else { return };
        if replica.paused.is_some() {
            replica.waiting.push_back(input);
            return;
        }
        replica.elector.handle_input(replica.clock(now), input);
        self.act(id);
    }

    /// Performs what the machine asks for, and wakes it at its deadline.
    fn act(&mut self, id: usize) {
        let now = self.now;
        let Some(replica) = &mut self.replicas[id] else { return };
        let clock = replica.clock(now);
        for output in drain(&mut replica.elector, clock) {
            let ask = match output {
                Output::Read => Ask::Read,
                Output::Write(Write { version, holder, transitions, .. }) => {
                    Ask::Write { version, holder, transitions }
                }
                Output::Lead { .. } | Output::Lost => continue,
                Output::Released => {
                    self.replicas[id] = None;
                    return;
                }
            };
            self.send(id, ask);
        }
        let Some(replica) = &self.replicas[id] else { return };
        if let Some(deadline) = replica.elector.poll_timeout() {
            let wake = Event::Wake(id, replica.incarnation);
            self.schedule(replica.true_time(deadline).max(now), wake);
        }
    }

    fn send(&mut self, id: usize, ask: Ask) {
        let request = self.number();
        let Some(replica) = &mut self.replicas[id] else { return };
        assert_eq!(replica.request, None, "two requests at once");
        replica.request = Some(request);
        let incarnation = replica.incarnation;
        self.schedule(self.now + TIMEOUT, Event::Answer(id, incarnation, request, Reply::Failed));
        self.travel(Event::Arrives(id, incarnation, request, ask));
    }

    /// Lets a request or an answer arrive, or not.
    fn travel(&mut self, event: Event) {
        if self.random.chance(self.weather.loss) {
            return;
        }
        let longest =
            if self.random.chance(self.weather.lasts) { millis(15_000) } else { self.weather.delay };
        let arrival = self.now + self.random.between(millis(1), longest);
        self.schedule(arrival, event);
    }

    fn schedule(&mut self, at: Instant, event: Event) {
        let number = self.number();
        self.events.push(Reverse((at, number, event)));
    }

    const fn number(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn alive(&mut self, id: usize, incarnation: u64) -> Option<&mut Replica> {
        self.replicas[id].as_mut().filter(|replica| replica.incarnation == incarnation)
    }

    fn awake(&mut self, id: usize, incarnation: u64) -> Option<&mut Replica> {
        self.alive(id, incarnation).filter(|replica| replica.paused.is_none())
    }
}

impl Server {
    fn answer(&mut self, ask: Ask) -> Reply {
        match ask {
            Ask::Read => {
                let parts = |lease: &Record| (lease.holder.clone(), lease.transitions, lease.version);
                Reply::Found(self.lease.as_ref().map(parts))
            }
            Ask::Write { version, holder, transitions } => {
                if version != self.lease.as_ref().map(|lease| lease.version) {
                    return Reply::Conflict;
                }
                self.version += 1;
                self.lease = Some(Record { holder, duration: None, transitions, version: self.version });
                Reply::Written(self.version)
            }
        }
    }
}

impl From<Reply> for Input {
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::Found(found) => Self::Found(found.map(|(holder, transitions, version)| Record {
                holder,
                duration: None,
                transitions,
                version,
            })),
            Reply::Written(version) => Self::Written(version),
            Reply::Conflict => Self::Conflict,
            Reply::Failed => Self::Failed,
        }
    }
}

impl Replica {
    /// What its clock shows.
    fn clock(&self, now: Instant) -> Instant {
        Instant::from_micros((now.as_micros() - self.origin) * self.rate / 1_000_000)
    }

    /// When its clock shows `clock`, rounded up.
    fn true_time(&self, clock: Instant) -> Instant {
        Instant::from_micros((clock.as_micros() * 1_000_000).div_ceil(self.rate) + self.origin)
    }
}
