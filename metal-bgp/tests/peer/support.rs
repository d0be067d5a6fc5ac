//! A machine, and the hand of a test at the other end.

use std::{sync::Arc, time::Duration};

use metal_bgp::{
    fsm::State,
    peer::{ConnectionId, Ending, Input, Negotiated, Output, Peer, PeerAs, SessionId, Settings},
    wire::{
        Attributes, Capability, Families, Family, Message, Notification, Open, Packer, RouteRefresh, Safi,
        Session,
        attribute::NextHop,
        build::Originate,
        encode_keepalive,
        frame::{Frame, MaxLength, MessageType},
    },
};
use metal_core::{Instant, Machine, drain};

pub(crate) const OURS: u32 = 64_512;
pub(crate) const THEIRS: u32 = 64_513;

/// An external peer, IPv4 unicast, a hold time of 9 s.
pub(crate) fn settings() -> Settings {
    Settings { hold_time: 9, ..Settings::new(OURS, PeerAs::Is(THEIRS), [10, 0, 0, 1].into()) }
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What the machine has put on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Open(Open<'static>),
    Update(Vec<u8>),
    Notification(u8, u8, Vec<u8>),
    Keepalive,
    RouteRefresh(RouteRefresh),
}

/// Whole messages.
pub(crate) fn read(mut bytes: &[u8]) -> Vec<Said> {
    let mut said = Vec::new();
    while !bytes.is_empty() {
        let frame = Frame::parse(bytes, MaxLength::Extended).expect("whole messages");
        let session = Session { four_octet_as: true, ..Session::default() };
        said.push(match Message::parse(&frame, &session).expect("a good message") {
            Message::Open(open) => Said::Open(open.into_owned()),
            Message::Update(update) => Said::Update(update.as_bytes().to_vec()),
            Message::Notification(it) => Said::Notification(it.code, it.subcode, it.data.to_vec()),
            Message::Keepalive => Said::Keepalive,
            Message::RouteRefresh(refresh) => Said::RouteRefresh(refresh),
        });
        bytes = &bytes[frame.len()..];
    }
    said
}

pub(crate) struct Bench {
    pub(crate) peer: Peer,
    pub(crate) now: Instant,
    /// The connection that is talked over.
    pub(crate) connection: ConnectionId,
}

impl Bench {
    /// Not started.
    pub(crate) fn new(settings: Settings) -> Self {
        let config = settings.check().expect("good settings");
        Self {
            peer: Peer::new(config, 1),
            now: Instant::from_secs(100),
            connection: ConnectionId::Dialled(0),
        }
    }

    /// Started, and the first connection stands.
    pub(crate) fn connected(settings: Settings) -> Self {
        let mut bench = Self::new(settings);
        let outputs = bench.tell(Input::Start);
        let [Output::Connect(connection)] = outputs[..] else { panic!("{outputs:?}") };
        bench.connect(connection);
        bench
    }

    /// With a session.
    pub(crate) fn established(settings: Settings) -> Self {
        let mut bench = Self::connected(settings);
        bench.establish(&theirs());
        bench
    }

    /// The connection stands, and the peer has both our OPEN and sent its own.
    pub(crate) fn establish(&mut self, theirs: &Open<'_>) -> Arc<Negotiated> {
        self.heard();
        self.establish_later(theirs)
    }

    /// The same after our OPEN was heard.
    pub(crate) fn establish_later(&mut self, theirs: &Open<'_>) -> Arc<Negotiated> {
        assert_eq!(self.say(&open(theirs)), [], "no session yet");
        assert_eq!(self.heard(), [Said::Keepalive]);
        let outputs = self.say(&keepalive());
        let [Output::Established(negotiated)] = &outputs[..] else { panic!("{outputs:?}") };
        assert_eq!(self.peer.state(), State::Established);
        Arc::clone(negotiated)
    }

    pub(crate) fn connect(&mut self, connection: ConnectionId) {
        self.connection = connection;
        assert_eq!(self.tell(Input::Connected(connection)), []);
    }

    /// Waits for the machine to dial again, and lets that connection stand.
    pub(crate) fn reconnect(&mut self) {
        let connection = self.redialled().1;
        self.connect(connection);
    }

    /// When the machine dials again, and its connection.
    pub(crate) fn redialled(&mut self) -> (Duration, ConnectionId) {
        let began = self.now;
        let dialled = self.until(|output| matches!(output, Output::Connect(_)));
        let Some(Output::Connect(connection)) = dialled.last() else { panic!("{dialled:?}") };
        (self.now.since(began), *connection)
    }

    pub(crate) fn tell(&mut self, input: Input<'_>) -> Vec<Output> {
        self.peer.handle_input(self.now, input);
        drain(&mut self.peer, self.now)
    }

    pub(crate) fn say(&mut self, bytes: &[u8]) -> Vec<Output> {
        self.tell(Input::Received(self.connection, bytes))
    }

    /// The socket takes everything.
    pub(crate) fn heard(&mut self) -> Vec<Said> {
        let bytes = self.peer.transmit(self.connection).flatten().copied().collect::<Vec<_>>();
        assert_eq!(self.tell(Input::Sent(self.connection, bytes.len())), []);
        assert_eq!(self.peer.transmit(self.connection).count(), 0);
        read(&bytes)
    }

    /// Lets time pass, and stops at each deadline.
    pub(crate) fn pass(&mut self, time: Duration) -> Vec<Output> {
        let end = self.now + time;
        let mut outputs = Vec::new();
        while let Some(next) = self.peer.poll_timeout().filter(|next| *next <= end) {
            self.now = next;
            outputs.extend(drain(&mut self.peer, next));
        }
        self.now = end;
        outputs
    }

    /// Lets time pass until there is an output like this, which is the last.
    pub(crate) fn until(&mut self, wanted: impl Fn(&Output) -> bool) -> Vec<Output> {
        let mut outputs = Vec::new();
        while !outputs.last().is_some_and(&wanted) {
            self.now = self.peer.poll_timeout().expect("something happens");
            outputs.extend(drain(&mut self.peer, self.now));
        }
        outputs
    }

    pub(crate) fn session(&self) -> SessionId {
        self.peer.negotiated().expect("a session").session
    }
}

/// What was closed with which last words, and why.
pub(crate) fn closed(outputs: &[Output]) -> (Vec<Said>, Ending) {
    let [Output::Close { connection, last_words }, Output::Ended(ending), ..] = outputs else {
        panic!("not closed: {outputs:?}")
    };
    assert_eq!(*connection, ending.connection);
    (read(last_words), ending.clone())
}

/// The peer's OPEN: what most routers say.
pub(crate) fn theirs() -> Open<'static> {
    their_open(vec![
        Capability::Multiprotocol(Family::IPV4_UNICAST),
        Capability::RouteRefresh,
        Capability::EnhancedRouteRefresh,
        Capability::ExtendedMessage,
        Capability::FourOctetAs(THEIRS),
    ])
}

