//! A file of captured packets to BGP messages: TCP streams are put together again.

use std::{collections::BTreeMap, io::Cursor, net::SocketAddr, ops::ControlFlow};

use anyhow::{Context, Result, bail};
use etherparse::{EtherType, NetSlice, SlicedPacket, TcpSlice, TransportSlice};
use metal_bgp::wire::frame::{Frame, MaxLength, Unframed};
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader, traits::PcapNGPacketBlock};

/// A message, or the octets of a stream behind which no message can be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Captured {
    /// Which TCP connection, counted from the first of the file.
    pub(crate) connection: usize,
    /// Who sent it.
    pub(crate) source: SocketAddr,
    /// To whom.
    pub(crate) destination: SocketAddr,
    /// The octets.
    pub(crate) bytes: Vec<u8>,
}

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// In the order in which the last octet of each was captured.
    pub(crate) messages: Vec<Captured>,
    /// Per direction of a connection with a hole: what stands behind it and was not read.
    pub(crate) unread: Vec<(SocketAddr, SocketAddr, usize)>,
}

/// Whether the file begins as captures do, in any of their formats.
pub(crate) fn is_capture(file: &[u8]) -> bool {
    let Some(magic) = file.first_chunk() else { return false };
    let magic = u32::from_be_bytes(*magic);
    [PCAP, PCAP.swap_bytes(), PCAP_NANOSECONDS, PCAP_NANOSECONDS.swap_bytes(), PCAPNG].contains(&magic)
}

/// The messages of all TCP connections with this port on either side.
pub(crate) fn read(file: &[u8], port: u16) -> Result<Contents> {
    let mut streams = Streams { port, ..Streams::default() };
    packets(file, |link, packet| {
        if let Some((source, destination, tcp)) = segment(link, packet) {
            streams.take(source, destination, &tcp);
        }
    })?;
    Ok(streams.finish())
}

/// Calls `each` with the link type and the octets of every packet.
fn packets(file: &[u8], mut each: impl FnMut(Linktype, &[u8])) -> Result<()> {
    let mut reader = create_reader(file.len().max(MINIMUM_BUFFER), Cursor::new(file.to_vec()))
        .map_err(|error| anyhow::anyhow!("not a capture that can be read: {error:?}"))?;
    let mut legacy = Linktype::ETHERNET;
    let mut interfaces = Vec::new();
    loop {
        let step = match reader.next() {
            Ok((taken, block)) => {
                match block {
                    PcapBlockOwned::LegacyHeader(header) => legacy = known(header.network)?,
                    PcapBlockOwned::Legacy(packet) => each(legacy, packet.data),
                    PcapBlockOwned::NG(Block::SectionHeader(_)) => interfaces.clear(),
                    PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                        interfaces.push(interface.linktype);
                    }
                    PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                        let interface = usize::try_from(packet.if_id).ok().and_then(|id| interfaces.get(id));
                        let link = interface
                            .context("a packet of an interface that the capture does not describe")?;
                        each(known(*link)?, packet.packet_data());
                    }
                    PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                        let link = interfaces.first().context("a packet, but no interface in the capture")?;
                        each(known(*link)?, packet.packet_data());
                    }
                    PcapBlockOwned::NG(_) => {}
                }
                ControlFlow::Continue(taken)
            }
            // The buffer holds the whole file: what is incomplete was cut off while it was written.
            Err(PcapError::Eof | PcapError::Incomplete(_) | PcapError::UnexpectedEof) => {
                ControlFlow::Break(())
            }
            Err(error) => bail!("the capture is damaged: {error:?}"),
        };
        match step {
            ControlFlow::Continue(taken) => reader.consume(taken),
            ControlFlow::Break(()) => return Ok(()),
        }
    }
}

