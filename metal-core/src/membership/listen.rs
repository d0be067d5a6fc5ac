//! When a link may be used: listen first, and start over after a sleep.

use alloc::vec::Vec;

use super::{Membership, Output, Timer, link::Listen};
use crate::{time::Instant, view::LinkIndex};

impl Membership {
    /// Begins to send and to listen on a link, if there is a key.
    pub(super) fn start(&mut self, now: Instant, index: LinkIndex) {
        let detection = self.detection();
        let (Some(key), Some(link)) = (&self.key, self.links.get_mut(&index)) else { return };
        link.renew_nonce(&key.secret, &self.identity.salt, index);
        let until = now + link.longest_detection(detection);
        link.listen = Some(Listen { started: now, until, held_back: false });
        self.timers.set(Timer::Listen(index), until);
        self.timers.set(Timer::Beacon(index), now);
    }

    /// Notices that this process did not run when it should have: then the others are not to blame.
    pub(super) fn wake(&mut self, now: Instant) {
        let Some(due) = self.timers.next() else { return };
        let (late, detection) = (now.since(due), self.detection());
        if late <= detection {
            return;
        }
        self.counters.starved += 1;
        self.outputs.push_back(Output::Starved(late));
        for index in self.links.keys().copied().collect::<Vec<_>>() {
            if let Some(link) = self.links.get_mut(&index) {
                for (id, peer) in &mut link.peers {
                    peer.deadline = now + peer.detection();
                    (peer.probes, peer.suspected, peer.heard_at) = (0, false, now);
                    self.timers.set(Timer::Peer(index, *id), peer.deadline);
                    self.timers.stop(&Timer::Probe(index, *id));
                }
                for until in link.twins.values_mut() {
                    *until = now + detection;
                }
            }
            self.start(now, index);
        }
    }

    /// Ends listening when its time is over and no member's claims are missing, or nobody completes them.
    pub(super) fn end_listening(&mut self, now: Instant, index: LinkIndex) {
        let (interval, detection) = (self.interval(), self.detection());
        let Some(link) = self.links.get_mut(&index) else { return };
        let Some(listen) = link.listen else { return };
        let incomplete = link.peers.values().any(|peer| peer.trusted && !peer.is_complete());
        let patience = link.longest_detection(detection) * MAX_LISTENING;
        if incomplete && now < listen.started + patience {
            self.timers.set(Timer::Listen(index), now + interval);
            return;
        }
        self.finish_listening(index);
    }

    pub(super) fn finish_listening(&mut self, index: LinkIndex) {
        let Some(link) = self.links.get_mut(&index) else { return };
        link.listen = None;
        self.timers.stop(&Timer::Listen(index));
        self.urgent.insert(index);
        self.outputs.push_back(Output::Listened(index));
    }

    /// Of two links in one LAN only the one with the lower number serves.
    pub(super) fn judge_twins(&mut self, now: Instant, index: LinkIndex) {
        let Some(link) = self.links.get_mut(&index) else { return };
        link.twins.retain(|_, until| *until > now);
        match link.twins.values().min() {
            Some(until) => self.timers.set(Timer::Twin(index), *until),
            None => drop(self.timers.stop(&Timer::Twin(index))),
        }
        let standby = link.twins.keys().any(|other| *other < index);
        if link.standby != standby {
            link.standby = standby;
            self.urgent.insert(index);
            self.outputs.push_back(Output::Standby(index, standby));
        }
    }
}

/// How many detection times a speaker listens at most for claims that never become complete.
const MAX_LISTENING: u32 = 10;
