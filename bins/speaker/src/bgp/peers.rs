//! The peers of this node, and what is told of them.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::Arc,
    time::SystemTime,
};

use metal_bgp::peer::{Phase, Stop};
use metal_bgp_io::{Event, Sessions, What};
use metal_core::{
    config::bgp::ConnectionMode,
    event::{self, Severity},
    name::PeerName,
    speaker::bgp::{Session, Standing, Target},
};
use metal_net::tcp::Drops;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{
    doors::Doors,
    neighbor::neighbor,
    story::{Oddity, Story},
    watch::{Aim, Rivals, Seen},
};
use crate::report::{PeerState, Report};

pub(super) struct Peers {
    sessions: Sessions,
    known: BTreeMap<Arc<str>, Known>,
    doors: Doors,
    reports: mpsc::UnboundedSender<Report>,
    /// Another process of this node has announced before, in this boot.
    restarted: bool,
}

struct Known {
    name: PeerName,
    told: PeerState,
    /// Where there is to be a session.
    trial: Option<Trial>,
}

/// What is known of a peer with which there is to be a session.
struct Trial {
    story: Story,
    /// Where it is, if it has an address, and its port.
    target: Option<(IpAddr, u16)>,
    router_id: Ipv4Addr,
    /// The peer is to keep the routes when this process ends.
    graceful: bool,
    has_password: bool,
    /// The peer may open connections.
    listens: bool,
    /// An attempt has failed, and nobody has looked yet who else has a connection with the peer.
    failed: bool,
}

impl Trial {
    fn new(session: &Session) -> Self {
        let Session { peer, target, router_id, password, .. } = session;
        let target = match *target {
            Target::Address(address) => Some((address.to_canonical(), peer.port)),
            // Their addresses are not those of one router alone.
            Target::LinkLocal(..) | Target::Link(_) => None,
        };
        Self {
            story: Story::new(SystemTime::now(), peer.mode == ConnectionMode::Listen, password.is_some()),
            target,
            router_id: *router_id,
            graceful: peer.graceful_restart,
            has_password: password.is_some(),
            listens: peer.mode != ConnectionMode::Dial,
            failed: true,
        }
    }

    /// The peer is configured otherwise.
    fn reconsider(&mut self, other: Self) {
        let Self { target, router_id, graceful, has_password, listens, .. } = other;
        let (before, after) =
            ((self.target, self.has_password, self.listens), (target, has_password, listens));
        if before != after || self.story.oddity(Oddity::Password).is_some() {
            *self = other;
        } else {
            (self.router_id, self.graceful) = (router_id, graceful);
        }
    }
}

