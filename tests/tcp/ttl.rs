//! The three meanings of the TTL, on the wire.

use std::num::NonZeroU8;

use metal_net::tcp::{Dial, Listen, Options, Ttl};

use crate::cable::{Cable, FAST, KINDS, Kind, in_time, read_exact, write_all};

fn hops(hops: u8) -> NonZeroU8 {
    NonZeroU8::new(hops).expect("hops")
}

fn options(ttl: Ttl) -> Options {
    Options { ttl, ..FAST }
}

#[tokio::test]
async fn gtsm_accepts_255_and_drops_64() {
    let cable = Cable::new();
    for kind in KINDS {
        let on = cable.listen(kind).local().expect("an address");
        let listener = cable.far.listen(&Listen { options: options(Ttl::Gtsm(hops(1))), ..Listen::on(on) });
        for ttl in [Ttl::Gtsm(hops(1)), Ttl::Multihop(hops(255))] {
            let dial = Dial { options: options(ttl), ..cable.dial(kind) };
            let (near, far) = cable.connect(&dial, &listener).await;
            write_all(&near, b"hello").await;
            assert_eq!(read_exact(&far, 5).await, b"hello");
        }
        for ttl in [Ttl::Multihop(hops(64)), Ttl::Direct, Ttl::Multihop(hops(254))] {
            let before = cable.far.drops();
            let attempt = cable.near.open(&Dial { options: options(ttl), ..cable.dial(kind) }).connect();
            cable.far.await_drop(before, |drops| drops.too_far, attempt).await;
        }
    }
}

#[tokio::test]
async fn gtsm_over_routers_counts_hops() {
    let cable = Cable::new();
    let listener = cable.far.listen(&Listen { options: options(Ttl::Gtsm(hops(3))), ..Listen::v4() });
    // As if two routers had been between, and as if three had.
    let dial = |ttl| Dial { options: options(Ttl::Multihop(hops(ttl))), ..cable.dial(Kind::V4) };
    cable.connect(&dial(253), &listener).await;
    let before = cable.far.drops();
    let attempt = cable.near.open(&dial(252)).connect();
    cable.far.await_drop(before, |drops| drops.too_far, attempt).await;
}

#[tokio::test]
async fn who_dials_checks_the_answer_too() {
    let cable = Cable::new();
    for kind in KINDS {
        // The far side sends 64 and takes anything.
        let _listener = cable.listen(kind);
        let before = cable.near.drops();
        let dial = Dial { options: options(Ttl::Gtsm(hops(1))), ..cable.dial(kind) };
        let attempt = cable.near.open(&dial).connect();
        cable.near.await_drop(before, |drops| drops.too_far, attempt).await;
    }
}

#[tokio::test]
async fn one_listener_for_peers_with_and_without_gtsm() {
    let cable = Cable::new();
    let listener = cable.far.listen(&Listen { options: options(Ttl::Multihop(hops(255))), ..Listen::v4() });
    let secured = Dial { options: options(Ttl::Gtsm(hops(1))), ..cable.dial(Kind::V4) };
    let (near, far) = cable.connect(&secured, &listener).await;
    far.set_options(&options(Ttl::Gtsm(hops(1)))).expect("an open connection");
    write_all(&near, b"hello").await;
    assert_eq!(read_exact(&far, 5).await, b"hello");
    // From here on the connection drops what comes from farther away.
    near.set_options(&options(Ttl::Multihop(hops(64)))).expect("an open connection");
    let before = cable.far.drops();
    write_all(&near, b"hello").await;
    cable.far.await_drop(before, |drops| drops.too_far, read_exact(&far, 1)).await;
    // Nobody else is concerned.
    cable.connect(&cable.dial(Kind::V4), &listener).await;
    // Until all peers are told to use it.
    listener.set_ttl(Ttl::Gtsm(hops(1))).expect("a listener");
    let before = cable.far.drops();
    let attempt = cable.near.open(&cable.dial(Kind::V4)).connect();
    cable.far.await_drop(before, |drops| drops.too_far, attempt).await;
    in_time("a connection", cable.connect(&secured, &listener)).await;
}

#[tokio::test]
async fn a_direct_peer_is_on_this_link() {
    let cable = Cable::new();
    for kind in KINDS {
        let on = cable.listen(kind).local().expect("an address");
        let listener = cable.far.listen(&Listen { options: options(Ttl::Direct), ..Listen::on(on) });
        let dial = Dial { options: options(Ttl::Direct), ..cable.dial(kind) };
        let (near, far) = cable.connect(&dial, &listener).await;
        write_all(&far, b"hello").await;
        assert_eq!(read_exact(&near, 5).await, b"hello");
    }
}
