//! A connection that is open.

use std::{
    io::{self, IoSlice},
    net::{Shutdown, SocketAddr},
    time::Duration,
};

use socket2::SockRef;
use tokio::{io::Interest, net::TcpStream, time};

use super::{
    Options,
    options::{Family, canonical},
};

/// An open connection. Dropping it closes it at once: if something received has not been read, the peer gets a reset,
/// and loses what it has not read either. [`close`](Self::close) is the polite way.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    family: Family,
    local: SocketAddr,
    remote: SocketAddr,
}

/// What reading brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes.
    Bytes(usize),
    /// Nothing has come.
    Nothing,
    /// The peer sends no more.
    End,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, remote: SocketAddr) -> io::Result<Self> {
        let local = stream.local_addr()?;
        let family = Family::of(&remote);
        Ok(Self { stream, family, local: canonical(local), remote: canonical(remote) })
    }

    /// The address of this end, which is what "next hop self" means. A link-local one has its interface as scope id.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// The address of the peer. A link-local one has its interface as scope id.
    #[must_use]
    pub const fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Sets other options than it was opened or accepted with.
    ///
    /// # Errors
    /// When the kernel refuses one of them.
    pub fn set_options(&self, options: &Options) -> io::Result<()> {
        Ok(options.apply(&SockRef::from(&self.stream), self.family)?)
    }

    /// Waits until there is something to read: bytes, the end, or an error. Safe to cancel.
    ///
    /// # Errors
    /// When the runtime ends.
    pub async fn readable(&self) -> io::Result<()> {
        self.stream.readable().await
    }

    /// Waits until a write would take something. Safe to cancel.
    ///
    /// # Errors
    /// When the runtime ends.
    pub async fn writable(&self) -> io::Result<()> {
        self.stream.writable().await
    }

    /// Reads what has come, as much as `buf` holds, which must not be empty. Never waits.
    ///
    /// # Errors
    /// Those of a connection that is broken: reset, timed out, unreachable.
    pub fn read(&self, buf: &mut [u8]) -> io::Result<Read> {
        loop {
            match self.stream.try_read(buf) {
                Ok(0) => return Ok(Read::End),
                Ok(length) => return Ok(Read::Bytes(length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Read::Nothing),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes the parts one behind the other and says how many bytes were taken: 0 when there is no room for any, and
    /// possibly less than there are. Never waits. At most 64 parts are looked at.
    ///
    /// # Errors
    /// Those of a connection that is broken.
    pub fn write<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); PARTS];
        let mut count = 0;
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
            count += 1;
        }
        if slices.iter().all(|slice| slice.is_empty()) {
            return Ok(0);
        }
        let write =
            || SockRef::from(&self.stream).send_vectored_with_flags(&slices[..count], libc::MSG_NOSIGNAL);
        loop {
            // The runtime may not know yet that there is room; it has to know when there is none.
            let done = match write() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stream.try_io(Interest::WRITABLE, write)
                }
                done => done,
            };
            match done {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Says the last words, ends this direction, and reads until the peer has ended the other one: only then it has
    /// certainly got them. After `drain` the connection is closed in any case.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut) when the peer has not ended its direction by then, else those of a
    /// connection that is broken. It is closed all the same.
    pub async fn close(self, last_words: &[u8], drain: Duration) -> io::Result<()> {
        let farewell = time::timeout(drain, self.say_farewell(last_words));
        farewell.await.unwrap_or_else(|_| {
            let why = format!("{} did not end the connection within {drain:?}", self.remote);
            Err(io::Error::new(io::ErrorKind::TimedOut, why))
        })
    }

    async fn say_farewell(&self, mut words: &[u8]) -> io::Result<()> {
        let mut buf = vec![0; 16 << 10];
        let mut ended = false;
        loop {
            words = &words[self.write([words])?..];
            if words.is_empty() {
                break;
            }
            // The peer may read nothing more before it has been read itself.
            let interest = if ended { Interest::WRITABLE } else { Interest::WRITABLE | Interest::READABLE };
            self.stream.ready(interest).await?;
            ended = ended || self.read(&mut buf)? == Read::End;
        }
        SockRef::from(&self.stream).shutdown(Shutdown::Write)?;
        while !ended {
            self.readable().await?;
            ended = self.read(&mut buf)? == Read::End;
        }
        Ok(())
    }
}

/// How many parts one write takes.
const PARTS: usize = 64;
