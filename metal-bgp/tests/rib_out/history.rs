//! Any history of routes, sessions and slow readers, with routers that check what they are told. Bytes decide what
//! happens, so that the fuzzer can, too.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
    sync::{Arc, LazyLock},
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net};
use metal_bgp::{
    rib_out::{Audience, Export, Input, RibOut, Route, RouteSettings},
    validate::validate,
    wire::{
        Attributes, Contents, Families, Family, Message, Peer, Session,
        attribute::{Community, ExtendedCommunity, LargeCommunity, NextHop, Origin, PathSegment},
        build::Routes,
        frame::{Frame, MaxLength},
        refresh::Subtype,
    },
};
use metal_core::{Instant, Machine, machine::drain};

/// Plays what the bytes say, waits until it is quiet, and looks whether everybody knows what is wanted.
pub(crate) fn play(bytes: &[u8]) {
    let mut history = History::new();
    for [kind, one, two] in bytes.as_chunks::<3>().0 {
        history.step(*kind, *one, *two);
        history.poll();
    }
    history.settle();
}

struct History {
    rib: RibOut<u8>,
    now: Instant,
    step: usize,
    wanted: BTreeMap<(usize, IpNet), usize>,
    routers: BTreeMap<u8, Router>,
    /// Those that the machine has named.
    ready: BTreeSet<u8>,
    synced: Option<usize>,
    /// What routers of a kind have to hold of routes.
    told: RefCell<HashMap<Kind, Option<Held>>>,
}

/// What a router holds of a prefix.
type Held = Rc<(Attributes, NextHop)>;

/// A kind of router, a family, and routes.
type Kind = (usize, Family, Vec<usize>);

/// What the other end of a session knows.
struct Router {
    kind: usize,
    enhanced: bool,
    held: BTreeMap<IpNet, Held>,
    /// When what is wanted of a prefix has changed last.
    changed: BTreeMap<IpNet, usize>,
    /// What has to be held when a prefix is withdrawn.
    instead: BTreeMap<IpNet, BTreeSet<IpNet>>,
    ends: Vec<Family>,
    requests: BTreeMap<Family, usize>,
    repeats: BTreeMap<IpNet, usize>,
    /// What has to be told again.
    again: BTreeSet<IpNet>,
    /// Of a refresh that has begun, what has not been told again.
    stale: Option<(Family, BTreeSet<IpNet>)>,
}

impl History {
    fn new() -> Self {
        Self {
            rib: RibOut::new(),
            now: Instant::from_secs(1),
            step: 0,
            wanted: BTreeMap::new(),
            routers: BTreeMap::new(),
            ready: BTreeSet::new(),
            synced: None,
            told: RefCell::default(),
        }
    }

