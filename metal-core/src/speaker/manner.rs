//! How addresses are announced where several advertisements have a say.

use alloc::{collections::BTreeSet, format, string::String, vec::Vec};
use core::time::Duration;

use super::{Output, Speaker, l2::Carrier};
use crate::{
    config::{L2Advertisement, ReceiveMode},
    ownership::Place,
    selector::Labels,
    view::LinkIndex,
};

/// What comes of several advertisements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged<T> {
    /// What counts.
    pub value: T,
    /// They do not say the same. Those that say nothing agree with all.
    pub disagree: bool,
}

/// The usual time between two refreshes.
pub const REFRESH: Duration = Duration::from_secs(60);

/// How often neighbours are reminded of an address: the shortest interval counts. `None` is never.
pub fn refresh<'a>(advertisements: impl Iterator<Item = &'a L2Advertisement>) -> Merged<Option<Duration>> {
    let never = |said: Duration| if said.is_zero() { Duration::MAX } else { said };
    let said = advertisements.filter_map(|advertisement| advertisement.refresh.map(never));
    let Merged { value, disagree } = merge(said, Duration::min);
    let value = Some(value.unwrap_or(REFRESH)).filter(|value| *value != Duration::MAX);
    Merged { value, disagree }
}

/// Which frames an interface has to let in: the strongest mode counts.
pub fn receive<'a>(advertisements: impl Iterator<Item = &'a L2Advertisement>) -> Merged<ReceiveMode> {
    let said = advertisements.filter_map(|advertisement| advertisement.receive);
    let Merged { value, disagree } = merge(said, ReceiveMode::max);
    Merged { value: value.unwrap_or_default(), disagree }
}

fn merge<T: Copy + PartialEq>(said: impl Iterator<Item = T>, choose: fn(T, T) -> T) -> Merged<Option<T>> {
    said.fold(Merged { value: None, disagree: false }, |merged, next| Merged {
        value: Some(merged.value.map_or(next, |before| choose(before, next))),
        disagree: merged.disagree || merged.value.is_some_and(|before| before != next),
    })
}

