//! What arrives: bytes to messages, messages to events.

use alloc::{boxed::Box, string::ToString, sync::Arc};
use core::time::Duration;

use metal_core::Instant;

use super::{
    Cause, ConnectionId, Malformed, Notice, Output, Peer, SessionId, execute::capped, negotiate::judge,
};
use crate::{
    fsm::{Event, Slot, Speaker, State},
    validate::{Disposition, Verdict, validate},
    wire::{
        AttributeCode, Error, Family, Message, Notification, Open, RouteRefresh, Update,
        attribute::MpNlri,
        family::{Afi, Safi},
        frame::{Frame, HEADER_LEN, HeaderError, MessageType, Unframed},
        notification::code,
        refresh::Subtype,
    },
};

impl Peer {
    /// Works off the bytes. The rest of a connection that ends on the way is dropped.
    pub(super) fn receive(&mut self, now: Instant, slot: Slot, id: ConnectionId, mut bytes: &[u8]) {
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.counters.bytes_received = self.counters.bytes_received.saturating_add(len);
        loop {
            let Some(connection) = self.connection_mut(slot).as_mut().filter(|open| open.id == id) else {
                return;
            };
            let max = connection.receive.max_length;
            if connection.inbox.is_empty() {
                match Frame::parse(bytes, max) {
                    Ok(frame) => {
                        let (message, rest) = bytes.split_at(frame.len());
                        bytes = rest;
                        self.on_frame(now, slot, &frame, message);
                    }
                    Err(Unframed::Incomplete { .. }) => return connection.inbox.extend_from_slice(bytes),
                    Err(Unframed::Malformed(error)) => return self.on_bad_header(now, slot, error, bytes),
                }
                continue;
            }
            // A message that began before: no more is copied than completes its header, and then itself.
            let mut inbox = core::mem::take(&mut connection.inbox);
            match Frame::parse(&inbox, max) {
                Ok(frame) => {
                    self.on_frame(now, slot, &frame, &inbox);
                    inbox.clear();
                }
                Err(Unframed::Incomplete { needed }) => {
                    let (more, rest) = bytes.split_at(needed.get().min(bytes.len()));
                    inbox.extend_from_slice(more);
                    bytes = rest;
                    if more.is_empty() {
                        connection.inbox = inbox;
                        return;
                    }
                }
                Err(Unframed::Malformed(error)) => return self.on_bad_header(now, slot, error, &inbox),
            }
            // The room is used again.
            if let Some(connection) = self.connection_mut(slot).as_mut().filter(|open| open.id == id) {
                connection.inbox = inbox;
            }
        }
    }

    /// The next request for all routes of a family.
    pub(super) fn take_refresh(&mut self) -> Option<Output> {
        let slot = self.pair.established()?;
        let connection = self.connection_mut(slot).as_mut()?;
        let family = connection.refresh.iter().next()?;
        connection.refresh = connection.refresh.iter().filter(|other| *other != family).collect();
        let session = connection.negotiated.as_ref()?.session;
        Some(Output::RouteRefresh { session, family })
    }

    fn on_frame(&mut self, now: Instant, slot: Slot, frame: &Frame<'_>, bytes: &[u8]) {
        self.counters.received.count(frame.kind());
        let Some(connection) = self.connection(slot) else { return };
        match Message::parse(frame, &connection.receive) {
            Ok(Message::Open(open)) => self.on_open(now, slot, open, bytes),
            Ok(Message::Update(update)) => self.on_update(now, slot, &update, bytes),
            Ok(Message::Notification(notification)) => self.on_notification(now, slot, &notification),
            Ok(Message::Keepalive) => self.fire(now, slot, Event::KeepAliveMsg),
            Ok(Message::RouteRefresh(refresh)) => self.on_refresh(now, slot, refresh),
            Err(error) => {
                let event = match frame.kind() {
                    MessageType::Open => Event::BgpOpenMsgErr,
                    MessageType::Update => Event::UpdateMsgErr,
                    MessageType::Notification => Event::NotifMsg,
                    MessageType::Keepalive => Event::BgpHeaderErr,
                    MessageType::RouteRefresh => Event::RouteRefreshMsgErr,
                };
                self.end_for(now, slot, event, Cause::Malformed(error), bytes);
            }
        }
    }

