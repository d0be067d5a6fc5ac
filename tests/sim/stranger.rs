//! Speakers with their announcers, and hosts on the same LAN that know nothing of them.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use metal_arp::{Announcer, Input as Told, Operation, Output as Wanted, Packet, announcer};
use metal_core::{
    Instant, Machine,
    finding::Finding,
    speaker::{Duty, Input, Output, Reason},
    view::{LinkIndex, Mac},
};
use metal_tests::{
    cluster::{endpoints_input, service_input},
    lan::{Id, Lan},
};

use crate::{NODES, ip, millis, moved, web};

const ETH0: LinkIndex = 2;
const STRANGER: Mac = [2, 0, 0, 0, 0, 0x99];

/// The speakers' LAN, the announcers beside them, and the ARP between all of them.
struct Wire {
    lan: Lan,
    announcers: Vec<Announcer>,
    /// How much of what each speaker said has been carried out.
    done: Vec<usize>,
    /// What a stranger has: it answers for that as any host does.
    stranger: Option<IpAddr>,
    /// Who told the LAN of an address, and when: announcements and answers, but no questions.
    claims: Vec<(Instant, Mac, IpAddr)>,
}

fn mac(id: Id) -> Mac {
    [2, 0, 0, 0, u8::try_from(id).unwrap(), 2]
}

impl Wire {
    /// Three nodes with a Service that was there before they started.
    fn settled() -> Self {
        let lan = Lan::new(1, web());
        let mut announcers = Vec::new();
        for id in 0..lan.len() {
            let mut announcer = Announcer::new(announcer::Setup { seed: 7, ..announcer::Setup::default() });
            announcer.handle_input(lan.now(), Told::Link { link: ETH0, mac: Some(mac(id)) });
            announcers.push(announcer);
        }
        let done = vec![0; lan.len()];
        let mut wire = Self { lan, announcers, done, stranger: None, claims: Vec::new() };
        (0..wire.lan.len()).for_each(|id| wire.lan.start(id));
        wire.run(Duration::from_secs(10));
        wire
    }

    /// Lets time pass, in steps of a millisecond.
    fn run(&mut self, time: Duration) {
        let end = self.lan.now() + time;
        while self.lan.now() < end {
            self.lan.run(millis(1));
            self.carry_out();
        }
    }

    /// Hands the announcers what their speakers want, and their frames to everybody.
    fn carry_out(&mut self) {
        loop {
            let now = self.lan.now();
            for id in 0..self.lan.len() {
                let said = &self.lan.station(id).said;
                let news: Vec<_> = said[self.done[id]..].iter().map(|(_, output)| output.clone()).collect();
                self.done[id] = said.len();
                for output in news {
                    match output {
                        Output::Own { link, address, duty } => {
                            let duty = duty.map(|Duty { probe, refresh }| announcer::Duty { probe, refresh });
                            self.announcers[id].handle_input(now, Told::Own { link, address, duty });
                        }
                        Output::Defend { link, address } => {
                            self.announcers[id].handle_input(now, Told::Defend { link, address });
                        }
                        _ => {}
                    }
                }
            }
            let mut is_quiet = true;
            for id in 0..self.lan.len() {
                while let Some(output) = self.announcers[id].poll_output(now) {
                    is_quiet = false;
                    match output {
                        Wanted::Send { frame, .. } => self.pass(Some(id), frame.as_bytes()),
                        Wanted::Conflict { link, address, mac, announced } => {
                            self.lan.tell(id, Input::Conflict { link, address, mac, announced });
                        }
                        Wanted::ConflictOver { link, address } => {
                            self.lan.tell(id, Input::ConflictOver { link, address });
                        }
                        Wanted::Join { .. } | Wanted::Leave { .. } | Wanted::Answering { .. } => {}
                    }
                }
            }
            if is_quiet {
                return;
            }
        }
    }

    /// Everybody hears a frame but who sent it.
    fn pass(&mut self, from: Option<Id>, frame: &[u8]) {
        let now = self.lan.now();
        let Ok(packet) = Packet::parse(frame) else { return };
        if !packet.sender_ip.is_unspecified() {
            self.claims.push((now, packet.sender_mac, packet.sender_ip.into()));
        }
        for id in (0..self.announcers.len()).filter(|id| Some(*id) != from) {
            // Who is dead or cut off hears nothing.
            if self.lan.speaker(id).is_some() {
                self.announcers[id].handle_input(now, Told::Frame { link: ETH0, frame });
            }
        }
        let asked = IpAddr::V4(packet.target_ip);
        if from.is_some() && packet.operation == Operation::Request && self.stranger == Some(asked) {
            self.forge(Operation::Reply, packet.target_ip, packet.sender_mac);
        }
    }

    /// The stranger says that it has an address.
    fn forge(&mut self, operation: Operation, address: Ipv4Addr, to: Mac) {
        let packet = Packet {
            destination: to,
            source: STRANGER,
            operation,
            sender_mac: STRANGER,
            sender_ip: address,
            target_mac: to,
            target_ip: address,
        };
        let frame = packet.emit();
        self.pass(None, frame.as_bytes());
    }

