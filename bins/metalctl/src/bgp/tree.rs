//! A message as a tree: each field with its offset and its octets, as a protocol analyser shows it.

mod open;
mod update;

use std::fmt::{self, Write as _};

use metal_bgp::{
    validate::Finding,
    wire::{
        AttributeCode, Error, Notification, frame::MessageType, notification::Communication, refresh::Subtype,
    },
};

use super::{input::Place, read::Read};

/// A field: where it is, what it says, what it consists of.
#[derive(Debug)]
struct Field<'a> {
    offset: usize,
    bytes: &'a [u8],
    text: String,
    parts: Vec<Field<'a>>,
}

impl<'a> Field<'a> {
    fn new(offset: usize, bytes: &'a [u8], text: impl Into<String>) -> Self {
        Self { offset, bytes, text: text.into(), parts: vec![] }
    }

    fn with(mut self, parts: Vec<Self>) -> Self {
        self.parts = parts;
        self
    }

    fn print(&self, to: &mut String, lead: &str, branch: &str) {
        let shown = self.bytes.len().min(SHOWN);
        let mut octets = String::new();
        for byte in &self.bytes[..shown] {
            let _infallible = write!(octets, "{byte:02x} ");
        }
        if self.bytes.len() > shown {
            octets.push('…');
        }
        let _infallible =
            writeln!(to, "{:6}  {octets:width$}{branch}{}", self.offset, self.text, width = SHOWN * 3 + 2);
        let last = self.parts.len().saturating_sub(1);
        for (n, part) in self.parts.iter().enumerate() {
            let (turn, go_on) = if n == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            part.print(to, &format!("{lead}{go_on}"), &format!("{lead}{turn}"));
        }
    }
}

/// The text of what was read, several lines.
pub(crate) fn text(read: &Read<'_>, place: Place) -> String {
    let mut to = String::new();
    let _infallible = write!(to, "{place}: ");
    let mut fields = Vec::new();
    match read {
        Read::Incomplete { needed } => {
            let _infallible = writeln!(to, "incomplete, at least {needed} more octets are needed");
        }
        Read::Refused { error, kind, bytes } => {
            refused(&mut to, error, *kind);
            // What can be said about it at all.
            fields = header(bytes);
        }
        Read::Open { open, whole } => {
            let _infallible = writeln!(to, "OPEN, {} octets", whole.bytes.len());
            fields = header(whole.bytes);
            fields.extend(open::fields(open, whole.bytes));
        }
        Read::Update { update, verdict, whole } => {
            let _infallible = write!(to, "UPDATE, {} octets", whole.bytes.len());
            if let Some(family) = update.end_of_rib() {
                let _infallible = write!(to, ", End-of-RIB of {family}");
            }
            to.push('\n');
            for finding in verdict.findings() {
                let _infallible = writeln!(to, "  ! {}", Judged(finding));
            }
            fields = header(whole.bytes);
            fields.extend(update::fields(update, whole.bytes));
        }
        Read::Notification { notification, whole } => {
            let _infallible = writeln!(to, "NOTIFICATION, {} octets: {notification}", whole.bytes.len());
            fields = header(whole.bytes);
            fields.extend(self::notification(notification, whole.bytes));
        }
        Read::Keepalive { whole } => {
            let _infallible = writeln!(to, "KEEPALIVE, {} octets", whole.bytes.len());
            fields = header(whole.bytes);
        }
        Read::RouteRefresh { refresh, whole } => {
            let _infallible = writeln!(to, "ROUTE-REFRESH, {} octets: {}", whole.bytes.len(), refresh.family);
            fields = header(whole.bytes);
            let meaning = match refresh.subtype {
                Subtype::Request => "request",
                Subtype::Beginning => "Beginning of Route Refresh (BoRR)",
                Subtype::End => "End of Route Refresh (EoRR)",
                Subtype::Unknown(_) => "unknown, to be ignored",
            };
            fields.extend([
                Field::new(19, part(whole.bytes, 19, 2), format!("AFI: {}", refresh.family.afi.0)),
                Field::new(
                    21,
                    part(whole.bytes, 21, 1),
                    format!("Message Subtype: {} ({meaning})", refresh.subtype.code()),
                ),
                Field::new(22, part(whole.bytes, 22, 1), format!("SAFI: {}", refresh.family.safi.0)),
            ]);
        }
    }
    for field in &fields {
        field.print(&mut to, "", "");
    }
    if let Some(trailing) = read.trailing() {
        let _infallible =
            writeln!(to, "  ! {trailing} more octets behind the message; one line is one message");
    }
    // A line between messages.
    to.push('\n');
    to
}