/// A link layer that is understood.
fn known(link: Linktype) -> Result<Linktype> {
    match link {
        Linktype::ETHERNET
        | Linktype::LINUX_SLL
        | Linktype::LINUX_SLL2
        | Linktype::RAW
        | Linktype::IPV4
        | Linktype::IPV6
        | Linktype::NULL
        | Linktype::LOOP => Ok(link),
        Linktype(other) => bail!(
            "the capture has packets of link type {other}; Ethernet, Linux cooked (-i any), raw IP and loopback \
             are understood, so please capture on another interface"
        ),
    }
}

/// The TCP segment of a packet, if it is one and whole.
fn segment(link: Linktype, packet: &[u8]) -> Option<(SocketAddr, SocketAddr, TcpSlice<'_>)> {
    let sliced = match link {
        Linktype::ETHERNET => SlicedPacket::from_ethernet(packet).ok()?,
        Linktype::LINUX_SLL => SlicedPacket::from_linux_sll(packet).ok()?,
        Linktype::LINUX_SLL2 => {
            let (protocol, _) = packet.split_first_chunk()?;
            SlicedPacket::from_ether_type(EtherType(u16::from_be_bytes(*protocol)), packet.get(20..)?).ok()?
        }
        // The address family of the system that captured.
        Linktype::NULL | Linktype::LOOP => SlicedPacket::from_ip(packet.get(4..)?).ok()?,
        _ => SlicedPacket::from_ip(packet).ok()?,
    };
    let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { return None };
    let (source, destination) = match sliced.net? {
        NetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        NetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        NetSlice::Arp(_) => return None,
    };
    let source = SocketAddr::new(source, tcp.source_port());
    Some((source, SocketAddr::new(destination, tcp.destination_port()), tcp))
}

/// All directions of all connections.
#[derive(Default)]
struct Streams {
    port: u16,
    connections: usize,
    streams: BTreeMap<(SocketAddr, SocketAddr), Stream>,
    found: Contents,
}

/// One direction of one connection.
#[derive(Default)]
struct Stream {
    connection: usize,
    /// The sequence number after what is in `received`; unknown until something was seen.
    next: Option<u32>,
    /// In order, from the start of a message.
    received: Vec<u8>,
    /// Ahead of `next`.
    early: Vec<(u32, Vec<u8>)>,
    /// The start was not captured, so a message may begin anywhere.
    adrift: bool,
    /// What came last was no message.
    lost: bool,
}

impl Streams {
    fn take(&mut self, source: SocketAddr, destination: SocketAddr, tcp: &TcpSlice<'_>) {
        if source.port() != self.port && destination.port() != self.port {
            return;
        }
        let key = (source, destination);
        let payload = tcp.payload();
        if tcp.syn() {
            let next = tcp.sequence_number().wrapping_add(1);
            if self.streams.get(&key).is_some_and(|stream| stream.next == Some(next)) {
                return; // sent again
            }
            if !tcp.ack() {
                self.connections += 1;
            }
            let connection = self.connections.saturating_sub(1);
            if let Some(old) = self.streams.remove(&key) {
                self.end(key, old);
            }
            self.streams.insert(key, Stream { connection, next: Some(next), ..Stream::default() });
        }
        if payload.is_empty() {
            return;
        }
        if !self.streams.contains_key(&key) {
            // Both directions of a connection whose start was not captured are one.
            let other = self.streams.get(&(destination, source)).map(|stream| stream.connection);
            let connection = other.unwrap_or_else(|| {
                self.connections += 1;
                self.connections - 1
            });
            self.streams.insert(key, Stream { connection, adrift: true, ..Stream::default() });
        }
        let Some(stream) = self.streams.get_mut(&key) else { return };
        stream.add(tcp.sequence_number(), payload);
        while let Some(bytes) = stream.take_message() {
            let connection = stream.connection;
            self.found.messages.push(Captured { connection, source, destination, bytes });
        }
    }

    fn end(&mut self, (source, destination): (SocketAddr, SocketAddr), stream: Stream) {
        let unread: usize = stream.early.iter().map(|(_, bytes)| bytes.len()).sum();
        if unread > 0 {
            self.found.unread.push((source, destination, unread));
        }
        if !stream.received.is_empty() && !stream.lost && !stream.adrift {
            let Stream { connection, received: bytes, .. } = stream;
            self.found.messages.push(Captured { connection, source, destination, bytes });
        }
    }

