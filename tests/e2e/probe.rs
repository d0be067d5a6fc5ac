//! What the client on the LAN sees: pages, the neighbour entry behind an address, who answers for it: ARP for an IPv4
//! address, Neighbour Discovery for an IPv6 one.

use std::collections::BTreeSet;

use crate::rack::{CLIENT, node_of_mac, node_of_source};
use metal_tests::process::run;
use metal_tests::wait::ensure;

/// Who served a page. All nodes forward for every address, so only this shows where a request went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// The node to whose MAC address the client sent it, which is also the one that the Pod saw it come from.
    pub(crate) node: &'static str,
    /// The Pod that answered.
    pub(crate) pod: String,
}

/// A page, as a Pod served it.
pub(crate) struct Page {
    forwarder: &'static str,
    pod: String,
}

/// Fetches a page with `curl` in the client's namespace. Fails unless the status is 200 and the text is
/// a Pod's own, with the node from which the request came.
pub(crate) fn get(address: &str, port: u16) -> Result<Page, String> {
    let url = match is_v6(address) {
        true => format!("http://[{address}]:{port}/"),
        false => format!("http://{address}:{port}/"),
    };
    // A packet that comes before kube-proxy knows the Service spoils its connection, not the next one.
    let patience = ["--connect-timeout", "1", "--max-time", "2"];
    let options = ["-sS", "--noproxy", "*", "-w", "status=%{http_code}", &url];
    let page = run("ip", &[&["netns", "exec", CLIENT, "curl"], &patience[..], &options[..]].concat())?;
    let field = |name: &str| {
        let found = page.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.ok_or_else(|| format!("{url} answered without \"{name}\": {page}"))
    };
    ensure(field("status")? == "200", || format!("{url} answered {page}"))?;
    let source = field("source")?;
    let forwarder =
        node_of_source(source).ok_or_else(|| format!("{url}: the Pod saw {source}, which is no node"))?;
    Ok(Page { forwarder, pod: field("pod")?.to_owned() })
}

/// Like [`get`]; fails unless the client's neighbour entry and the Pod agree about the forwarding node.
pub(crate) fn fetch(address: &str, port: u16) -> Result<Served, String> {
    let Page { forwarder, pod } = get(address, port)?;
    let node = neighbour(address)?;
    ensure(node == forwarder, || format!("{address}: sent to {node}, but {forwarder} forwarded it"))?;
    Ok(Served { node, pod })
}

/// The node that the client's neighbour entry for an address names.
pub(crate) fn neighbour(address: &str) -> Result<&'static str, String> {
    let entry = run("ip", &["-n", CLIENT, "neighbour", "show", address, "dev", "eth0"])?;
    let mac = macs(&entry)
        .into_iter()
        .next()
        .ok_or_else(|| format!("no neighbour entry for {address}: {entry}"))?;
    node_of_mac(&mac).ok_or_else(|| format!("{address} is at {mac}, which is no node"))
}

/// Removes the client's neighbour entry for an address, if there is one: the next packet asks anew.
pub(crate) fn forget(address: &str) {
    // `flush` spares permanent entries only and does not fail where there is none.
    run("ip", &["-n", CLIENT, "neighbour", "flush", "to", address, "dev", "eth0"])
        .unwrap_or_else(|error| panic!("{error}"));
}

/// The nodes that answer the client's question for an address, asked of everybody, within one second.
pub(crate) fn answering(address: &str) -> BTreeSet<String> {
    let options: &[&str] = match is_v6(address) {
        true => &["ndisc6", "-m", "-r", "1", "-w", "1000", address, "eth0"],
        false => &["arping", "-b", "-w", "1", "-I", "eth0", address],
    };
    asked(options).into_iter().collect()
}

/// Who answers the client's next question for an address, at once; nobody after one second.
pub(crate) fn first_answer(address: &str) -> Option<String> {
    let options: &[&str] = match is_v6(address) {
        true => &["ndisc6", "-1", "-r", "1", "-w", "1000", address, "eth0"],
        false => &["arping", "-c", "1", "-w", "1", "-I", "eth0", address],
    };
    asked(options).into_iter().next()
}

/// The nodes that a program of the client hears answers from. It fails when it hears none, and prints so.
fn asked(program: &[&str]) -> Vec<String> {
    let words = [&["netns", "exec", CLIENT], program].concat();
    let printed = run("ip", &words).unwrap_or_else(|nobody| nobody);
    macs(&printed).into_iter().map(|mac| node_of_mac(&mac).map_or(mac.clone(), str::to_owned)).collect()
}

fn is_v6(address: &str) -> bool {
    address.contains(':')
}

/// Every MAC address in a text, in lower case.
fn macs(text: &str) -> Vec<String> {
    let words = text.split(|character: char| character != ':' && !character.is_ascii_hexdigit());
    let is_mac = |word: &&str| word.len() == 17 && word.split(':').all(|octet| octet.len() == 2);
    words.filter(is_mac).map(str::to_ascii_lowercase).collect()
}
