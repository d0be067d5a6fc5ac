//! Claims on addresses, in pages.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sha2::{Digest, Sha256};

use super::{
    Refused,
    codec::{Reader, Write, address_len},
};

/// That a speaker answers for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// One more than the highest term heard before: the higher one wins.
    pub term: u32,
    /// How far it is.
    pub state: ClaimState,
}

/// How far a claim is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimState {
    /// The claimant answers.
    Held,
    /// The claimant is about to answer.
    Claiming,
    /// The claimant answers until the member with this hash does.
    HandingOver(u32),
}

impl Claim {
    /// A number per claim whose wrapping sum over all claims tells whether two sets are equal: the first
    /// eight bytes of SHA-256 over the claim as a page carries it.
    #[must_use]
    pub fn digest(&self, address: IpAddr) -> u64 {
        let mut bytes = Vec::with_capacity(CLAIM_MAX);
        write_claim(&mut bytes, address, self);
        Sha256::digest(&bytes).first_chunk().copied().map_or(0, u64::from_be_bytes)
    }
}

/// All claims between two addresses, these included: what the receiver knew there and does not find here is
/// no longer claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The first address that the page speaks about.
    pub from: IpAddr,
    /// The last one.
    pub to: IpAddr,
    /// The claims, ascending by address.
    pub claims: Vec<(IpAddr, Claim)>,
}

impl Default for Page {
    /// Nothing is claimed anywhere.
    fn default() -> Self {
        Self { from: Self::FIRST, to: Self::LAST, claims: Vec::new() }
    }
}

impl Page {
    /// The first of all addresses.
    pub const FIRST: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    /// The last of all addresses.
    pub const LAST: IpAddr = IpAddr::V6(Ipv6Addr::from_bits(u128::MAX));

    /// The page that starts at `from` and holds as many of `claims` (ascending, all at or after `from`) as
    /// `room` bytes take, to the last address when it takes them all.
    #[must_use]
    pub fn fill(from: IpAddr, claims: impl Iterator<Item = (IpAddr, Claim)>, room: usize) -> Self {
        let mut page = Self { from, to: Self::LAST, claims: Vec::new() };
        // `to` counts as IPv6: it may become any address.
        let mut left = room.saturating_sub(2 + address_len(from) + address_len(Self::LAST));
        for (address, claim) in claims {
            let size = claim_len(address, &claim);
            if size > left {
                page.to = page.claims.last().map_or(from, |(last, _)| *last);
                break;
            }
            left -= size;
            page.claims.push((address, claim));
        }
        page
    }
}

pub(super) fn parse(body: &mut Reader<'_>) -> Result<Page, Refused> {
    let mut page = Page { from: body.address()?, to: body.address()?, claims: Vec::new() };
    if page.from > page.to {
        return Err(Refused::Malformed);
    }
    let count = body.u16()?;
    for _ in 0..count {
        let address = body.address()?;
        let term = body.u32()?;
        let state = match body.u8()? {
            1 => ClaimState::Held,
            2 => ClaimState::Claiming,
            3 => ClaimState::HandingOver(body.u32()?),
            _ => return Err(Refused::Malformed),
        };
        let ascending = page.claims.last().is_none_or(|(last, _)| *last < address);
        if !ascending || address < page.from || address > page.to {
            return Err(Refused::Malformed);
        }
        page.claims.push((address, Claim { term, state }));
    }
    Ok(page)
}

pub(super) fn emit(page: &Page, frame: &mut Vec<u8>, end: usize) {
    let mut left = end.saturating_sub(frame.len() + 2 + address_len(page.from) + address_len(page.to));
    let fits = page.claims.iter().take_while(|(address, claim)| {
        let size = claim_len(*address, claim);
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits
    });
    let count = fits.count();
    let claims = &page.claims[..count];
    let to = match claims.last() {
        Some((last, _)) if count < page.claims.len() => *last,
        _ => page.to,
    };
    frame.address(page.from);
    frame.address(to);
    frame.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
    for (address, claim) in claims {
        write_claim(frame, *address, claim);
    }
}

fn write_claim(frame: &mut Vec<u8>, address: IpAddr, claim: &Claim) {
    frame.address(address);
    frame.extend_from_slice(&claim.term.to_be_bytes());
    match claim.state {
        ClaimState::Held => frame.push(1),
        ClaimState::Claiming => frame.push(2),
        ClaimState::HandingOver(successor) => {
            frame.push(3);
            frame.extend_from_slice(&successor.to_be_bytes());
        }
    }
}

const fn claim_len(address: IpAddr, claim: &Claim) -> usize {
    address_len(address) + if matches!(claim.state, ClaimState::HandingOver(_)) { 9 } else { 5 }
}

/// An IPv6 address that is handed over.
const CLAIM_MAX: usize = 17 + 9;
