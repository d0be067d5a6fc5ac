//! The peer's OPEN beside ours: what both can do, or why there is no session.

use alloc::vec::Vec;
use core::{fmt, net::Ipv4Addr, time::Duration};

use super::{
    ConnectionId, SessionId,
    settings::{Config, IPV4_OVER_IPV6, PeerAs, Settings},
};
use crate::wire::{
    Capability, Families, Family, Open, Peer, Session,
    capability::Role,
    notification::code,
    open::{self, negotiate},
};

/// What the two sides of a session agreed on. It never changes while the session lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The session.
    pub session: SessionId,
    /// The connection that it uses.
    pub connection: ConnectionId,
    /// Whether the peer is in the same AS.
    pub kind: Peer,
    /// The AS that we have shown.
    pub local_as: u32,
    /// The peer's AS.
    pub peer_as: u32,
    /// The peer's BGP Identifier.
    pub peer_id: Ipv4Addr,
    /// The families in use: announce these, and end each with End-of-RIB.
    pub families: Families,
    /// The families that are configured, but that the peer does not have.
    pub missing: Families,
    /// How the bytes that we send are written.
    pub send: Session,
    /// How the bytes of the peer are read.
    pub receive: Session,
    /// The hold time; zero is no timers at all.
    pub hold_time: Duration,
    /// The longest time between two KEEPALIVEs.
    pub keepalive: Duration,
    /// The peer may ask for everything again, and we may.
    pub route_refresh: bool,
    /// Both sides mark where that begins and ends.
    pub enhanced_route_refresh: bool,
    /// IPv4 prefixes may be announced with IPv6 next hops.
    pub extended_next_hop: bool,
    /// Link-local next hops may be announced alone.
    pub link_local_next_hop: bool,
    /// What the peer does while we restart, when both sides have graceful restart.
    pub graceful_restart: Option<PeerRestart>,
    /// All capabilities of the peer.
    pub capabilities: Vec<Capability<'static>>,
}

/// The peer in graceful restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerRestart {
    /// It has just restarted itself.
    pub restarted: bool,
    /// A NOTIFICATION keeps routes as well: both sides have said so (RFC 8538).
    pub notification: bool,
    /// The families for which it takes part.
    pub families: Families,
}

/// Why an OPEN that is well-formed is not acceptable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 2/2: the peer is in another AS than expected.
    WrongAs {
        /// The AS of its OPEN.
        found: u32,
        /// What is configured.
        expected: PeerAs,
        /// Our own AS.
        ours: u32,
    },
    /// 2/3: an internal peer has our BGP Identifier.
    SameIdentifier(Ipv4Addr),
    /// 2/7: there is no family that both sides have.
    NoFamily {
        /// What is configured.
        ours: Families,
        /// What the peer has.
        theirs: Families,
    },
    /// 2/11: the roles do not go together (RFC 9234 4.2).
    Role {
        /// What is configured.
        ours: Role,
        /// What the peer says it is.
        theirs: Role,
    },
}

/// Judges the peer's OPEN.
pub(super) fn judge(
    config: &Config,
    ours: &Open<'_>,
    theirs: Open<'_>,
    session: SessionId,
    connection: ConnectionId,
) -> Result<Negotiated, Refusal> {
    let settings = config.settings();
    check_as(settings, theirs.asn())?;
    let open::Negotiated { receive, send } = negotiate(ours, &theirs);
    if send.peer == Peer::Internal && theirs.bgp_identifier == settings.router_id {
        return Err(Refusal::SameIdentifier(settings.router_id));
    }
    if let Some(role) = settings.offer.role {
        check_role(role, &theirs)?;
    }
    let (offered, has) = (families(ours), families(&theirs));
    let wanted = settings.families;
    let in_use: Families =
        wanted.iter().filter(|family| offered.contains(*family) && has.contains(*family)).collect();
    if in_use == Families::NONE {
        return Err(Refusal::NoFamily { ours: wanted, theirs: has });
    }
    let hold_time = Duration::from_secs(ours.hold_time.min(theirs.hold_time).into());
    let third = hold_time / 3;
    let both = |code: u8| has_code(ours, code) && has_code(&theirs, code);
    let peer_id = theirs.bgp_identifier;
    let route_refresh = has_code(ours, REFRESH) && (has_code(&theirs, REFRESH) || has_code(&theirs, 128));
    let extended_next_hop = encodes_ipv4_over_ipv6(ours) && encodes_ipv4_over_ipv6(&theirs);
    Ok(Negotiated {
        session,
        connection,
        kind: send.peer,
        local_as: ours.asn(),
        peer_as: theirs.asn(),
        peer_id,
        families: in_use,
        missing: wanted.iter().filter(|family| !in_use.contains(*family)).collect(),
        send,
        receive,
        hold_time,
        keepalive: settings.keepalive.map_or(third, |configured| configured.min(third)),
        route_refresh,
        enhanced_route_refresh: route_refresh && both(70),
        extended_next_hop,
        link_local_next_hop: both(77),
        graceful_restart: restart(ours, &theirs),
        capabilities: theirs.capabilities.to_vec(),
    })
}

