//! What the tests share.

use std::sync::Arc;

use ipnet::IpNet;
use metal_bgp::{
    rib_out::{Audience, Export, Input, RibOut, Route, RouteSettings},
    wire::{
        Contents, Families, Family, Message, Peer, Session, attribute::NextHop, build::Routes, frame::Frame,
    },
};
use metal_core::{Instant, Machine};

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

/// 10.0.0.0/32 and those behind it.
pub(crate) fn hosts(count: u32) -> impl Iterator<Item = IpNet> {
    (0..count).map(|host| IpNet::from(std::net::IpAddr::V4((0x0a00_0000 + host).into())))
}

pub(crate) fn both() -> Families {
    Families::NONE.with(Family::IPV4_UNICAST).with(Family::IPV6_UNICAST)
}

pub(crate) fn export(peer: Peer) -> Export {
    let session = Session { peer, four_octet_as: true, ..Session::default() };
    let v4 = NextHop::V4([192, 0, 2, 254].into());
    let v6 = NextHop::V6("2001:db8::254".parse().expect("an address"));
    Export::new(session, 64_512, both(), Some(v4), Some(v6)).expect("a good export")
}

pub(crate) fn with_med(med: u32) -> Route {
    RouteSettings { med: Some(med), ..RouteSettings::default() }.check().expect("a good route")
}

/// What is in one message, in short.
pub(crate) fn read(message: &Arc<[u8]>) -> String {
    let session = Session { four_octet_as: true, ..Session::default() };
    let frame = Frame::parse(message, session.max_length).expect("a whole message");
    let update = match Message::parse(&frame, &session).expect("a good message") {
        Message::Update(update) => update,
        Message::RouteRefresh(refresh) => return format!("{:?} of {}", refresh.subtype, refresh.family),
        other => panic!("{other:?}"),
    };
    if let Some(family) = update.end_of_rib() {
        return format!("end of {family}");
    }
    let contents = Contents::of(&update);
    let mut gone: Vec<IpNet> = contents.withdrawn.iter().map(|it| IpNet::V4(it.prefix)).collect();
    gone.extend(contents.mp_unreach.iter().flat_map(nets));
    let mut there: Vec<IpNet> = contents.nlri.iter().map(|it| IpNet::V4(it.prefix)).collect();
    there.extend(contents.mp_reach.iter().flat_map(|reach| nets(&reach.routes)));
    match (&*gone, &*there) {
        ([prefix], []) => format!("-{prefix}"),
        ([], [prefix]) => match contents.attributes.multi_exit_disc {
            Some(med) => format!("+{prefix} med {med}"),
            None => format!("+{prefix}"),
        },
        (gone, []) => format!("-{}", gone.len()),
        ([], there) => format!("+{}", there.len()),
        (gone, there) => panic!("{gone:?} {there:?}"),
    }
}

fn nets(routes: &Routes) -> Vec<IpNet> {
    match routes {
        Routes::Ipv4(_, list) => list.iter().map(|it| IpNet::V4(it.prefix)).collect(),
        Routes::Ipv6(_, list) => list.iter().map(|it| IpNet::V6(it.prefix)).collect(),
    }
}

/// A speaker whose peers are numbers.
pub(crate) struct Speaker {
    pub(crate) rib: RibOut<u32>,
    pub(crate) now: Instant,
}

impl Speaker {
    pub(crate) fn new() -> Self {
        Self { rib: RibOut::new(), now: Instant::from_secs(1) }
    }

    pub(crate) fn up(&mut self, peer: u32, kind: Peer) {
        let input = Input::Up { peer, export: export(kind), enhanced_refresh: false };
        self.rib.handle_input(self.now, input);
    }

    pub(crate) fn set(&mut self, prefix: IpNet, route: Option<&Route>) {
        self.set_for(&Audience::All, prefix, route);
    }

    pub(crate) fn set_for(&mut self, to: &Audience<u32>, prefix: IpNet, route: Option<&Route>) {
        self.rib.handle_input(self.now, Input::Route { to, prefix, route });
    }

    pub(crate) fn announce(&mut self, prefix: &str) {
        self.set(net(prefix), Some(&Route::default()));
    }

    pub(crate) fn withdraw(&mut self, prefix: &str) {
        self.set(net(prefix), None);
    }

    pub(crate) fn synced(&mut self) {
        self.rib.handle_input(self.now, Input::Synced);
    }

    pub(crate) fn next(&mut self, peer: u32) -> Option<Arc<[u8]>> {
        self.rib.next_update(self.now, &peer)
    }

    /// All that a peer is told now.
    pub(crate) fn messages(&mut self, peer: u32) -> Vec<Arc<[u8]>> {
        std::iter::from_fn(|| self.next(peer)).collect()
    }

    /// The same, to be read.
    pub(crate) fn told(&mut self, peer: u32) -> Vec<String> {
        self.messages(peer).iter().map(read).collect()
    }
}
