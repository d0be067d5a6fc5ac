//! What follows from a malformed UPDATE (RFC 7606), for external and for internal peers.

use metal_bgp::{
    validate::{Disposition, validate},
    wire::{Session, Update},
};

use crate::support::{GOOD, VIP, external, hex, internal, to_hex, told, update_body};

/// Attribute, disposition and place of each finding.
fn findings(body: &[u8], session: &Session) -> Vec<(u8, Disposition, usize)> {
    let update = Update::parse(body, session).expect("readable");
    let verdict = validate(&update);
    let findings: Vec<_> = verdict.findings().collect();
    assert_eq!(verdict.disposition(), findings.iter().map(|finding| finding.disposition).max());
    assert_eq!(verdict.reset().is_some(), verdict.disposition() == Some(Disposition::Reset));
    findings.iter().map(|finding| (finding.code.0, finding.disposition, finding.offset)).collect()
}

/// ORIGIN, AS_PATH, NEXT_HOP, LOCAL_PREF.
const INTERNAL: &str = "40010100 400200 400304c0000201 400504000000c8";

use Disposition::{DisableFamily, Discard, Reset, Withdraw};

#[test]
fn nothing_is_wrong() {
    assert_eq!(findings(&update_body("", GOOD, VIP), &external()), []);
    assert_eq!(findings(&update_body("", INTERNAL, VIP), &internal()), []);
    // Prefixes that go need no attributes, and attributes without prefixes are odd but not wrong.
    assert_eq!(findings(&update_body(VIP, "", ""), &external()), []);
    assert_eq!(findings(&update_body("", "40010100", ""), &external()), []);
    // All the types that are not understood, as long as nobody calls them well-known.
    for code in (1..=u8::MAX).filter(|code| metal_bgp::wire::AttributeCode(*code).flags().is_none()) {
        for flags in [0x80, 0xc0, 0xe0, 0xa0] {
            let attributes = format!("{GOOD} {flags:02x} {code:02x} 01 00");
            assert_eq!(findings(&update_body("", &attributes, VIP), &external()), [], "{flags:02x} {code}");
        }
    }
    // The lowest four flags and Partial have no say.
    assert_eq!(findings(&update_body("", "4f010100", ""), &external()), []);
}