impl Peers {
    pub(super) fn start(
        seed: u64,
        marker: Option<PathBuf>,
        reports: mpsc::UnboundedSender<Report>,
    ) -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sessions, events) = Sessions::start(seed);
        let restarted = marker.is_some_and(|marker| has_run(&marker));
        (Self { sessions, known: BTreeMap::new(), doors: Doors::default(), reports, restarted }, events)
    }

    pub(super) const fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// A peer as it is from now on.
    pub(super) fn set(&mut self, name: &PeerName, standing: Option<&Standing>) {
        let key: Arc<str> = name.as_str().into();
        let Some(standing) = standing else {
            self.doors.forget(&key);
            self.sessions.remove_peer(&key, Stop::Deconfigured);
            if self.known.remove(&key).is_some() {
                info!("BGPPeer {name}: no peer of this node any more");
                self.report(Report::Session { peer: name.clone(), state: None });
            }
            self.set_doors();
            return;
        };
        let made = match standing {
            Standing::Session(session) => neighbor(session, self.restarted).map(|made| (&session.peer, made)),
            Standing::Waits(waiting) => Err(waiting.obstacle.to_string()),
        };
        match made {
            Ok((peer, neighbor)) => {
                let is_new = self.known.get(&key).is_none_or(|known| known.trial.is_none());
                self.sessions.set_peer(&key, neighbor);
                if let Some(trial) = standing.session().map(Trial::new) {
                    if is_new && let Some(profile) = &peer.bfd {
                        let profile = &profile.name;
                        warn!("BGPPeer {name}: there is no BFD yet, so BFDProfile {profile} has no effect");
                    }
                    if is_new {
                        let phase = if peer.mode == ConnectionMode::Listen { "Active" } else { "Connect" };
                        let state = PeerState::of(standing, phase, &trial.story.to_string());
                        self.tell(&key, name, state);
                    }
                    if let Some(known) = self.known.get_mut(&key) {
                        // What has been said stays until there is news; what was odd may be repaired.
                        match &mut known.trial {
                            Some(before) if !is_new => before.reconsider(trial),
                            trial_before => *trial_before = Some(trial),
                        }
                    }
                }
                self.doors.want(&key, peer);
            }
            Err(why) => {
                self.doors.forget(&key);
                self.sessions.remove_peer(&key, Stop::Deconfigured);
                self.tell(&key, name, PeerState::of(standing, "Idle", &why));
                if let Some(known) = self.known.get_mut(&key) {
                    known.trial = None;
                }
            }
        }
        self.set_doors();
    }

    /// When doors that could not be opened are tried again.
    pub(super) async fn door_due(&self) {
        self.doors.due().await;
    }

    /// Opens the doors that are wanted, and shuts the others.
    pub(super) fn set_doors(&mut self) {
        let mut shut: BTreeMap<_, _> = self.doors.set(&mut self.sessions).into_iter().collect();
        let listening =
            self.known.iter().filter(|(_, known)| known.trial.as_ref().is_some_and(|trial| trial.listens));
        for key in listening.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            let why = shut.remove(&key);
            self.suspect(&key, Oddity::Door, why);
        }
    }

    /// What the kernel can tell of peers that have no session.
    pub(super) fn aim(&mut self) -> Aim {
        let mut aim = Aim::default();
        for known in self.known.values_mut() {
            let Some(trial) = known.trial.as_mut().filter(|_| !known.told.is_established()) else { continue };
            aim.drops |= trial.has_password || trial.listens;
            if std::mem::take(&mut trial.failed) {
                aim.failed.extend(trial.target);
            }
        }
        aim
    }

    /// What the kernel tells.
    pub(super) fn on_seen(&mut self, seen: &Seen) {
        match seen {
            Seen::Drops(drops) => self.on_drops(*drops),
            Seen::Rivals(rivals) => self.on_rivals(rivals),
        }
    }

    /// The kernel does not say whose segments it drops: they are those of a peer that is waited for, most likely.
    fn on_drops(&mut self, drops: Drops) {
        let signed = [
            (drops.md5_wrong, "signed with another password: it has another one than the router"),
            (drops.md5_missing, "not signed: the router has no password for this node"),
        ];
        let because = |(_, why): &(u64, &'static str)| *why;
        let with_password = signed.iter().find(|(count, _)| *count > 0).map(because);
        let unexpected = (drops.md5_unexpected > 0)
            .then_some("signed, and no password is configured here: the router has one for this node");
        for (has_password, why) in [(true, with_password), (false, unexpected)] {
            let Some(why) = why else { continue };
            let suspects: Vec<(Arc<str>, PeerName)> = self
                .known
                .iter()
                .filter(|(_, known)| !known.told.is_established())
                .filter(|(_, known)| {
                    let fits = |trial: &Trial| {
                        // While the port is another program's, it is that one's peers who sign.
                        let listens = trial.listens && trial.story.oddity(Oddity::Door).is_none();
                        trial.has_password == has_password && (has_password || listens)
                    };
                    known.trial.as_ref().is_some_and(fits)
                })
                .map(|(key, known)| (key.clone(), known.name.clone()))
                .collect();
            for (key, name) in &suspects {
                let others: Vec<&str> = suspects
                    .iter()
                    .map(|(_, other)| other.as_str())
                    .filter(|other| *other != name.as_str())
                    .collect();
                let or =
                    if others.is_empty() { String::new() } else { format!(", or of {}", others.join(", ")) };
                let text = format!("the kernel drops segments of this router{or}, which are {why}");
                self.suspect(key, Oddity::Password, Some(text));
            }
        }
    }

    fn on_rivals(&mut self, rivals: &Rivals) {
        let trials = self.known.iter().filter(|(_, known)| !known.told.is_established());
        let targets = trials.filter_map(|(key, known)| Some((key.clone(), known.trial.as_ref()?.target?)));
        for (key, target) in targets.collect::<Vec<_>>() {
            let Some(holders) = rivals.get(&target) else { continue };
            let names: Vec<String> =
                holders.iter().map(|holder| format!("{holder} from {}", holder.address)).collect();
            let text = (!names.is_empty()).then(|| {
                format!(
                    "another BGP speaker of this node has a session with this router: {}. A router has one session with \
                     an address: let one of the two use another sourceAddress, or leave the router to one",
                    names.join(", ")
                )
            });
            self.suspect(&key, Oddity::Rival, text);
        }
    }

    /// Tells what is odd about a peer, or is no more.
    fn suspect(&mut self, key: &Arc<str>, oddity: Oddity, text: Option<String>) {
        let Some(known) = self.known.get_mut(key) else { return };
        let Some(trial) = known.trial.as_mut() else { return };
        if trial.story.oddity(oddity) == text.as_deref() {
            return;
        }
        let is_news = trial.story.set_oddity(oddity, text.clone());
        let (name, before, message) = (known.name.clone(), known.told.clone(), trial.story.to_string());
        self.tell(key, &name, PeerState { message, ..before });
        if is_news && let Some(text) = text {
            let message = format!("BGPPeer {name}: {text}");
            let (severity, reason) = (Severity::Warning, oddity.reason());
            self.report(Report::NodeEvent(event::Event { severity, reason, message }));
        }
    }

    /// What a session has to tell.
    pub(super) fn on_event(&mut self, event: &Event) {
        let Some(known) = self.known.get_mut(&event.peer) else { return };
        let (name, before) = (known.name.clone(), known.told.clone());
        if let What::Malformed(_) = &event.what {
            warn!("BGPPeer {name}: {}", event.what);
            return;
        }
        let Some(trial) = known.trial.as_mut() else { return };
        let phase = event.phase.map_or(before.phase, phase);
        let mut same_id = None;
        match &event.what {
            // Of another connection than that of the session.
            What::Ended(_) if phase == "Established" => return,
            What::Ended(ending) => {
                trial.failed = true;
                trial.story.ended(SystemTime::now(), ending);
            }
            What::Established { negotiated, .. } => {
                trial.story.established(event.what.to_string());
                same_id = (negotiated.peer_id == trial.router_id).then_some(trial.router_id);
            }
            What::Silent(_) | What::Malformed(_) => trial.story.note(event.what.to_string()),
        }
        let message = trial.story.to_string();
        self.tell(&event.peer, &name, PeerState { phase, message, ..before });
        let text = same_id.map(|id| {
            format!(
                "the router has the router ID of this node, {id}: give one of the two another one (routerID)"
            )
        });
        self.suspect(&event.peer, Oddity::RouterId, text);
    }

    /// Says goodbye to everybody.
    pub(super) async fn stop(mut self) {
        for (key, known) in &self.known {
            // The routes stay with who waits for the process that comes next.
            let graceful = known.trial.as_ref().is_some_and(|trial| trial.graceful);
            let why = if graceful { Stop::ForRestart } else { Stop::Shutdown(GOODBYE.into()) };
            self.sessions.remove_peer(key, why);
        }
        self.sessions.stop(Stop::Shutdown(GOODBYE.into())).await;
    }

    fn tell(&mut self, key: &Arc<str>, name: &PeerName, state: PeerState) {
        let before = self.known.get(key).map(|known| &known.told);
        if before == Some(&state) {
            return;
        }
        let was_established = before.is_some_and(PeerState::is_established);
        let message = format!("BGPPeer {name}: {}", state.message);
        let of_node = match (was_established, state.is_established()) {
            (false, true) => Some((Severity::Normal, "BGPSessionEstablished")),
            (true, false) => Some((Severity::Warning, "BGPSessionLost")),
            (_, _) => None,
        };
        if state.is_established() || before.is_none() && state.phase != "Idle" {
            info!("{message}");
        } else {
            warn!("{message}");
        }
        if let Some((severity, reason)) = of_node {
            self.report(Report::NodeEvent(event::Event { severity, reason, message }));
        }
        self.report(Report::Session { peer: name.clone(), state: Some(state.clone()) });
        match self.known.get_mut(key) {
            Some(known) => known.told = state,
            None => {
                let known = Known { name: name.clone(), told: state, trial: None };
                self.known.insert(key.clone(), known);
            }
        }
    }

    fn report(&self, report: Report) {
        // The receiver ends after this thread, so this fails only while the process is being torn down.
        let _ = self.reports.send(report);
    }
}

