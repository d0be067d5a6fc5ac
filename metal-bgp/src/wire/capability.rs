//! Capabilities (RFC 5492): what a speaker can do beyond RFC 4271.

use alloc::borrow::Cow;

use nom::{IResult, Parser, bytes::complete::take, multi::length_data, number::complete::be_u8};

use super::{
    EncodeError, Family, List,
    family::{Afi, Safi},
    list::Item,
    writer::Writer,
};

/// A capability. What is read borrows from the message; [`into_owned`](Self::into_owned) ends that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability<'a> {
    /// 1: routes of this family (RFC 4760).
    Multiprotocol(Family),
    /// 2: route refresh (RFC 2918).
    RouteRefresh,
    /// 128: the same, from before there was a number for it.
    RouteRefreshCisco,
    /// 5: next hops of another address family than the prefixes (RFC 8950).
    ExtendedNextHop(List<'a, NextHopEncoding>),
    /// 6: messages of up to 65,535 octets (RFC 8654).
    ExtendedMessage,
    /// 9: what the speaker is to its peer (RFC 9234).
    Role(Role),
    /// 64: graceful restart (RFC 4724).
    GracefulRestart(GracefulRestart<'a>),
    /// 65: AS numbers of four octets, and the speaker's own (RFC 6793).
    FourOctetAs(u32),
    /// 69: several paths to one prefix (RFC 7911).
    AddPath(List<'a, AddPathFamily>),
    /// 70: route refresh with a beginning and an end (RFC 7313).
    EnhancedRouteRefresh,
    /// 71: long-lived graceful restart (RFC 9494).
    LongLivedGracefulRestart(List<'a, LongLivedFamily>),
    /// 73: the speaker's name (draft-walton-bgp-hostname-capability).
    Fqdn {
        /// The name of the host.
        host: Cow<'a, [u8]>,
        /// Its domain.
        domain: Cow<'a, [u8]>,
    },
    /// 74: no session without BFD (draft-ietf-idr-bgp-bfd-strict-mode).
    BfdStrict,
    /// 77: link-local next hops alone (draft-ietf-idr-linklocal-capability).
    LinkLocalNextHop,
    /// Not understood: the bytes are kept.
    Unknown {
        /// The code.
        code: u8,
        /// The value.
        value: Cow<'a, [u8]>,
    },
}

/// Prefixes of this family may have next hops of that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextHopEncoding {
    /// The address family of the prefixes.
    pub afi: Afi,
    /// What kind of routes; two octets in this capability.
    pub safi: u16,
    /// The address family of the next hops.
    pub next_hop: Afi,
}

/// What a speaker is to its peer (RFC 9234 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// 0: sells transit to the peer.
    Provider,
    /// 1: is the route server of an exchange.
    RouteServer,
    /// 2: is served by the peer's route server.
    RouteServerClient,
    /// 3: buys transit from the peer.
    Customer,
    /// 4: exchanges routes of customers with the peer.
    Peer,
    /// A role that is not defined.
    Unknown(u8),
}

/// Graceful restart (RFC 4724 3, 8538 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GracefulRestart<'a> {
    /// R: the speaker has just restarted and waits for End-of-RIB.
    pub restarted: bool,
    /// N: a NOTIFICATION keeps the routes too (RFC 8538).
    pub notification: bool,
    /// For how many seconds after the session is lost the peer waits for it to return; 12 bits.
    pub restart_time: u16,
    /// The families for which it applies. None: the speaker only sends End-of-RIB.
    pub families: List<'a, RestartFamily>,
}

/// A family in graceful restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RestartFamily {
    /// The family.
    pub family: Family,
    /// F: packets were forwarded throughout the restart.
    pub forwarding: bool,
}

/// A family with several paths to one prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddPathFamily {
    /// The family.
    pub family: Family,
    /// 1: can receive, 2: can send, 3: both. A peer's other values have no meaning (RFC 7911 4).
    pub send_receive: u8,
}

/// A family in long-lived graceful restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LongLivedFamily {
    /// The family.
    pub family: Family,
    /// F: packets were forwarded throughout the restart.
    pub forwarding: bool,
    /// For how many seconds stale routes are kept; 24 bits.
    pub stale_time: u32,
}

