//! What a link monitor reports.

mod lan;

use lan::{DEADLINE, Host, LEFT, event, hosts, link};
use metal_core::view::Link;
use metal_net::{LinkEvent, LinkMonitor};

/// Reads the first listing.
async fn listed(links: &mut LinkMonitor) -> Vec<Link> {
    let mut listed = Vec::new();
    loop {
        match event(links).await {
            LinkEvent::Upsert(_, link) => listed.push(link),
            LinkEvent::Synced => return listed,
            LinkEvent::Removed(index) => panic!("link {index} was never there"),
        }
    }
}

async fn host() -> (Host, Host, LinkMonitor) {
    let (left, right) = hosts().await;
    let mut links = left.monitor();
    listed(&mut links).await;
    (left, right, links)
}

/// Nothing has been reported that is still to be read.
async fn assert_quiet(host: &Host, links: &mut LinkMonitor) {
    // A change of our own is the next event: so there was none before.
    host.network.add_address("lo", "127.9.9.9/32".parse().expect("an address")).expect("added");
    let LinkEvent::Upsert(_, lo) = event(links).await else { panic!("not an upsert") };
    assert_eq!(lo.name, "lo");
    host.network.delete_address("lo", "127.9.9.9/32".parse().expect("an address")).expect("deleted");
    let LinkEvent::Upsert(_, lo) = event(links).await else { panic!("not an upsert") };
    assert_eq!(lo.name, "lo");
}

#[tokio::test]
async fn lists_everything_first() {
    let (left, _right) = hosts().await;
    left.network.add_address("eth0", "192.0.2.7/24".parse().expect("an address")).expect("added");
    left.network.add_address("eth0", "192.0.2.8/32".parse().expect("an address")).expect("added");
    let mut links = left.monitor();
    let listed = listed(&mut links).await;
    let eth0 = Link {
        name: "eth0".into(),
        mac: LEFT,
        up: true,
        carrier: true,
        broadcast: true,
        arp: true,
        enslaved: false,
        prefixes: ["192.0.2.7/24", "192.0.2.8/32"].map(|text| text.parse().expect("a prefix")).to_vec(),
    };
    assert!(listed.contains(&eth0), "{listed:?}");
    let lo = listed.iter().find(|link| link.name == "lo").expect("lo");
    assert!(!lo.up && !lo.carrier && !lo.broadcast && !lo.arp && lo.mac == [0; 6], "{lo:?}");
}

#[tokio::test]
async fn reports_addresses() {
    let (left, _right, mut links) = host().await;
    for text in ["192.0.2.7/24", "198.51.100.1/31"] {
        let address = text.parse().expect("an address");
        left.network.add_address("eth0", address).expect("added");
        assert_eq!(link(&mut links, |_| true).await.prefixes, [address]);
        left.network.delete_address("eth0", address).expect("deleted");
        assert!(link(&mut links, |_| true).await.prefixes.is_empty());
    }
    assert_quiet(&left, &mut links).await;
}

#[tokio::test]
async fn reports_ipv6_addresses() {
    let (left, _right, mut links) = host().await;
    left.namespace.set_sysctl("ipv6/conf/eth0/disable_ipv6", "0").expect("IPv6");
    let address = "2001:db8::7/64".parse().expect("an address");
    left.network.add_address("eth0", address).expect("added");
    link(&mut links, |link| link.prefixes.contains(&address)).await;
    left.network.delete_address("eth0", address).expect("deleted");
    link(&mut links, |link| !link.prefixes.contains(&address)).await;
}

#[tokio::test]
async fn reports_down_up_and_carrier() {
    let (left, right, mut links) = host().await;
    right.network.set_down("eth0").expect("down");
    link(&mut links, |link| link.name == "eth0" && link.up && !link.carrier).await;
    right.network.set_up("eth0").expect("up");
    link(&mut links, |link| link.name == "eth0" && link.is_running()).await;
    left.network.set_down("eth0").expect("down");
    link(&mut links, |link| link.name == "eth0" && !link.up && !link.carrier).await;
    left.network.set_up("eth0").expect("up");
    link(&mut links, |link| link.name == "eth0" && link.is_running()).await;
}

#[tokio::test]
async fn reports_names_hardware_addresses_and_bridges() {
    let (left, _right, mut links) = host().await;
    let mac = [2, 0, 0, 0, 0, 77];
    left.network.set_mac("eth0", mac).expect("set");
    assert_eq!(link(&mut links, |link| link.name == "eth0").await.mac, mac);
    left.network.set_down("eth0").expect("down");
    left.network.rename("eth0", "uplink").expect("renamed");
    link(&mut links, |link| link.name == "uplink").await;
    left.network.add_bridge("br0").expect("a bridge");
    link(&mut links, |link| link.name == "br0").await;
    left.network.set_bridge("uplink", Some("br0")).expect("a port");
    link(&mut links, |link| link.name == "uplink" && link.enslaved).await;
    let address = "192.0.2.7/24".parse().expect("an address");
    left.network.add_address("uplink", address).expect("added");
    left.network.set_bridge("uplink", None).expect("a port no more");
    // A bridge also announces the deletion of its port, which is not that of the interface.
    let end = tokio::time::timeout(DEADLINE, async {
        loop {
            match links.next().await.expect("an event") {
                LinkEvent::Upsert(_, link) if link.name == "uplink" && !link.enslaved => {
                    return link.prefixes;
                }
                LinkEvent::Removed(index) => panic!("link {index} is still there"),
                _ => {}
            }
        }
    });
    assert_eq!(end.await.expect("free again"), [address]);
}

#[tokio::test]
async fn reports_new_moved_and_deleted_links() {
    let (left, right, mut links) = host().await;
    left.network.add_veth("extra", &right.namespace, "far").expect("a veth pair");
    let LinkEvent::Upsert(index, extra) = event(&mut links).await else { panic!("not an upsert") };
    assert_eq!((extra.name.as_str(), extra.up), ("extra", false));
    left.network.move_link("extra", &right.namespace, "moved").expect("moved");
    assert_eq!(event(&mut links).await, LinkEvent::Removed(index));
    right.network.link("moved").expect("it is there");
    left.network.delete("eth0").expect("deleted");
    loop {
        if event(&mut links).await == LinkEvent::Removed(left.eth0) {
            break;
        }
    }
    assert_quiet(&left, &mut links).await;
}

#[tokio::test]
async fn resync_reports_differences_only() {
    let (left, _right, mut links) = host().await;
    links.resync();
    assert_quiet(&left, &mut links).await;
    left.network.set_mac("eth0", [2, 0, 0, 0, 0, 9]).expect("set");
    links.resync();
    assert_eq!(link(&mut links, |_| true).await.mac, [2, 0, 0, 0, 0, 9]);
}
