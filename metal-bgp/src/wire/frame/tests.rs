use proptest::prelude::*;

use super::*;

fn header(len: u16, code: u8) -> Vec<u8> {
    let mut bytes = MARKER.to_vec();
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.push(code);
    bytes
}

fn incomplete(needed: usize) -> Unframed {
    Unframed::Incomplete { needed: NonZeroUsize::new(needed).expect("something is needed") }
}

fn bad_length(len: u16) -> Unframed {
    Unframed::Malformed(HeaderError::BadMessageLength(len.to_be_bytes()))
}

#[test]
fn bytes_and_values_agree_both_ways() {
    let marker = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    let table: [(&[u8], MessageType, &[u8]); 5] = [
        (
            b"\x00\x1d\x01\x04\xfd\xe9\x00\x5a\x0a\x00\x00\x01\x00",
            MessageType::Open,
            b"\x04\xfd\xe9\x00\x5a\x0a\x00\x00\x01\x00",
        ),
        // The End-of-RIB marker of IPv4 (RFC 4724 2).
        (b"\x00\x17\x02\x00\x00\x00\x00", MessageType::Update, b"\x00\x00\x00\x00"),
        (b"\x00\x15\x03\x06\x02", MessageType::Notification, b"\x06\x02"),
        (b"\x00\x13\x04", MessageType::Keepalive, b""),
        (b"\x00\x17\x05\x00\x01\x00\x01", MessageType::RouteRefresh, b"\x00\x01\x00\x01"),
    ];
    for (after_marker, kind, body) in table {
        let bytes = [marker, after_marker].concat();
        for max in [MaxLength::Standard, MaxLength::Extended] {
            let frame = Frame::parse(&bytes, max).expect("a good message");
            assert_eq!((frame.kind(), frame.body(), frame.len()), (kind, body, bytes.len()));
            assert_eq!(Frame::new(kind, body, max), Ok(frame));
            let mut out = Vec::new();
            frame.emit(&mut out);
            assert_eq!(out, bytes);
        }
    }
}

#[test]
fn lengths_have_limits_by_type() {
    let table = [
        // The type, what is just allowed at both ends, and with extended messages.
        (MessageType::Open, 29..=4_096, 29..=4_096),
        (MessageType::Update, 23..=4_096, 23..=65_535),
        (MessageType::Notification, 21..=4_096, 21..=65_535),
        (MessageType::Keepalive, 19..=19, 19..=19),
        (MessageType::RouteRefresh, 23..=4_096, 23..=65_535),
    ];
    let body = [0; 65_536];
    for (kind, standard, extended) in table {
        for (max, allowed) in [(MaxLength::Standard, standard), (MaxLength::Extended, extended)] {
            for len in 0..=u16::MAX {
                let bytes = header(len, kind.code());
                let parsed = Frame::parse(&bytes, max);
                let body_len = usize::from(len).saturating_sub(HEADER_LEN);
                if !allowed.contains(&len) {
                    assert_eq!(parsed, Err(bad_length(len)), "{kind} {max:?}");
                } else if body_len > 0 {
                    assert_eq!(parsed, Err(incomplete(body_len)), "{kind} {max:?}");
                } else {
                    assert!(parsed.is_ok(), "{kind} {max:?}");
                }
                if usize::from(len) >= HEADER_LEN {
                    let made = Frame::new(kind, &body[..body_len], max);
                    assert_eq!(made.is_ok(), allowed.contains(&len), "{kind} {max:?} {len}");
                }
            }
            let error = Frame::new(kind, &body, max).expect_err("no message is that long");
            assert_eq!(error, WrongBodyLength { kind, body_len: 65_536 });
        }
    }
}

#[test]
fn a_mistake_is_found_as_soon_as_its_byte_is_in() {
    let slipped = |offset| Unframed::Malformed(HeaderError::ConnectionNotSynchronized { offset });
    assert_eq!(Frame::parse(b"G", MaxLength::Standard), Err(slipped(0)));
    for wrong in 0..16_u8 {
        let (offset, wrong) = (wrong, usize::from(wrong));
        let mut bytes = header(19, 4);
        bytes[wrong] = 0xfe;
        assert_eq!(Frame::parse(&bytes[..wrong], MaxLength::Standard), Err(incomplete(19 - wrong)));
        assert_eq!(Frame::parse(&bytes[..=wrong], MaxLength::Standard), Err(slipped(offset)));
    }
    // The length, before the type is known.
    assert_eq!(Frame::parse(&header(18, 4)[..18], MaxLength::Standard), Err(bad_length(18)));
    assert_eq!(Frame::parse(&header(4_097, 2)[..18], MaxLength::Standard), Err(bad_length(4_097)));
    assert_eq!(Frame::parse(&header(4_097, 2)[..18], MaxLength::Extended), Err(incomplete(1)));
    // The length for the type, before the body is in.
    assert_eq!(Frame::parse(&header(20, 4), MaxLength::Standard), Err(bad_length(20)));
    assert_eq!(Frame::parse(&header(4_097, 1), MaxLength::Extended), Err(bad_length(4_097)));
    for code in [0, 6, 255] {
        let unknown = Unframed::Malformed(HeaderError::BadMessageType([code]));
        assert_eq!(Frame::parse(&header(100, code), MaxLength::Standard), Err(unknown));
    }
}

