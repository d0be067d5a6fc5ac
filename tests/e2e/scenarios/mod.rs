//! What is proved, one function each.

mod adoption;
mod allocation;
mod bgp;
mod chaos;
mod churn;
mod config_map;
mod doubtful;
mod failover;
mod leader;
mod load;
mod outside;
mod passwords;
mod restart;
mod routed;
mod stranger;
mod wire;

use crate::world::World;

/// A proof with its name.
pub(crate) struct Scenario {
    /// What the command line selects by.
    pub(crate) name: &'static str,
    /// Fails by panicking.
    pub(crate) run: fn(&mut World),
}

/// All of them, in the order in which they run.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "config_map_gives_the_first_address", run: config_map::gives_the_first_address },
    Scenario { name: "config_map_serves_pending_services", run: config_map::serves_pending_services },
    Scenario { name: "address_moves_when_the_speaker_is_killed", run: failover::when_the_speaker_is_killed },
    Scenario {
        name: "address_moves_when_the_link_loses_carrier",
        run: failover::when_the_link_loses_carrier,
    },
    Scenario { name: "address_moves_when_the_link_falls_silent", run: failover::when_the_link_falls_silent },
    Scenario {
        name: "ipv6_address_moves_when_the_speaker_is_killed",
        run: failover::of_ipv6_when_the_speaker_is_killed,
    },
    Scenario {
        name: "ipv6_address_moves_when_the_link_loses_carrier",
        run: failover::of_ipv6_when_the_link_loses_carrier,
    },
    Scenario {
        name: "full_pool_leaves_a_service_pending",
        run: allocation::full_pool_leaves_a_service_pending,
    },
    Scenario { name: "unparsable_pool_is_refused_alone", run: allocation::unparsable_pool_is_refused_alone },
    Scenario { name: "overlapping_pool_is_refused", run: allocation::overlapping_pool_is_refused },
    Scenario { name: "controller_restart_writes_nothing", run: restart::writes_nothing },
    Scenario { name: "status_that_was_replaced_is_adopted", run: adoption::from_a_status_that_was_replaced },
    Scenario { name: "status_that_was_applied_is_adopted", run: adoption::from_a_status_that_was_applied },
    Scenario { name: "contested_service_is_left_alone", run: adoption::a_contested_service_is_left_alone },
    Scenario {
        name: "addresses_outside_their_pool_are_served",
        run: outside::shrunk_and_deleted_pools_are_served,
    },
    Scenario {
        name: "stranger_keeps_an_unannounced_address",
        run: stranger::keeps_an_address_that_was_never_announced,
    },
    Scenario {
        name: "stranger_keeps_a_requested_address",
        run: stranger::keeps_an_address_that_is_asked_for,
    },
    Scenario {
        name: "stranger_does_not_get_an_announced_address",
        run: stranger::does_not_get_an_announced_address,
    },
    Scenario { name: "strangers_of_ipv6", run: stranger::of_ipv6 },
    Scenario {
        name: "node_that_answers_by_itself_is_told",
        run: stranger::a_node_that_answers_by_itself_is_told,
    },
    Scenario { name: "bgp_passwords_are_read_by_name_only", run: passwords::role_follows_the_secrets_in_use },
    Scenario { name: "bgp_resources_are_admitted_or_refused", run: bgp::resources_are_admitted_or_refused },
    Scenario { name: "bgp_speaker_reads_and_writes", run: bgp::a_speaker_reads_secrets_and_writes_statuses },
    Scenario {
        name: "bgp_traffic_follows_endpoints_and_nodes",
        run: routed::traffic_follows_endpoints_and_nodes,
    },
    Scenario { name: "bgp_changes_reset_no_session", run: churn::changes_reset_no_session },
    Scenario { name: "bgp_peers_say_what_is_wrong", run: doubtful::peers_say_what_is_wrong },
    Scenario { name: "leader_is_replaced", run: leader::takes_over_from_a_dead_one },
    Scenario { name: "watches_go_on_after_an_outage", run: leader::watches_go_on_after_an_outage },
    Scenario { name: "random_kills_of_the_controller", run: chaos::random_kills_of_the_controller },
    Scenario { name: "bgp_wire", run: wire::a_router_hears_of_an_address_at_once },
    Scenario { name: "load", run: load::every_service_is_written_once },
];
