//! BGP sessions over TCP: joins the machines of `metal-bgp` to the sockets of `metal-net`. No decisions.
//!
//! [`Sessions`] has a task for each peer. What is to be announced is told once, to whomever it is for; the tasks take
//! messages from the common [`RibOut`](metal_bgp::rib_out::RibOut) when their sockets take them. A peer may also be a link
//! ([`Neighbor::link`]): then it is whoever says there that he is a router.
//!
//! ```no_run
//! use metal_bgp::{peer::{PeerAs, Settings}, rib_out::{Audience, Route}};
//! use metal_bgp_io::{Neighbor, Sessions};
//! use metal_net::tcp::Dial;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let (mut sessions, mut events) = Sessions::start(7);
//! let config = Settings::new(64_512, PeerAs::Is(64_513), [192, 0, 2, 10].into()).check()?;
//! sessions.set_peer("tor", Neighbor::new(Dial::to("192.0.2.1:179".parse()?), config));
//! sessions.set_route(&Audience::All, "198.51.100.1/32".parse()?, Some(&Route::default()));
//! sessions.synced();
//! while let Some(event) = events.recv().await {
//!     println!("{}: {}", event.peer, event.what);
//! }
//! # Ok(())
//! # }
//! ```

mod discovery;
mod doors;
mod event;
mod link;
mod next_hops;
mod peer;
mod rib;
mod sessions;
mod view;

pub use doors::Door;
pub use event::{Event, What};
pub use sessions::{Neighbor, Sessions};
pub use view::View;