    /// What each speaker finds now.
    fn findings(&self) -> BTreeMap<Id, Vec<Finding>> {
        let last = |id| {
            let mut lists = self.lan.station(id).said.iter().filter_map(|(_, output)| match output {
                Output::Findings(found) => Some(found.iter().map(|found| found.finding.clone()).collect()),
                _ => None,
            });
            lists.next_back().filter(|list: &Vec<Finding>| !list.is_empty())
        };
        (0..self.lan.len()).filter_map(|id| Some((id, last(id)?))).collect()
    }

    /// Who of ours told the LAN of an address since `start`, how often.
    fn told(&self, start: Instant, address: IpAddr) -> BTreeMap<Mac, usize> {
        let mut told = BTreeMap::new();
        for (at, mac, claimed) in &self.claims {
            if *at > start && *claimed == address && *mac != STRANGER {
                *told.entry(*mac).or_default() += 1;
            }
        }
        told
    }

    /// Creates a Service with this address, after everything else was there.
    fn create(&mut self, name: &str, address: IpAddr) {
        let service = metal_core::view::Service {
            assigned: vec![address],
            assigned_from: vec!["first".into()],
            ..metal_core::view::Service::default()
        };
        self.lan.tell_all(|| service_input(name, Some(&service)));
        self.lan.tell_all(|| endpoints_input(name, &NODES.map(String::from)));
    }
}

fn v4(address: IpAddr) -> Ipv4Addr {
    match address {
        IpAddr::V4(address) => address,
        IpAddr::V6(address) => panic!("{address}"),
    }
}

#[test]
fn a_new_address_that_a_stranger_has_is_never_announced_while_that_is_so() {
    let mut wire = Wire::settled();
    wire.stranger = Some(ip(9));
    let start = wire.lan.now();
    wire.create("new", ip(9));
    wire.run(millis(900));
    let findings = wire.findings();
    assert_eq!(findings.len(), 1, "only the owner tells: {findings:?}");
    let (owner, found) = findings.into_iter().next().unwrap();
    assert_eq!(wire.lan.owner(ip(9)), owner);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].reason, found[0].announced, found[0].replaceable),
        (Reason::AddressConflict, false, true)
    );
    assert!(found[0].message.contains("02:00:00:00:00:99"), "{}", found[0].message);
    wire.run(Duration::from_secs(120));
    assert_eq!(wire.told(start, ip(9)), BTreeMap::new());
    // The stranger goes: now it is announced, and nothing is odd any more.
    wire.stranger = None;
    let gone = wire.lan.now();
    wire.run(Duration::from_secs(60));
    assert_eq!(wire.told(gone, ip(9)).into_keys().collect::<Vec<_>>(), [mac(owner)]);
    assert_eq!(wire.findings(), BTreeMap::new());
}

#[test]
fn forged_frames_move_nothing_and_are_answered_by_few() {
    let mut wire = Wire::settled();
    let owner = wire.lan.owner(ip(1));
    // Until the takeover has been announced for the last time.
    wire.run(Duration::from_secs(30));
    let (start, moves) = (wire.lan.now(), wire.lan.history.len());
    for _ in 0..50 {
        wire.forge(Operation::Request, v4(ip(1)), [0xff; 6]);
        wire.run(millis(200));
    }
    let findings = wire.findings();
    assert_eq!(findings.keys().copied().collect::<Vec<_>>(), [owner]);
    assert_eq!((findings[&owner][0].announced, findings[&owner][0].replaceable), (true, false));
    assert_eq!(wire.lan.history.len(), moves, "nothing moved");
    let told = wire.told(start, ip(1));
    assert_eq!(told.keys().copied().collect::<Vec<_>>(), [mac(owner)]);
    assert!((1..=4).contains(&told[&mac(owner)]), "at most once in ten seconds: {told:?}");
    wire.run(Duration::from_secs(70));
    assert_eq!(wire.findings(), BTreeMap::new());
}

#[test]
fn members_are_no_strangers_not_even_when_they_are_late() {
    let mut wire = Wire::settled();
    let before = wire.lan.owner(ip(1));
    wire.lan.kill(before);
    let took = moved(&mut wire.lan, ip(1), before);
    wire.carry_out();
    assert!(took < millis(500), "{took:?}");
    wire.run(Duration::from_secs(2));
    // The former owner answers once more: it was only frozen.
    let late = Packet {
        destination: [0xff; 6],
        source: mac(before),
        operation: Operation::Request,
        sender_mac: mac(before),
        sender_ip: v4(ip(1)),
        target_mac: [0; 6],
        target_ip: v4(ip(1)),
    };
    let start = wire.lan.now();
    wire.pass(Some(before), late.emit().as_bytes());
    wire.run(Duration::from_secs(5));
    assert_eq!(wire.findings(), BTreeMap::new());
    let owner = wire.lan.owner(ip(1));
    assert!(wire.told(start, ip(1)).contains_key(&mac(owner)), "the neighbours are told who serves it");
}