/// One attribute behind the good ones, at octet 43; external and internal peer.
#[test]
fn one_attribute_is_wrong() {
    let table: [(&str, u8, Disposition, Disposition); 49] = [
        // Flags (3 c).
        ("c0 04 04 00000001", 4, Withdraw, Withdraw),
        ("40 04 04 00000001", 4, Withdraw, Withdraw),
        ("c0 06 00", 6, Withdraw, Withdraw),
        ("80 07 08 0000fc00 0a000001", 7, Withdraw, Withdraw),
        ("80 08 04 fc000001", 8, Withdraw, Withdraw),
        ("40 10 08 0002fc0000000001", 16, Withdraw, Withdraw),
        ("80 20 0c 000000010000000200000003", 32, Withdraw, Withdraw),
        ("80 23 04 0000fc00", 35, Withdraw, Withdraw),
        ("80 28 0a 01 0007 00 0000 00000005", 40, Withdraw, Withdraw),
        ("c0 0e 0e 0001 02 04 c0000201 00 20 c6336407", 14, Withdraw, Withdraw),
        ("40 0f 03 0002 01", 15, Withdraw, Withdraw),
        // AIGP that others would pass on is malformed (7311 3.2).
        ("c0 1a 0b 01 000b 0000000000000064", 26, Discard, Discard),
        // MULTI_EXIT_DISC (7.4).
        ("80 04 03 000001", 4, Withdraw, Withdraw),
        ("80 04 05 0000000001", 4, Withdraw, Withdraw),
        ("80 04 00", 4, Withdraw, Withdraw),
        // ATOMIC_AGGREGATE, AGGREGATOR (7.6, 7.7; 7607 2).
        ("40 06 01 00", 6, Discard, Discard),
        ("c0 07 06 fc00 0a000001", 7, Discard, Discard),
        ("c0 07 00", 7, Discard, Discard),
        ("c0 07 08 00000000 0a000001", 7, Discard, Discard),
        // COMMUNITIES (7.8) and its relatives (7.14, 7.15; 8092 6).
        ("c0 08 03 fc0000", 8, Withdraw, Withdraw),
        ("c0 08 00", 8, Withdraw, Withdraw),
        ("c0 10 07 0002fc00000000", 16, Withdraw, Withdraw),
        ("c0 10 00", 16, Withdraw, Withdraw),
        ("c0 19 08 0002fc0000000001", 25, Withdraw, Withdraw),
        ("c0 19 00", 25, Withdraw, Withdraw),
        ("c0 20 08 0000000100000002", 32, Withdraw, Withdraw),
        ("c0 20 00", 32, Withdraw, Withdraw),
        // ORIGINATOR_ID, CLUSTER_LIST (7.9, 7.10): not from an external peer, whatever they say.
        ("80 09 04 0a000001", 9, Discard, Discard),
        ("80 09 03 0a0000", 9, Discard, Withdraw),
        ("40 09 04 0a000001", 9, Discard, Withdraw),
        ("80 0a 03 0a0000", 10, Discard, Withdraw),
        ("80 0a 00", 10, Discard, Withdraw),
        // MP_REACH_NLRI, MP_UNREACH_NLRI (7.11, 7.12; 5.3): without a family, with one.
        ("80 0e 04 0002 01 10", 14, DisableFamily, DisableFamily),
        ("80 0e 03 0002 01", 14, Reset, Reset),
        ("80 0e 00", 14, Reset, Reset),
        ("80 0f 02 0002", 15, Reset, Reset),
        ("80 0e 09 0002 01 04 c0000201 00", 14, DisableFamily, DisableFamily),
        ("80 0e 0d 0001 01 08 0000000000000000 00", 14, DisableFamily, DisableFamily),
        ("80 0e 0a 0001 02 04 c0000201 00 21", 14, DisableFamily, DisableFamily),
        ("80 0e 0b 0001 02 04 c0000201 00 20c6", 14, DisableFamily, DisableFamily),
        ("80 0f 04 0002 01 81", 15, DisableFamily, DisableFamily),
        ("80 0f 05 0002 01 80 20", 15, DisableFamily, DisableFamily),
        // AS4_PATH, AS4_AGGREGATOR from a peer who does not need them (6793 6).
        ("c0 11 06 0201 0000fc00", 17, Discard, Discard),
        ("c0 12 08 0000fc00 0a000001", 18, Discard, Discard),
        // AIGP, PREFIX_SID.
        ("80 1a 0a 01 000a 00000000000064", 26, Discard, Discard),
        ("80 1a 03 02 0004", 26, Discard, Discard),
        ("c0 28 04 01 0001 00", 40, Discard, Discard),
        // ONLY_TO_CUSTOMER (9234 5).
        ("c0 23 02 fc00", 35, Withdraw, Withdraw),
        // Well-known, and nobody knows it.
        ("40 63 01 00", 99, Reset, Reset),
    ];
    for (attribute, code, for_external, for_internal) in table {
        let body = update_body("", &format!("{GOOD} {attribute}"), VIP);
        assert_eq!(findings(&body, &external()), [(code, for_external, 43)], "{attribute}");
        let offset = 19 + 4 + hex(INTERNAL).len();
        let body = update_body("", &format!("{INTERNAL} {attribute}"), VIP);
        let expected = [(code, for_internal, offset)];
        let expected = if attribute == "80 09 04 0a000001" { &[][..] } else { &expected };
        assert_eq!(findings(&body, &internal()), expected, "{attribute}");
    }
}

