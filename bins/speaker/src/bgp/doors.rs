//! Where routers may open connections: a door in each VRF that has a peer which may.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU8,
    sync::Arc,
    time::Duration,
};

use metal_bgp_io::{Door, Sessions};
use metal_core::config::bgp::{ConnectionMode, Peer};
use metal_net::tcp::{Listen, ListenError, Options, Ttl};
use tokio::time::{Instant, sleep_until};

/// The device of a VRF; `None` for none.
type Device = Option<String>;

#[derive(Default)]
pub(super) struct Doors {
    /// Peers that may open connections, and where.
    wanted: BTreeMap<Arc<str>, Device>,
    open: BTreeMap<Device, Door>,
    again: Option<Instant>,
}

/// After this time the port may be free.
const PAUSE: Duration = Duration::from_secs(5);

impl Doors {
    /// A peer as it is configured.
    pub(super) fn want(&mut self, key: &Arc<str>, peer: &Peer) {
        match peer.mode {
            ConnectionMode::Dial => self.forget(key),
            ConnectionMode::Listen | ConnectionMode::Both => {
                self.wanted.insert(key.clone(), peer.vrf.clone());
            }
        }
    }

    /// The peer opens no connections any more.
    pub(super) fn forget(&mut self, key: &str) {
        self.wanted.remove(key);
    }

    /// When to try again.
    pub(super) async fn due(&self) {
        match self.again {
            Some(again) => sleep_until(again).await,
            None => std::future::pending().await,
        }
    }

    /// Opens what is missing, and shuts what is not wanted any more: somebody else may need the port. Answers with the
    /// peers that cannot come in, and why.
    pub(super) fn set(&mut self, sessions: &mut Sessions) -> Vec<(Arc<str>, String)> {
        self.again = None;
        let wanted: BTreeSet<_> = self.wanted.values().cloned().collect();
        self.open.retain(|device, door| {
            let is_wanted = wanted.contains(device);
            if !is_wanted {
                sessions.shut(door);
            }
            is_wanted
        });
        let missing = wanted.into_iter().filter(|device| !self.open.contains_key(device));
        let missing: Vec<_> = missing.collect();
        let mut shut = Vec::new();
        for device in missing {
            match open(device.as_ref()) {
                Ok(door) => {
                    sessions.listen(&door);
                    self.open.insert(device, door);
                }
                Err(error) => {
                    self.again = Some(Instant::now() + PAUSE);
                    let kept_out = self.wanted.iter().filter(|(_, wanted)| **wanted == device);
                    shut.extend(kept_out.map(|(key, _)| (key.clone(), error.to_string())));
                }
            }
        }
        shut
    }
}

/// For both families, or for IPv4 on a host that has no other.
fn open(device: Option<&String>) -> Result<Door, ListenError> {
    let any_distance = Options { ttl: Ttl::Multihop(NonZeroU8::MAX), ..Options::default() };
    let both = Listen { dual_stack: true, device: device.cloned(), options: any_distance, ..Listen::v6() };
    Door::open(&both).or_else(|error| match error {
        ListenError::InUse { .. } => Err(error),
        ListenError::Refused { .. } => {
            let (device, options) = (both.device, both.options);
            Door::open(&Listen { device, options, ..Listen::v4() }).map_err(|_| error)
        }
    })
}