impl<'a> Capability<'a> {
    /// The value of a capability with this code; `None` when its definition does not allow the value.
    pub(crate) fn read(code: u8, value: &'a [u8]) -> Option<Self> {
        Some(match (code, value) {
            (1, &[a, b, _, safi]) => Self::Multiprotocol(family(a, b, safi)),
            (2, []) => Self::RouteRefresh,
            (5, _) => Self::ExtendedNextHop(List::from_wire(value)?),
            (6, []) => Self::ExtendedMessage,
            (9, &[role]) => Self::Role(Role::from_code(role)),
            (64, &[flags, seconds, ref families @ ..]) => Self::GracefulRestart(GracefulRestart {
                restarted: flags & RESTARTED != 0,
                notification: flags & NOTIFICATION != 0,
                restart_time: u16::from_be_bytes([flags & 0x0f, seconds]),
                families: List::from_wire(families)?,
            }),
            (65, &[a, b, c, d]) => Self::FourOctetAs(u32::from_be_bytes([a, b, c, d])),
            (69, _) => Self::AddPath(List::from_wire(value)?),
            (70, []) => Self::EnhancedRouteRefresh,
            (71, _) => Self::LongLivedGracefulRestart(List::from_wire(value)?),
            (73, _) => match names(value) {
                Ok(([], (host, domain))) => Self::Fqdn { host: host.into(), domain: domain.into() },
                // A name is for people: no reason to refuse a session.
                _ => Self::Unknown { code, value: value.into() },
            },
            (74, []) => Self::BfdStrict,
            (77, []) => Self::LinkLocalNextHop,
            (128, []) => Self::RouteRefreshCisco,
            (1 | 2 | 6 | 9 | 64 | 65 | 70, _) => return None,
            // Neither an RFC nor a length to rely on: kept.
            _ => Self::Unknown { code, value: value.into() },
        })
    }

    /// The number on the wire.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Multiprotocol(_) => 1,
            Self::RouteRefresh => 2,
            Self::ExtendedNextHop(_) => 5,
            Self::ExtendedMessage => 6,
            Self::Role(_) => 9,
            Self::GracefulRestart(_) => 64,
            Self::FourOctetAs(_) => 65,
            Self::AddPath(_) => 69,
            Self::EnhancedRouteRefresh => 70,
            Self::LongLivedGracefulRestart(_) => 71,
            Self::Fqdn { .. } => 73,
            Self::BfdStrict => 74,
            Self::LinkLocalNextHop => 77,
            Self::RouteRefreshCisco => 128,
            Self::Unknown { code, .. } => *code,
        }
    }

    /// The registered name.
    #[must_use]
    pub const fn name(&self) -> Option<&'static str> {
        name(self.code())
    }

    /// The same without a borrow.
    #[must_use]
    pub fn into_owned(self) -> Capability<'static> {
        let own = |bytes: Cow<'_, [u8]>| Cow::Owned(bytes.into_owned());
        match self {
            Self::Multiprotocol(family) => Capability::Multiprotocol(family),
            Self::RouteRefresh => Capability::RouteRefresh,
            Self::RouteRefreshCisco => Capability::RouteRefreshCisco,
            Self::ExtendedNextHop(list) => Capability::ExtendedNextHop(list.into_owned()),
            Self::ExtendedMessage => Capability::ExtendedMessage,
            Self::Role(role) => Capability::Role(role),
            Self::GracefulRestart(GracefulRestart { restarted, notification, restart_time, families }) => {
                let families = families.into_owned();
                Capability::GracefulRestart(GracefulRestart {
                    restarted,
                    notification,
                    restart_time,
                    families,
                })
            }
            Self::FourOctetAs(asn) => Capability::FourOctetAs(asn),
            Self::AddPath(list) => Capability::AddPath(list.into_owned()),
            Self::EnhancedRouteRefresh => Capability::EnhancedRouteRefresh,
            Self::LongLivedGracefulRestart(list) => Capability::LongLivedGracefulRestart(list.into_owned()),
            Self::Fqdn { host, domain } => Capability::Fqdn { host: own(host), domain: own(domain) },
            Self::BfdStrict => Capability::BfdStrict,
            Self::LinkLocalNextHop => Capability::LinkLocalNextHop,
            Self::Unknown { code, value } => Capability::Unknown { code, value: own(value) },
        }
    }

    /// Writes code, length and value.
    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        let code = self.code();
        match self {
            Self::Multiprotocol(Family { afi, safi }) => {
                let [a, b] = afi.0.to_be_bytes();
                writer.put(&[code, 4, a, b, 0, safi.0])
            }
            Self::Role(role) => writer.put(&[code, 1, role.code()]),
            Self::FourOctetAs(asn) => {
                let [a, b, c, d] = asn.to_be_bytes();
                writer.put(&[code, 4, a, b, c, d])
            }
            Self::RouteRefresh
            | Self::RouteRefreshCisco
            | Self::ExtendedMessage
            | Self::EnhancedRouteRefresh
            | Self::BfdStrict
            | Self::LinkLocalNextHop => writer.put(&[code, 0]),
            Self::ExtendedNextHop(list) => put_list(writer, code, &[], list),
            Self::AddPath(list) => put_list(writer, code, &[], list),
            Self::GracefulRestart(restart) => {
                if restart.restart_time > 0x0fff {
                    return Err(EncodeError::FieldTooLong("the restart time of 12 bits"));
                }
                let [high, low] = restart.restart_time.to_be_bytes();
                let restarted = if restart.restarted { RESTARTED } else { 0 };
                let notification = if restart.notification { NOTIFICATION } else { 0 };
                put_list(writer, code, &[restarted | notification | high, low], &restart.families)
            }
            Self::LongLivedGracefulRestart(list) => {
                if list.iter().any(|family| family.stale_time > 0x00ff_ffff) {
                    return Err(EncodeError::FieldTooLong("the stale time of 24 bits"));
                }
                put_list(writer, code, &[], list)
            }
            Self::Fqdn { host, domain } => {
                let len = |name: &[u8]| u8::try_from(name.len()).map_err(|_| TOO_LONG);
                writer.put(&[code, length(2 + host.len() + domain.len())?, len(host)?])?;
                writer.put(host)?;
                writer.put(&[len(domain)?])?;
                writer.put(domain)
            }
            Self::Unknown { value, .. } => {
                writer.put(&[code, length(value.len())?])?;
                writer.put(value)
            }
        }
    }
}

