//! What the daemons share: arguments, logs, the metrics and health endpoints, the clock, signals.
//!
//! Nothing in here decides anything about addresses.

mod args;
mod http;
mod logs;
mod metrics;
mod signals;
mod source;

pub use args::Common;
pub use http::{Readiness, serve};
pub use metal_net::clock::Clock;
pub use metrics::{ClientMetrics, register};
pub use signals::terminated;

use std::process::ExitCode;

/// Logs why a daemon ended and makes it the exit code: 0 after a clean end, 1 after an error.
#[must_use]
pub fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
