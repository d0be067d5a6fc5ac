//! What the bench found out, as one JSON document.

use std::time::Duration;

use serde::Serialize;

use super::{
    client::{Flood, Trips},
    load::Loaded,
    site::Responder,
};
use crate::lab::measure;

/// The whole document.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// What was measured.
    bench: &'static str,
    /// How often each responder had its turn.
    pub(super) rounds: u32,
    /// Requests of a turn, sent one after the other.
    requests: u32,
    /// How many addresses the larger ones of the speakers had.
    addresses: u32,
    /// Under load the client went before all other threads: only the responder's wait was counted.
    pub(super) realtime_client: bool,
    /// Medians over the rounds.
    pub(super) responders: Vec<Measured>,
    /// What could not be measured here.
    pub(super) skipped: Vec<Skipped>,
    /// What is to be reached.
    pub(super) goals: Vec<Goal>,
}

/// A responder with so many addresses.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Measured {
    pub(super) responder: &'static str,
    pub(super) addresses: usize,
    /// Round trips for a client that looks for the answer itself: one inside of this machine need not sleep.
    pub(super) inline_p50_us: f64,
    /// Round trips for a client that sleeps until the answer comes, as one on a real LAN does.
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// Answers a second, and their share of the requests, when these come as fast as one thread can send them.
    pub(super) flood_answers_per_second: f64,
    pub(super) flood_answered: f64,
    /// Round trips with every processor busy and requests for others, so many a second.
    pub(super) loaded_p50_us: f64,
    pub(super) loaded_p99_us: f64,
    pub(super) noise_per_second: f64,
    /// The share of the processors' time that was taken from this machine, if it is a virtual one.
    pub(super) stolen: f64,
    /// Of all requests but those of floods, how many had no answer.
    pub(super) lost: usize,
}

/// A responder that was not measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Skipped {
    pub(super) responder: &'static str,
    pub(super) reason: String,
}

/// Something to be reached, and whether it was.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Goal {
    pub(super) responder: &'static str,
    pub(super) addresses: usize,
    /// Which number, in which unit: that of a [`Measured`], or `x kernel`.
    pub(super) what: &'static str,
    pub(super) value: f64,
    pub(super) at_least: Option<f64>,
    pub(super) at_most: Option<f64>,
    pub(super) reached: bool,
}

/// The numbers of one turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    inline: f64,
    quiet: [f64; 2],
    loaded: [f64; 2],
    flood: [f64; 2],
    noise: f64,
    pub(super) stolen: f64,
    lost: usize,
}

impl Round {
    pub(super) fn new(inline: &Trips, quiet: &Trips, flood: Flood, loaded: &Loaded, stolen: f64) -> Self {
        let (answered, sent) = (number(flood.answered), number(flood.sent.max(1)));
        Self {
            inline: percentile(&inline.times, 50),
            quiet: [50, 99].map(|percent| percentile(&quiet.times, percent)),
            loaded: [50, 99].map(|percent| percentile(&loaded.trips.times, percent)),
            flood: [answered / flood.time.as_secs_f64().max(f64::EPSILON), answered / sent],
            noise: loaded.noise,
            stolen,
            lost: inline.lost + quiet.lost + loaded.trips.lost,
        }
    }
}

impl Measured {
    /// The medians of these rounds.
    pub(super) fn new(responder: &'static str, addresses: usize, rounds: &[Round]) -> Self {
        let of = |number: fn(&Round) -> f64| median(rounds.iter().map(number).collect());
        Self {
            responder,
            addresses,
            inline_p50_us: of(|round| round.inline),
            p50_us: of(|round| round.quiet[0]),
            p99_us: of(|round| round.quiet[1]),
            flood_answers_per_second: of(|round| round.flood[0]).round(),
            flood_answered: of(|round| round.flood[1]),
            loaded_p50_us: of(|round| round.loaded[0]),
            loaded_p99_us: of(|round| round.loaded[1]),
            noise_per_second: of(|round| round.noise).round(),
            stolen: (of(|round| round.stolen) * 1e4).round() / 1e4,
            lost: rounds.iter().map(|round| round.lost).sum(),
        }
    }
}

