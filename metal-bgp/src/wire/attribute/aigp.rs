//! The accumulated IGP metric (RFC 7311).

/// The TLVs of an AIGP attribute that has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aigp<'a> {
    bytes: &'a [u8],
}

impl<'a> Aigp<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The metric of the first AIGP TLV; the others do not count (RFC 7311 3).
    #[must_use]
    pub fn metric(&self) -> Option<u64> {
        self.tlvs().find_map(|(kind, value)| match (kind, value.first_chunk()) {
            (METRIC, Some(metric)) => Some(u64::from_be_bytes(*metric)),
            _ => None,
        })
    }

    /// The type and value of each TLV.
    pub fn tlvs(&self) -> impl Iterator<Item = (u8, &'a [u8])> + Clone + use<'a> {
        let mut bytes = self.bytes;
        core::iter::from_fn(move || {
            let &[kind, high, low, ..] = bytes else { return None };
            // The length counts the three octets in front of the value.
            let len = usize::from(u16::from_be_bytes([high, low]));
            let (tlv, rest) = bytes.split_at_checked(len)?;
            let value = tlv.get(3..)?;
            bytes = rest;
            Some((kind, value))
        })
    }

    /// All of it.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether the TLVs fill the attribute, and each AIGP TLV has a metric.
    pub(crate) fn is_well_formed(&self) -> bool {
        let mut taken = 0;
        for (kind, value) in self.tlvs() {
            if kind == METRIC && value.len() != 8 {
                return false;
            }
            taken += 3 + value.len();
        }
        taken == self.bytes.len() && taken > 0
    }
}

/// The TLV with the metric.
pub(crate) const METRIC: u8 = 1;
