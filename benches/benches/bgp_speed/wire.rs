//! As much BGP as a minimal sender and receiver need, written by hand: what is measured must not be measured with itself.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use crate::lab::{DEADLINE, ROUTER_AS};

/// KEEPALIVE.
pub(crate) const KEEPALIVE: [u8; 19] =
    [255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 19, 4];

const HEADER: usize = 19;
const OPEN: u8 = 1;
const UPDATE: u8 = 2;
const NOTIFICATION: u8 = 3;

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEADER + body.len()).expect("a short message");
    let mut message = KEEPALIVE[..16].to_vec();
    message.extend(length.to_be_bytes());
    message.push(kind);
    message.extend(body);
    message
}

/// The OPEN of a receiver of ours: IPv4 unicast, route refresh, four-octet AS numbers.
pub(crate) fn open(asn: u16, hold_time: u16) -> Vec<u8> {
    let ([high, low], [hold_high, hold_low]) = (asn.to_be_bytes(), hold_time.to_be_bytes());
    let capabilities = [1, 4, 0, 1, 0, 1, 2, 0, 65, 4, 0, 0, high, low];
    let mut body = vec![4, high, low, hold_high, hold_low, 192, 0, 2, 1, 16, 2, 14];
    body.extend(capabilities);
    message(OPEN, &body)
}

/// "Tell me all IPv4 routes again."
pub(crate) fn route_refresh() -> Vec<u8> {
    message(5, &[0, 1, 0, 1])
}

/// One whole message.
fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; HEADER];
    stream.read_exact(&mut message)?;
    let length = usize::from(u16::from_be_bytes([message[16], message[17]]));
    message.resize(length.max(HEADER), 0);
    stream.read_exact(&mut message[HEADER..])?;
    if message[18] == NOTIFICATION {
        let why = format!("NOTIFICATION {:?}", &message[HEADER..]);
        return Err(io::Error::new(io::ErrorKind::ConnectionAborted, why));
    }
    Ok(message)
}

/// The minimal sender: a session by hand over a blocking socket, and bytes that were encoded before.
pub(crate) struct Raw {
    stream: TcpStream,
    /// What the router said first.
    pub(crate) router_open: Vec<u8>,
    /// When the router's KEEPALIVE was there.
    pub(crate) established: Instant,
}

impl Raw {
    /// A session with the router, which may still be busy with the last one.
    pub(crate) fn connect(router: SocketAddr, open: &[u8]) -> Self {
        let began = Instant::now();
        loop {
            match Self::try_connect(router, open) {
                Ok(raw) => return raw,
                Err(why) if began.elapsed() > DEADLINE => panic!("no session with the router: {why}"),
                Err(_) => std::thread::sleep(Duration::from_millis(200)),
            }
        }
    }

    fn try_connect(router: SocketAddr, open: &[u8]) -> io::Result<Self> {
        let mut stream = TcpStream::connect(router)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(open)?;
        let router_open = read_message(&mut stream)?;
        stream.write_all(&KEEPALIVE)?;
        read_message(&mut stream)?;
        Ok(Self { stream, router_open, established: Instant::now() })
    }

    /// Everything, as fast as the router takes it.
    pub(crate) fn send(&mut self, updates: &[u8]) {
        self.stream.write_all(updates).expect("the router takes the routes");
    }

    /// Says goodbye so that the router hears it.
    pub(crate) fn end(mut self) {
        // Cease, Administrative Shutdown. A router that is gone already has nothing to hear.
        let _gone = self.stream.write_all(&message(NOTIFICATION, &[6, 2]));
        let _gone = self.stream.shutdown(Shutdown::Write);
        let mut rest = [0; 4096];
        while self.stream.read(&mut rest).is_ok_and(|length| length > 0) {}
    }
}

/// What a speaker says to a router with this OPEN: its own OPEN, and all UPDATEs up to End-of-RIB.
pub(crate) struct Recording {
    pub(crate) open: Vec<u8>,
    pub(crate) updates: Vec<u8>,
}

impl Recording {
    pub(crate) fn take(listener: &TcpListener, router_open: &[u8]) -> Self {
        let (mut stream, open) = accept(listener, router_open);
        let mut updates = Vec::new();
        loop {
            let message = read_message(&mut stream).expect("the speaker's messages");
            if message[18] == UPDATE {
                updates.extend(&message);
                if message.len() == 23 {
                    return Self { open, updates };
                }
            }
        }
    }

    /// How many messages there are, without End-of-RIB.
    pub(crate) fn messages(&self) -> usize {
        let mut counted = Heard::new();
        counted.count(&self.updates);
        counted.updates - 1
    }
}

/// A session from the other side: the connection, and what the speaker said first.
pub(crate) fn accept(listener: &TcpListener, open: &[u8]) -> (TcpStream, Vec<u8>) {
    let (mut stream, _) = listener.accept().expect("a connection from the speaker");
    stream.set_nodelay(true).expect("an option");
    stream.set_read_timeout(Some(DEADLINE)).expect("an option");
    let theirs = read_message(&mut stream).expect("the speaker's OPEN");
    stream.write_all(&[open, &KEEPALIVE].concat()).expect("room in the socket");
    let keepalive = read_message(&mut stream).expect("the speaker's KEEPALIVE");
    assert_eq!(keepalive, KEEPALIVE);
    (stream, theirs)
}

/// The AS of receivers.
pub(crate) fn router_as() -> u16 {
    u16::try_from(ROUTER_AS).expect("a short AS number")
}

/// What a receiver has heard: IPv4 unicast host routes.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) updates: usize,
    pub(crate) announced: usize,
    pub(crate) withdrawn: usize,
    pub(crate) keepalives: usize,
    /// The beginning of a message that is not there yet.
    begun: Vec<u8>,
}

impl Heard {
    pub(crate) fn new() -> Self {
        Self { updates: 0, announced: 0, withdrawn: 0, keepalives: 0, begun: Vec::new() }
    }

    /// Takes what has arrived.
    pub(crate) fn count(&mut self, bytes: &[u8]) {
        self.begun.extend(bytes);
        let mut rest = &self.begun[..];
        while rest.len() >= HEADER {
            let length = usize::from(u16::from_be_bytes([rest[16], rest[17]]));
            assert!(length >= HEADER, "the speaker's messages are whole");
            let Some(message) = rest.get(..length) else { break };
            match message[18] {
                UPDATE => {
                    let body = &message[HEADER..];
                    let word = |at: usize| usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
                    let withdrawn = word(0);
                    let attributes = word(2 + withdrawn);
                    self.updates += 1;
                    self.withdrawn += withdrawn / HOST;
                    self.announced += (body.len() - 4 - withdrawn - attributes) / HOST;
                }
                NOTIFICATION => panic!("the speaker ends the session: {:?}", &message[HEADER..]),
                4 => self.keepalives += 1,
                _ => {}
            }
            rest = &rest[length..];
        }
        let taken = self.begun.len() - rest.len();
        self.begun.drain(..taken);
    }
}

/// The octets of a host route.
const HOST: usize = 5;
