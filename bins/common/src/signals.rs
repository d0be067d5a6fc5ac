use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

/// Catches SIGTERM and SIGINT from now on; the future ends with the name of the first that comes.
///
/// # Errors
/// When the signals cannot be caught.
pub fn terminated() -> Result<impl Future<Output = &'static str>> {
    let mut term = signal(SignalKind::terminate()).context("cannot catch SIGTERM")?;
    let mut int = signal(SignalKind::interrupt()).context("cannot catch SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = int.recv() => "SIGINT",
        }
    })
}
