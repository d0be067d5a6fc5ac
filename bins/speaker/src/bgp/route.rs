//! An announcement as the RIB-out takes it.

use std::sync::Arc;

use metal_bgp::{
    rib_out::{Audience, RouteSettings, aggregate::Contribution},
    wire::attribute::{Community, ExtendedCommunity, LargeCommunity},
};
use metal_core::{
    config::bgp::{self, Attributes},
    speaker::bgp::{Announcement, Audience as To},
};

/// What an announcement adds to the route of its prefix.
///
/// # Errors
/// In words, what of it cannot be said.
pub(super) fn contribution(announcement: &Announcement) -> Result<Contribution<Arc<str>>, String> {
    let route = settings(&announcement.attributes).check().map_err(|error| error.to_string())?;
    let to = match &announcement.to {
        To::All => Audience::All,
        To::Only(peers) => Audience::Only(peers.iter().map(|peer| peer.as_str().into()).collect()),
    };
    Ok(Contribution { address: announcement.address, length: announcement.prefix.prefix_len(), to, route })
}

fn settings(attributes: &Attributes) -> RouteSettings {
    let mut settings = RouteSettings {
        local_pref: attributes.local_pref,
        med: attributes.med,
        prepend: attributes.prepend,
        next_hop_v4: attributes.next_hop_v4,
        next_hop_v6: attributes.next_hop_v6,
        ..RouteSettings::default()
    };
    for community in &attributes.communities {
        match *community {
            bgp::Community::Standard(value) => settings.communities.push(Community(value)),
            bgp::Community::Large([global, local1, local2]) => {
                settings.large_communities.push(LargeCommunity { global, local1, local2 });
            }
            bgp::Community::Extended(value) => {
                settings.extended_communities.push(ExtendedCommunity(value.to_be_bytes()));
            }
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_community_finds_its_place() {
        let communities = ["64512:100", "large:64512:1:2", "extended:rt:64512:7"];
        let communities = communities.iter().map(|text| text.parse().unwrap()).collect();
        let settings = settings(&Attributes { communities, med: Some(7), ..Attributes::default() });
        assert_eq!(settings.communities, ["64512:100".parse().unwrap()]);
        assert_eq!(settings.large_communities, ["64512:1:2".parse().unwrap()]);
        assert_eq!(settings.extended_communities, [ExtendedCommunity([0, 2, 252, 0, 0, 0, 0, 7])]);
        assert_eq!(settings.med, Some(7));
    }
}
