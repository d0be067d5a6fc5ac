//! What is announced to whom: routes in, UPDATEs out, each encoded once for all peers that are told the same.
//!
//! [`RibOut`] is one machine for all peers of a speaker. Its owner says which routes are wanted and which sessions are
//! Established; it says which peers have something to be told; and whenever the socket of one takes something,
//! [`next_update`](RibOut::next_update) makes the next message. [`aggregate`] comes before it, where many addresses are
//! announced by one prefix.
//!
//! ```
//! use metal_bgp::{
//!     rib_out::{Audience, Export, Input, RibOut, RouteSettings},
//!     wire::{Families, Family, Session, attribute::NextHop},
//! };
//! use metal_core::{Instant, Machine};
//!
//! let now = Instant::from_secs(1);
//! let mut rib: RibOut<&str> = RibOut::new();
//! let route = RouteSettings { med: Some(10), ..RouteSettings::default() }.check()?;
//! let (to, prefix) = (&Audience::All, "198.51.100.7/32".parse()?);
//! rib.handle_input(now, Input::Route { to, prefix, route: Some(&route) });
//! rib.handle_input(now, Input::Synced);
//!
//! // A session is Established; `session` is what was negotiated for sending.
//! let session = Session { four_octet_as: true, ..Session::default() };
//! let families = Families::NONE.with(Family::IPV4_UNICAST);
//! let next_hop = NextHop::V4([192, 0, 2, 1].into());
//! let export = Export::new(session, 64_512, families, Some(next_hop), None)?;
//! rib.handle_input(now, Input::Up { peer: "tor-a", export, enhanced_refresh: false });
//!
//! // Somebody has something to be told, and takes it as fast as it likes.
//! while let Some(peer) = rib.poll_output(now) {
//!     assert_eq!(peer, "tor-a");
//!     let mut lengths = Vec::new();
//!     while let Some(message) = rib.next_update(now, &peer) {
//!         lengths.push(message.len()); // goes to the socket
//!     }
//!     assert_eq!(lengths, [55, 23]); // the route, and End-of-RIB
//! }
//! // Nothing to wait for until something is wanted.
//! assert_eq!(rib.poll_timeout(), None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it promises
//!
//! - When it is quiet, each peer has exactly the routes that are wanted for it.
//! - Nothing is told twice unless the peer asks for it; nothing is withdrawn that was not announced; what was over before
//!   a peer could be told is never told. Attributes change by an announcement alone.
//! - Withdrawals go first, sixteen messages in a row at most while announcements wait. The withdrawal of a prefix that
//!   overlaps another one goes last, so that traffic always has a way when one takes the place of the other.
//! - End-of-RIB is said once a session for each family, after everything that was wanted when the owner said
//!   [`Synced`](Input::Synced).
//! - The first change after a quiet time can be told at once, those of the next [`COALESCE`] join.
//!
//! # How it works
//!
//! Routes are in one table, whoever is told them. Peers for which [`Export`] is equal, and which are among the same
//! audiences, are a *group*. A group has a *log* of batches of changes; each batch becomes messages when the first peer
//! takes them, and a peer is little more than its place in the log. A prefix is in one batch at most: when it changes
//! again it is taken out, and only those peers keep a note of what they have of it which are between the two. Batches
//! that only late peers still need become one. A new peer is told a *dump* of the table, which others share for as long as
//! nothing changes, and is at the end of the log from then on.
//!
//! So a change costs the search for its prefix, however many routes there are; a late peer costs what it missed, and
//! nobody waits for it.
//!
//! # What is not here
//!
//! Several paths for one prefix (RFC 7911), and families other than IPv4 and IPv6 unicast.

pub mod aggregate;
mod export;
mod group;
mod log;
mod member;
mod pages;
mod prefix_map;
mod queue;
mod rib;
mod route;
mod table;
mod wanted;

pub use export::{Export, InvalidExport};
pub use log::COALESCE;
pub use pages::Shared;
pub use rib::{Input, RibOut};
pub use route::{DEFAULT_LOCAL_PREF, InvalidRoute, MAX_COMMUNITIES, MAX_PREPEND, Route, RouteSettings};
pub use table::Audience;
