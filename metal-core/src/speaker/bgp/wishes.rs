//! The communities that a Service asks for, within what advertisements allow.

use alloc::{
    collections::BTreeSet,
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::RefusedCommunity;
use crate::{
    config::{
        Snapshot,
        bgp::{Advertisement, Community},
    },
    view::Service,
};

/// How many communities a Service may ask for: all attributes of a route have to fit one message.
pub const MAX_COMMUNITIES: usize = 32;

/// What a Service asks for, and what has come of it.
#[derive(Debug)]
pub(super) struct Wishes<'a> {
    wanted: Vec<(&'a str, Community)>,
    refused: Vec<RefusedCommunity>,
    granted: BTreeSet<Community>,
    /// An advertisement was asked.
    asked: bool,
}

impl<'a> Wishes<'a> {
    /// What `service` asks for.
    pub(super) fn of(snapshot: &Snapshot, service: &'a Service) -> Self {
        let (mut wanted, mut refused) = (Vec::new(), Vec::new());
        for (index, text) in service.communities.iter().enumerate() {
            let community = if index >= MAX_COMMUNITIES {
                Err(format!("a Service may ask for {MAX_COMMUNITIES} communities at most"))
            } else if text.contains(':') {
                text.parse::<Community>().map_err(|error| error.to_string())
            } else {
                snapshot.bgp().community(text).ok_or_else(|| "no Community defines this name".into())
            };
            match community {
                Ok(community) => wanted.push((text.as_str(), community)),
                Err(reason) => refused.push(RefusedCommunity { community: text.clone(), reason }),
            }
        }
        Self { wanted, refused, granted: BTreeSet::new(), asked: false }
    }

    /// What `advertisement` gives of it.
    pub(super) fn grant(&mut self, advertisement: &Advertisement) -> Vec<Community> {
        self.asked = true;
        let wanted = self.wanted.iter().map(|(_, community)| *community);
        let granted: Vec<_> = wanted.filter(|community| advertisement.allows(*community)).collect();
        self.granted.extend(&granted);
        granted
    }

    /// What comes of nothing. Not to be allowed is told where anything is announced at all.
    pub(super) fn refused(self) -> Vec<RefusedCommunity> {
        let Self { wanted, mut refused, granted, asked } = self;
        let barred = wanted.into_iter().filter(|(_, community)| asked && !granted.contains(community));
        refused.extend(barred.map(|(text, _)| RefusedCommunity {
            community: String::from(text),
            reason: "no BGPAdvertisement that applies allows it (allowedServiceCommunities)".into(),
        }));
        refused
    }
}
