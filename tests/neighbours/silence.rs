//! Where nothing may be answered.

use metal_core::view::Mac;

use crate::{
    lan::{Lan, VIPS, node_mac},
    wire::{Wire, tagged},
};

const NOBODY: [Mac; 0] = [];

/// A tag of a VLAN that the link does not have means another network.
#[test]
fn frames_of_another_vlan_get_no_answer() {
    let lan = Lan::start(1);
    lan.settle();
    let wire = lan.wire();
    match lan
        .node(1)
        .try_run("ip", &["link", "add", "link", "eth0", "name", "test.9", "type", "vlan", "id", "9"])
    {
        Ok(_) => println!("this kernel has VLAN devices"),
        Err(error) => println!("this kernel has no VLAN devices: {error}"),
    }
    for vip in VIPS {
        for (protocol, vlan) in [(0x8100, 7), (0x8100, 4094), (0x88a8, 7), (0x9100, 7)] {
            let frame = tagged(&wire.question(vip), protocol, vlan);
            assert_eq!(wire.answers_to(&frame, vip), NOBODY, "{vip}, VLAN {vlan} by {protocol:#06x}");
        }
        let frame = tagged(&tagged(&wire.question(vip), 0x8100, 7), 0x88a8, 8);
        assert_eq!(wire.answers_to(&frame, vip), NOBODY, "{vip}, a VLAN in a VLAN");
        // VLAN 0 is none at all, only a priority (IEEE 802.1Q 6.9): the kernel answers it as well.
        let frame = tagged(&wire.question(vip), 0x8100, 0xe000);
        assert_eq!(wire.answers_to(&frame, vip), [node_mac(1)], "{vip}, a priority");
        assert_eq!(wire.answers(vip), [node_mac(1)], "{vip}");
    }
}

/// A link that is a port of a bridge has no network of its own: the bridge has.
#[test]
fn a_port_of_a_bridge_is_silent_and_the_bridge_answers() {
    let mut lan = Lan::build(1);
    let bridge: Mac = [2, 0, 0, 0, 5, 1];
    {
        let node = lan.node(1);
        node.ip("address flush dev eth0 scope global");
        node.network.add_bridge("br0").expect("a bridge");
        node.network.set_mac("br0", bridge).expect("an Ethernet address");
        node.network.set_bridge("eth0", Some("br0")).expect("a port");
        node.number("br0", 1);
    }
    lan.start_daemons("");
    let wire = lan.wire();
    for vip in VIPS {
        wire.await_answer(vip);
        for _ in 0..5 {
            assert_eq!(wire.answers(vip), [bridge], "{vip}");
        }
    }
    // Out of the bridge and into it while the speaker runs.
    lan.node(1).network.set_bridge("eth0", None).expect("no port");
    VIPS.iter().for_each(|vip| assert_eq!(wire.await_answer(*vip).0, node_mac(1)));
    lan.node(1).network.set_bridge("eth0", Some("br0")).expect("a port");
    for vip in VIPS {
        metal_tests::wait::wait_for("the bridge to answer alone", crate::lan::DEADLINE, || {
            let answers = wire.answers(vip);
            metal_tests::wait::ensure(answers == [bridge], || format!("{vip}: {answers:02x?}"))
        });
    }
}

/// The node's end of a Pod's link is no LAN, whatever it is asked there.
#[test]
fn a_pod_gets_no_answer_on_its_own_link() {
    let lan = Lan::start(1);
    let pod = crate::host::Host::new("pod");
    for link in ["veth1234", "cali1234"] {
        lan.node(1).network.add_veth(link, &pod.namespace, link).expect("a veth pair");
        lan.node(1).network.set_up(link).expect("up");
        pod.network.set_up(link).expect("up");
        let wire = Wire::open(&pod, link);
        for vip in VIPS {
            assert_eq!(wire.answers(vip), NOBODY, "{vip} on {link}");
        }
    }
    VIPS.iter().for_each(|vip| assert_eq!(lan.wire().answers(*vip), [node_mac(1)]));
}
