//! `metalctl bgp`: messages to what they mean, and back.

mod args;
mod capture;
mod input;
mod json;
mod read;
mod tree;
mod write;

use std::{
    collections::HashMap,
    fmt,
    io::{self, Write},
    net::SocketAddr,
};

use anyhow::{Context, Result};
use metal_bgp::wire::{
    Contents, Open, Session, encode_keepalive, frame::Frame, frame::MaxLength, open::negotiate,
};

pub(crate) use args::BgpCommand;
use args::{DecodeArgs, EncodeArgs, InputArgs, Output, RoundtripArgs, SessionArgs};
use input::{Item, Place};
use read::Read;

/// The input cannot be used. It has an exit code of its own, so that scripts can tell it from a bad message.
#[derive(Debug)]
pub(crate) struct Unusable;

impl Unusable {
    /// As the help says.
    pub(crate) const EXIT_CODE: u8 = 2;
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the input cannot be used")
    }
}

/// Does what the arguments say; whether every message was good.
pub(crate) fn run(command: &BgpCommand) -> Result<bool> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let good = match command {
        BgpCommand::Decode(arguments) => decode(arguments, &mut out),
        BgpCommand::Encode(arguments) => encode(arguments, &mut out),
        BgpCommand::Roundtrip(arguments) => roundtrip(arguments, &mut out),
    };
    match out.flush().map_err(anyhow::Error::from).and(good) {
        // Whoever read has seen enough.
        Err(error)
            if error.downcast_ref().is_some_and(|io: &io::Error| io.kind() == io::ErrorKind::BrokenPipe) =>
        {
            Ok(true)
        }
        good => good.context(Unusable),
    }
}

fn decode(arguments: &DecodeArgs, out: &mut impl Write) -> Result<bool> {
    each(&arguments.input, &arguments.session, |read, _, place| {
        match arguments.output {
            Output::Json => writeln!(out, "{}", json::line(read, place)?)?,
            Output::Text => out.write_all(tree::text(read, place).as_bytes())?,
        }
        Ok(())
    })
}

fn roundtrip(arguments: &RoundtripArgs, out: &mut impl Write) -> Result<bool> {
    each(&arguments.input, &arguments.session, |read, session, place| {
        let bytes = canonical(read, session).with_context(|| format!("{place} cannot be written again"))?;
        if let Some(bytes) = bytes {
            writeln!(out, "{}", input::hex(&bytes))?;
        } else {
            // One line for each that was read, so that both can be laid side by side.
            writeln!(out)?;
            note(&tree::summary(read, place));
        }
        Ok(())
    })
}

/// The canonical form; `None` for what is no message to go on with.
fn canonical(read: &Read<'_>, session: &Session) -> Result<Option<Vec<u8>>> {
    Ok(Some(match read {
        Read::Incomplete { .. } | Read::Refused { .. } => return Ok(None),
        Read::Open { open, .. } => write::written(|buffer| open.encode(buffer))?,
        Read::Update { update, .. } => {
            let contents = Contents::of(update);
            write::written(|buffer| contents.encode(session, buffer))?
        }
        Read::Notification { notification, .. } => write::written(|buffer| notification.encode(buffer))?,
        Read::Keepalive { .. } => write::written(encode_keepalive)?,
        Read::RouteRefresh { refresh, .. } => write::written(|buffer| refresh.encode(buffer))?,
    }))
}

/// Reads every message of the input, with the session that it belongs to.
fn each(
    input: &InputArgs,
    session: &SessionArgs,
    mut see: impl FnMut(&Read<'_>, &Session, Place) -> Result<()>,
) -> Result<bool> {
    let told = session.session();
    let (items, notes) = input::read(input, told.max_length)?;
    let mut connections = Connections::default();
    let mut good = true;
    for Item { bytes, place } in &items {
        let session = connections.session(*place).unwrap_or(told);
        let read = read::read(bytes, &session);
        if let (Read::Open { .. }, Place::Connection { number, source, .. }) = (&read, *place) {
            connections.opens.insert((number, source), bytes.clone());
        }
        good &= read.is_ok();
        see(&read, &session, *place)?;
    }
    for text in notes {
        note(&text);
    }
    Ok(good)
}

/// The OPENs of the connections of a capture.
#[derive(Default)]
struct Connections {
    opens: HashMap<(usize, SocketAddr), Vec<u8>>,
}

impl Connections {
    /// What was negotiated, once both sides have said what they can.
    fn session(&self, place: Place) -> Option<Session> {
        let Place::Connection { number, source, destination } = place else { return None };
        let open = |side| Frame::parse(self.opens.get(&(number, side))?, MaxLength::Standard).ok();
        let (theirs, ours) = (open(source)?, open(destination)?);
        let (theirs, ours) = (Open::parse(theirs.body()).ok()?, Open::parse(ours.body()).ok()?);
        Some(negotiate(&ours, &theirs).receive)
    }
}

fn encode(arguments: &EncodeArgs, out: &mut impl Write) -> Result<bool> {
    let text = input::read_file(&arguments.file)?;
    let session = arguments.session.session();
    let objects = serde_json::Deserializer::from_slice(&text).into_iter();
    for (number, object) in (1..).zip(objects) {
        let object = object.with_context(|| format!("object {number} is no JSON"))?;
        let bytes =
            write::message(&object, &session).with_context(|| format!("object {number} is no message"))?;
        writeln!(out, "{}", input::hex(&bytes))?;
    }
    Ok(true)
}

fn note(text: &str) {
    // There is nobody left to tell when standard error is gone.
    let _gone = writeln!(anstream::stderr(), "metalctl: {text}");
}
