//! Who asks, and how long the answers take.

use std::{
    net::Ipv4Addr,
    os::fd::AsFd,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
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
    /// It goes before all other threads, where that is allowed.
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

/// How long a thread that waits for an answer may take to fall asleep.
const ASLEEP: Duration = Duration::from_micros(50);
/// Answers are taken from the ring this often during a flood, which wakes nobody.
const GLANCE: Duration = Duration::from_millis(1);
/// A flood is over when no answer has come for so long.
const OVER: Duration = Duration::from_millis(100);

impl Trips {
    fn new(count: usize, mut times: Vec<Duration>, realtime: bool) -> Self {
        times.sort_unstable();
        Self { lost: count - times.len(), times, realtime }
    }
}

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

    /// Asks so many times, for one address after the other, and looks for the answers itself. On a LAN inside of one
    /// machine the kernel has answered before the request is sent, as it were: nobody sleeps meanwhile.
    pub(super) fn trips(&mut self, count: usize) -> Trips {
        let frames = self.requests();
        let times =
            frames.iter().cycle().take(count).filter_map(|(frame, address)| self.trip(frame, *address));
        Trips::new(count, times.collect(), false)
    }

    /// The same as a client on a real LAN has it, which is asleep when the answer comes.
    pub(super) fn waits(&mut self, count: usize) -> Result<Trips> {
        let frames = self.requests();
        let (sender, mac, urgent) = (&self.sender, self.mac, self.urgent);
        let (socket, poll) = (&mut self.socket, &mut self.poll);
        let over = AtomicBool::new(false);
        let (answers, answered) = mpsc::channel();
        thread::scope(|scope| {
            let over = &over;
            scope.spawn(move || {
                let _told_by_the_other = urgent && priority::realtime().is_ok();
                while !over.load(Ordering::Relaxed) {
                    let waited = poll.wait([socket.as_fd()], Some(OVER));
                    let now = Instant::now();
                    if waited.is_ok() && poll.has_failed(0) {
                        let _shown = socket.take_error();
                    }
                    let _shown = socket.receive(1_000, |frame| {
                        if let Some(address) = answer(frame, mac) {
                            // Nobody listens any more when the last one was late.
                            let _late = answers.send((address, now));
                        }
                    });
                }
            });
            let asking = scope.spawn(move || {
                let realtime = urgent && priority::realtime().is_ok();
                let mut times = Vec::with_capacity(count);
                for (frame, address) in frames.iter().cycle().take(count) {
                    // The other thread falls asleep; what is late is no answer to this one.
                    thread::sleep(ASLEEP);
                    while answered.try_recv().is_ok() {}
                    let begin = Instant::now();
                    if sender.send(frame.as_bytes()).is_err() {
                        continue;
                    }
                    while let Some(left) = LOST.checked_sub(begin.elapsed()) {
                        match answered.recv_timeout(left) {
                            Ok((answered, at)) if answered == *address => {
                                times.push(at.saturating_duration_since(begin));
                                break;
                            }
                            Ok(_) => {}
                            Err(_) => break,
                        }
                    }
                }
                Trips::new(count, times, realtime)
            });
            let trips = asking.join().map_err(|_| anyhow::anyhow!("the client panicked"));
            over.store(true, Ordering::Relaxed);
            trips
        })
    }

    fn requests(&self) -> Vec<(Frame, Ipv4Addr)> {
        self.addresses.iter().map(|address| (request(self.mac, *address), *address)).collect()
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
            let received = self.socket.receive(1, |frame| answered = answer(frame, mac) == Some(address));
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

/// The address that a frame answers for, if it is an answer to the client.
fn answer(frame: &[u8], mac: Mac) -> Option<Ipv4Addr> {
    let packet = Packet::parse(frame).ok()?;
    (packet.operation == Operation::Reply && packet.target_mac == mac).then_some(packet.sender_ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_the_question_is_one() {
        let (ours, theirs) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let target = Ipv4Addr::new(10, 42, 0, 1);
        let question = request(ours, target);
        let reply = metal_arp::reply(question.as_bytes(), theirs, |address| address == target).unwrap();
        assert_eq!(answer(reply.as_bytes(), ours), Some(target));
        assert_eq!(answer(reply.as_bytes(), theirs), None);
        assert_eq!(answer(question.as_bytes(), ours), None);
    }
}
