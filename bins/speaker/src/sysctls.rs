//! Settings of the kernel that make the host itself answer for addresses.

use std::time::Duration;

use metal_core::{speaker::Input, view::LinkIndex};
use metal_net::sysctl::arp_ignore;

/// How often they are read: nothing tells when they change.
pub(crate) const PAUSE: Duration = Duration::from_secs(2);

/// What they are on these links. A link that is gone meanwhile is left out: netlink says so.
pub(crate) fn read(links: impl Iterator<Item = (LinkIndex, String)>) -> Vec<Input<'static>> {
    links.filter_map(|(link, name)| Some(Input::ArpIgnore(link, arp_ignore(&name).ok()?))).collect()
}
