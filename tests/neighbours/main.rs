//! The real daemons on a LAN of namespaces, with the kernel's own ARP and Neighbour Discovery on the other side, and
//! the tools that administrators use.

#![allow(clippy::print_stdout, reason = "the numbers of a run, for its record")]

mod changes;
mod host;
mod lan;
mod lasting;
mod links;
mod silence;
mod strangers;
mod takeover;
mod wire;
