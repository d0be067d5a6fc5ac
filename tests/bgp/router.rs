//! Real routers, each with its own words for the same things.

mod bird;
mod exabgp;
mod frr;
mod gobgp;

use std::{fmt, fs, path::PathBuf, thread};

use metal_net::tcp::Drops;
use metal_tests::{
    process::{Process, run, tail},
    wait::{ensure, wait_for},
};

use crate::lab::{DEADLINE, Lab, Over, ROUTER_AS, SPEAKER_AS};

/// Which router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Frr,
    Bird,
    Gobgp,
    Exabgp,
}

/// How it is configured.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The AS that the router believes the speaker to be in.
    pub(crate) speaker_as: u32,
    pub(crate) router_as: u32,
    pub(crate) password: Option<&'static str>,
    /// The routes that it takes before it ends the session.
    pub(crate) limit: Option<u32>,
    pub(crate) extended_next_hop: bool,
    /// It opens the connection, instead of waiting for the speaker's.
    pub(crate) dials: bool,
    pub(crate) reach: Reach,
}

/// How far away the speaker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Direct,
    /// Beyond one other router.
    Multihop,
    /// On this link, which each packet has to prove.
    Gtsm,
    /// Whoever is at the other end of eth0.
    Unnumbered,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            speaker_as: SPEAKER_AS,
            router_as: ROUTER_AS,
            password: None,
            limit: None,
            extended_next_hop: false,
            dials: false,
            reach: Reach::Direct,
        }
    }
}

/// What differs from router to router. What cannot be asked or done is an error.
trait Dialect: Sync {
    fn name(&self) -> &'static str;
    /// What it calls itself, with its version.
    fn version(&self) -> Result<String, String>;
    fn config(&self, here: &str, wanted: &Wanted) -> String;
    /// What to start, each with the name of its log.
    fn programs(&self, here: &str) -> Vec<(&'static str, String)>;
    fn is_up(&self, place: &Place) -> Result<(), String>;
    /// All that it says of a prefix.
    fn route(&self, place: &Place, prefix: &str) -> Result<String, String>;
    /// The number of routes that it has of a family.
    fn count(&self, place: &Place, ipv6: bool) -> Result<usize, String>;
    /// All that it says of the session with the speaker.
    fn session(&self, place: &Place, over: Over) -> Result<String, String>;
    /// Its word for the state of the session.
    fn state(&self, place: &Place, over: Over) -> Result<String, String>;
    fn is_established(&self, state: &str) -> bool {
        state.eq_ignore_ascii_case("established")
    }
    /// Ends the session for good, with this text.
    fn shut_down(&self, place: &Place, why: &str) -> Result<(), String>;
    /// Asks the speaker for all IPv4 routes again.
    fn ask_again(&self, place: &Place) -> Result<(), String>;
    /// What it has received: UPDATEs or routes, and messages that say where a refresh begins and ends.
    fn received(&self, place: &Place) -> Result<(u64, u64), String>;
}

/// Where a router runs.
struct Place {
    net: String,
    directory: PathBuf,
    /// All that its programs have printed.
    logs: Vec<PathBuf>,
}

impl Place {
    fn new(lab: &Lab) -> Self {
        let net = format!("--net={}", lab.router.path().display());
        let directory = lab.directory().join("router");
        fs::create_dir_all(&directory).expect("a directory");
        Self { net, directory, logs: Vec::new() }
    }

    fn here(&self) -> &str {
        self.directory.to_str().expect("letters")
    }

    /// Runs a program beside the router.
    fn run(&self, words: &[&str]) -> Result<String, String> {
        run("nsenter", &[&[self.net.as_str()], words].concat())
    }

    fn log(&self) -> String {
        self.logs
            .iter()
            .filter_map(|log| fs::read(log).ok())
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .collect()
    }
}

/// A router that runs, and waits for the speaker on both of its addresses.
pub(crate) struct Router {
    words: &'static dyn Dialect,
    place: Place,
    processes: Vec<Process>,
}

impl Router {
    pub(crate) fn start(lab: &Lab, kind: Kind, wanted: &Wanted) -> Self {
        let (words, mut place) = (kind.dialect(), Place::new(lab));
        if kind == Kind::Frr {
            // Its daemons give up their rights, and make their sockets afterwards.
            run("chown", &["frr:frr", place.here()]).unwrap_or_else(|error| panic!("{error}"));
        }
        fs::write(place.directory.join("router.conf"), words.config(place.here(), wanted)).expect("written");
        let mut processes = Vec::new();
        for (name, command) in words.programs(place.here()) {
            let words: Vec<&str> = ["nsenter", &place.net].into_iter().chain(command.split(' ')).collect();
            processes.push(Process::start(&place.directory, name, None, &words));
            place.logs.push(place.directory.join(format!("{name}.log")));
        }
        wait_for("the router to answer", DEADLINE, || {
            processes.iter_mut().try_for_each(Process::check)?;
            words.is_up(&place).map_err(|error| format!("{error}; {}", place.log()))
        });
        Self { words, place, processes }
    }

