//! What has been counted since the machine exists.

use crate::{validate::Disposition, wire::frame::MessageType};

/// Counters of one peer; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages that arrived whole.
    pub received: Messages,
    /// Messages that the socket took to their end, and NOTIFICATIONs handed out with the end of a connection.
    pub sent: Messages,
    /// Octets that arrived.
    pub bytes_received: u64,
    /// Octets that sockets took.
    pub bytes_sent: u64,
    /// Prefixes that the peer announced; they are dropped.
    pub prefixes_announced: u64,
    /// Prefixes that the peer withdrew.
    pub prefixes_withdrawn: u64,
    /// End-of-RIB markers that arrived.
    pub ends_of_rib: u64,
    /// UPDATEs about a family that is not in use, or disabled; they are ignored.
    pub unwanted_updates: u64,
    /// What was wrong in UPDATEs, by what followed from it (RFC 7606).
    pub findings: Findings,
    /// Connections that were dialled.
    pub dialled: u64,
    /// Connections of the peer's that were taken.
    pub accepted: u64,
    /// Connections of the peer's that were refused: there was a session, or none is wanted.
    pub rejected: u64,
    /// Sessions that were Established.
    pub sessions: u64,
    /// Inputs about connections and sessions that are over; they are ignored.
    pub stale_inputs: u64,
}

/// Messages by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// OPEN.
    pub open: u64,
    /// UPDATE.
    pub update: u64,
    /// NOTIFICATION.
    pub notification: u64,
    /// KEEPALIVE.
    pub keepalive: u64,
    /// ROUTE-REFRESH.
    pub route_refresh: u64,
}

/// Findings by disposition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// The attribute was ignored.
    pub discard: u64,
    /// The routes counted as withdrawn.
    pub withdraw: u64,
    /// The family was ignored from then on.
    pub disable_family: u64,
    /// The session ended.
    pub reset: u64,
}

impl Messages {
    pub(super) const fn count(&mut self, kind: MessageType) {
        let counter = match kind {
            MessageType::Open => &mut self.open,
            MessageType::Update => &mut self.update,
            MessageType::Notification => &mut self.notification,
            MessageType::Keepalive => &mut self.keepalive,
            MessageType::RouteRefresh => &mut self.route_refresh,
        };
        *counter = counter.saturating_add(1);
    }
}

impl Findings {
    pub(super) const fn count(&mut self, disposition: Disposition) {
        let counter = match disposition {
            Disposition::Discard => &mut self.discard,
            Disposition::Withdraw => &mut self.withdraw,
            Disposition::DisableFamily => &mut self.disable_family,
            Disposition::Reset => &mut self.reset,
        };
        *counter = counter.saturating_add(1);
    }
}