pub(crate) fn their_open(capabilities: Vec<Capability<'static>>) -> Open<'static> {
    Open::new(THEIRS, 90, [10, 0, 0, 2].into(), capabilities)
}

pub(crate) fn open(open: &Open<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 4_096];
    let len = open.encode(&mut bytes).expect("room");
    bytes.truncate(len);
    bytes
}

pub(crate) fn keepalive() -> Vec<u8> {
    let mut bytes = vec![0; 19];
    encode_keepalive(&mut bytes).expect("room");
    bytes
}

pub(crate) fn notification(code: u8, subcode: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 4_096];
    let len = Notification::new(code, subcode, data).encode(&mut bytes).expect("room");
    bytes.truncate(len);
    bytes
}

pub(crate) fn refresh(refresh: RouteRefresh) -> Vec<u8> {
    let mut bytes = vec![0; 23];
    refresh.encode(&mut bytes).expect("room");
    bytes
}

/// A message of any body.
pub(crate) fn message(kind: MessageType, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Frame::new(kind, body, MaxLength::Extended).expect("a good length").emit(&mut bytes);
    bytes
}

/// Packed UPDATEs with this many prefixes.
pub(crate) fn updates(count: u32) -> Vec<u8> {
    let session = Session { four_octet_as: true, ..Session::default() };
    let attributes = Attributes::originate(Originate::External { own_as: OURS });
    let prefixes: Vec<ipnet::Ipv4Net> =
        (0..count).map(|n| ipnet::Ipv4Net::new((0x0a00_0000 + n).into(), 32).expect("a prefix")).collect();
    let next_hop = NextHop::V4([10, 0, 0, 1].into());
    let mut packer =
        Packer::announce(&attributes, next_hop, Safi::UNICAST, prefixes.iter(), &session).expect("good");
    let mut bytes = Vec::new();
    packer.append_to(&mut bytes).expect("room");
    bytes
}

/// Both unicast families.
pub(crate) fn dual() -> Families {
    Families::NONE.with(Family::IPV4_UNICAST).with(Family::IPV6_UNICAST)
}
