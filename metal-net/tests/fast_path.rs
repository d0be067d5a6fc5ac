//! What the BPF program answers, what it leaves to the packet sockets, and when it falls silent.

mod lan;

use std::{
    io::ErrorKind,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use lan::{DEADLINE, Host, LEFT, RIGHT, hosts};
use metal_core::view::Mac;
use metal_net::{BlockingPacketSocket, Expiry, FastPath, Filter};

const BROADCAST: Mac = [0xff; 6];
const NOBODY: Mac = [0; 6];
const ASKER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 200);
const OURS_TOO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 201);
const OTHERS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 202);
/// Long enough for any test.
const FOR_EVER: Duration = Duration::from_secs(3_600);

/// A LAN of two hosts: the right one has the program and a packet socket behind it, the left one asks.
struct Lan {
    left: Host,
    right: Host,
    asker: BlockingPacketSocket,
    behind: BlockingPacketSocket,
    expiry: Expiry,
}

impl Lan {
    async fn new() -> (Self, FastPath) {
        let (left, right) = hosts().await;
        let open = |host: &Host| {
            let socket = host.namespace.within(|| BlockingPacketSocket::open(host.eth0, Filter::Arp));
            socket.expect("a thread").expect("a packet socket")
        };
        let expiry =
            Expiry::shared_with_kernel().expect("shared memory: run these tests as root, on Linux 6.6");
        let fast_path = right.namespace.within(|| FastPath::attach(right.eth0, &expiry)).expect("a thread");
        let fast_path = fast_path.expect("a fast path");
        for address in [OURS, OURS_TOO] {
            fast_path.answer(address, Some(RIGHT)).expect("an entry");
        }
        expiry.renew(FOR_EVER);
        let lan = Self { asker: open(&left), behind: open(&right), left, right, expiry };
        (lan, fast_path)
    }

    /// Sends a frame and returns what the socket behind the program sees, if it does; else what comes back.
    fn ask(&self, frame: &[u8]) -> Outcome {
        self.asker.send(frame).expect("sent");
        let deadline = Instant::now() + DEADLINE;
        let now = Duration::from_millis(1);
        while Instant::now() < deadline {
            if let Some(frame) = receive(&self.behind, now) {
                assert_eq!(receive(&self.asker, Duration::ZERO), None, "answered and passed on");
                return Outcome::Passed(frame);
            }
            if let Some(frame) = receive(&self.asker, now) {
                return Outcome::Answered(frame);
            }
        }
        panic!("neither answered nor passed on: {frame:02x?}");
    }

    fn is_answered(&self, frame: &[u8]) -> bool {
        matches!(self.ask(frame), Outcome::Answered(_))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Answered(Vec<u8>),
    Passed(Vec<u8>),
}

fn receive(socket: &BlockingPacketSocket, patience: Duration) -> Option<Vec<u8>> {
    let mut frame = vec![0; 2048];
    let length = socket.recv_until(&mut frame, Instant::now() + patience).expect("no error")?;
    frame.truncate(length);
    Some(frame)
}

/// An ARP packet, field by field.
#[derive(Clone, Copy)]
struct Arp {
    destination: Mac,
    source: Mac,
    operation: u8,
    sender_mac: Mac,
    sender: Ipv4Addr,
    target_mac: Mac,
    target: Ipv4Addr,
}

/// As hosts ask.
const REQUEST: Arp = Arp {
    destination: BROADCAST,
    source: LEFT,
    operation: 1,
    sender_mac: LEFT,
    sender: ASKER,
    target_mac: NOBODY,
    target: OURS,
};

impl Arp {
    fn frame(self) -> Vec<u8> {
        let fixed = [8, 6, 0, 1, 8, 0, 6, 4, 0, self.operation];
        let (sender, target) = (self.sender.octets(), self.target.octets());
        let addresses = [self.sender_mac.as_slice(), &sender, &self.target_mac, &target];
        [[&self.destination, self.source.as_slice(), &fixed].concat(), addresses.concat()].concat()
    }

