//! What follows from a malformed UPDATE (RFC 7606): a step of its own after reading it.
//!
//! An error in an attribute no longer ends the session if that can be helped. Each finding is sorted into one of
//! four consequences, for external and for internal peers; the strongest of an UPDATE is the one to follow.

use core::fmt;

pub use crate::wire::attribute::Fault;
use crate::wire::{
    AttributeCode, Error, ErrorKind, Notification, Peer, Update,
    attribute::{AttributeIter, Context, check},
    update::Seen,
};

/// What to do about an error, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disposition {
    /// Go on without the attribute.
    Discard,
    /// Take all routes of the UPDATE as withdrawn.
    Withdraw,
    /// Drop all routes of the family, and ignore it for the rest of the session (RFC 4760 7).
    DisableFamily,
    /// End the session.
    Reset,
}

/// Something wrong in an UPDATE.
#[derive(Clone, Copy, Debug)]
pub struct Finding<'a> {
    /// The attribute that is wrong or missing. 0 where the list ends inside of an attribute's header.
    pub code: AttributeCode,
    /// What follows.
    pub disposition: Disposition,
    /// The octet of the message with the attribute's flags. For a missing attribute, that of the total length.
    pub offset: usize,
    /// What is wrong.
    pub fault: Fault,
    /// The attribute, header included, as far as it is there.
    pub attribute: &'a [u8],
}

/// The judgement of an UPDATE.
#[derive(Clone, Copy, Debug)]
pub struct Verdict<'a> {
    update: Update<'a>,
    strongest: Option<Disposition>,
}

/// Judges an UPDATE. The kind of peer is that of the session it was read with.
///
/// ```
/// use metal_bgp::{
///     validate::{Disposition, validate},
///     wire::{Session, Update},
/// };
///
/// // One prefix with an ORIGIN that is not defined, and no other attribute.
/// let body = b"\x00\x00\x00\x04\x40\x01\x01\x07\x18\xc0\x00\x02";
/// let update = Update::parse(body, &Session::default())?;
/// let verdict = validate(&update);
/// assert_eq!(verdict.disposition(), Some(Disposition::Withdraw));
/// let finding = verdict.findings().next().unwrap();
/// assert_eq!(finding.fault.to_string(), "ORIGIN has the undefined value 7");
/// assert_eq!(finding.offset, 23);
/// # Ok::<(), metal_bgp::wire::Error>(())
/// ```
#[must_use]
pub fn validate<'a>(update: &Update<'a>) -> Verdict<'a> {
    let mut verdict = Verdict { update: *update, strongest: None };
    if !update.is_sound() || missing(update) != 0 {
        verdict.strongest = verdict.findings().map(|finding| finding.disposition).max();
    }
    verdict
}

impl<'a> Verdict<'a> {
    /// What to do: the strongest of all findings (RFC 7606 3 h). `None` when nothing is wrong.
    #[must_use]
    pub const fn disposition(&self) -> Option<Disposition> {
        self.strongest
    }

    /// Everything that is wrong, in the order of the message.
    pub fn findings(&self) -> impl Iterator<Item = Finding<'a>> + use<'a> {
        let update = self.update;
        let stronger = must_not_be_withdrawn(&update);
        Findings::of(&update).map(move |mut finding| {
            if stronger && finding.disposition > Disposition::Discard {
                finding.disposition = Disposition::Reset;
            }
            finding
        })
    }

    /// Why the session has to end, if it has to.
    #[must_use]
    pub fn reset(&self) -> Option<Error> {
        if self.strongest != Some(Disposition::Reset) {
            return None;
        }
        self.findings().find(|finding| finding.disposition == Disposition::Reset).map(|finding| {
            Error::new(ErrorKind::Attribute(finding.fault), finding.offset, finding.notification().data)
        })
    }
}

impl<'a> Finding<'a> {
    /// The NOTIFICATION for the error where it ends the session (RFC 4271 6.3).
    #[must_use]
    pub fn notification(&self) -> Notification<'a> {
        let data = match self.fault {
            Fault::Missing(AttributeCode(code)) => {
                CODES.get(usize::from(code)..=usize::from(code)).unwrap_or_default()
            }
            // An error of the list, not of one attribute.
            Fault::CutOff | Fault::Duplicate(_) => &[],
            // For a malformed AS_PATH no data is defined.
            fault if fault.subcode() == 11 => &[],
            _ => self.attribute,
        };
        Notification::new(self.fault.code(), self.fault.subcode(), data)
    }
}

