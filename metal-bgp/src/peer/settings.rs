//! How one peer is configured, checked once.

use alloc::{vec, vec::Vec};
use core::{net::Ipv4Addr, time::Duration};

use crate::wire::{
    Afi, Capability, EncodeError, Families, Family, Open,
    capability::{GracefulRestart, NextHopEncoding, RestartFamily, Role},
    frame::MaxLength,
};

/// What the user wants of a peer. [`check`](Self::check) makes a [`Config`] of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The AS of this speaker.
    pub my_as: u32,
    /// The AS that it shows to this peer instead, in OPEN and in AS_PATH; external peers only.
    pub local_as: Option<u32>,
    /// The AS of the peer.
    pub peer_as: PeerAs,
    /// The BGP Identifier.
    pub router_id: Ipv4Addr,
    /// The hold time to propose, in seconds: 0 (no timers at all), or at least 3.
    pub hold_time: u16,
    /// At most this much time between two KEEPALIVEs; a third of the negotiated hold time if that is shorter.
    pub keepalive: Option<Duration>,
    /// The families to announce.
    pub families: Families,
    /// Who opens the connection.
    pub mode: Mode,
    /// How long to wait for a connection, at most 10 s.
    pub connect_timeout: Duration,
    /// The longest pause between two attempts. It begins with a second and doubles.
    pub retry_limit: Duration,
    /// For how long the peer may refuse to take anything (RFC 9687); longer than the hold time. By default twice the
    /// negotiated hold time, and at least 8 minutes.
    pub send_hold_time: Option<Duration>,
    /// What to offer beyond RFC 4271.
    pub offer: Offer,
}

/// Which AS the peer has to be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerAs {
    /// This one.
    Is(u32),
    /// Ours.
    Internal,
    /// Any other than ours.
    External,
}

/// Who opens the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// We do.
    #[default]
    Dial,
    /// The peer does.
    Listen,
    /// Whoever is first.
    Both,
}

/// Capabilities beside the families and four-octet AS numbers, which are always offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Send everything again when asked (RFC 2918).
    pub route_refresh: bool,
    /// Say where that begins and ends (RFC 7313).
    pub enhanced_route_refresh: bool,
    /// Messages of up to 65,535 octets (RFC 8654).
    pub extended_message: bool,
    /// IPv6 next hops for IPv4 prefixes (RFC 8950).
    pub extended_next_hop: bool,
    /// Link-local next hops alone (draft-ietf-idr-linklocal-capability).
    pub link_local_next_hop: bool,
    /// Ask the peer to keep the routes while this speaker restarts (RFC 4724).
    pub graceful_restart: Option<Restart>,
    /// What this speaker is to the peer (RFC 9234).
    pub role: Option<Role>,
}

/// Graceful restart, as the side that restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// For how many seconds the peer waits, up to 4,095.
    pub time: u16,
    /// This process has just begun, and another one has announced before it: the peer shall not wait for us. Said
    /// until the first session stands.
    pub restarted: bool,
    /// Packets are forwarded while the process restarts.
    pub forwarding: bool,
    /// A NOTIFICATION keeps the routes as well (RFC 8538).
    pub notification: bool,
}

/// Settings that make sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config(Settings);

