//! How time passes and frames travel.

use std::{net::IpAddr, time::Duration};

use metal_core::{
    Instant, Machine, drain,
    speaker::{Input, Output},
    view::{Link, LinkIndex, Mac},
};

use super::{Id, Lan, Moment, WIRE};

impl Lan {
    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        self.run_while(time, |_| true);
    }

    /// Lets time pass, but looks after every instant at which something happened whether to go on.
    pub fn run_while(&mut self, time: Duration, mut go_on: impl FnMut(&mut Self) -> bool) {
        let end = self.now + time;
        while let Some(next) = self.next_event().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            while let Some(entry) = self.in_flight.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (to, link, frame) = entry.remove();
                self.arrive(to, link, frame);
            }
            for id in 0..self.stations.len() {
                self.poll(id);
            }
            if !go_on(self) {
                return;
            }
        }
        self.now = end;
    }

    fn next_event(&self) -> Option<Instant> {
        let awake = self.stations.iter().filter(|station| !station.paused);
        let deadlines = awake.filter_map(|station| station.speaker.as_ref()?.poll_timeout());
        deadlines.chain(self.in_flight.keys().next().map(|(at, _)| *at)).min()
    }

    fn arrive(&mut self, to: Id, link: LinkIndex, frame: Vec<u8>) {
        if self.stations[to].paused {
            self.stations[to].waiting.push((link, frame));
        } else {
            self.hand_over(to, Input::Frame { link, frame: &frame });
        }
    }

    pub(super) fn hand_over(&mut self, id: Id, input: Input<'_>) {
        if let Some(speaker) = &mut self.stations[id].speaker {
            speaker.handle_input(self.now, input);
        }
    }

    pub(super) fn poll(&mut self, id: Id) {
        let station = &mut self.stations[id];
        let Some(speaker) = station.speaker.as_mut().filter(|_| !station.paused) else { return };
        for output in drain(speaker, self.now) {
            match &output {
                Output::Send { link, frame } => self.send(id, *link, frame),
                Output::Own { link, address, duty } => self.set_owned(id, *link, *address, duty.is_some()),
                Output::Stopped => self.stations[id].stopped = true,
                _ => {}
            }
            if !matches!(output, Output::Send { .. }) {
                self.stations[id].said.push((self.now, output));
            }
        }
        if self.stations[id].stopped {
            self.kill(id);
        }
    }

    fn set_owned(&mut self, id: Id, link: LinkIndex, address: IpAddr, owned: bool) {
        let set = &mut self.stations[id].owned;
        let changed = if owned { set.insert((link, address)) } else { set.remove(&(link, address)) };
        if changed {
            self.history.push(Moment { at: self.now, station: id, link, address, owned });
        }
    }

    fn send(&mut self, from: Id, link: LinkIndex, frame: &[u8]) {
        if let Some(recording) = &mut self.recording {
            recording.push((from, link, frame.to_vec()));
        }
        for to in 0..self.stations.len() {
            for (index, _) in self.receivers(from, link, to, frame, false) {
                if self.random.chance(self.weather.loss) {
                    continue;
                }
                let copies = if self.random.chance(self.weather.duplication) { 2 } else { 1 };
                for _ in 0..copies {
                    let late = self.random.between(Duration::ZERO, self.weather.delay);
                    self.deliver_at(self.now + WIRE + late, to, index, frame);
                }
            }
        }
    }

    /// The links of `to` at which a frame from a link arrives.
    pub(super) fn receivers(
        &self,
        from: Id,
        link: LinkIndex,
        to: Id,
        frame: &[u8],
        ours_too: bool,
    ) -> Vec<(LinkIndex, Mac)> {
        let Some((switch, out)) = self.stations[from].ports.get(&link) else { return Vec::new() };
        if self.stations[to].speaker.is_none() || self.cuts.contains(&(from, to)) || !out.is_running() {
            return Vec::new();
        }
        let hears = |(index, (other, port)): (&LinkIndex, &(u32, Link))| {
            let itself = from == to && *index == link && !ours_too;
            let meant = frame[..6] == [0xff; 6] || frame[..6] == port.mac;
            (other == switch && !itself && meant && port.is_running()).then_some((*index, port.mac))
        };
        self.stations[to].ports.iter().filter_map(hears).collect()
    }

    pub(super) fn deliver_at(&mut self, at: Instant, to: Id, link: LinkIndex, frame: &[u8]) {
        self.frames += 1;
        self.in_flight.insert((at, self.frames), (to, link, frame.to_vec()));
    }
}
