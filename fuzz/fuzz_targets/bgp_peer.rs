//! The peer machine: any operations in any order.
//!
//! The bytes are a program: connections stand and fail, good and spoilt messages arrive cut anywhere, time passes,
//! the socket takes what it likes, sessions are stopped and configured anew. Whatever happens, the machine keeps its
//! laws, closes each connection once, sends whole messages in an order that a peer accepts, has one session at most,
//! and after a stop nothing of it is left.

#![no_main]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use libfuzzer_sys::fuzz_target;
use metal_bgp::{
    fsm::State,
    peer::{
        ConnectionId, Input, Mode, Offer, Output, Peer, PeerAs, Restart, SessionId, Settings, Stop, Transport,
    },
    wire::{
        Capability, Families, Family, Notification, Open, RouteRefresh,
        capability::{GracefulRestart, RestartFamily, Role},
        encode_keepalive,
        frame::{Frame, MaxLength, MessageType},
        refresh::Subtype,
    },
};
use metal_core::{Instant, Machine, drain};

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let mut world = World::new(take(&mut data));
    while !data.is_empty() {
        world.operate(&mut data);
    }
    world.tell(Input::Stop(Stop::Deconfigured));
    assert_eq!(world.peer.poll_timeout(), None);
    assert!(world.open.is_empty() && world.session.is_none());
    world.now += Duration::from_secs(1_000);
    assert!(drain(&mut world.peer, world.now).is_empty());
});

struct World {
    now: Instant,
    peer: Peer,
    /// What was written to each connection.
    open: BTreeMap<ConnectionId, Vec<u8>>,
    session: Option<SessionId>,
    former: Option<SessionId>,
    accepted: u64,
}

impl World {
    fn new(bits: u8) -> Self {
        let config = settings(bits).check().expect("good settings");
        let peer = Peer::new(config, bits.into());
        let now = Instant::from_secs(1);
        let mut world = Self { now, peer, open: BTreeMap::new(), session: None, former: None, accepted: 0 };
        world.tell(Input::Start);
        world
    }

    fn operate(&mut self, data: &mut &[u8]) {
        let operation = take(data);
        let which = usize::from(operation >> 7);
        let connection = self.peer.connections().nth(which).unwrap_or(ConnectionId::Dialled(1));
        let mut byte = || take(data);
        match operation & 31 {
            0 => self.now += Duration::from_millis(byte().into()),
            1 => self.now += Duration::from_secs(byte().into()),
            2 | 3 => self.now = self.peer.poll_timeout().unwrap_or(self.now).max(self.now),
            4 | 5 => self.tell(Input::Connected(connection)),
            6 => {
                self.accepted += 1;
                self.open.insert(ConnectionId::Accepted(self.accepted), Vec::new());
                self.tell(Input::Accepted(self.accepted));
            }
            7 => {
                let transport = match byte() & 3 {
                    0 => Transport::Refused,
                    1 => Transport::Closed,
                    2 => Transport::Reset,
                    _ => Transport::Other("no buffer".into()),
                };
                self.tell(Input::Failed(connection, transport));
            }
            8 => {
                let len = usize::from(byte()).min(data.len());
                let (bytes, rest) = data.split_at(len);
                *data = rest;
                self.tell(Input::Received(connection, bytes));
            }
            // A message, perhaps spoilt, perhaps in two parts.
            kind @ 9..=17 => {
                let bits = byte();
                let mut message = message(kind, bits);
                let spoil = byte();
                if spoil & 7 == 7 {
                    let at = usize::from(byte()) % message.len();
                    message[at] ^= spoil;
                }
                let cut = if spoil & 8 == 0 { message.len() } else { usize::from(byte()) % message.len() };
                let (first, second) = message.split_at(cut);
                self.tell(Input::Received(connection, first));
                if spoil & 16 == 0 {
                    self.tell(Input::Received(connection, second));
                }
            }
            18..=21 => {
                let len = usize::from(byte()) * if operation & 1 == 0 { 1 } else { 40 };
                self.write(connection, len);
            }
            22 | 23 => {
                let bits = byte();
                let session = if bits & 128 == 0 { self.session } else { self.former };
                if let Some(session) = session
                    && self.peer.wants_updates().is_some()
                {
                    let messages = message(12, bits).repeat(usize::from(bits & 3) + 1);
                    self.tell(Input::Updates(session, Arc::from(messages)));
                }
            }
            24 => self.tell(Input::Stop(stop(byte()))),
            25 => self.tell(Input::Restart(stop(byte()))),
            26 => {
                let config = settings(byte()).check().expect("good settings");
                self.tell(Input::Configure(config));
            }
            27 => self.tell(Input::Start),
            28 => self.tell(Input::BfdDown),
            29 => drop(self.peer.status().at(self.now).to_string()),
            _ => self.poll(),
        }
    }

