//! Ports that are in use, and listeners side by side.

use std::{io::ErrorKind, net::TcpListener};

use metal_net::tcp::{Listen, ListenError, Listener};

use crate::cable::{Cable, FAST, Kind, LINK};

#[tokio::test]
async fn a_port_in_use_names_who_uses_it() {
    let cable = Cable::new();
    let _other =
        cable.far.namespace.within(|| TcpListener::bind("0.0.0.0:179")).expect("a thread").expect("a port");
    let refusal = cable.far.namespace.within(|| Listener::open(&Listen::v4())).expect("a thread");
    let error = refusal.expect_err("the port is in use");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let text = error.to_string();
    let ListenError::InUse { address, holders } = error else { panic!("{text}") };
    assert_eq!(address, Listen::v4().address);
    let [holder] = holders.as_slice() else { panic!("{holders:?}") };
    let (id, name) = holder.process.clone().expect("this process");
    assert_eq!((holder.address, id), (address, std::process::id()));
    assert!(text.contains(&format!("the port is in use by {name} (process {id}) on 0.0.0.0:179")), "{text}");
    assert!(text.ends_with("End it, listen on another port, or dial only"), "{text}");
}

#[tokio::test]
async fn a_listener_for_both_families_is_in_the_way_of_each() {
    let cable = Cable::new();
    let both = cable.far.listen(&Listen { dual_stack: true, ..Listen::v6() });
    for listen in [Listen::v4(), Listen::v6()] {
        let refusal = cable.far.namespace.within(|| Listener::open(&listen)).expect("a thread");
        assert!(matches!(refusal, Err(ListenError::InUse { .. })), "{refusal:?}");
    }
    drop(both);
    // One for each family, and one on another port, are side by side.
    let other_port = Listen::on(([0, 0, 0, 0], 1179).into());
    let _all = [Listen::v4(), Listen::v6(), other_port].map(|listen| cable.far.listen(&listen));
}

#[tokio::test]
async fn a_port_is_free_again_at_once() {
    let cable = Cable::new();
    for _ in 0..3 {
        let listener = cable.listen(Kind::V4);
        let (_near, far) = cable.connect(&cable.dial(Kind::V4), &listener).await;
        // This side closes first: its end lingers for a minute, and must not be in the way.
        drop(far);
    }
}

#[tokio::test]
async fn listeners_of_two_links_are_side_by_side_and_one_for_all_links_is_not() {
    let cable = Cable::new();
    let on = |device: &str| Listen { device: Some(device.into()), options: FAST, ..Listen::v4() };
    let _elsewhere = cable.far.listen(&on("lo"));
    let here = cable.far.listen(&on(LINK));
    let (_near, far) = cable.connect(&cable.dial(Kind::V4), &here).await;
    assert_eq!(far.local().ip(), cable.far.address(Kind::V4));
    let refusal = cable.far.namespace.within(|| Listener::open(&Listen::v4())).expect("a thread");
    assert!(matches!(refusal, Err(ListenError::InUse { .. })), "{refusal:?}");
}