impl PeerState {
    fn of(standing: &Standing, phase: &'static str, message: &str) -> Self {
        let (router, port, vrf) = match standing {
            Standing::Session(session) => {
                let peer = &session.peer;
                (peer.router.to_string(), peer.port, &peer.vrf)
            }
            Standing::Waits(waiting) => (waiting.router.clone(), waiting.port, &waiting.vrf),
        };
        Self { router, port, vrf: vrf.clone(), phase, message: message.to_owned() }
    }
}

/// What peers read when this process ends.
const GOODBYE: &str = "the speaker of this node ends";

/// The state of RFC 4271, which tools know.
const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Stopped => "Idle",
        Phase::Waiting { .. } | Phase::Listening => "Active",
        Phase::Connecting => "Connect",
        Phase::OpenSent => "OpenSent",
        Phase::OpenConfirm => "OpenConfirm",
        Phase::Established => "Established",
    }
}

/// Whether the marker is there from this boot. Leaves one.
fn has_run(marker: &std::path::Path) -> bool {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let before = fs::read_to_string(marker).is_ok_and(|before| before == boot && !boot.is_empty());
    if !before && let Err(error) = fs::write(marker, &boot) {
        warn!(
            "cannot write {}: {error}; after a restart, peers take this process for a new one",
            marker.display()
        );
    }
    before
}
