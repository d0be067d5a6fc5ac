//! A switch with speakers on it, in virtual time. A seed decides all that is random, so a run can be repeated.

mod switch;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use metal_core::{
    Instant,
    speaker::{Input, Output, Setup, Speaker},
    view::{Link, LinkIndex},
};

use crate::{cluster::Cluster, random::Random};

/// The secret that all speakers share unless told otherwise.
pub const KEY: [u8; 32] = [7; 32];

/// The time that a frame takes on a quiet LAN.
const WIRE: Duration = Duration::from_micros(50);

/// The number of a station.
pub type Id = usize;

/// How bad the network is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Frames lost, of 1000.
    pub loss: u64,
    /// Frames that arrive twice, of 1000.
    pub duplication: u64,
    /// By how much a frame is late at most: so frames overtake each other.
    pub delay: Duration,
}

/// That a speaker began or ceased to answer for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Instant,
    /// Which station.
    pub station: Id,
    /// On which of its links.
    pub link: LinkIndex,
    /// For which address.
    pub address: IpAddr,
    /// Whether it answers from now on.
    pub owned: bool,
}

/// A host with a speaker.
pub struct Station {
    /// Its node name.
    pub name: String,
    speaker: Option<Speaker>,
    /// Its links by number: the switch each is plugged into, and the link as the kernel tells it.
    ports: BTreeMap<LinkIndex, (u32, Link)>,
    paused: bool,
    waiting: Vec<(LinkIndex, Vec<u8>)>,
    owned: BTreeSet<(LinkIndex, IpAddr)>,
    /// What its speaker said, with the time.
    pub said: Vec<(Instant, Output)>,
    /// The process has ended by itself.
    pub stopped: bool,
}

/// The LAN.
pub struct Lan {
    now: Instant,
    random: Random,
    boots: u64,
    stations: Vec<Station>,
    in_flight: BTreeMap<(Instant, u64), (Id, LinkIndex, Vec<u8>)>,
    frames: u64,
    /// What does not pass: from, to.
    cuts: BTreeSet<(Id, Id)>,
    /// How bad the network is.
    pub weather: Weather,
    /// What speakers are told when they start.
    pub cluster: Cluster,
    /// Every beginning and end of ownership.
    pub history: Vec<Moment>,
    /// Every frame that was sent while this is set.
    pub recording: Option<Vec<(Id, LinkIndex, Vec<u8>)>>,
}

impl Lan {
    /// A LAN with one station per node of `cluster`, none of them started. Each has `eth0`, number 2.
    #[must_use]
    pub fn new(seed: u64, cluster: Cluster) -> Self {
        let station = |(number, name): (usize, &String)| Station {
            name: name.clone(),
            speaker: None,
            ports: BTreeMap::from([(2, (0, nic("eth0", number, 2)))]),
            paused: false,
            waiting: Vec::new(),
            owned: BTreeSet::new(),
            said: Vec::new(),
            stopped: false,
        };
        Self {
            now: Instant::from_secs(1),
            random: Random::new(seed),
            boots: seed << 20,
            stations: cluster.nodes.keys().enumerate().map(station).collect(),
            in_flight: BTreeMap::new(),
            frames: 0,
            cuts: BTreeSet::new(),
            weather: Weather::default(),
            cluster,
            history: Vec::new(),
            recording: None,
        }
    }

    /// A LAN on which all stations have been started and had a second to settle.
    #[must_use]
    pub fn settled(seed: u64, cluster: Cluster) -> Self {
        let mut lan = Self::new(seed, cluster);
        (0..lan.stations.len()).for_each(|id| lan.start(id));
        lan.run(Duration::from_secs(1));
        lan
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The number of stations.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.stations.len()
    }

