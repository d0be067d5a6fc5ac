//! Where a peer is told to send packets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use metal_bgp::wire::attribute::NextHop;

/// The next hops of IPv4 and of IPv6 prefixes in a session: our end of the connection, and what is `configured` for the
/// family that it is not of. Where the peer takes IPv6 next hops for IPv4 prefixes (`extended`), our end serves both. A
/// link-local end is told with the global address, if there is one.
pub(crate) fn next_hops(
    local: IpAddr,
    extended: bool,
    configured: (Option<Ipv4Addr>, Option<Ipv6Addr>),
) -> (Option<NextHop>, Option<NextHop>) {
    let (v4, v6) = configured;
    match local.to_canonical() {
        IpAddr::V4(own) => (Some(NextHop::V4(own)), v6.map(NextHop::V6)),
        IpAddr::V6(own) => {
            let own = match v6 {
                Some(global) if own.is_unicast_link_local() => NextHop::V6Pair { global, link_local: own },
                _ => NextHop::V6(own),
            };
            (if extended { Some(own) } else { v4.map(NextHop::V4) }, Some(own))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

    #[test]
    fn our_end_of_the_connection_goes_before_what_is_configured() {
        let other = (Some([198, 51, 100, 9].into()), Some(Ipv6Addr::LOCALHOST));
        assert_eq!(next_hops(V4.into(), false, other).0, Some(NextHop::V4(V4)));
        assert_eq!(next_hops(V6.into(), false, other).1, Some(NextHop::V6(V6)));
        assert_eq!(next_hops(V4.into(), false, (None, None)), (Some(NextHop::V4(V4)), None));
        assert_eq!(next_hops(V6.into(), false, (None, None)), (None, Some(NextHop::V6(V6))));
    }

    #[test]
    fn an_ipv4_address_is_never_told_as_an_ipv6_one() {
        let mapped = V4.to_ipv6_mapped().into();
        assert_eq!(next_hops(mapped, true, (None, Some(V6))), (Some(NextHop::V4(V4)), Some(NextHop::V6(V6))));
    }

    #[test]
    fn ipv4_by_ipv6_only_where_the_peer_takes_it() {
        let configured = (Some(V4), None);
        let own = Some(NextHop::V6(V6));
        assert_eq!(next_hops(V6.into(), false, configured), (Some(NextHop::V4(V4)), own));
        assert_eq!(next_hops(V6.into(), true, configured), (own, own));
    }

    #[test]
    fn a_link_local_end_with_and_without_a_global_address() {
        let alone = Some(NextHop::V6(LINK_LOCAL));
        assert_eq!(next_hops(LINK_LOCAL.into(), true, (None, None)), (alone, alone));
        let pair = Some(NextHop::V6Pair { global: V6, link_local: LINK_LOCAL });
        assert_eq!(next_hops(LINK_LOCAL.into(), true, (None, Some(V6))), (pair, pair));
    }
}
