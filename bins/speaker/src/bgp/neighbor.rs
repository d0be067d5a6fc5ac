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

#[cfg(test)]
mod tests {
    use metal_core::{
        config::{
            Configuration, Object, ObjectRef, ObjectStatus, Spec,
            bgp::{PeerSpec, Secret},
        },
        selector::Labels,
    };

    use super::*;

    fn session(target: Target, edit: impl FnOnce(&mut PeerSpec)) -> Session {
        let mut spec = PeerSpec { my_asn: 64512, peer_asn: Some(64513), ..PeerSpec::default() };
        match target {
            Target::Address(address) => spec.peer_address = Some(address.to_string()),
            Target::LinkLocal(address, _) => {
                (spec.peer_address, spec.interface) = (Some(address.to_string()), Some("eth0".into()));
            }
            Target::Link(_) => spec.interface = Some("eth0".into()),
        }
        edit(&mut spec);
        let mut configuration = Configuration::new();
        let object = ObjectRef { kind: "BGPPeer", namespace: "metallb-system".into(), name: "tor".into() };
        let (labels, status) = (Labels::new(), ObjectStatus::default());
        let spec = Spec::BgpPeer(Box::new(spec));
        configuration.apply(object, Some(Object { created: None, labels, spec, status }));
        configuration.synced();
        let refused = configuration.take_changes().verdicts;
        let Some(peer) = configuration.snapshot().bgp().peers().next() else { panic!("{refused:?}") };
        Session {
            peer: peer.clone(),
            target,
            router_id: [10, 0, 0, 1].into(),
            password: None,
            next_hops: (Some([10, 0, 0, 1].into()), None),
        }
    }

    #[test]
    fn what_nobody_has_configured() {
        let tor = Target::Address([192, 0, 2, 1].into());
        let made = neighbor(&session(tor, |_| {}), true).unwrap();
        assert_eq!(made.dial.peer, "192.0.2.1:179".parse().unwrap());
        assert_eq!((made.dial.key, made.dial.source, made.link), (None, None, None));
        assert_eq!(
            made.dial.options.ttl.sent(),
            255,
            "MetalLB's own sessions pass routers without ebgpMultiHop"
        );
        let settings = made.config.settings();
        assert_eq!((settings.my_as, settings.peer_as), (64512, PeerAs::Is(64513)));
        assert_eq!((settings.hold_time, settings.mode), (90, Mode::Dial));
        assert_eq!(settings.families, Families::NONE.with(Family::IPV4_UNICAST));
        assert_eq!((settings.offer.graceful_restart, settings.offer.extended_next_hop), (None, false));
    }

    #[test]
    fn what_is_configured_is_heeded() {
        let edit = |spec: &mut PeerSpec| {
            spec.dual_stack = true;
            spec.graceful_restart = true;
            spec.ttl_security = true;
            spec.connection_mode = Some("Listen".into());
            spec.peer_port = Some(1790);
        };
        let mut wanted = session(Target::Address([192, 0, 2, 1].into()), edit);
        wanted.password = Some(Secret::from("sesame"));
        let made = neighbor(&wanted, true).unwrap();
        assert_eq!(made.dial.peer.port(), 1790);
        assert!(made.dial.key.is_some() && !format!("{made:?}").contains("sesame"));
        assert_eq!(made.dial.options.ttl, Ttl::Gtsm(NonZeroU8::MIN));
        let settings = made.config.settings();
        assert_eq!(settings.mode, Mode::Listen);
        assert!(
            settings.families.contains(Family::IPV4_UNICAST)
                && settings.families.contains(Family::IPV6_UNICAST)
        );
        let restart = settings.offer.graceful_restart.unwrap();
        assert!(restart.restarted && restart.forwarding);
        assert!(!settings.offer.extended_next_hop, "over IPv4 there is a next hop");
    }

    #[test]
    fn peers_on_a_link() {
        let fe80 = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let made = neighbor(&session(Target::LinkLocal(fe80, 7), |_| {}), false).unwrap();
        assert_eq!(made.dial.peer, SocketAddrV6::new(fe80, 179, 0, 7).into());
        assert!(made.config.settings().offer.link_local_next_hop);
        let made = neighbor(&session(Target::Link(7), |_| {}), false).unwrap();
        assert_eq!((made.link, made.dial.peer.port()), (Some(7), 179));
        assert!(made.config.settings().offer.extended_next_hop, "both families, by one link-local address");
    }

    #[test]
    fn what_cannot_be_is_said() {
        let mut wanted = session(Target::Address([192, 0, 2, 1].into()), |_| {});
        wanted.password = Some(Secret::from("x".repeat(81).as_str()));
        let why = neighbor(&wanted, false).unwrap_err();
        assert!(why.contains("81 bytes"), "{why}");
    }
}
