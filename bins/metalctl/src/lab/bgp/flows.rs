//! Many flows from the client at once: the router sends each to a node of its choice, so that some go through whichever
//! node fails.

use std::{
    net::{IpAddr, Ipv4Addr, UdpSocket},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::lab::{
    lan::Lan,
    measure::{self, Probe, Tally},
    plan,
    probe::{Answer, Running},
};

/// How many there are. One datagram is sent each millisecond, by one after the other.
pub(super) const FLOWS: u32 = 32;
/// How long the receiver sleeps when nothing is there.
const GLANCE: Duration = Duration::from_micros(500);

/// All of them, running.
#[derive(Debug)]
pub(super) struct Flows(Running);

impl Flows {
    /// Starts to probe the echo of `address`; times count from `origin`.
    pub(super) fn start(origin: Instant, lan: &Lan, address: IpAddr) -> Result<Self> {
        let open = || {
            (0..FLOWS)
                .map(|_| {
                    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
                    socket.connect((address, plan::ECHO_PORT))?;
                    socket.set_nonblocking(true)?;
                    Ok(socket)
                })
                .collect::<std::io::Result<Vec<_>>>()
        };
        let sockets = Arc::new(lan.client.namespace.within(open)??);
        let out = Arc::clone(&sockets);
        // Errors of single probes are what is measured: such a probe stays without an answer.
        let send = move |number: u32| {
            let socket = out.iter().cycle().nth(number as usize % out.len());
            _ = socket.map(|socket| socket.send(&number.to_be_bytes()));
        };
        let receive = move || {
            let mut datagram = [0; 4];
            for socket in sockets.iter() {
                if let Ok(4) = socket.recv(&mut datagram) {
                    return Some(Answer { number: u32::from_be_bytes(datagram), mac: None });
                }
            }
            thread::sleep(GLANCE);
            None
        };
        Ok(Self(Running::start(origin, send, receive)))
    }

    /// How many datagrams have been sent.
    pub(super) fn sent(&self) -> u32 {
        self.0.count()
    }

    /// How many flows have been answered that were asked since `number` had been sent.
    pub(super) fn answered_since(&self, number: u32) -> usize {
        let newest = self.0.newest(8 * FLOWS as usize);
        let mut flows: Vec<u32> = newest
            .iter()
            .filter(|answer| answer.number >= number)
            .map(|answer| answer.number % FLOWS)
            .collect();
        flows.sort_unstable();
        flows.dedup();
        flows.len()
    }

    /// Ends them. What came of them since `failure`: all that was sent and lost, the longest gap of a single flow, and how
    /// many flows have lost something.
    pub(super) fn finish(self, failure: Duration) -> (Tally, usize) {
        sum(&self.0.finish().probes(), failure)
    }
}

fn sum(probes: &[Probe], failure: Duration) -> (Tally, usize) {
    let flow = |flow: u32| {
        let own: Vec<Probe> = probes.iter().skip(flow as usize).step_by(FLOWS as usize).copied().collect();
        measure::tally(&own, failure)
    };
    let tallies: Vec<Tally> = (0..FLOWS).map(flow).collect();
    let sum = Tally {
        sent: tallies.iter().map(|tally| tally.sent).sum(),
        lost: tallies.iter().map(|tally| tally.lost).sum(),
        longest_gap: tallies.iter().map(|tally| tally.longest_gap).max().unwrap_or_default(),
    };
    (sum, tallies.iter().filter(|tally| tally.lost > 0).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flow_has_its_own_gap() {
        // Flow 3 is not answered from 64 ms until 128 ms.
        let lost = |number: u32| number % FLOWS == 3 && (64..128).contains(&number);
        let probes: Vec<Probe> = (0..320)
            .map(|number| Probe { at: Duration::from_millis(number.into()), answered: !lost(number) })
            .collect();
        let (tally, flows) = sum(&probes, Duration::from_millis(60));
        assert_eq!((tally.lost, flows), (2, 1));
        assert_eq!(tally.longest_gap, Duration::from_millis(96));
    }
}
