//! The arguments of `metalctl bgp`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use metal_bgp::wire::{Families, Family, Peer, Session, frame::MaxLength};

/// What to do with messages.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum BgpCommand {
    /// Say what messages mean, octet by octet, and what is wrong with them
    ///
    /// Hexadecimal input has one message per line (spaces, colons, a leading 0x, empty lines and what follows a #
    /// do not matter), binary input is a stream of messages, and captures (pcap, pcapng) are searched for TCP
    /// connections on port 179; there the OPENs of both sides decide how the rest is read.
    #[command(after_help = EXIT_CODES)]
    Decode(DecodeArgs),
    /// Make messages: JSON, as decode prints it, to hexadecimal
    ///
    /// One object per line, or any stream of objects. Where an attribute or a capability has a value, its "hex" is
    /// not looked at.
    #[command(after_help = EXIT_CODES)]
    Encode(EncodeArgs),
    /// Decode and encode again: the canonical form of each message, in hexadecimal
    #[command(after_help = EXIT_CODES)]
    Roundtrip(RoundtripArgs),
}

/// The arguments of `metalctl bgp decode`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DecodeArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) session: SessionArgs,
    /// What to print: a tree, or one JSON object per message
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
}

/// The arguments of `metalctl bgp encode`.
#[derive(Clone, Debug, Args)]
pub(crate) struct EncodeArgs {
    /// The JSON to read; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) session: SessionArgs,
}

/// The arguments of `metalctl bgp roundtrip`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RoundtripArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) session: SessionArgs,
}

/// Where messages come from.
#[derive(Clone, Debug, Args)]
pub(crate) struct InputArgs {
    /// The messages to read; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
    /// How they are written
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub(crate) input: Format,
    /// The TCP port of BGP in a capture
    #[arg(long, value_name = "PORT", default_value_t = 179)]
    pub(crate) port: u16,
}

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Whatever the first octets look like
    Auto,
    /// Hexadecimal, one message per line
    Hex,
    /// A stream of messages, as it goes over TCP
    Binary,
    /// A capture of packets: pcap or pcapng
    Pcap,
}

/// What `metalctl bgp decode` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// A tree of fields with their offsets and octets
    Text,
    /// One JSON object per message
    Json,
}

/// What the two sides negotiated; without any of these it is RFC 4271 alone, from a peer in another AS.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SessionArgs {
    /// AS numbers have four octets (RFC 6793)
    #[arg(long)]
    pub(crate) four_octet_as: bool,
    /// Prefixes have path identifiers (RFC 7911): those of all four families, or only of the ones listed
    #[arg(
        long,
        value_name = "FAMILY,...",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "ipv4-unicast,ipv4-multicast,ipv6-unicast,ipv6-multicast",
        value_delimiter = ','
    )]
    pub(crate) add_path: Vec<FamilyName>,
    /// Messages may have 65,535 octets (RFC 8654)
    #[arg(long)]
    pub(crate) extended_message: bool,
    /// The peer is in the same AS
    #[arg(long)]
    pub(crate) ibgp: bool,
}

/// The families whose prefixes are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FamilyName {
    /// AFI 1, SAFI 1
    Ipv4Unicast,
    /// AFI 1, SAFI 2
    Ipv4Multicast,
    /// AFI 2, SAFI 1
    Ipv6Unicast,
    /// AFI 2, SAFI 2
    Ipv6Multicast,
}

impl SessionArgs {
    /// The session that they describe.
    pub(crate) fn session(&self) -> Session {
        Session {
            peer: if self.ibgp { Peer::Internal } else { Peer::External },
            four_octet_as: self.four_octet_as,
            add_path: self.add_path.iter().map(|name| name.family()).collect::<Families>(),
            max_length: if self.extended_message { MaxLength::Extended } else { MaxLength::Standard },
        }
    }
}

impl FamilyName {
    const fn family(self) -> Family {
        match self {
            Self::Ipv4Unicast => Family::IPV4_UNICAST,
            Self::Ipv4Multicast => Family::IPV4_MULTICAST,
            Self::Ipv6Unicast => Family::IPV6_UNICAST,
            Self::Ipv6Multicast => Family::IPV6_MULTICAST,
        }
    }
}

const EXIT_CODES: &str = "\
Standard output has the result and nothing else. Exit codes:
  0  every message is whole, and no session would end
  1  a message would end the session, or is incomplete
  2  the input or the arguments cannot be used; standard error says why";
