//! The resources of BGP: peers, advertisements, communities by name, profiles of BFD.
//!
//! They follow the rules of all [configuration](crate::config): each is judged on its own, and a bad one stays in force
//! in its last good version. Where one needs another (a peer its BFD profile, an advertisement a community by name), it
//! takes over the other's value, and keeps it when the other is gone.
//!
//! What fits only in part is refused in that part: an advertisement is not applied to a pool that its prefixes would
//! reach beyond, and a peer that it names has to exist to be announced to.

mod advertisement;
mod bfd;
mod community;
mod legacy;
mod pattern;
mod peer;
mod snapshot;
mod source;
mod spec;
mod stand;
#[cfg(test)]
mod tests;

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec::Vec,
};

pub use advertisement::{Advertisement, Attributes};
pub use bfd::BfdProfile;
pub use community::{Community, CommunityError};
pub use pattern::CommunityPattern;
pub use peer::{
    AsnSource, ConnectionMode, NodeKey, Password, Peer, PeerAsn, PeerTemplate, Router, RouterSource,
};
pub use snapshot::Snapshot;
pub use source::Source;
pub use spec::{
    AdvertisementSpec, BfdProfileSpec, CommunitySpec, FromNode, PeerSpec, Secret, SecretReference,
};

use crate::{
    config::{ObjectRef, Refusal, check::refusal, snapshot::Snapshot as Pools},
    name::{PeerName, PoolName},
    view::Created,
};
use community::Aliases;
use source::Path;
use stand::Stand;

/// All resources of BGP, judged.
#[derive(Debug, Default)]
pub(super) struct Objects {
    communities: Stand<Aliases, Aliases>,
    profiles: Stand<BfdProfile, BfdProfile>,
    peers: Stand<peer::Draft, PeerTemplate>,
    advertisements: Stand<advertisement::Draft, Advertisement>,
    /// What of objects in force has no effect, and why.
    remarks: BTreeMap<ObjectRef, Vec<Refusal>>,
    stale: bool,
}

/// What came of a change.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Objects of which something else is to be told now.
    pub told: BTreeSet<ObjectRef>,
    /// Peers that came, changed or went.
    pub peers: BTreeSet<PeerName>,
    /// Pools whose advertisements came, changed or went.
    pub advertised: BTreeSet<PoolName>,
    /// Something else may come of what Services say themselves.
    pub wishes: bool,
}

impl Objects {
    /// Takes a `BGPPeer`.
    pub(super) fn judge_peer(&mut self, object: &ObjectRef, created: Created, spec: PeerSpec) {
        self.stale = true;
        let source = Source::whole(object);
        let peer = peer::judge(PeerName::from(&*object.name), source.clone(), created, spec, &Path::spec());
        self.peers.set(source, created, peer);
    }

    /// Takes a `BGPAdvertisement`.
    pub(super) fn judge_advertisement(
        &mut self,
        object: &ObjectRef,
        created: Created,
        spec: AdvertisementSpec,
    ) {
        self.stale = true;
        let source = Source::whole(object);
        let advertisement = advertisement::judge(source.clone(), spec, &Path::spec());
        self.advertisements.set(source, created, advertisement);
    }

    /// Takes a `Community`.
    pub(super) fn judge_community(&mut self, object: &ObjectRef, created: Created, spec: &CommunitySpec) {
        self.stale = true;
        let aliases = community::judge(spec, |index, _| {
            let field = format!("spec.communities[{index}]");
            (format!("{field}.name"), format!("{field}.value"))
        });
        self.communities.set(Source::whole(object), created, aliases);
    }

    /// Takes a `BFDProfile`.
    pub(super) fn judge_profile(&mut self, object: &ObjectRef, created: Created, spec: &BfdProfileSpec) {
        self.stale = true;
        let profile = bfd::judge(&object.name, spec, &Path::spec());
        self.profiles.set(Source::whole(object), created, profile);
    }

    /// Forgets an object.
    pub(super) fn forget(&mut self, object: &ObjectRef) {
        self.keep_only(object, &BTreeSet::new());
    }

    /// Pools came, changed or went.
    pub(super) const fn pools_changed(&mut self) {
        self.stale = true;
    }

    /// Whether anything of `object` is in force.
    pub(super) fn has(&self, object: &ObjectRef) -> bool {
        self.communities.has(object)
            || self.profiles.has(object)
            || self.peers.has(object)
            || self.advertisements.has(object)
    }

