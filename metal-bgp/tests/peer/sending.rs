//! What goes to the socket, in which order, however little it takes at a time.

use std::sync::Arc;

use metal_bgp::peer::{Input, Output, Shared, Stop};

use crate::support::{Bench, Said, closed, keepalive, read, secs, settings, theirs, updates};

fn shared(bytes: &[u8]) -> Shared {
    Arc::from(bytes)
}

/// Takes up to `len` octets.
fn take(bench: &mut Bench, len: usize) -> Vec<u8> {
    let bytes: Vec<u8> = bench.peer.transmit(bench.connection).flatten().copied().take(len).collect();
    assert_eq!(bench.tell(Input::Sent(bench.connection, bytes.len())), []);
    bytes
}

#[test]
fn updates_are_wanted_from_established_on() {
    let mut bench = Bench::connected(settings());
    assert_eq!(bench.peer.wants_updates(), None);
    let session = bench.establish(&theirs()).session;
    assert_eq!(bench.peer.wants_updates(), Some(session));
    let bytes = updates(3);
    assert_eq!(bench.tell(Input::Updates(session, shared(&bytes))), []);
    assert_eq!(bench.heard(), read(&bytes));
}

#[test]
fn updates_of_another_session_are_dropped() {
    let mut bench = Bench::established(settings());
    let former = bench.session();
    bench.tell(Input::Updates(former, shared(&updates(3))));
    bench.tell(Input::Restart(Stop::ConfigurationChange));
    let connection = bench.peer.connections().next().expect("it dials");
    assert_eq!(bench.tell(Input::Updates(former, shared(&updates(3)))), []);
    bench.connect(connection);
    bench.establish(&theirs());
    assert_ne!(bench.session(), former);
    assert_eq!(bench.tell(Input::Updates(former, shared(&updates(3)))), []);
    assert_eq!(bench.heard(), []);
    assert_eq!(bench.peer.counters().stale_inputs, 2);
}

#[test]
fn no_more_is_wanted_than_the_socket_can_soon_take() {
    let mut bench = Bench::established(settings());
    let bytes = shared(&updates(5_000));
    let mut queued = 0;
    while let Some(session) = bench.peer.wants_updates() {
        bench.tell(Input::Updates(session, Arc::clone(&bytes)));
        queued += bytes.len();
    }
    assert!(queued >= 64 * 1_024 && queued < 64 * 1_024 + bytes.len());
    // The buffer is not copied, however often it is queued.
    assert_eq!(Arc::strong_count(&bytes), queued / bytes.len() + 1);
    take(&mut bench, bytes.len());
    assert!(bench.peer.wants_updates().is_some());
    bench.heard();
    assert_eq!(Arc::strong_count(&bytes), 1);
}

/// The socket stops anywhere; a KEEPALIVE becomes due there, and goes out at the end of the message that was begun.
#[test]
fn a_keepalive_goes_first_at_a_boundary_of_messages() {
    let bytes = updates(2_000);
    let messages = read(&bytes);
    assert_eq!(messages.len(), 3);
    let lengths: Vec<usize> = messages
        .iter()
        .map(|message| match message {
            Said::Update(body) => body.len() + 19,
            other => panic!("{other:?}"),
        })
        .collect();
    for cut in [0, 1, 18, 19, 4_000, lengths[0] - 1, lengths[0], lengths[0] + 1, lengths[0] + lengths[1]] {
        let mut bench = Bench::established(settings());
        bench.tell(Input::Updates(bench.session(), shared(&bytes)));
        let mut sent = take(&mut bench, cut);
        // Twice due, once queued.
        bench.pass(secs(3));
        bench.say(&keepalive());
        bench.pass(secs(3));
        while bench.peer.transmit(bench.connection).next().is_some() {
            sent.extend(take(&mut bench, 7));
        }
        let mut expected = messages.clone();
        let mut end = 0;
        let behind = lengths.iter().take_while(|len| {
            let begun = cut > end;
            end += **len;
            begun
        });
        expected.insert(behind.count(), Said::Keepalive);
        assert_eq!(read(&sent), expected, "cut at {cut}");
        assert_eq!(bench.peer.counters().sent.update, 3);
        assert_eq!(bench.peer.counters().sent.keepalive, 2);
    }
}

/// The last words complete what was begun, and nothing else that waits.
#[test]
fn a_notification_goes_out_at_a_boundary_of_messages() {
    let bytes = updates(2_000);
    let messages = read(&bytes);
    for cut in [0, 1, 19, 4_000, 4_093, 4_094, 5_000] {
        let mut bench = Bench::established(settings());
        bench.tell(Input::Updates(bench.session(), shared(&bytes)));
        let mut sent = take(&mut bench, cut);
        let outputs = bench.tell(Input::Stop(Stop::Deconfigured));
        let [Output::Close { last_words, .. }, Output::Ended(_)] = &outputs[..] else {
            panic!("{outputs:?}")
        };
        sent.extend(last_words);
        let mut expected = messages[..cut.div_ceil(4_093)].to_vec();
        expected.push(Said::Notification(6, 3, vec![]));
        assert_eq!(read(&sent), expected, "cut at {cut}");
        assert_eq!(bench.peer.transmit(bench.connection).count(), 0);
    }
}

/// OPEN and KEEPALIVE, octet by octet.
#[test]
fn the_handshake_through_a_socket_that_takes_single_octets() {
    let mut bench = Bench::connected(settings());
    let mut sent = take(&mut bench, 1);
    bench.say(&crate::support::open(&theirs()));
    loop {
        let octet = take(&mut bench, 1);
        if octet.is_empty() {
            break;
        }
        sent.extend(octet);
    }
    assert!(matches!(read(&sent)[..], [Said::Open(_), Said::Keepalive]));
    let sent = bench.peer.counters().sent;
    assert_eq!((sent.open, sent.keepalive), (1, 1));
}

/// In a session that ends while the OPEN has not left, the NOTIFICATION still comes behind it.
#[test]
fn last_words_behind_an_open_that_has_not_left() {
    let mut bench = Bench::connected(settings());
    take(&mut bench, 10);
    let outputs = bench.tell(Input::Stop(Stop::Deconfigured));
    let [Output::Close { last_words, .. }, Output::Ended(_)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(&last_words[last_words.len() - 21..][16..], [0, 21, 3, 6, 3]);

    let mut bench = Bench::connected(settings());
    let (said, _) = closed(&bench.tell(Input::Stop(Stop::Deconfigured)));
    assert!(matches!(said[..], [Said::Open(_), Said::Notification(6, 3, _)]));
}

/// Bytes that are no messages are the owner's mistake; they are sent as they are, and nothing breaks.
#[test]
fn whatever_is_handed_over_is_sent() {
    for bytes in [&[0; 5][..], &[0; 40], &[255; 300]] {
        let mut bench = Bench::established(settings());
        bench.tell(Input::Updates(bench.session(), shared(bytes)));
        bench.tell(Input::Updates(bench.session(), shared(&[])));
        let mut sent = take(&mut bench, 3);
        sent.extend(take(&mut bench, usize::MAX));
        assert_eq!(sent, bytes);
    }
    // Nor does a socket that claims to have taken more than there was.
    let mut bench = Bench::established(settings());
    bench.tell(Input::Updates(bench.session(), shared(&updates(1))));
    bench.tell(Input::Sent(bench.connection, usize::MAX));
    assert_eq!(bench.peer.transmit(bench.connection).count(), 0);
}
