//! The Border Gateway Protocol for a speaker that announces.
//!
//! Today the crate frames messages: [`wire::frame`] cuts a byte stream into BGP messages (RFC 4271 4.1) and
//! answers a broken header with exactly the NOTIFICATION it calls for. What the messages say (OPEN, UPDATE and
//! the others), the finite state machine and the routes are not here yet, so it cannot hold a session.
//!
//! There is no socket, no clock and no `std`. Bytes come from the caller, and nothing is copied:
//!
//! ```
//! use metal_bgp::wire::frame::{Frame, HeaderError, MaxLength, MessageType, Unframed};
//!
//! /// Takes every whole message off the front of what has been received.
//! fn take_messages(received: &mut Vec<u8>) -> Result<Vec<MessageType>, HeaderError> {
//!     let mut messages = Vec::new();
//!     loop {
//!         match Frame::parse(received, MaxLength::Standard) {
//!             Ok(frame) => {
//!                 messages.push(frame.kind()); // and here the body would be read
//!                 let len = frame.len();
//!                 received.drain(..len);
//!             }
//!             // Read on; at least `needed` more bytes have to arrive.
//!             Err(Unframed::Incomplete { needed: _ }) => return Ok(messages),
//!             // Send the NOTIFICATION and close.
//!             Err(Unframed::Malformed(error)) => return Err(error),
//!         }
//!     }
//! }
//!
//! let mut received = Vec::new();
//! Frame::new(MessageType::Keepalive, &[], MaxLength::Standard)?.emit(&mut received);
//! received.extend_from_slice(&[0xff; 7]);
//! assert_eq!(take_messages(&mut received), Ok(vec![MessageType::Keepalive]));
//!
//! received.extend_from_slice(b"GET / HTTP/1.1");
//! let error = take_messages(&mut received).unwrap_err();
//! assert_eq!((error.code(), error.subcode()), (1, 1));
//! # Ok::<(), metal_bgp::wire::frame::WrongBodyLength>(())
//! ```

#![no_std]
extern crate alloc;

pub mod wire;
