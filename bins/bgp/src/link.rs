//! One TCP connection of a peer, from the first packet to the last.

use std::{cell::RefCell, fmt, io};

use futures::{FutureExt, future::BoxFuture};
use metal_bgp::peer::Transport;
use metal_net::tcp::{Connection, Dial, DialError, Read};

/// A connection, or the attempt to have one.
pub(crate) enum Link {
    Dialling(BoxFuture<'static, Result<Connection, DialError>>),
    Open(Connection),
    /// There is nobody to dial, for this reason.
    Nowhere(String),
}

/// What happened to a link.
pub(crate) enum Happened {
    /// It stands.
    Dialled(Connection),
    /// There may be something to read, or room to write.
    Ready,
    /// It never came about, or is broken.
    Failed(Transport),
}

/// What reading brought.
pub(crate) enum Taken {
    Bytes,
    Nothing,
    Failed(Transport),
}

impl Link {
    /// Begins to dial.
    pub(crate) fn dial(dial: &Dial) -> Self {
        Self::Dialling(match dial.open() {
            Ok(dialling) => dialling.connect().boxed(),
            Err(error) => std::future::ready(Err(error)).boxed(),
        })
    }

    /// Waits for the next thing to happen; for room only if something is `unsent`.
    pub(crate) async fn wait(&mut self, unsent: bool) -> Happened {
        match self {
            Self::Nowhere(why) => Happened::Failed(Transport::Other(why.clone())),
            Self::Dialling(connecting) => match connecting.await {
                Ok(connection) => Happened::Dialled(connection),
                Err(error) => Happened::Failed(transport(error.kind(), &error)),
            },
            Self::Open(connection) => {
                let ready = tokio::select! {
                    ready = connection.readable() => ready,
                    ready = connection.writable(), if unsent => ready,
                };
                ready.map_or_else(
                    |error| Happened::Failed(transport(error.kind(), &error)),
                    |()| Happened::Ready,
                )
            }
        }
    }

    /// Hands what has come to `take`, up to a measure.
    pub(crate) fn read(connection: &Connection, take: impl FnOnce(&[u8])) -> Taken {
        thread_local! {
            /// One for all peers: it is empty whenever another one's turn comes.
            static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 << 10]);
        }
        BUFFER.with_borrow_mut(|buffer| match connection.read(buffer) {
            Ok(Read::Bytes(length)) => {
                take(&buffer[..length]);
                Taken::Bytes
            }
            Ok(Read::Nothing) => Taken::Nothing,
            Ok(Read::End) => Taken::Failed(Transport::Closed),
            Err(error) => Taken::Failed(transport(error.kind(), &error)),
        })
    }
}

/// An error of a connection as the machine knows it.
pub(crate) fn transport(kind: io::ErrorKind, error: &dyn fmt::Display) -> Transport {
    match kind {
        io::ErrorKind::ConnectionRefused => Transport::Refused,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Transport::Unreachable,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Transport::Reset,
        io::ErrorKind::TimedOut => Transport::TimedOut,
        _ => Transport::Other(error.to_string()),
    }
}
