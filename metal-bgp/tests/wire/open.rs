//! OPEN: octets and values side by side, both ways.

use crate::support::{hex, message, read, to_hex, told};
use metal_bgp::wire::{
    Afi, Capability, EncodeError, Error, Families, Family, Message, Open, Peer, Session,
    capability::{AddPathFamily, GracefulRestart, LongLivedFamily, NextHopEncoding, RestartFamily, Role},
    frame::{MaxLength, MessageType},
    open::{Negotiated, negotiate},
};

const ID: [u8; 4] = [10, 0, 0, 1];

fn encode(open: &Open<'_>) -> Vec<u8> {
    let mut buffer = [0xaa; 5_000];
    let len = open.encode(&mut buffer).expect("an OPEN that fits");
    buffer[..len].to_vec()
}

fn open(body: &str) -> Result<Open<'static>, Error> {
    let bytes = message(MessageType::Open, &hex(body));
    match read(&bytes, &Session::default())? {
        Message::Open(open) => Ok(open.into_owned()),
        other => panic!("not an OPEN: {other:?}"),
    }
}

/// The optional parameters of an otherwise good OPEN.
fn with_parameters(parameters: &str) -> Result<Open<'static>, Error> {
    open(&format!("04 fc00 005a 0a000001 {parameters}"))
}

