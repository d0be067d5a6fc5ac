//! What reading and writing allocate: nothing for a view, once for an owned UPDATE, and never much more than what came in.

use allocation_counter::measure;
use ipnet::Ipv4Net;
use metal_bgp::{
    validate::validate,
    wire::{
        Attributes, Contents, Message, Open, OwnedUpdate, Packer, Safi, Session, Update, Value,
        attribute::{Community, MpNlri, NextHop},
        build::Originate,
        frame::{Frame, MaxLength},
    },
};
use proptest::{collection::vec, prelude::*};

const SESSION: Session = Session {
    peer: metal_bgp::wire::Peer::External,
    four_octet_as: true,
    add_path: metal_bgp::wire::Families::NONE,
    max_length: MaxLength::Standard,
};

/// A /32 with two communities: 59 octets.
fn one() -> Vec<u8> {
    let mut attributes = Attributes::originate(Originate::External { own_as: 64_512 });
    attributes.communities = vec![Community::new(64_512, 1), Community::new(64_512, 2)];
    let prefixes: [Ipv4Net; 1] = ["198.51.100.7/32".parse().expect("a prefix")];
    let next_hop = NextHop::V4([192, 0, 2, 1].into());
    let mut packer =
        Packer::announce(&attributes, next_hop, Safi::UNICAST, prefixes, &SESSION).expect("good");
    let mut buffer = vec![0; 4_096];
    let len = packer.write(&mut buffer).expect("room").expect("a message");
    assert_eq!(len, 59);
    buffer.truncate(len);
    buffer
}

/// Looks at everything there is.
fn look_at(update: &Update<'_>) -> usize {
    let mut seen = update.withdrawn().count() + update.nlri().count();
    for attribute in update.attributes() {
        seen += match attribute.value() {
            Ok(Value::AsPath(path) | Value::As4Path(path)) => path.asns().count(),
            Ok(Value::Communities(list)) => list.iter().count(),
            Ok(Value::LargeCommunities(list)) => list.iter().count(),
            Ok(Value::MpReach(reach)) => count(reach.nlri),
            Ok(Value::MpUnreach(unreach)) => count(unreach.nlri),
            Ok(_) | Err(_) => 1,
        };
    }
    seen + validate(update).findings().count() + usize::from(validate(update).disposition().is_some())
}

fn count(nlri: MpNlri<'_>) -> usize {
    match nlri {
        MpNlri::Ipv4(prefixes) => prefixes.count(),
        MpNlri::Ipv6(prefixes) => prefixes.count(),
        MpNlri::Other(bytes) => bytes.len(),
    }
}

#[test]
fn a_view_allocates_nothing() {
    let message = one();
    let info = measure(|| {
        let frame = Frame::parse(&message, MaxLength::Standard).expect("a whole message");
        let Ok(Message::Update(update)) = Message::parse(&frame, &SESSION) else { panic!("a good UPDATE") };
        assert_eq!(look_at(&update), 1 + 1 + 1 + 1 + 2);
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn an_owned_update_allocates_once() {
    let message = one();
    let mut kept = None;
    let info = measure(|| kept = OwnedUpdate::parse(&message[19..], &SESSION).ok());
    assert_eq!((info.count_total, info.bytes_total), (1, 40));
    let info = measure(|| assert_eq!(kept.iter().map(|kept| look_at(&kept.view())).sum::<usize>(), 6));
    assert_eq!(info.count_total, 0);
}

#[test]
fn writing_messages_of_a_million_prefixes_allocates_no_more_than_writing_one() {
    let attributes = Attributes::originate(Originate::External { own_as: 64_512 });
    let next_hop = NextHop::V4([192, 0, 2, 1].into());
    let hosts = (0..1_000_000_u32).map(|n| Ipv4Net::from(core::net::Ipv4Addr::from_bits(n)));
    let mut packer = Packer::announce(&attributes, next_hop, Safi::UNICAST, hosts, &SESSION).expect("good");
    let mut buffer = [0; 4_096];
    let info = measure(|| while packer.write(&mut buffer).expect("room").is_some() {});
    assert_eq!(info.count_total, 0);
}

#[test]
fn an_open_that_is_only_read_allocates_nothing() {
    let body = b"\x04\xfc\x00\x00\x5a\x0a\x00\x00\x01\x10\x02\x0e\x01\x04\x00\x01\x00\x01\x02\x00\x41\x04\x00\x00\xfc\x00";
    let info = measure(|| {
        let open = Open::parse(body).expect("a good OPEN");
        assert_eq!((open.asn(), open.capabilities.iter().count()), (64_512, 3));
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn a_length_field_makes_no_room() {
    // 65,535 octets of attributes are announced, three are there.
    let info = measure(|| assert!(Update::parse(&[0, 0, 0xff, 0xff, 1, 2, 3], &SESSION).is_err()));
    assert!(info.bytes_max < 1_000);
}

proptest! {
    #[test]
    fn values_take_a_small_multiple_of_what_came_in(body in vec(any::<u8>(), 0..2_000), zero: bool) {
        // Zeros are default routes: the most values that octets can be.
        let body = if zero { vec![0; body.len()] } else { body };
        let info = measure(|| {
            if let Ok(update) = Update::parse(&body, &SESSION) {
                let _ = look_at(&update);
                let _ = Contents::of(&update);
            }
        });
        prop_assert!(info.bytes_max <= 1_000 + 64 * body.len() as u64, "{} for {}", info.bytes_max, body.len());
    }
}
