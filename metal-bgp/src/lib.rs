//! The Border Gateway Protocol for a speaker that announces.
//!
//! [`wire`] turns bytes into messages and back. [`validate`](validate::validate()) sorts what is wrong with an
//! UPDATE into what follows from it (RFC 7606). [`fsm`] is the finite state machine of RFC 4271 as a table, and
//! [`peer`] the machine that holds a session with one peer: bytes in, bytes out. [`rib_out`] makes the UPDATEs for all
//! peers from the routes that are wanted.
//!
//! There is no socket, no clock, no `std`, no `unsafe` and no panic. Bytes come from the caller.
//!
//! # Reading where the bytes lie
//!
//! Reading an UPDATE is one pass that checks everything and allocates nothing. Afterwards nothing fails: prefixes
//! and attributes are iterated straight from the bytes.
//!
//! ```
//! use metal_bgp::{
//!     validate::validate,
//!     wire::{
//!         Message, Session, Value,
//!         frame::{Frame, MaxLength, Unframed},
//!     },
//! };
//!
//! # let received = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x3b\x02\x00\x00\x00\x1f\
//! #     \x40\x01\x01\x00\x40\x02\x06\x02\x01\x00\x00\xfc\x00\x40\x03\x04\xc0\x00\x02\x01\xc0\x08\x04\xff\xff\xff\x01\
//! #     \x20\xc6\x33\x64\x07";
//! let session = Session { four_octet_as: true, ..Session::default() };
//! match Frame::parse(received, MaxLength::Standard) {
//!     Ok(frame) => match Message::parse(&frame, &session)? {
//!         Message::Update(update) => {
//!             assert_eq!(validate(&update).disposition(), None);
//!             let prefixes: Vec<_> = update.nlri().map(|nlri| nlri.prefix.to_string()).collect();
//!             assert_eq!(prefixes, ["198.51.100.7/32"]);
//!             for attribute in update.attributes() {
//!                 if let Ok(Value::Communities(communities)) = attribute.value() {
//!                     assert_eq!(communities.iter().next().unwrap().to_string(), "65535:65281");
//!                 }
//!             }
//!         }
//!         other => panic!("not an UPDATE: {other:?}"),
//!     },
//!     // Read on; at least `needed` more bytes have to arrive.
//!     Err(Unframed::Incomplete { needed: _ }) => {}
//!     // Send the NOTIFICATION and close.
//!     Err(Unframed::Malformed(error)) => panic!("{error}"),
//! }
//! # Ok::<(), metal_bgp::wire::Error>(())
//! ```
//!
//! # Keeping an UPDATE
//!
//! [`OwnedUpdate`](wire::OwnedUpdate) is the same in one allocation: the bytes, and what the pass over them found.
//! [`Contents`](wire::Contents) is the UPDATE as values, to be changed and written again.
//!
//! ```
//! # use metal_bgp::wire::{Contents, OwnedUpdate, Session, Update};
//! # let body = b"\x00\x05\x20\xc6\x33\x64\x07\x00\x00";
//! # let session = Session::default();
//! let update = Update::parse(body, &session)?;
//! let kept: OwnedUpdate = update.to_owned();
//! assert!(kept.view().withdrawn().eq(update.withdrawn()));
//!
//! let mut contents = Contents::of(&kept.view());
//! contents.withdrawn.clear();
//! let mut buffer = [0; 4_096];
//! let len = contents.encode(&session, &mut buffer)?; // nothing is left: the End-of-RIB marker
//! assert_eq!(len, 23);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Writing
//!
//! Every `encode` writes into a buffer of the caller's. [`Packer`](wire::Packer) puts many prefixes into as few
//! UPDATEs as hold them, and refuses what a strict receiver would.
//!
//! # Errors
//!
//! An error that ends the session is an [`Error`](wire::Error): what is wrong, at which octet of the message, and the
//! one NOTIFICATION for it.
//!
//! ```
//! # use metal_bgp::wire::{Session, Update};
//! // A prefix of 33 bits in the NLRI.
//! let error = Update::parse(b"\x00\x00\x00\x00\x21\x0a\x00\x00\x00\x00", &Session::default()).unwrap_err();
//! assert_eq!(error.to_string(), "a prefix of 33 bits in the NLRI (at octet 23 of the message)");
//! assert_eq!(error.notification().to_string(), "UPDATE Message Error: Invalid Network Field");
//! ```

#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod fsm;
pub mod peer;
pub mod rib_out;
pub mod validate;
pub mod wire;