    fn tell(&mut self, input: Input<'_>) {
        self.peer.handle_input(self.now, input);
        self.poll();
    }

    fn poll(&mut self) {
        for output in drain(&mut self.peer, self.now) {
            self.perform(output);
        }
        assert_eq!(self.peer.negotiated().map(|negotiated| negotiated.session), self.session);
        assert_eq!(self.peer.state() == State::Established, self.session.is_some());
        assert!(self.peer.connections().all(|connection| self.open.contains_key(&connection)));
        assert_eq!(self.peer.connections().count(), self.open.len());
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Connect(connection) => {
                assert!(self.open.insert(connection, Vec::new()).is_none());
            }
            Output::Close { connection, last_words } => {
                let mut sent = self.open.remove(&connection).expect("closed once");
                sent.extend(&last_words);
                check(&sent, !last_words.is_empty());
            }
            Output::Established(negotiated) => {
                assert!(self.session.is_none() && self.former < Some(negotiated.session));
                assert_ne!(negotiated.families, Families::NONE);
                self.session = Some(negotiated.session);
            }
            Output::RouteRefresh { session, .. } => assert_eq!(Some(session), self.session),
            Output::Ended(ending) => {
                assert!(!ending.to_string().is_empty());
                if ending.session.is_some() {
                    assert_eq!(ending.session, self.session);
                    self.former = self.session.take();
                }
            }
            Output::Malformed(told) => assert!(told.message.len() <= 4_096),
        }
    }

    fn write(&mut self, connection: ConnectionId, len: usize) {
        let bytes: Vec<u8> = self.peer.transmit(connection).flatten().copied().take(len).collect();
        if let Some(sent) = self.open.get_mut(&connection) {
            sent.extend(&bytes);
            self.tell(Input::Sent(connection, bytes.len()));
        }
    }
}

/// OPEN first, KEEPALIVE next, a NOTIFICATION last, whole messages where the connection was not just cut.
fn check(mut sent: &[u8], whole: bool) {
    let mut kinds = Vec::new();
    while let Ok(frame) = Frame::parse(sent, MaxLength::Extended) {
        kinds.push(frame.kind());
        sent = &sent[frame.len()..];
    }
    assert!(!whole || sent.is_empty(), "the last words complete what was begun");
    let notification = kinds.iter().position(|kind| *kind == MessageType::Notification);
    assert!(notification.is_none_or(|at| at + 1 == kinds.len()));
    assert!(!whole || notification.is_some());
    match kinds[..] {
        [] | [MessageType::Open] | [MessageType::Notification] => {}
        [MessageType::Open, MessageType::Notification | MessageType::Keepalive, ..] => {}
        _ => panic!("{kinds:?}"),
    }
}

