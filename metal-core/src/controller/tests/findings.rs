//! What speakers find out about addresses.

use alloc::vec;

use super::*;
use crate::{finding::Finding, speaker::Reason};

impl World {
    /// What a speaker says in place of what it said before.
    fn find(&mut self, node: &str, findings: &[Finding]) {
        let object = ObjectRef {
            kind: "ConfigurationState",
            namespace: "metallb-system".into(),
            name: format!("speaker-{node}").as_str().into(),
        };
        let findings = findings.to_vec();
        let network = Network { speaker: Some(node.into()), findings, ..Network::default() };
        self.networks.insert(object.clone(), network.clone());
        self.input(Input::Network(object, Some(network)));
    }
}

fn found(reason: Reason, service: &str, address: &str) -> Finding {
    Finding {
        service: key(service),
        address: at(address),
        interface: "eth0".into(),
        reason,
        announced: true,
        replaceable: false,
        message: format!("{} on {address}", reason.code()),
    }
}

/// A stranger objected before the first announcement.
fn objected(service: &str, address: &str) -> Finding {
    Finding { announced: false, replaceable: true, ..found(Reason::AddressConflict, service, address) }
}

#[test]
fn a_service_leaves_an_address_to_a_stranger_before_it_was_announced() {
    let mut world = World::new(&[("a", "192.0.2.0/30")]);
    world.apply("web", service(1));
    world.run();
    world.find("n1", &[objected("web", "192.0.2.0")]);
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["web=192.0.2.1"], "one write");
    assert_eq!(
        events(&outputs),
        [
            "web: AddressConflict!: AddressConflict on 192.0.2.0; the Service gets 192.0.2.1 instead",
            "web: IPAllocated: Assigned IP [\"192.0.2.1\"]"
        ]
    );
    assert_eq!(world.announced("web"), "");
    // Nobody else gets it by chance while it is reported and ten minutes longer, but whoever asks for it.
    world.find("n1", &[]);
    for name in ["two", "three", "four"] {
        world.apply(name, service(2));
    }
    assert_eq!(assigned(&world.run()), ["four=192.0.2.2", "three=192.0.2.3", "two="]);
    assert!(
        world.condition("two").contains("1 kept for nodes, routers and strangers"),
        "{}",
        world.condition("two")
    );
    assert_eq!(assigned(&world.pass(599)), [""; 0]);
    assert_eq!(assigned(&world.pass(1)), ["two=192.0.2.0"]);
    world.delete("two");
    world.find("n1", &[objected("two", "192.0.2.0")]);
    world.apply("asks", asking_for(3, &["192.0.2.0"], None));
    assert_eq!(assigned(&world.run()), ["asks=192.0.2.0"]);
}

#[test]
fn whoever_asks_for_an_address_keeps_it_and_says_what_is_wrong() {
    let mut world = World::new(&[("a", "192.0.2.0/30")]);
    world.apply("web", asking_for(1, &["192.0.2.2"], None));
    world.run();
    world.find("n1", &[objected("web", "192.0.2.2")]);
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["web=192.0.2.2"]);
    let says = "AddressConflict on 192.0.2.2; the Service asks for this address and keeps it";
    assert_eq!(world.announced("web"), format!("False AddressConflict: {says}"));
    assert_eq!(world.condition("web"), "True Assigned: 192.0.2.2 from pool a");
    assert_eq!(events(&outputs), [format!("web: AddressConflict!: {says}")]);
    // Neither the same again nor a restart is news.
    world.find("n1", &[objected("web", "192.0.2.2")]);
    assert_eq!(world.run(), []);
    world.restart();
    let outputs = world.run();
    assert_eq!((assigned(&outputs), events(&outputs)), (vec![], vec![]));
    // It is over.
    world.find("n1", &[]);
    let outputs = world.run();
    assert_eq!((assigned(&outputs), events(&outputs)), (vec!["web=192.0.2.2".into()], vec![]));
    assert_eq!(world.announced("web"), "");
}

#[test]
fn what_is_announced_is_never_moved() {
    let mut world = World::new(&[("a", "192.0.2.0/30")]);
    world.apply("web", service(1));
    world.run();
    let defended = found(Reason::AddressConflict, "web", "192.0.2.0");
    world.find("n1", core::slice::from_ref(&defended));
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0"]);
    assert_eq!(world.announced("web"), "True AddressConflict: AddressConflict on 192.0.2.0");
    // Likewise where it may have been announced before.
    world.find("n1", &[Finding { announced: false, ..defended }]);
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["web=192.0.2.0"]);
    assert_eq!(events(&outputs).len(), 1, "it is silent now");
    assert!(world.announced("web").starts_with("False AddressConflict: "), "{}", world.announced("web"));
}