/// In place of the good one.
#[test]
fn a_mandatory_attribute_is_wrong() {
    let origin = "40010100";
    let path = "4002060201 0000fc00";
    let hop = "400304c0000201";
    for (attributes, code, offset) in [
        // ORIGIN (7.1).
        (format!("40010103 {path} {hop}"), 1, 23),
        (format!("400100 {path} {hop}"), 1, 23),
        (format!("4001020000 {path} {hop}"), 1, 23),
        (format!("c0010100 {path} {hop}"), 1, 23),
        // AS_PATH (7.2): type, overrun, a single octet left, no AS, AS 0 (7607 2), AS_SET (9774 3), confederation.
        (format!("{origin} 4002060501 0000fc00 {hop}"), 2, 27),
        (format!("{origin} 4002060001 0000fc00 {hop}"), 2, 27),
        (format!("{origin} 4002060202 0000fc00 {hop}"), 2, 27),
        (format!("{origin} 4002070201 0000fc00 02 {hop}"), 2, 27),
        (format!("{origin} 4002020200 {hop}"), 2, 27),
        (format!("{origin} 4002080201 0000fc00 0200 {hop}"), 2, 27),
        (format!("{origin} 40020a0202 0000fc00 00000000 {hop}"), 2, 27),
        (format!("{origin} 4002060101 0000fc00 {hop}"), 2, 27),
        (format!("{origin} 4002060401 0000fc00 {hop}"), 2, 27),
        (format!("{origin} 4002060301 0000fc00 {hop}"), 2, 27),
        (format!("{origin} 8002060201 0000fc00 {hop}"), 2, 27),
        // NEXT_HOP (7.3), also where it is not the address of a host.
        (format!("{origin} {path} 400303c00002"), 3, 36),
        (format!("{origin} {path} 400305c000020100"), 3, 36),
        (format!("{origin} {path} 40030400000000"), 3, 36),
        (format!("{origin} {path} 400304e0000001"), 3, 36),
        (format!("{origin} {path} 400304ffffffff"), 3, 36),
        (format!("{origin} {path} c00304c0000201"), 3, 36),
    ] {
        assert_eq!(
            findings(&update_body("", &attributes, VIP), &external()),
            [(code, Withdraw, offset)],
            "{attributes}"
        );
    }
    // A confederation is nothing odd to an internal peer.
    let attributes = format!("{origin} 4002060301 0000fc00 {hop} 400504000000c8");
    assert_eq!(findings(&update_body("", &attributes, VIP), &internal()), []);
    // LOCAL_PREF (7.5): discarded from an external peer, whatever it says.
    for (attribute, for_internal) in
        [("400504000000c8", None), ("4005030000c8", Some(Withdraw)), ("c00504000000c8", Some(Withdraw))]
    {
        let body = update_body("", &format!("{GOOD} {attribute}"), VIP);
        assert_eq!(findings(&body, &external()), [(5, Discard, 43)]);
        let expected: Vec<_> = for_internal.map(|disposition| (5, disposition, 43)).into_iter().collect();
        assert_eq!(findings(&body, &internal()), expected);
    }
}

#[test]
fn two_octet_sessions() {
    let two = Session::default();
    let good = "40010100 4002040201fc00 400304c0000201";
    assert_eq!(findings(&update_body("", good, VIP), &two), []);
    let offset = 19 + 4 + hex(good).len();
    for (attribute, code, expected) in [
        ("c0 11 06 0201 fa56ea00", 17, None),
        ("c0 12 08 fa56ea00 0a000001", 18, None),
        ("c0 07 06 fc00 0a000001", 7, None),
        ("c0 07 08 0000fc00 0a000001", 7, Some(Discard)),
        // AS4_PATH (6793 6): everything but AS_SET is only discarded.
        ("c0 11 00", 17, Some(Discard)),
        ("c0 11 04 0201 fa56", 17, Some(Discard)),
        ("c0 11 02 0200", 17, Some(Discard)),
        ("c0 11 06 0501 fa56ea00", 17, Some(Discard)),
        ("c0 11 06 0201 00000000", 17, Some(Discard)),
        ("c0 11 06 0101 fa56ea00", 17, Some(Withdraw)),
        ("c0 12 06 fa56ea00 0a00", 18, Some(Discard)),
        ("c0 12 08 00000000 0a000001", 18, Some(Discard)),
    ] {
        let body = update_body("", &format!("{good} {attribute}"), VIP);
        let expected: Vec<_> = expected.map(|disposition| (code, disposition, offset)).into_iter().collect();
        assert_eq!(findings(&body, &two), expected, "{attribute}");
    }
}

