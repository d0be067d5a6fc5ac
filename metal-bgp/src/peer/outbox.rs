//! What a connection still has to send.

use alloc::{collections::VecDeque, sync::Arc, vec::Vec};

use super::counters::Counters;
use crate::wire::frame::{HEADER_LEN, MessageType};

/// Whole messages that were encoded once, for as many peers as want the same.
pub type Shared = Arc<[u8]>;

/// Two queues. OPEN and KEEPALIVE go first, but never into the middle of a message: what the socket has begun to take
/// is finished before.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// OPEN and at most one KEEPALIVE.
    control: Vec<u8>,
    /// How much of it is gone.
    control_at: usize,
    /// A KEEPALIVE is in there: a second one would say nothing new.
    keepalive: bool,
    updates: VecDeque<Shared>,
    /// How much of the first is gone.
    at: usize,
    /// Where the message ends in the middle of which that is; the same when it is in none.
    boundary: usize,
    /// What kind of message it is.
    kind: Option<MessageType>,
    /// In all updates.
    queued: usize,
}

impl Outbox {
    /// Adds a message that does not wait for the updates.
    pub(super) fn push_control(&mut self, message: &[u8]) {
        self.control.extend_from_slice(message);
    }

    /// Adds a KEEPALIVE, unless one waits already.
    pub(super) fn push_keepalive(&mut self, message: &[u8]) {
        if !self.keepalive {
            self.keepalive = true;
            self.push_control(message);
        }
    }

    /// Adds messages behind all others.
    pub(super) fn push_updates(&mut self, updates: Shared) {
        if !updates.is_empty() {
            self.queued += updates.len();
            self.updates.push_back(updates);
        }
    }

    /// Octets of updates that wait.
    pub(super) const fn queued(&self) -> usize {
        self.queued
    }

    /// What is to be written, in order.
    pub(super) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let mut updates = self.updates.iter();
        let front = updates.next().map_or(&[][..], |front| front);
        let begun = front.get(self.at..self.boundary).unwrap_or_default();
        let rest = front.get(self.boundary..).unwrap_or_default();
        let control = self.control.get(self.control_at..).unwrap_or_default();
        [begun, control, rest]
            .into_iter()
            .chain(updates.map(|update| &**update))
            .filter(|slice| !slice.is_empty())
    }

    /// The socket took this much.
    pub(super) fn advance(&mut self, mut len: usize, counters: &mut Counters) {
        self.finish_begun(&mut len, counters);
        if self.at < self.boundary {
            return;
        }
        self.advance_control(&mut len, counters);
        while len > 0 && self.begin() {
            self.finish_begun(&mut len, counters);
        }
    }

    /// What still has to go before the connection ends: the rest of the message that was begun, what does not wait,
    /// and `notification`.
    pub(super) fn last_words(self, notification: &[u8]) -> Vec<u8> {
        let begun = self.updates.front().and_then(|front| front.get(self.at..self.boundary));
        let control = self.control.get(self.control_at..);
        let parts = [begun.unwrap_or_default(), control.unwrap_or_default(), notification];
        parts.concat()
    }

    /// Enters the next message of the updates.
    fn begin(&mut self) -> bool {
        let Some(front) = self.updates.front() else { return false };
        let rest = front.get(self.at..).unwrap_or_default();
        self.boundary = self.at + message_len(rest);
        self.kind = message_kind(rest);
        true
    }

    /// Goes on in the message that was begun, up to its end.
    fn finish_begun(&mut self, len: &mut usize, counters: &mut Counters) {
        let Some(front) = self.updates.front() else { return };
        let taken = (*len).min(self.boundary - self.at);
        if taken == 0 {
            return;
        }
        *len -= taken;
        self.at += taken;
        self.queued -= taken;
        if self.at < self.boundary {
            return;
        }
        if let Some(kind) = self.kind.take() {
            counters.sent.count(kind);
        }
        if self.at == front.len() {
            self.updates.pop_front();
            (self.at, self.boundary) = (0, 0);
        }
    }

    fn advance_control(&mut self, len: &mut usize, counters: &mut Counters) {
        let before = self.control_at;
        let taken = (*len).min(self.control.len() - before);
        *len -= taken;
        self.control_at += taken;
        // Count those that ended in what was taken.
        let mut end = 0;
        while let Some(rest) = self.control.get(end..).filter(|rest| !rest.is_empty()) {
            end += message_len(rest);
            if end > before
                && end <= self.control_at
                && let Some(kind) = message_kind(rest)
            {
                counters.sent.count(kind);
            }
        }
        if self.control_at == self.control.len() {
            self.control.clear();
            (self.control_at, self.keepalive) = (0, false);
        }
    }
}

/// The length of the message at the front; everything when there is none.
fn message_len(bytes: &[u8]) -> usize {
    match bytes.get(16..18) {
        Some(&[high, low]) => {
            let len = usize::from(u16::from_be_bytes([high, low]));
            if (HEADER_LEN..=bytes.len()).contains(&len) { len } else { bytes.len() }
        }
        _ => bytes.len(),
    }
}

fn message_kind(bytes: &[u8]) -> Option<MessageType> {
    bytes.get(HEADER_LEN - 1).and_then(|code| MessageType::from_code(*code))
}
