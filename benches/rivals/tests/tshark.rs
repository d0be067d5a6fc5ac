//! What we write, Wireshark's dissector reads the same.

use std::{net::Ipv6Addr, process::Command};

use metal_benches::bgp_traffic::{open, updates};
use metal_bgp::wire::{
    Contents, Message,
    build::Routes,
    frame::{Frame, MaxLength},
};
use metal_rivals::{Codec, Received, metal};

/// A capture of one TCP connection in which every segment is one of the messages.
fn capture(messages: &[Vec<u8>]) -> Vec<u8> {
    // Microseconds, version 2.4, packets of up to 64 KiB, raw IPv4.
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    let mut sequence = 1_u32;
    for message in messages {
        let mut packet = vec![0x45, 0];
        packet.extend(u16::try_from(40 + message.len()).unwrap().to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        packet.extend([0xc3, 0x50, 0, 179]);
        packet.extend(sequence.to_be_bytes());
        packet.extend([0, 0, 0, 0, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
        packet.extend(message);
        sequence += u32::try_from(message.len()).unwrap();
        let length = u32::try_from(packet.len()).unwrap();
        for word in [0, 0, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

const FIELDS: [&str; 11] = [
    "bgp.type",
    "bgp.withdrawn_prefix",
    "bgp.mp_unreach_nlri_ipv6_prefix",
    "bgp.nlri_prefix",
    "bgp.mp_reach_nlri_ipv6_prefix",
    "bgp.prefix_length",
    "bgp.update.path_attribute.as_path_segment.as4",
    "bgp.update.path_attribute.multi_exit_disc",
    "bgp.update.path_attribute.community_value",
    "bgp.large_communities.ldp1",
    "bgp.update.path_attribute.origin",
];

/// The same fields as we see them: numbers and addresses, each list with commas.
fn ours(bytes: &[u8]) -> Vec<String> {
    let frame = Frame::parse(bytes, MaxLength::Standard).unwrap();
    let Message::Update(update) = Message::parse(&frame, &metal::session()).unwrap() else {
        return vec!["1".into(); 1];
    };
    let Contents { withdrawn, attributes, mp_reach, mp_unreach, nlri, .. } = Contents::of(&update);
    let list = |items: Vec<String>| items.join(",");
    let mut lengths = Vec::new();
    let mut v4 = |routes: &[metal_bgp::wire::Nlri<ipnet::Ipv4Net>]| {
        lengths.extend(routes.iter().map(|nlri| nlri.prefix.prefix_len().to_string()));
        list(routes.iter().map(|nlri| nlri.prefix.addr().to_string()).collect())
    };
    let (withdrawn, nlri) = (v4(&withdrawn), v4(&nlri));
    let mut mp_lengths = Vec::new();
    let mut v6 = |routes: Option<&Routes>| match routes {
        Some(Routes::Ipv6(_, routes)) => {
            mp_lengths.extend(routes.iter().map(|nlri| nlri.prefix.prefix_len().to_string()));
            list(routes.iter().map(|nlri| nlri.prefix.addr().to_string()).collect())
        }
        _ => String::new(),
    };
    let (unreach, reach) = (v6(mp_unreach.as_ref()), v6(mp_reach.as_ref().map(|reach| &reach.routes)));
    mp_lengths.extend(lengths);
    vec![
        "2".into(),
        withdrawn,
        unreach,
        nlri,
        reach,
        list(mp_lengths),
        list(attributes.as_path.iter().flatten().flat_map(|path| &path.asns).map(u32::to_string).collect()),
        attributes.multi_exit_disc.map_or(String::new(), |med| med.to_string()),
        list(attributes.communities.iter().map(|community| (community.0 & 0xffff).to_string()).collect()),
        list(attributes.large_communities.iter().map(|community| community.local1.to_string()).collect()),
        attributes.origin.map_or(String::new(), |origin| origin.code().to_string()),
    ]
}

#[test]
fn wireshark_reads_the_same() {
    let mut values = metal::Values::new();
    let mut messages = vec![open()];
    for bytes in updates(11, 1_500) {
        let received = Received::new(&bytes);
        let message = values.decode(&received).unwrap();
        messages.push(values.written(&message).unwrap());
    }
    let directory = std::env::temp_dir().join(format!("metal-tshark-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("messages.pcap");
    std::fs::write(&file, capture(&messages)).unwrap();

    let mut command = Command::new("tshark");
    command.arg("-r").arg(&file).args(["-T", "fields", "-E", "separator=|", "-E", "occurrence=a"]);
    command.args(FIELDS.iter().flat_map(|field| ["-e", field]));
    let output = command.output().expect("tshark runs; `scripts/setup` installs it");
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), messages.len());
    for (line, message) in lines.iter().zip(&messages).skip(1) {
        let mut theirs: Vec<_> = line.split('|').map(str::to_owned).collect();
        // Addresses are compared as addresses, however they are spelled.
        for field in [2, 4] {
            let spelled = theirs[field].split(',').filter(|address| !address.is_empty());
            let addresses: Vec<_> =
                spelled.map(|address| address.parse::<Ipv6Addr>().unwrap().to_string()).collect();
            theirs[field] = addresses.join(",");
        }
        assert_eq!(theirs, ours(message), "{message:02x?}");
    }
}
