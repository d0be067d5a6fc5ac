//! NOTIFICATION, KEEPALIVE and ROUTE-REFRESH: octets and values side by side, both ways.

use crate::support::{hex, message, read, to_hex, told};
use metal_bgp::wire::{
    Afi, EncodeError, Family, Message, Notification, RouteRefresh, Safi, Session, encode_keepalive,
    frame::{Frame, HeaderError, MaxLength, MessageType, Unframed},
    notification::{Communication, communicate},
    refresh::Subtype,
};

#[test]
fn keepalive_both_ways() {
    let bytes = hex("ffffffffffffffffffffffffffffffff 0013 04");
    assert!(matches!(read(&bytes, &Session::default()), Ok(Message::Keepalive)));
    let mut buffer = [0; 19];
    assert_eq!(encode_keepalive(&mut buffer), Ok(19));
    assert_eq!(buffer[..], bytes);
    assert_eq!(encode_keepalive(&mut [0; 18]), Err(EncodeError::TooLong { limit: 18 }));
}

#[test]
fn notifications_both_ways() {
    for (body, code, subcode, data, text) in [
        ("01 01", 1, 1, "", "Message Header Error: Connection Not Synchronized"),
        ("01 02 0012", 1, 2, "0012", "Message Header Error: Bad Message Length"),
        ("02 01 0004", 2, 1, "0004", "OPEN Message Error: Unsupported Version Number"),
        ("02 07 010400010080", 2, 7, "010400010080", "OPEN Message Error: Unsupported Capability"),
        ("02 0b", 2, 11, "", "OPEN Message Error: Role Mismatch"),
        ("03 06 40010107", 3, 6, "40010107", "UPDATE Message Error: Invalid ORIGIN Attribute"),
        ("04 00", 4, 0, "", "Hold Timer Expired"),
        ("05 03", 5, 3, "", "Finite State Machine Error: Receive Unexpected Message in Established State"),
        ("06 03", 6, 3, "", "Cease: Peer De-configured"),
        ("06 0a", 6, 10, "", "Cease: BFD Down"),
        ("07 01", 7, 1, "", "ROUTE-REFRESH Message Error: Invalid Message Length"),
        ("08 00", 8, 0, "", "Send Hold Timer Expired"),
        ("06 63", 6, 99, "", "Cease: subcode 99"),
        ("63 07 ff", 99, 7, "ff", "error code 99: subcode 7"),
    ] {
        let bytes = message(MessageType::Notification, &hex(body));
        let data = hex(data);
        let value = Notification::new(code, subcode, &data);
        let Ok(Message::Notification(read)) = read(&bytes, &Session::default()) else { panic!("{body}") };
        assert_eq!(read, value);
        assert_eq!(read.to_string(), text);
        let mut buffer = [0; 64];
        let len = value.encode(&mut buffer).expect("it fits");
        assert_eq!(to_hex(&buffer[..len]), to_hex(&bytes));
    }
}

