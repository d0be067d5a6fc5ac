//! A frame and what we own in; the answer, or the reason for silence, out.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    arp::{Operation, Packet},
    ethernet::{BROADCAST, Frame, Mac, is_ipv6, is_station},
    ndp,
    silence::Silence,
};

/// The answer to a whole Ethernet frame that came in on a link whose address is `mac`.
///
/// `owned` says whether an address is ours on that link; it is asked at most twice.
///
/// ```
/// # use core::net::Ipv4Addr;
/// # use metal_arp::{Operation, Packet, Silence, reply};
/// # let client = [2, 0, 0, 0, 0, 9];
/// let question = Packet {
///     destination: [0xff; 6],
///     source: client,
///     operation: Operation::Request,
///     sender_mac: client,
///     sender_ip: Ipv4Addr::new(10, 0, 0, 9),
///     target_mac: [0; 6],
///     target_ip: Ipv4Addr::new(10, 0, 0, 1),
/// };
/// let mac = [2, 0, 0, 0, 0, 1];
/// let frame = question.emit();
/// let answer = reply(frame.as_bytes(), mac, |address| address == Ipv4Addr::new(10, 0, 0, 1)).unwrap();
/// assert_eq!(Packet::parse(answer.as_bytes()).unwrap().sender_mac, mac);
/// assert_eq!(reply(frame.as_bytes(), mac, |_| false), Err(Silence::NotOwned));
/// ```
///
/// # Errors
/// The reason why nothing is to be sent.
pub fn reply(frame: &[u8], mac: Mac, owned: impl Fn(IpAddr) -> bool) -> Result<Frame, Silence> {
    if is_ipv6(frame) {
        return Ok(advertise(&ndp::Packet::parse(frame)?, mac, |address| owned(address.into()))?.emit());
    }
    Ok(answer(&Packet::parse(frame)?, mac, |address| owned(address.into()))?.emit())
}

/// [`reply`] to ARP, between the parser and the emitter.
///
/// # Errors
/// The reason why nothing is to be sent.
#[inline]
pub fn answer(question: &Packet, mac: Mac, owned: impl Fn(Ipv4Addr) -> bool) -> Result<Packet, Silence> {
    let sender = question.sender_mac;
    if !is_station(sender) || sender == mac || question.source == mac {
        return Err(Silence::SpoofedSender);
    }
    // Before all else: a conflict counts in requests and replies alike, whomever they are addressed to
    // (RFC 5227 2.4). A probe has no sender address and claims nothing; it is answered like any request.
    if !question.sender_ip.is_unspecified() && owned(question.sender_ip) {
        return Err(Silence::SenderClaimsAddress);
    }
    if question.operation != Operation::Request {
        return Err(Silence::NotRequest);
    }
    if question.destination != BROADCAST && question.destination != mac {
        return Err(Silence::NotForUs);
    }
    if !owned(question.target_ip) {
        return Err(Silence::NotOwned);
    }
    Ok(Packet::reply(mac, question.target_ip, sender, question.sender_ip))
}

/// [`reply`] to Neighbour Discovery, between the parser and the emitter.
///
/// A probe for duplicates of an address that is ours is answered like any solicitation, to everybody, which tells the
/// prober that the address is taken (RFC 4862 5.4.3).
///
/// # Errors
/// The reason why nothing is to be sent.
#[inline]
pub fn advertise(
    question: &ndp::Packet,
    mac: Mac,
    owned: impl Fn(Ipv6Addr) -> bool,
) -> Result<ndp::Packet, Silence> {
    let sender = question.sender_mac();
    if !is_station(sender) || sender == mac || question.source == mac {
        return Err(Silence::SpoofedSender);
    }
    if question.kind != ndp::Kind::Solicitation {
        return Err(if question.claims().any(owned) {
            Silence::SenderClaimsAddress
        } else {
            Silence::NotRequest
        });
    }
    let group = ndp::solicited_node(question.target);
    let for_us = question.destination == mac || question.destination == ndp::group_mac(group);
    // Asked is the address itself or its group, and nobody else (RFC 4861 4.3).
    if !for_us || (question.destination_ip != question.target && question.destination_ip != group) {
        return Err(Silence::NotForUs);
    }
    if owned(question.source_ip) {
        return Err(Silence::SenderClaimsAddress);
    }
    if !owned(question.target) {
        return Err(Silence::NotOwned);
    }
    Ok(ndp::Packet::reply(mac, question.target, sender, question.source_ip))
}

#[cfg(test)]
mod tests;
