//! Where peers may open connections.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metal_net::tcp::{Connection, Listen, ListenError, Listener};
use tokio::sync::mpsc;

use crate::{peer::Order, rib::Name};

/// A listener, and who may come in.
#[derive(Debug)]
pub struct Door {
    pub(crate) listener: Arc<Listener>,
}

impl Door {
    /// Listens.
    ///
    /// # Errors
    /// When that cannot be: the port is taken, or the right to have it is missing.
    pub fn open(listen: &Listen) -> Result<Self, ListenError> {
        Ok(Self { listener: Arc::new(Listener::open(listen)?) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.listener.local()
    }
}

/// Who is expected, by address.
#[derive(Debug, Default)]
pub(crate) struct Expected(Mutex<Guests>);

type Guests = BTreeMap<(IpAddr, u32), (Name, mpsc::UnboundedSender<Order>)>;

/// After an error of accepting, most likely for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

impl Expected {
    pub(crate) fn set(&self, peer: SocketAddr, name: &Name, orders: &mpsc::UnboundedSender<Order>) {
        self.lock().insert(key(peer), (name.clone(), orders.clone()));
    }

    pub(crate) fn remove(&self, name: &Name) {
        self.lock().retain(|_, (other, _)| other != name);
    }

    /// Hands connections to those who expect them, for ever. Who is not expected is closed on at once.
    pub(crate) async fn receive(&self, listener: &Listener) {
        loop {
            match listener.accept().await {
                Ok(connection) => self.hand_over(connection),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn hand_over(&self, connection: Connection) {
        if let Some((_, orders)) = self.lock().get(&key(connection.remote())) {
            // A peer that has just been removed expects nothing any more.
            let _gone = orders.send(Order::Accepted(connection));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Guests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `fe80::1` on two interfaces are two peers.
fn key(peer: SocketAddr) -> (IpAddr, u32) {
    match peer {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => (peer.ip(), v6.scope_id()),
        _ => (peer.ip().to_canonical(), 0),
    }
}