#[test]
fn what_has_to_be_there() {
    let origin = "40010100";
    let path = "4002060201 0000fc00";
    let hop = "400304c0000201";
    let pref = "400504000000c8";
    let missing = |codes: &[u8]| codes.iter().map(|code| (*code, Withdraw, 21)).collect::<Vec<_>>();
    for (attributes, for_external, for_internal) in [
        (String::new(), vec![1, 2, 3], vec![1, 2, 3, 5]),
        (format!("{path} {hop} {pref}"), vec![1], vec![1]),
        (format!("{origin} {hop} {pref}"), vec![2], vec![2]),
        (format!("{origin} {path} {pref}"), vec![3], vec![3]),
        (format!("{origin} {path} {hop}"), vec![], vec![5]),
    ] {
        let body = update_body("", &attributes, VIP);
        let expected: Vec<_> =
            findings(&body, &external()).into_iter().filter(|finding| finding.1 != Discard).collect();
        assert_eq!(expected, missing(&for_external), "{attributes}");
        assert_eq!(findings(&body, &internal()), missing(&for_internal), "{attributes}");
    }
    // With prefixes in MP_REACH_NLRI alone nobody needs NEXT_HOP.
    let reach = "800e0e 0001 02 04 c0000201 00 20c6336407";
    assert_eq!(findings(&update_body("", &format!("{reach} {origin} {path}"), ""), &external()), []);
    assert_eq!(findings(&update_body("", reach, ""), &external()), missing(&[1, 2]));
    // A NEXT_HOP that is there all the same is ignored, unless it is malformed.
    let zero = format!("{reach} {origin} {path} 40030400000000");
    assert_eq!(findings(&update_body("", &zero, ""), &external()), []);
    // In a family that is not understood too.
    let evpn = "800e0a 0019 46 04 c0000201 00 02";
    assert_eq!(findings(&update_body("", evpn, ""), &external()), missing(&[1, 2]));
    // The NOTIFICATION, if it came to that, names the type (RFC 4271 6.3).
    let body = update_body("", "", VIP);
    let update = Update::parse(&body, &external()).expect("readable");
    let told: Vec<_> = validate(&update)
        .findings()
        .map(|finding| (finding.notification().subcode, finding.notification().data.to_vec()))
        .collect();
    assert_eq!(told, [(3, vec![1]), (3, vec![2]), (3, vec![3])]);
}

#[test]
fn duplicates() {
    // The first counts; what the others say is not even looked at (3 g).
    let body = update_body("", &format!("{GOOD} 40010107 40010102"), VIP);
    assert_eq!(findings(&body, &external()), [(1, Discard, 43), (1, Discard, 47)]);
    let body = update_body("", &format!("{GOOD} c0630101 c0630102"), VIP);
    assert_eq!(findings(&body, &external()), [(99, Discard, 47)]);
    let body = update_body("", "40010107 40010100 4002060201 0000fc00 400304c0000201", VIP);
    assert_eq!(findings(&body, &external()), [(1, Withdraw, 23), (1, Discard, 27)]);
    // Of the two that carry prefixes neither can be dropped.
    for mp in ["800f03 0002 01", "800e0e 0001 02 04 c0000201 00 20c6336407"] {
        let attributes = format!("{GOOD} {mp} {mp}");
        let body = update_body("", &attributes, VIP);
        let code = hex(mp)[1];
        assert_eq!(findings(&body, &external()), [(code, Reset, 43 + hex(mp).len())]);
        let update = Update::parse(&body, &external()).expect("readable");
        let error = validate(&update).reset().expect("the end");
        assert_eq!(told(&error), (3, 1, vec![], 43 + hex(mp).len()));
    }
}

