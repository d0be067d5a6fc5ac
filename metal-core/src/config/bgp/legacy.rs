//! What the ConfigMap of MetalLB before 0.13 says about BGP.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec::Vec,
};

use super::{
    AdvertisementSpec, Legacy, Objects, PeerSpec, Source, advertisement, bfd, community, peer, source::Path,
};
use crate::{
    config::ObjectRef,
    name::{PeerName, PoolName},
    view::Created,
};

impl Objects {
    /// Takes what a ConfigMap says beside its pools, and how its pools of protocol `bgp` are announced.
    pub(in crate::config) fn judge_legacy(
        &mut self,
        object: &ObjectRef,
        created: Created,
        legacy: Legacy,
        pools: Vec<(usize, PoolName, Vec<AdvertisementSpec>)>,
    ) {
        self.stale = true;
        let mut sources = BTreeSet::new();
        let mut source = |part: &str| {
            let source = Source::part(object, part);
            sources.insert(source.clone());
            source
        };
        let Legacy { peers, communities, bfd_profiles } = legacy;
        if !communities.aliases.is_empty() {
            let aliases = community::judge(&communities, |_, name| {
                let field = format!("bgp-communities.{name}");
                (field.clone(), field)
            });
            self.communities.set(source("bgp-communities"), created, aliases);
        }
        for (index, (name, spec)) in bfd_profiles.into_iter().enumerate() {
            let profile = bfd::judge(&name, &spec, &Path::legacy(&format!("bfd-profiles[{index}]")));
            self.profiles.set(source(&format!("bfd-profiles/{name}")), created, profile);
        }
        let mut seen = BTreeMap::new();
        for (index, spec) in peers.into_iter().enumerate() {
            let part = format!("peers/{}", label(&spec, &mut seen));
            let name = PeerName::from(format!("{}/{part}", object.name));
            let source = source(&part);
            let peer =
                peer::judge(name, source.clone(), created, spec, &Path::legacy(&format!("peers[{index}]")));
            self.peers.set(source, created, peer);
        }
        for (number, pool, mut specs) in pools {
            if specs.is_empty() {
                // A pool without them is announced as it is.
                specs.push(AdvertisementSpec::default());
            }
            for (index, mut spec) in specs.into_iter().enumerate() {
                spec.pools = Vec::from([String::from(pool.as_str())]);
                let path = Path::legacy(&format!("address-pools[{number}].bgp-advertisements[{index}]"));
                let source = source(&format!("address-pools/{pool}/{index}"));
                let advertisement = advertisement::judge(source.clone(), spec, &path);
                self.advertisements.set(source, created, advertisement);
            }
        }
        self.keep_only(object, &sources);
    }
}

/// What a peer is called that has no name: its address, so that it is the same one wherever it stands in the list.
fn label(spec: &PeerSpec, seen: &mut BTreeMap<String, usize>) -> String {
    let mut label = spec.peer_address.clone().unwrap_or_default();
    if let Some(port) = spec.peer_port.filter(|port| !matches!(port, 0 | 179)) {
        label = format!("{label}:{port}");
    }
    let times = seen.entry(label.clone()).or_insert(0);
    *times += 1;
    if *times > 1 { format!("{label}#{times}") } else { label }
}
