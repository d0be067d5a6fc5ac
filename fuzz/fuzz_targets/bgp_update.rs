//! UPDATE: any body, by any kind of session, is read or refused; the view and the owned form say the same.

#![no_main]

use std::hash::{DefaultHasher, Hash, Hasher};

use libfuzzer_sys::fuzz_target;
use metal_bgp::wire::{
    Families, OwnedUpdate, Peer, Session, Update, Value, attribute::MpNlri, frame::MaxLength,
};

fuzz_target!(|data: &[u8]| {
    let [control, body @ ..] = data else { return };
    let session = Session {
        peer: if control & 1 == 0 { Peer::External } else { Peer::Internal },
        four_octet_as: control & 2 == 0,
        add_path: if control & 4 == 0 { Families::NONE } else { Families::ALL },
        max_length: MaxLength::Extended,
    };
    match Update::parse(body, &session) {
        Ok(update) => {
            let owned = OwnedUpdate::parse(body, &session).expect("the same");
            assert_eq!(look_at(&update), look_at(&owned.view()));
        }
        Err(error) => {
            assert!(OwnedUpdate::parse(body, &session).is_err());
            assert!(matches!(error.notification().code, 1 | 3));
            assert!(error.offset() <= 19 + body.len());
        }
    }
});

fn look_at(update: &Update<'_>) -> u64 {
    let mut seen = DefaultHasher::new();
    let mut octets = 0;
    for nlri in update.withdrawn().chain(update.nlri()) {
        assert_eq!(nlri.prefix, nlri.prefix.trunc());
        nlri.hash(&mut seen);
    }
    for attribute in update.attributes() {
        octets += attribute.raw.len();
        (attribute.code, attribute.flags, attribute.offset, attribute.raw).hash(&mut seen);
        match attribute.value() {
            Ok(Value::MpReach(reach)) => hash_nlri(reach.nlri, &mut seen),
            Ok(Value::MpUnreach(unreach)) => hash_nlri(unreach.nlri, &mut seen),
            Ok(Value::AsPath(path) | Value::As4Path(path)) => {
                path.asns().count().hash(&mut seen);
                path.hops().hash(&mut seen);
            }
            Ok(Value::Communities(list)) => assert_eq!(list.iter().count(), list.len()),
            Ok(value) => std::mem::discriminant(&value).hash(&mut seen),
            Err(fault) => fault.hash(&mut seen),
        }
    }
    assert!(octets <= update.as_bytes().len());
    update.end_of_rib().hash(&mut seen);
    seen.finish()
}

fn hash_nlri(nlri: MpNlri<'_>, seen: &mut DefaultHasher) {
    match nlri {
        MpNlri::Ipv4(prefixes) => prefixes.for_each(|nlri| nlri.hash(seen)),
        MpNlri::Ipv6(prefixes) => prefixes.for_each(|nlri| nlri.hash(seen)),
        MpNlri::Other(bytes) => bytes.hash(seen),
    }
}
