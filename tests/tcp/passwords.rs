//! TCP MD5 signatures: right, wrong and missing passwords, with the kernel's counters that tell them apart.

use std::net::{IpAddr, SocketAddrV6};

use metal_net::tcp::{Connection, Dial, Drops, Listen, Listener, Md5Key};

use crate::cable::{Cable, FAST, KINDS, Kind, in_time, read_exact, write_all};

fn key(password: &str) -> Md5Key {
    Md5Key::new(password.as_bytes()).expect("a password")
}

fn with(password: &str, dial: Dial) -> Dial {
    Dial { key: Some(key(password)), ..dial }
}

async fn talk(near: &Connection, far: &Connection) {
    write_all(near, b"hello").await;
    assert_eq!(read_exact(far, 5).await, b"hello");
}

/// Dials while the listener is ready to accept: until the far host has dropped something for this reason.
async fn dial_in_vain(cable: &Cable, dial: &Dial, listener: &Listener, reason: fn(Drops) -> u64) {
    let before = cable.far.drops();
    let attempt = async {
        tokio::select! {
            near = cable.near.open(dial).connect() => drop(near),
            far = listener.accept() => drop(far),
        }
    };
    cable.far.await_drop(before, reason, attempt).await;
}

#[tokio::test]
async fn the_same_password_on_both_sides_connects() {
    let cable = Cable::new();
    for kind in KINDS {
        let listener = cable.listen(kind);
        let longest = "x".repeat(Md5Key::MAX_LEN);
        for password in ["secret", &longest] {
            listener.set_key(cable.near.address(kind), &key(password)).expect("a password");
            let before = cable.far.drops();
            let (near, far) = cable.connect(&with(password, cable.dial(kind)), &listener).await;
            talk(&near, &far).await;
            assert_eq!(cable.far.drops().since(before), Drops::default());
        }
    }
}

#[tokio::test]
async fn the_counters_tell_what_is_the_matter() {
    let cable = Cable::new();
    for kind in KINDS {
        let listener = cable.listen(kind);
        dial_in_vain(&cable, &with("secret", cable.dial(kind)), &listener, |drops| drops.md5_unexpected)
            .await;
        listener.set_key(cable.near.address(kind), &key("secret")).expect("a password");
        dial_in_vain(&cable, &with("Secret", cable.dial(kind)), &listener, |drops| drops.md5_wrong).await;
        dial_in_vain(&cable, &cable.dial(kind), &listener, |drops| drops.md5_missing).await;
    }
}

#[tokio::test]
async fn each_peer_has_its_own_password_and_gets_another_at_run_time() {
    let cable = Cable::new();
    let others: [IpAddr; 2] =
        ["192.0.2.11".parse().expect("an address"), "192.0.2.12".parse().expect("an address")];
    for other in others {
        cable
            .near
            .network
            .add_address(crate::cable::LINK, ipnet::IpNet::new(other, 24).expect("a length"))
            .expect("added");
    }
    let from =
        |peer: IpAddr, password: &str| with(password, Dial { source: Some(peer), ..cable.dial(Kind::V4) });
    let listener = cable.listen(Kind::V4);
    for (peer, password) in others.into_iter().zip(["one", "two"]) {
        listener.set_key(peer, &key(password)).expect("a password");
    }
    let (first, first_far) = cable.connect(&from(others[0], "one"), &listener).await;
    let (second, second_far) = cable.connect(&from(others[1], "two"), &listener).await;
    dial_in_vain(&cable, &from(others[0], "two"), &listener, |drops| drops.md5_wrong).await;

    // Another password for the first peer: its new connections have it, and nothing else is disturbed.
    listener.set_key(others[0], &key("three")).expect("a password");
    dial_in_vain(&cable, &from(others[0], "one"), &listener, |drops| drops.md5_wrong).await;
    let (third, third_far) = cable.connect(&from(others[0], "three"), &listener).await;
    talk(&third, &third_far).await;
    talk(&first, &first_far).await;
    talk(&second, &second_far).await;

    // None any more, for the second peer only.
    for _again in 0..2 {
        listener.remove_key(others[1]).expect("a listener");
    }
    let bare = Dial { source: Some(others[1]), ..cable.dial(Kind::V4) };
    let (near, far) = cable.connect(&bare, &listener).await;
    talk(&near, &far).await;
    talk(&second, &second_far).await;
    dial_in_vain(&cable, &from(others[0], "one"), &listener, |drops| drops.md5_wrong).await;
}

#[tokio::test]
async fn a_peer_gets_in_as_soon_as_its_password_is_set() {
    let cable = Cable::new();
    let listener = cable.listen(Kind::V6);
    let before = cable.far.drops();
    let mut attempt = Box::pin(cable.near.open(&with("secret", cable.dial(Kind::V6))).connect());
    cable.far.await_drop(before, |drops| drops.md5_unexpected, &mut attempt).await;
    listener.set_key(cable.near.address(Kind::V6), &key("secret")).expect("a password");
    // The kernel asks again after a second.
    let (near, far) = in_time("a connection", async { tokio::join!(attempt, listener.accept()) }).await;
    talk(&near.expect("connected"), &far.expect("accepted")).await;
}

#[tokio::test]
async fn a_listener_for_both_families_knows_ipv4_passwords() {
    let cable = Cable::new();
    let listener = cable.far.listen(&Listen { dual_stack: true, options: FAST, ..Listen::v6() });
    for kind in KINDS {
        listener.set_key(cable.near.address(kind), &key("secret")).expect("a password");
        let (near, far) = cable.connect(&with("secret", cable.dial(kind)), &listener).await;
        assert_eq!(
            (far.remote().ip(), far.local().ip()),
            (cable.near.address(kind), cable.far.address(kind))
        );
        far.set_options(&FAST).expect("an open connection");
        talk(&near, &far).await;
        dial_in_vain(&cable, &with("Secret", cable.dial(kind)), &listener, |drops| drops.md5_wrong).await;
    }
}

#[tokio::test]
async fn link_local_peers_of_two_links_have_passwords_of_their_own() {
    let cable = Cable::new();
    // A second cable between the same hosts, with the same addresses at its ends.
    cable.near.network.add_veth("eth1", &cable.far.namespace, "eth1").expect("a veth pair");
    let mut second_link = 0;
    for host in [&cable.far, &cable.near] {
        host.network.set_mac("eth1", host.mac).expect("an Ethernet address");
        host.network.set_up("eth1").expect("up");
        second_link = host.network.link("eth1").expect("a link").0;
    }
    for host in [&cable.near, &cable.far] {
        host.await_link_local(host.network.link("eth1").expect("a link").0);
    }
    let listen = |device: &str| {
        cable.far.listen(&Listen { device: Some(device.into()), options: FAST, ..Listen::v6() })
    };
    let (first, second) = (listen("eth0"), listen("eth1"));
    let peer = cable.near.link_local().into();
    first.set_key(peer, &key("one")).expect("a password");
    second.set_key(peer, &key("two")).expect("a password");
    let over_first = cable.dial(Kind::LinkLocal);
    let router = SocketAddrV6::new(cable.far.link_local(), Listen::PORT, 0, second_link);
    let over_second = Dial { peer: router.into(), ..over_first.clone() };
    for (dial, listener, password, other) in
        [(over_first, &first, "one", "two"), (over_second, &second, "two", "one")]
    {
        let (near, far) = cable.connect(&with(password, dial.clone()), listener).await;
        assert_eq!(near.remote(), dial.peer);
        talk(&near, &far).await;
        dial_in_vain(&cable, &with(other, dial), listener, |drops| drops.md5_wrong).await;
    }
}
