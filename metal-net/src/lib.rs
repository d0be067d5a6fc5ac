//! The only crate of the project that knows Linux.
//!
//! * [`packet`]: Ethernet frames in and out of one interface, filtered in the kernel ([`PacketSocket`],
//!   [`PolledPacketSocket`]), and what the card lets in ([`Reception`]).
//! * [`fast_path`]: the kernel answers ARP requests by itself ([`FastPath`]), as long as an [`expiry`] is renewed.
//! * [`poll`]: waiting for sockets on a thread of one's own.
//! * [`group`]: membership in IPv6 multicast groups, which switches hear of ([`Groups`]).
//! * [`link`]: the host's interfaces and addresses, and every change of them ([`LinkMonitor`]).
//! * [`gateway`]: the host's default routers ([`GatewayMonitor`]).
//! * [`tcp`]: connections and listeners for BGP, with passwords, hop limits and devices.
//! * [`router_discovery`]: the link-local addresses of routers on an interface, and one's own told to them
//!   ([`RouterDiscovery`]).
//! * [`clock`]: the clock of a process, and one that counts suspension.
//! * [`priority`]: which thread goes first.
//! * [`isolation`], [`namespace`], [`network`], [`process`]: a LAN of network namespaces on one host, for the lab and
//!   for tests ([`isolate`], [`Namespace`], [`Network`], [`Child`]).
//!
//! What is *not* in it: what the frames mean (that is `metal-arp` and `metal-core`), which interfaces are used, when
//! something is sent. Nothing in here decides; a daemon's driver joins these sockets to the machines.
//!
//! ```no_run
//! use metal_net::{Filter, LinkEvent, LinkMonitor, PacketSocket};
//!
//! # async fn run() -> std::io::Result<()> {
//! let mut links = LinkMonitor::open()?;
//! loop {
//!     match links.next().await? {
//!         LinkEvent::Upsert(index, link) if link.is_running() && link.arp => {
//!             let socket = PacketSocket::open(index, Filter::Arp)?;
//!             let mut frame = [0; 128];
//!             let length = socket.recv(&mut frame).await?;
//!             // ... hand `&frame[..length]` to a machine, send what it wants sent.
//! #           let _ = length;
//!         }
//!         LinkEvent::Upsert(..) | LinkEvent::Removed(_) | LinkEvent::Synced => {}
//!     }
//! }
//! # }
//! ```
//!
//! All sockets belong to the network namespace of the thread that opens them, and stay in it.
//!
//! `unsafe` is allowed here and nowhere else in the project. Each block says why it is sound.

pub mod clock;
pub mod expiry;
pub mod fast_path;
pub mod gateway;
pub mod group;
pub mod isolation;
pub mod link;
pub mod namespace;
pub mod network;
pub mod packet;
pub mod poll;
pub mod priority;
pub mod process;
pub mod router_discovery;
pub mod sysctl;
pub mod tcp;

mod socket;

pub use expiry::Expiry;
pub use fast_path::{FastPath, FastPathError};
pub use gateway::{GatewayMonitor, Gateways};
pub use group::{Groups, Joined};
pub use isolation::{Isolation, IsolationError, isolate};
pub use link::{LinkEvent, LinkMonitor};
pub use namespace::Namespace;
pub use network::{Network, NetworkError};
pub use packet::{BlockingPacketSocket, Filter, PacketSocket, PolledPacketSocket, Reception};
pub use poll::{Poll, Waker};
pub use process::{Child, Signal};
pub use router_discovery::RouterDiscovery;