    fn step(&mut self, kind: u8, one: u8, two: u8) {
        self.step += 1;
        let peer = one % 5;
        match kind % 16 {
            0..=4 => {
                let prefix = prefix(one);
                let route = (two % 9).checked_sub(2).map(usize::from);
                self.set(usize::from(two / 9) % AUDIENCES, prefix, route);
            }
            5 => {
                // With so many communities it takes several messages.
                let route = (two % 9).checked_sub(2).map(|number| usize::from(number % 2) * 5 + 2);
                let from = u32::from(one % 4) * 100;
                for host in from..from + 250 {
                    let prefix = Ipv4Net::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + host)).into();
                    self.set(usize::from(two / 9) % 2, prefix, route);
                }
            }
            6 | 7 => self.up(peer, usize::from(two) % KINDS, two >= 128),
            8 if two < 64 => {
                self.rib.handle_input(self.now, Input::Down { peer: &peer });
                self.routers.remove(&peer);
                self.ready.remove(&peer);
            }
            9 => {
                let family = [Family::IPV4_UNICAST, Family::IPV6_UNICAST][usize::from(two % 2)];
                self.rib.handle_input(self.now, Input::Refresh { peer: &peer, family });
                if let Some(router) = self.routers.get_mut(&peer) {
                    router.request(family);
                }
            }
            10 if two < 32 => self.sync(),
            11 | 12 => self.now += Duration::from_millis(u64::from(two) / 8),
            _ => {
                for _ in 0..=two % 8 {
                    if !self.take(peer) {
                        break;
                    }
                }
            }
        }
    }

    fn set(&mut self, audience: usize, prefix: IpNet, route: Option<usize>) {
        let before: Vec<_> =
            self.routers.keys().map(|peer| (*peer, self.expected_of(*peer, prefix))).collect();
        let (to, what) = (audience_of(audience), route.map(|route| &ROUTES[route]));
        self.rib.handle_input(self.now, Input::Route { to: &to, prefix, route: what });
        match route {
            Some(route) => self.wanted.insert((audience, prefix), route),
            None => self.wanted.remove(&(audience, prefix)),
        };
        for (peer, before) in before {
            let after = self.expected_of(peer, prefix);
            if before == after {
                continue;
            }
            let instead = || {
                let all = self.wanted.keys().map(|(_, prefix)| *prefix);
                let overlapping = all.filter(|other| prefix.contains(other) || other.contains(&prefix));
                overlapping.filter(|other| self.expected_of(peer, *other).is_some()).collect()
            };
            let instead: Option<BTreeSet<_>> = after.is_none().then(instead);
            let router = self.routers.get_mut(&peer).expect("has a session");
            router.changed.insert(prefix, self.step);
            match instead {
                Some(instead) => {
                    router.instead.insert(prefix, instead);
                    router.instead.values_mut().for_each(|others| _ = others.remove(&prefix));
                }
                None => _ = router.instead.remove(&prefix),
            }
        }
    }

    fn up(&mut self, peer: u8, kind: usize, enhanced: bool) {
        let export = export_of(kind);
        self.ready.remove(&peer);
        self.rib.handle_input(self.now, Input::Up { peer, export, enhanced_refresh: enhanced });
        let router = Router {
            kind,
            enhanced,
            held: BTreeMap::new(),
            changed: BTreeMap::new(),
            instead: BTreeMap::new(),
            ends: vec![],
            requests: BTreeMap::new(),
            repeats: BTreeMap::new(),
            again: BTreeSet::new(),
            stale: None,
        };
        self.routers.insert(peer, router);
    }

    fn sync(&mut self) {
        self.synced.get_or_insert(self.step);
        self.rib.handle_input(self.now, Input::Synced);
    }

    /// The machine keeps its laws, and says who has something to be told.
    fn poll(&mut self) {
        self.ready.extend(drain(&mut self.rib, self.now));
    }

    /// A peer takes a message, if there is one.
    fn take(&mut self, peer: u8) -> bool {
        let message = self.rib.next_update(self.now, &peer);
        let Some(message) = message else {
            self.ready.remove(&peer);
            return false;
        };
        assert!(self.ready.contains(&peer), "peer {peer} has something to be told, but was not named");
        let router = self.routers.get_mut(&peer).expect("only sessions are told something");
        let end = router.receive(&message);
        if let Some(end) = end {
            let synced = self.synced.expect("End-of-RIB before all routes were said");
            let router = &self.routers[&peer];
            for (prefix, expected) in self.expected(peer) {
                let settled = router.changed.get(&prefix).is_none_or(|changed| *changed < synced);
                if family(prefix) == end && settled {
                    assert_eq!(router.held.get(&prefix), Some(&expected), "{prefix} at End-of-RIB of {peer}");
                }
            }
        }
        true
    }

    /// Until everybody has been told everything.
    fn settle(&mut self) {
        self.sync();
        self.poll();
        for _ in 0..1_000 {
            while let Some(peer) = self.ready.first().copied() {
                self.take(peer);
            }
            match self.rib.poll_timeout() {
                Some(at) => self.now = self.now.max(at),
                None => break,
            }
            self.poll();
        }
        assert_eq!(self.rib.poll_timeout(), None, "it does not become quiet");
        for (peer, router) in &self.routers {
            assert_eq!(router.held, self.expected(*peer), "what {peer} holds");
            assert!(router.again.is_empty() && router.stale.is_none(), "{peer} was not told all of it again");
            assert!(router.ends.iter().copied().eq(export_of(router.kind).families().iter()));
            assert_eq!(self.rib.next_update(self.now, peer), None);
        }
    }

    fn expected(&self, peer: u8) -> BTreeMap<IpNet, Held> {
        let prefixes = self.wanted.keys().map(|(_, prefix)| *prefix);
        prefixes.filter_map(|prefix| Some((prefix, self.expected_of(peer, prefix)?))).collect()
    }

    fn expected_of(&self, peer: u8, prefix: IpNet) -> Option<Held> {
        let kind = self.routers[&peer].kind;
        let audiences = (0..AUDIENCES).filter(|audience| audience_of(*audience).contains(&peer));
        let routes: Vec<_> = audiences.filter_map(|of| self.wanted.get(&(of, prefix)).copied()).collect();
        let mut known = self.told.borrow_mut();
        let held =
            known.entry((kind, family(prefix), routes)).or_insert_with_key(|(kind, family, routes)| {
                let route = routes
                    .iter()
                    .map(|route| ROUTES[*route].clone())
                    .reduce(|one, other| one.merge(&other))?;
                told(*kind, *family, &route.settings()).map(Rc::new)
            });
        held.clone()
    }
}

