//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::bgp::BgpCommand;

/// The operator's tool of metal, the load balancer for Kubernetes clusters on bare metal.
#[derive(Debug, Parser)]
#[command(name = "metalctl", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build a LAN in network namespaces, run metal on it, fail a node and measure the gap
    ///
    /// No cluster, no root where the kernel lets users create user namespaces, no other programs than
    /// metal-controller and metal-speaker. Everything is removed at the end.
    Lab(LabArgs),
    /// Say which addresses Services would get from these manifests, and why not
    ///
    /// The controller itself decides, without a cluster. A Service whose manifest has a status with addresses
    /// counts as served already. Ends with 0 when everything is served, 1 when something is pending or refused,
    /// 2 when something cannot be read at all.
    Plan(PlanArgs),
    /// Read and write BGP messages
    #[command(subcommand)]
    Bgp(BgpCommand),
    /// Write the CustomResourceDefinitions, generated from the types that the daemons read
    Crds(CrdsArgs),
}

/// The arguments of `metalctl lab`.
#[derive(Clone, Debug, Args)]
pub(crate) struct LabArgs {
    /// How many nodes the LAN has
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) nodes: u8,

    /// Run these manifests instead of the lab's own pool and two Services
    #[arg(short = 'f', long = "manifests", value_name = "DIR")]
    pub(crate) manifests: Option<PathBuf>,

    /// A router between the LAN and the client, with a BGP session with every node
    ///
    /// Shows equal-cost paths over all nodes; failing one of them (in turn), it measures when the router's table has
    /// lost it, and what was lost. Without a value: a small receiver of our own.
    #[arg(long, value_name = "ROUTER", num_args = 0..=1, default_missing_value = "metal", conflicts_with = "manifests")]
    pub(crate) bgp: Option<Router>,

    /// How a node fails: the one that answers for the first address, or with --bgp one after the other
    #[arg(long, value_name = "HOW", default_value = "kill")]
    pub(crate) fail: Fail,

    /// How often to fail it; each run fails whoever answers then
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) runs: u32,

    /// Instead of a failure: measure how quick answers to ARP requests are, beside the kernel's own
    ///
    /// Ends with 0 when everything was measured and every goal was reached.
    #[arg(long, value_name = "WHAT", conflicts_with_all = ["nodes", "manifests", "bgp", "fail", "runs", "keep"])]
    pub(crate) bench: Option<Bench>,

    /// How often every responder has its turn; results are medians
    #[arg(long, value_name = "N", default_value_t = 5, requires = "bench", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) rounds: u32,

    /// How many requests one turn sends one after the other; its flood has 25 times as many
    #[arg(long, value_name = "N", default_value_t = 2_000, requires = "bench", value_parser = clap::value_parser!(u32).range(20..=100_000))]
    pub(crate) requests: u32,

    /// How many addresses the larger ones of the speakers answer for
    #[arg(long, value_name = "N", default_value_t = 10_000, requires = "bench", value_parser = clap::value_parser!(u32).range(2..=60_000))]
    pub(crate) addresses: u32,

    /// What to print: steps and a table, or one JSON document (steps then go to standard error)
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,

    /// Stay up after the last run and say how to enter the namespaces; Ctrl-C ends it
    #[arg(long)]
    pub(crate) keep: bool,

    /// Leave IPv6 out, as on a machine whose kernel has none
    #[arg(long)]
    pub(crate) ipv4_only: bool,

    /// Where metal-controller and metal-speaker are [default: beside metalctl]
    #[arg(long, value_name = "DIR")]
    pub(crate) bin_dir: Option<PathBuf>,

    /// Show everything that the daemons log, not only warnings and errors
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bench {
    /// Answers to ARP requests: the speaker's packet socket, its fast path, and the kernel
    Arp,
}

/// The router of `metalctl lab --bgp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Router {
    /// No router: metal's own passive receiver, which only installs what it hears
    Metal,
    /// FRRouting
    Frr,
    /// BIRD
    Bird,
    /// GoBGP; the lab installs what its API says
    Gobgp,
    /// ExaBGP; the lab installs what it hands to its process
    Exabgp,
}

/// How a node fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fail {
    /// SIGKILL to its speaker; what it serves goes on
    Kill,
    /// SIGTERM to its speaker, which says goodbye; what it serves goes on
    Term,
    /// Its port on the switch goes down
    Link,
    /// The whole node at once, as without power
    Node,
    /// It does not
    None,
}

impl Fail {
    /// The name of the cause in a report.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Term => "term",
            Self::Link => "link",
            Self::Node => "node",
            Self::None => "none",
        }
    }
}

/// The arguments of `metalctl plan`.
#[derive(Clone, Debug, Args)]
pub(crate) struct PlanArgs {
    /// Files, directories with all manifests below them, and `-` for standard input
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true, num_args = 1..)]
    pub(crate) paths: Vec<PathBuf>,

    /// What to print: tables, or one JSON document (all else then goes to standard error)
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,

    /// Namespace of the configuration objects
    #[arg(long, env = "METALLB_NAMESPACE", default_value = "metallb-system", value_name = "NAME")]
    pub(crate) namespace: String,

    /// Serve Services of this loadBalancerClass only; without it those that have none
    #[arg(long, value_name = "CLASS")]
    pub(crate) lb_class: Option<String>,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// For programs: one JSON document on standard output, all else on standard error
    Json,
}

