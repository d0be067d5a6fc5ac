//! `metal-speaker`: announces the addresses of Services from its node.

mod bgp;
mod driver;
mod lan;
mod metrics;
mod networks;
mod packet;
mod report;
mod sysctls;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use metal_daemon::Common;

/// Announces the addresses of Services from this node.
///
/// Agrees with the speakers of the other nodes on the same LAN who answers for which address. Needs the
/// capability CAP_NET_RAW.
#[derive(Debug, Parser)]
#[command(name = "metal-speaker", version)]
struct Args {
    #[command(flatten)]
    common: Common,

    /// Name of the Node this speaker runs on
    #[arg(long, alias = "node-name", env = "METALLB_NODE_NAME", value_name = "NAME")]
    node: String,

    /// Name of the Pod it runs in: the owner of the status objects it writes
    #[arg(long, env = "METALLB_POD_NAME", value_name = "NAME", requires = "pod_uid")]
    pod_name: Option<String>,

    /// Uid of that Pod
    #[arg(long, env = "METAL_POD_UID", value_name = "UID", requires = "pod_name")]
    pod_uid: Option<String>,

    /// Where this speaker keeps its own state; with --manifests STATE/nodes/NAME by default
    #[arg(long, value_name = "DIR")]
    node_state: Option<PathBuf>,

    /// Let the kernel answer ARP requests by itself, with a BPF program on each interface. Takes the capabilities CAP_BPF
    /// and CAP_NET_ADMIN, and Linux 6.6; where it cannot be had the speaker answers as without, and says so
    #[arg(long)]
    fast_path: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    args.common.start_logs();
    metal_daemon::exit_code(driver::run(args).await)
}
