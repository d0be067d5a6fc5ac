//! The tree of an OPEN.

use std::fmt::Write as _;

use metal_bgp::wire::{Capability, Open, capability};

use super::{Field, joined, part};
use crate::bgp::json::role_name;

/// The fields behind the header.
pub(super) fn fields<'a>(open: &Open<'_>, bytes: &'a [u8]) -> Vec<Field<'a>> {
    let mut fields = vec![
        Field::new(19, part(bytes, 19, 1), "Version: 4"),
        Field::new(20, part(bytes, 20, 2), format!("My Autonomous System: {}", open.my_as)),
        Field::new(22, part(bytes, 22, 2), format!("Hold Time: {} s", open.hold_time)),
        Field::new(24, part(bytes, 24, 4), format!("BGP Identifier: {}", open.bgp_identifier)),
    ];
    // RFC 9072: type 255 in front of the parameters makes all lengths two octets long.
    let extended = matches!(part(bytes, 28, 2), [length, 255] if *length > 0);
    let (start, width) = if extended { (32, 2) } else { (29, 1) };
    fields.push(Field::new(
        28,
        part(bytes, 28, start - 28),
        format!("Optional Parameters: {} octets", bytes.len() - start),
    ));
    let mut capabilities = open.capabilities.iter();
    let mut at = start;
    while let Some(&kind) = bytes.get(at) {
        let length = big_endian(part(bytes, at + 1, width));
        let end = at + 1 + width + length;
        let mut inside = at + 1 + width;
        let mut parts = Vec::new();
        while inside < end.min(bytes.len()) {
            let Some(capability) = capabilities.next() else { break };
            let length = big_endian(part(bytes, inside + 1, 1));
            let text = capability_text(&capability);
            parts.push(Field::new(inside, part(bytes, inside, 2 + length), text));
            inside += 2 + length;
        }
        fields.push(
            Field::new(
                at,
                part(bytes, at, 1 + width),
                format!("Parameter {kind} (Capabilities), {length} octets"),
            )
            .with(parts),
        );
        at = end;
    }
    fields
}

fn big_endian(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |value, byte| value << 8 | usize::from(*byte))
}

fn capability_text(capability: &Capability<'_>) -> String {
    let code = capability.code();
    let mut text = match capability::name(code) {
        Some(name) => format!("{name} ({code})"),
        None => format!("Capability {code}"),
    };
    let said = match capability {
        Capability::Multiprotocol(family) => family.to_string(),
        Capability::ExtendedNextHop(list) => joined(
            list.iter()
                .map(|item| format!("AFI {} SAFI {} over AFI {}", item.afi.0, item.safi, item.next_hop.0)),
        ),
        Capability::Role(role) => role_name(*role).map_or_else(|| role.code().to_string(), Into::into),
        Capability::GracefulRestart(restart) => {
            let mut said = format!("{} s", restart.restart_time);
            for (set, name) in [(restart.restarted, "R"), (restart.notification, "N")] {
                if set {
                    said.push_str(", ");
                    said.push_str(name);
                }
            }
            for item in restart.families.iter() {
                let _infallible =
                    write!(said, ", {}{}", item.family, if item.forwarding { " F" } else { "" });
            }
            said
        }
        Capability::FourOctetAs(asn) => asn.to_string(),
        Capability::AddPath(list) => joined(list.iter().map(|item| {
            let can = match item.send_receive {
                1 => "receive",
                2 => "send",
                3 => "send and receive",
                _ => "nothing that is defined",
            };
            format!("{}: {can}", item.family)
        })),
        Capability::LongLivedGracefulRestart(list) => joined(list.iter().map(|item| {
            format!("{} {} s{}", item.family, item.stale_time, if item.forwarding { " F" } else { "" })
        })),
        Capability::Fqdn { host, domain } => {
            format!(
                "host \"{}\", domain \"{}\"",
                String::from_utf8_lossy(host),
                String::from_utf8_lossy(domain)
            )
        }
        Capability::Unknown { value, .. } => format!("{} octets", value.len()),
        Capability::RouteRefresh
        | Capability::RouteRefreshCisco
        | Capability::ExtendedMessage
        | Capability::EnhancedRouteRefresh
        | Capability::BfdStrict
        | Capability::LinkLocalNextHop => return text,
    };
    let _infallible = write!(text, ": {said}");
    text
}
