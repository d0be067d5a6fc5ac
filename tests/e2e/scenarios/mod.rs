//! What is proved, one function each.

mod allocation;
mod config_map;
mod failover;
mod restart;

use crate::world::World;

/// A proof with its name.
pub(crate) struct Scenario {
    /// What the command line selects by.
    pub(crate) name: &'static str,
    /// Fails by panicking.
    pub(crate) run: fn(&mut World),
}

/// All of them, in the order in which they run.
pub(crate) const SCENARIOS: [Scenario; 9] = [
    Scenario { name: "config_map_gives_the_first_address", run: config_map::gives_the_first_address },
    Scenario { name: "config_map_serves_pending_services", run: config_map::serves_pending_services },
    Scenario { name: "address_moves_when_the_speaker_is_killed", run: failover::when_the_speaker_is_killed },
    Scenario {
        name: "address_moves_when_the_link_loses_carrier",
        run: failover::when_the_link_loses_carrier,
    },
    Scenario { name: "address_moves_when_the_link_falls_silent", run: failover::when_the_link_falls_silent },
    Scenario {
        name: "full_pool_leaves_a_service_pending",
        run: allocation::full_pool_leaves_a_service_pending,
    },
    Scenario { name: "unparsable_pool_is_refused_alone", run: allocation::unparsable_pool_is_refused_alone },
    Scenario { name: "overlapping_pool_is_refused", run: allocation::overlapping_pool_is_refused },
    Scenario { name: "controller_restart_writes_nothing", run: restart::writes_nothing },
];
