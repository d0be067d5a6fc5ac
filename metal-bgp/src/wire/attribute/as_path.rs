//! AS_PATH and AS4_PATH (RFC 4271 4.3, 5065, 6793).

use alloc::vec::Vec;
use core::fmt;

/// The AS number that stands for those that do not fit into two octets (RFC 6793 9).
pub const AS_TRANS: u16 = 23_456;

/// A path that has been checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AsPath<'a> {
    bytes: &'a [u8],
    four_octet: bool,
}

/// A segment of a path where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Its type.
    pub kind: SegmentKind,
    /// Its AS numbers.
    pub asns: Asns<'a>,
}

/// The AS numbers of a segment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Asns<'a> {
    bytes: &'a [u8],
    four_octet: bool,
}

/// A segment of a path of one's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathSegment {
    /// Its type.
    pub kind: SegmentKind,
    /// Its AS numbers. More than 255 are written as several segments.
    pub asns: Vec<u32>,
}

/// The type of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SegmentKind {
    /// AS_SET: in no order. No longer allowed (RFC 9774).
    Set,
    /// AS_SEQUENCE: the last AS that was passed comes first.
    Sequence,
    /// AS_CONFED_SEQUENCE: the same, inside of a confederation.
    ConfedSequence,
    /// AS_CONFED_SET: in no order, inside of a confederation. No longer allowed.
    ConfedSet,
}

impl<'a> AsPath<'a> {
    pub(crate) const fn new(bytes: &'a [u8], four_octet: bool) -> Self {
        Self { bytes, four_octet }
    }

    /// The segments in their order.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'a>> + Clone + use<'a> {
        let Self { mut bytes, four_octet } = *self;
        core::iter::from_fn(move || {
            let &[kind, count, ref rest @ ..] = bytes else { return None };
            let (asns, rest) = rest.split_at_checked(usize::from(count) * width(four_octet))?;
            bytes = rest;
            Some(Segment { kind: SegmentKind::from_code(kind)?, asns: Asns { bytes: asns, four_octet } })
        })
    }

    /// All AS numbers, whatever their segment.
    pub fn asns(&self) -> impl Iterator<Item = u32> + Clone + use<'a> {
        self.segments().flat_map(|segment| segment.asns.iter())
    }

    /// How long it is for whoever compares paths (RFC 4271 9.1.2.2, 5065 5.3): a set counts as one, what is
    /// inside of a confederation as nothing.
    #[must_use]
    pub fn hops(&self) -> usize {
        self.segments().map(|segment| segment.kind.hops(segment.asns.len())).sum()
    }

    /// Whether it has no segment, as towards peers in our AS.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The path as a value of one's own.
    #[must_use]
    pub fn to_segments(&self) -> Vec<PathSegment> {
        self.segments()
            .map(|Segment { kind, asns }| PathSegment { kind, asns: asns.iter().collect() })
            .collect()
    }
}

impl<'a> Asns<'a> {
    /// The AS numbers in their order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + Clone + use<'a> {
        let four_octet = self.four_octet;
        self.bytes.chunks_exact(width(four_octet)).map(move |asn| match *asn {
            [a, b, c, d] => u32::from_be_bytes([a, b, c, d]),
            [a, b] => u32::from(u16::from_be_bytes([a, b])),
            _ => 0,
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() / width(self.four_octet)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl PathSegment {
    /// An AS_SEQUENCE.
    #[must_use]
    pub fn sequence(asns: impl IntoIterator<Item = u32>) -> Self {
        Self { kind: SegmentKind::Sequence, asns: asns.into_iter().collect() }
    }
}

impl SegmentKind {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Set => 1,
            Self::Sequence => 2,
            Self::ConfedSequence => 3,
            Self::ConfedSet => 4,
        }
    }

    /// The type with this number.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Set),
            2 => Some(Self::Sequence),
            3 => Some(Self::ConfedSequence),
            4 => Some(Self::ConfedSet),
            _ => None,
        }
    }

    const fn hops(self, asns: usize) -> usize {
        match self {
            Self::Sequence => asns,
            Self::Set => 1,
            Self::ConfedSequence | Self::ConfedSet => 0,
        }
    }
}

/// The real path behind an AS_PATH with AS_TRANS in it: as many AS numbers off its front as make it no longer
/// than before, then the AS4_PATH (RFC 6793 4.2.3). An AS4_PATH that is longer than the path is not believed.
#[must_use]
pub fn merge_as4_path(as_path: &[PathSegment], as4_path: &[PathSegment]) -> Vec<PathSegment> {
    let hops = |path: &[PathSegment]| -> usize {
        path.iter().map(|segment| segment.kind.hops(segment.asns.len())).sum()
    };
    // Confederation segments do not belong into an AS4_PATH.
    let believed: Vec<_> = as4_path
        .iter()
        .filter(|segment| matches!(segment.kind, SegmentKind::Sequence | SegmentKind::Set))
        .cloned()
        .collect();
    let Some(mut in_front) = hops(as_path).checked_sub(hops(&believed)) else { return as_path.to_vec() };
    let mut merged = Vec::new();
    for segment in as_path {
        let hops = segment.kind.hops(segment.asns.len());
        if segment.kind.hops(1) == 0 {
            // Confederation segments only ever lead the path.
            merged.push(segment.clone());
        } else if hops <= in_front {
            in_front -= hops;
            merged.push(segment.clone());
        } else {
            if in_front > 0 {
                let asns = segment.asns.iter().take(in_front).copied().collect();
                merged.push(PathSegment { kind: segment.kind, asns });
            }
            break;
        }
    }
    for segment in believed {
        match merged.last_mut() {
            Some(last) if last.kind == SegmentKind::Sequence && segment.kind == SegmentKind::Sequence => {
                last.asns.extend(segment.asns);
            }
            _ => merged.push(segment),
        }
    }
    merged
}

/// The octets of an AS number.
pub(crate) const fn width(four_octet: bool) -> usize {
    if four_octet { 4 } else { 2 }
}

impl fmt::Debug for AsPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.segments()).finish()
    }
}

impl fmt::Debug for Asns<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