#[test]
fn what_is_needed_is_said() {
    assert_eq!(Frame::parse(&[], MaxLength::Standard), Err(incomplete(19)));
    let mut bytes = header(23, 2);
    assert_eq!(Frame::parse(&bytes[..18], MaxLength::Standard), Err(incomplete(1)));
    assert_eq!(Frame::parse(&bytes, MaxLength::Standard), Err(incomplete(4)));
    bytes.extend_from_slice(&[0; 3]);
    assert_eq!(Frame::parse(&bytes, MaxLength::Standard), Err(incomplete(1)));
}

#[test]
fn every_error_is_one_notification() {
    for (error, subcode, data, offset) in [
        (HeaderError::ConnectionNotSynchronized { offset: 3 }, 1, &[][..], 3),
        (HeaderError::BadMessageLength([0, 18]), 2, &[0, 18], 16),
        (HeaderError::BadMessageType([9]), 3, &[9], 18),
    ] {
        assert_eq!((error.code(), error.subcode(), error.data()), (1, subcode, data));
        assert_eq!(error.offset(), offset);
    }
}

#[test]
fn codes_are_their_own_inverse() {
    for kind in MessageType::ALL {
        assert_eq!(MessageType::from_code(kind.code()), Some(kind));
    }
    assert_eq!((0..=u8::MAX).filter_map(MessageType::from_code).count(), MessageType::ALL.len());
}

/// What a receiver makes of a stream that arrives in pieces: the messages, and the error that ends it.
fn receive(pieces: &[&[u8]], max: MaxLength) -> (Vec<(MessageType, Vec<u8>)>, Option<HeaderError>) {
    let mut received = Vec::new();
    let mut messages = Vec::new();
    for piece in pieces {
        received.extend_from_slice(piece);
        loop {
            match Frame::parse(&received, max) {
                Ok(frame) => {
                    messages.push((frame.kind(), frame.body().to_vec()));
                    let len = frame.len();
                    received.drain(..len);
                }
                Err(Unframed::Incomplete { .. }) => break,
                Err(Unframed::Malformed(error)) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}

prop_compose! {
    fn message()(kind in proptest::sample::select(&MessageType::ALL[..]), extra in 0..200_u16) -> Vec<u8> {
        let lengths = kind.lengths(MaxLength::Standard);
        let len = (lengths.start() + extra).min(*lengths.end());
        let mut out = header(len, kind.code());
        out.resize(usize::from(len), 0xff);
        out
    }
}

proptest! {
    #[test]
    fn it_makes_no_difference_where_a_stream_is_cut(
        messages in proptest::collection::vec(message(), 0..6),
        damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut stream = messages.concat();
        if let Some((index, value)) = damage.filter(|_| !messages.is_empty()) {
            let len = stream.len();
            stream[index.index(len)] = value;
        }
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
        let bytewise: Vec<_> = stream.chunks(1).collect();

        let whole = receive(&[&stream[..]], MaxLength::Standard);
        prop_assert_eq!(&receive(&pieces, MaxLength::Standard), &whole);
        prop_assert_eq!(&receive(&bytewise, MaxLength::Standard), &whole);
        if damage.is_none() {
            prop_assert_eq!(whole.0.len(), messages.len());
        }
    }

    #[test]
    fn what_is_needed_is_what_is_missing(message in message(), cut: prop::sample::Index) {
        let cut = cut.index(message.len());
        match Frame::parse(&message[..cut], MaxLength::Standard) {
            Err(Unframed::Incomplete { needed }) if cut < HEADER_LEN => {
                prop_assert_eq!(needed.get(), HEADER_LEN - cut);
            }
            Err(Unframed::Incomplete { needed }) => prop_assert_eq!(needed.get(), message.len() - cut),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn no_bytes_panic(input in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = Frame::parse(&input, MaxLength::Extended);
    }
}