    fn on_bad_header(&mut self, now: Instant, slot: Slot, error: HeaderError, bytes: &[u8]) {
        let is_notification = bytes.get(HEADER_LEN - 1) == Some(&MessageType::Notification.code());
        match error {
            // An error in a NOTIFICATION is not answered with one (RFC 4271 6.4).
            HeaderError::BadMessageLength(_) if is_notification => {
                self.end_for(now, slot, Event::NotifMsg, Cause::NotifiedUnreadably, bytes);
            }
            HeaderError::BadMessageLength(_)
            | HeaderError::BadMessageType(_)
            | HeaderError::ConnectionNotSynchronized { .. } => {
                let cause = Cause::Malformed(Error::from(error));
                self.end_for(now, slot, Event::BgpHeaderErr, cause, bytes);
            }
        }
    }

    fn on_open(&mut self, now: Instant, slot: Slot, open: Open<'_>, bytes: &[u8]) {
        if self.pair.state(slot) != State::OpenSent {
            return self.fire(now, slot, Event::BgpOpen);
        }
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let Some(connection) = self.connection(slot) else { return };
        let Some(ours) = &connection.open else { return };
        let settings = self.config.settings();
        let us = Speaker { identifier: settings.router_id, asn: ours.asn() };
        let them = Speaker { identifier: open.bgp_identifier, asn: open.asn() };
        let negotiated = match judge(&self.config, ours, open, session, connection.id) {
            Ok(negotiated) => negotiated,
            Err(refusal) => {
                return self.end_for(now, slot, Event::BgpOpenMsgErr, Cause::Refused(refusal), bytes);
            }
        };
        if let Some(loser) = self.pair.collision(slot, us, them) {
            self.end(now, loser, Event::OpenCollisionDump, Cause::Collision);
            if loser == slot {
                return;
            }
        }
        if let Some(connection) = self.connection_mut(slot) {
            connection.receive = negotiated.receive;
            connection.negotiated = Some(Arc::new(negotiated));
        }
        self.fire(now, slot, Event::BgpOpen);
    }

    fn on_notification(&mut self, now: Instant, slot: Slot, notification: &Notification<'_>) {
        let notice = Notice::of(notification);
        self.history.received(now, notice.clone());
        let event = if (notice.code, notice.subcode) == (code::OPEN, 1) {
            Event::NotifMsgVerErr
        } else {
            Event::NotifMsg
        };
        self.end(now, slot, event, Cause::Notified(notice));
    }

    fn on_refresh(&mut self, now: Instant, slot: Slot, refresh: RouteRefresh) {
        self.fire(now, slot, Event::RouteRefreshMsg);
        let Some(connection) = self.connection_mut(slot) else { return };
        let Some(negotiated) = &connection.negotiated else { return };
        match refresh.subtype {
            Subtype::Request if negotiated.route_refresh && negotiated.families.contains(refresh.family) => {
                connection.refresh = connection.refresh.with(refresh.family);
            }
            // Nobody was told that it could be asked for (RFC 2918 4); where the peer's own refresh begins and ends
            // matters to those who keep its routes.
            Subtype::Request | Subtype::Beginning | Subtype::End | Subtype::Unknown(_) => {}
        }
    }

