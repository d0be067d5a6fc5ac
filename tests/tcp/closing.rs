//! Writing to those who do not read, and last words.

use std::{io::ErrorKind, time::Duration};

use metal_net::tcp::{Connection, Read};
use metal_tests::{
    process::run,
    wait::{ensure, wait_for},
};

use crate::cable::{Cable, DEADLINE, KINDS, Kind, in_time, read_exact, read_to_end, write_all};

/// A NOTIFICATION: Cease, Administrative Shutdown.
const LAST_WORDS: &[u8] =
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x15\x03\x06\x02";

#[tokio::test]
async fn the_peer_gets_the_last_words_although_we_have_not_read_everything() {
    let cable = Cable::new();
    for kind in KINDS {
        let listener = cable.listen(kind);
        let (near, far) = cable.connect(&cable.dial(kind), &listener).await;
        write_all(&far, &vec![7; 100_000]).await;
        in_time("something unread", near.readable()).await.expect("a runtime");
        let close = near.close(LAST_WORDS, DEADLINE);
        let peer = async {
            let read = read_to_end(&far).await;
            drop(far);
            read
        };
        let (closed, (heard, end)) = tokio::join!(close, peer);
        assert_eq!((heard.as_slice(), end.map_err(|error| error.kind())), (LAST_WORDS, Ok(())));
        closed.expect("the peer has ended the connection as well");
    }
}

#[tokio::test]
async fn without_reading_to_the_end_the_peer_gets_a_reset() {
    // What the test above guards against: that the kernel is really like this.
    let cable = Cable::new();
    let listener = cable.listen(Kind::V4);
    let (near, far) = cable.connect(&cable.dial(Kind::V4), &listener).await;
    write_all(&far, &[7; 1000]).await;
    in_time("something unread", near.readable()).await.expect("a runtime");
    near.write([LAST_WORDS]).expect("written");
    drop(near);
    let mut lost = None;
    while lost.is_none() {
        in_time("a reset", far.readable()).await.expect("a runtime");
        lost = match far.read(&mut [0; 64]) {
            Ok(Read::End) => panic!("an orderly end"),
            Ok(_) => None,
            Err(error) => Some(error.kind()),
        };
    }
    assert_eq!(lost, Some(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn both_say_farewell_with_full_buffers() {
    let cable = Cable::new();
    let listener = cable.listen(Kind::V4);
    let (near, far) = cable.connect(&cable.dial(Kind::V4), &listener).await;
    let (near_sent, far_sent) = (fill(&near), fill(&far));
    assert!(near_sent > 0 && far_sent > 0);
    // Each writes its last words behind what the other has not read yet.
    let both = async { tokio::join!(near.close(LAST_WORDS, DEADLINE), far.close(LAST_WORDS, DEADLINE)) };
    let (near, far) = in_time("the end", both).await;
    near.expect("said and heard");
    far.expect("said and heard");
}

#[tokio::test]
async fn a_peer_that_does_not_end_the_connection_is_not_waited_for() {
    let cable = Cable::new();
    let listener = cable.listen(Kind::V6);
    let (near, far) = cable.connect(&cable.dial(Kind::V6), &listener).await;
    let closed = in_time("the end", near.close(LAST_WORDS, Duration::from_millis(100))).await;
    let error = closed.expect_err("the peer is still there");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().ends_with("did not end the connection within 100ms"), "{error}");
    let (heard, _) = read_to_end(&far).await;
    assert_eq!(heard, LAST_WORDS);
}

#[tokio::test]
async fn a_peer_that_has_ended_its_direction_is_still_told() {
    let cable = Cable::new();
    let listener = cable.listen(Kind::V4);
    let (near, far) = cable.connect(&cable.dial(Kind::V4), &listener).await;
    let (near, far) = in_time("the end", async {
        let near = async {
            let first = near.readable().await.and_then(|()| near.read(&mut [0; 64]));
            (first, near.close(LAST_WORDS, DEADLINE).await)
        };
        tokio::join!(near, far.close(b"", DEADLINE))
    })
    .await;
    assert_eq!(near.0.expect("read"), Read::End);
    near.1.expect("said");
    far.expect("heard");
}

#[tokio::test]
async fn who_writes_to_a_peer_that_does_not_read_never_waits() {
    let cable = Cable::new();
    let listener = cable.listen(Kind::V4);
    let (near, far) = cable.connect(&cable.dial(Kind::V4), &listener).await;
    let sent = fill(&near);
    // What has not left this host is little, so that a keepalive would not wait long.
    let unsent = wait_for("what is unsent to settle", DEADLINE, || {
        let unsent = unsent(&cable);
        ensure(unsent <= 16 << 10 | 64 << 10, || format!("{unsent} bytes"))?;
        Ok(unsent)
    });
    assert!(unsent < sent, "{unsent} of {sent}");
    // All of it arrives, and then there is room again.
    let expected: Vec<u8> = pattern().take(sent).collect();
    assert_eq!(read_exact(&far, sent).await, expected);
    in_time("room", near.writable()).await.expect("a runtime");
    assert_eq!(near.write([b"more".as_slice(), b"", b" of it"]).expect("written"), 10);
    assert_eq!(read_exact(&far, 10).await, b"more of it");
    assert_eq!(near.write([]).expect("nothing to write"), 0);
}

#[tokio::test]
async fn parts_arrive_in_order_however_many_there_are() {
    let cable = Cable::new();
    let listener = cable.listen(Kind::V6);
    let (near, far) = cable.connect(&cable.dial(Kind::V6), &listener).await;
    let messages: Vec<[u8; 19]> = (0..=255).map(|number| [number; 19]).collect();
    let taken = near.write(messages.iter().map(<[u8; 19]>::as_slice)).expect("written");
    assert_eq!(taken, 64 * 19, "the first 64 parts");
    assert_eq!(read_exact(&far, taken).await, messages[..64].concat());
}

/// Writes until nothing more is taken; says how much was.
fn fill(connection: &Connection) -> usize {
    let mut sent = 0;
    let bytes: Vec<u8> = pattern().take(256 << 10).collect();
    loop {
        // A period of the pattern divides 256.
        match connection.write([&bytes[sent % 256..]]).expect("an open connection") {
            0 => return sent,
            more => sent += more,
        }
    }
}

fn pattern() -> impl Iterator<Item = u8> {
    (0..=255).cycle()
}

/// Bytes that the near host's kernel has not sent yet, as `ss` tells.
fn unsent(cable: &Cable) -> usize {
    let enter = format!("--net={}", cable.near.namespace.path().display());
    let said = run("nsenter", &[&enter, "ss", "-Htin"]).expect("ss");
    said.split_whitespace().find_map(|word| word.strip_prefix("notsent:")?.parse().ok()).unwrap_or(0)
}