impl Refusal {
    /// The subcode and the data of the NOTIFICATION.
    pub(super) fn notification(&self) -> (u8, u8, Vec<u8>) {
        let (subcode, data) = match self {
            Self::WrongAs { .. } => (2, Vec::new()),
            Self::SameIdentifier(_) => (3, Vec::new()),
            // What is missing, as capabilities (RFC 5492 5).
            Self::NoFamily { ours, .. } => {
                let capability = |family: Family| {
                    let [a, b] = family.afi.0.to_be_bytes();
                    [MULTIPROTOCOL, 4, a, b, 0, family.safi.0]
                };
                (7, ours.iter().flat_map(capability).collect())
            }
            Self::Role { .. } => (11, Vec::new()),
        };
        (code::OPEN, subcode, data)
    }
}

/// The AS that counts is the one of four octets.
fn check_as(settings: &Settings, found: u32) -> Result<(), Refusal> {
    let ours = settings.my_as;
    let good = match settings.peer_as {
        PeerAs::Is(asn) => found == asn,
        PeerAs::Internal => found == ours,
        // With a local AS, the peer would take a session in that AS for an internal one.
        PeerAs::External => found != ours && found != settings.shown_as(),
    };
    if good { Ok(()) } else { Err(Refusal::WrongAs { found, expected: settings.peer_as, ours }) }
}

/// A peer that does not know of roles is fine.
fn check_role(ours: Role, theirs: &Open<'_>) -> Result<(), Refusal> {
    let fits = |role: Role| {
        matches!(
            (ours, role),
            (Role::Provider, Role::Customer)
                | (Role::Customer, Role::Provider)
                | (Role::RouteServer, Role::RouteServerClient)
                | (Role::RouteServerClient, Role::RouteServer)
                | (Role::Peer, Role::Peer)
        )
    };
    for capability in theirs.capabilities.iter() {
        if let Capability::Role(role) = capability
            && !fits(role)
        {
            return Err(Refusal::Role { ours, theirs: role });
        }
    }
    Ok(())
}

/// Without a single multiprotocol capability it is IPv4 unicast (RFC 4760 8).
fn families(open: &Open<'_>) -> Families {
    if !has_code(open, MULTIPROTOCOL) {
        return Families::NONE.with(Family::IPV4_UNICAST);
    }
    let family = |capability| match capability {
        Capability::Multiprotocol(family) => Some(family),
        _ => None,
    };
    open.capabilities.iter().filter_map(family).collect()
}

fn has_code(open: &Open<'_>, code: u8) -> bool {
    open.capabilities.iter().any(|capability| capability.code() == code)
}

fn encodes_ipv4_over_ipv6(open: &Open<'_>) -> bool {
    open.capabilities.iter().any(|capability| match capability {
        Capability::ExtendedNextHop(list) => list.iter().any(|encoding| encoding == IPV4_OVER_IPV6),
        _ => false,
    })
}

fn restart(ours: &Open<'_>, theirs: &Open<'_>) -> Option<PeerRestart> {
    let find = |open: &Open<'_>| {
        open.capabilities.iter().find_map(|capability| match capability {
            Capability::GracefulRestart(restart) => Some(PeerRestart {
                restarted: restart.restarted,
                notification: restart.notification,
                families: restart.families.iter().map(|entry| entry.family).collect(),
            }),
            _ => None,
        })
    };
    let (ours, theirs) = (find(ours)?, find(theirs)?);
    Some(PeerRestart { notification: ours.notification && theirs.notification, ..theirs })
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongAs { found, expected: PeerAs::Is(asn), .. } => {
                write!(f, "the peer is in AS {found}, configured is AS {asn}")
            }
            Self::WrongAs { found, expected: PeerAs::Internal, ours } => {
                write!(f, "the peer is in AS {found}, but an internal peer has to be in AS {ours} as we are")
            }
            Self::WrongAs { found, expected: PeerAs::External, .. } => {
                write!(f, "the peer is in our AS {found}, but it is configured as external")
            }
            Self::SameIdentifier(id) => {
                write!(f, "the peer has our router ID {id}: one of the two has to get another one")
            }
            Self::NoFamily { ours, theirs } => {
                write!(f, "there is no common address family: configured is {}, ", words(*ours))?;
                write!(f, "the peer has {}", words(*theirs))
            }
            Self::Role { ours, theirs } => {
                write!(f, "we are its {ours:?}, and it says that it is our {theirs:?}")
            }
        }
    }
}

/// "IPv4 unicast and IPv6 unicast".
pub(super) fn words(families: Families) -> impl fmt::Display {
    core::fmt::from_fn(move |f| {
        let mut first = true;
        for family in families.iter() {
            if !first {
                f.write_str(" and ")?;
            }
            first = false;
            fmt::Display::fmt(&family, f)?;
        }
        if first { f.write_str("none that is known") } else { Ok(()) }
    })
}

/// Capabilities.
const MULTIPROTOCOL: u8 = 1;
const REFRESH: u8 = 2;
