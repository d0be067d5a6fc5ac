//! What has to stay: neighbour entries that are confirmed again and again, and the tables of switches.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use metal_core::membership::beacon;
use metal_tests::wait::{ensure, wait_for};

use crate::host::{Host, mac_text};
use crate::lan::{DEADLINE, ECHO, Lan, VIP_V4, VIP_V6, VIPS, node_mac};

/// A datagram that has not come back by then is lost.
const ECHO_TIME: Duration = Duration::from_millis(500);

/// Minutes of an ordinary neighbour's life in seconds: it believes an entry for half a second at most, not for the usual
/// 15 to 45, and asks the address itself whether it is still there as soon as the entry is in use again.
#[test]
fn neighbours_with_a_short_reachable_time_are_confirmed() {
    const CONFIRMATIONS: usize = 20;
    let lan = Lan::start(2);
    for family in ["ipv4", "ipv6"] {
        let set = |setting: &str, value| lan.client.set(&format!("{family}/neigh/eth0/{setting}"), value);
        set("base_reachable_time_ms", "500");
        set("delay_first_probe_time", "0");
    }
    // An entry goes by the time that was set when it was made.
    lan.client.forget();
    let owners = VIPS.map(|vip| mac_text(node_mac(lan.owner(vip))));
    let capture = lan.client.capture(lan.directory(), "eth0", "inout", "arp or icmp6");
    let echoes = VIPS.map(|vip| Echo::of(&lan.client, vip));
    let begin = Instant::now();
    let mut sent = 0;
    loop {
        for ((vip, echo), owner) in VIPS.into_iter().zip(&echoes).zip(&owners) {
            assert!(echo.returns(), "{vip}: datagram {sent} has not come back");
            assert_eq!(lan.client.cached(vip).as_ref(), Some(owner), "{}", lan.client.neighbour(vip));
        }
        sent += 1;
        // The client's kernel asks the owner alone.
        let confirmed = [
            capture.frames(&[&format!("Reply {VIP_V4} is-at")]).len(),
            capture.frames(&["neighbor advertisement", &format!("tgt is {VIP_V6}")]).len(),
        ];
        let to_owner = |owner: &str, word: &str| capture.frames(&[&format!("> {owner}"), word]).len();
        let asked = [to_owner(&owners[0], "Request who-has"), to_owner(&owners[1], "neighbor solicitation")];
        let enough = confirmed.iter().chain(&asked).all(|count| *count >= CONFIRMATIONS);
        if enough && begin.elapsed() >= lasting() {
            println!(
                "{sent} datagrams each in {:?}: asked {asked:?}, confirmed {confirmed:?}",
                begin.elapsed()
            );
            break;
        }
        assert!(
            begin.elapsed() < lasting() + Duration::from_secs(60),
            "asked {asked:?}, confirmed {confirmed:?}"
        );
    }
}

/// The switch forgets stations after two seconds and never floods to the node's port; the client has static entries and
/// says nothing. So only what the speaker sends by itself keeps the way open: refreshes, here each second, since the
/// beacons of a speaker, which do the same, are held back. In a long run it is 30 seconds, and a refresh each 15.
#[test]
fn refreshes_keep_the_switch_from_forgetting() {
    let pace = if lasting().is_zero() { 1 } else { 15 };
    let times = |seconds: u32| Duration::from_secs(u64::from(pace * seconds));
    let mut lan = Lan::build(1);
    let mac = mac_text(node_mac(1));
    for vip in VIPS {
        lan.client.ip(&format!("neighbour replace {vip} lladdr {mac} nud permanent dev eth0"));
    }
    lan.switch.ip(&format!("link set lan type bridge ageing_time {}", 200 * pace));
    for setting in ["flood", "mcast_flood", "bcast_flood"] {
        lan.switch.run("bridge", &["link", "set", "dev", "node1", setting, "off"]);
    }
    let held_back = format!("add rule bridge lan in ether saddr {mac} udp dport {} drop", beacon::PORT);
    for command in [
        "add table bridge lan",
        "add chain bridge lan in { type filter hook prerouting priority -300; }",
        &held_back,
    ] {
        lan.switch.run("nft", &[command]);
    }
    lan.launch_daemons(&format!("  refreshInterval: {pace}s\n"));
    let known = || lan.switch.run("bridge", &["fdb", "show", "br", "lan", "dynamic"]).contains(&mac);
    wait_for("the node in the switch's table", DEADLINE, || ensure(known(), || "not there".to_owned()));
    let announced = || lan.metric(1, "metallb_layer2_gratuitous_sent", &[]);
    // The announcements of the takeover are over when refreshes alone go on.
    let (begin, first) = (Instant::now(), announced());
    wait_for("ten intervals' refreshes", times(20), || {
        assert!(known(), "the switch has forgotten the node after {:?}", begin.elapsed());
        let quiet = begin.elapsed() > times(8);
        ensure(quiet && announced() >= first + 8.0, || format!("{} since", announced() - first))
    });
    for vip in VIPS {
        assert!(Echo::of(&lan.client, vip).returns(), "{vip}: the first datagram is lost");
    }
    // Without them the way is closed: this is what the refreshes prevent.
    lan.kill(1);
    wait_for("the switch to forget the node", times(20), || {
        ensure(!lan.switch.run("bridge", &["fdb", "show", "br", "lan", "dynamic"]).contains(&mac), || {
            "it is still there".to_owned()
        })
    });
    assert!(!Echo::of(&lan.client, VIP_V4).returns(), "the datagram has found another way");
}

/// How long it is looked at, if longer than it takes to see it: `METAL_LASTING`, in seconds.
fn lasting() -> Duration {
    let seconds = std::env::var("METAL_LASTING").ok().map(|text| text.parse().expect("seconds"));
    Duration::from_secs(seconds.unwrap_or_default())
}

/// A client's datagrams to an address, which come back.
struct Echo(UdpSocket);

impl Echo {
    fn of(client: &Host, vip: std::net::IpAddr) -> Self {
        let any: SocketAddr = if vip.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
        let socket = client.namespace.within(|| UdpSocket::bind(any)).expect("a thread").expect("a port");
        socket.connect((vip, ECHO)).expect("a route");
        socket.set_read_timeout(Some(ECHO_TIME)).expect("a timeout");
        Self(socket)
    }

    /// Whether a datagram comes back.
    fn returns(&self) -> bool {
        let mut answer = [0; 4];
        // An error is a datagram that was lost on its way out.
        self.0.send(b"ping").is_ok()
            && self.0.recv(&mut answer).is_ok_and(|length| answer[..length] == *b"ping")
    }
}
