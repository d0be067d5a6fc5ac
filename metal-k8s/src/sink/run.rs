//! The task that performs writes.

use std::sync::Arc;

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::mpsc, time::Instant};

use super::{Done, Failure, Job, Key, Shared, Writer};
use crate::change::Change;

type Write<'a> = BoxFuture<'a, (Key, Job, Result<Done, Failure>)>;

/// Performs what is queued until the sink is closed.
pub(super) async fn run(shared: Arc<Shared>, writer: Writer, written: mpsc::UnboundedSender<Change>) {
    let mut writes: FuturesUnordered<Write<'_>> = FuturesUnordered::new();
    let mut log = Log::default();
    loop {
        let next = {
            let mut state = shared.lock();
            if state.closed && writes.is_empty() {
                state.ended = true;
                shared.idle.notify_waiters();
                return;
            }
            while writes.len() < writer.in_flight()
                && !state.closed
                && let Some((key, job)) = state.queue.pop(Instant::now())
            {
                let writer = &writer;
                writes.push(
                    async move {
                        let result = writer.write(&job).await;
                        (key, job, result)
                    }
                    .boxed(),
                );
            }
            state.queue.next_due()
        };
        let due = async {
            match next {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some((key, job, result)) = writes.next(), if !writes.is_empty() => {
                log.result(&job, &result);
                let mut state = shared.lock();
                state.errors += u64::from(result.is_err());
                let now = Instant::now();
                match result {
                    Err(Failure { retry: true, .. }) => state.queue.failed(key, job, now),
                    Err(_) => state.queue.done(&key, false, now),
                    Ok(done) => {
                        state.queue.done(&key, done == Done::Written, now);
                        if let (Done::Written, Job::Assign { service, write, .. }) = (done, job) {
                            // Nobody may want to know any more.
                            let _ = written.send(Change::Written { service, write });
                        }
                    }
                }
                if state.queue.is_empty() {
                    shared.idle.notify_waiters();
                }
            }
            () = shared.wake.notified() => {}
            () = due, if writes.len() < writer.in_flight() => {}
        }
    }
}

/// Logs failures once per reason: an API server that is away fails every write in the same way.
#[derive(Default)]
struct Log {
    last: Option<String>,
}

impl Log {
    fn result(&mut self, job: &Job, result: &Result<Done, Failure>) {
        match result {
            Ok(_) => {
                if self.last.take().is_some() {
                    tracing::info!("writing works again");
                }
            }
            Err(failure) if self.last.as_ref() == Some(&failure.reason) => {}
            Err(failure) => {
                let then = if failure.retry { "; retrying" } else { "; given up" };
                tracing::warn!("cannot write {job}: {}{then}", failure.reason);
                self.last = Some(failure.reason.clone());
            }
        }
    }
}
