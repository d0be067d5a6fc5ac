//! Answering for IP addresses on a LAN that no interface of the host carries.
//!
//! A load balancer on bare metal makes an address reachable by answering for it, ARP for IPv4 (RFC 826) and Neighbour
//! Discovery for IPv6 (RFC 4861), and by telling the neighbours when it moves. This crate does both without a socket, a clock or the operating system:
//!
//! - [`reply()`](reply::reply) is a pure function: a frame and what we own in, the answer or the reason for
//!   [`Silence`] out;
//! - [`Announcer`] is a [`Machine`](metal_core::Machine): links, ownership and frames in; probes, answers,
//!   announcements and refreshes within a budget, multicast groups and notices of address conflicts out.
//!
//! # The run loop
//! The driver owns the packet sockets and the clock. It hands over what happened, performs what comes out,
//! and sleeps until [`poll_timeout`](metal_core::Machine::poll_timeout) or the next frame:
//!
//! ```
//! use core::net::{IpAddr, Ipv4Addr};
//! use metal_arp::{Announcer, Duty, Frame, Input, Operation, Output, Packet};
//! use metal_core::{Instant, Machine};
//!
//! const ETH0: u32 = 2;
//! const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
//! const CLIENT: [u8; 6] = [0x02, 0, 0, 0, 0, 0x99];
//! let vip = Ipv4Addr::new(192, 168, 1, 30);
//! let address = IpAddr::V4(vip);
//!
//! // Stands for a packet socket per link.
//! let mut sent: Vec<(u32, Frame)> = Vec::new();
//! let mut perform = |announcer: &mut Announcer, now| {
//!     while let Some(output) = announcer.poll_output(now) {
//!         match output {
//!             Output::Send { link, frame } => sent.push((link, frame)),
//!             // Stands for IPV6_JOIN_GROUP and its counterpart.
//!             Output::Join { .. } | Output::Leave { .. } => {}
//!             Output::Conflict { link, address, mac, .. } => {
//!                 eprintln!("link {link}: {mac:02x?} also claims {address}");
//!             }
//!             Output::ConflictOver { .. } | Output::Answering { .. } => {}
//!         }
//!     }
//!     announcer.poll_timeout() // sleep until then, or until a frame arrives
//! };
//!
//! let mut announcer = Announcer::default();
//! announcer.handle_input(Instant::ZERO, Input::Link { link: ETH0, mac: Some(MAC) });
//! announcer.handle_input(Instant::ZERO, Input::Own { link: ETH0, address, duty: Some(Duty::default()) });
//! // The takeover is announced at once and again 100 ms later.
//! assert_eq!(perform(&mut announcer, Instant::ZERO), Some(Instant::from_millis(100)));
//!
//! let question = Packet {
//!     destination: [0xff; 6],
//!     source: CLIENT,
//!     operation: Operation::Request,
//!     sender_mac: CLIENT,
//!     sender_ip: Ipv4Addr::new(192, 168, 1, 7),
//!     target_mac: [0; 6],
//!     target_ip: vip,
//! };
//! let now = Instant::from_millis(20);
//! announcer.handle_input(now, Input::Frame { link: ETH0, frame: question.emit().as_bytes() });
//! perform(&mut announcer, now);
//!
//! let (link, frame) = sent.last().unwrap();
//! let answer = Packet::parse(frame.as_bytes()).unwrap();
//! assert_eq!(*link, ETH0);
//! assert_eq!((answer.operation, answer.destination), (Operation::Reply, CLIENT));
//! assert_eq!((answer.sender_mac, answer.sender_ip), (MAC, vip));
//! ```
//!
//! # Simplifying assumptions
//! - Untagged Ethernet frames. A VLAN is a link of its own, as in Linux; a frame that still carries a tag is
//!   neither ARP nor IPv6 here. Neighbour Discovery behind IPv6 extension headers is not read.
//! - An IPv6 address is nobody's router: the R flag is never set. It overrides what neighbours know, because it
//!   may have been elsewhere.
//! - Who owns an address is decided elsewhere. A conflict is reported, not acted upon: one spoofed frame must
//!   not move a Service.
//! - Whether a claim is preceded by probes (RFC 5227 2.1, RFC 4862 5.4, with their waits shortened) is up to the caller, who
//!   knows who had the address before.
//! - A withdrawal says nothing on the wire. The new owner's announcement redirects the clients.

#![no_std]
extern crate alloc;

pub mod announcer;
pub mod arp;
pub mod counters;
pub mod ethernet;
pub mod ndp;
pub mod reply;
pub mod silence;
pub mod table;

pub use announcer::{Announcer, Duty, Input, Output, Setup};
pub use arp::{Operation, Packet};
pub use counters::{Counters, Drops};
pub use ethernet::{Frame, Mac};
pub use reply::reply;
pub use silence::Silence;
pub use table::Table;
