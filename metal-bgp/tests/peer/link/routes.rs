//! What is announced, end to end: routes into a RIB-out, its messages through two machines and the network between
//! them, and what the other side has in the end.

use std::collections::BTreeMap;

use ipnet::IpNet;
use metal_bgp::{
    peer::{ConnectionId, Input, Negotiated, Stop},
    rib_out::{self, Audience, Export, RibOut, RouteSettings},
    wire::{Contents, Message, Session, attribute::NextHop, frame::Frame},
};
use metal_core::{Instant, Machine, drain};

use super::{Random, World};
use crate::support::secs;

/// What one side announces, and what it hears of the other one.
#[derive(Default)]
pub(super) struct Routes {
    rib: RibOut<()>,
    /// By connection, since that is what routes end with.
    heard: BTreeMap<ConnectionId, Heard>,
}

/// MED by prefix.
type Table = BTreeMap<IpNet, Option<u32>>;

#[derive(Default)]
struct Heard {
    table: Table,
    /// The beginning of a message that is not there yet.
    begun: Vec<u8>,
}

impl Routes {
    pub(super) fn up(&mut self, now: Instant, negotiated: &Negotiated) {
        let next_hop = Some(NextHop::V4([192, 0, 2, 1].into()));
        let Negotiated { send, local_as, families, .. } = *negotiated;
        let export = Export::new(send, local_as, families, next_hop, None).expect("a good export");
        let enhanced_refresh = negotiated.enhanced_route_refresh;
        self.rib.handle_input(now, rib_out::Input::Up { peer: (), export, enhanced_refresh });
    }

    pub(super) fn down(&mut self, now: Instant) {
        self.rib.handle_input(now, rib_out::Input::Down { peer: &() });
    }

    /// What arrives at this side, cut anywhere.
    pub(super) fn hear(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let heard = self.heard.entry(connection).or_default();
        heard.begun.extend(bytes);
        // What the machines agree on, and what they offer by default.
        let max = metal_bgp::wire::frame::MaxLength::Extended;
        let session = Session { four_octet_as: true, max_length: max, ..Session::default() };
        while let Ok(frame) = Frame::parse(&heard.begun, max) {
            if let Ok(Message::Update(update)) = Message::parse(&frame, &session) {
                let contents = Contents::of(&update);
                for gone in &contents.withdrawn {
                    heard.table.remove(&IpNet::V4(gone.prefix));
                }
                for there in &contents.nlri {
                    heard.table.insert(IpNet::V4(there.prefix), contents.attributes.multi_exit_disc);
                }
            }
            let length = frame.len();
            heard.begun.drain(..length);
        }
    }

    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.rib.poll_timeout()
    }

    /// Another route for one of a few prefixes, or none.
    fn change(&mut self, now: Instant, random: &mut Random) {
        let (host, med) = (random.below(400), random.below(5));
        let route = (med > 0).then(|| {
            let med = u32::try_from(med).ok();
            RouteSettings { med, ..RouteSettings::default() }.check().expect("a good route")
        });
        let input = rib_out::Input::Route { to: &Audience::All, prefix: prefix(host), route: route.as_ref() };
        self.rib.handle_input(now, input);
    }

    /// What the other side should have.
    fn wanted(&self) -> Table {
        let wanted = |prefix| Some((prefix, self.rib.wanted(&(), prefix)?.settings().med));
        (0..400).map(prefix).filter_map(wanted).collect()
    }
}

fn prefix(host: u64) -> IpNet {
    let [.., high, low] = host.to_be_bytes();
    // Some are inside others.
    let length = if host.is_multiple_of(8) { 29 } else { 32 };
    IpNet::new([10, 0, high, low].into(), length).expect("a prefix")
}

impl World {
    /// Routes change, and go as far as the machine takes them.
    pub(super) fn announce_routes(&mut self, side: usize) {
        let Some(routes) = &mut self.routes else { return };
        let routes = &mut routes[side];
        if self.random.chance(self.announcing) {
            for _ in 0..1 + self.random.below(60) {
                routes.change(self.now, &mut self.random);
            }
        }
        // Whoever has something is asked below anyway.
        drop(drain(&mut routes.rib, self.now));
        while let Some(session) = self.sides[side].peer.wants_updates() {
            let routes = self.routes.as_mut().expect("there are routes");
            let Some(update) = routes[side].rib.next_update(self.now, &()) else { break };
            self.tell(side, Input::Updates(session, update));
        }
    }
}

#[test]
fn what_the_receiver_has_is_what_is_wanted_when_it_is_quiet() {
    for seed in 200..230 {
        let mut world = World::new(seed);
        world.routes = Some(Default::default());
        world.announcing = 20;
        // Changes go on while the sessions come back.
        world.calm_down();
        world.announcing = 0;
        world.run(secs(5));
        let routes = world.routes.as_ref().expect("there are routes");
        for side in 0..2 {
            let connection = world.sides[1 - side].peer.negotiated().expect("a session").connection;
            let heard = routes[1 - side].heard.get(&connection).map(|heard| &heard.table);
            let wanted = routes[side].wanted();
            assert!(wanted.len() > 100, "seed {seed}: {} routes", wanted.len());
            assert_eq!(heard, Some(&wanted), "seed {seed}, what side {side} announces");
        }
        for side in 0..2 {
            world.tell(side, Input::Stop(Stop::Shutdown(String::new())));
            assert_eq!(world.sides[side].peer.counters().findings, Default::default(), "seed {seed}");
        }
    }
}