#[test]
fn the_list_ends_inside_of_an_attribute() {
    // In the header, in the header with two octets of length, in the value (RFC 7606 4).
    for rest in ["80", "8004", "900400", "90 04 00 05 00", "80 04 04 000000", "c0 08 ff fc000001"] {
        let body = update_body("", &format!("{GOOD} {rest}"), VIP);
        let code = hex(rest).get(1).copied().unwrap_or_default();
        assert_eq!(findings(&body, &external()), [(code, Withdraw, 43)], "{rest}");
        let update = Update::parse(&body, &external()).expect("readable");
        // The NLRI is found all the same, and so is what stands before the damage.
        assert_eq!(update.nlri().count(), 1);
        assert_eq!(update.attributes().count(), 3);
    }
}

#[test]
fn with_nothing_reachable_nothing_can_be_withdrawn() {
    // RFC 7606 5.2: an error of more than one attribute's worth resets the session.
    for (withdrawn, attributes, expected) in [
        ("", "40010107", (1, Reset, 23)),
        (VIP, "40010107", (1, Reset, 28)),
        ("", "40010100 80", (0, Reset, 27)),
        ("", "80", (0, Reset, 23)),
        // Discarding is still discarding.
        ("", "40060100", (6, Discard, 23)),
        // Where only MP_UNREACH_NLRI is there, the usual rules hold.
        ("", "400f03000201", (15, Withdraw, 23)),
        ("", "800f0400020181", (15, DisableFamily, 23)),
        // Who can tell what an unreadable MP_REACH_NLRI would have reached?
        ("", "800e0a 0001 02 04 c0000201 00 21 40010100 400200", (14, DisableFamily, 23)),
    ] {
        let body = update_body(withdrawn, attributes, "");
        let mut found = findings(&body, &external());
        found.retain(|finding| finding.0 == expected.0);
        assert_eq!(found, [expected], "{attributes}");
    }
    let body = update_body("", "40010107", "");
    let update = Update::parse(&body, &external()).expect("readable");
    let error = validate(&update).reset().expect("the end");
    assert_eq!(told(&error), (3, 6, hex("40010107"), 23));
    assert_eq!(error.to_string(), "ORIGIN has the undefined value 7 (at octet 23 of the message)");
}

#[test]
fn the_strongest_counts() {
    for (attributes, expected) in [
        ("40060100", Some(Discard)),
        ("40060100 800400", Some(Withdraw)),
        ("40060100 800400 800f0400020181", Some(DisableFamily)),
        ("40060100 800400 800f0400020181 40630100", Some(Reset)),
    ] {
        let body = update_body("", &format!("{GOOD} {attributes}"), VIP);
        let update = Update::parse(&body, &external()).expect("readable");
        assert_eq!(validate(&update).disposition(), expected, "{attributes}");
    }
}

#[test]
fn what_the_peer_is_told_if_it_ends_the_session() {
    for (attribute, expected) in [
        ("40630100", (3, 2, "40630100")),
        ("c00404 00000001", (3, 4, "c0040400000001")),
        ("800403000001", (3, 5, "800403000001")),
        ("80 0e 03 0002 01", (3, 9, "800e03000201")),
        ("80 0e 09 0002 01 04 c0000201 00", (3, 9, "800e0900020104c000020100")),
        ("80", (3, 1, "")),
    ] {
        let body = update_body("", &format!("{GOOD} {attribute}"), VIP);
        let update = Update::parse(&body, &external()).expect("readable");
        let finding = validate(&update).findings().next().expect("one");
        let told = finding.notification();
        assert_eq!((told.code, told.subcode, to_hex(told.data).as_str()), expected, "{attribute}");
    }
    for (attributes, subcode) in [
        ("40010107 400200 400304c0000201", 6),
        ("40010100 4002020200 400304c0000201", 11),
        ("40010100 400200 400304e0000001", 8),
    ] {
        let body = update_body("", attributes, VIP);
        let update = Update::parse(&body, &external()).expect("readable");
        let finding = validate(&update).findings().next().expect("one");
        assert_eq!(finding.notification().subcode, subcode, "{attributes}");
    }
}
