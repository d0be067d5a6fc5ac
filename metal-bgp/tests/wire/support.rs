//! What the tests share.

use metal_bgp::wire::{
    Error, Message, Session,
    frame::{Frame, MaxLength, MessageType},
};

/// Octets from hexadecimal text; blanks and everything after `//` on a line are for the reader.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text
        .lines()
        .flat_map(|line| line.split("//").next().unwrap_or_default().chars())
        .filter(|c| !c.is_whitespace())
        .collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).expect("hexadecimal"))
        .collect()
}

/// Lower-case hexadecimal text.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A whole message of this body.
pub(crate) fn message(kind: MessageType, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Frame::new(kind, body, MaxLength::Extended).expect("a body of a good length").emit(&mut out);
    out
}

/// Four-octet AS numbers, towards an external peer.
pub(crate) fn external() -> Session {
    Session { four_octet_as: true, ..Session::default() }
}

/// Four-octet AS numbers, towards an internal peer.
pub(crate) fn internal() -> Session {
    Session { peer: metal_bgp::wire::Peer::Internal, ..external() }
}

/// Reads a whole message.
pub(crate) fn read<'a>(bytes: &'a [u8], session: &Session) -> Result<Message<'a>, Error> {
    let frame = Frame::parse(bytes, session.max_length).expect("a whole message");
    assert_eq!(frame.len(), bytes.len(), "nothing behind the message");
    Message::parse(&frame, session)
}

/// Code, subcode and data of the NOTIFICATION for an error, and the place of the error.
pub(crate) fn told(error: &Error) -> (u8, u8, Vec<u8>, usize) {
    let notification = error.notification();
    (notification.code, notification.subcode, notification.data.to_vec(), error.offset())
}

/// The body of an UPDATE.
pub(crate) fn update_body(withdrawn: &str, attributes: &str, nlri: &str) -> Vec<u8> {
    let (withdrawn, attributes, nlri) = (hex(withdrawn), hex(attributes), hex(nlri));
    let mut body = Vec::new();
    for part in [&withdrawn, &attributes] {
        body.extend(u16::try_from(part.len()).expect("a short part").to_be_bytes());
        body.extend(part);
    }
    body.extend(nlri);
    body
}

/// ORIGIN IGP, an AS_PATH of 64512 in four octets, NEXT_HOP 192.0.2.1.
pub(crate) const GOOD: &str = "40010100 4002060201 0000fc00 400304c0000201";
/// 198.51.100.7/32.
pub(crate) const VIP: &str = "20c6336407";