    fn finish(mut self) -> Contents {
        for (key, stream) in std::mem::take(&mut self.streams) {
            self.end(key, stream);
        }
        self.found
    }
}

impl Stream {
    fn add(&mut self, sequence: u32, payload: &[u8]) {
        let next = *self.next.get_or_insert(sequence);
        match ahead(sequence, next) {
            Some(0) => self.append(payload),
            Some(_) => self.early.push((sequence, payload.to_vec())),
            // Sent again, and perhaps more of it than before.
            None => {
                let known = usize::try_from(next.wrapping_sub(sequence)).unwrap_or(usize::MAX);
                self.append(payload.get(known..).unwrap_or_default());
            }
        }
        while let Some(next) = self.next
            && let Some(at) =
                self.early.iter().position(|(sequence, _)| matches!(ahead(*sequence, next), None | Some(0)))
        {
            let (sequence, payload) = self.early.swap_remove(at);
            let known = usize::try_from(next.wrapping_sub(sequence)).unwrap_or(usize::MAX);
            self.append(payload.get(known..).unwrap_or_default());
        }
    }

    fn append(&mut self, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap_or(0);
        self.next = self.next.map(|next| next.wrapping_add(length));
        if !self.lost {
            self.received.extend_from_slice(payload);
        }
    }

    fn take_message(&mut self) -> Option<Vec<u8>> {
        if self.adrift {
            let start = self.received.windows(MARKER.len()).position(|window| window == MARKER)?;
            self.received.drain(..start);
            self.adrift = false;
        }
        // Whether a message is too long for its session is judged later, with the OPENs.
        match Frame::parse(&self.received, MaxLength::Extended) {
            Ok(frame) => {
                let length = frame.len();
                Some(self.received.drain(..length).collect())
            }
            Err(Unframed::Incomplete { .. }) => None,
            Err(Unframed::Malformed(_)) if self.received.is_empty() => None,
            Err(Unframed::Malformed(_)) => {
                self.lost = true;
                Some(std::mem::take(&mut self.received))
            }
        }
    }
}

/// How far a sequence number is ahead of another; `None` when it is behind (RFC 9293 3.4).
fn ahead(sequence: u32, of: u32) -> Option<u32> {
    let distance = sequence.wrapping_sub(of);
    (distance < 1 << 31).then_some(distance)
}

const MARKER: [u8; 16] = [0xff; 16];
const PCAP: u32 = 0xa1b2_c3d4;
const PCAP_NANOSECONDS: u32 = 0xa1b2_3c4d;
const PCAPNG: u32 = 0x0a0d_0d0a;
/// The reader wants room for a header even when the file is shorter.
const MINIMUM_BUFFER: usize = 1 << 12;

#[cfg(test)]
mod tests {
    use super::*;

