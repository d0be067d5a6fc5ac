use std::{net::IpAddr, sync::Arc, time::Duration};

use metal_arp::{Operation, Packet, announcer::Duty};
use metal_core::view::{LinkIndex, Mac};
use metal_daemon::Clock;
use metal_net::{BlockingPacketSocket, Expiry, Filter, Namespace};
use tokio::sync::{mpsc, oneshot};

use super::{News, Order, Packets};
use crate::report::Counters;

const DEADLINE: Duration = Duration::from_secs(10);
const FOR_EVER: Duration = Duration::from_secs(3_600);
const OURS: [u8; 4] = [192, 0, 2, 200];
const NODE: Mac = [2, 0, 0, 0, 0, 1];
const CLIENT: Mac = [2, 0, 0, 0, 0, 2];

/// A node with a packet thread, and a client on a cable.
struct Cable {
    packets: Packets,
    link: LinkIndex,
    client: BlockingPacketSocket,
    news: mpsc::UnboundedReceiver<News>,
    _namespaces: [Namespace; 2],
}

impl Cable {
    fn new() -> Self {
        let namespace = || Namespace::new().expect("a network namespace: run these tests as root");
        let (node, client) = (namespace(), namespace());
        let (here, there) = (node.network().expect("netlink"), client.network().expect("netlink"));
        here.add_veth("eth0", &client, "eth0").expect("a veth pair");
        for (network, mac) in [(&here, NODE), (&there, CLIENT)] {
            network.set_mac("eth0", mac).expect("an Ethernet address");
            network.set_up("eth0").expect("up");
        }
        let (their_news, news) = mpsc::unbounded_channel();
        let start = || Packets::start(7, Clock::start(), their_news);
        let packets = node.within(start).expect("a thread").expect("a packet thread");
        let index = there.link("eth0").expect("eth0").0;
        let socket = client.within(|| BlockingPacketSocket::open(index, Filter::Arp)).expect("a thread");
        let link = here.link("eth0").expect("eth0").0;
        let namespaces = [node, client];
        Self { packets, link, client: socket.expect("a socket"), news, _namespaces: namespaces }
    }

    /// Opens the link and owns the address there.
    fn own(&mut self, expiry: &Arc<Expiry>) {
        let link = self.link;
        self.packets.order(Order::Link { link, mac: Some(NODE) });
        self.packets.order(Order::Open { link, expiry: Arc::clone(expiry) });
        self.packets.order(Order::Own { link, address: OURS.into(), duty: Some(Duty::default()) });
        self.packets.flush();
        self.counters();
    }

    /// The counters, which come when all orders before have been carried out.
    fn counters(&mut self) -> Counters {
        let (reply, counters) = oneshot::channel();
        self.packets.order(Order::Count { counters: Counters::default(), reply });
        self.packets.flush();
        counters.blocking_recv().expect("counters")
    }

    fn ask(&self, sender_ip: [u8; 4]) {
        let request = Packet {
            destination: [0xff; 6],
            source: CLIENT,
            operation: Operation::Request,
            sender_mac: CLIENT,
            sender_ip: sender_ip.into(),
            target_mac: [0; 6],
            target_ip: OURS.into(),
        };
        self.client.send(request.emit().as_bytes()).expect("sent");
    }

    /// Whether an answer to the client itself comes in time.
    fn hears(&self, time: Duration) -> bool {
        let deadline = std::time::Instant::now() + time;
        let mut frame = [0; 64];
        while let Some(length) = self.client.recv_until(&mut frame, deadline).expect("no error") {
            if Packet::parse(&frame[..length]).is_ok_and(|packet| packet.destination == CLIENT) {
                return true;
            }
        }
        false
    }
}

/// The counters of the address, with so many requests at least.
fn requests(cable: &mut Cable, count: u64) -> [u64; 3] {
    let deadline = std::time::Instant::now() + DEADLINE;
    loop {
        let counted = cable.counters().arp.get(&IpAddr::from(OURS)).copied().unwrap_or_default();
        if counted[0] >= count {
            return counted;
        }
        assert!(std::time::Instant::now() < deadline, "{counted:?} after the deadline");
        std::thread::yield_now();
    }
}

#[test]
fn it_answers_only_while_the_deciding_thread_lives() {
    let mut cable = Cable::new();
    let expiry = Arc::new(Expiry::new());
    cable.own(&expiry);
    cable.ask([192, 0, 2, 9]);
    requests(&mut cable, 1);
    assert!(!cable.hears(Duration::ZERO), "nobody has said yet that he lives");
    expiry.renew(FOR_EVER);
    cable.ask([192, 0, 2, 9]);
    assert!(cable.hears(DEADLINE));
    expiry.renew(Duration::ZERO);
    cable.ask([192, 0, 2, 9]);
    requests(&mut cable, 3);
    assert!(!cable.hears(Duration::ZERO), "over");
    cable.packets.order(Order::Own { link: cable.link, address: OURS.into(), duty: None });
    expiry.renew(FOR_EVER);
    cable.counters();
    cable.ask([192, 0, 2, 9]);
    cable.packets.order(Order::Close { link: cable.link });
    cable.counters();
    assert!(!cable.hears(Duration::ZERO), "not ours any more");
}

#[test]
fn conflicts_are_told() {
    let mut cable = Cable::new();
    let expiry = Arc::new(Expiry::new());
    expiry.renew(FOR_EVER);
    cable.own(&expiry);
    cable.ask(OURS);
    let Some(News::Conflict { link, address, mac, announced }) = cable.news.blocking_recv() else {
        panic!("no conflict");
    };
    assert_eq!((link, address, mac, announced), (cable.link, OURS.into(), CLIENT, true));
}

#[test]
fn answers_of_the_kernel_are_counted_too() {
    let mut cable = Cable::new();
    let expiry = Arc::new(Expiry::shared_with_kernel().expect("CAP_BPF: run these tests as root"));
    expiry.renew(FOR_EVER);
    cable.own(&expiry);
    for _ in 0..3 {
        cable.ask([192, 0, 2, 9]);
        assert!(cable.hears(DEADLINE));
    }
    // The first requests may have come before the kernel knew of the address.
    let [requests, responses, _] = requests(&mut cable, 3);
    assert_eq!((requests, responses), (3, 3));
    drop(cable.packets);
    cable.client.send(&[0; 60]).expect("the cable is still there");
}