impl Router {
    fn request(&mut self, family: Family) {
        if export_of(self.kind).families().contains(family) {
            *self.requests.entry(family).or_default() += 1;
            self.again.extend(self.held.keys().filter(|prefix| self::family(**prefix) == family));
        }
    }

    /// Reads one message. The family, if it is an End-of-RIB marker.
    fn receive(&mut self, message: &Arc<[u8]>) -> Option<Family> {
        let export = export_of(self.kind);
        let session = export.session();
        let frame = Frame::parse(message, session.max_length).expect("a whole message");
        assert_eq!(frame.len(), message.len());
        let update = match Message::parse(&frame, session).expect("a good message") {
            Message::Update(update) => update,
            Message::RouteRefresh(refresh) => {
                assert!(self.enhanced);
                match refresh.subtype {
                    Subtype::Beginning => {
                        assert!(self.ends.contains(&refresh.family), "a refresh before End-of-RIB");
                        let all = self.held.keys().copied();
                        let stale = all.filter(|prefix| family(*prefix) == refresh.family).collect();
                        assert_eq!(self.stale.replace((refresh.family, stale)), None);
                    }
                    Subtype::End => {
                        assert_eq!(self.stale.take(), Some((refresh.family, BTreeSet::new())));
                    }
                    other => panic!("{other:?}"),
                }
                return None;
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(validate(&update).disposition(), None);
        if let Some(family) = update.end_of_rib() {
            assert!(export.families().contains(family) && !self.ends.contains(&family));
            self.ends.push(family);
            return Some(family);
        }
        let contents = Contents::of(&update);
        let (mut withdrawn, mut announced): (Vec<IpNet>, Vec<(IpNet, NextHop)>) = (vec![], vec![]);
        withdrawn.extend(contents.withdrawn.iter().map(|nlri| IpNet::V4(nlri.prefix)));
        withdrawn.extend(contents.mp_unreach.iter().flat_map(nets));
        let next_hop = contents.next_hop.map(NextHop::V4);
        announced
            .extend(contents.nlri.iter().map(|it| (IpNet::V4(it.prefix), next_hop.expect("a next hop"))));
        if let Some(reach) = &contents.mp_reach {
            announced.extend(nets(&reach.routes).into_iter().map(|prefix| (prefix, reach.next_hop)));
        }
        assert!(withdrawn.is_empty() != announced.is_empty(), "one of the two in a message");
        for prefix in withdrawn {
            assert!(self.held.remove(&prefix).is_some(), "{prefix} is withdrawn, but was not announced");
            for instead in self.instead.remove(&prefix).into_iter().flatten() {
                assert!(
                    self.held.contains_key(&instead),
                    "{prefix} is withdrawn before {instead} is announced"
                );
            }
            self.told_again(prefix);
        }
        for (prefix, next_hop) in announced {
            assert!(export.families().contains(family(prefix)));
            let had = self.held.insert(prefix, Rc::new((contents.attributes.clone(), next_hop)));
            if had.as_ref() == self.held.get(&prefix) {
                let repeats = self.repeats.entry(prefix).or_default();
                *repeats += 1;
                let requests = self.requests.get(&family(prefix)).copied().unwrap_or_default();
                assert!(*repeats <= requests, "{prefix} is announced again, but did not change");
            }
            self.told_again(prefix);
        }
        None
    }

    fn told_again(&mut self, prefix: IpNet) {
        self.again.remove(&prefix);
        if let Some((_, stale)) = &mut self.stale {
            stale.remove(&prefix);
        }
    }
}

fn nets(routes: &Routes) -> Vec<IpNet> {
    match routes {
        Routes::Ipv4(_, list) => list.iter().map(|nlri| IpNet::V4(nlri.prefix)).collect(),
        Routes::Ipv6(_, list) => list.iter().map(|nlri| IpNet::V6(nlri.prefix)).collect(),
    }
}

fn family(prefix: IpNet) -> Family {
    match prefix {
        IpNet::V4(_) => Family::IPV4_UNICAST,
        IpNet::V6(_) => Family::IPV6_UNICAST,
    }
}

/// Prefixes inside each other and beside.
fn prefix(number: u8) -> IpNet {
    let text = [
        "192.0.2.0/24",
        "192.0.2.0/25",
        "192.0.2.128/25",
        "192.0.2.0/32",
        "192.0.2.1/32",
        "192.0.2.130/32",
        "0.0.0.0/0",
        "198.51.100.7/32",
        "10.0.0.0/8",
        "10.0.1.0/24",
        "2001:db8::/32",
        "2001:db8::/64",
        "2001:db8::1/128",
        "2001:db8:0:1::1/128",
        "::/0",
        "2001:db8:ffff::/48",
    ][usize::from(number % 16)];
    text.parse().expect("a prefix")
}

const AUDIENCES: usize = 4;

fn audience_of(number: usize) -> Audience<u8> {
    match number {
        0 => Audience::All,
        1 => Audience::Only([0, 1].into()),
        2 => Audience::Only([1, 2].into()),
        _ => Audience::Only([3].into()),
    }
}

fn route_of(number: usize) -> Route {
    let default = RouteSettings::default;
    let settings = match number {
        0 => default(),
        1 => RouteSettings { local_pref: Some(200), ..default() },
        2 => RouteSettings { med: Some(5), communities: (0..890).map(Community).collect(), ..default() },
        3 => RouteSettings { next_hop_v4: "203.0.113.9".parse().ok(), ..default() },
        4 => {
            let bandwidth = [true, false].map(|it| ExtendedCommunity::link_bandwidth(64_512, 1e9, it));
            let extended_communities = bandwidth.into_iter().flatten().collect();
            RouteSettings { prepend: 2, extended_communities, ..default() }
        }
        5 => {
            let large = LargeCommunity { global: 64_512, local1: 1, local2: 2 };
            RouteSettings { large_communities: vec![large], local_pref: Some(50), ..default() }
        }
        6 => RouteSettings { next_hop_v6: "2001:db8::99".parse().ok(), med: Some(1), ..default() },
        _ => RouteSettings { communities: (100..990).map(Community).collect(), ..default() },
    };
    settings.check().expect("a good route")
}

static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| (0..8).map(route_of).collect());

const KINDS: usize = 4;
const LOCAL_AS: u32 = 64_512;

fn export_of(kind: usize) -> Export {
    let external = Session { four_octet_as: true, ..Session::default() };
    let both = Families::NONE.with(Family::IPV4_UNICAST).with(Family::IPV6_UNICAST);
    let (session, families) = match kind {
        0 => (external, both),
        1 => (Session { peer: Peer::Internal, ..external }, both),
        2 => (Session { max_length: MaxLength::Extended, ..Session::default() }, both),
        _ => (external, Families::NONE.with(Family::IPV4_UNICAST)),
    };
    let [v4, v6] = next_hops(kind);
    Export::new(session, LOCAL_AS, families, v4, v6).expect("a good export")
}

/// The third kind has no next hop for IPv6, the fourth one of IPv6 for IPv4.
fn next_hops(kind: usize) -> [Option<NextHop>; 2] {
    let v4 = NextHop::V4([192, 0, 2, 254].into());
    let v6 = NextHop::V6("2001:db8::254".parse().expect("an address"));
    match kind {
        0 | 1 => [Some(v4), Some(v6)],
        2 => [Some(v4), None],
        _ => [Some(v6), None],
    }
}

/// What a router of this kind has to hold of a route.
fn told(kind: usize, family: Family, route: &RouteSettings) -> Option<(Attributes, NextHop)> {
    let [v4, v6] = next_hops(kind);
    let next_hop = match family {
        Family::IPV4_UNICAST => route.next_hop_v4.map(NextHop::V4).or(v4)?,
        _ => route.next_hop_v6.map(NextHop::V6).or(v6)?,
    };
    if !export_of(kind).families().contains(family) {
        return None;
    }
    let internal = kind == 1;
    let path = vec![PathSegment::sequence(vec![LOCAL_AS; 1 + usize::from(route.prepend)])];
    let mut extended = route.extended_communities.clone();
    extended.retain(|community| internal || community.is_transitive());
    extended.sort_unstable();
    let attributes = Attributes {
        origin: Some(Origin::Igp),
        as_path: Some(if internal { vec![] } else { path }),
        multi_exit_disc: route.med,
        local_pref: internal.then_some(route.local_pref.unwrap_or(100)),
        communities: route.communities.clone(),
        extended_communities: extended,
        large_communities: route.large_communities.clone(),
        ..Attributes::default()
    };
    Some((attributes, next_hop))
}