/// Why settings make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// An AS is 0.
    #[error("AS 0 must not be used: give an AS between 1 and 4294967295")]
    AsZero,
    /// The local AS is set for an internal peer.
    #[error("a local AS is for external peers only, and this one is in AS {0} like this speaker")]
    LocalAsInternal(u32),
    /// The local AS is the peer's.
    #[error("the local AS {0} is the peer's as well: the peer would take the session for an internal one")]
    LocalAsOfPeer(u32),
    /// The BGP Identifier is 0.
    #[error("the router ID is 0.0.0.0: give any other IPv4 address")]
    RouterIdZero,
    /// The hold time is 1 or 2 seconds.
    #[error("a hold time of {0} s: it has to be 0 or at least 3 s")]
    HoldTime(u16),
    /// The keepalive time does not fit the hold time.
    #[error(
        "a keepalive time of {keepalive:?} does not go with a hold time of {hold_time} s: the first has to be \
             shorter, or both 0"
    )]
    Keepalive {
        /// The keepalive time.
        keepalive: Duration,
        /// The hold time in seconds.
        hold_time: u16,
    },
    /// There is no family.
    #[error("no address family is configured: give IPv4 unicast, IPv6 unicast, or both")]
    NoFamily,
    /// The connect timeout is 0 or too long.
    #[error("a connect timeout of {0:?}: it has to be longer than 0 and at most 10 s")]
    ConnectTimeout(Duration),
    /// The longest pause is 0.
    #[error("the longest pause between two attempts is 0")]
    RetryLimit,
    /// The send hold time is not longer than the hold time.
    #[error("a send hold time of {0:?} is not longer than the hold time (RFC 9687)")]
    SendHoldTime(Duration),
    /// The OPEN cannot be written.
    #[error("the OPEN cannot be written: {0}")]
    Open(EncodeError),
}

/// With which capabilities an OPEN is sent: a peer may have refused some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Extent {
    #[default]
    Full,
    /// Without those of these codes (RFC 5492 3, after NOTIFICATION 2/7).
    Without(Vec<u8>),
    /// Without optional parameters (after NOTIFICATION 2/4).
    Bare,
}

impl Settings {
    /// Everything else by default: hold time 90 s, IPv4 unicast, dialling, and the usual capabilities.
    #[must_use]
    pub fn new(my_as: u32, peer_as: PeerAs, router_id: Ipv4Addr) -> Self {
        Self {
            my_as,
            local_as: None,
            peer_as,
            router_id,
            hold_time: 90,
            keepalive: None,
            families: Families::NONE.with(Family::IPV4_UNICAST),
            mode: Mode::Dial,
            connect_timeout: MAX_CONNECT_TIMEOUT,
            retry_limit: Duration::from_secs(60),
            send_hold_time: None,
            offer: Offer::default(),
        }
    }

    /// The AS that the peer sees.
    #[must_use]
    pub fn shown_as(&self) -> u32 {
        self.local_as.unwrap_or(self.my_as)
    }

    /// Checks everything that can be said without the peer.
    ///
    /// # Errors
    /// What is wrong first.
    pub fn check(self) -> Result<Config, Invalid> {
        let shown = self.shown_as();
        if self.my_as == 0 || shown == 0 || self.peer_as == PeerAs::Is(0) {
            return Err(Invalid::AsZero);
        }
        if shown != self.my_as {
            match self.peer_as {
                PeerAs::Internal => return Err(Invalid::LocalAsInternal(self.my_as)),
                PeerAs::Is(asn) if asn == self.my_as => return Err(Invalid::LocalAsInternal(asn)),
                PeerAs::Is(asn) if asn == shown => return Err(Invalid::LocalAsOfPeer(asn)),
                PeerAs::Is(_) | PeerAs::External => {}
            }
        }
        if self.router_id.is_unspecified() {
            return Err(Invalid::RouterIdZero);
        }
        let hold_time = self.hold_time;
        if matches!(hold_time, 1 | 2) {
            return Err(Invalid::HoldTime(hold_time));
        }
        if let Some(keepalive) = self.keepalive
            && (keepalive > Duration::from_secs(hold_time.into()) || keepalive.is_zero() != (hold_time == 0))
        {
            return Err(Invalid::Keepalive { keepalive, hold_time });
        }
        if self.families == Families::NONE {
            return Err(Invalid::NoFamily);
        }
        if self.connect_timeout.is_zero() || self.connect_timeout > MAX_CONNECT_TIMEOUT {
            return Err(Invalid::ConnectTimeout(self.connect_timeout));
        }
        if self.retry_limit.is_zero() {
            return Err(Invalid::RetryLimit);
        }
        if let Some(time) = self.send_hold_time
            && time <= Duration::from_secs(hold_time.into())
        {
            return Err(Invalid::SendHoldTime(time));
        }
        let config = Config(self);
        let mut room = [0; MaxLength::Standard.bytes() as usize];
        config.open(&Extent::Full, true).encode(&mut room).map_err(Invalid::Open)?;
        Ok(config)
    }
}

