//! How often each codec allocates for one message; `cargo test --test allocations -- --nocapture` prints it.

use metal_benches::bgp_traffic::messages;
use metal_rivals::{
    Codec, Received, bgpkit::Bgpkit, metal, netgauze::NetGauze, routecore::Routecore, rustbgpd::Rustbgpd,
    zettabgp::Zetta,
};

/// Per message of [`messages`]: how often decoding it allocates.
fn count<C: Codec>() -> Vec<u64> {
    let mut codec = C::new();
    let counts: Vec<_> = messages()
        .iter()
        .map(|sample| {
            let received = Received::new(&sample.bytes);
            // The first time may set something up.
            drop(codec.decode(&received));
            allocation_counter::measure(|| drop(codec.decode(&received))).count_total
        })
        .collect();
    println!("| {} | {counts:?} |", C::NAME);
    counts
}

#[test]
fn decoding_allocates_at_most_once() {
    println!("| codec | {:?} |", messages().iter().map(|sample| sample.name).collect::<Vec<_>>());
    assert_eq!(count::<metal::View>(), [0; 6]);
    // OPEN is a value with lists; the others are their octets, and a KEEPALIVE is nothing at all.
    assert_eq!(count::<metal::Owned>()[1..], [1, 1, 1, 1, 0]);
    count::<metal::Values>();
    count::<NetGauze>();
    count::<Zetta>();
    count::<Routecore>();
    count::<Bgpkit>();
    count::<Rustbgpd>();
}
