//! A peer as the sessions take it.

use std::{
    net::{Ipv6Addr, SocketAddr, SocketAddrV6},
    num::NonZeroU8,
};

use metal_bgp::{
    peer::{Mode, PeerAs, Restart, Settings},
    wire::{Families, Family},
};
use metal_bgp_io::Neighbor;
use metal_core::{
    config::bgp::{ConnectionMode, Peer, PeerAsn, Router},
    speaker::bgp::{Session, Target},
    view,
};
use metal_net::tcp::{Dial, Md5Key, Options, Ttl};

/// For how long a router keeps what it was told while this process restarts: two minutes are enough to fetch an image.
const RESTART_TIME: u16 = 120;

/// Packets pass as many routers as they may. MetalLB has always let them, whether `ebgpMultiHop` is set or not.
const FAR: Ttl = Ttl::Multihop(NonZeroU8::MAX);

/// The neighbour for a session. `restarted`: another process of this node has spoken to it before.
///
/// # Errors
/// In words, what of it cannot be.
pub(super) fn neighbor(session: &Session, restarted: bool) -> Result<Neighbor, String> {
    let Session { peer, target, router_id, password, next_hops } = session;
    let mut settings = Settings::new(peer.my_asn, peer_as(peer), *router_id);
    settings.local_as = peer.local_asn;
    settings.hold_time = peer.hold_time;
    settings.keepalive = peer.keepalive_time;
    settings.families = families(peer);
    settings.mode = match peer.mode {
        ConnectionMode::Dial => Mode::Dial,
        ConnectionMode::Listen => Mode::Listen,
        ConnectionMode::Both => Mode::Both,
    };
    if let Some(pause) = peer.connect_time {
        settings.retry_limit = pause;
    }
    // Over IPv6 alone there may be no IPv4 address to be the next hop.
    let over_v6 = !matches!(target, Target::Address(address) if address.is_ipv4());
    settings.offer.extended_next_hop = over_v6 && peer.takes(view::Family::V4);
    settings.offer.link_local_next_hop = matches!(peer.router, Router::Interface(_) | Router::LinkLocal(..));
    settings.offer.graceful_restart = peer.graceful_restart.then_some(Restart {
        time: RESTART_TIME,
        restarted,
        forwarding: true,
        notification: true,
    });
    let config = settings.check().map_err(|error| error.to_string())?;

    let peer_address = match *target {
        Target::Address(address) => SocketAddr::new(address, peer.port),
        Target::LinkLocal(address, link) => SocketAddrV6::new(address, peer.port, 0, link).into(),
        // Whoever answers there.
        Target::Link(_) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), peer.port),
    };
    let mut dial = Dial::to(peer_address);
    dial.source = peer.source_address;
    dial.device.clone_from(&peer.vrf);
    let key = password.as_ref().map(|password| Md5Key::new(password.expose().as_bytes()));
    dial.key = key.transpose().map_err(|error| error.to_string())?;
    let ttl = if peer.ttl_security { Ttl::Gtsm(NonZeroU8::MIN) } else { FAR };
    dial.options = Options { ttl, ..Options::default() };
    let mut neighbor = Neighbor::new(dial, config);
    neighbor.next_hops = *next_hops;
    neighbor.link = match *target {
        Target::Link(link) => Some(link),
        Target::Address(_) | Target::LinkLocal(..) => None,
    };
    Ok(neighbor)
}

fn peer_as(peer: &Peer) -> PeerAs {
    match peer.peer_asn {
        PeerAsn::Is(asn) => PeerAs::Is(asn),
        PeerAsn::Internal => PeerAs::Internal,
        PeerAsn::External => PeerAs::External,
    }
}

fn families(peer: &Peer) -> Families {
    let pairs = [(view::Family::V4, Family::IPV4_UNICAST), (view::Family::V6, Family::IPV6_UNICAST)];
    pairs.into_iter().filter(|(family, _)| peer.takes(*family)).map(|(_, family)| family).collect()
}