    /// A capture of raw IPv4 packets with these TCP segments from port 50000 to 179: sequence number, SYN, payload.
    fn capture(segments: &[(u32, bool, &[u8])]) -> Vec<u8> {
        let mut file =
            [PCAP.to_le_bytes(), [2, 0, 4, 0], [0; 4], [0; 4], [0, 0, 4, 0], [101, 0, 0, 0]].concat();
        for (sequence, syn, payload) in segments {
            let mut packet = vec![0x45, 0];
            packet.extend(u16::try_from(40 + payload.len()).unwrap().to_be_bytes());
            packet.extend([0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
            packet.extend(50_000_u16.to_be_bytes());
            packet.extend(179_u16.to_be_bytes());
            packet.extend(sequence.to_be_bytes());
            packet.extend([0, 0, 0, 0, 0x50, if *syn { 2 } else { 0x10 }, 1, 0, 0, 0, 0, 0]);
            packet.extend(*payload);
            let length = u32::try_from(packet.len()).unwrap().to_le_bytes();
            file.extend([[0; 4], [0; 4], length, length].concat());
            file.extend(packet);
        }
        file
    }

    /// The same packets as the newer format has them: a section, an interface, the packets.
    fn newer(file: &[u8]) -> Vec<u8> {
        let block = |kind: u32, body: &[u8]| {
            let body = [body, &[0; 3]].concat();
            let body = &body[..body.len() / 4 * 4];
            let length = u32::try_from(12 + body.len()).unwrap().to_le_bytes();
            [&kind.to_le_bytes(), &length, body, &length].concat()
        };
        let mut newer =
            block(PCAPNG, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
        newer.extend(block(1, &[101, 0, 0, 0, 0, 0, 4, 0]));
        let mut packets = &file[24..];
        while let Some((header, rest)) = packets.split_at_checked(16) {
            let length = u32::from_le_bytes(header[8..12].try_into().unwrap()) as usize;
            newer.extend(block(6, &[&[0; 4], header, &rest[..length]].concat()));
            packets = &rest[length..];
        }
        newer
    }

    #[test]
    fn both_formats_say_the_same() {
        let file = capture(&[(0, true, &[]), (1, false, &keepalive()), (20, false, &keepalive()[..7])]);
        let newer = newer(&file);
        assert!(is_capture(&file) && is_capture(&newer));
        assert_eq!(read(&newer, 179).unwrap().messages, read(&file, 179).unwrap().messages);
        for length in 28..newer.len() {
            read(&newer[..length], 179).unwrap();
        }
    }

    fn keepalive() -> Vec<u8> {
        [MARKER.as_slice(), &[0, 19, 4]].concat()
    }

    fn lengths(file: &[u8]) -> Vec<usize> {
        read(file, 179).unwrap().messages.iter().map(|message| message.bytes.len()).collect()
    }

    #[test]
    fn segments_in_any_order_and_twice_are_one_stream() {
        let two = [keepalive(), keepalive()].concat();
        let file = capture(&[
            (u32::MAX - 9, true, &[]),
            (11, false, &two[20..]),
            (u32::MAX - 8, false, &two[..10]),
            (u32::MAX - 8, false, &two[..12]),
            (3, false, &two[12..20]),
        ]);
        assert_eq!(lengths(&file), [19, 19]);
    }

    #[test]
    fn a_hole_is_reported() {
        let file = capture(&[(0, true, &[]), (1, false, &keepalive()), (40, false, &keepalive())]);
        let contents = read(&file, 179).unwrap();
        assert_eq!(contents.messages.len(), 1);
        assert_eq!(contents.unread.len(), 1);
        assert_eq!(contents.unread[0].2, 19);
    }

    #[test]
    fn without_the_start_the_first_marker_counts() {
        let file = capture(&[(700, false, &[&[1, 2, 3], keepalive().as_slice()].concat())]);
        assert_eq!(lengths(&file), [19]);
    }

    #[test]
    fn what_is_no_message_is_handed_on_once() {
        let file = capture(&[(0, true, &[]), (1, false, b"GET / HTTP/1.1\r\n\r\n"), (19, false, b"more")]);
        assert_eq!(lengths(&file), [18]);
    }

    #[test]
    fn a_message_that_ends_with_the_capture_is_kept() {
        let file = capture(&[(0, true, &[]), (1, false, &keepalive()[..17])]);
        assert_eq!(lengths(&file), [17]);
    }

    #[test]
    fn other_ports_and_cut_files_are_no_trouble() {
        let file = capture(&[(0, true, &[]), (1, false, &keepalive())]);
        assert!(read(&file, 1790).unwrap().messages.is_empty());
        for length in 24..file.len() {
            read(&file[..length], 179).unwrap();
        }
    }

    #[test]
    fn an_unknown_link_layer_is_said() {
        let mut file = capture(&[]);
        file[20] = 147;
        let error = read(&file, 179).unwrap_err().to_string();
        assert!(error.contains("link type 147"), "{error}");
    }
}
