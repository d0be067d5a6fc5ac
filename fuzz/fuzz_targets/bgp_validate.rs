//! RFC 7606: whatever is wrong with an UPDATE, the judgement fits its findings, for both kinds of peer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use metal_bgp::{
    validate::{Disposition, validate},
    wire::{Families, Peer, Session, Update, frame::MaxLength},
};

fuzz_target!(|data: &[u8]| {
    let [control, body @ ..] = data else { return };
    for peer in [Peer::External, Peer::Internal] {
        let session = Session {
            peer,
            four_octet_as: control & 2 == 0,
            add_path: if control & 4 == 0 { Families::NONE } else { Families::ALL },
            max_length: MaxLength::Extended,
        };
        let Ok(update) = Update::parse(body, &session) else { return };
        let verdict = validate(&update);
        let (mut strongest, mut count) = (None, 0);
        for finding in verdict.findings() {
            strongest = strongest.max(Some(finding.disposition));
            count += 1;
            assert!(finding.offset + finding.attribute.len() <= 19 + body.len());
            assert_eq!(finding.notification().code, 3);
            assert!((1..=11).contains(&finding.notification().subcode));
            assert!(!finding.fault.to_string().is_empty());
        }
        assert_eq!(verdict.disposition(), strongest);
        assert_eq!(verdict.reset().is_some(), strongest == Some(Disposition::Reset));
        // One for each attribute, one for the end of the list, four for what may be missing.
        assert!(count <= update.attributes().count() + 5);
        if verdict.disposition().is_none() {
            assert!(update.attributes().all(|attribute| attribute.value().is_ok()));
        }
    }
});
