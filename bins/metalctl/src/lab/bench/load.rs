//! A machine that has other things to do: both processors busy, and a LAN on which others are asked for.

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use metal_net::{BlockingPacketSocket, priority};

use super::{
    client::{Trips, request},
    site::{FOREIGN, Site},
};

/// Requests a second for addresses that are nobody's.
const NOISE: usize = 10_000;
/// How many such addresses there are.
const FOREIGNERS: u32 = 1_000;
/// How often a part of them is sent.
const BEAT: Duration = Duration::from_millis(1);

/// What was measured meanwhile.
pub(super) struct Loaded {
    pub(super) trips: Trips,
    pub(super) realtime: bool,
    /// Requests for others that were really sent, a second.
    pub(super) noise: f64,
}

/// Measures under load.
pub(super) fn with(site: &Site, measure: impl FnOnce(&Site) -> Result<Trips>) -> Result<Loaded> {
    let (socket, mac) = (site.sender()?, site.mac()?);
    let frames: Vec<_> =
        (0..FOREIGNERS).map(|n| request(mac, Ipv4Addr::from_bits(FOREIGN.to_bits() + n))).collect();
    let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let processors = thread::available_parallelism()?.get();
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..processors {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        scope.spawn(|| {
            // Else the other threads would keep it from being noise. Where that is not allowed the number tells.
            let _normal = priority::realtime();
            let mut frames = frames.iter().cycle();
            while !stop.load(Ordering::Relaxed) {
                let due =
                    usize::try_from(begin.elapsed().as_micros()).unwrap_or_default() * NOISE / 1_000_000;
                let late = due.saturating_sub(sent.load(Ordering::Relaxed));
                let done = frames.by_ref().take(late).filter(|frame| send(&socket, frame.as_bytes())).count();
                sent.fetch_add(done, Ordering::Relaxed);
                thread::sleep(BEAT);
            }
        });
        let trips = measure(site);
        let noise = sent.load(Ordering::Relaxed);
        let time = begin.elapsed();
        stop.store(true, Ordering::Relaxed);
        let trips = trips?;
        #[expect(clippy::cast_precision_loss, reason = "a rate of some thousands")]
        let noise = noise as f64 / time.as_secs_f64();
        Ok(Loaded { realtime: trips.realtime, trips, noise })
    })
}

fn send(socket: &BlockingPacketSocket, frame: &[u8]) -> bool {
    socket.send(frame).is_ok()
}
