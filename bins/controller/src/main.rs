//! `metal-controller`: gives addresses to Services.

mod driver;
mod election;
mod metrics;
mod term;

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

    /// Elect one of several replicas by a Lease, and do nothing but wait unless elected; by default in a cluster, but
    /// not with --manifests
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    leader_elect: Option<bool>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    args.common.start_logs();
    metal_daemon::exit_code(driver::run(args).await)
}