    /// What is wrong with `object`.
    pub(super) fn refusals(&self, object: &ObjectRef) -> Vec<Refusal> {
        let own = self.communities.refusals(object).chain(self.profiles.refusals(object));
        let own = own.chain(self.peers.refusals(object)).chain(self.advertisements.refusals(object));
        own.chain(self.remarks.get(object).into_iter().flatten().cloned()).collect()
    }

    /// Puts in force whatever can be, and says so in `snapshot`. At the start those of `accepted` come first, which
    /// were in force before a restart.
    pub(super) fn settle(&mut self, snapshot: &mut Pools, accepted: Option<&BTreeSet<ObjectRef>>) -> Settled {
        let mut settled = Settled::default();
        if !core::mem::take(&mut self.stale) {
            return settled;
        }
        for among in accepted.map(Some).into_iter().chain([None]) {
            settled.told.append(&mut self.settle_stands(among));
        }
        let peers = self.peers.in_force().map(|(_, peer)| peer.clone());
        let advertisements = self.advertisements.in_force();
        let advertisements = advertisements.map(|(source, entry)| (source.clone(), entry.clone()));
        let communities = self.communities.in_force().flat_map(|(_, aliases)| aliases.iter());
        let communities = communities.map(|(name, value)| (name.into(), value)).collect();
        let (mut bgp, misfits) = Snapshot::new(peers, advertisements.collect(), communities, snapshot);
        core::mem::swap(snapshot.bgp_mut(), &mut bgp);
        (settled.peers, settled.advertised) = snapshot.bgp().difference(&bgp);
        settled.wishes = snapshot.bgp().grants_differ(&bgp);

        let mut remarks: BTreeMap<ObjectRef, Vec<Refusal>> = BTreeMap::new();
        for (object, remark) in misfits.into_iter().chain(unknown_peers(snapshot.bgp())) {
            remarks.entry(object).or_default().push(remark);
        }
        let both = self.remarks.keys().chain(remarks.keys());
        let differs = |object: &&ObjectRef| self.remarks.get(*object) != remarks.get(*object);
        settled.told.extend(both.filter(differs).cloned());
        self.remarks = remarks;
        settled
    }

    fn settle_stands(&mut self, among: Option<&BTreeSet<ObjectRef>>) -> BTreeSet<ObjectRef> {
        let Self { communities, profiles, peers, advertisements, .. } = self;
        let mut told = communities.settle(
            among,
            |draft| Ok(draft.clone()),
            |one, source, other| one.clash(source, other),
        );
        told.append(&mut profiles.settle(
            among,
            |draft| Ok(draft.clone()),
            |one, source, other| one.clash(source, other),
        ));
        let by_name: BTreeMap<&str, _> =
            profiles.in_force().map(|(_, profile)| (profile.name.as_str(), profile)).collect();
        told.append(&mut peers.settle(
            among,
            |draft| draft.resolve(|name| by_name.get(name).map(|profile| (*profile).clone())),
            |one, source, other| one.clash(source, other),
        ));
        let aliases: BTreeMap<&str, Community> =
            communities.in_force().flat_map(|(_, aliases)| aliases.iter()).collect();
        told.append(&mut advertisements.settle(among, |draft| draft.resolve(&aliases), |_, _, _| None));
        told
    }

    /// Forgets what `object` does not have any more: all but `sources`.
    fn keep_only(&mut self, object: &ObjectRef, sources: &BTreeSet<Source>) {
        self.stale |= self.communities.keep_only(object, sources);
        self.stale |= self.profiles.keep_only(object, sources);
        self.stale |= self.peers.keep_only(object, sources);
        self.stale |= self.advertisements.keep_only(object, sources);
    }
}

/// Peers that advertisements name and that are not there.
fn unknown_peers(snapshot: &Snapshot) -> Vec<(ObjectRef, Refusal)> {
    let mut remarks = Vec::new();
    for advertisement in snapshot.advertisements() {
        for name in advertisement.peers.iter().filter(|name| snapshot.peer(name).is_none()) {
            let message =
                format!("there is no BGPPeer {name}, or it was refused: nothing is announced to it");
            remarks.push((
                advertisement.source.object.clone(),
                refusal(advertisement.path().of("peers"), message),
            ));
        }
    }
    remarks
}

/// What an old ConfigMap says beside its pools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Legacy {
    /// `peers`.
    pub peers: Vec<PeerSpec>,
    /// `bgp-communities`: names and values.
    pub communities: CommunitySpec,
    /// `bfd-profiles`: names and values.
    pub bfd_profiles: Vec<(String, BfdProfileSpec)>,
}
