//! From a file or standard input to the octets of single messages.

use std::{fmt, io::Read, net::SocketAddr, path::Path};

use anyhow::{Context, Result, bail};
use metal_bgp::wire::frame::{Frame, MaxLength};

use super::{
    args::{Format, InputArgs},
    capture,
};

/// The octets of one message, as far as they can be told from the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// The octets. Those of a line may be more than one message.
    pub(crate) bytes: Vec<u8>,
    /// Where they came from.
    pub(crate) place: Place,
}

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A line, counted from 1.
    Line(usize),
    /// An octet of a stream, counted from 0.
    Octet(usize),
    /// A connection in a capture.
    Connection {
        /// Which one.
        number: usize,
        /// Who sent it.
        source: SocketAddr,
        /// To whom.
        destination: SocketAddr,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Octet(offset) => write!(f, "octet {offset}"),
            Self::Connection { number, source, destination } => {
                write!(f, "connection {number}, {source} to {destination}")
            }
        }
    }
}

/// Everything that the arguments name; the notes are for standard error.
pub(crate) fn read(arguments: &InputArgs, max: MaxLength) -> Result<(Vec<Item>, Vec<String>)> {
    let bytes = read_file(&arguments.file)?;
    let format = match arguments.input {
        Format::Auto => guess(&bytes),
        format => format,
    };
    Ok(match format {
        Format::Hex | Format::Auto => (lines(&bytes)?, vec![]),
        Format::Binary => (stream(bytes, max), vec![]),
        Format::Pcap => {
            let contents = capture::read(&bytes, arguments.port)?;
            let notes = contents.unread.into_iter().map(|(source, destination, octets)| {
                format!(
                    "{source} to {destination}: a segment is missing from the capture; {octets} octets after it \
                     were not read"
                )
            });
            let items = contents.messages.into_iter().map(|message| Item {
                bytes: message.bytes,
                place: Place::Connection {
                    number: message.connection,
                    source: message.source,
                    destination: message.destination,
                },
            });
            (items.collect(), notes.collect())
        }
    })
}

/// The octets of a file, or of standard input for "-".
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Text is hexadecimal; octets that no text has are a stream, unless they begin as a capture does.
fn guess(bytes: &[u8]) -> Format {
    if capture::is_capture(bytes) {
        Format::Pcap
    } else if bytes.iter().take(64).all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
        Format::Hex
    } else {
        Format::Binary
    }
}

/// One message per line.
fn lines(text: &[u8]) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let bytes = unhex(line).with_context(|| format!("line {number} cannot be read"))?;
        if !bytes.is_empty() {
            items.push(Item { bytes, place: Place::Line(number) });
        }
    }
    Ok(items)
}

/// Octets from hexadecimal digits; white space and colons between octets do not matter.
pub(crate) fn unhex(text: &[u8]) -> Result<Vec<u8>> {
    let text = text.trim_ascii();
    let digits = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).unwrap_or(text);
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    let mut high = None;
    for byte in digits {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b':' | b' ' | b'\t' | b'\r' => continue,
            _ => bail!("\"{}\" is no hexadecimal digit", char::from(*byte).escape_default()),
        };
        match high.take() {
            None => high = Some(digit << 4),
            Some(high) => bytes.push(high | digit),
        }
    }
    if high.is_some() {
        bail!("the number of hexadecimal digits is odd, so half an octet is missing");
    }
    Ok(bytes)
}

/// The messages of a stream; what is left at the end, or is no message, comes last.
fn stream(bytes: Vec<u8>, max: MaxLength) -> Vec<Item> {
    let mut items = Vec::new();
    let mut offset = 0;
    while let Some(rest) = bytes.get(offset..)
        && !rest.is_empty()
    {
        let length = Frame::parse(rest, max).map_or(rest.len(), |frame| frame.len());
        items.push(Item { bytes: rest[..length].to_vec(), place: Place::Octet(offset) });
        offset += length;
    }
    items
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keepalive() -> Vec<u8> {
        [[0xff; 16].as_slice(), &[0, 19, 4]].concat()
    }

    #[test]
    fn hexadecimal_in_many_dresses() {
        for text in ["ff00a1", "FF00A1", "0xff00a1", " ff 00 a1\r", "ff:00:a1", "f f00a1"] {
            assert_eq!(unhex(text.as_bytes()).unwrap(), [0xff, 0, 0xa1], "{text}");
        }
        assert!(unhex(b"ff0").unwrap_err().to_string().contains("odd"));
        assert!(unhex(b"xy").unwrap_err().to_string().contains("\"x\""));
    }

    #[test]
    fn lines_are_counted_and_comments_are_not_messages() {
        let items = lines(b"# a comment\n\nff00 # a marker\n01\n").unwrap();
        assert_eq!(items.len(), 2);
        assert_eq!((items[0].place, items[0].bytes.as_slice()), (Place::Line(3), [0xff, 0].as_slice()));
        assert_eq!(items[1].place, Place::Line(4));
        let error = format!("{:#}", lines(b"00\nzz\n").unwrap_err());
        assert!(error.starts_with("line 2"), "{error}");
    }

    #[test]
    fn formats_are_told_apart_by_their_first_octets() {
        assert_eq!(guess(b"ffff ffff\n"), Format::Hex);
        assert_eq!(guess(&keepalive()), Format::Binary);
        assert_eq!(guess(&[0, 1, 2]), Format::Binary);
        assert_eq!(guess(&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0]), Format::Pcap);
        assert_eq!(guess(&[0x0a, 0x0d, 0x0d, 0x0a]), Format::Pcap);
    }

    #[test]
    fn a_stream_is_cut_into_messages_up_to_what_is_none() {
        let bytes = [keepalive(), keepalive(), vec![0xff, 1, 2]].concat();
        let items = stream(bytes, MaxLength::Standard);
        let places: Vec<_> = items.iter().map(|item| (item.place, item.bytes.len())).collect();
        assert_eq!(places, [(Place::Octet(0), 19), (Place::Octet(19), 19), (Place::Octet(38), 3)]);
    }
}
