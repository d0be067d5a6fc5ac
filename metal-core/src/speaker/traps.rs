//! Host traps: addresses of Services that the host itself would answer for, beside the speaker.
//!
//! Linux answers ARP for every address that it has on any device, unless the sysctl `arp_ignore` forbids it, so
//! an address on `lo` or on `kube-ipvs0` is answered for by all nodes at once. It does Neighbour Discovery only
//! for the addresses of the device that is asked.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec::Vec,
};
use core::net::IpAddr;

use crate::{
    name::NodeName,
    view::{Link, LinkIndex},
};

/// That the host answers for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trap {
    /// The device that has the address.
    pub device: LinkIndex,
    /// It is the very link that is asked.
    is_own: bool,
    arp_ignore: u8,
}

/// What the host has.
#[derive(Debug, Default)]
pub(super) struct Traps {
    devices: BTreeMap<IpAddr, BTreeSet<LinkIndex>>,
    addresses: BTreeMap<LinkIndex, BTreeSet<IpAddr>>,
    arp_ignore: BTreeMap<LinkIndex, u8>,
}

impl Traps {
    /// A link as it is now; answers the addresses that it has gained or lost.
    pub(super) fn set_link(&mut self, index: LinkIndex, link: Option<&Link>) -> Vec<IpAddr> {
        let up = link.filter(|link| link.up);
        let now: BTreeSet<_> =
            up.into_iter().flat_map(|link| &link.prefixes).map(ipnet::IpNet::addr).collect();
        let before = self.addresses.remove(&index).unwrap_or_default();
        let changed: Vec<_> = before.symmetric_difference(&now).copied().collect();
        for address in &changed {
            let devices = self.devices.entry(*address).or_default();
            if now.contains(address) {
                devices.insert(index);
            } else {
                devices.remove(&index);
            }
            if devices.is_empty() {
                self.devices.remove(address);
            }
        }
        if !now.is_empty() {
            self.addresses.insert(index, now);
        }
        if link.is_none() {
            self.arp_ignore.remove(&index);
        }
        changed
    }

    /// What `arp_ignore` is on a link; answers whether that is news.
    pub(super) fn set_arp_ignore(&mut self, link: LinkIndex, value: u8) -> bool {
        self.arp_ignore.insert(link, value) != Some(value)
    }

    /// Whether the host answers on `link` for `address`.
    pub(super) fn find(&self, link: LinkIndex, address: IpAddr) -> Option<Trap> {
        let devices = self.devices.get(&address)?;
        let known = self.arp_ignore.get(&link).copied();
        let arp_ignore = known.unwrap_or(0);
        let is_own = devices.contains(&link);
        let answers = match (address, arp_ignore) {
            (IpAddr::V4(_), NEVER) => false,
            (IpAddr::V4(_), OWN_ONLY | OWN_SUBNET_ONLY) | (IpAddr::V6(_), _) => is_own,
            (IpAddr::V4(_), _) => is_own || known.is_some(),
        };
        let device = if is_own { link } else { *devices.first()? };
        answers.then_some(Trap { device, is_own, arp_ignore })
    }
}

impl Trap {
    /// What users read: what happens, and how to end it.
    pub(super) fn explain(&self, node: &NodeName, link: &str, device: &str, address: IpAddr) -> String {
        if self.is_own {
            return format!(
                "node {node} itself answers for {address} on {link}, whoever announces it: the address is configured \
                 there; remove it from the interface"
            );
        }
        let ignore = self.arp_ignore;
        let fix = if device.starts_with("kube-ipvs") {
            "set ipvs.strictARP: true in the configuration of kube-proxy"
        } else {
            "set the sysctls net.ipv4.conf.all.arp_ignore=1 and net.ipv4.conf.all.arp_announce=2"
        };
        format!(
            "node {node} itself answers ARP for {address} on {link}, whoever announces it: the address is on {device}, and \
             arp_ignore is {ignore}; {fix}"
        )
    }
}

