//! The two probes of an address: each millisecond a datagram to be echoed, and a question who has the address, an ARP
//! request or a neighbour solicitation.
//!
//! Both are needed. A node whose speaker died goes on serving every client that knows its Ethernet address,
//! so only the question shows that nobody answers; and an answered question does not mean that traffic flows.

use std::{
    io,
    net::{IpAddr, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use metal_core::view::Mac;
use metal_net::BlockingPacketSocket;

use super::{measure::Probe, plan, question};

/// The time between two probes of a kind.
const INTERVAL: Duration = Duration::from_millis(1);
/// How long answers are waited for after the last probe.
const LAST_ANSWERS: Duration = Duration::from_millis(200);
/// How often a waiting receiver looks whether it should end.
const GLANCE: Duration = Duration::from_millis(20);

/// An answer to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The number of the probe.
    pub(crate) number: u32,
    /// Who answered; the echo of a datagram does not tell.
    pub(crate) mac: Option<Mac>,
}

/// The sockets of a client, made in its network namespace.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// Connected to the echo of the address.
    pub(crate) udp: UdpSocket,
    /// On the client's link, for questions and answers.
    pub(crate) packets: BlockingPacketSocket,
    /// The Ethernet address of that link.
    pub(crate) mac: Mac,
}

/// Both probes of an address, running.
#[derive(Debug)]
pub(crate) struct Prober {
    /// What they probe.
    pub(crate) address: IpAddr,
    pub(crate) udp: Running,
    pub(crate) questions: Running,
}

/// One probe, running.
#[derive(Debug)]
pub(crate) struct Running {
    stop: Arc<AtomicBool>,
    end: Arc<AtomicBool>,
    count: Arc<AtomicU32>,
    answers: Arc<Mutex<Vec<Answer>>>,
    sender: JoinHandle<Vec<Duration>>,
    receiver: JoinHandle<()>,
}

/// All probes of a kind, and all answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    /// When each probe was sent, by its number, counted from the start of the prober.
    pub(crate) sent: Vec<Duration>,
    /// The answers in the order of their arrival.
    pub(crate) answers: Vec<Answer>,
}

impl Prober {
    /// Starts to probe `address`; times count from `origin`.
    pub(crate) fn start(origin: Instant, sockets: Sockets, address: IpAddr) -> io::Result<Self> {
        let Sockets { udp, packets, mac } = sockets;
        udp.connect((address, plan::ECHO_PORT))?;
        udp.set_read_timeout(Some(GLANCE))?;
        let (udp, packets) = (Arc::new(udp), Arc::new(packets));
        let (udp_out, packets_out) = (Arc::clone(&udp), Arc::clone(&packets));
        // Errors of single probes are what is measured: such a probe stays without an answer.
        let udp = Running::start(
            origin,
            move |number| _ = udp_out.send(&number.to_be_bytes()),
            move || {
                let mut datagram = [0; 4];
                let length = udp.recv(&mut datagram).ok()?;
                (length == 4).then(|| Answer { number: u32::from_be_bytes(datagram), mac: None })
            },
        );
        let questions = Running::start(
            origin,
            move |number| _ = packets_out.send(question::ask(number, mac, address).as_bytes()),
            move || {
                let mut frame = [0; question::LONGEST];
                let length = packets.recv_until(&mut frame, Instant::now() + GLANCE).ok()??;
                let (number, owner) = question::answer(&frame[..length], mac, address)?;
                Some(Answer { number, mac: Some(owner) })
            },
        );
        Ok(Self { address, udp, questions })
    }

    /// Ends soon; [`finish`](Self::finish) waits for it.
    pub(crate) fn stop(&self) {
        self.udp.stop.store(true, Ordering::Relaxed);
        self.questions.stop.store(true, Ordering::Relaxed);
    }

    /// Stops sending, waits for the last answers, and returns the series of datagrams and of questions.
    pub(crate) fn finish(self) -> (Series, Series) {
        self.stop();
        (self.udp.finish(), self.questions.finish())
    }
}

impl Running {
    /// Sends one probe each millisecond, of times counted from `origin`, and collects what is received; `receive` waits
    /// for a moment at most.
    pub(crate) fn start(
        origin: Instant,
        send: impl Fn(u32) + Send + 'static,
        receive: impl Fn() -> Option<Answer> + Send + 'static,
    ) -> Self {
        let (stop, end) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let answers = Arc::new(Mutex::new(Vec::with_capacity(1 << 14)));
        let (until, last, all) = (Arc::clone(&stop), Arc::clone(&end), Arc::clone(&answers));
        let receiver = thread::spawn(move || {
            while !last.load(Ordering::Relaxed) {
                if let Some(answer) = receive() {
                    all.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
                }
            }
        });
        let count = Arc::<AtomicU32>::default();
        let counter = Arc::clone(&count);
        let sender = thread::spawn(move || {
            pace(origin, &until, |number| {
                counter.store(number + 1, Ordering::Relaxed);
                send(number);
            })
        });
        Self { stop, end, count, answers, sender, receiver }
    }