/// Why there is nothing to write for what was read, in a line.
pub(crate) fn summary(read: &Read<'_>, place: Place) -> String {
    match read {
        Read::Incomplete { needed } => {
            format!("{place}: incomplete, at least {needed} more octets are needed")
        }
        Read::Refused { error, .. } => {
            format!("{place}: the session would end: {error}; NOTIFICATION: {}", error.notification())
        }
        _ => format!("{place}: a message"),
    }
}

/// The octets from `offset` on, as far as they are there.
fn part(bytes: &[u8], offset: usize, length: usize) -> &[u8] {
    let end = offset.saturating_add(length).min(bytes.len());
    bytes.get(offset.min(end)..end).unwrap_or_default()
}

fn header(bytes: &[u8]) -> Vec<Field<'_>> {
    let mut fields = vec![Field::new(0, part(bytes, 0, 16), "Marker")];
    if let &[high, low] = part(bytes, 16, 2) {
        fields.push(Field::new(
            16,
            part(bytes, 16, 2),
            format!("Length: {}", u16::from_be_bytes([high, low])),
        ));
    }
    if let &[code] = part(bytes, 18, 1) {
        let name = type_name(code);
        fields.push(Field::new(18, part(bytes, 18, 1), format!("Type: {code} ({name})")));
    }
    fields
}

const fn type_name(code: u8) -> &'static str {
    match code {
        1 => "OPEN",
        2 => "UPDATE",
        3 => "NOTIFICATION",
        4 => "KEEPALIVE",
        5 => "ROUTE-REFRESH",
        _ => "unknown",
    }
}

fn refused(to: &mut String, error: &Error, kind: Option<MessageType>) {
    let kind = kind.map_or("no message", |kind| type_name(kind.code()));
    let Notification { code, subcode, data } = error.notification();
    let _infallible = writeln!(to, "{kind}: the session would end");
    let _infallible = writeln!(to, "  ! octet {}: {}", error.offset(), error.kind());
    let _infallible = write!(to, "  ! NOTIFICATION {code}/{subcode} ({})", error.notification());
    if !data.is_empty() {
        let _infallible = write!(to, ", data {}", super::input::hex(data));
    }
    to.push('\n');
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

fn notification<'a>(notification: &Notification<'_>, bytes: &'a [u8]) -> Vec<Field<'a>> {
    let named = |name: Option<&str>| name.map_or(String::new(), |name| format!(" ({name})"));
    let mut fields = vec![
        Field::new(
            19,
            part(bytes, 19, 1),
            format!("Error code: {}{}", notification.code, named(notification.code_name())),
        ),
        Field::new(
            20,
            part(bytes, 20, 1),
            format!("Error subcode: {}{}", notification.subcode, named(notification.subcode_name())),
        ),
    ];
    let data = part(bytes, 21, bytes.len());
    if data.is_empty() {
        return fields;
    }
    let mut field = Field::new(21, data, format!("Data: {} octets", data.len()));
    match notification.communication() {
        Some(Communication::Text(text)) => {
            field.parts = vec![
                Field::new(21, part(bytes, 21, 1), format!("Length: {}", text.len())),
                Field::new(22, part(bytes, 22, text.len()), format!("Shutdown Communication: {text:?}")),
            ];
        }
        Some(Communication::Unreadable(_)) => {
            field.text.push_str(", a Shutdown Communication that cannot be read")
        }
        None => {
            if let Some(inside) = notification.hard_reset() {
                field.parts = vec![Field::new(21, part(bytes, 21, 2), format!("really: {inside}"))];
            }
        }
    }
    fields.push(field);
    fields
}

/// A finding in a line.
struct Judged<'a>(Finding<'a>);

impl fmt::Display for Judged<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { code: AttributeCode(code), disposition, offset, fault, .. } = self.0;
        write!(f, "octet {offset}, attribute {code}: {fault}: {disposition}")
    }
}

/// How many octets of a field are shown.
const SHOWN: usize = 8;
