//! What the kernel tells of peers that have no session: segments it drops, and connections that other programs have.
//!
//! Nothing is looked at while all peers have sessions.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use metal_net::tcp::{Drops, Holder, connections_of_others};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep_until},
};

/// Looks on behalf of peers.
#[derive(Default)]
pub(super) struct Watch {
    aim: Aim,
    drops: Option<(Instant, Drops)>,
    looking: Option<JoinHandle<Rivals>>,
    looked: Option<Instant>,
}

/// What is to be looked at.
#[derive(Default)]
pub(super) struct Aim {
    /// There may be segments with another password.
    pub(super) drops: bool,
    /// Where peers are that have just failed.
    pub(super) failed: BTreeSet<(IpAddr, u16)>,
}

/// What was seen.
pub(super) enum Seen {
    /// The kernel has dropped so many segments meanwhile.
    Drops(Drops),
    /// Who else has connections with the peers that have failed.
    Rivals(Rivals),
}

/// By peer; nobody has any with those that have none here.
pub(super) type Rivals = BTreeMap<(IpAddr, u16), Vec<Holder>>;

/// How soon something is told.
const PERIOD: Duration = Duration::from_millis(500);

impl Watch {
    /// From now on this is to be looked at; peers that have failed are added to those of before.
    pub(super) fn aim(&mut self, aim: Aim) {
        self.aim.drops = aim.drops;
        self.aim.failed.extend(aim.failed);
        if !aim.drops {
            self.drops = None;
        }
    }

    /// The next thing that is seen.
    pub(super) async fn next(&mut self) -> Seen {
        loop {
            if self.aim.drops && self.drops.is_none() {
                self.drops = Some((Instant::now(), Drops::read().unwrap_or_default()));
            }
            if self.looking.is_none() && !self.aim.failed.is_empty() {
                let peers = std::mem::take(&mut self.aim.failed);
                let due = self.looked.map_or_else(Instant::now, |looked| looked + PERIOD);
                self.looked = Some(due);
                // It reads long tables, on a thread that has no KEEPALIVEs to send.
                self.looking = Some(tokio::spawn(async move {
                    sleep_until(due).await;
                    let nobody: Rivals = peers.iter().map(|peer| (*peer, Vec::new())).collect();
                    let mut rivals =
                        spawn_blocking(|| connections_of_others(peers)).await.unwrap_or_default();
                    for (peer, none) in nobody {
                        rivals.entry(peer).or_insert(none);
                    }
                    rivals
                }));
            }
            let drops = self.drops;
            let due = async {
                match drops {
                    Some((at, _)) => sleep_until(at + PERIOD).await,
                    None => std::future::pending().await,
                }
            };
            let looked = async {
                match &mut self.looking {
                    Some(looking) => looking.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                rivals = looked => {
                    self.looking = None;
                    self.looked = Some(Instant::now());
                    return Seen::Rivals(rivals.unwrap_or_default());
                }
                () = due => {
                    let now = Drops::read().unwrap_or_default();
                    let before = self.drops.replace((Instant::now(), now));
                    let news = now.since(before.map_or(now, |(_, before)| before));
                    if news != Drops::default() {
                        return Seen::Drops(news);
                    }
                }
            }
        }
    }
}
