//! What is sealed inside a frame.

use alloc::vec::Vec;

use ipnet::IpNet;

use super::{
    Kind, Nonce, Page, Refused,
    codec::{Reader, Write, address_len},
    page,
};

/// A message, by its [`Kind`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// I am here, and this is what I serve.
    Beacon(Beacon),
    /// Are you still there?
    Probe(Probe),
    /// I am.
    Answer(Answer),
    /// I am gone.
    Farewell(Farewell),
}

/// What a speaker says on one of its links, at least once per interval.
///
/// | sealed body | bytes |
/// | --- | --- |
/// | interval in milliseconds, multiplier, election rules, tier | 2, 1, 1, 1 |
/// | flags | 2 |
/// | id of the newest secret held | 4 |
/// | the sender's nonce on this link | 8 |
/// | echoes: count, then member hash and nonce each | 1 + 12 n |
/// | heard: total, count, then a member hash each | 2 + 1 + 4 n |
/// | suspects: count, then a member hash each | 1 + 4 n |
/// | prefixes: count, then length, family (4 or 6), network each | 1 + 6 or 18 n |
/// | claims: total, digest | 4 + 8 |
/// | page: first and last address (family, bytes), count | 2 × 5 or 17, 2 |
/// | then address, term, state (and successor) each | 5 or 17, 4, 1 (+ 4) |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beacon {
    /// Milliseconds until the next one at the latest.
    pub interval_ms: u16,
    /// How many intervals of silence mean that the sender is gone.
    pub multiplier: u8,
    /// The version of the rules by which the sender ranks nodes.
    pub rules: u8,
    /// How willing the node is to serve; lower is better.
    pub tier: u8,
    /// What the sender is about.
    pub flags: Flags,
    /// The newest secret that the sender holds, whichever sealed this frame.
    pub newest_key: u32,
    /// The sender's random number on this link: who echoes it has heard the sender lately.
    pub nonce: Nonce,
    /// Nonces that the sender has heard here, by member hash; first of those that do not trust it yet.
    pub echoes: Vec<(u32, Nonce)>,
    /// The members that the sender hears here.
    pub heard: Heard,
    /// Members that the sender misses but has not given up.
    pub suspects: Vec<u32>,
    /// The prefixes of the addresses on this link.
    pub prefixes: Vec<IpNet>,
    /// How many addresses the sender claims on this link.
    pub claims_total: u32,
    /// The sum of [`Claim::digest`](super::Claim::digest) over all of them.
    pub claims_digest: u64,
    /// Some of them.
    pub page: Page,
}

/// What the sender of a beacon is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u16);

impl Flags {
    /// It is ending: nobody may count on it.
    pub const LEAVING: Self = Self(1);
    /// It claims nothing yet.
    pub const LISTENING: Self = Self(2);
    /// It wants everybody to answer at once.
    pub const SOLICIT: Self = Self(4);
    /// It serves this LAN through another of its links.
    pub const STANDBY: Self = Self(8);

    /// Whether all of `flags` are set.
    #[must_use]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These flags and `flags` where `on`.
    #[must_use]
    pub const fn with(self, flags: Self, on: bool) -> Self {
        if on { Self(self.0 | flags.0) } else { self }
    }
}

/// Whom a speaker hears on a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// How many members.
    pub total: u16,
    /// The hashes of up to 64 of them.
    pub members: Vec<u32>,
}

impl Heard {
    /// Whether `member` is heard; `None` when the list is not complete and does not name it.
    #[must_use]
    pub fn contains(&self, member: u32) -> Option<bool> {
        if self.members.contains(&member) {
            return Some(true);
        }
        (usize::from(self.total) <= self.members.len()).then_some(false)
    }
}

impl Beacon {
    /// How many bytes the page may have so that the body fits into `room`.
    #[must_use]
    pub fn room_for_page(&self, room: usize) -> usize {
        let prefixes: usize =
            self.prefixes.iter().take(MAX_PREFIXES).map(|prefix| 1 + address_len(prefix.network())).sum();
        let fixed = BEACON_FIXED
            + 12 * self.echoes.len().min(MAX_ECHOES)
            + 4 * self.heard.members.len().min(MAX_HEARD)
            + 4 * self.suspects.len().min(MAX_SUSPECTS)
            + prefixes;
        room.saturating_sub(fixed)
    }

    fn parse(body: &mut Reader<'_>) -> Result<Self, Refused> {
        let mut beacon = Self {
            interval_ms: body.u16()?,
            multiplier: body.u8()?,
            rules: body.u8()?,
            tier: body.u8()?,
            flags: Flags(body.u16()?),
            newest_key: body.u32()?,
            nonce: body.array()?,
            ..Self::default()
        };
        if beacon.interval_ms == 0 || beacon.multiplier == 0 {
            return Err(Refused::Malformed);
        }
        beacon.echoes = list(body, MAX_ECHOES, |body| Ok((body.u32()?, body.array()?)))?;
        beacon.heard.total = body.u16()?;
        beacon.heard.members = list(body, MAX_HEARD, Reader::u32)?;
        if beacon.heard.members.len() > usize::from(beacon.heard.total) {
            return Err(Refused::Malformed);
        }
        beacon.suspects = list(body, MAX_SUSPECTS, Reader::u32)?;
        beacon.prefixes = list(body, MAX_PREFIXES, Reader::prefix)?;
        beacon.claims_total = body.u32()?;
        beacon.claims_digest = body.u64()?;
        beacon.page = page::parse(body)?;
        Ok(beacon)
    }