    fn padded(self) -> Vec<u8> {
        let mut frame = self.frame();
        frame.resize(60, 0);
        frame
    }
}

#[tokio::test]
async fn requests_for_our_addresses_are_answered_and_counted() {
    let (lan, fast_path) = Lan::new().await;
    let answer = |request: Arp| Arp {
        destination: request.sender_mac,
        source: RIGHT,
        operation: 2,
        sender_mac: RIGHT,
        sender: request.target,
        target_mac: request.sender_mac,
        target: request.sender,
    };
    let garbage = Arp { target_mac: BROADCAST, ..REQUEST };
    for request in
        [REQUEST, Arp { target: OURS_TOO, ..REQUEST }, Arp { destination: RIGHT, ..REQUEST }, garbage]
    {
        assert_eq!(lan.ask(&request.frame()), Outcome::Answered(answer(request).frame()));
        assert_eq!(lan.ask(&request.padded()), Outcome::Answered(answer(request).padded()));
    }
    let mut counts = fast_path.counts().expect("counts");
    counts.sort_unstable();
    assert_eq!(counts, [(OURS, 6), (OURS_TOO, 2)]);
}

#[tokio::test]
async fn what_is_odd_is_passed_on_as_it_is() {
    let (lan, fast_path) = Lan::new().await;
    let group = [1, 0, 0x5e, 0, 0, 1];
    let other = [2, 0, 0, 0, 0, 9];
    let odd = [
        ("another address", Arp { target: OTHERS, ..REQUEST }.padded()),
        ("a probe", Arp { sender: Ipv4Addr::UNSPECIFIED, ..REQUEST }.padded()),
        ("an announcement", Arp { sender: OURS, ..REQUEST }.padded()),
        ("a claim of another one of ours", Arp { sender: OURS_TOO, ..REQUEST }.padded()),
        ("a reply", Arp { operation: 2, ..REQUEST }.padded()),
        ("a claim in a reply", Arp { operation: 2, sender: OURS, ..REQUEST }.padded()),
        ("to a group", Arp { destination: group, ..REQUEST }.padded()),
        ("from a group", Arp { source: group, sender_mac: group, ..REQUEST }.padded()),
        ("from nobody", Arp { source: NOBODY, sender_mac: NOBODY, ..REQUEST }.padded()),
        ("from ourselves", Arp { source: RIGHT, sender_mac: RIGHT, ..REQUEST }.padded()),
        ("on behalf of another one", Arp { source: other, ..REQUEST }.padded()),
        ("of another one", Arp { sender_mac: other, ..REQUEST }.padded()),
        ("short", REQUEST.frame()[..41].to_vec()),
        ("long", [REQUEST.padded(), vec![0; 5]].concat()),
    ];
    for (name, frame) in odd {
        assert_eq!(lan.ask(&frame), Outcome::Passed(frame), "{name}");
    }
    assert!(fast_path.counts().expect("counts").iter().all(|(_, count)| *count == 0));
    // What no socket of ours may see either: VLANs, other hosts, broken packets.
    let tagged = [&BROADCAST, LEFT.as_slice(), &[0x81, 0, 0, 5], &REQUEST.padded()[12..]].concat();
    let mut broken = [REQUEST.padded(), REQUEST.padded(), REQUEST.padded(), REQUEST.padded()];
    for (frame, at) in broken.iter_mut().zip([15, 16, 18, 19]) {
        frame[at] ^= 9;
    }
    let others = Arp { destination: other, ..REQUEST }.padded();
    for frame in broken.iter().chain([&tagged, &others]) {
        lan.asker.send(frame).expect("sent");
    }
    assert!(lan.is_answered(&REQUEST.frame()), "the only answer");
    assert_eq!(receive(&lan.asker, Duration::ZERO), None);
    assert_eq!(receive(&lan.behind, Duration::ZERO), None);
}

#[tokio::test]
async fn it_is_silent_once_the_expiry_is_over() {
    let (lan, _fast_path) = Lan::new().await;
    let request = REQUEST.padded();
    assert!(lan.is_answered(&request));
    lan.expiry.renew(Duration::ZERO);
    assert!(!lan.is_answered(&request));
    lan.expiry.renew(FOR_EVER);
    assert!(lan.is_answered(&request));
    // By itself, without anybody doing anything.
    let time = Duration::from_millis(300);
    let before = Instant::now();
    lan.expiry.renew(time);
    let renewed = Instant::now();
    assert!(lan.is_answered(&request) || before.elapsed() >= time, "answered until then");
    while lan.is_answered(&request) {
        assert!(renewed.elapsed() < DEADLINE, "it does not end");
    }
    assert!(before.elapsed() >= time, "it ended after {:?}", before.elapsed());
}

#[tokio::test]
async fn addresses_come_and_go_and_move_to_another_mac() {
    let (lan, fast_path) = Lan::new().await;
    let request = REQUEST.frame();
    assert!(lan.is_answered(&request));
    let moved: Mac = [2, 0, 0, 0, 0, 0x22];
    fast_path.answer(OURS, Some(moved)).expect("changed");
    let Outcome::Answered(answer) = lan.ask(&request) else { panic!("no answer") };
    assert_eq!((&answer[6..12], &answer[22..28]), (moved.as_slice(), moved.as_slice()));
    assert!(fast_path.counts().expect("counts").contains(&(OURS, 2)), "counting goes on");
    fast_path.answer(OURS, None).expect("removed");
    fast_path.answer(OURS, None).expect("removed already");
    assert!(!lan.is_answered(&request));
    fast_path.answer(OURS, Some(RIGHT)).expect("added");
    assert!(lan.is_answered(&request));
    drop(fast_path);
    assert!(!lan.is_answered(&request), "silent at once");
}

#[tokio::test]
async fn ten_thousand_addresses_are_answered_for_and_listed() {
    let (lan, fast_path) = Lan::new().await;
    let address = |n: u16| Ipv4Addr::from_bits(0x0a00_0000 + u32::from(n));
    for n in 0..10_000 {
        fast_path.answer(address(n), Some(RIGHT)).expect("an entry");
    }
    for n in [0, 1, 4_711, 9_999] {
        assert!(lan.is_answered(&Arp { target: address(n), ..REQUEST }.frame()));
    }
    assert!(!lan.is_answered(&Arp { target: address(10_000), ..REQUEST }.frame()));
    let mut counts = fast_path.counts().expect("counts");
    counts.sort_unstable();
    assert_eq!(counts.len(), 10_002);
    let answered: Vec<_> =
        counts.iter().filter(|(_, count)| *count > 0).map(|(address, _)| *address).collect();
    assert_eq!(answered, [0, 1, 4_711, 9_999].map(address));
}

#[tokio::test]
async fn a_link_that_goes_away_takes_the_program_along() {
    let (lan, fast_path) = Lan::new().await;
    lan.left.network.delete("eth0").expect("deleted");
    fast_path.answer(OTHERS, Some(RIGHT)).expect("harmless");
    let error =
        lan.right.namespace.within(|| FastPath::attach(lan.right.eth0, &lan.expiry)).expect("a thread");
    let error = error.expect_err("no such interface");
    assert!(error.is_gone(), "{error}");
}

#[tokio::test]
async fn an_expiry_that_is_not_shared_is_refused() {
    let (_left, right) = hosts().await;
    let refused = right.namespace.within(|| FastPath::attach(right.eth0, &Expiry::new())).expect("a thread");
    let message = refused.expect_err("refused").to_string();
    assert!(message.starts_with("cannot share the expiry of the BPF program"), "{message}");
    assert!(message.contains(&ErrorKind::Unsupported.to_string()), "{message}");
    right.namespace.within(FastPath::probe).expect("a thread").expect("possible here");
}
