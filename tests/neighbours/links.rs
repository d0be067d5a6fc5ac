//! Several links, and links that come and go.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use k8s_openapi::jiff::Timestamp;
use metal_tests::wait::{ensure, wait_for};

use crate::{
    host::{descriptors, proc},
    lan::{DEADLINE, Lan, VIPS, node_mac},
};

/// The group of the IPv6 address's solicitations, as /proc/net/igmp6 has it.
const GROUP: &str = "ff0200000000000000000001ffaa00c8";

/// Only one node may announce; the other speaker is a witness that the first one finds the LAN again.
const FIRST_NODE_ONLY: &str = "  nodeSelectors: [{matchLabels: {kubernetes.io/hostname: node1}}]\n";

#[test]
fn a_network_card_that_is_deleted_and_made_again_answers_soon_and_leaks_nothing() {
    const TIMES: usize = 100;
    let mut lan = Lan::build(2);
    lan.start_daemons(FIRST_NODE_ONLY);
    let wire = lan.wire();
    let process = lan.speaker(1).id();
    let held = || {
        let sockets = proc(process, "net/packet").lines().count();
        let groups = proc(process, "net/igmp6");
        let groups: Vec<_> = groups.lines().filter(|line| line.contains("eth0")).collect();
        let own = groups.iter().filter(|line| line.contains(GROUP)).count();
        (descriptors(process), sockets, groups.len(), own)
    };
    VIPS.iter().for_each(|vip| _ = wire.await_answer(*vip));
    let before = held();
    assert_eq!(before.3, 1, "a membership");
    let mut times = Vec::new();
    for number in 0..TIMES {
        lan.switch.network.delete("node1").expect("deleted");
        let made = Instant::now();
        lan.node(1).plug_in(&lan.switch, "eth0", node_mac(1));
        let begin = Instant::now();
        for vip in VIPS {
            let (mac, _) = wire.await_answer(vip);
            assert_eq!(mac, node_mac(1));
        }
        let took = begin.elapsed();
        assert!(
            took < Duration::from_millis(500),
            "time {number}: answers {took:?} after the link was up, which took {:?}",
            begin - made
        );
        times.push(took);
    }
    times.sort_unstable();
    println!(
        "{TIMES} times: answers after {:?} (median), {:?} (longest)",
        times[TIMES / 2],
        times[TIMES - 1]
    );
    // The last takeover may still be under way.
    wait_for("nothing more to be held than before", DEADLINE, || {
        ensure(held() == before, || format!("{:?} instead of {before:?}", held()))
    });
    // The way back to the client went with the card.
    lan.node(1).number("eth0", 1);
    VIPS.iter().for_each(|vip| assert_eq!(lan.connect(*vip), 1));
}

#[test]
fn two_links_in_one_subnet_give_one_answer() {
    let mut lan = Lan::build(2);
    for node in [1, 2] {
        let host = lan.node(node);
        let last = u8::try_from(node).expect("few nodes");
        host.plug_in(&lan.switch, "eth1", [2, 0, 0, 0, 1, last]);
        host.number("eth1", 10 + last);
    }
    lan.start_daemons("");
    lan.settle();
    let wire = lan.wire();
    for vip in VIPS {
        let (first, _) = wire.await_answer(vip);
        for _ in 0..5 {
            let question = wire.question(vip);
            assert_eq!(wire.answers_to(&question, vip), [first], "{vip}");
        }
    }
    let said = lan.client.run("arping", &["-b", "-c", "2", "-I", "eth0", "192.168.50.200"]);
    assert!(said.contains("Received 2 response(s)"), "{said}");
    let said = lan.client.run("arping", &["-c", "2", "-I", "eth0", "192.168.50.200"]);
    assert!(said.contains("Received 2 response(s)"), "{said}");
    // Whichever link answered, another one takes over from it, alone again.
    for vip in VIPS {
        let (first, _) = wire.await_answer(vip);
        let link = if first[4] == 0 { "eth0" } else { "eth1" };
        let port = lan.node(first[5].into()).port(link);
        lan.switch.network.set_down(&port).expect("a port");
        wait_for("one answer from another link", DEADLINE, || {
            let answers = wire.answers(vip);
            ensure(answers.len() == 1 && answers[0] != first, || format!("{answers:02x?}"))
        });
        let (second, _) = wire.await_answer(vip);
        let all: BTreeSet<_> = (0..5).flat_map(|_| wire.answers(vip)).collect();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), [second], "{vip}");
        lan.switch.network.set_up(&port).expect("a port");
    }
}

#[test]
fn the_loss_of_the_carrier_is_reported_at_once() {
    let mut lan = Lan::build(1);
    lan.start_daemons("");
    let mut times = Vec::new();
    for _ in 0..10 {
        let before = unix_time();
        lan.set_port(1, false);
        let told = wait_for("a word about it in the log", DEADLINE, || {
            let log = lan.log(1);
            let words =
                log.lines().filter(|line| line.contains("eth0") && line.contains("it has no carrier"));
            words.map(written_at).find(|told| *told >= before).ok_or(log.clone())
        });
        times.push(told.saturating_sub(before));
        lan.set_port(1, true);
        VIPS.iter().for_each(|vip| _ = lan.wire().await_answer(*vip));
    }
    times.sort_unstable();
    println!("carrier loss was in the log after {:?} (median), {:?} (longest)", times[5], times[9]);
    // For a busy machine; docs/benchmarks.md has what was measured.
    assert!(times[9] < Duration::from_secs(1), "{times:?}");
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}

/// When a line of a log was written, by the clock of the machine.
fn written_at(line: &str) -> Duration {
    let time = line.split_whitespace().next().and_then(|time| time.parse::<Timestamp>().ok());
    let time = time.unwrap_or_else(|| panic!("no time: {line}")).as_duration();
    Duration::try_from(time).expect("after 1970")
}
