//! Connections by every kind of address, from a chosen source, by a chosen device, and why there is none.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use metal_net::tcp::{Dial, Listen, Options, Step};

use crate::cable::{Cable, DEADLINE, FAST, KINDS, Kind, LINK, in_time, read_exact, read_to_end, write_all};

#[tokio::test]
async fn both_ends_know_both_addresses() {
    let cable = Cable::new();
    for kind in KINDS {
        let listener = cable.listen(kind);
        let (near, far) = cable.connect(&cable.dial(kind), &listener).await;
        assert_eq!(near.remote(), cable.near.toward(&cable.far, kind));
        // A link-local address has the interface of this side as its scope.
        let mut here = cable.far.toward(&cable.near, kind);
        here.set_port(near.local().port());
        assert_eq!(far.remote(), here);
        assert_eq!(
            (near.local().ip(), far.local().ip()),
            (cable.near.address(kind), cable.far.address(kind))
        );
        if let (SocketAddr::V6(near), SocketAddr::V6(far), Kind::LinkLocal) =
            (near.local(), far.local(), kind)
        {
            assert_eq!((near.scope_id(), far.scope_id()), (cable.near.link, cable.far.link));
        }
        write_all(&near, b"hello").await;
        assert_eq!(read_exact(&far, 5).await, b"hello");
        write_all(&far, b"good evening").await;
        assert_eq!(read_exact(&near, 12).await, b"good evening");
    }
}

#[tokio::test]
async fn a_source_address_is_used() {
    let cable = Cable::new();
    for (kind, source) in [(Kind::V4, "192.0.2.77/24"), (Kind::V6, "2001:db8::77/64")] {
        let source: ipnet::IpNet = source.parse().expect("an address");
        cable.near.network.add_address(LINK, source).expect("added");
        let listener = cable.listen(kind);
        let dial = Dial { source: Some(source.addr()), ..cable.dial(kind) };
        let (near, far) = cable.connect(&dial, &listener).await;
        assert_eq!((near.local().ip(), far.remote().ip()), (source.addr(), source.addr()));
    }
    let listener = cable.listen(Kind::LinkLocal);
    let dial = Dial { source: Some(cable.near.link_local().into()), ..cable.dial(Kind::LinkLocal) };
    let (near, _far) = cable.connect(&dial, &listener).await;
    assert_eq!(near.local().ip(), cable.near.link_local());
}

#[tokio::test]
async fn a_device_bounds_where_it_goes_and_comes_from() {
    let cable = Cable::new();
    let listen = |device: &str| Listen { device: Some(device.into()), options: FAST, ..Listen::v4() };
    let (_elsewhere, here) = (cable.far.listen(&listen("lo")), cable.far.listen(&listen(LINK)));
    let dial = Dial { device: Some(LINK.into()), ..cable.dial(Kind::V4) };
    cable.connect(&dial, &here).await;
    drop(here);
    let refused = in_time("an answer", cable.near.open(&dial).connect())
        .await
        .expect_err("nobody listens on this link");
    assert_eq!((refused.kind(), refused.step()), (ErrorKind::ConnectionRefused, &Step::Connect));
    // The device has no way there.
    let options = Options { user_timeout: Some(Duration::from_secs(1)), ..FAST };
    let dial = Dial { device: Some("lo".into()), options, ..cable.dial(Kind::V4) };
    let failed =
        in_time("an answer", cable.near.open(&dial).connect()).await.expect_err("by the wrong device");
    assert_eq!(failed.step(), &Step::Connect);
}

#[tokio::test]
async fn nobody_there_is_told_from_nobody_listening() {
    let cable = Cable::new();
    for kind in KINDS {
        let refused = in_time("an answer", cable.near.open(&cable.dial(kind)).connect())
            .await
            .expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{refused}");
        assert!(refused.to_string().contains("the peer does not listen there"), "{refused}");
    }
    for (peer, expected) in [
        ("192.0.2.99:179", ErrorKind::HostUnreachable),
        ("198.51.100.1:179", ErrorKind::NetworkUnreachable),
        ("[2001:db8:1::1]:179", ErrorKind::NetworkUnreachable),
    ] {
        let dial = Dial { options: FAST, ..Dial::to(peer.parse().expect("an address")) };
        let error =
            in_time("an answer", cable.near.open(&dial).connect()).await.expect_err("nobody is there");
        assert_eq!(error.kind(), expected, "{error}");
    }
}

#[tokio::test]
async fn what_is_never_acknowledged_ends_the_connection_in_time() {
    let cable = Cable::new();
    let listener = cable.listen(Kind::V4);
    let (near, _far) = cable.connect(&cable.dial(Kind::V4), &listener).await;
    near.set_options(&IMPATIENT).expect("an open connection");
    // The peer is there no more, and nobody says so.
    cable.far.network.delete_address(LINK, "192.0.2.2/24".parse().expect("an address")).expect("deleted");
    let began = Instant::now();
    write_all(&near, b"hello?").await;
    let (_, ended) = read_to_end(&near).await;
    assert_eq!(ended.expect_err("the end of the world").kind(), ErrorKind::TimedOut);
    // The kernel would go on for a quarter of an hour.
    assert!(began.elapsed() < DEADLINE / 2, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_peer_that_reads_nothing_for_so_long_has_failed_too() {
    let cable = Cable::new();
    let listener = cable.listen(Kind::V4);
    let (near, _far) = cable.connect(&cable.dial(Kind::V4), &listener).await;
    near.set_options(&IMPATIENT).expect("an open connection");
    let bytes = vec![0; 64 << 10];
    while near.write([bytes.as_slice()]).expect("written") > 0 {}
    let (_, ended) = read_to_end(&near).await;
    assert_eq!(ended.expect_err("it goes on for ever").kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn an_ipv4_address_written_as_an_ipv6_one_is_one() {
    let cable = Cable::new();
    let listener = cable.listen(Kind::V4);
    let IpAddr::V4(far) = cable.far.address(Kind::V4) else { unreachable!() };
    let mapped: SocketAddr = (far.to_ipv6_mapped(), Listen::PORT).into();
    let dial = Dial { source: Some(cable.near.address(Kind::V4)), peer: mapped, ..cable.dial(Kind::V4) };
    let (near, _far) = cable.connect(&dial, &listener).await;
    assert_eq!(near.remote(), cable.near.toward(&cable.far, Kind::V4));
}

const IMPATIENT: Options = Options { user_timeout: Some(Duration::from_millis(500)), ..FAST };