impl Speaker {
    /// How often neighbours on a link are reminded of an address that these carry, and whether the advertisements
    /// disagree about that or about anything else.
    pub(super) fn refresh(&self, link: LinkIndex, carriers: &[Carrier<'_>]) -> Merged<Option<Duration>> {
        let all = || {
            let all = carriers.iter().flat_map(|carrier| carrier.advertisements.iter().copied());
            all.filter(|advertisement| self.applies(link, advertisement))
        };
        let refresh = refresh(all());
        Merged { disagree: refresh.disagree || receive(all()).disagree, ..refresh }
    }

    /// Tells how often neighbours are reminded of an address of ours, if that has changed since it was told.
    pub(super) fn tell_refresh(&mut self, place: Place) {
        let (link, address) = place;
        let Some(standing) = self.standings.get(&place).filter(|standing| standing.place.is_some()) else {
            return;
        };
        let refresh = standing.refresh.value;
        if let Some(told) = self.refreshes.get_mut(&place)
            && *told != refresh
        {
            *told = refresh;
            // What is being asked for goes on being asked for.
            let duty = Some(super::Duty { probe: true, refresh });
            self.outputs.push_back(Output::Own { link, address, duty });
        }
    }

    /// What the advertisements of an address of ours disagree about, for people.
    pub(super) fn disagreement(&self, place: Place) -> Option<String> {
        let (link, address) = place;
        self.standings.get(&place).filter(|standing| standing.refresh.disagree)?;
        let carriers = self.carriers(address);
        let all = carriers.iter().flat_map(|carrier| carrier.advertisements.iter().copied());
        let all: Vec<_> = all.filter(|advertisement| self.applies(link, advertisement)).collect();
        let (refresh, receive) = (refresh(all.iter().copied()), receive(all.iter().copied()));
        let mut said = Vec::new();
        if refresh.disagree {
            let counts = refresh.value.map_or_else(|| "never".into(), |value| format!("{value:?}"));
            said.push(format!("refreshInterval: {counts} counts, the shortest"));
        }
        if receive.disagree {
            said.push(format!("receiveMode: {} counts, the strongest", receive.value.as_str()));
        }
        let names: BTreeSet<_> = all
            .iter()
            .filter(|entry| entry.refresh.is_some() || entry.receive.is_some())
            .map(|entry| format!("{}", entry.object))
            .collect();
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        (!said.is_empty()).then(|| format!("{}; make them agree: {names}", said.join("; ")))
    }

    /// Tells which frames the links that take part have to let in, where that has changed.
    pub(super) fn decide_receive(&mut self) {
        let links = self.nics.iter().filter(|(_, nic)| nic.active).map(|(link, _)| *link);
        let wanted = |link| {
            let all = self.config.snapshot().advertisements().map(AsRef::as_ref);
            (link, receive(all.filter(|advertisement| self.applies(link, advertisement))).value)
        };
        for (link, mode) in links.map(wanted).collect::<Vec<_>>() {
            if self.receive_modes.insert(link, mode).unwrap_or_default() != mode {
                self.outputs.push_back(Output::ReceiveMode { link, mode });
            }
        }
    }

    /// Whether an advertisement has this node announce on a link.
    fn applies(&self, link: LinkIndex, advertisement: &L2Advertisement) -> bool {
        let Some(nic) = self.nics.get(&link) else { return false };
        let unknown = Labels::new();
        let labels = self.nodes.get(&self.setup.node).map_or(&unknown, |node| &node.labels);
        advertisement.admits_node(labels) && advertisement.admits_interface(&nic.link.name)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::config::{Configuration, L2AdvertisementSpec, Object, ObjectRef, Spec};

    /// Advertisements that say this, if anything.
    fn advertisements(said: &[(Option<&str>, Option<&str>)]) -> Vec<L2Advertisement> {
        let mut configuration = Configuration::new();
        configuration.synced();
        for (index, (refresh, receive)) in said.iter().enumerate() {
            let object = ObjectRef {
                kind: "L2Advertisement",
                namespace: "metallb-system".into(),
                name: alloc::format!("{index}").as_str().into(),
            };
            let spec = Spec::L2Advertisement(L2AdvertisementSpec {
                refresh_interval: refresh.map(Into::into),
                receive_mode: receive.map(Into::into),
                ..L2AdvertisementSpec::default()
            });
            configuration.apply(object, Some(Object { spec, ..object_without() }));
        }
        configuration.snapshot().advertisements().map(|found| (**found).clone()).collect()
    }

    fn object_without() -> Object {
        Object {
            created: Default::default(),
            labels: Default::default(),
            spec: Spec::L2Advertisement(L2AdvertisementSpec::default()),
            status: Default::default(),
        }
    }

    #[test]
    fn the_shortest_refresh_counts() {
        let merged = |said: &[Option<&str>]| {
            let said: Vec<_> = said.iter().map(|refresh| (*refresh, None)).collect();
            let Merged { value, disagree } = refresh(advertisements(&said).iter());
            (value.map(|value| value.as_secs()), disagree)
        };
        assert_eq!(merged(&[]), (Some(60), false));
        assert_eq!(merged(&[None, None]), (Some(60), false));
        assert_eq!(merged(&[None, Some("5m")]), (Some(300), false));
        assert_eq!(merged(&[Some("0s"), None]), (None, false));
        assert_eq!(merged(&[Some("30s"), Some("0.5m")]), (Some(30), false));
        assert_eq!(merged(&[Some("30s"), Some("10s"), Some("30s")]), (Some(10), true));
        assert_eq!(merged(&[Some("0s"), Some("2m")]), (Some(120), true));
    }

    #[test]
    fn the_strongest_mode_counts() {
        let merged = |said: &[Option<&str>]| {
            let said: Vec<_> = said.iter().map(|mode| (None, *mode)).collect();
            let Merged { value, disagree } = receive(advertisements(&said).iter());
            (value.as_str(), disagree)
        };
        assert_eq!(merged(&[]), ("Auto", false));
        assert_eq!(merged(&[None, Some("AllMulti")]), ("AllMulti", false));
        assert_eq!(merged(&[Some("Promisc"), Some("Promisc")]), ("Promisc", false));
        assert_eq!(merged(&[Some("Promisc"), Some("Auto"), Some("AllMulti")]), ("Promisc", true));
    }
}