#[test]
fn who_cannot_have_another_address_waits_for_one() {
    let mut world = World::new(&[("a", "192.0.2.0/31")]);
    world.apply("web", service(1));
    world.apply("other", service(2));
    world.run();
    world.find("n1", &[objected("web", "192.0.2.0")]);
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["web=192.0.2.0"]);
    assert!(world.announced("web").ends_with("; no other address is free for the Service"));
    assert_eq!(world.controller.pending().len(), 0, "it has one");
    world.delete("other");
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["web=192.0.2.1"]);
    assert_eq!(world.announced("web"), "");
    // The address that it has left is not given to it again.
    world.edit("web", |service| drop(service.labels.insert("x".into(), "y".into())));
    assert_eq!(assigned(&world.run()), [""; 0]);
    world.pool("b", &["198.51.100.0/32"]);
    assert_eq!(assigned(&world.run()), [""; 0]);
}

#[test]
fn of_two_families_only_the_one_in_question_moves() {
    let mut world = World::new(&[("a", "192.0.2.0/30,2001:db8::/126")]);
    world.apply("web", dual(1, FamilyPolicy::RequireDualStack));
    world.run();
    world.find("n1", &[objected("web", "2001:db8::")]);
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0, 2001:db8::1"]);
    let request = request("192.0.2.0", "");
    world.edit("web", |service| service.request = request);
    world.run();
    world.find("n1", &[objected("web", "192.0.2.0")]);
    world.run();
    assert!(
        world.announced("web").ends_with("asks for this address and keeps it"),
        "{}",
        world.announced("web")
    );
    assert_eq!(world.shows("web"), "192.0.2.0, 2001:db8::1 from a");
}

#[test]
fn shared_addresses_move_together() {
    let mut world = World::new(&[("a", "192.0.2.0/30")]);
    world.apply("one", sharing(1, "k", 80));
    world.apply("two", sharing(2, "k", 81));
    world.run();
    assert_eq!(
        (world.shows("one"), world.shows("two")),
        ("192.0.2.0 from a".into(), "192.0.2.0 from a".into())
    );
    world.find("n1", &[objected("one", "192.0.2.0"), objected("two", "192.0.2.0")]);
    world.run();
    assert_eq!(
        (world.shows("one"), world.shows("two")),
        ("192.0.2.1 from a".into(), "192.0.2.1 from a".into())
    );
}

#[test]
fn what_one_speaker_cannot_do_says_nothing_while_another_can() {
    let mut world = World::new(&[("a", "192.0.2.0/30")]);
    world.apply("web", service(1));
    world.run();
    let missing = Finding { announced: false, ..found(Reason::InterfaceMissing, "web", "192.0.2.0") };
    world.find("n2", &[]);
    world.find("n1", core::slice::from_ref(&missing));
    assert_eq!(assigned(&world.run()), [""; 0]);
    world.find("n2", core::slice::from_ref(&missing));
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0"]);
    assert_eq!(world.announced("web"), "False InterfaceMissing: InterfaceMissing on 192.0.2.0");
    world.find("n3", &[]);
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0"]);
    assert_eq!(world.announced("web"), "");
}

#[test]
fn the_worst_is_shown_and_warnings_do_not_deny_the_announcement() {
    let mut world = World::new(&[("a", "192.0.2.0/30")]);
    world.apply("web", service(1));
    world.run();
    let outside = found(Reason::AddressOutsideSubnets, "web", "192.0.2.0");
    let answers = found(Reason::HostAnswers, "web", "192.0.2.0");
    world.find("n1", core::slice::from_ref(&outside));
    let outputs = world.run();
    assert_eq!(events(&outputs), ["web: AddressOutsideSubnets: AddressOutsideSubnets on 192.0.2.0"]);
    assert!(world.announced("web").starts_with("True AddressOutsideSubnets: "));
    world.find("n2", core::slice::from_ref(&answers));
    let outputs = world.run();
    assert_eq!(events(&outputs), ["web: HostAnswers!: HostAnswers on 192.0.2.0"]);
    // More nodes with the same are not worth a write.
    world.find("n3", &[answers]);
    assert_eq!(world.run(), []);
    world.find("n3", &[found(Reason::AddressConflict, "web", "192.0.2.0")]);
    world.run();
    assert!(world.announced("web").starts_with("True AddressConflict: "));
}

#[test]
fn a_service_that_is_not_ours_any_more_says_nothing() {
    let mut world = World::new(&[("a", "192.0.2.0/30")]);
    world.apply("web", asking_for(1, &["192.0.2.2"], None));
    world.run();
    world.find("n1", &[objected("web", "192.0.2.2"), objected("gone", "192.0.2.1")]);
    world.run();
    world.edit("web", |service| service.scope = Scope::NotLoadBalancer);
    assert_eq!(assigned(&world.run()), ["web="]);
    assert_eq!(world.announced("web"), "");
    world.delete("web");
    assert_eq!(world.run().len(), 0);
}
