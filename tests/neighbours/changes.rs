//! What is changed on a node while it runs is followed at once.

use metal_core::view::Mac;
use metal_tests::wait::{ensure, wait_for};

use crate::{
    host::mac_text,
    lan::{DEADLINE, Lan, VIPS, node_mac},
};

#[test]
fn down_and_up() {
    let mut lan = Lan::build(1);
    lan.start_daemons("");
    let wire = lan.wire();
    for _ in 0..3 {
        lan.node(1).network.set_down("eth0").expect("a link");
        for vip in VIPS {
            assert_eq!(wire.answers(vip), [] as [Mac; 0], "{vip}");
        }
        lan.node(1).network.set_up("eth0").expect("a link");
        VIPS.iter().for_each(|vip| assert_eq!(wire.await_answer(*vip).0, node_mac(1)));
    }
}

#[test]
fn another_ethernet_address_is_announced() {
    let lan = Lan::start(1);
    VIPS.iter().for_each(|vip| _ = lan.owner(*vip));
    let mac: Mac = [2, 0, 0, 0, 7, 1];
    lan.node(1).network.set_mac("eth0", mac).expect("another address");
    // The client asks for nothing: it is told.
    for vip in VIPS {
        wait_for("the new Ethernet address in the client's cache", DEADLINE, || {
            ensure(lan.client.cached(vip) == Some(mac_text(mac)), || lan.client.neighbour(vip))
        });
        assert_eq!(lan.wire().answers(vip), [mac], "{vip}");
    }
}

#[test]
fn another_name_counts_for_the_advertisement() {
    let mut lan = Lan::build(1);
    lan.start_daemons("  interfaces: [eth0]\n");
    let wire = lan.wire();
    let rename = |from, to| {
        let network = &lan.node(1).network;
        // Not every kernel renames a link that is up.
        network.set_down(from).expect("a link");
        network.rename(from, to).expect("another name");
        network.set_up(to).expect("a link");
    };
    rename("eth0", "lan0");
    wait_for("silence on a link that the advertisement does not name", DEADLINE, || {
        let answers: Vec<Mac> = VIPS.iter().flat_map(|vip| wire.answers(*vip)).collect();
        ensure(answers.is_empty() && lan.log(1).contains("lan0"), || {
            format!("{answers:02x?}; {}", lan.log(1))
        })
    });
    rename("lan0", "eth0");
    VIPS.iter().for_each(|vip| assert_eq!(wire.await_answer(*vip).0, node_mac(1)));
}

#[test]
fn another_subnet_does_not_silence_the_only_link() {
    let lan = Lan::start(1);
    let wire = lan.wire();
    for command in ["address flush dev eth0 scope global", "address add 203.0.113.7/24 dev eth0"] {
        lan.node(1).ip(command);
        for vip in VIPS {
            assert_eq!(wire.answers(vip), [node_mac(1)], "{vip} after {command}");
        }
    }
    // Among two nodes the one whose subnet has the address is preferred: see the simulation.
    lan.node(1).number("eth0", 1);
    VIPS.iter().for_each(|vip| assert_eq!(lan.connect(*vip), 1));
}

#[test]
fn a_link_that_is_made_while_the_speaker_runs_takes_part() {
    let mut lan = Lan::build(1);
    lan.start_daemons("  interfaces: [eth0]\n");
    let wire = lan.wire();
    lan.switch.network.delete("node1").expect("deleted");
    for vip in VIPS {
        assert_eq!(wire.answers(vip), [] as [Mac; 0], "{vip}");
    }
    // Another card under the same name.
    let mac = [2, 0, 0, 0, 9, 1];
    lan.node(1).plug_in(&lan.switch, "eth0", mac);
    VIPS.iter().for_each(|vip| assert_eq!(wire.await_answer(*vip).0, mac));
}