#[test]
fn the_example_without_capabilities() {
    let bytes = hex("ffffffffffffffffffffffffffffffff 001d 01
        04          // Version
        fc00        // My Autonomous System 64512
        005a        // Hold Time 90
        0a000001    // BGP Identifier
        00          // Optional Parameters Length");
    let value = Open::new(64_512, 90, ID.into(), vec![]);
    let Ok(Message::Open(read)) = read(&bytes, &Session::default()) else { panic!("a good OPEN") };
    assert_eq!(read, value);
    assert_eq!((read.asn(), read.my_as, read.hold_time), (64_512, 64_512, 90));
    assert!(read.capabilities.is_empty());
    assert_eq!(encode(&value), bytes);
}

/// Every capability that is understood, and one that is not.
fn capabilities() -> Vec<(&'static str, Capability<'static>)> {
    vec![
        ("01 04 0001 00 01", Capability::Multiprotocol(Family::IPV4_UNICAST)),
        ("01 04 0002 00 02", Capability::Multiprotocol(Family::IPV6_MULTICAST)),
        ("02 00", Capability::RouteRefresh),
        ("80 00", Capability::RouteRefreshCisco),
        (
            "05 06 0001 0001 0002",
            Capability::ExtendedNextHop(
                vec![NextHopEncoding { afi: Afi::IPV4, safi: 1, next_hop: Afi::IPV6 }].into(),
            ),
        ),
        ("06 00", Capability::ExtendedMessage),
        ("09 01 03", Capability::Role(Role::Customer)),
        ("09 01 00", Capability::Role(Role::Provider)),
        ("09 01 63", Capability::Role(Role::Unknown(99))),
        (
            // R and N, 300 seconds, IPv4 with F, IPv6 without.
            "40 0a c12c 0001 01 80 0002 01 00",
            Capability::GracefulRestart(GracefulRestart {
                restarted: true,
                notification: true,
                restart_time: 300,
                families: vec![
                    RestartFamily { family: Family::IPV4_UNICAST, forwarding: true },
                    RestartFamily { family: Family::IPV6_UNICAST, forwarding: false },
                ]
                .into(),
            }),
        ),
        (
            // Only End-of-RIB.
            "40 02 0000",
            Capability::GracefulRestart(GracefulRestart {
                restarted: false,
                notification: false,
                restart_time: 0,
                families: vec![].into(),
            }),
        ),
        ("41 04 fa56ea00", Capability::FourOctetAs(4_200_000_000)),
        (
            "45 08 0001 01 03 0002 01 01",
            Capability::AddPath(
                vec![
                    AddPathFamily { family: Family::IPV4_UNICAST, send_receive: 3 },
                    AddPathFamily { family: Family::IPV6_UNICAST, send_receive: 1 },
                ]
                .into(),
            ),
        ),
        ("46 00", Capability::EnhancedRouteRefresh),
        (
            "47 07 0001 01 80 000e10",
            Capability::LongLivedGracefulRestart(
                vec![LongLivedFamily { family: Family::IPV4_UNICAST, forwarding: true, stale_time: 3_600 }]
                    .into(),
            ),
        ),
        (
            "49 0a 05 6e6f646531 03 6c616e",
            Capability::Fqdn { host: b"node1".as_slice().into(), domain: b"lan".as_slice().into() },
        ),
        ("4a 00", Capability::BfdStrict),
        ("4d 00", Capability::LinkLocalNextHop),
        ("c7 03 010203", Capability::Unknown { code: 199, value: [1, 2, 3].as_slice().into() }),
    ]
}

#[test]
fn each_capability_both_ways() {
    for (octets, capability) in capabilities() {
        let len = hex(octets).len();
        let parameters = format!("{:02x} 02 {len:02x} {octets}", len + 2);
        let bytes = message(MessageType::Open, &hex(&format!("04 fc00 005a 0a000001 {parameters}")));
        let value = Open::new(64_512, 90, ID.into(), vec![capability.clone()]);
        assert_eq!(to_hex(&encode(&value)), to_hex(&bytes), "{capability:?}");
        assert_eq!(with_parameters(&parameters), Ok(value), "{capability:?}");
    }
}

#[test]
fn capabilities_in_one_parameter_or_in_many_are_the_same() {
    let one = with_parameters("10 02 0e 0104 0001 0001 0200 4104 0000fc00").expect("good");
    let many = with_parameters("14 02 06 0104 0001 0001  02 02 0200  02 06 4104 0000fc00").expect("good");
    let empty_ones_between =
        with_parameters("18 02 00 02 06 0104 0001 0001  02 02 0200 02 00 02 06 4104 0000fc00");
    assert_eq!(one, many);
    assert_eq!(Ok(one), empty_ones_between);
    assert_eq!(many.capabilities.iter().count(), 3);
}

#[test]
fn duplicates_are_kept() {
    let open = with_parameters("06 02 04 0200 0200").expect("good");
    assert_eq!(open.capabilities.to_vec(), [Capability::RouteRefresh, Capability::RouteRefresh]);
}

#[test]
fn extended_optional_parameters() {
    // RFC 9072 2: 255, 255, two octets of length, parameters with two octets of length.
    let extended = with_parameters("ff ff 000b 02 0008 0200 4104 0000fc00").expect("good");
    assert_eq!(extended.capabilities.to_vec(), [Capability::RouteRefresh, Capability::FourOctetAs(64_512)]);
    // The first length is not looked at, as long as it is not 0.
    assert_eq!(with_parameters("0a ff 000b 02 0008 0200 4104 0000fc00"), Ok(extended));

    // 52 times 5 octets do not fit into 255.
    let many: Vec<_> =
        (0..52).map(|n| Capability::Unknown { code: 200, value: vec![n, n, n].into() }).collect();
    let value = Open::new(64_512, 90, ID.into(), many);
    let bytes = encode(&value);
    assert_eq!(to_hex(&bytes[28..35]), "ffff0107020104");
    let Ok(Message::Open(read)) = read(&bytes, &Session::default()) else { panic!("a good OPEN") };
    assert_eq!(read, value);
}

#[test]
fn the_longest_short_form_and_the_shortest_long_one() {
    // Two octets of the parameter and its 253 are what one octet of length can say.
    for (len, extended) in [(251, false), (252, true)] {
        let value =
            Open::new(1, 0, ID.into(), vec![Capability::Unknown { code: 200, value: vec![7; len].into() }]);
        let bytes = encode(&value);
        assert_eq!(bytes[28] == 255 && bytes[29] == 255, extended, "{len}");
        assert_eq!(bytes.len(), if extended { 35 } else { 31 } + 2 + len);
        let Ok(Message::Open(read)) = read(&bytes, &Session::default()) else { panic!("a good OPEN") };
        assert_eq!(read, value);
    }
}

#[test]
fn the_four_octet_as_is_the_one_that_counts() {
    // RFC 6793 9: AS_TRANS in the field of two octets.
    let value = Open::new(4_200_000_000, 90, ID.into(), vec![Capability::FourOctetAs(4_200_000_000)]);
    assert_eq!((value.my_as, value.asn()), (23_456, 4_200_000_000));
    assert_eq!(open("04 5ba0 005a 0a000001 08 02 06 4104 fa56ea00"), Ok(value));
}

#[test]
fn errors_and_their_notifications() {
    for (body, expected) in [
        // The version, with the largest that is supported (RFC 4271 6.2).
        ("03 fc00 005a 0a000001 00", (2, 1, "0004", 19)),
        ("05 0000 0001 00000000 00", (2, 1, "0004", 19)),
        // AS 0 (RFC 7607), in both places.
        ("04 0000 005a 0a000001 00", (2, 2, "", 20)),
        ("04 fc00 005a 0a000001 08 02 06 4104 00000000", (2, 2, "", 33)),
        // Hold time.
        ("04 fc00 0001 0a000001 00", (2, 6, "", 22)),
        ("04 fc00 0002 0a000001 00", (2, 6, "", 22)),
        // BGP Identifier (RFC 6286).
        ("04 fc00 005a 00000000 00", (2, 3, "", 24)),
        // A parameter that nobody knows, and the one of RFC 4271 that is gone.
        ("04 fc00 005a 0a000001 03 09 01 00", (2, 4, "", 29)),
        ("04 fc00 005a 0a000001 07 02 02 0200 01 01 00", (2, 4, "", 33)),
        // 255 means something only where the first parameter would be.
        ("04 fc00 005a 0a000001 06 02 02 0200 ff 00", (2, 4, "", 33)),
        // Lengths that do not fit together.
        ("04 fc00 005a 0a000001 01", (2, 0, "", 28)),
        ("04 fc00 005a 0a000001 05 02 02 0200", (2, 0, "", 28)),
        ("04 fc00 005a 0a000001 03 02 02 0200", (2, 0, "", 28)),
        ("04 fc00 005a 0a000001 00 ff 0004 02 0001 00", (2, 0, "", 28)),
        ("04 fc00 005a 0a000001 04 02 03 0200", (2, 0, "", 29)),
        ("04 fc00 005a 0a000001 ff ff 0005 02 0003 0200", (2, 0, "", 32)),
        // Capabilities that run over their parameter, or cannot have their length.
        ("04 fc00 005a 0a000001 03 02 01 02", (2, 0, "", 31)),
        ("04 fc00 005a 0a000001 04 02 02 4104", (2, 0, "", 31)),
        ("04 fc00 005a 0a000001 05 02 03 0201 00", (2, 0, "", 31)),
        ("04 fc00 005a 0a000001 07 02 05 4103 000001", (2, 0, "", 31)),
        ("04 fc00 005a 0a000001 09 02 07 0200 0103 000100", (2, 0, "", 33)),
        ("04 fc00 005a 0a000001 09 02 07 4505 000101 0100", (2, 0, "", 31)),
    ] {
        let error = open(body).expect_err(body);
        let (code, subcode, data, offset) = told(&error);
        assert_eq!((code, subcode, to_hex(&data).as_str(), offset), expected, "{body}: {error}");
    }
}

#[test]
fn a_name_that_cannot_be_read_is_no_reason_to_refuse_a_session() {
    let open = with_parameters("07 02 05 4903 09 6162").expect("good");
    assert_eq!(
        open.capabilities.to_vec(),
        [Capability::Unknown { code: 73, value: [9, b'a', b'b'].as_slice().into() }]
    );
}

#[test]
fn nothing_is_sent_that_a_peer_would_refuse() {
    let mut buffer = [0; 4_096];
    for (open, expected) in [
        (Open::new(0, 90, ID.into(), vec![]), EncodeError::Unacceptable("AS 0 must not be used")),
        (
            Open::new(70_000, 90, ID.into(), vec![Capability::FourOctetAs(0)]),
            EncodeError::Unacceptable("AS 0 must not be used"),
        ),
        (Open::new(1, 90, [0; 4].into(), vec![]), EncodeError::Unacceptable("the BGP Identifier is 0")),
        (
            Open::new(1, 2, ID.into(), vec![]),
            EncodeError::Unacceptable("the hold time has to be 0 or at least 3 s"),
        ),
    ] {
        assert_eq!(open.encode(&mut buffer), Err(expected));
    }
    // An OPEN never takes more than 4,096 octets (RFC 8654 4), whatever the buffer has.
    let long = Capability::Unknown { code: 200, value: vec![0; 255].into() };
    let open = Open::new(1, 90, ID.into(), vec![long; 16]);
    assert_eq!(open.encode(&mut [0; 65_535]), Err(EncodeError::TooLong { limit: 4_096 }));
    assert_eq!(
        Open::new(1, 90, ID.into(), vec![]).encode(&mut [0; 28]),
        Err(EncodeError::TooLong { limit: 28 })
    );
}

#[test]
fn what_both_sides_have_is_negotiated() {
    let add_path = |send_receive| {
        Capability::AddPath(
            [Family::IPV4_UNICAST, Family::IPV6_UNICAST]
                .into_iter()
                .map(|family| AddPathFamily { family, send_receive })
                .collect::<Vec<_>>()
                .into(),
        )
    };
    let ours = Open::new(
        64_512,
        90,
        ID.into(),
        vec![Capability::FourOctetAs(64_512), Capability::ExtendedMessage, add_path(1)],
    );
    let plain = Session { four_octet_as: true, ..Session::default() };

    let theirs = Open::new(64_513, 90, ID.into(), vec![Capability::FourOctetAs(64_513), add_path(3)]);
    let both = Families::NONE.with(Family::IPV4_UNICAST).with(Family::IPV6_UNICAST);
    assert_eq!(
        negotiate(&ours, &theirs),
        Negotiated { receive: Session { add_path: both, ..plain }, send: plain }
    );

    let alone = Open::new(64_512, 90, ID.into(), vec![Capability::ExtendedMessage]);
    let internal = Session { peer: Peer::Internal, max_length: MaxLength::Extended, ..Session::default() };
    assert_eq!(negotiate(&ours, &alone), Negotiated { receive: internal, send: internal });
}
