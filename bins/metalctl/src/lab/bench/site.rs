//! A LAN with one responder.

use std::{fmt::Write as _, fs, net::Ipv4Addr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use metal_core::view::Mac;
use metal_net::{BlockingPacketSocket, Filter, PolledPacketSocket};

use super::{client::Client, report};
use crate::lab::{
    Places, Programs, Starter,
    console::Console,
    daemons::{self, Daemon},
    interrupt::Interrupt,
    lan::Lan,
    plan,
    wait::Waiter,
};

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Responder {
    /// The kernel, for its own address.
    Kernel,
    /// The speaker, from its packet thread.
    PacketSocket,
    /// The speaker's BPF program.
    FastPath,
}

impl Responder {
    pub(super) const ALL: [Self; 3] = [Self::Kernel, Self::PacketSocket, Self::FastPath];

    /// What it is called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::PacketSocket => "packet socket",
            Self::FastPath => "fast path",
        }
    }

    /// How many addresses it has, in each of its LANs.
    pub(super) fn sizes(self, many: u32) -> Vec<usize> {
        match self {
            Self::Kernel => vec![1],
            Self::PacketSocket | Self::FastPath => vec![1, many as usize],
        }
    }
}

/// The LAN, and what has been measured on it.
pub(super) struct Site {
    kind: Responder,
    lan: Lan,
    speaker: Option<Daemon>,
    pub(super) addresses: Vec<Ipv4Addr>,
    pub(super) rounds: Vec<report::Round>,
}

/// The first of the addresses that speakers answer for.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 42, 0, 0);
/// An address that nobody answers for, and as many behind it as are asked for.
pub(super) const FOREIGN: Ipv4Addr = Ipv4Addr::new(10, 43, 0, 0);
/// How many addresses a Service has. Any number would do; ten thousand Services would only take longer to start.
const PER_SERVICE: usize = 100;
/// How long the first announcement of all addresses may take.
const START: Duration = Duration::from_secs(120);
/// A LAN is quiet when fewer frames a second come by themselves. Refreshes are at most 50.
const QUIET: usize = 100;

impl Site {
    /// Builds the LAN and starts the speaker, if that is who answers.
    pub(super) fn build(
        kind: Responder,
        addresses: usize,
        directory: &Path,
        programs: &Programs,
        console: &Arc<Console>,
    ) -> Result<Self> {
        let node = plan::node_name(0);
        let lan = Lan::build(std::slice::from_ref(&node), false)?;
        if kind == Responder::Kernel {
            let addresses = vec![plan::node_address(0)];
            return Ok(Self { kind, lan, speaker: None, addresses, rounds: Vec::new() });
        }
        let addresses: Vec<_> =
            (1..).take(addresses).map(|n| Ipv4Addr::from_bits(FIRST.to_bits() + n)).collect();
        let places = Places {
            manifests: directory.join("manifests"),
            state: directory.join("state"),
            logs: directory.join("logs"),
        };
        for place in [&places.manifests, &places.state, &places.logs] {
            fs::create_dir_all(place).with_context(|| place.display().to_string())?;
        }
        fs::write(places.manifests.join("all.yaml"), manifests(&node, &addresses))?;
        // What the controller would make. Nobody else is on this LAN.
        fs::write(places.state.join("beacon.key"), [0x42; 32])?;
        let starter = Starter { programs: programs.clone(), places, console: Arc::clone(console) };
        let flags: &[&str] = if kind == Responder::FastPath { &["--fast-path"] } else { &[] };
        let speaker = starter.speaker_with(&lan.nodes[0].station.namespace, &node, flags)?;
        Ok(Self { kind, lan, speaker: Some(speaker), addresses, rounds: Vec::new() })
    }

    /// Waits until every address is answered for and its announcement is over.
    pub(super) fn await_calm(&mut self, console: &Console, interrupt: &Interrupt) -> Result<()> {
        let waiter = Waiter { console, interrupt };
        let ends = [self.addresses.first(), self.addresses.last()].map(|end| end.copied().unwrap_or(FOREIGN));
        let what = format!("the {} to answer for {}", self.kind.name(), ends[1]);
        waiter.until(START, &what, || {
            self.check()?;
            let mut client = Client::new(self)?;
            match ends.into_iter().find(|address| !client.is_answered(*address)) {
                None => Ok(()),
                Some(address) => Err(format!("nobody answers for {address}").into()),
            }
        })?;
        waiter.until(START, "the announcements to be over", || {
            let window = Duration::from_millis(300);
            let heard = Client::new(self)?.listen(window);
            let frames = heard * 1_000 / 300;
            if frames < QUIET { Ok(()) } else { Err(format!("{frames} frames a second").into()) }
        })
    }

    /// Fails when the speaker has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        self.speaker.as_mut().map_or(Ok(()), Daemon::check)
    }

    /// A socket of the client for requests and answers.
    pub(super) fn socket(&self) -> Result<PolledPacketSocket> {
        let (index, _) = self.lan.client.link()?;
        Ok(self.lan.client.namespace.within(|| PolledPacketSocket::open(index, Filter::Arp))??)
    }

    /// One for requests only: each socket that hears the answers makes every one of them a little slower.
    pub(super) fn sender(&self) -> Result<BlockingPacketSocket> {
        let (socket, _) = self.lan.client.listen(Filter::Beacon { udp_port: 0 })?;
        Ok(socket)
    }

    /// The Ethernet address of the client's link.
    pub(super) fn mac(&self) -> Result<Mac> {
        Ok(self.lan.client.link()?.1)
    }

    /// The medians.
    pub(super) fn result(&self) -> report::Measured {
        report::Measured::new(self.kind.name(), self.addresses.len(), &self.rounds)
    }

    /// Ends the speaker.
    pub(super) fn stop(self) {
        // One that does not end on SIGTERM is killed, which is all that matters here.
        let _late = daemons::stop(self.speaker.into_iter().collect());
    }
}

/// A pool, its advertisement, the node, and Services that have all of the addresses.
fn manifests(node: &str, addresses: &[Ipv4Addr]) -> String {
    let mut yaml = format!(
        "\
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {{namespace: metallb-system, name: bench}}
spec: {{addresses: [{FIRST}/16]}}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {{namespace: metallb-system, name: bench}}
---
apiVersion: v1
kind: Node
metadata: {{name: {node}}}
"
    );
    for (number, addresses) in addresses.chunks(PER_SERVICE).enumerate() {
        let ingress: Vec<String> = addresses.iter().map(|address| format!("{{ip: {address}}}")).collect();
        let _infallible = write!(
            yaml,
            "\
---
apiVersion: v1
kind: Service
metadata: {{namespace: default, name: s{number}}}
spec: {{type: LoadBalancer, ports: [{{name: http, port: 80}}]}}
status: {{loadBalancer: {{ingress: [{}]}}}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{namespace: default, name: s{number}-1, labels: {{kubernetes.io/service-name: s{number}}}}}
addressType: IPv4
ports: [{{name: http, port: 80}}]
endpoints: [{{addresses: [10.244.0.10], nodeName: {node}, conditions: {{ready: true}}}}]
",
            ingress.join(", ")
        );
    }
    yaml
}