    /// Whether there are no stations.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.stations.is_empty()
    }

    /// A station.
    #[must_use]
    pub fn station(&self, id: Id) -> &Station {
        &self.stations[id]
    }

    /// The speaker of a station, if it runs.
    #[must_use]
    pub fn speaker(&self, id: Id) -> Option<&Speaker> {
        self.stations[id].speaker.as_ref()
    }

    /// Plugs another link of a station into a switch. To be called before its speaker starts.
    pub fn plug(&mut self, id: Id, index: LinkIndex, name: &str, switch: u32) {
        self.stations[id].ports.insert(index, (switch, nic(name, id, index)));
    }

    /// Starts the speaker of a station: a new incarnation that knows the cluster.
    pub fn start(&mut self, id: Id) {
        self.start_with_key(id, KEY);
    }

    /// Starts the speaker of a station with a key of its own.
    pub fn start_with_key(&mut self, id: Id, key: [u8; 32]) {
        self.kill(id);
        self.boots += 1;
        let mut incarnation = [0; 16];
        incarnation[..8].copy_from_slice(&self.boots.to_be_bytes());
        let station = &mut self.stations[id];
        let setup = Setup {
            node: station.name.as_str().into(),
            incarnation,
            seed: self.random.next(),
            interval_ms: 100,
            multiplier: 3,
        };
        (station.speaker, station.stopped) = (Some(Speaker::new(setup)), false);
        let links = station.ports.iter().map(|(index, (_, link))| Input::Link(*index, Some(link.clone())));
        for input in links.collect::<Vec<_>>() {
            self.tell(id, input);
        }
        self.tell(id, Input::Key(key));
        for input in self.cluster.inputs() {
            self.tell(id, input);
        }
    }

    /// Ends the speaker of a station without a word.
    pub fn kill(&mut self, id: Id) {
        let station = &mut self.stations[id];
        station.speaker = None;
        station.paused = false;
        station.waiting.clear();
        for (link, address) in std::mem::take(&mut station.owned) {
            self.history.push(Moment { at: self.now, station: id, link, address, owned: false });
        }
    }

    /// Freezes the process of a station; frames wait in its sockets, and it goes on answering.
    pub fn pause(&mut self, id: Id) {
        self.stations[id].paused = true;
    }

    /// Lets it go on.
    pub fn resume(&mut self, id: Id) {
        if !std::mem::take(&mut self.stations[id].paused) {
            return;
        }
        for (link, frame) in std::mem::take(&mut self.stations[id].waiting) {
            self.hand_over(id, Input::Frame { link, frame: &frame });
        }
        self.poll(id);
    }

    /// Lets it go on, but what has waited in its sockets is lost.
    pub fn resume_without_frames(&mut self, id: Id) {
        self.stations[id].waiting.clear();
        self.resume(id);
    }

    /// Tells the speaker of a station something.
    pub fn tell(&mut self, id: Id, input: Input<'_>) {
        self.hand_over(id, input);
        self.poll(id);
    }

    /// Tells all speakers something.
    pub fn tell_all(&mut self, input: impl Fn() -> Input<'static>) {
        for id in 0..self.stations.len() {
            self.tell(id, input());
        }
    }

    /// Sets the carrier of a station's `eth0`.
    pub fn set_carrier(&mut self, id: Id, carrier: bool) {
        if let Some((_, link)) = self.stations[id].ports.get_mut(&2) {
            link.carrier = carrier;
            let link = link.clone();
            self.tell(id, Input::Link(2, Some(link)));
        }
    }

    /// Whether frames pass from one station to another.
    pub fn set_path(&mut self, from: Id, to: Id, open: bool) {
        if open {
            self.cuts.remove(&(from, to))
        } else {
            self.cuts.insert((from, to))
        };
    }

    /// Only stations on the same side reach each other.
    pub fn partition(&mut self, side: impl Fn(Id) -> u64) {
        for from in 0..self.stations.len() {
            for to in 0..self.stations.len() {
                self.set_path(from, to, side(from) == side(to));
            }
        }
    }

    /// Puts a frame on the switch of a station's link, for everybody there including itself.
    pub fn inject(&mut self, id: Id, link: LinkIndex, frame: &[u8]) {
        for to in 0..self.stations.len() {
            for (index, _) in self.receivers(id, link, to, frame, true) {
                self.deliver_at(self.now + WIRE, to, index, frame);
            }
        }
    }

    /// The stations whose speaker answers for an address now.
    #[must_use]
    pub fn owners(&self, address: IpAddr) -> Vec<Id> {
        let owns = |id: &Id| self.stations[*id].owned.iter().any(|(_, owned)| *owned == address);
        (0..self.stations.len()).filter(owns).collect()
    }

    /// The one station that answers for an address.
    ///
    /// # Panics
    /// When it is not exactly one.
    pub fn owner(&self, address: IpAddr) -> Id {
        let owners = self.owners(address);
        assert_eq!(owners.len(), 1, "{address} has the owners {owners:?} at {}", self.now);
        owners[0]
    }

    /// Whether both can hear each other now.
    #[must_use]
    pub fn connected(&self, one: Id, other: Id) -> bool {
        let up = |id: Id| self.stations[id].ports.get(&2).is_some_and(|(_, link)| link.is_running());
        let runs = |id: Id| self.stations[id].speaker.is_some() && !self.stations[id].paused;
        let open = !self.cuts.contains(&(one, other)) && !self.cuts.contains(&(other, one));
        open && up(one) && up(other) && runs(one) && runs(other)
    }
}

fn nic(name: &str, station: usize, index: LinkIndex) -> Link {
    let [.., high, low] = station.to_be_bytes();
    let [.., link] = index.to_be_bytes();
    Link {
        name: name.into(),
        mac: [2, 0, 0, high, low, link],
        up: true,
        carrier: true,
        broadcast: true,
        arp: true,
        enslaved: false,
        prefixes: vec![],
    }
}