/// The registered name of a capability's code.
#[must_use]
pub const fn name(code: u8) -> Option<&'static str> {
    Some(match code {
        1 => "Multiprotocol",
        2 => "Route Refresh",
        3 => "Outbound Route Filtering",
        5 => "Extended Next Hop Encoding",
        6 => "Extended Message",
        7 => "BGPsec",
        8 => "Multiple Labels",
        9 => "BGP Role",
        64 => "Graceful Restart",
        65 => "Four-octet AS Number",
        67 => "Dynamic Capability",
        68 => "Multisession",
        69 => "ADD-PATH",
        70 => "Enhanced Route Refresh",
        71 => "Long-Lived Graceful Restart",
        72 => "Routing Policy Distribution",
        73 => "FQDN",
        74 => "BFD Strict-Mode",
        75 => "Software Version",
        76 => "Paths Limit",
        77 => "Link-Local Next Hop",
        128 => "Route Refresh (Cisco)",
        _ => return None,
    })
}

/// Code, length and value of the first capability.
pub(crate) fn header(input: &[u8]) -> IResult<&[u8], (u8, &[u8])> {
    (be_u8, length_data(be_u8)).parse(input)
}

fn names(input: &[u8]) -> IResult<&[u8], (&[u8], &[u8])> {
    let (rest, host_len) = be_u8(input)?;
    let (rest, host) = take(host_len)(rest)?;
    let (rest, domain) = length_data(be_u8).parse(rest)?;
    Ok((rest, (host, domain)))
}

/// Code, length, what stands in front of the list, and the list.
fn put_list<T: Item>(
    writer: &mut Writer<'_>,
    code: u8,
    front: &[u8],
    list: &List<'_, T>,
) -> Result<(), EncodeError> {
    let len = list.len().saturating_mul(T::LEN);
    writer.put(&[code, length(front.len().saturating_add(len))?])?;
    writer.put(front)?;
    let room = writer.take(len)?;
    for (item, room) in list.iter().zip(room.chunks_exact_mut(T::LEN)) {
        item.write(room);
    }
    Ok(())
}

