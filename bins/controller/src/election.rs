//! Joins the machine that elects a leader to the Lease. No decisions.

use anyhow::{Context, Result};
use metal_core::{
    Machine,
    lease::{Elector, Input, Output},
};
use metal_daemon::Readiness;
use metal_k8s::{Fence, LeaseClient, LeaseError};
use metal_net::clock::boottime;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tracing::{info, warn};

/// Where this replica stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// The Lease has not been read yet.
    Unknown,
    /// Another replica leads.
    Standby,
    /// It leads, as long as the fence is open.
    Leading,
}

/// The election that this replica takes part in.
pub(crate) enum Election {
    /// There is nobody else.
    Unopposed,
    /// By the Lease.
    Lease { fence: Fence, stand: watch::Receiver<Stand>, stop: oneshot::Sender<()>, ended: JoinHandle<()> },
}

impl Election {
    /// No election: this replica leads.
    pub(crate) const fn unopposed() -> Self {
        Self::Unopposed
    }

    /// Takes part from now on, until the process ends.
    pub(crate) fn start(lease: LeaseClient) -> Result<Self> {
        let fence = Fence::new(boottime);
        let (said, stand) = watch::channel(Stand::Unknown);
        let (stop, stopped) = oneshot::channel();
        let identity = identity()?;
        info!("standing for election as {identity}");
        let candidate =
            Candidate { elector: Elector::new(&identity), identity, fence: fence.clone(), stand: said };
        let ended = tokio::spawn(candidate.run(lease, stopped));
        Ok(Self::Lease { fence, stand, stop, ended })
    }

    /// What writes have to pass.
    pub(crate) const fn fence(&self) -> Option<&Fence> {
        match self {
            Self::Unopposed => None,
            Self::Lease { fence, .. } => Some(fence),
        }
    }

    /// Waits until this replica leads. A replica that could take over at any time is ready.
    pub(crate) async fn elected(&mut self, readiness: &Readiness) {
        let Self::Lease { stand, .. } = self else { return };
        loop {
            let now = stand.borrow_and_update().clone();
            match now {
                Stand::Leading => return,
                Stand::Standby => readiness.set(None),
                Stand::Unknown => {}
            }
            if stand.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until this replica does not lead any more.
    pub(crate) async fn lost(&mut self) {
        match self {
            Self::Unopposed => std::future::pending().await,
            // The task ends with this value only.
            Self::Lease { stand, .. } => drop(stand.wait_for(|stand| *stand != Stand::Leading).await),
        }
    }

    /// Gives the Lease back, so that another replica need not wait.
    pub(crate) async fn resign(self) {
        if let Self::Lease { stop, ended, .. } = self {
            // It has ended already when nobody receives.
            let _ = stop.send(());
            let _ = ended.await;
        }
    }
}

/// This replica as the machine and the log see it.
struct Candidate {
    elector: Elector,
    identity: String,
    fence: Fence,
    stand: watch::Sender<Stand>,
}

impl Candidate {
    async fn run(mut self, lease: LeaseClient, mut stopped: oneshot::Receiver<()>) {
        let (requests, orders) = mpsc::unbounded_channel();
        let (replies, mut answers) = mpsc::unbounded_channel();
        tokio::spawn(perform(lease, orders, replies));
        let mut trouble = None;
        let mut is_stopped = false;
        loop {
            while let Some(output) = self.elector.poll_output(boottime()) {
                match output {
                    Output::Lead { until } => self.lead(until),
                    Output::Lost => self.lose(),
                    Output::Released => return,
                    request => drop(requests.send(request)),
                }
            }
            let deadline = self.elector.poll_timeout();
            let due = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep(deadline.since(boottime())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(answer) = answers.recv() => self.answer(answer, &mut trouble),
                _ = &mut stopped, if !is_stopped => {
                    is_stopped = true;
                    self.elector.handle_input(boottime(), Input::Stop);
                }
                () = due => {}
            }
        }
    }

    fn answer(&mut self, answer: Result<Input, LeaseError>, trouble: &mut Option<LeaseError>) {
        let input = match answer {
            Ok(input) => {
                if trouble.take().is_some() {
                    info!("the Lease can be reached again");
                }
                input
            }
            Err(error) => {
                if trouble.as_ref() != Some(&error) {
                    warn!("{error}; trying again");
                    *trouble = Some(error);
                }
                Input::Failed
            }
        };
        self.elector.handle_input(boottime(), input);
        if let Some(holder) = self.elector.holder().filter(|holder| *holder != self.identity)
            && *self.stand.borrow() == Stand::Unknown
        {
            info!("standing by: {holder} leads");
            self.stand.send_replace(Stand::Standby);
        }
    }

    fn lead(&self, until: metal_core::Instant) {
        self.fence.open(until);
        if self.stand.send_replace(Stand::Leading) != Stand::Leading {
            info!("this replica leads now");
        }
    }

    fn lose(&self) {
        self.fence.close();
        self.stand.send_replace(Stand::Standby);
        info!("this replica does not lead any more");
    }
}

/// Performs one request after the other.
async fn perform(
    mut lease: LeaseClient,
    mut requests: mpsc::UnboundedReceiver<Output>,
    replies: mpsc::UnboundedSender<Result<Input, LeaseError>>,
) {
    while let Some(request) = requests.recv().await {
        let answer = match request {
            Output::Read => lease.read().await,
            Output::Write(write) => lease.write(&write).await,
            Output::Lead { .. } | Output::Lost | Output::Released => continue,
        };
        if replies.send(answer).is_err() {
            return;
        }
    }
}

/// A name that no other process ever has: that of the host, which is the Pod's, and random digits.
fn identity() -> Result<String> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut random = [0; 8];
    getrandom::fill(&mut random).context("the kernel gives no random bytes")?;
    Ok(format!("{}_{:016x}", host.trim(), u64::from_be_bytes(random)))
}