/// The arguments of `metalctl crds`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CrdsArgs {
    /// Write one file per kind into this directory; without it all go to standard output
    #[arg(long, value_name = "DIR")]
    pub(crate) write: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    fn lab(arguments: &str) -> Result<LabArgs, ErrorKind> {
        let words = ["metalctl", "lab"].into_iter().chain(arguments.split_whitespace());
        match Cli::try_parse_from(words).map_err(|error| error.kind())?.command {
            Command::Lab(arguments) => Ok(arguments),
            other => panic!("parsed as {other:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_flags_three_nodes_and_one_kill() {
        let arguments = lab("").unwrap();
        assert_eq!((arguments.nodes, arguments.runs), (3, 1));
        assert_eq!((arguments.fail, arguments.output), (Fail::Kill, Output::Text));
        assert!(!arguments.keep && !arguments.ipv4_only);
        assert!(arguments.manifests.is_none() && arguments.bin_dir.is_none());
    }

    #[test]
    fn every_flag() {
        let arguments = lab(
            "--nodes 5 -f own --fail link --runs 20 --output json --keep --ipv4-only --bin-dir bin --verbose",
        )
        .unwrap();
        assert_eq!((arguments.nodes, arguments.runs), (5, 20));
        assert_eq!((arguments.fail, arguments.output), (Fail::Link, Output::Json));
        assert!(arguments.keep && arguments.ipv4_only && arguments.verbose);
        assert_eq!(arguments.manifests, Some("own".into()));
        assert_eq!(arguments.bin_dir, Some("bin".into()));
        assert_eq!(lab("--fail none").unwrap().fail, Fail::None);
    }

    #[test]
    fn a_bench_is_no_failure() {
        let arguments = lab("--bench arp --rounds 3 --requests 100 --addresses 50").unwrap();
        assert_eq!(arguments.bench, Some(Bench::Arp));
        assert_eq!((arguments.rounds, arguments.requests, arguments.addresses), (3, 100, 50));
        let arguments = lab("--bench arp").unwrap();
        assert_eq!((arguments.rounds, arguments.requests, arguments.addresses), (5, 2_000, 10_000));
        for wrong in ["--bench arp --fail kill", "--bench arp --keep", "--bench arp --nodes 3"] {
            assert_eq!(lab(wrong).unwrap_err(), ErrorKind::ArgumentConflict, "{wrong}");
        }
        assert_eq!(lab("--rounds 3").unwrap_err(), ErrorKind::MissingRequiredArgument);
        assert_eq!(lab("--bench http").unwrap_err(), ErrorKind::InvalidValue);
    }

    #[test]
    fn a_router_may_be_named() {
        assert_eq!(lab("").unwrap().bgp, None);
        assert_eq!(lab("--bgp").unwrap().bgp, Some(Router::Metal));
        let arguments = lab("--bgp bird --fail term --runs 2").unwrap();
        assert_eq!((arguments.bgp, arguments.fail), (Some(Router::Bird), Fail::Term));
        assert_eq!(lab("--bgp --fail node").unwrap().fail, Fail::Node);
        assert_eq!(lab("--bgp cisco").unwrap_err(), ErrorKind::InvalidValue);
        for wrong in ["--bgp -f own", "--bgp --bench arp"] {
            assert_eq!(lab(wrong).unwrap_err(), ErrorKind::ArgumentConflict, "{wrong}");
        }
    }

    #[test]
    fn a_plan_takes_any_number_of_paths() {
        let parse = |words: &str| match Cli::try_parse_from(words.split_whitespace()).unwrap().command {
            Command::Plan(arguments) => arguments,
            other => panic!("parsed as {other:?}"),
        };
        let paths = |arguments: PlanArgs| arguments.paths;
        assert_eq!(paths(parse("metalctl plan -f a b -f -")), ["a", "b", "-"].map(PathBuf::from));
        let arguments = parse("metalctl plan -f x --output json --namespace other --lb-class metal");
        assert_eq!((arguments.output, &*arguments.namespace), (Output::Json, "other"));
        assert_eq!(arguments.lb_class.as_deref(), Some("metal"));
        let error = Cli::try_parse_from(["metalctl", "plan"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MissingRequiredArgument);
    }

    #[test]
    fn mistakes_are_refused() {
        for wrong in ["--nodes 0", "--nodes 65", "--runs 0"] {
            assert_eq!(lab(wrong).unwrap_err(), ErrorKind::ValueValidation, "{wrong}");
        }
        for wrong in ["--fail fire", "--output yaml"] {
            assert_eq!(lab(wrong).unwrap_err(), ErrorKind::InvalidValue, "{wrong}");
        }
        assert_eq!(lab("--what").unwrap_err(), ErrorKind::UnknownArgument);
    }
}
