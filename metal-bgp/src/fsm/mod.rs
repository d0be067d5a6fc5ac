//! The finite state machine of RFC 4271 section 8, without bytes, clocks or sockets.
//!
//! Two layers. A *connection* is in one of six states, and [`transition`] says for each state and event what is to be
//! done and which state follows; it is a table, total and without a catch-all. A *peer* has up to two connections,
//! the one that we dial and the one that we accept; [`Pair`] starts them, resolves their collision (RFC 4271 6.8, RFC
//! 6286) and says which may be given up. The [`peer`](crate::peer) machine feeds both and performs the actions.
//!
//! # The optional attributes of RFC 4271 8.1.1
//! | attribute | here |
//! | --- | --- |
//! | AllowAutomaticStart, AllowAutomaticStop | yes |
//! | DampPeerOscillations | always: a dialled connection waits in Idle, the longer the more often it has failed |
//! | PassiveTcpEstablishment | the accepted connection; it never dials |
//! | DelayOpen | no: OPEN leaves as soon as there is a connection (events 12 and 20 do not exist) |
//! | TrackTcpState | no: only connections that stand are told (events 14 and 15 do not exist) |
//! | SendNOTIFICATIONwithoutOPEN | not needed: an OPEN is always first |
//! | CollisionDetectEstablishedState | no: an established session wins |
//! | AcceptConnectionsUnconfiguredPeers | no |
//!
//! # Where RFC 4271 8.2.2 is not followed to the letter
//! - A NOTIFICATION in OpenSent is not answered with another one (8.2.2 would, 6.4 forbids it).
//! - A message header error or malformed OPEN in Established is answered with its own code (6.1, 6.2), not with
//!   Finite State Machine Error.
//! - A second OPEN on the same connection is a Finite State Machine Error in OpenConfirm too.
//! - A failed connection in Connect and OpenSent, and a NOTIFICATION about the version, count as failed attempts, so
//!   that the pause before the next one grows.

mod connection;
mod event;
mod pair;
#[cfg(test)]
mod tests;

pub use connection::{Action, Notify, Transition, transition};
pub use event::{Event, State};
pub use pair::{Admission, Chore, Pair, Slot, Speaker};