impl Report {
    pub(super) const fn new(rounds: u32, requests: u32, addresses: u32) -> Self {
        Self {
            bench: "arp",
            rounds,
            requests,
            addresses,
            realtime_client: false,
            responders: Vec::new(),
            skipped: Vec::new(),
            goals: Vec::new(),
        }
    }

    /// Holds the results against the goals.
    pub(super) fn judge(&mut self) {
        let Some(kernel) = self.of(Responder::Kernel).next().cloned() else { return };
        let goals = |measured: &Measured, limits: &[Limit]| -> Vec<Goal> {
            limits.iter().map(|limit| limit.hold(measured, &kernel)).collect()
        };
        let packet_socket = self.of(Responder::PacketSocket).flat_map(|one| goals(one, &PACKET_SOCKET));
        let fast_path = self.of(Responder::FastPath).flat_map(|one| goals(one, &FAST_PATH));
        self.goals = packet_socket.chain(fast_path).collect();
    }

    fn of(&self, responder: Responder) -> impl Iterator<Item = &Measured> {
        self.responders.iter().filter(move |measured| measured.responder == responder.name())
    }

    /// Whether everything was measured, and as it should be.
    pub(super) fn is_success(&self) -> bool {
        self.skipped.is_empty() && !self.goals.is_empty() && self.goals.iter().all(|goal| goal.reached)
    }
}

/// A goal for any responder of a kind.
struct Limit {
    what: &'static str,
    at_least: Option<f64>,
    at_most: Option<f64>,
    /// From the responder's numbers and the kernel's.
    value: fn(&Measured, &Measured) -> f64,
}

const fn at_most(what: &'static str, limit: f64, value: fn(&Measured, &Measured) -> f64) -> Limit {
    Limit { what, at_least: None, at_most: Some(limit), value }
}

const fn at_least(what: &'static str, limit: f64, value: fn(&Measured, &Measured) -> f64) -> Limit {
    Limit { what, at_least: Some(limit), at_most: None, value }
}

const P50: &str = "p50, x kernel";
const FLOOD: &str = "answers a second in a flood, x kernel";
const ANSWERED: &str = "share answered in a flood";

const PACKET_SOCKET: [Limit; 4] = [
    at_most(P50, 2.0, |one, kernel| one.p50_us / kernel.p50_us),
    at_least(FLOOD, 0.9, |one, kernel| one.flood_answers_per_second / kernel.flood_answers_per_second),
    at_least(ANSWERED, 0.99, |one, _| one.flood_answered),
    at_most("p99 under load, us", 2_000.0, |one, _| one.loaded_p99_us),
];

const FAST_PATH: [Limit; 4] = [
    at_most(P50, 1.05, |one, kernel| one.p50_us / kernel.p50_us),
    at_least(FLOOD, 0.95, |one, kernel| one.flood_answers_per_second / kernel.flood_answers_per_second),
    at_least(ANSWERED, 1.0, |one, _| one.flood_answered),
    at_most("p99 under load, x kernel", 2.0, |one, kernel| one.loaded_p99_us / kernel.loaded_p99_us),
];

impl Limit {
    fn hold(&self, measured: &Measured, kernel: &Measured) -> Goal {
        let Self { what, at_least, at_most, value } = *self;
        let value = value(measured, kernel);
        // What cannot be computed, because nothing was answered, is not reached.
        let reached = at_least.is_none_or(|least| value >= least) && at_most.is_none_or(|most| value <= most);
        let (responder, addresses) = (measured.responder, measured.addresses);
        Goal { responder, addresses, what, value, at_least, at_most, reached: reached && value.is_finite() }
    }
}

