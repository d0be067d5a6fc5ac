//! The peers of this node, and what is told of them.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use metal_bgp::peer::{Phase, Stop};
use metal_bgp_io::{Event, Sessions, What};
use metal_core::{
    event::{self, Severity},
    name::PeerName,
    speaker::bgp::Standing,
};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{doors::Doors, neighbor::neighbor};
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
    /// Of a session, whether its peer is to keep the routes when this process ends.
    graceful: Option<bool>,
    told: PeerState,
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
            return;
        };
        let made = match standing {
            Standing::Session(session) => neighbor(session, self.restarted).map(|made| (&session.peer, made)),
            Standing::Waits(waiting) => Err(waiting.obstacle.to_string()),
        };
        match made {
            Ok((peer, neighbor)) => {
                let is_new = self.known.get(&key).is_none_or(|known| known.graceful.is_none());
                self.sessions.set_peer(&key, neighbor);
                if is_new {
                    self.tell(&key, name, PeerState::of(standing, "Connect", "connecting"));
                }
                if let Some(known) = self.known.get_mut(&key) {
                    known.graceful = Some(peer.graceful_restart);
                }
                self.doors.want(&key, peer);
                self.open_doors();
            }
            Err(why) => {
                self.doors.forget(&key);
                self.sessions.remove_peer(&key, Stop::Deconfigured);
                self.tell(&key, name, PeerState::of(standing, "Idle", &why));
                if let Some(known) = self.known.get_mut(&key) {
                    known.graceful = None;
                }
            }
        }
    }

    /// When doors that could not be opened are tried again.
    pub(super) async fn door_due(&self) {
        self.doors.due().await;
    }

    /// Opens the doors that are wanted and not open yet.
    pub(super) fn open_doors(&mut self) {
        for (key, why) in self.doors.open(&mut self.sessions) {
            if let Some(known) = self.known.get(&key) {
                let (name, before) = (known.name.clone(), known.told.clone());
                self.tell(&key, &name, PeerState { phase: "Idle", message: why, ..before });
            }
        }
    }

    /// What a session has to tell.
    pub(super) fn on_event(&mut self, event: &Event) {
        let Some(known) = self.known.get(&event.peer) else { return };
        let (name, before) = (known.name.clone(), known.told.clone());
        let message = event.what.to_string();
        if let What::Malformed(_) = &event.what {
            warn!("BGPPeer {name}: {message}");
            return;
        }
        let phase = event.phase.map_or(before.phase, phase);
        let state = PeerState { phase, message, ..before };
        self.tell(&event.peer, &name, state);
    }

    /// Says goodbye to everybody.
    pub(super) async fn stop(mut self) {
        for (key, known) in &self.known {
            // The routes stay with who waits for the process that comes next.
            let why =
                if known.graceful == Some(true) { Stop::ForRestart } else { Stop::Shutdown(GOODBYE.into()) };
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
        if state.is_established() || before.is_none() && state.phase == "Connect" {
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
                let known = Known { name: name.clone(), graceful: None, told: state };
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
