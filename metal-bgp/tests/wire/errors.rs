//! UPDATEs that cannot be read: each error with its place and its NOTIFICATION.

use metal_bgp::wire::{Families, Session, Update};

use crate::support::{external, hex, to_hex, told};

#[test]
fn what_cannot_be_read_ends_the_session() {
    for (body, expected) in [
        // Withdrawn Routes that run over the end, or leave no room for the next length (RFC 7606 3 a).
        ("0001 0000", (3, 1, "", 19)),
        ("ffff 0000", (3, 1, "", 19)),
        ("0002 0000", (3, 1, "", 19)),
        // Attributes that run over the end.
        ("0000 0001", (3, 1, "", 21)),
        ("0000 ffff 40010100", (3, 1, "", 21)),
        ("0002 0800 0001", (3, 1, "", 23)),
        ("0005 20c6336407 0005 40010100", (3, 1, "", 26)),
        // Prefixes with too many bits, and prefixes that are cut off.
        ("0005 21c6336407 0000", (3, 10, "", 21)),
        ("0007 08 0a ff c6336407 0000", (3, 10, "", 23)),
        ("0004 20c63364 0000", (3, 10, "", 21)),
        ("0001 01 0000", (3, 10, "", 21)),
        ("0000 0000 21c6336407", (3, 10, "", 23)),
        ("0000 0004 40010100 18c63364 20c633", (3, 10, "", 31)),
        ("0000 0000 20c6336407 20c6336408 20c63364", (3, 10, "", 33)),
        ("0000 0000 20c6336407 28c6336408", (3, 10, "", 28)),
    ] {
        let error = Update::parse(&hex(body), &external()).map(|_| ()).expect_err(body);
        let (code, subcode, data, offset) = told(&error);
        assert_eq!((code, subcode, to_hex(&data).as_str(), offset), expected, "{body}: {error}");
    }
}

#[test]
fn path_identifiers_are_checked_as_well() {
    let session = Session { add_path: Families::ALL, ..external() };
    for (body, expected) in [
        ("0000 0000 00000001 21 c6336407", (3, 10, "", 27)),
        ("0000 0000 00000001 20 c63364", (3, 10, "", 23)),
        ("0000 0000 00000001", (3, 10, "", 23)),
        ("0000 0000 00000001 00 0000", (3, 10, "", 28)),
        ("0006 00000001 20c6 0000", (3, 10, "", 21)),
    ] {
        let error = Update::parse(&hex(body), &session).map(|_| ()).expect_err(body);
        let (code, subcode, data, offset) = told(&error);
        assert_eq!((code, subcode, to_hex(&data).as_str(), offset), expected, "{body}: {error}");
    }
}

#[test]
fn bodies_that_no_frame_has() {
    for body in ["", "00", "0000", "0000 00"] {
        let error = Update::parse(&hex(body), &external()).map(|_| ()).expect_err(body);
        let (code, subcode, ..) = told(&error);
        assert!(matches!((code, subcode), (1, 2) | (3, 1)), "{body}: {error}");
    }
    let error = Update::parse(&[0; 65_536], &external()).map(|_| ()).expect_err("too long");
    assert_eq!(told(&error), (1, 2, vec![0xff, 0xff], 16));
}
