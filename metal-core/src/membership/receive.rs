//! What membership makes of a frame.

use core::time::Duration;

use super::{
    Loss, Membership, Output, Timer,
    beacon::{Beacon, Envelope, Flags, Kind, Message, Refused, Seal, parse},
    link::OwnLink,
    peer::{Peer, PeerId},
};
use crate::{name::NodeName, time::Instant, view::LinkIndex};

impl Membership {
    pub(super) fn receive(&mut self, now: Instant, index: LinkIndex, frame: &[u8]) {
        // Frames may still be queued for a link that no longer takes part.
        if self.key.is_none() || !self.links.contains_key(&index) {
            return;
        }
        match parse(frame).and_then(|envelope| self.judge(now, index, &envelope)) {
            Ok(()) => {}
            Err(reason) => self.counters.count_refused(reason),
        }
    }

    fn judge(&mut self, now: Instant, index: LinkIndex, envelope: &Envelope<'_>) -> Result<(), Refused> {
        let header = &envelope.header;
        let (Some(key), Some(link)) = (&self.key, self.links.get_mut(&index)) else { return Ok(()) };
        if header.key_id != key.id {
            return Err(Refused::Key);
        }
        if header.salt == self.identity.salt {
            envelope.open(&key.seal)?;
            return self.hear_ourselves(now, index, header.ifindex, header.sequence);
        }

        let id = PeerId { salt: header.salt, ifindex: header.ifindex };
        let crowded = !link.peers.contains_key(&id) && link.peers.len() >= MAX_PEERS;
        let known = link.peers.get_mut(&id);
        let cached = self.seals.get(&header.salt).filter(|(node, _)| node.as_str() == header.node);
        // A farewell is prepared ahead, so its number may be old. It ends only who sealed it.
        let numbered = !matches!(envelope.kind, Kind::Farewell);
        if numbered && known.as_ref().is_some_and(|peer| header.sequence <= peer.highest) {
            return Err(Refused::Replayed);
        }
        let fresh = match cached {
            Some(_) => None,
            None => Some(Seal::derive(&key.secret, &header.salt, header.node)),
        };
        let seal = fresh.as_ref().or(cached.map(|(_, seal)| seal)).ok_or(Refused::Seal)?;
        let message = envelope.open(seal)?;
        if crowded {
            return Err(Refused::Crowded);
        }
        self.counters.count_received(envelope.kind);
        match message {
            Message::Beacon(beacon) => {
                if let Some(seal) = fresh {
                    self.seals.insert(header.salt, (NodeName::from(header.node), seal));
                }
                self.on_beacon(now, index, id, envelope, beacon);
            }
            Message::Probe(probe) => {
                if let Some(peer) = known.filter(|peer| peer.trusted) {
                    peer.highest = header.sequence;
                    self.send_answer(index, id, probe.challenge);
                }
            }
            Message::Answer(answer) => {
                if let Some(peer) = known.filter(|peer| peer.trusted) {
                    peer.highest = header.sequence;
                    let asked = u64::from_be_bytes(answer.challenge);
                    if peer.probes > 0 && asked >= peer.first_probe {
                        self.counters.cleared += 1;
                        self.prolong(now, index, id);
                    }
                }
            }
            Message::Farewell(_) => {
                for index in self.links.keys().copied().collect::<alloc::vec::Vec<_>>() {
                    let ended = |peer: &&PeerId| peer.salt == id.salt;
                    while let Some(peer) =
                        self.links.get(&index).and_then(|link| link.peers.keys().find(ended)).copied()
                    {
                        self.lose(index, peer, Loss::Farewell);
                    }
                }
            }
        }
        Ok(())
    }

    fn on_beacon(
        &mut self,
        now: Instant,
        index: LinkIndex,
        id: PeerId,
        envelope: &Envelope<'_>,
        beacon: Beacon,
    ) {
        let (us, interval) = (self.hash, self.interval());
        let Some(link) = self.links.get_mut(&index) else { return };
        let echoed = beacon.echoes.contains(&(us, link.nonce));
        let header = &envelope.header;
        let peer = link.peers.entry(id).or_insert_with(|| Peer::new(now, header, envelope.source));
        peer.highest = header.sequence;
        peer.beacon_at = now;
        let heard_nobody = peer.heard.total == 0;
        let changes = peer.update(header, envelope.source, beacon);

        // Who repeats our nonce has heard it. A list that is cut short proves nothing.
        let named = peer.heard.contains(us);
        let hears_us = echoed || named.unwrap_or(peer.hears_us);
        let joined = echoed && !peer.trusted;
        peer.trusted |= echoed;
        let facts = peer.note_hearing(now, hears_us, heard_nobody) || changes.facts;

        let solicits = peer.flags.contains(Flags::SOLICIT);
        let silent_for = |time: Duration| peer.answered.is_none_or(|last| now.since(last) >= time);
        let wants_answer = if named == Some(false) { silent_for(interval / 8) } else { silent_for(interval) };
        let answer = wants_answer && (solicits || named == Some(false));

        let detection = peer.detection();
        let suspicious = !peer.trusted && peer.claims_anything();
        let trusted = peer.trusted;
        if let Some(listen) = &mut link.listen {
            // The slowest of those heard decides how long to listen. A claim that may be a recording counts
            // only once, else a recording could hold us back for ever.
            listen.until = listen.until.max(listen.started + detection);
            if suspicious && !listen.held_back {
                listen.held_back = true;
                listen.until = listen.until.max(now + detection * 2);
            }
            self.timers.set(Timer::Listen(index), listen.until);
        }
        self.prolong(now, index, id);
        if joined {
            self.outputs.push_back(Output::Joined(index, id));
        } else if trusted && facts {
            self.outputs.push_back(Output::Changed(index, id));
        }
        if trusted && !joined && !changes.claims.is_empty() {
            self.outputs.push_back(Output::Claims(index, changes.claims));
        }
        if answer {
            self.answer(now, index, id, solicits);
        }
        let knows = |link: &OwnLink| link.listen.is_some() && link.knows_everybody(us);
        if self.links.get(&index).is_some_and(knows) {
            self.finish_listening(index);
        }
    }

    /// A member gives a sign of life: its time starts again.
    fn prolong(&mut self, now: Instant, index: LinkIndex, id: PeerId) {
        let Some(peer) = self.links.get_mut(&index).and_then(|link| link.peers.get_mut(&id)) else { return };
        peer.probes = 0;
        peer.suspected = false;
        peer.heard_at = now;
        peer.deadline = now + peer.detection();
        self.timers.set(Timer::Peer(index, id), peer.deadline);
        match peer.late_at() {
            Some(at) => self.timers.set(Timer::Probe(index, id), at),
            None => drop(self.timers.stop(&Timer::Probe(index, id))),
        }
    }

    /// A beacon of our own, from another link or as a loop.
    fn hear_ourselves(
        &mut self,
        now: Instant,
        index: LinkIndex,
        other: LinkIndex,
        sequence: u64,
    ) -> Result<(), Refused> {
        if other == index {
            return Err(Refused::Own);
        }
        // Only what has just been sent counts: the rest are recordings.
        let recent = self.links.get(&other).is_some_and(|link| sequence >= link.recent[0]);
        if !recent {
            return Err(Refused::Replayed);
        }
        let until = now + self.detection();
        if let Some(link) = self.links.get_mut(&index) {
            link.twins.insert(other, until);
        }
        self.judge_twins(now, index);
        Ok(())
    }
}

/// More members than a LAN has.
const MAX_PEERS: usize = 1_024;
