//! Who asks, and how long the answers take.

use std::{
    net::Ipv4Addr,
    os::fd::AsFd,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use metal_arp::{Frame, Operation, Packet};
use metal_core::view::Mac;
use metal_net::{BlockingPacketSocket, Poll, PolledPacketSocket, priority};

use super::{LOST, site::Site};
use crate::lab::plan;

/// A client of a LAN.
pub(super) struct Client {
    socket: PolledPacketSocket,
    poll: Poll,
    mac: Mac,
    addresses: Vec<Ipv4Addr>,
    /// For floods, which are sent from a second socket.
    sender: BlockingPacketSocket,
    /// To be asked for before all other threads.
    urgent: bool,
}

/// Round trips, one after the other.
pub(super) struct Trips {
    /// Sorted.
    pub(super) times: Vec<Duration>,
    /// Requests without an answer.
    pub(super) lost: usize,
    /// Whether the client itself never had to wait for a processor.
    pub(super) realtime: bool,
}

/// As many requests as can be sent, and the answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flood {
    pub(super) sent: usize,
    pub(super) answered: usize,
    /// From the first request to the last answer.
    pub(super) time: Duration,
}

/// Answers are taken from the ring this often during a flood, which wakes nobody.
const GLANCE: Duration = Duration::from_millis(1);
/// A flood is over when no answer has come for so long.
const OVER: Duration = Duration::from_millis(100);

impl Client {
    pub(super) fn new(site: &Site) -> Result<Self> {
        let (socket, mac) = (site.socket()?, site.mac()?);
        let sender = site.sender()?;
        let addresses = site.addresses.clone();
        Ok(Self { socket, poll: Poll::default(), mac, addresses, sender, urgent: false })
    }

    /// One that goes before all other threads, where that is allowed: only the responder's wait counts then.
    pub(super) fn urgent(site: &Site) -> Result<Self> {
        Ok(Self { urgent: true, ..Self::new(site)? })
    }

    /// Whether somebody answers for an address now.
    pub(super) fn is_answered(&mut self, address: Ipv4Addr) -> bool {
        self.trip(&request(self.mac, address), address).is_some()
    }

    /// How many frames come by themselves.
    pub(super) fn listen(&mut self, time: Duration) -> usize {
        let begin = Instant::now();
        let mut heard = 0;
        while let Some(left) = time.checked_sub(begin.elapsed()) {
            self.wait(left);
            heard += self.socket.receive(usize::MAX, |_| {}).unwrap_or_default();
        }
        heard
    }

    /// Asks so many times, for one address after the other.
    pub(super) fn trips(&mut self, count: usize) -> Result<Trips> {
        thread::scope(|scope| {
            // On a thread of its own, which can become an urgent one for good.
            let urgent = self.urgent;
            let client = &mut *self;
            let measured = scope.spawn(move || {
                let realtime = urgent && priority::realtime().is_ok();
                let frames: Vec<_> = client
                    .addresses
                    .iter()
                    .map(|address| (request(client.mac, *address), *address))
                    .collect();
                let mut times = Vec::with_capacity(count);
                for (frame, address) in frames.iter().cycle().take(count) {
                    times.extend(client.trip(frame, *address));
                }
                times.sort_unstable();
                Trips { lost: count - times.len(), times, realtime }
            });
            measured.join().map_err(|_| anyhow::anyhow!("the client panicked"))
        })
    }

    /// One round trip.
    fn trip(&mut self, request: &Frame, address: Ipv4Addr) -> Option<Duration> {
        // What comes late must not be taken for an answer to this one.
        while self.socket.receive(1_000, |_| {}).is_ok_and(|count| count > 0) {}
        let begin = Instant::now();
        self.socket.send(request.as_bytes()).ok()?;
        loop {
            let mut answered = false;
            let mac = self.mac;
            let received = self.socket.receive(1, |frame| answered = is_answer(frame, mac, address));
            if answered {
                return Some(begin.elapsed());
            }
            if received.is_ok_and(|count| count == 0) {
                let left = LOST.checked_sub(begin.elapsed())?;
                self.wait(left);
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        if self.poll.wait([self.socket.as_fd()], Some(time)).is_ok() && self.poll.has_failed(0) {
            // Shown once; what is not answered counts as lost.
            let _shown = self.socket.take_error();
        }
    }

    /// Asks as often as one thread can, without waiting for answers.
    pub(super) fn flood(&mut self, count: usize) -> Result<Flood> {
        let frames: Vec<_> = self.addresses.iter().map(|address| request(self.mac, *address)).collect();
        let (sender, socket) = (&self.sender, &mut self.socket);
        let mac = self.mac;
        while socket.receive(1_000, |_| {}).is_ok_and(|count| count > 0) {}
        let begin = Instant::now();
        thread::scope(|scope| {
            let sending = scope.spawn(move || {
                let sent =
                    frames.iter().cycle().take(count).filter(|frame| sender.send(frame.as_bytes()).is_ok());
                sent.count()
            });
            let (mut answered, mut last) = (0, begin);
            while !sending.is_finished() || last.elapsed() < OVER {
                let mut some = false;
                let _shown = socket.receive(usize::MAX, |frame| {
                    let is_reply = frame.get(20..22) == Some(&[0, 2]) && frame.get(..6) == Some(&mac);
                    answered += usize::from(is_reply);
                    some |= is_reply;
                });
                if some || !sending.is_finished() {
                    last = Instant::now();
                }
                thread::sleep(GLANCE);
            }
            let sent = sending.join().map_err(|_| anyhow::anyhow!("the flood panicked"))?;
            Ok(Flood { sent, answered, time: last - begin })
        })
    }
}

/// A broadcast request from the client.
pub(super) fn request(mac: Mac, target: Ipv4Addr) -> Frame {
    let packet = Packet {
        destination: [0xff; 6],
        source: mac,
        operation: Operation::Request,
        sender_mac: mac,
        sender_ip: plan::CLIENT,
        target_mac: [0; 6],
        target_ip: target,
    };
    packet.emit()
}

fn is_answer(frame: &[u8], mac: Mac, target: Ipv4Addr) -> bool {
    Packet::parse(frame).is_ok_and(|packet| {
        packet.operation == Operation::Reply && packet.sender_ip == target && packet.target_mac == mac
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_the_question_is_one() {
        let (ours, theirs) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let (target, other) = (Ipv4Addr::new(10, 42, 0, 1), Ipv4Addr::new(10, 42, 0, 2));
        let question = request(ours, target);
        let answer = metal_arp::reply(question.as_bytes(), theirs, |address| address == target).unwrap();
        assert!(is_answer(answer.as_bytes(), ours, target));
        assert!(!is_answer(answer.as_bytes(), ours, other));
        assert!(!is_answer(answer.as_bytes(), theirs, target));
        assert!(!is_answer(question.as_bytes(), ours, target));
    }
}