fn length(len: usize) -> Result<u8, EncodeError> {
    u8::try_from(len).map_err(|_| TOO_LONG)
}

const fn family(afi1: u8, afi2: u8, safi: u8) -> Family {
    Family::new(Afi(u16::from_be_bytes([afi1, afi2])), Safi(safi))
}

impl Role {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Provider => 0,
            Self::RouteServer => 1,
            Self::RouteServerClient => 2,
            Self::Customer => 3,
            Self::Peer => 4,
            Self::Unknown(code) => code,
        }
    }

    /// The role with this number.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Provider,
            1 => Self::RouteServer,
            2 => Self::RouteServerClient,
            3 => Self::Customer,
            4 => Self::Peer,
            code => Self::Unknown(code),
        }
    }
}

impl AddPathFamily {
    /// Whether the speaker can receive several paths.
    #[must_use]
    pub const fn can_receive(self) -> bool {
        matches!(self.send_receive, 1 | 3)
    }

    /// Whether the speaker can send several paths.
    #[must_use]
    pub const fn can_send(self) -> bool {
        matches!(self.send_receive, 2 | 3)
    }
}

impl Item for NextHopEncoding {
    const LEN: usize = 6;

    fn read(bytes: &[u8]) -> Self {
        let [a, b, c, d, e, f] = bytes.first_chunk().copied().unwrap_or_default();
        Self {
            afi: Afi(u16::from_be_bytes([a, b])),
            safi: u16::from_be_bytes([c, d]),
            next_hop: Afi(u16::from_be_bytes([e, f])),
        }
    }

    fn write(self, bytes: &mut [u8]) {
        let ([a, b], [c, d], [e, f]) =
            (self.afi.0.to_be_bytes(), self.safi.to_be_bytes(), self.next_hop.0.to_be_bytes());
        write(bytes, [a, b, c, d, e, f]);
    }
}

impl Item for RestartFamily {
    const LEN: usize = 4;

    fn read(bytes: &[u8]) -> Self {
        let [a, b, safi, flags] = bytes.first_chunk().copied().unwrap_or_default();
        Self { family: family(a, b, safi), forwarding: flags & FORWARDING != 0 }
    }

    fn write(self, bytes: &mut [u8]) {
        let [a, b] = self.family.afi.0.to_be_bytes();
        write(bytes, [a, b, self.family.safi.0, if self.forwarding { FORWARDING } else { 0 }]);
    }
}

impl Item for AddPathFamily {
    const LEN: usize = 4;

    fn read(bytes: &[u8]) -> Self {
        let [a, b, safi, send_receive] = bytes.first_chunk().copied().unwrap_or_default();
        Self { family: family(a, b, safi), send_receive }
    }

    fn write(self, bytes: &mut [u8]) {
        let [a, b] = self.family.afi.0.to_be_bytes();
        write(bytes, [a, b, self.family.safi.0, self.send_receive]);
    }
}

impl Item for LongLivedFamily {
    const LEN: usize = 7;

    fn read(bytes: &[u8]) -> Self {
        let [a, b, safi, flags, c, d, e] = bytes.first_chunk().copied().unwrap_or_default();
        Self {
            family: family(a, b, safi),
            forwarding: flags & FORWARDING != 0,
            stale_time: u32::from_be_bytes([0, c, d, e]),
        }
    }

    fn write(self, bytes: &mut [u8]) {
        let [a, b] = self.family.afi.0.to_be_bytes();
        let [_, c, d, e] = self.stale_time.to_be_bytes();
        write(bytes, [a, b, self.family.safi.0, if self.forwarding { FORWARDING } else { 0 }, c, d, e]);
    }
}

fn write<const N: usize>(bytes: &mut [u8], value: [u8; N]) {
    if let Some(room) = bytes.first_chunk_mut() {
        *room = value;
    }
}

const TOO_LONG: EncodeError = EncodeError::FieldTooLong("a capability of more than 255 octets");
/// R of graceful restart.
const RESTARTED: u8 = 0x80;
/// N of graceful restart.
const NOTIFICATION: u8 = 0x40;
/// F of a family in graceful restart.
const FORWARDING: u8 = 0x80;
