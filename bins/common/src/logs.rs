use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::args::{Common, LogLevel};

impl Common {
    /// Starts logging to standard error at the level asked for.
    pub fn start_logs(&self) {
        start(self.log_level);
    }
}

fn start(level: LogLevel) {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level.directive()))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
}
