//! A passive receiver: metal's own BGP machine on the other side. It is no router: it takes connections from the nodes,
//! announces nothing, judges no paths, and puts all that it hears into the kernel, where equal prefixes share their next
//! hops.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use metal_bgp::{
    peer::{ConnectionId, Input, Mode, Output, Peer, PeerAs, Settings, Transport},
    validate::validate,
    wire::{
        AttributeCode, Message, Session, Update, Value,
        frame::{Frame, MaxLength},
    },
};
use metal_core::Machine;
use metal_net::{NetworkError, clock::Clock};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::fib::Fib;
use crate::lab::plan;

/// Takes connections in the calling thread's network namespace, until a route cannot be installed.
pub(super) fn run(fib: Fib) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(SocketAddr::from((plan::ROUTER, 179))).await?;
        let (failures, mut failed) = mpsc::unbounded_channel::<NetworkError>();
        let (fib, clock) = (Arc::new(Mutex::new(fib)), Clock::start());
        for number in 1.. {
            let stream = tokio::select! {
                accepted = listener.accept() => accepted?.0,
                Some(failure) = failed.recv() => return Err(failure.into()),
            };
            stream.set_nodelay(true)?;
            tokio::spawn(Link::new(stream, number, clock, Arc::clone(&fib), failures.clone())?.run());
        }
        Ok(())
    })
}

/// A connection with its machine.
struct Link {
    stream: TcpStream,
    number: u64,
    /// By which its routes are known.
    name: String,
    peer: Peer,
    clock: Clock,
    fib: Arc<Mutex<Fib>>,
    failures: Failures,
    /// What was read of a message that is not there to its end.
    inbox: Vec<u8>,
    /// How UPDATEs are read, once there is a session.
    session: Option<Session>,
}

type Failures = mpsc::UnboundedSender<NetworkError>;

impl Link {
    fn new(
        stream: TcpStream,
        number: u64,
        clock: Clock,
        fib: Arc<Mutex<Fib>>,
        failures: Failures,
    ) -> anyhow::Result<Self> {
        let settings = Settings {
            hold_time: plan::HOLD_TIME,
            mode: Mode::Listen,
            ..Settings::new(plan::ROUTER_AS, PeerAs::Is(plan::NODE_AS), plan::ROUTER)
        };
        let peer = Peer::new(settings.check()?, number);
        let (name, inbox) = (number.to_string(), Vec::new());
        Ok(Self { stream, number, name, peer, clock, fib, failures, inbox, session: None })
    }

    async fn run(mut self) {
        self.tell(Input::Start);
        self.tell(Input::Accepted(self.number));
        // How it ends is the node's to say.
        let _ended = self.talk().await;
        lock(&self.fib).forget(&self.name);
        self.install();
    }

    async fn talk(&mut self) -> io::Result<()> {
        let id = ConnectionId::Accepted(self.number);
        let mut bytes = vec![0; 64 << 10];
        loop {
            while let Some(output) = self.peer.poll_output(self.clock.now()) {
                match output {
                    Output::Established(negotiated) => self.session = Some(negotiated.receive),
                    Output::Close { last_words, .. } => return self.stream.write_all(&last_words).await,
                    _ => {}
                }
            }
            self.read_messages();
            let unsent: Vec<u8> = self.peer.transmit(id).flatten().copied().collect();
            if !unsent.is_empty() {
                self.stream.write_all(&unsent).await?;
                self.tell(Input::Sent(id, unsent.len()));
                continue;
            }
            tokio::select! {
                read = self.stream.read(&mut bytes) => match read {
                    Ok(length) if length > 0 => {
                        self.inbox.extend_from_slice(&bytes[..length]);
                        self.tell(Input::Received(id, &bytes[..length]));
                    }
                    _ => self.tell(Input::Failed(id, Transport::Closed)),
                },
                () = self.clock.until(self.peer.poll_timeout()) => {}
            }
        }
    }

    fn tell(&mut self, input: Input<'_>) {
        self.peer.handle_input(self.clock.now(), input);
    }

    /// The machine reads the same bytes and judges them, but it keeps no routes: those are picked out here.
    fn read_messages(&mut self) {
        let max = self.session.map_or(MaxLength::Standard, |session| session.max_length);
        let (mut read, mut changed) = (0, false);
        while let Ok(frame) = Frame::parse(&self.inbox[read..], max) {
            read += frame.len();
            if let Some(session) = &self.session
                && let Ok(Message::Update(update)) = Message::parse(&frame, session)
            {
                hear(&mut lock(&self.fib), &self.name, &update);
                changed = true;
            }
        }
        self.inbox.drain(..read);
        if changed {
            self.install();
        }
    }

    fn install(&self) {
        if let Err(failure) = lock(&self.fib).install() {
            // Nobody listens any more when the lab ends.
            let _unheard = self.failures.send(failure);
        }
    }
}

/// IPv4 routes alone: the nodes of this lab have no others.
fn hear(fib: &mut Fib, peer: &str, update: &Update<'_>) {
    let next_hop = match update.attribute(AttributeCode::NEXT_HOP).map(|attribute| attribute.value()) {
        // What is malformed counts as withdrawn (RFC 7606).
        Some(Ok(Value::NextHop(next_hop))) if validate(update).disposition().is_none() => {
            Some(IpAddr::V4(next_hop))
        }
        _ => None,
    };
    update.withdrawn().for_each(|nlri| fib.hear(peer, nlri.prefix.into(), None));
    update.nlri().for_each(|nlri| fib.hear(peer, nlri.prefix.into(), next_hop));
}

fn lock(fib: &Mutex<Fib>) -> MutexGuard<'_, Fib> {
    fib.lock().unwrap_or_else(PoisonError::into_inner)
}