/// Values of `arp_ignore`: answer for addresses of the link that is asked,
const OWN_ONLY: u8 = 1;
/// the same, if the one who asks is in the same subnet,
const OWN_SUBNET_ONLY: u8 = 2;
/// for none at all. With the others the address of any device is answered for.
const NEVER: u8 = 8;

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn link(name: &str, up: bool, prefixes: &[&str]) -> Link {
        Link {
            name: name.into(),
            mac: [2, 0, 0, 0, 0, 1],
            up,
            carrier: true,
            broadcast: true,
            arp: true,
            enslaved: false,
            prefixes: prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect(),
        }
    }

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    const ETH: LinkIndex = 2;
    const IPVS: LinkIndex = 3;

    #[test]
    fn an_address_on_another_device_is_answered_for_unless_arp_ignore_forbids_it() {
        let mut traps = Traps::default();
        let ipvs = link("kube-ipvs0", true, &["10.0.0.1/32", "2001:db8::1/128"]);
        assert_eq!(traps.set_link(IPVS, Some(&ipvs)), [at("10.0.0.1"), at("2001:db8::1")]);
        assert_eq!(traps.find(ETH, at("10.0.0.1")), None, "nobody has said what arp_ignore is");
        for (arp_ignore, answers) in
            [(0, true), (1, false), (2, false), (3, true), (4, true), (8, false), (0, true)]
        {
            assert!(traps.set_arp_ignore(ETH, arp_ignore));
            assert!(!traps.set_arp_ignore(ETH, arp_ignore));
            assert_eq!(traps.find(ETH, at("10.0.0.1")).is_some(), answers, "{arp_ignore}");
            assert_eq!(traps.find(ETH, at("2001:db8::1")), None, "it is asked on another device");
        }
        assert_eq!(traps.find(ETH, at("10.0.0.2")), None);
        assert_eq!(traps.set_link(IPVS, Some(&link("kube-ipvs0", false, &["10.0.0.1/32"]))).len(), 2);
        assert_eq!(traps.find(ETH, at("10.0.0.1")), None, "the device is down");
        assert!(traps.set_link(IPVS, None).is_empty());
    }

    #[test]
    fn an_address_of_the_link_itself_is_answered_for_in_both_families() {
        let mut traps = Traps::default();
        traps.set_link(ETH, Some(&link("eth0", true, &["10.0.0.1/24", "2001:db8::1/64"])));
        for arp_ignore in [0, 1, 2] {
            traps.set_arp_ignore(ETH, arp_ignore);
            for address in ["10.0.0.1", "2001:db8::1"] {
                let trap = traps.find(ETH, at(address)).unwrap();
                assert_eq!((trap.device, trap.is_own), (ETH, true));
            }
        }
        traps.set_arp_ignore(ETH, 8);
        assert_eq!(traps.find(ETH, at("10.0.0.1")), None);
    }

    #[test]
    fn the_fix_is_named() {
        let trap = Trap { device: IPVS, is_own: false, arp_ignore: 0 };
        let text = trap.explain(&"n1".into(), "eth0", "kube-ipvs0", at("10.0.0.1"));
        assert_eq!(
            text.to_string(),
            "node n1 itself answers ARP for 10.0.0.1 on eth0, whoever announces it: the address is on kube-ipvs0, and \
             arp_ignore is 0; set ipvs.strictARP: true in the configuration of kube-proxy"
        );
        let text = trap.explain(&"n1".into(), "eth0", "lo", at("10.0.0.1"));
        assert!(text.ends_with(
            "set the sysctls net.ipv4.conf.all.arp_ignore=1 and net.ipv4.conf.all.arp_announce=2"
        ));
        let own = Trap { is_own: true, ..trap };
        assert!(own.explain(&"n1".into(), "eth0", "eth0", at("10.0.0.1")).contains("remove it"));
    }
}
