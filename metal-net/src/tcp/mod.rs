//! TCP as a BGP speaker needs it: dialling and listening with passwords, hop limits and devices, and connections that
//! never block and say goodbye.
//!
//! * [`Dial`] opens a connection, with everything set before the first packet is sent.
//! * [`Listener`] accepts connections on one address and, if told so, one device (a VRF), with a password for each peer.
//! * [`Connection`] reads and writes as much as the kernel takes, and [closes](Connection::close) so that the peer reads
//!   the last words.
//! * [`Drops`] are the kernel's counters that tell a password that differs, or a peer that is too far away.
//!
//! Nothing here knows BGP but for the defaults that all BGP connections have: no Nagle delay, no keepalives of TCP (BGP
//! has its own), and the traffic class of network control (CS6).
//!
//! ```no_run
//! use std::{num::NonZeroU8, time::Duration};
//! use metal_net::tcp::{Dial, Md5Key, Options, Read, Ttl};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let mut dial = Dial::to("[fe80::1%2]:179".parse()?);
//! dial.key = Some(Md5Key::new(b"secret")?);
//! dial.options = Options { ttl: Ttl::Gtsm(NonZeroU8::MIN), ..Options::default() };
//! let connection = dial.open()?.connect().await?;
//!
//! let mut buf = vec![0; 64 << 10];
//! loop {
//!     connection.readable().await?;
//!     match connection.read(&mut buf)? {
//!         // ... hand `&buf[..length]` to a machine, write what it wants written.
//!         Read::Bytes(_length) => {}
//!         Read::Nothing => {}
//!         Read::End => break,
//!     }
//! }
//! connection.close(b"", Duration::from_secs(1)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Sockets belong to the network namespace of the thread that opens them.

mod connection;
mod dial;
mod drops;
mod error;
mod holder;
mod listener;
mod md5;
mod options;

pub use connection::{Connection, Read};
pub use dial::{Dial, Dialling};
pub use drops::Drops;
pub use error::{DialError, ListenError, Refused, Step};
pub use holder::{Holder, connections_of_others, holders};
pub use listener::{Listen, Listener};
pub use md5::{Md5Key, Md5KeyError};
pub use options::{Options, Ttl};
