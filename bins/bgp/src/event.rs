//! What sessions have to tell.

use std::{fmt, net::SocketAddr, sync::Arc};

use metal_bgp::peer::{Ending, Malformed, Negotiated, Phase};

/// Something that happened to a peer.
#[derive(Clone, Debug)]
pub struct Event {
    /// To which, by its name.
    pub peer: Arc<str>,
    /// What it was.
    pub what: What,
    /// Where the peer stands since; `None` where this has nothing to do with it.
    pub phase: Option<Phase>,
}

/// What happens to peers.
#[derive(Clone, Debug)]
pub enum What {
    /// There is a session, between these addresses.
    Established {
        /// What was agreed on.
        negotiated: Arc<Negotiated>,
        /// Our end.
        local: SocketAddr,
        /// The peer's.
        remote: SocketAddr,
    },
    /// An attempt failed, or a session is over.
    Ended(Ending),
    /// An UPDATE was wrong, but not so that the session had to end.
    Malformed(Malformed),
    /// Nothing can be announced in this session.
    Silent(String),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Established { negotiated, local, remote } => write!(
                f,
                "session established between {local} and {remote} (AS {}, router ID {}), hold time {:?}",
                negotiated.peer_as, negotiated.peer_id, negotiated.hold_time
            ),
            Self::Ended(ending) => ending.fmt(f),
            Self::Malformed(malformed) => {
                write!(f, "a malformed UPDATE ({}): {}", malformed.disposition, malformed.what)
            }
            Self::Silent(why) => write!(f, "nothing can be announced in this session: {why}"),
        }
    }
}