impl Config {
    /// What was asked for.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.0
    }

    /// Whether a session under this configuration can go on under `other`: what differs is only about attempts.
    pub(super) fn keeps_session(&self, other: &Self) -> bool {
        let mut same = self.0.clone();
        same.connect_timeout = other.0.connect_timeout;
        same.retry_limit = other.0.retry_limit;
        same.send_hold_time = other.0.send_hold_time;
        if let (Some(ours), Some(theirs)) = (&mut same.offer.graceful_restart, other.0.offer.graceful_restart)
        {
            ours.restarted = theirs.restarted;
        }
        same == other.0
    }

    /// Our OPEN. `restarted`: no session has stood since the process began.
    pub(super) fn open(&self, extent: &Extent, restarted: bool) -> Open<'static> {
        let Settings { hold_time, router_id, .. } = self.0;
        let mut capabilities = match extent {
            Extent::Bare => vec![],
            Extent::Full | Extent::Without(_) => self.capabilities(restarted),
        };
        if let Extent::Without(codes) = extent {
            capabilities.retain(|capability| !codes.contains(&capability.code()));
        }
        Open::new(self.0.shown_as(), hold_time, router_id, capabilities)
    }

    fn capabilities(&self, restarted: bool) -> Vec<Capability<'static>> {
        let Settings { families, ref offer, .. } = self.0;
        let mut all: Vec<_> = families.iter().map(Capability::Multiprotocol).collect();
        let mut offer_if = |wanted: bool, capability| {
            if wanted {
                all.push(capability);
            }
        };
        offer_if(offer.route_refresh, Capability::RouteRefresh);
        offer_if(offer.extended_next_hop, Capability::ExtendedNextHop(vec![IPV4_OVER_IPV6].into()));
        offer_if(offer.extended_message, Capability::ExtendedMessage);
        if let Some(role) = offer.role {
            offer_if(true, Capability::Role(role));
        }
        if let Some(restart) = offer.graceful_restart {
            let forwarding = restart.forwarding;
            let families: Vec<_> =
                families.iter().map(|family| RestartFamily { family, forwarding }).collect();
            let restart = GracefulRestart {
                restarted: restart.restarted && restarted,
                notification: restart.notification,
                restart_time: restart.time,
                families: families.into(),
            };
            offer_if(true, Capability::GracefulRestart(restart));
        }
        offer_if(true, Capability::FourOctetAs(self.0.shown_as()));
        offer_if(offer.enhanced_route_refresh, Capability::EnhancedRouteRefresh);
        offer_if(offer.link_local_next_hop, Capability::LinkLocalNextHop);
        all
    }
}

impl Default for Offer {
    /// What harms nobody.
    fn default() -> Self {
        Self {
            route_refresh: true,
            enhanced_route_refresh: true,
            extended_message: true,
            extended_next_hop: false,
            link_local_next_hop: false,
            graceful_restart: None,
            role: None,
        }
    }
}

impl Extent {
    /// What to try after the peer has refused these capabilities; `None` is all of them.
    pub(super) fn without(&self, refused: Option<Vec<u8>>) -> Self {
        match (self, refused) {
            // Even so it does not want us: begin anew.
            (Self::Bare, _) => Self::Full,
            (Self::Full | Self::Without(_), None) => Self::Bare,
            (Self::Full, Some(codes)) => Self::Without(codes),
            (Self::Without(before), Some(mut codes)) => {
                // Refused again although they were not there.
                if codes.iter().all(|code| before.contains(code)) {
                    return Self::Bare;
                }
                codes.extend(before);
                Self::Without(codes)
            }
        }
    }
}

/// IPv4 unicast prefixes with IPv6 next hops.
pub(super) const IPV4_OVER_IPV6: NextHopEncoding =
    NextHopEncoding { afi: Afi::IPV4, safi: 1, next_hop: Afi::IPV6 };

/// The kernel would try for two minutes.
const MAX_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