    fn on_update(&mut self, now: Instant, slot: Slot, update: &Update<'_>, bytes: &[u8]) {
        if self.pair.state(slot) != State::Established {
            return self.fire(now, slot, Event::UpdateMsg);
        }
        let verdict = validate(update);
        if let Some(disposition) = verdict.disposition() {
            for finding in verdict.findings() {
                self.counters.findings.count(finding.disposition);
            }
            if let Some(error) = verdict.reset() {
                return self.end_for(now, slot, Event::UpdateMsgErr, Cause::Malformed(error), bytes);
            }
            self.tell(now, disposition, &verdict, bytes);
        }
        let withdrawn = verdict.disposition() >= Some(Disposition::Withdraw);
        self.count_routes(slot, update, withdrawn);
        // From the next UPDATE on: this one may still have good routes of another family.
        if verdict.disposition() == Some(Disposition::DisableFamily)
            && let Some(connection) = self.connection_mut(slot)
        {
            for finding in verdict.findings().filter(|found| found.disposition == Disposition::DisableFamily)
            {
                if let Some(family) = family_of(update, finding.code) {
                    connection.disabled = connection.disabled.with(family);
                }
            }
        }
        self.fire(now, slot, Event::UpdateMsg);
    }

    /// Tells what was wrong, now and then.
    fn tell(&mut self, now: Instant, disposition: Disposition, verdict: &Verdict<'_>, bytes: &[u8]) {
        if now < self.tell_after {
            self.untold += 1;
            return;
        }
        self.tell_after = now + TELL_PAUSE;
        let finding = verdict.findings().find(|finding| finding.disposition == disposition);
        self.outputs.push_back(Output::Malformed(Malformed {
            disposition,
            what: finding.map(|finding| finding.fault.to_string()).unwrap_or_default(),
            message: Box::from(capped(bytes)),
            untold: core::mem::take(&mut self.untold),
        }));
    }

    fn count_routes(&mut self, slot: Slot, update: &Update<'_>, withdrawn: bool) {
        let Some(connection) = self.connection(slot) else { return };
        let Some(negotiated) = &connection.negotiated else { return };
        let (families, disabled) = (negotiated.families, connection.disabled);
        if update.end_of_rib().is_some() {
            self.counters.ends_of_rib += 1;
            return;
        }
        let (mut reached, mut gone, mut unwanted) = (0, 0, false);
        let mut count = |family: Family, nlri: &MpNlri<'_>, total: &mut u64| {
            if nlri.is_empty() {
            } else if families.contains(family) && !disabled.contains(family) {
                *total += prefixes(nlri);
            } else {
                unwanted = true;
            }
        };
        count(Family::IPV4_UNICAST, &MpNlri::Ipv4(update.nlri()), &mut reached);
        count(Family::IPV4_UNICAST, &MpNlri::Ipv4(update.withdrawn()), &mut gone);
        if let Some(reach) = update.mp_reach() {
            count(reach.family, &reach.nlri, &mut reached);
        }
        if let Some(unreach) = update.mp_unreach() {
            count(unreach.family, &unreach.nlri, &mut gone);
        }
        if withdrawn {
            gone += core::mem::take(&mut reached);
        }
        self.counters.prefixes_announced += reached;
        self.counters.prefixes_withdrawn += gone;
        self.counters.unwanted_updates += u64::from(unwanted);
    }
}

fn prefixes(nlri: &MpNlri<'_>) -> u64 {
    let count = match nlri {
        MpNlri::Ipv4(prefixes) => prefixes.clone().count(),
        MpNlri::Ipv6(prefixes) => prefixes.clone().count(),
        MpNlri::Other(_) => 0,
    };
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// The family that an attribute is about, also where the rest of it cannot be read.
fn family_of(update: &Update<'_>, code: AttributeCode) -> Option<Family> {
    match *update.attribute(code)?.bytes {
        [afi1, afi2, safi, ..] => Some(Family::new(Afi(u16::from_be_bytes([afi1, afi2])), Safi(safi))),
        _ => None,
    }
}

/// Between two malformed UPDATEs that are told.
const TELL_PAUSE: Duration = Duration::from_secs(10);