    fn emit(&self, frame: &mut Vec<u8>, end: usize) {
        frame.extend_from_slice(&self.interval_ms.to_be_bytes());
        frame.extend_from_slice(&[self.multiplier, self.rules, self.tier]);
        frame.extend_from_slice(&self.flags.0.to_be_bytes());
        frame.extend_from_slice(&self.newest_key.to_be_bytes());
        frame.extend_from_slice(&self.nonce);
        write_list(frame, &self.echoes, MAX_ECHOES, |frame, (member, nonce)| {
            frame.extend_from_slice(&member.to_be_bytes());
            frame.extend_from_slice(nonce);
        });
        let named = self.heard.members.len().min(MAX_HEARD);
        let total = self.heard.total.max(u16::try_from(named).unwrap_or(u16::MAX));
        frame.extend_from_slice(&total.to_be_bytes());
        write_list(frame, &self.heard.members, MAX_HEARD, write_hash);
        write_list(frame, &self.suspects, MAX_SUSPECTS, write_hash);
        write_list(frame, &self.prefixes, MAX_PREFIXES, |frame, prefix| frame.prefix(*prefix));
        frame.extend_from_slice(&self.claims_total.to_be_bytes());
        frame.extend_from_slice(&self.claims_digest.to_be_bytes());
        page::emit(&self.page, frame, end);
    }
}

/// Asks one member whether it is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// A number that only a fresh answer can carry.
    pub challenge: Nonce,
}

/// The answer to a [`Probe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The challenge of the probe.
    pub challenge: Nonce,
}

/// The sender has ended. It holds whatever its number, and ends only the incarnation that sealed it: a
/// replay kills what is dead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Farewell {
    /// Why; 0 is a clean end, 1 a crash. Nothing depends on it.
    pub reason: u8,
}

impl Message {
    /// The kind that announces it in the clear header.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Beacon(_) => Kind::Beacon,
            Self::Probe(_) => Kind::Probe,
            Self::Answer(_) => Kind::Answer,
            Self::Farewell(_) => Kind::Farewell,
        }
    }

    /// Reads a body whose seal has been opened.
    ///
    /// # Errors
    /// [`Refused::Malformed`] when it is not a whole body of this kind.
    pub fn parse(kind: Kind, body: &[u8]) -> Result<Self, Refused> {
        let mut body = Reader::new(body);
        let message = match kind {
            Kind::Beacon => Self::Beacon(Beacon::parse(&mut body)?),
            Kind::Probe => Self::Probe(Probe { challenge: body.array()? }),
            Kind::Answer => Self::Answer(Answer { challenge: body.array()? }),
            Kind::Farewell => Self::Farewell(Farewell { reason: body.u8()? }),
        };
        body.extensions()?;
        Ok(message)
    }

    /// Appends the body; the frame stays below `end`.
    pub(super) fn emit(&self, frame: &mut Vec<u8>, end: usize) {
        match self {
            Self::Beacon(beacon) => beacon.emit(frame, end),
            Self::Probe(Probe { challenge }) | Self::Answer(Answer { challenge }) => {
                frame.extend_from_slice(challenge);
            }
            Self::Farewell(Farewell { reason }) => frame.push(*reason),
        }
    }
}

fn write_hash(frame: &mut Vec<u8>, hash: &u32) {
    frame.extend_from_slice(&hash.to_be_bytes());
}

fn list<'a, T>(
    body: &mut Reader<'a>,
    limit: usize,
    item: impl Fn(&mut Reader<'a>) -> Result<T, Refused>,
) -> Result<Vec<T>, Refused> {
    let count = body.count(limit)?;
    (0..count).map(|_| item(body)).collect()
}

fn write_list<T>(frame: &mut Vec<u8>, items: &[T], limit: usize, write: impl Fn(&mut Vec<u8>, &T)) {
    let items = &items[..items.len().min(limit)];
    frame.push(u8::try_from(items.len()).unwrap_or(u8::MAX));
    for item in items {
        write(frame, item);
    }
}

pub(super) const MAX_ECHOES: usize = 16;
pub(super) const MAX_HEARD: usize = 64;
pub(super) const MAX_SUSPECTS: usize = 8;
pub(super) const MAX_PREFIXES: usize = 8;

/// A beacon's body without its lists and its page.
const BEACON_FIXED: usize = 2 + 3 + 2 + 4 + 8 + 1 + (2 + 1) + 1 + 1 + 4 + 8;