/// What RFC 7606 and the definitions of the attributes say.
const fn disposition(fault: Fault) -> Disposition {
    use AttributeCode as Code;
    use Disposition::{DisableFamily, Discard, Reset, Withdraw};
    match fault {
        // 3 g.
        Fault::Duplicate(Code::MP_REACH_NLRI | Code::MP_UNREACH_NLRI) => Reset,
        Fault::Duplicate(_) => Discard,
        // 4271 6.3: nothing softer was ever defined for it.
        Fault::UnrecognizedWellKnown(_) => Reset,
        // 4 and 3 d.
        Fault::CutOff | Fault::Missing(_) => Withdraw,
        // 3 c; 7311 3.2 is stricter with itself.
        Fault::Flags { code: Code::AIGP, .. } => Discard,
        Fault::Flags { .. } => Withdraw,
        // 7.5, 7.9, 7.10; 6793 6.
        Fault::FromExternal(_) | Fault::FromFourOctet(_) => Discard,
        // 5.3 and 7.11: without the family there is nothing that could be disabled.
        Fault::Length { code: Code::MP_REACH_NLRI | Code::MP_UNREACH_NLRI, .. } => Reset,
        Fault::NextHopLength(_) | Fault::PrefixLength { .. } | Fault::PrefixCutOff(_) => DisableFamily,
        // 9774 3, in both.
        Fault::AsSet(_) => Withdraw,
        // 7.6, 7.7; 6793 6; 7607 2.
        Fault::Length {
            code: Code::ATOMIC_AGGREGATE | Code::AGGREGATOR | Code::AS4_AGGREGATOR | Code::AS4_PATH,
            ..
        }
        | Fault::AsZero(Code::AGGREGATOR | Code::AS4_AGGREGATOR | Code::AS4_PATH)
        | Fault::SegmentType { code: Code::AS4_PATH, .. }
        | Fault::EmptySegment(Code::AS4_PATH)
        | Fault::SegmentCutOff(Code::AS4_PATH) => Discard,
        // 7311 3.2, 8669 6.
        Fault::Tlv(_) => Discard,
        // 7.1 to 7.4, 7.8, 7.14, 7.15; 8092 6; 9234 5; 7607 2.
        Fault::Length { .. }
        | Fault::Origin(_)
        | Fault::NextHop(_)
        | Fault::AsZero(_)
        | Fault::SegmentType { .. }
        | Fault::EmptySegment(_)
        | Fault::SegmentCutOff(_)
        | Fault::Confederation => Withdraw,
    }
}

/// With attributes but nothing reachable, an UPDATE may have lost its prefixes to the error: nothing is there that
/// could be taken as withdrawn (RFC 7606 5.2).
fn must_not_be_withdrawn(update: &Update<'_>) -> bool {
    let mut attributes = update.attributes();
    let mut cut_off = || {
        attributes.by_ref().for_each(drop);
        !attributes.rest.is_empty()
    };
    !update.reaches() && (!update.seen().only(AttributeCode::MP_UNREACH_NLRI) || cut_off())
}

/// The attributes that have to be there, and are not (RFC 4271 5, 4760 3), as one bit each.
fn missing(update: &Update<'_>) -> u64 {
    let bit = |code: AttributeCode, needed: bool| u64::from(needed) << code.0;
    if !update.reaches() {
        return 0;
    }
    update.seen().without(
        bit(AttributeCode::ORIGIN, true)
            | bit(AttributeCode::AS_PATH, true)
            | bit(AttributeCode::NEXT_HOP, !update.nlri().is_empty())
            | bit(AttributeCode::LOCAL_PREF, update.session().peer == Peer::Internal),
    )
}

/// Walks the attributes once more; only an UPDATE in which something is wrong gets here.
struct Findings<'a> {
    attributes: AttributeIter<'a>,
    context: Context,
    seen: Seen,
    list_offset: usize,
}

impl<'a> Findings<'a> {
    fn of(update: &Update<'a>) -> impl Iterator<Item = Finding<'a>> + use<'a> {
        let list_offset = update.attributes_offset().saturating_sub(2);
        let findings = Self {
            attributes: update.attributes(),
            context: Context::new(update.session()).with_nlri(!update.nlri().is_empty()),
            seen: Seen::default(),
            list_offset,
        };
        let missing = missing(update);
        let missing = (0..64).filter(move |code| missing & 1 << code != 0).map(move |code| {
            let code = AttributeCode(code);
            let fault = Fault::Missing(code);
            Finding { code, disposition: disposition(fault), offset: list_offset, fault, attribute: &[] }
        });
        findings.chain(missing)
    }
}

impl<'a> Iterator for Findings<'a> {
    type Item = Finding<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        for attribute in self.attributes.by_ref() {
            let code = attribute.code;
            let fault = if self.seen.insert(code) {
                check(code, attribute.flags, attribute.bytes, self.context)
            } else {
                Some(Fault::Duplicate(code))
            };
            if let Some(fault) = fault {
                let (offset, attribute) = (attribute.offset, attribute.raw);
                return Some(Finding { code, disposition: disposition(fault), offset, fault, attribute });
            }
        }
        let attribute = core::mem::take(&mut self.attributes.rest);
        if attribute.is_empty() {
            return None;
        }
        let code = AttributeCode(attribute.get(1).copied().unwrap_or_default());
        let offset = self.attributes.offset.max(self.list_offset);
        let fault = Fault::CutOff;
        Some(Finding { code, disposition: disposition(fault), offset, fault, attribute })
    }
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discard => "discard",
            Self::Withdraw => "withdraw",
            Self::DisableFamily => "disable-family",
            Self::Reset => "reset",
        })
    }
}

/// Every code, to point at one.
const CODES: [u8; 256] = {
    let mut codes = [0; 256];
    let mut code = 0;
    while code < 255 {
        codes[code as usize] = code;
        code += 1;
    }
    codes[255] = 255;
    codes
};
