//! Which links take part.

use super::Reason;
use crate::view::Link;

/// Whether a link takes part, and if not, why.
///
/// # Errors
/// The first reason against it, the lasting ones first.
pub fn takes_part(link: &Link) -> Result<(), Reason> {
    let excluded = link.name == "lo" || EXCLUDED.iter().any(|prefix| link.name.starts_with(prefix));
    let reasons = [
        (excluded, Reason::LinkExcluded),
        (link.enslaved, Reason::LinkEnslaved),
        (!(link.broadcast && link.arp), Reason::LinkNotBroadcast),
        (!link.up, Reason::LinkDown),
        (!link.carrier, Reason::LinkNoCarrier),
    ];
    match reasons.into_iter().find(|(against, _)| *against) {
        Some((_, reason)) => Err(reason),
        None => Ok(()),
    }
}

/// MetalLB's default list of names that are left alone, by prefix.
const EXCLUDED: [&str; 13] = [
    "docker",
    "cbr",
    "dummy",
    "virbr",
    "lxcbr",
    "veth",
    "cali",
    "tunl",
    "flannel",
    "kube-ipvs",
    "cni",
    "nodelocaldns",
    "lxc",
];

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn link(name: &str) -> Link {
        Link {
            name: name.into(),
            mac: [2, 0, 0, 0, 0, 1],
            up: true,
            carrier: true,
            broadcast: true,
            arp: true,
            enslaved: false,
            prefixes: Vec::new(),
        }
    }

    #[test]
    fn names_of_containers_and_tunnels_are_left_alone() {
        for name in ["eth0", "eno1", "bond0", "br0", "vlan10", "lo0", "mydocker0", "ens3"] {
            assert_eq!(takes_part(&link(name)), Ok(()), "{name}");
        }
        for name in [
            "lo",
            "docker0",
            "cbr0",
            "dummy1",
            "virbr0",
            "lxcbr0",
            "veth12ab",
            "cali0",
            "tunl0",
            "flannel.1",
            "kube-ipvs0",
            "cni0",
            "nodelocaldns",
            "lxc1",
        ] {
            assert_eq!(takes_part(&link(name)), Err(Reason::LinkExcluded), "{name}");
        }
    }

    #[test]
    fn state_and_kind_of_a_link() {
        let with = |change: fn(&mut Link)| {
            let mut link = link("eth0");
            change(&mut link);
            takes_part(&link)
        };
        assert_eq!(with(|link| link.up = false), Err(Reason::LinkDown));
        assert_eq!(with(|link| link.carrier = false), Err(Reason::LinkNoCarrier));
        assert_eq!(with(|link| link.enslaved = true), Err(Reason::LinkEnslaved));
        assert_eq!(with(|link| link.broadcast = false), Err(Reason::LinkNotBroadcast));
        assert_eq!(with(|link| link.arp = false), Err(Reason::LinkNotBroadcast));
    }
}
