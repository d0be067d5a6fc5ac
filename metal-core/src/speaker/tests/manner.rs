//! What several advertisements say together, and what becomes of it.

use super::*;

/// An advertisement of this name that says this.
fn said(name: &str, interfaces: &[&str], refresh: Option<&str>, receive: Option<&str>) -> Input<'static> {
    let spec = L2AdvertisementSpec {
        interfaces: interfaces.iter().map(ToString::to_string).collect(),
        refresh_interval: refresh.map(Into::into),
        receive_mode: receive.map(Into::into),
        ..L2AdvertisementSpec::default()
    };
    let object = ObjectRef { kind: "L2Advertisement", namespace: "metallb-system".into(), name: name.into() };
    let spec = Spec::L2Advertisement(spec);
    Input::Config(
        object,
        Some(Object { created: None, labels: Labels::new(), spec, status: ObjectStatus::default() }),
    )
}

/// The refresh intervals that were told, in seconds.
fn refreshes(rig: &mut Rig) -> Vec<Option<u64>> {
    let refresh = |output: &Output| match output {
        Output::Own { duty, .. } => Some(duty.and_then(|duty| duty.refresh).map(|time| time.as_secs())),
        _ => None,
    };
    rig.take().iter().filter_map(refresh).collect()
}

fn modes(rig: &mut Rig) -> Vec<(LinkIndex, ReceiveMode)> {
    let mode = |output: &Output| match output {
        Output::ReceiveMode { link, mode } => Some((*link, *mode)),
        _ => None,
    };
    rig.take().iter().filter_map(mode).collect()
}

/// The reasons in the last list of findings, each with its message.
fn findings(rig: &mut Rig) -> Vec<(Reason, String)> {
    let list = |output: &Output| match output {
        Output::Findings(found) => Some(found.clone()),
        _ => None,
    };
    let last = rig.take().iter().filter_map(list).next_back().expect("a list");
    last.into_iter().map(|found| (found.finding.reason, found.finding.message)).collect()
}

#[test]
fn a_refresh_interval_counts_at_once_and_asks_for_nothing_again() {
    let mut rig = Rig::serving();
    assert_eq!(refreshes(&mut rig), [Some(60)]);
    rig.tell([said("first", &[], Some("10s"), None)]);
    rig.run(1_000);
    assert_eq!(refreshes(&mut rig), [Some(10)]);
    rig.tell([said("first", &[], Some("0s"), None)]);
    rig.run(1_000);
    assert_eq!(refreshes(&mut rig), [None]);
    // The same again, of another interface, of another family of words.
    rig.tell([said("first", &[], Some("0h"), None), said("second", &["eth9"], Some("5s"), None)]);
    rig.run(1_000);
    assert_eq!(refreshes(&mut rig), []);
    rig.tell([said("second", &["eth*", "!eth9"], Some("5s"), None)]);
    rig.run(1_000);
    assert_eq!(refreshes(&mut rig), [Some(5)]);
    // Who hands over says nothing more about it.
    rig.tell([Input::Stop]);
    assert_eq!(refreshes(&mut rig), [None]);
}

#[test]
fn advertisements_that_disagree_are_told_with_what_counts() {
    let mut rig = Rig::serving();
    rig.take();
    rig.tell([
        said("first", &[], Some("30s"), Some("AllMulti")),
        said("second", &[], Some("10s"), Some("Promisc")),
        said("third", &[], None, None),
    ]);
    rig.run(1_000);
    let message = "the L2Advertisements that apply do not agree; announced all the same on refreshInterval: 10s counts, \
                   the shortest; receiveMode: Promisc counts, the strongest; make them agree: L2Advertisement \
                   metallb-system/first, L2Advertisement metallb-system/second";
    assert_eq!(findings(&mut rig), [(Reason::AdvertisementsDisagree, message.into())]);
    assert_eq!(rig.speaker.owned().count(), 1);
    rig.tell([said("second", &["eth1"], Some("10s"), Some("Promisc"))]);
    rig.run(1_000);
    assert_eq!(findings(&mut rig), []);
}

#[test]
fn the_mode_of_a_link_follows_its_advertisements_its_node_and_itself() {
    let mut rig = Rig::serving();
    assert_eq!(modes(&mut rig), []);
    rig.tell([said("first", &["eth*"], None, Some("AllMulti"))]);
    assert_eq!(modes(&mut rig), [(2, ReceiveMode::AllMulti)]);
    rig.tell([Input::Link(3, Some(Link { mac: [2, 0, 0, 0, 0, 2], ..nic("ens3") }))]);
    assert_eq!(modes(&mut rig), []);
    rig.tell([said("second", &[], None, Some("Promisc"))]);
    assert_eq!(modes(&mut rig), [(2, ReceiveMode::Promisc), (3, ReceiveMode::Promisc)]);
    // A link that returns starts without.
    rig.tell([Input::Link(3, None), Input::Link(3, Some(Link { mac: [2, 0, 0, 0, 0, 2], ..nic("eth1") }))]);
    assert_eq!(modes(&mut rig), [(3, ReceiveMode::Promisc)]);
    rig.tell([config_gone("second")]);
    assert_eq!(modes(&mut rig), [(2, ReceiveMode::AllMulti), (3, ReceiveMode::AllMulti)]);
    rig.tell([config_gone("first")]);
    assert_eq!(modes(&mut rig), [(2, ReceiveMode::Auto), (3, ReceiveMode::Auto)]);
}

fn config_gone(name: &str) -> Input<'static> {
    Input::Config(
        ObjectRef { kind: "L2Advertisement", namespace: "metallb-system".into(), name: name.into() },
        None,
    )
}

/// What goes out of one link comes in on the other: they are in one LAN.
#[test]
fn of_two_links_in_one_lan_one_owns() {
    let mut rig = Rig::new();
    rig.tell([
        Input::Link(2, Some(nic("eth0"))),
        Input::Link(3, Some(Link { mac: [2, 0, 0, 0, 0, 2], ..nic("eth1") })),
        Input::Key(KEY),
        Input::Node("n1".into(), Some(Node::default())),
        pool("10.0.0.0/24"),
        advertisement(&[]),
        service(&["10.0.0.1", "10.0.0.2"]),
        endpoints(),
        Input::Synced,
    ]);
    let mut owned = BTreeSet::new();
    let end = rig.now + Duration::from_secs(5);
    while let Some(next) = rig.speaker.poll_timeout().filter(|next| *next <= end) {
        rig.now = next.max(rig.now);
        let mut frames = Vec::new();
        for output in drain(&mut rig.speaker, rig.now) {
            match output {
                Output::Send { link, frame } => frames.push((5 - link, frame)),
                Output::Own { link, address, duty } => {
                    if duty.is_some() {
                        owned.insert((link, address));
                    } else {
                        owned.remove(&(link, address));
                    }
                    let mut addresses: Vec<_> = owned.iter().map(|(_, address)| *address).collect();
                    addresses.sort();
                    let both = addresses.windows(2).any(|pair| pair[0] == pair[1]);
                    assert!(!both, "an address is owned on both links at {}: {owned:?}", rig.now);
                }
                _ => {}
            }
        }
        for (link, frame) in frames {
            rig.speaker.handle_input(rig.now, Input::Frame { link, frame: &frame });
        }
    }
    let places: Vec<_> = owned.into_iter().map(|(link, _)| link).collect();
    assert_eq!(places, [2, 2]);
}
