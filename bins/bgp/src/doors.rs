//! Where peers may open connections.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metal_core::view::LinkIndex;
use metal_net::tcp::{Connection, Listen, ListenError, Listener};
use tokio::sync::mpsc;

use crate::{peer::Order, rib::Name, sessions::Neighbor};

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
    pub(crate) fn set(&self, neighbor: &Neighbor, name: &Name, orders: &mpsc::UnboundedSender<Order>) {
        let key = neighbor.link.map_or_else(|| key(neighbor.dial.peer), anybody_on);
        self.lock().insert(key, (name.clone(), orders.clone()));
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
        let (address, link) = key(connection.remote());
        let guests = self.lock();
        if let Some((_, orders)) = guests.get(&(address, link)).or_else(|| guests.get(&anybody_on(link))) {
            // A peer that has just been removed expects nothing any more.
            let _gone = orders.send(Order::Accepted(connection));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Guests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets connections of a peer in only if they have its password, if there is one.
pub(crate) fn set_key(listener: &Listener, neighbor: &Neighbor) -> Result<(), String> {
    let (here, peer) = (listener.local().map_err(|error| error.to_string())?, neighbor.dial.peer.ip());
    // Nobody knows the address of a peer that is a link, and IPv6 does not come in by IPv4.
    if neighbor.link.is_some() || here.is_ipv4() && peer.to_canonical().is_ipv6() {
        return Ok(());
    }
    let done = match &neighbor.dial.key {
        Some(key) => listener.set_key(peer, key),
        None => listener.remove_key(peer),
    };
    done.map_err(|error| format!("connections that the peer opens to {here} are refused: {error}"))
}

/// The only peer of an unnumbered link. Its addresses are the link-local ones, which alone have a number of a link.
fn anybody_on(link: LinkIndex) -> (IpAddr, u32) {
    (Ipv6Addr::UNSPECIFIED.into(), link)
}

/// `fe80::1` on two interfaces are two peers.
fn key(peer: SocketAddr) -> (IpAddr, u32) {
    match peer {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => (peer.ip(), v6.scope_id()),
        _ => (peer.ip().to_canonical(), 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_local_address_is_one_of_a_link() {
        let at = |text: &str| key(text.parse().unwrap());
        assert_ne!(at("[fe80::1%2]:179"), at("[fe80::1%3]:179"));
        assert_eq!(at("[fe80::1%2]:179"), at("[fe80::1%2]:50000"));
        assert_eq!(at("[2001:db8::1%2]:179"), at("[2001:db8::1]:179"));
        assert_eq!(at("[::ffff:192.0.2.1]:179"), at("192.0.2.1:179"));
    }

    #[test]
    fn a_peer_that_is_a_link_is_nobody_from_elsewhere() {
        assert_ne!(key("[2001:db8::1]:179".parse().unwrap()).1, 2);
        assert_ne!(anybody_on(2), anybody_on(3));
        assert_ne!(anybody_on(2), key("[::]:179".parse().unwrap()));
    }
}
