//! The cells of the table in docs/bgp-interop.md, and the table itself.

use std::{fmt, fmt::Write};

use crate::{announcing, connecting, going, router::Kind};

/// What a router made of it. A cell that is not as it has to be panics.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Yes,
    /// With a remark.
    But(String),
    /// The router cannot do that, in its own words where it has any.
    No(String),
}

/// Something that is tried with each router.
pub(crate) struct Row {
    /// How the table calls it.
    pub(crate) title: &'static str,
    pub(crate) run: fn(Kind) -> Outcome,
}

const fn row(title: &'static str, run: fn(Kind) -> Outcome) -> Row {
    Row { title, run }
}

/// Those that take longest come first within their part.
pub(crate) const ROWS: &[Row] = &[
    row("IPv4 over IPv4, announced and withdrawn", announcing::ipv4_over_ipv4),
    row("IPv6 over IPv6", announcing::ipv6_over_ipv6),
    row("both families on one session", announcing::both_families_on_one_session),
    row("IPv4 with IPv6 next hops (RFC 8950)", announcing::ipv4_with_ipv6_next_hops),
    row("packets take the routes", announcing::packets_take_the_routes),
    row("internal peer with LOCAL_PREF", announcing::an_internal_peer),
    row("four-octet AS", announcing::a_four_octet_as),
    row("communities, large communities, MED", announcing::communities_and_med),
    row("extended communities: route target, link bandwidth", announcing::extended_communities),
    row("10,000 prefixes, every other one withdrawn", announcing::ten_thousand_prefixes),
    row("asks for everything again (RFC 2918)", announcing::route_refresh),
    row("the router opens the connection", connecting::the_router_dials),
    row("MD5, over IPv4 and over IPv6", connecting::a_password_opens),
    row(
        "MD5, the router opens the connection: first another password, then the right one",
        connecting::passwords_of_a_router_that_dials,
    ),
    row("MD5, another password", connecting::another_password),
    row("GTSM (RFC 5082); TTL 254 is dropped", connecting::gtsm),
    row("external peer beyond a router", connecting::multihop),
    row("unnumbered: the peer is a link", connecting::unnumbered),
    row("the wrong AS, said in words", connecting::a_wrong_as),
    row("the router starts again", going::a_router_that_starts_again_is_told_again),
    row(
        "the peer is removed and configured again",
        going::a_peer_that_is_removed_and_comes_back_is_told_again,
    ),
    row("too many prefixes for the router: its NOTIFICATION", going::too_many_prefixes),
    row("text of its operator's shutdown (RFC 9003)", going::the_text_of_its_shutdown),
    row("our shutdown's text at the router", going::our_last_words),
    row("a router that falls silent: hold time", going::a_silent_router),
    row("graceful restart of the speaker (RFC 4724)", going::graceful_restart),
];

/// The head of the table: which routers they were.
pub(crate) fn versions() -> String {
    format!("| | {} |", Kind::ALL.map(Kind::version).join(" | "))
}

/// The document: a run's outcomes, row by row.
pub(crate) fn document(outcomes: &[Vec<Outcome>]) -> String {
    let mut text = String::from(HEAD);
    let _never = writeln!(text, "{}\n| --- |{}", versions(), " --- |".repeat(Kind::ALL.len()));
    for (row, outcomes) in ROWS.iter().zip(outcomes) {
        let cells: Vec<String> = outcomes.iter().map(ToString::to_string).collect();
        let _never = writeln!(text, "| {} | {} |", row.title, cells.join(" | "));
    }
    text
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("yes"),
            Self::But(remark) => write!(f, "yes: {}", remark.replace('|', "\\|")),
            Self::No(why) => write!(f, "no: {}", why.replace('|', "\\|")),
        }
    }
}

const HEAD: &str = "\
# BGP with real routers

`make interop` writes this page and `make routers` compares it with what it sees: each cell is a test of `tests/bgp`, with
the speaker's peer machine, RIB-out and sockets on one side of a cable between two network namespaces, and the router on
the other. A cell is a yes when the router's own table, log or kernel shows it, or when its own words arrive here; a no has
the router's words.

";