#[test]
fn every_registered_code_has_its_names() {
    let subcodes: [(u8, &[u8]); 8] = [
        (1, &[0, 1, 2, 3]),
        (2, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        (3, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        (4, &[]),
        (5, &[0, 1, 2, 3]),
        (6, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (7, &[0, 1]),
        (8, &[]),
    ];
    for (code, registered) in subcodes {
        assert!(Notification::new(code, 0, &[]).code_name().is_some(), "{code}");
        for subcode in 0..=u8::MAX {
            let named = Notification::new(code, subcode, &[]).subcode_name().is_some();
            assert_eq!(named, registered.contains(&subcode), "{code}/{subcode}");
        }
    }
}

#[test]
fn the_text_of_a_shutdown() {
    // RFC 9003 2: one octet of length, then UTF-8.
    let data = hex("05 68656c6c6f");
    assert_eq!(Notification::new(6, 2, &data).communication(), Some(Communication::Text("hello")));
    assert_eq!(Notification::new(6, 4, &data).communication(), Some(Communication::Text("hello")));
    for (code, subcode) in [(6, 3), (6, 9), (2, 2)] {
        assert_eq!(Notification::new(code, subcode, &data).communication(), None, "{code}/{subcode}");
    }
    assert_eq!(Notification::new(6, 2, &[]).communication(), None);
    assert_eq!(Notification::new(6, 2, &[0]).communication(), None);
    // More text than there is data, and what is no UTF-8.
    for bad in ["06 68656c6c6f", "02 c328", "ff"] {
        let data = hex(bad);
        let unreadable = Some(Communication::Unreadable(&data[..]));
        assert_eq!(Notification::new(6, 2, &data).communication(), unreadable, "{bad}");
    }
    // 255 octets of text are allowed, 128 were once (RFC 8203).
    let mut out = [0; 256];
    let long = "ü".repeat(200);
    let data = communicate(&long, &mut out).to_vec();
    assert_eq!((data.len(), data[0]), (255, 254));
    assert_eq!(Notification::new(6, 2, &data).communication(), Some(Communication::Text(&long[..254])));
    assert_eq!(communicate("bye", &mut out), [3, b'b', b'y', b'e']);
}

#[test]
fn a_hard_reset_has_the_real_reason_inside() {
    let data = hex("06 02 03 627965");
    let outer = Notification::new(6, 9, &data);
    let inner = outer.hard_reset().expect("a reason");
    assert_eq!((inner.code, inner.subcode), (6, 2));
    assert_eq!(inner.communication(), Some(Communication::Text("bye")));
    assert_eq!(Notification::new(6, 9, &[6]).hard_reset(), None);
    assert_eq!(Notification::new(6, 2, &data).hard_reset(), None);
}

#[test]
fn route_refresh_both_ways() {
    for (body, family, subtype) in [
        ("0001 00 01", Family::IPV4_UNICAST, Subtype::Request),
        ("0002 01 01", Family::IPV6_UNICAST, Subtype::Beginning),
        ("0002 02 02", Family::IPV6_MULTICAST, Subtype::End),
        ("4004 09 47", Family::new(Afi(16_388), Safi(71)), Subtype::Unknown(9)),
    ] {
        let bytes = message(MessageType::RouteRefresh, &hex(body));
        let value = RouteRefresh { family, subtype };
        let Ok(Message::RouteRefresh(read)) = read(&bytes, &Session::default()) else { panic!("{body}") };
        assert_eq!(read, value);
        let mut buffer = [0; 23];
        assert_eq!(value.encode(&mut buffer), Ok(23));
        assert_eq!(to_hex(&buffer), to_hex(&bytes));
    }
}

#[test]
fn route_refresh_of_a_wrong_length() {
    // Where a refresh begins or ends: 7/1 with the whole message (RFC 7313 5).
    for subtype in ["01", "02"] {
        let bytes = message(MessageType::RouteRefresh, &hex(&format!("0001 {subtype} 01 00")));
        let error = read(&bytes, &Session::default()).expect_err("too long");
        assert_eq!(told(&error), (7, 1, bytes, 16));
    }
    // Any other is a message of a bad length.
    let bytes = message(MessageType::RouteRefresh, &hex("0001 00 01 0000"));
    let error = read(&bytes, &Session::default()).expect_err("too long");
    assert_eq!(told(&error), (1, 2, vec![0, 25], 16));
    // Too short for any subtype: the header says so.
    let header = hex("ffffffffffffffffffffffffffffffff 0016 05");
    let short = Unframed::Malformed(HeaderError::BadMessageLength([0, 22]));
    assert_eq!(Frame::parse(&header, MaxLength::Standard), Err(short));
}

#[test]
fn header_errors_are_errors_like_any_other() {
    for (header, expected) in [
        ("fffffffffffffffffffffffffffffffe 0013 04", (1, 1, "", 15)),
        ("ffffffffffffffffffffffffffffffff 0012 04", (1, 2, "0012", 16)),
        ("ffffffffffffffffffffffffffffffff ffff 02", (1, 2, "ffff", 16)),
        ("ffffffffffffffffffffffffffffffff 0014 04", (1, 2, "0014", 16)),
        ("ffffffffffffffffffffffffffffffff 0017 07", (1, 3, "07", 18)),
    ] {
        let Err(Unframed::Malformed(error)) = Frame::parse(&hex(header), MaxLength::Standard) else {
            panic!("{header}")
        };
        let (code, subcode, data, offset) = told(&error.into());
        assert_eq!((code, subcode, to_hex(&data).as_str(), offset), expected, "{header}");
    }
}
