//! What the announcer makes of a frame.

use core::{
    cell::Cell,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use metal_core::Instant;

use super::{Announcer, BACKLOG, link::Link};
use crate::{
    arp::{self, Operation},
    ethernet::{Mac, is_ipv6},
    ndp,
    reply::{advertise, answer},
    silence::Silence,
};

/// What a frame has caused. `place` is where the address was found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waiting {
    Reply { link: u32, address: Ipv4Addr, place: usize, asker_mac: Mac, asker_ip: Ipv4Addr },
    Advertise { link: u32, address: Ipv6Addr, place: usize, asker_mac: Mac, asker_ip: Ipv6Addr },
    Conflict { link: u32, address: IpAddr, mac: Mac },
}

impl Announcer {
    #[inline]
    pub(super) fn on_frame(&mut self, now: Instant, index: u32, frame: &[u8]) -> Result<(), Silence> {
        let link = self.links.get_mut(&index).ok_or(Silence::NoLink)?;
        let mac = link.mac.ok_or(Silence::NoLink)?;
        // Where the address was found that is answered for.
        let place = Cell::new(0);
        if is_ipv6(frame) {
            let question = ndp::Packet::parse(frame)?;
            let owned = |address| link.v6.position(address).inspect(|found| place.set(*found)).is_some();
            let answer = advertise(&question, mac, owned);
            if let Some(address) = objection_v6(link, &question, &answer) {
                return self.on_conflict(now, index, address.into(), question.sender_mac());
            }
            return self.on_ndp(now, index, &question, answer, place.get());
        }
        let question = arp::Packet::parse(frame)?;
        let owned = |address| link.v4.position(address).inspect(|found| place.set(*found)).is_some();
        let answer = answer(&question, mac, owned);
        if let Some(address) = objection_v4(link, &question, &answer) {
            return self.on_conflict(now, index, address.into(), question.sender_mac);
        }
        let (asker_mac, asker_ip) = (question.sender_mac, question.sender_ip);
        if matches!(answer, Ok(_) | Err(Silence::NotOwned)) && !asker_ip.is_unspecified() {
            link.requesters_v4.remember(now, asker_ip, asker_mac);
        }
        match answer {
            Ok(packet) => self.enqueue(Waiting::Reply {
                link: index,
                address: packet.sender_ip,
                place: place.get(),
                asker_mac,
                asker_ip,
            }),
            Err(Silence::SenderClaimsAddress) => self.on_conflict(now, index, asker_ip.into(), asker_mac),
            Err(Silence::NotOwned) => Err(not_announced(link, question.target_ip.into())),
            Err(reason) => Err(reason),
        }
    }

    #[inline]
    fn on_ndp(
        &mut self,
        now: Instant,
        index: u32,
        question: &ndp::Packet,
        answer: Result<ndp::Packet, Silence>,
        place: usize,
    ) -> Result<(), Silence> {
        let (asker_mac, asker_ip) = (question.sender_mac(), question.source_ip);
        let link = self.links.get_mut(&index).ok_or(Silence::NoLink)?;
        if matches!(answer, Ok(_) | Err(Silence::NotOwned)) && !asker_ip.is_unspecified() {
            link.requesters_v6.remember(now, asker_ip, asker_mac);
        }
        match answer {
            Ok(packet) => {
                let address = packet.target;
                if question.is_probe() {
                    // Somebody is about to use the address: it is told that it is taken, and so are people.
                    if self.is_ours(asker_mac) {
                        return Err(Silence::SpoofedSender);
                    }
                    self.note_conflict(now, index, address.into(), asker_mac);
                }
                self.enqueue(Waiting::Advertise { link: index, address, place, asker_mac, asker_ip })
            }
            Err(Silence::SenderClaimsAddress) => {
                let claimed = question.claims().find(|address| link.v6.contains(*address));
                let address = claimed.ok_or(Silence::SenderClaimsAddress)?;
                self.on_conflict(now, index, address.into(), asker_mac)
            }
            Err(Silence::NotOwned) => Err(not_announced(link, question.target.into())),
            Err(reason) => Err(reason),
        }
    }

    /// A frame says that somebody else has an address of ours. It gets no answer.
    fn on_conflict(&mut self, now: Instant, index: u32, address: IpAddr, mac: Mac) -> Result<(), Silence> {
        // Two links of ours in one LAN hear each other.
        if self.is_ours(mac) {
            return Err(Silence::SpoofedSender);
        }
        self.note_conflict(now, index, address, mac);
        Err(Silence::SenderClaimsAddress)
    }

    fn note_conflict(&mut self, now: Instant, index: u32, address: IpAddr, mac: Mac) {
        let Some(link) = self.links.get_mut(&index) else { return };
        let news = link.hear(now, address, &mut self.jitter);
        self.quiet_until = None;
        if !news || self.waiting.len() >= BACKLOG {
            return;
        }
        if let Some((conflict, _)) = link.conflict_mut(address) {
            conflict.reported(now);
        }
        self.waiting.push_back(Waiting::Conflict { link: index, address, mac });
    }

    /// Whether a link of ours has this address.
    pub(super) fn is_ours(&self, mac: Mac) -> bool {
        self.links.values().any(|link| link.mac == Some(mac))
    }

    #[inline]
    fn enqueue(&mut self, waiting: Waiting) -> Result<(), Silence> {
        if self.waiting.len() >= BACKLOG {
            return Err(Silence::Backlog);
        }
        self.waiting.push_back(waiting);
        Ok(())
    }
}

/// Why there is no answer about an address that is not announced.
fn not_announced(link: &Link, address: IpAddr) -> Silence {
    let probing = !link.probing.is_empty() && link.probing.contains_key(&address);
    if probing { Silence::Probing } else { Silence::NotOwned }
}

/// The address that is being asked for and that the sender has, or asks for likewise (RFC 5227 2.1.1).
#[inline]
fn objection_v4(
    link: &Link,
    question: &arp::Packet,
    answer: &Result<arp::Packet, Silence>,
) -> Option<Ipv4Addr> {
    if link.probing.is_empty() || *answer == Err(Silence::SpoofedSender) {
        return None;
    }
    let address = if !question.sender_ip.is_unspecified() {
        question.sender_ip
    } else if question.operation == Operation::Request {
        question.target_ip
    } else {
        return None;
    };
    link.probing.contains_key(&address.into()).then_some(address)
}

/// The same for IPv6 (RFC 4862 5.4.3, 5.4.4).
#[inline]
fn objection_v6(
    link: &Link,
    question: &ndp::Packet,
    answer: &Result<ndp::Packet, Silence>,
) -> Option<Ipv6Addr> {
    if link.probing.is_empty() || *answer == Err(Silence::SpoofedSender) {
        return None;
    }
    let wanted = question.is_probe().then_some(question.target);
    let mut said = question.claims().chain(wanted);
    said.find(|address| link.probing.contains_key(&(*address).into()))
}
