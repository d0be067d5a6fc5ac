//! Packing: any prefixes arrive in their order, in messages that are valid and full.

#![no_main]

use ipnet::Ipv4Net;
use libfuzzer_sys::fuzz_target;
use metal_bgp::{
    validate::validate,
    wire::{
        Attributes, Families, Family, Nlri, Packer, Peer, Safi, Session, Update,
        attribute::{Community, MpNlri, NextHop},
        build::Originate,
        frame::{Frame, MaxLength},
    },
};

fuzz_target!(|data: &[u8]| {
    let [control, communities, room, data @ ..] = data else { return };
    let session = Session {
        peer: if control & 1 == 0 { Peer::External } else { Peer::Internal },
        four_octet_as: control & 2 == 0,
        add_path: if control & 4 == 0 { Families::NONE } else { Families::ALL },
        max_length: MaxLength::Standard,
    };
    let mut attributes = Attributes::originate(match session.peer {
        Peer::External => Originate::External { own_as: 4_200_000_000 },
        Peer::Internal => Originate::Internal { local_pref: 100 },
    });
    attributes.communities = (0..u32::from(*communities)).rev().map(Community).collect();
    let add_path = session.add_path.contains(Family::IPV4_UNICAST);
    let routes: Vec<_> = data
        .as_chunks::<5>()
        .0
        .iter()
        .map(|[length, a, b, c, d]| Nlri {
            path_id: add_path.then_some(u32::from(*length)),
            prefix: Ipv4Net::new([*a, *b, *c, *d].into(), length % 33).expect("at most 32"),
        })
        .collect();
    let next_hop =
        if control & 8 == 0 { NextHop::V4([192, 0, 2, 1].into()) } else { NextHop::V6(HOP.into()) };
    let iter = routes.iter().copied();
    let packer = if control & 16 == 0 {
        Packer::announce(&attributes, next_hop, Safi::UNICAST, iter, &session)
    } else {
        Packer::withdraw(Safi::UNICAST, iter, &session)
    };
    let mut packer = packer.expect("acceptable, and room for a prefix");

    // Sometimes the buffer is shorter than the longest message.
    let mut buffer = vec![0xaa; 4_096 - usize::from(*room) * 8];
    let mut arrived = Vec::new();
    let mut last = None;
    while let Some(len) = packer.write(&mut buffer).expect("room for a prefix") {
        let frame = Frame::parse(&buffer[..len], MaxLength::Standard).expect("a whole message");
        let update = Update::parse(frame.body(), &session).expect("a good UPDATE");
        assert_eq!(validate(&update).disposition(), None);
        let before = arrived.len();
        arrived.extend(update.withdrawn().chain(update.nlri()));
        if let Some(MpNlri::Ipv4(prefixes)) = update.mp_reach().map(|reach| reach.nlri) {
            arrived.extend(prefixes);
        }
        assert!(arrived.len() > before);
        if let Some(last) = last.replace(len) {
            let first = usize::from(arrived[before].prefix.prefix_len()).div_ceil(8)
                + 1
                + if add_path { 4 } else { 0 };
            // One octet more where the length of MP_REACH_NLRI would have taken two.
            assert!(last + first + 1 > buffer.len());
        }
    }
    let sent = routes.iter().map(|nlri| Nlri { prefix: nlri.prefix.trunc(), ..*nlri });
    assert!(arrived.into_iter().eq(sent));
});

const HOP: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
