//! What is known of the interfaces, and what of it has been reported.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use metal_core::view::{Link, LinkIndex};

use super::LinkEvent;

/// The number of a round of dumps.
type Round = u64;

/// The interfaces as the kernel tells them, by notifications and by rounds of dumps.
///
/// What a round has not confirmed by its end does not exist any more.
#[derive(Debug, Default)]
pub(super) struct Table {
    round: Round,
    /// Without prefixes.
    links: BTreeMap<LinkIndex, (Link, Round)>,
    addresses: BTreeMap<(LinkIndex, IpNet), Round>,
    reported: BTreeMap<LinkIndex, Link>,
    touched: BTreeSet<LinkIndex>,
}

impl Table {
    pub(super) fn begin_round(&mut self) {
        self.round += 1;
    }

    pub(super) fn end_round(&mut self) {
        let Self { round, links, addresses, touched, .. } = self;
        links.retain(|&index, (_, seen)| confirmed(*seen == *round, index, touched));
        addresses.retain(|&(index, _), seen| confirmed(*seen == *round, index, touched));
    }

    pub(super) fn upsert_link(&mut self, index: LinkIndex, link: Link) {
        self.links.insert(index, (link, self.round));
        self.touched.insert(index);
    }

    pub(super) fn remove_link(&mut self, index: LinkIndex) {
        self.links.remove(&index);
        self.addresses.retain(|&(of, _), _| of != index);
        self.touched.insert(index);
    }

    pub(super) fn upsert_address(&mut self, index: LinkIndex, prefix: IpNet) {
        self.addresses.insert((index, prefix), self.round);
        self.touched.insert(index);
    }

    pub(super) fn remove_address(&mut self, index: LinkIndex, prefix: IpNet) {
        self.addresses.remove(&(index, prefix));
        self.touched.insert(index);
    }

    /// The differences between what is known and what has been reported; they count as reported from now on.
    pub(super) fn changes(&mut self) -> Vec<LinkEvent> {
        let touched = std::mem::take(&mut self.touched);
        touched.into_iter().filter_map(|index| self.change(index)).collect()
    }

    /// What has been reported.
    #[cfg(test)]
    pub(super) fn reported(&self) -> Vec<(LinkIndex, Link)> {
        self.reported.iter().map(|(&index, link)| (index, link.clone())).collect()
    }

    fn change(&mut self, index: LinkIndex) -> Option<LinkEvent> {
        let Some((link, _)) = self.links.get(&index) else {
            return self.reported.remove(&index).map(|_| LinkEvent::Removed(index));
        };
        let prefixes =
            self.addresses.keys().filter(|(of, _)| *of == index).map(|&(_, prefix)| prefix).collect();
        let link = Link { prefixes, ..link.clone() };
        if self.reported.get(&index) == Some(&link) {
            return None;
        }
        self.reported.insert(index, link.clone());
        Some(LinkEvent::Upsert(index, link))
    }
}

fn confirmed(seen: bool, index: LinkIndex, touched: &mut BTreeSet<LinkIndex>) -> bool {
    if !seen {
        touched.insert(index);
    }
    seen
}