    /// The route as the router shows it, as soon as that contains all of these.
    #[track_caller]
    pub(crate) fn await_route(&self, prefix: &str, parts: &[&str]) -> String {
        wait_for(&format!("{prefix} with {parts:?}"), DEADLINE, || {
            let said = self.words.route(&self.place, prefix)?;
            ensure(parts.iter().all(|part| said.contains(part)), || said.clone()).map(|()| said)
        })
    }

    /// Waits until the router has so many routes of a family.
    #[track_caller]
    pub(crate) fn await_count(&self, ipv6: bool, count: usize) {
        wait_for(&format!("{count} routes"), DEADLINE, || {
            let found = self.words.count(&self.place, ipv6)?;
            ensure(found == count, || format!("{found} routes"))
        });
    }

    /// The number of IPv4 routes that it has now.
    pub(crate) fn count(&self) -> Result<usize, String> {
        self.words.count(&self.place, false)
    }

    /// Ends the session with the speaker for good, with this text.
    pub(crate) fn shut_down(&self, why: &str) {
        self.words.shut_down(&self.place, why).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Asks the speaker for all IPv4 routes again.
    pub(crate) fn ask_again(&self) {
        self.words.ask_again(&self.place).unwrap_or_else(|error| panic!("{error}"));
    }

    /// What it has received: UPDATEs or routes, and messages that say where a refresh begins and ends.
    pub(crate) fn received(&self) -> Result<(u64, u64), String> {
        self.words.received(&self.place)
    }

    /// Its word for the state of the session, once there is a session or once there is none.
    #[track_caller]
    pub(crate) fn await_state(&self, established: bool) -> String {
        wait_for(&format!("a state other than established: {}", !established), DEADLINE, || {
            let state = self.words.state(&self.place, Over::V4)?;
            ensure(self.words.is_established(&state) == established, || state.clone()).map(|()| state)
        })
    }

    /// Waits until the router shows the text with which the speaker has ended the session.
    #[track_caller]
    pub(crate) fn await_farewell(&self, text: &str) {
        wait_for(&format!("the farewell {text:?}"), DEADLINE, || {
            let shown = self.words.session(&self.place, Over::V4)?;
            ensure(shown.contains(text), || shown.clone())
        });
    }

    /// Waits until the kernel below the router has dropped something for such a reason.
    #[track_caller]
    pub(crate) fn await_drop(&self, lab: &Lab, reason: fn(Drops) -> u64) {
        wait_for("a segment that is dropped", DEADLINE, || {
            let drops = lab.router.within(Drops::read).expect("a thread").expect("counters");
            ensure(reason(drops) > 0, || format!("{drops:?}"))
        });
    }

    /// Stops it: its sockets stay open, and nobody reads them.
    pub(crate) fn freeze(&mut self) {
        self.processes.iter_mut().for_each(|process| process.freeze(true));
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if thread::panicking() {
            let files = self.place.logs.iter().cloned().chain([self.place.directory.join("heard")]);
            for file in files.filter(|file| file.exists()) {
                eprintln!("{}:\n{}", file.display(), tail(&file, 40));
            }
        }
    }
}

impl Kind {
    /// Whether it tells its kernel of routes.
    pub(crate) fn forwards(self) -> bool {
        matches!(self, Self::Frr | Self::Bird)
    }

    pub(crate) const ALL: [Self; 4] = [Self::Frr, Self::Bird, Self::Gobgp, Self::Exabgp];

    fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::Frr => &frr::Frr,
            Self::Bird => &bird::Bird,
            Self::Gobgp => &gobgp::Gobgp,
            Self::Exabgp => &exabgp::Exabgp,
        }
    }

    pub(crate) fn version(self) -> String {
        self.dialect().version().unwrap_or_else(|error| panic!("{error}"))
    }

    /// What the router says of a configuration that it does not take.
    pub(crate) fn refusal(self, lab: &Lab, wanted: &Wanted) -> String {
        assert_eq!(self, Self::Exabgp, "the others take all that is asked of them here");
        let place = Place::new(lab);
        fs::write(place.directory.join("router.conf"), self.dialect().config(place.here(), wanted))
            .expect("written");
        exabgp::refusal(&place)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.dialect().name())
    }
}

/// A number that a router has printed.
fn number<T: std::str::FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|error| format!("{text:?}: {error}"))
}

fn json(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))
}

/// What stands behind a word, up to the end of the line.
fn after<'a>(text: &'a str, word: &str) -> Result<&'a str, String> {
    let rest = text.split_once(word).ok_or_else(|| format!("no {word:?} in {text}"))?.1;
    Ok(rest.lines().next().unwrap_or_default().trim())
}
