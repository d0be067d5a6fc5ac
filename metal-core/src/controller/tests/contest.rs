//! When another manager keeps overwriting what we write.

use alloc::vec;

use super::*;

/// MetalLB writes what it thinks best.
fn interfere(world: &mut World) {
    world.overwrite("web", &["192.0.2.9"], Some("metallb-controller"));
}

fn world() -> World {
    let mut world = World::new(&[("a", "192.0.2.0/28")]);
    world.apply("web", service(1));
    world.run();
    world
}

#[test]
fn once_is_put_right_and_twice_in_a_minute_is_a_quarrel() {
    let mut world = world();
    interfere(&mut world);
    let outputs = world.run();
    assert_eq!((assigned(&outputs), events(&outputs)), (vec!["web=192.0.2.0".into()], vec![]));
    world.pass(59);
    interfere(&mut world);
    let outputs = world.run();
    assert_eq!(assigned(&outputs), [""; 0], "it stops");
    let sentence = "metallb-controller keeps overwriting the status of this Service: remove it, or give one of the \
                    two a loadBalancerClass of its own";
    assert_eq!(events(&outputs), [format!("web: ContestedBy!: {sentence}")]);
    assert_eq!(world.state("web").reason.unwrap().code(), "ContestedBy");
    // Two minutes later it tries again, and says so in the condition as well.
    assert_eq!(assigned(&world.pass(119)), [""; 0]);
    assert_eq!(assigned(&world.pass(1)), ["web=192.0.2.0"]);
    assert_eq!(
        world.condition("web"),
        format!("True ContestedBy: {sentence}; the Service has 192.0.2.0 from pool a")
    );
    // Then it is quiet for ten minutes.
    assert_eq!(assigned(&world.pass(599)), [""; 0]);
    assert_eq!(assigned(&world.pass(1)), ["web=192.0.2.0"]);
    assert_eq!(world.condition("web"), "True Assigned: 192.0.2.0 from pool a");
    assert_eq!(world.controller.poll_timeout(), None);
}

#[test]
fn the_pause_doubles_up_to_ten_minutes() {
    let mut world = world();
    let mut tries = vec![];
    for _ in 0..3600 {
        if world.services[&key("web")].assigned == [at("192.0.2.0")] {
            tries.push(world.now.as_micros() / 1_000_000);
            interfere(&mut world);
        }
        world.pass(1);
    }
    let pauses: Vec<_> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses[..6], [1, 120, 240, 480, 600, 600], "{tries:?}");
}

#[test]
fn there_are_never_more_than_five_writes_in_ten_minutes() {
    for every in [1, 30, 61, 100, 119, 200] {
        let mut world = world();
        let mut writes = vec![0];
        for second in 1..3600 {
            if second % every == 0 && world.services[&key("web")].assigned == [at("192.0.2.0")] {
                interfere(&mut world);
            }
            let outputs = world.pass(1);
            writes.extend(assigned(&outputs).iter().map(|_| second));
        }
        for window in writes.windows(6) {
            assert!(window[5] - window[0] >= 600, "every {every} s: {window:?}");
        }
    }
}

#[test]
fn somebody_who_only_reads_or_writes_other_things_is_no_quarrel() {
    let mut world = world();
    for _ in 0..5 {
        world.edit("web", |service| {
            service.written_by = Some("kubectl".into());
            service.labels.insert("x".into(), "y".into());
        });
        let outputs = world.run();
        assert_eq!((assigned(&outputs), events(&outputs)), (vec![], vec![]));
        world.edit("web", |service| service.labels.clear());
    }
    assert_eq!(world.state("web").reason, None);
}

#[test]
fn taking_over_from_another_manager_is_no_quarrel() {
    let mut world = world();
    let taken = Service {
        assigned: vec![at("192.0.2.7")],
        assigned_from: vec!["a".into()],
        written_by: Some("controller".into()),
        ..service(1)
    };
    world.apply("old", taken);
    world.restart();
    let outputs = world.run();
    assert_eq!((assigned(&outputs), events(&outputs)), (vec!["old=192.0.2.7".into()], vec![]));
    assert_eq!(world.condition("old"), "True Assigned: 192.0.2.7 from pool a");
}

#[test]
fn a_contested_service_that_goes_takes_the_quarrel_with_it() {
    let mut world = world();
    interfere(&mut world);
    world.run();
    interfere(&mut world);
    world.run();
    world.delete("web");
    world.run();
    assert_eq!(world.controller.poll_timeout(), None);
    world.apply("web", service(2));
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0"]);
    interfere(&mut world);
    world.run();
    interfere(&mut world);
    world.run();
    world.edit("web", |service| service.scope = Scope::NotLoadBalancer);
    assert_eq!(assigned(&world.run()), ["web="], "what is ours is cleared all the same");
}