fn settings(bits: u8) -> Settings {
    let family = [Family::IPV4_UNICAST, Family::IPV6_UNICAST][usize::from(bits >> 2 & 1)];
    let restart = Restart { time: 120, restarted: true, forwarding: true, notification: bits & 64 != 0 };
    Settings {
        mode: [Mode::Both, Mode::Dial, Mode::Both, Mode::Listen][usize::from(bits & 3)],
        families: Families::NONE.with(Family::IPV4_UNICAST).with(family),
        hold_time: if bits & 8 == 0 { 3 } else { 0 },
        peer_as: if bits & 16 == 0 { PeerAs::External } else { PeerAs::Is(64_513) },
        offer: Offer {
            graceful_restart: (bits & 32 != 0).then_some(restart),
            role: (bits & 128 != 0).then_some(Role::Customer),
            ..Offer::default()
        },
        send_hold_time: Some(Duration::from_secs(5)),
        ..Settings::new(64_512, PeerAs::External, [10, 0, 0, 2].into())
    }
}

fn stop(bits: u8) -> Stop {
    match bits & 7 {
        0 => Stop::Shutdown(String::new()),
        1 => Stop::Shutdown("maintenance".into()),
        2 => Stop::Deconfigured,
        3 => Stop::Reset("again".into()),
        4 => Stop::ConfigurationChange,
        5 => Stop::OutOfResources,
        _ => Stop::ForRestart,
    }
}

/// Mostly good ones: what is behind the OPEN is not reached otherwise.
fn message(kind: u8, bits: u8) -> Vec<u8> {
    let mut room = vec![0; 4_096];
    let len = match kind {
        9 | 10 => {
            let mut capabilities = Vec::new();
            if bits & 1 == 0 {
                capabilities.push(Capability::FourOctetAs(64_513));
                capabilities.push(Capability::Multiprotocol(Family::IPV4_UNICAST));
            }
            if bits & 2 != 0 {
                capabilities.push(Capability::ExtendedMessage);
                capabilities.push(Capability::Role(Role::Provider));
            }
            if bits & 4 != 0 {
                let families = vec![RestartFamily { family: Family::IPV4_UNICAST, forwarding: true }];
                capabilities.push(Capability::RouteRefresh);
                capabilities.push(Capability::GracefulRestart(GracefulRestart {
                    restarted: false,
                    notification: true,
                    restart_time: 9,
                    families: families.into(),
                }));
            }
            let asn = if bits & 8 == 0 || bits & 16 == 0 { 64_513 } else { 64_512 };
            let hold_time = if bits & 32 == 0 { 9 } else { 0 };
            let identifier = [10, 0, 0, 1 + (bits >> 6)].into();
            Open::new(asn, hold_time, identifier, capabilities).encode(&mut room)
        }
        11 | 17 => encode_keepalive(&mut room),
        12 => {
            let body = b"\x00\x00\x00\x14\x40\x01\x01\x00\x40\x02\x06\x02\x01\x00\x00\xfc\x01\x40\x03\x04\xc0\x00\x02\x01\x20\x0a\x00\x00";
            let mut message = Vec::new();
            let body = [&body[..], &[bits]].concat();
            Frame::new(MessageType::Update, &body, MaxLength::Standard).expect("good").emit(&mut message);
            return message;
        }
        13 => {
            let mut message = Vec::new();
            let body = [0, 0, 0, 4, 0x40, 1, 1, bits, 8, 10];
            Frame::new(MessageType::Update, &body, MaxLength::Standard).expect("good").emit(&mut message);
            return message;
        }
        14 => {
            let (code, subcode) = [(6, 2), (2, 4), (2, 7), (2, 1)][usize::from(bits & 3)];
            Notification::new(code, subcode, &[bits, 0]).encode(&mut room)
        }
        15 => {
            let subtype = Subtype::from_code(bits & 3);
            RouteRefresh { family: Family::IPV4_UNICAST, subtype }.encode(&mut room)
        }
        _ => {
            room[0] = bits;
            Ok(40)
        }
    };
    room.truncate(len.expect("room"));
    room
}

fn take(data: &mut &[u8]) -> u8 {
    let Some((first, rest)) = data.split_first() else { return 0 };
    *data = rest;
    *first
}
