//! A router that only listens, and says when it heard what: the other end of a speaker's session without anything that
//! takes time.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::edge::ROUTER_AS;

/// What has been heard, and when. One speaker at a time.
pub(crate) struct Ear {
    address: SocketAddr,
    news: Receiver<(Instant, Ipv4Addr)>,
    heard: BTreeMap<Ipv4Addr, Instant>,
}

impl Ear {
    /// Listens on a port of its own at this address.
    pub(crate) fn listen(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, news) = mpsc::channel();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                // A session that ends is none of its business.
                let _over = attend(connection, &sender);
            }
        });
        Self { address, news, heard: BTreeMap::new() }
    }

    /// Where speakers find it.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// When it first heard of an address; `None` when it has not within the time.
    pub(crate) fn heard(&mut self, address: Ipv4Addr, within: Duration) -> Option<Instant> {
        let deadline = Instant::now() + within;
        while !self.heard.contains_key(&address) {
            let left = deadline.saturating_duration_since(Instant::now());
            let (at, heard) = self.news.recv_timeout(left).ok()?;
            self.heard.entry(heard).or_insert(at);
        }
        self.heard.get(&address).copied()
    }

    /// Waits until nothing has been heard for so long.
    pub(crate) fn await_quiet(&mut self, quiet: Duration) {
        while let Ok((at, heard)) = self.news.recv_timeout(quiet) {
            self.heard.entry(heard).or_insert(at);
        }
    }

    /// Forgets what was heard until now.
    pub(crate) fn forget(&mut self) {
        self.news.try_iter().for_each(drop);
        self.heard.clear();
    }
}

const OPEN: u8 = 1;
const UPDATE: u8 = 2;
const KEEPALIVE: u8 = 4;

fn attend(mut connection: TcpStream, news: &Sender<(Instant, Ipv4Addr)>) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut header = [0; 19];
    loop {
        connection.read_exact(&mut header)?;
        let at = Instant::now();
        let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
        let mut body = vec![0; length - header.len()];
        connection.read_exact(&mut body)?;
        match header[18] {
            OPEN => {
                let own = u16::try_from(ROUTER_AS).expect("a small one").to_be_bytes();
                // Version 4, a hold time of 90 s, the router ID 203.0.113.97, no capabilities.
                connection.write_all(&message(OPEN, &[4, own[0], own[1], 0, 90, 203, 0, 113, 97, 0]))?;
                connection.write_all(&message(KEEPALIVE, &[]))?;
            }
            KEEPALIVE => connection.write_all(&message(KEEPALIVE, &[]))?,
            UPDATE => {
                for address in announced(&body) {
                    // The test may be over.
                    let _deaf = news.send((at, address));
                }
            }
            _ => {}
        }
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).expect("short").to_be_bytes();
    [&[0xff; 16], &length[..], &[kind], body].concat()
}

/// The host routes that an UPDATE announces.
fn announced(body: &[u8]) -> impl Iterator<Item = Ipv4Addr> {
    let length = |at: usize| usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
    let attributes = 2 + length(0);
    let prefixes = &body[attributes + 2 + length(attributes)..];
    prefixes.chunks_exact(5).map(|prefix| {
        assert_eq!(prefix[0], 32, "only host routes are announced");
        [prefix[1], prefix[2], prefix[3], prefix[4]].into()
    })
}
