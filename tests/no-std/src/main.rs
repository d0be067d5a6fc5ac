//! Proves that metal-core, metal-arp and metal-bgp need no operating system.
//!
//! The program links the three without `std`. It has a panic handler and an allocator of its own, and `std`
//! brings another panic handler: as soon as one of the crates, or anything below them, pulls in `std`, the
//! build fails with "found duplicate lang item `panic_impl`". A check against another target would need that
//! target's `core` from the network; this one needs nothing.
//!
//! Only the C start-up code and `memcpy` come from libc. When run, the program uses a little of each crate
//! and exits with 0.

#![no_std]
#![no_main]

mod bump;

use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    panic::PanicInfo,
};

use ipnet::Ipv4Net;
use metal_arp::{Announcer, Duty, Input, Output, Packet, ndp};
use metal_bgp::{
    validate::validate,
    wire::{
        Attributes, Message, Packer, Safi, Session,
        attribute::NextHop,
        build::Originate,
        frame::{Frame, MaxLength},
    },
};
use metal_core::{Instant, Timers, drain, machine::Machine};

#[global_allocator]
static HEAP: bump::Bump = bump::Bump::new();

#[link(name = "c")]
unsafe extern "C" {
    safe fn abort() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    abort()
}

/// The precompiled `alloc` names it in its unwinding tables, which nobody reads: a panic aborts.
// SAFETY: nothing else in a program without std has this name.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// What the C start-up code calls. The exit status names the crate that misbehaved.
// SAFETY: nothing else in the program is called `main`.
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    if !core_works() {
        return 1;
    }
    if !arp_works() {
        return 2;
    }
    if !bgp_works() {
        return 3;
    }
    0
}

fn core_works() -> bool {
    let mut timers = Timers::new();
    timers.set("beacon", Instant::from_millis(100));
    timers.take_due(Instant::from_millis(100)) == Some("beacon")
}

fn arp_works() -> bool {
    let mac = [0x02, 0, 0, 0, 0, 0x01];
    let v4 = Ipv4Addr::new(192, 0, 2, 1);
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let mut announcer = Announcer::default();
    announcer.handle_input(Instant::ZERO, Input::Link { link: 1, mac: Some(mac) });
    for address in [IpAddr::V4(v4), IpAddr::V6(v6)] {
        announcer.handle_input(Instant::ZERO, Input::Own { link: 1, address, duty: Some(Duty::default()) });
    }
    // Both are answered for; a membership, gratuitous ARP in both forms, an unsolicited advertisement.
    let sent = drain(&mut announcer, Instant::ZERO);
    sent.len() == 6
        && sent.iter().all(|output| match output {
            Output::Send { frame, .. } => {
                Packet::parse(frame.as_bytes()).is_ok_and(|packet| packet.sender_ip == v4)
                    || ndp::Packet::parse(frame.as_bytes()).is_ok_and(|packet| packet.target == v6)
            }
            Output::Join { group, .. } => *group == ndp::solicited_node(v6),
            Output::Answering { mac: answered, .. } => *answered == Some(mac),
            Output::Leave { .. } | Output::Conflict { .. } | Output::ConflictOver { .. } => false,
        })
}

fn bgp_works() -> bool {
    let session = Session { four_octet_as: true, ..Session::default() };
    let attributes = Attributes::originate(Originate::External { own_as: 64_512 });
    let next_hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
    let prefixes = [Ipv4Net::from(Ipv4Addr::new(198, 51, 100, 7))];
    let Ok(mut packer) = Packer::announce(&attributes, next_hop, Safi::UNICAST, prefixes, &session) else {
        return false;
    };
    let mut buffer = [0; 4_096];
    let Ok(Some(len)) = packer.write(&mut buffer) else { return false };
    let message = buffer.get(..len).unwrap_or_default();
    let Ok(frame) = Frame::parse(message, MaxLength::Standard) else { return false };
    let Ok(Message::Update(update)) = Message::parse(&frame, &session) else { return false };
    validate(&update).disposition().is_none() && update.nlri().map(|nlri| nlri.prefix).eq(prefixes)
}
