//! `metal-controller`: gives addresses to Services.

mod driver;
mod metrics;

use std::process::ExitCode;

use clap::Parser;
use metal_daemon::Common;

/// Gives addresses to Services of type LoadBalancer.
///
/// Reads Services and address pools from a Kubernetes cluster, or from a directory of manifests.
#[derive(Debug, Parser)]
#[command(name = "metal-controller", version)]
struct Args {
    #[command(flatten)]
    common: Common,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Args { common } = Args::parse();
    common.start_logs();
    metal_daemon::exit_code(driver::run(common).await)
}
