use alloc::{string::String, vec, vec::Vec};
use core::net::IpAddr;

use ipnet::IpNet;
use proptest::{collection, prelude::*};

use super::{body::*, *};

const SECRET: Secret = [7; 32];
const SALT: Salt = *b"0123456789abcdef";
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const EVERYBODY: [u8; 6] = [0xff; 6];

fn header(sequence: u64) -> Header<'static> {
    Header { key_id: key_id(&SECRET), salt: SALT, sequence, ifindex: 3, interface: "eth0", node: "n1" }
}

fn seal() -> Seal {
    Seal::derive(&SECRET, &SALT, "n1")
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn beacon() -> Beacon {
    Beacon {
        interval_ms: 100,
        multiplier: 3,
        rules: 1,
        tier: 2,
        flags: Flags::LISTENING.with(Flags::SOLICIT, true),
        newest_key: 0x0102_0304,
        nonce: *b"noncenon",
        echoes: vec![(0xaabb_ccdd, *b"theirs!!")],
        heard: Heard { total: 2, members: vec![0xaabb_ccdd, 5] },
        suspects: vec![5],
        prefixes: vec!["172.42.42.0/24".parse().unwrap(), "fd00::/64".parse().unwrap()],
        claims_total: 2,
        claims_digest: 0x1122_3344_5566_7788,
        page: Page {
            from: Page::FIRST,
            to: ip("172.42.42.255"),
            claims: vec![
                (ip("172.42.42.201"), Claim { term: 9, state: ClaimState::Held }),
                (ip("172.42.42.202"), Claim { term: 1, state: ClaimState::HandingOver(0xaabb_ccdd) }),
            ],
        },
    }
}

/// The beacon above, byte for byte.
const BODY: &[u8] = &[
    0, 100, 3, 1, 2, 0, 6, 1, 2, 3, 4, // interval, multiplier, rules, tier, flags, newest key
    b'n', b'o', b'n', b'c', b'e', b'n', b'o', b'n', // nonce
    1, 0xaa, 0xbb, 0xcc, 0xdd, b't', b'h', b'e', b'i', b'r', b's', b'!', b'!', // echoes
    0, 2, 2, 0xaa, 0xbb, 0xcc, 0xdd, 0, 0, 0, 5, // heard
    1, 0, 0, 0, 5, // suspects
    2, 24, 4, 172, 42, 42, 0, 64, 6, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // prefixes
    0, 0, 0, 2, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, // claims
    4, 0, 0, 0, 0, 4, 172, 42, 42, 255, 0, 2, // page
    4, 172, 42, 42, 201, 0, 0, 0, 9, 1, // held
    4, 172, 42, 42, 202, 0, 0, 0, 1, 3, 0xaa, 0xbb, 0xcc, 0xdd, // handing over
];

#[test]
fn bodies_and_values_both_ways() {
    let table: &[(Message, &[u8])] = &[
        (Message::Beacon(beacon()), BODY),
        (Message::Probe(Probe { challenge: *b"12345678" }), b"12345678"),
        (Message::Answer(Answer { challenge: *b"12345678" }), b"12345678"),
        (Message::Farewell(Farewell { reason: 1 }), &[1]),
    ];
    for (message, bytes) in table {
        let mut body = Vec::new();
        message.emit(&mut body, 1_400);
        assert_eq!(&body, bytes);
        assert_eq!(Message::parse(message.kind(), bytes).as_ref(), Ok(message));
        for cut in 0..bytes.len() {
            assert_eq!(Message::parse(message.kind(), &bytes[..cut]), Err(Refused::Malformed));
        }
        let extended = [bytes, &[0x7f, 1, 0, 2, 9, 9][..]].concat();
        assert_eq!(Message::parse(message.kind(), &extended).as_ref(), Ok(message));
        let broken = [bytes, &[0x7f, 1, 0, 3, 9, 9][..]].concat();
        assert_eq!(Message::parse(message.kind(), &broken), Err(Refused::Malformed));
    }
}

#[test]
fn bodies_that_contradict_themselves_are_malformed() {
    let broken: &[(&str, usize, u8)] = &[
        ("interval 0", 1, 0),
        ("multiplier 0", 2, 0),
        ("17 echoes", 19, 17),
        ("more heard than there are", 33, 1),
        ("prefix of 33 bits", 49, 33),
        ("family 5", 50, 5),
        ("page ends before it starts", 86, 255),
        ("claim outside its page", 98, 173),
        ("claim out of order", 111, 200),
        ("state 4", 116, 4),
    ];
    for (what, at, byte) in broken {
        let mut body = BODY.to_vec();
        assert_ne!(body[*at], *byte, "{what}");
        body[*at] = *byte;
        assert_eq!(Message::parse(Kind::Beacon, &body), Err(Refused::Malformed), "{what}");
    }
}

/// A farewell as it stands on the wire, computed by another program: changing any of this is a new version.
const GOLDEN: &str = "ffffffffffff0200000000010800\
    45c0005b00004000011178d300000000ffffffff\
    1f0a1f0a00470000\
    6d746c6201044df6199a303132333435363738396162636465660000000000000042000000030465746830026e31\
    6f2e1c9db9c2faea0cf13a89eb56bc941c";

#[test]
fn golden_frame() {
    assert_eq!(key_id(&SECRET), 0x4df6_199a);
    assert_eq!(member_hash("n1", &SALT), 0x2f28_2d1c);
    let message = Message::Farewell(Farewell { reason: 0 });
    let frame = emit(EVERYBODY, MAC, &header(0x42), &message, &seal());
    assert_eq!(frame.iter().map(|byte| alloc::format!("{byte:02x}")).collect::<String>(), GOLDEN);
    assert_eq!(parse(&frame).unwrap().open(&seal()), Ok(message));
}

#[test]
fn a_frame_is_read_with_its_headers() {
    let frame = emit(EVERYBODY, MAC, &header(7), &Message::Beacon(beacon()), &seal());
    let envelope = parse(&frame).unwrap();
    assert_eq!(
        (envelope.destination, envelope.source, envelope.kind, envelope.header),
        (EVERYBODY, MAC, Kind::Beacon, header(7))
    );
    // An Ethernet card pads short frames.
    let padded = [&frame[..], &[0; 20]].concat();
    assert_eq!(parse(&padded).unwrap().open(&seal()), Ok(Message::Beacon(beacon())));
}

#[test]
fn every_changed_or_missing_byte_is_noticed() {
    let frame = emit(EVERYBODY, MAC, &header(7), &Message::Beacon(beacon()), &seal());
    for cut in 0..frame.len() {
        assert!(parse(&frame[..cut]).is_err());
    }
    // Destination, UDP source port and checksum are not ours to judge.
    let free = |at: usize| at < 6 || (34..36).contains(&at) || (40..42).contains(&at);
    for at in (0..frame.len()).filter(|at| !free(*at)) {
        let mut changed = frame.clone();
        changed[at] ^= 1;
        assert!(parse(&changed).and_then(|envelope| envelope.open(&seal())).is_err(), "byte {at}");
    }
    let stranger = Seal::derive(&[8; 32], &SALT, "n1");
    assert_eq!(parse(&frame).unwrap().open(&stranger), Err(Refused::Seal));
}

#[test]
fn strangers_are_told_from_broken_frames() {
    let frame = emit(EVERYBODY, MAC, &header(7), &Message::Beacon(beacon()), &seal());
    let table: &[(usize, u8, Refused)] = &[
        (12, 0x86, Refused::Foreign),
        (14, 0x65, Refused::Foreign),
        (23, 6, Refused::Foreign),
        (24, 0, Refused::Malformed),
        (37, 53, Refused::Foreign),
        (42, b'M', Refused::Foreign),
        (46, 2, Refused::Version),
        (47, 5, Refused::Malformed),
    ];
    for (at, byte, reason) in table {
        let mut changed = frame.clone();
        changed[*at] = *byte;
        assert_eq!(parse(&changed).unwrap_err(), *reason, "byte {at}");
    }
    assert_eq!(parse(&[]).unwrap_err(), Refused::Incomplete);
}

#[test]
fn the_fullest_beacon_fits_an_ethernet_frame() {
    let node = "n".repeat(300);
    let header = Header { interface: "a-name-that-is-too-long", node: &node, ..header(1) };
    let mut fullest = Beacon {
        echoes: vec![(1, [1; 8]); 20],
        heard: Heard { total: 100, members: (0..100).collect() },
        suspects: vec![1; 20],
        prefixes: vec!["2001:db8::/64".parse().unwrap(); 20],
        ..beacon()
    };
    let all =
        (0u32..1_000).map(|n| (IpAddr::from(n.to_be_bytes()), Claim { term: n, state: ClaimState::Held }));
    fullest.page = Page::fill(Page::FIRST, all.clone(), fullest.room_for_page(header.room()));
    let kept = fullest.page.claims.len();
    assert!(kept >= 30 && fullest.page.to == fullest.page.claims[kept - 1].0);
    let seal = Seal::derive(&SECRET, &SALT, frame::cut(&node, frame::NODE_NAME));
    let frame = emit(EVERYBODY, MAC, &header, &Message::Beacon(fullest.clone()), &seal);
    assert!(frame.len() <= 1_514);
    let envelope = parse(&frame).unwrap();
    assert_eq!((envelope.header.interface.len(), envelope.header.node.len()), (15, 253));
    let Ok(Message::Beacon(read)) = envelope.open(&seal) else { panic!("not read back") };
    assert_eq!(read.page, fullest.page);

    // Too many claims: the page ends where the frame does.
    fullest.page = Page { from: Page::FIRST, to: Page::LAST, claims: all.collect() };
    let frame = emit(EVERYBODY, MAC, &header, &Message::Beacon(fullest), &seal);
    assert!(frame.len() <= 1_514);
    let Ok(Message::Beacon(read)) = parse(&frame).unwrap().open(&seal) else { panic!("not read back") };
    assert_eq!(read.page.to, read.page.claims[read.page.claims.len() - 1].0);
}

prop_compose! {
    fn arbitrary_beacon()(
        (interval_ms, multiplier, rules, tier, flags) in (1u16.., 1u8.., any::<u8>(), any::<u8>(), any::<u16>()),
        (newest_key, nonce, claims_total, claims_digest) in any::<(u32, Nonce, u32, u64)>(),
        echoes in collection::vec(any::<(u32, Nonce)>(), 0..=MAX_ECHOES),
        members in collection::vec(any::<u32>(), 0..=MAX_HEARD),
        more in 0u16..9,
        suspects in collection::vec(any::<u32>(), 0..=MAX_SUSPECTS),
        prefixes in collection::vec((any::<IpAddr>(), 0u8..=32), 0..=MAX_PREFIXES),
        claims in collection::btree_map(any::<IpAddr>(), (any::<u32>(), any::<Option<u32>>()), 0..20),
        whole in any::<bool>(),
    ) -> Beacon {
        let total = more + u16::try_from(members.len()).unwrap();
        let prefixes = prefixes.into_iter().map(|(address, bits)| IpNet::new(address, bits).unwrap().trunc());
        let claims: Vec<_> = claims.into_iter().map(|(address, (term, successor))| {
            let state = match successor {
                None => ClaimState::Held,
                Some(hash) if hash % 3 == 0 => ClaimState::Claiming,
                Some(hash) => ClaimState::HandingOver(hash),
            };
            (address, Claim { term, state })
        }).collect();
        let (from, to) = match (claims.first(), claims.last()) {
            (Some((first, _)), Some((last, _))) if !whole => (*first, *last),
            _ => (Page::FIRST, Page::LAST),
        };
        Beacon {
            interval_ms, multiplier, rules, tier, flags: Flags(flags), newest_key, nonce, echoes,
            heard: Heard { total, members }, suspects, prefixes: prefixes.collect(),
            claims_total, claims_digest, page: Page { from, to, claims },
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(beacon in arbitrary_beacon(), sequence: u64, salt: Salt) {
        let header = Header { sequence, salt, ..header(0) };
        let seal = Seal::derive(&SECRET, &salt, "n1");
        let message = Message::Beacon(beacon);
        let frame = emit(EVERYBODY, MAC, &header, &message, &seal);
        let envelope = parse(&frame).unwrap();
        prop_assert_eq!(envelope.header, header);
        prop_assert_eq!(envelope.open(&seal), Ok(message));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in collection::vec(any::<u8>(), 0..200), kind in 0u8..4) {
        let _ = parse(&bytes);
        let kind = [Kind::Beacon, Kind::Probe, Kind::Answer, Kind::Farewell][usize::from(kind)];
        let _ = Message::parse(kind, &bytes);
    }

    #[test]
    fn any_sealed_bytes_are_read_or_refused(changes in collection::vec((0usize..BODY.len(), any::<u8>()), 1..9)) {
        let mut body = BODY.to_vec();
        for (at, byte) in changes {
            body[at] = byte;
        }
        if let Ok(message) = Message::parse(Kind::Beacon, &body) {
            let mut again = Vec::new();
            message.emit(&mut again, 1_400);
            prop_assert_eq!(Message::parse(Kind::Beacon, &again), Ok(message));
        }
    }
}