/// In microseconds; infinite when nothing was answered.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    if sorted.is_empty() {
        return f64::INFINITY;
    }
    (measure::percentile(sorted, percent).as_secs_f64() * 1e8).round() / 100.0
}

/// The middle one; of an even number the lower one of the two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::INFINITY)
}

#[expect(clippy::cast_precision_loss, reason = "no flood has 2^52 frames")]
const fn number(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const fn us(microseconds: u64) -> Duration {
        Duration::from_micros(microseconds)
    }

    /// A responder whose round trips take `time` microseconds, ten times as long under load.
    fn measured(responder: Responder, addresses: usize, time: u64, answered: usize) -> Measured {
        let trips = |time| Trips { times: vec![us(time); 10], lost: 1, realtime: true };
        let flood = Flood { sent: 1_000, answered, time: Duration::from_millis(10) };
        let loaded = Loaded { trips: trips(time * 10), realtime: true, noise: 9_999.6 };
        Measured::new(
            responder.name(),
            addresses,
            &[Round::new(&trips(time / 2), &trips(time), flood, &loaded, 0.05); 3],
        )
    }

    pub(in super::super) fn example() -> Report {
        let mut report = Report::new(3, 10, 10_000);
        report.realtime_client = true;
        report.responders = vec![
            measured(Responder::Kernel, 1, 20, 1_000),
            measured(Responder::PacketSocket, 1, 38, 995),
            measured(Responder::FastPath, 10_000, 22, 1_000),
        ];
        report.judge();
        report
    }

    #[test]
    fn the_document_is_stable() {
        let mut report = example();
        report.responders.truncate(1);
        report.goals.truncate(1);
        report.skipped.push(Skipped { responder: "fast path", reason: "no".into() });
        let document = serde_json::to_string(&report).unwrap();
        assert_eq!(
            document,
            concat!(
                r#"{"bench":"arp","rounds":3,"requests":10,"addresses":10000,"realtime_client":true,"responders":["#,
                r#"{"responder":"kernel","addresses":1,"inline_p50_us":10.0,"p50_us":20.0,"p99_us":20.0,"#,
                r#""flood_answers_per_second":100000.0,"flood_answered":1.0,"loaded_p50_us":200.0,"#,
                r#""loaded_p99_us":200.0,"noise_per_second":10000.0,"stolen":0.05,"lost":9}],"#,
                r#""skipped":[{"responder":"fast path","reason":"no"}],"#,
                r#""goals":[{"responder":"packet socket","addresses":1,"what":"p50, x kernel","value":1.9,"#,
                r#""at_least":null,"at_most":2.0,"reached":true}]}"#
            )
        );
    }

    #[test]
    fn goals_are_those_of_the_kind() {
        let report = example();
        let missed: Vec<_> = report.goals.iter().filter(|goal| !goal.reached).collect();
        assert_eq!(report.goals.len(), 8);
        assert_eq!(missed.len(), 1, "{missed:?}");
        assert_eq!((missed[0].responder, missed[0].what), ("fast path", P50));
        assert!((missed[0].value - 1.1).abs() < 1e-9);
        assert!(!report.is_success());
    }

    #[test]
    fn what_was_not_measured_is_no_success() {
        let mut report = example();
        report.responders.pop();
        report.judge();
        assert!(report.is_success());
        report.skipped.push(Skipped { responder: "fast path", reason: "no".into() });
        assert!(!report.is_success());
        assert!(!Report::new(1, 1, 1).is_success());
        let silent = measured(Responder::PacketSocket, 1, 38, 0);
        let mute = Measured { p50_us: f64::INFINITY, ..silent };
        report.responders.push(mute);
        report.judge();
        assert!(report.goals.iter().filter(|goal| !goal.reached).count() >= 3);
    }

    #[test]
    fn medians_are_values_that_occurred() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.0).abs() < f64::EPSILON);
        assert!(median(Vec::new()).is_infinite());
    }
}
