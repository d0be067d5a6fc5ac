//! The speaker: any operations on two of them that share a LAN. Whatever happens, both keep the laws of a machine,
//! and nothing is answered for that no Service has.

#![no_main]

use std::{
    collections::{BTreeSet, VecDeque},
    net::IpAddr,
    time::Duration,
};

use libfuzzer_sys::fuzz_target;
use metal_core::{
    Instant, Machine,
    config::{L2AdvertisementSpec, Object, ObjectRef, ObjectStatus, PoolSpec, Spec},
    drain,
    name::ObjectKey,
    selector::{Labels, Selector},
    speaker::{Input, MAX_FINDINGS, Output, Setup, Speaker, l2::EXCLUDE_LABEL},
    view::{Endpoint, EndpointSlice, Link, Node, Service, TrafficPolicy},
};

fuzz_target!(|data: &[u8]| {
    let mut lan = Lan::new();
    let mut data = data;
    while let Some(operation) = take(&mut data) {
        lan.operate(operation, &mut data);
    }
    // In the end both stop, and must not go on for ever.
    for _ in 0..2 {
        lan.tell(0, Input::Stop);
        lan.tell(1, Input::Stop);
        lan.now += Duration::from_secs(2);
    }
    lan.poll();
    assert!(lan.hosts.iter().all(|host| host.stopped && host.owned.is_empty()));
});

struct Host {
    speaker: Speaker,
    owned: BTreeSet<(u32, IpAddr)>,
    inbox: VecDeque<(u32, Vec<u8>)>,
    stopped: bool,
}

struct Lan {
    now: Instant,
    hosts: [Host; 2],
}

impl Lan {
    fn new() -> Self {
        let host = |n: u8| {
            let node = if n == 0 { "n0" } else { "n1" };
            let setup = Setup {
                node: node.into(),
                incarnation: [n; 16],
                seed: n.into(),
                interval_ms: 100,
                multiplier: 3,
            };
            Host {
                speaker: Speaker::new(setup),
                owned: BTreeSet::new(),
                inbox: VecDeque::new(),
                stopped: false,
            }
        };
        Self { now: Instant::from_secs(1), hosts: [host(0), host(1)] }
    }

    /// The low bits say what, the highest bit to whom.
    fn operate(&mut self, operation: u8, data: &mut &[u8]) {
        let id = usize::from(operation >> 7);
        let mut byte = || take(data).unwrap_or_default();
        match operation & 15 {
            0 => self.now += Duration::from_millis(byte().into()),
            1 => self.now += Duration::from_millis(u64::from(byte()) * 50),
            2 => self.tell(id, Input::Synced),
            3 => self.tell(id, Input::Key([byte() & 1; 32])),
            4 => {
                let (index, bits) = (u32::from(byte() & 1) + 2, byte());
                self.tell(id, Input::Link(index, (bits & 1 == 0).then(|| link(index, bits))));
            }
            5 => {
                let (name, bits, address) = (byte(), byte(), byte());
                let service = Service {
                    assigned: if bits & 1 == 0 { vec![ip(address)] } else { vec![ip(address), ip(byte())] },
                    traffic_policy: if bits & 2 == 0 { TrafficPolicy::Cluster } else { TrafficPolicy::Local },
                    ..Service::default()
                };
                self.tell(id, Input::Service(key("s", name), (bits & 4 == 0).then_some(service)));
            }
            6 => {
                let (name, service, bits) = (byte(), byte(), byte());
                let endpoint = |n: u8| Endpoint {
                    node: (bits >> n & 4 == 0)
                        .then(|| if bits >> n & 8 == 0 { "n0".into() } else { "n1".into() }),
                    ready: bits >> n & 1 == 0,
                    serving: bits >> n & 2 == 0,
                };
                let slice =
                    EndpointSlice { service: key("s", service), endpoints: vec![endpoint(0), endpoint(4)] };
                self.tell(id, Input::Endpoints(key("e", name), (name & 8 == 0).then_some(slice)));
            }
            7 => {
                let (name, bits) = (byte(), byte());
                let mut node = Node { network_unavailable: bits & 1 != 0, ..Node::default() };
                if bits & 2 != 0 {
                    node.labels.insert(EXCLUDE_LABEL.into(), String::new());
                }
                let name = if name & 1 == 0 { "n0" } else { "n1" };
                self.tell(id, Input::Node(name.into(), (bits & 4 == 0).then_some(node)));
            }
            8 => {
                let (name, bits) = (byte(), byte());
                let addresses = if bits & 1 == 0 { "10.0.0.0/29" } else { "10.0.0.4-10.0.0.15" };
                let spec = Spec::Pool(PoolSpec { addresses: vec![addresses.into()], ..PoolSpec::default() });
                self.configure(id, "IPAddressPool", name, (bits & 2 == 0).then_some(spec));
            }
            9 => {
                let (name, bits) = (byte(), byte());
                let spec = L2AdvertisementSpec {
                    interfaces: if bits & 1 == 0 { vec![] } else { vec!["eth2".into()] },
                    node_selectors: if bits & 2 == 0 { vec![] } else { vec![Selector::label("a", "b")] },
                    ..L2AdvertisementSpec::default()
                };
                self.configure(
                    id,
                    "L2Advertisement",
                    name,
                    (bits & 4 == 0).then_some(Spec::L2Advertisement(spec)),
                );
            }
            10 => {
                let length = usize::from(byte()).min(data.len());
                let (frame, rest) = data.split_at(length);
                *data = rest;
                self.tell(id, Input::Frame { link: 2, frame });
            }
            // A frame of the other one, on this link or that one, perhaps spoilt, perhaps again.
            11 | 12 => {
                let (bits, at, flip) = (byte(), byte(), byte());
                if let Some((link, mut frame)) = self.hosts[id].inbox.pop_front() {
                    if operation & 15 == 12 {
                        let at = usize::from(at) % frame.len();
                        frame[at] ^= flip;
                    }
                    let link = if bits & 1 == 0 { link } else { 5 - link };
                    self.tell(id, Input::Frame { link, frame: &frame });
                    if bits & 2 != 0 {
                        self.hosts[id].inbox.push_back((link, frame));
                    }
                }
            }
            13 => drop(self.hosts[id].inbox.pop_front()),
            14 => match byte() {
                0 => self.tell(id, Input::Stop),
                what @ 1..=3 => {
                    let (link, address, mac) = (u32::from(what & 1) + 2, ip(byte()), [2, 0, 0, 0, 0, byte()]);
                    let announced = what == 3;
                    self.tell(id, Input::Conflict { link, address, mac, announced });
                }
                4 => self.tell(id, Input::ConflictOver { link: 2, address: ip(byte()) }),
                5 => self.tell(id, Input::ArpIgnore(2, byte() % 9)),
                _ => self.poll(),
            },
            _ => self.poll(),
        }
    }

