//! Sessions over TCP on one host: what happens to one peer is none of the others' business.

use std::{net::SocketAddr, time::Duration};

use metal_bgp::peer::{Mode, PeerAs, Settings};
use metal_bgp_io::{Door, Event, Neighbor, Sessions, What};
use metal_net::tcp::{Dial, Listen, Md5Key};
use tokio::{sync::mpsc::UnboundedReceiver, time::timeout};

const HUB_AS: u32 = 64_512;
const SPOKE_AS: u32 = 64_513;

fn settings(my_as: u32, peer_as: u32, id: u8, mode: Mode) -> Settings {
    Settings {
        mode,
        connect_timeout: Duration::from_secs(1),
        retry_limit: Duration::from_secs(1),
        ..Settings::new(my_as, PeerAs::Is(peer_as), [10, 0, 0, id].into())
    }
}

fn with(mut neighbor: Neighbor, password: &str) -> Neighbor {
    neighbor.dial.key = Some(Md5Key::new(password.as_bytes()).expect("a key"));
    neighbor
}

/// The next event that is meant; all before it go through `pass`.
async fn next(
    events: &mut UnboundedReceiver<Event>,
    mut pass: impl FnMut(&Event),
    meant: impl Fn(&Event) -> bool,
) -> Event {
    let find = async {
        loop {
            let event = events.recv().await.expect("an event");
            pass(&event);
            if meant(&event) {
                return event;
            }
        }
    };
    timeout(Duration::from_secs(20), find).await.expect("an event in time")
}

fn is_established(event: &Event) -> bool {
    matches!(event.what, What::Established { .. })
}

#[tokio::test]
async fn another_password_costs_the_session_of_one_peer() {
    let (mut hub, mut events) = Sessions::start(1);
    let door = Door::open(&Listen::on(([127, 0, 0, 1], 0).into())).expect("a listener");
    let at = door.local().expect("an address");
    hub.listen(&door);
    let spoke_of = |number: u8| {
        let config = settings(HUB_AS, SPOKE_AS, 1, Mode::Listen).check().expect("good");
        Neighbor::new(Dial::to(SocketAddr::from(([127, 0, 0, number], 179))), config)
    };
    let hub_of = |number: u8| {
        let config = settings(SPOKE_AS, HUB_AS, number, Mode::Dial).check().expect("good");
        Neighbor::new(Dial { source: Some([127, 0, 0, number].into()), ..Dial::to(at) }, config)
    };
    let mut spokes = Vec::new();
    for (number, name) in [(2, "two"), (3, "three")] {
        hub.set_peer(name, with(spoke_of(number), "before"));
        let (mut spoke, events) = Sessions::start(number.into());
        spoke.set_peer("hub", with(hub_of(number), "before"));
        spokes.push((spoke, events));
    }
    let mut established = Vec::new();
    while established.len() < 2 {
        let event = next(&mut events, |_| {}, is_established).await;
        established.push(event.peer.to_string());
    }
    established.sort();
    assert_eq!(established, ["three", "two"]);

    hub.set_peer("two", with(spoke_of(2), "after"));
    spokes[0].0.set_peer("hub", with(hub_of(2), "after"));
    let only_two = |event: &Event| {
        // Addresses of this host alone are no next hops, which is said in each session.
        let is_two = &*event.peer == "two" || matches!(event.what, What::Silent(_));
        assert!(is_two, "{}: {}", event.peer, event.what);
    };
    next(&mut events, only_two, |event| matches!(event.what, What::Ended(_))).await;
    let again = next(&mut events, only_two, is_established).await;
    assert!(again.what.to_string().contains("127.0.0.2"), "{}", again.what);
}

/// Without rights it is another sentence, about the same interface.
#[tokio::test]
async fn a_link_with_nobody_is_said() {
    let (mut sessions, mut events) = Sessions::start(1);
    let config = settings(HUB_AS, SPOKE_AS, 1, Mode::Dial).check().expect("good");
    let mut neighbor = Neighbor::new(Dial::to("[::]:179".parse().expect("an address")), config);
    neighbor.link = Some(4_000_000);
    sessions.set_peer("link", neighbor);
    let said = next(&mut events, |_| {}, |event| event.what.to_string().contains("4000000")).await;
    assert!(matches!(said.what, What::Ended(_)), "{}", said.what);
}