    /// How many probes have been sent: the number of the next one.
    pub(crate) fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// The last `count` answers, the newest first; fewer when there are not so many.
    pub(crate) fn newest(&self, count: usize) -> Vec<Answer> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.iter().rev().take(count).copied().collect()
    }

    /// Stops sending, waits for the last answers, and returns all.
    pub(crate) fn finish(self) -> Series {
        let Self { stop, end, answers, sender, receiver, .. } = self;
        stop.store(true, Ordering::Relaxed);
        let sent = sender.join().unwrap_or_default();
        let lock = || answers.lock().unwrap_or_else(PoisonError::into_inner);
        let complete = || lock().last().is_some_and(|answer| answer.number as usize + 1 >= sent.len());
        let deadline = Instant::now() + LAST_ANSWERS;
        while !complete() && Instant::now() < deadline {
            thread::sleep(INTERVAL);
        }
        end.store(true, Ordering::Relaxed);
        let _ended = receiver.join();
        let answers = std::mem::take(&mut *lock());
        Series { sent, answers }
    }
}

/// Sends one probe an interval until told to stop. An interval that was slept over is left out: the probe
/// that follows shows how long nothing was sent.
fn pace(origin: Instant, stop: &AtomicBool, send: impl Fn(u32)) -> Vec<Duration> {
    let mut sent = Vec::with_capacity(1 << 14);
    let mut next = origin.elapsed();
    for number in 0..question::NUMBERS {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        sent.push(origin.elapsed());
        send(number);
        next = (next + INTERVAL).max(origin.elapsed());
        thread::sleep(next.saturating_sub(origin.elapsed()));
    }
    sent
}

impl Series {
    /// Each probe with whether it was answered.
    pub(crate) fn probes(&self) -> Vec<Probe> {
        let mut probes: Vec<Probe> = self.sent.iter().map(|at| Probe { at: *at, answered: false }).collect();
        for answer in &self.answers {
            if let Some(probe) = probes.get_mut(answer.number as usize) {
                probe.answered = true;
            }
        }
        probes
    }

    /// The most Ethernet addresses that answered one and the same probe.
    pub(crate) fn max_macs(&self) -> usize {
        let mut seen: Vec<(u32, Mac)> =
            self.answers.iter().filter_map(|answer| Some((answer.number, answer.mac?))).collect();
        seen.sort_unstable();
        seen.dedup();
        seen.chunk_by(|one, other| one.0 == other.0).map(<[_]>::len).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const fn answer(number: u32, last: u8) -> Answer {
        Answer { number, mac: Some([2, 0, 0, 0, 0, last]) }
    }

    #[test]
    fn answers_are_matched_by_number() {
        let sent: Vec<Duration> = (0..4).map(Duration::from_millis).collect();
        let series = Series { sent, answers: vec![answer(2, 1), answer(0, 1), answer(9, 1)] };
        let answered: Vec<bool> = series.probes().iter().map(|probe| probe.answered).collect();
        assert_eq!(answered, [true, false, true, false]);
    }

    #[test]
    fn distinct_answers_to_one_request_are_counted() {
        let macs = |answers: &[Answer]| Series { sent: Vec::new(), answers: answers.to_vec() }.max_macs();
        assert_eq!(macs(&[]), 0);
        assert_eq!(macs(&[answer(1, 1), answer(2, 2)]), 1);
        assert_eq!(macs(&[answer(1, 1), answer(1, 1)]), 1);
        assert_eq!(macs(&[answer(1, 1), answer(2, 1), answer(1, 2), answer(3, 3)]), 2);
    }

    #[test]
    fn a_series_runs_until_it_is_stopped() {
        let echo = Arc::new(Mutex::new(VecDeque::new()));
        let answers = Arc::clone(&echo);
        let running = Running::start(
            Instant::now(),
            move |number| echo.lock().unwrap().push_back(number),
            move || {
                thread::yield_now();
                answers.lock().unwrap().pop_front().map(|number| Answer { number, mac: None })
            },
        );
        let deadline = Instant::now() + Duration::from_secs(10);
        while running.newest(20).len() < 20 {
            assert!(Instant::now() < deadline, "no twenty answers in ten seconds");
            thread::yield_now();
        }
        let series = running.finish();
        // The last ones may have come too late.
        let answered = series.probes().iter().filter(|probe| probe.answered).count();
        assert!(answered >= 20, "{answered} answers to {}", series.sent.len());
        assert!(series.sent.windows(2).all(|pair| pair[1] >= pair[0]));
    }
}