    fn configure(&mut self, id: usize, kind: &'static str, name: u8, spec: Option<Spec>) {
        let object = ObjectRef { kind, namespace: "metallb-system".into(), name: key("c", name).name };
        let object_of =
            |spec| Object { created: None, labels: Labels::new(), spec, status: ObjectStatus::default() };
        let value = spec.map(object_of);
        self.tell(id, Input::Config(object, value));
    }

    fn tell(&mut self, id: usize, input: Input<'_>) {
        self.hosts[id].speaker.handle_input(self.now, input);
    }

    fn poll(&mut self) {
        for id in 0..2 {
            for output in drain(&mut self.hosts[id].speaker, self.now) {
                self.perform(id, output);
            }
        }
    }

    fn perform(&mut self, id: usize, output: Output) {
        match output {
            Output::Send { link, frame } => {
                assert!(frame.len() <= 1_514);
                let inbox = &mut self.hosts[1 - id].inbox;
                if inbox.len() < 64 {
                    inbox.push_back((link, frame));
                }
            }
            Output::Own { link, address, duty } => {
                let set = &mut self.hosts[id].owned;
                if duty.is_some() {
                    assert!(address.is_ipv4());
                    set.insert((link, address));
                } else {
                    assert!(set.remove(&(link, address)), "{address} ends without a beginning");
                }
            }
            Output::Defend { link, address } => {
                assert!(self.hosts[id].owned.contains(&(link, address)), "{address} is not ours");
            }
            Output::Findings(found) => assert!(found.len() <= MAX_FINDINGS),
            Output::Stopped => self.hosts[id].stopped = true,
            _ => {}
        }
    }
}

fn link(index: u32, bits: u8) -> Link {
    Link {
        name: format!("eth{index}"),
        mac: [2, 0, 0, 0, 0, bits],
        up: bits & 2 == 0,
        carrier: bits & 4 == 0,
        broadcast: true,
        arp: bits & 8 == 0,
        enslaved: bits & 16 != 0,
        prefixes: if bits & 32 == 0 { vec![] } else { vec!["10.0.0.1/29".parse().expect("a prefix")] },
    }
}

fn key(kind: &str, n: u8) -> ObjectKey {
    ObjectKey::new("default", &format!("{kind}{}", n & 7))
}

fn ip(n: u8) -> IpAddr {
    if n == 0 { "2001:db8::1".parse().expect("an address") } else { [10, 0, 0, n % 16].into() }
}

fn take(data: &mut &[u8]) -> Option<u8> {
    let (first, rest) = data.split_first()?;
    *data = rest;
    Some(*first)
}
