//! Writing into a caller's buffer.

use super::{
    EncodeError,
    frame::{HEADER_LEN, MARKER, MessageType},
};

/// A message being written. What was written before an error stays in the buffer, but is no message.
pub(crate) struct Writer<'o> {
    out: &'o mut [u8],
    at: usize,
}

impl<'o> Writer<'o> {
    /// Begins a message: writes the header, whose length [`finish`](Self::finish) completes.
    pub(crate) fn message(out: &'o mut [u8], kind: MessageType) -> Result<Self, EncodeError> {
        let limit = out.len();
        let header: &mut [u8; HEADER_LEN] = out.first_chunk_mut().ok_or(EncodeError::TooLong { limit })?;
        *header = HEADERS;
        header[HEADER_LEN - 1] = kind.code();
        Ok(Self { out, at: HEADER_LEN })
    }

    /// A part of a message.
    pub(crate) fn part(out: &'o mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    /// Goes on where this much has been written.
    pub(crate) fn resume(out: &'o mut [u8], at: usize) -> Self {
        Self { at: at.min(out.len()), out }
    }

    /// How much can be written in all.
    pub(crate) fn limit(&self) -> usize {
        self.out.len()
    }

    /// How much has been written.
    pub(crate) fn len(&self) -> usize {
        self.at
    }

    /// What can still be written to.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.out.get_mut(self.at..).unwrap_or_default()
    }

    /// Counts bytes that were written into [`room`](Self::room).
    pub(crate) fn advance(&mut self, len: usize) {
        self.at = self.at.saturating_add(len).min(self.out.len());
    }

    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.take(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// Room for this many bytes, which count as written.
    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Result<&mut [u8], EncodeError> {
        let limit = self.out.len();
        let end = self.at.checked_add(len).ok_or(EncodeError::TooLong { limit })?;
        let room = self.out.get_mut(self.at..end).ok_or(EncodeError::TooLong { limit })?;
        self.at = end;
        Ok(room)
    }

    /// What was written since `start`.
    pub(crate) fn written(&mut self, start: usize) -> &mut [u8] {
        self.out.get_mut(start..self.at).unwrap_or_default()
    }

    /// Gives back the last bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.at = self.at.min(len);
    }

    /// Writes the number of bytes that follow the two octets at `start`.
    pub(crate) fn patch_u16(&mut self, start: usize) -> Result<(), EncodeError> {
        let len = self.at.saturating_sub(start).saturating_sub(2);
        let len = u16::try_from(len).map_err(|_| EncodeError::TooLong { limit: usize::from(u16::MAX) })?;
        if let Some(field) = self.out.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
            *field = len.to_be_bytes();
        }
        Ok(())
    }

    /// Completes the header of the message and returns its length.
    pub(crate) fn finish(self) -> Result<usize, EncodeError> {
        let len =
            u16::try_from(self.at).map_err(|_| EncodeError::TooLong { limit: usize::from(u16::MAX) })?;
        if let Some(field) = self.out.get_mut(MARKER.len()..).and_then(<[u8]>::first_chunk_mut) {
            *field = len.to_be_bytes();
        }
        Ok(self.at)
    }
}

const HEADERS: [u8; HEADER_LEN] = {
    let mut header = [0xff; HEADER_LEN];
    header[16] = 0;
    header[17] = 0;
    header
};
