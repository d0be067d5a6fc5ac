use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum};

/// The arguments that both daemons understand.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Namespace of the configuration objects
    #[arg(long, env = "METALLB_NAMESPACE", default_value = "metallb-system", value_name = "NAME")]
    pub namespace: String,

    /// Kubeconfig of the cluster; without it the Pod's service account, or what KUBECONFIG names
    #[arg(long, value_name = "FILE", conflicts_with = "manifests")]
    pub kubeconfig: Option<PathBuf>,

    /// Read Kubernetes YAML from this directory instead of a cluster
    #[arg(long, value_name = "DIR", requires = "state")]
    pub manifests: Option<PathBuf>,

    /// Where status, events and the beacon key are kept; goes with --manifests
    #[arg(long, value_name = "DIR", requires = "manifests")]
    pub state: Option<PathBuf>,

    /// Serve Services of this loadBalancerClass only; without it those that have none
    #[arg(long, value_name = "CLASS")]
    pub lb_class: Option<String>,

    /// Where /metrics, /healthz and /readyz are served
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:7472")]
    pub metrics_address: SocketAddr,

    /// How much to log
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: LogLevel,
}

/// MetalLB's levels.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogLevel {
    /// Everything
    All,
    /// What helps to find a mistake
    Debug,
    /// One line per change of state
    Info,
    /// What somebody should look at
    Warn,
    /// What does not work
    Error,
    /// Nothing
    None,
}

impl LogLevel {
    /// The directive of `tracing` for this level; libraries stay at warnings unless all is wanted. What kube
    /// warns of, the watches report themselves.
    pub(crate) const fn directive(self) -> &'static str {
        match self {
            Self::All => "trace",
            Self::Debug => "warn,kube_runtime=error,metal=debug,metal_k8s=debug,metal_net=debug",
            Self::Info => "warn,kube_runtime=error,metal=info,metal_k8s=info,metal_net=info",
            Self::Warn => "warn,kube_runtime=error",
            Self::Error => "error",
            Self::None => "off",
        }
    }
}
