//! Building a network: bridges, veth pairs, addresses and routes of a namespace.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsFd, AsRawFd},
    sync::{Mutex, PoisonError},
};

use ipnet::IpNet;
use metal_core::view::{Link, LinkIndex, Mac};
use rtnetlink::{
    AddressMessageBuilder, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
    RouteNextHopBuilder,
    packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage},
    packet_route::{
        RouteNetlinkMessage,
        address::{AddressAttribute, AddressHeaderFlags, AddressMessage},
        link::{BridgeStpState, InfoData, InfoVeth},
    },
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    Namespace,
    link::{
        message::{self, Dump, Message},
        netlink_address,
    },
    socket,
};

/// The links, addresses and routes of a network namespace, to be changed.
///
/// Each method is one request to the kernel and blocks until it is answered, which takes microseconds. Interfaces are
/// named by their names.
#[derive(Debug)]
pub struct Network {
    socket: Socket,
    /// Of the latest request; held until its answer is read.
    sequence: Mutex<u32>,
}

/// A request that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}: {source}")]
pub struct NetworkError {
    action: String,
    source: io::Error,
}

impl NetworkError {
    /// The kernel's reason.
    #[must_use]
    pub const fn reason(&self) -> &io::Error {
        &self.source
    }

    /// The kernel's reason, with its errno.
    #[must_use]
    pub fn into_reason(self) -> io::Error {
        self.source
    }
}

impl From<NetworkError> for io::Error {
    fn from(error: NetworkError) -> Self {
        Self::new(error.source.kind(), error)
    }
}

/// The answer to a request without a result.
pub type Done = Result<(), NetworkError>;

impl Network {
    /// The network of the calling thread's namespace; for another see [`Namespace::network`].
    ///
    /// # Errors
    /// When the kernel refuses a netlink socket.
    pub fn open() -> io::Result<Self> {
        let kind = Type::RAW.cloexec();
        let socket =
            Socket::new(Domain::from(libc::AF_NETLINK), kind, Some(Protocol::from(libc::NETLINK_ROUTE)))?;
        socket.bind(&netlink_address(0))?;
        socket.connect(&netlink_address(0))?;
        Ok(Self { socket, sequence: Mutex::new(0) })
    }

    /// An interface's index and state. Its addresses are left out.
    ///
    /// # Errors
    /// ENODEV when there is none of that name.
    pub fn link(&self, name: &str) -> Result<(LinkIndex, Link), NetworkError> {
        let request = RouteNetlinkMessage::GetLink(LinkUnspec::new_with_name(name).build());
        let found = self.request(request, 0).and_then(|found| found.ok_or_else(|| errno(libc::ENODEV)));
        found.map_err(refused(|| format!("find interface {name}")))
    }

    /// Adds a bridge that forwards at once (no spanning tree, no multicast snooping), and brings it up.
    ///
    /// # Errors
    /// EEXIST when the name is taken.
    pub fn add_bridge(&self, name: &str) -> Done {
        let bridge =
            LinkBridge::new(name).stp_state(BridgeStpState::Disabled).forward_delay(0).mcast_snooping(false);
        self.perform(RouteNetlinkMessage::NewLink(bridge.build()), CREATE)
            .map_err(refused(|| format!("add bridge {name}")))
    }

    /// Adds a pair of interfaces joined by a cable: `name` here, `peer` in the other namespace. Both are down.
    ///
    /// # Errors
    /// EEXIST when a name is taken.
    pub fn add_veth(&self, name: &str, namespace: &Namespace, peer: &str) -> Done {
        let far = LinkMessageBuilder::<LinkUnspec>::new().name(peer).setns_by_fd(namespace_fd(namespace));
        let near = LinkVeth::new(name, peer).set_info_data(InfoData::Veth(InfoVeth::Peer(far.build())));
        self.perform(RouteNetlinkMessage::NewLink(near.build()), CREATE)
            .map_err(refused(|| format!("add the veth pair {name} and {peer}")))
    }

    /// Moves an interface into another namespace, under a new name. It arrives without addresses and down.
    ///
    /// # Errors
    /// ENODEV when it does not exist, EEXIST when the new name is taken.
    pub fn move_link(&self, name: &str, namespace: &Namespace, new_name: &str) -> Done {
        self.change(name, &format!("to another namespace as {new_name}"), |link| {
            link.setns_by_fd(namespace_fd(namespace)).name(new_name)
        })
    }

    /// Renames an interface.
    ///
    /// # Errors
    /// ENODEV when it does not exist, EEXIST when the new name is taken.
    pub fn rename(&self, name: &str, new_name: &str) -> Done {
        self.change(name, &format!("to name {new_name}"), |link| link.name(new_name))
    }

    /// Sets an interface's Ethernet address.
    ///
    /// # Errors
    /// ENODEV when it does not exist, EADDRNOTAVAIL when the address is a multicast one.
    pub fn set_mac(&self, name: &str, mac: Mac) -> Done {
        self.change(name, "to another Ethernet address", |link| link.address(mac.to_vec()))
    }

    /// Brings an interface up.
    ///
    /// # Errors
    /// ENODEV when it does not exist.
    pub fn set_up(&self, name: &str) -> Done {
        self.change(name, "to up", LinkMessageBuilder::up)
    }

    /// Takes an interface down; a veth's peer loses its carrier.
    ///
    /// # Errors
    /// ENODEV when it does not exist.
    pub fn set_down(&self, name: &str) -> Done {
        self.change(name, "to down", LinkMessageBuilder::down)
    }

    /// Makes an interface a port of a bridge, or (`None`) a port no more.
    ///
    /// # Errors
    /// ENODEV when one of the two does not exist.
    pub fn set_bridge(&self, name: &str, bridge: Option<&str>) -> Done {
        let index = bridge.map_or(Ok(0), |bridge| self.link(bridge).map(|(index, _)| index))?;
        self.change(name, &format!("to bridge {}", bridge.unwrap_or("none")), |link| link.controller(index))
    }

    /// Deletes an interface, and a veth's peer with it.
    ///
    /// # Errors
    /// ENODEV when it does not exist.
    pub fn delete(&self, name: &str) -> Done {
        let (index, _) = self.link(name)?;
        self.perform(RouteNetlinkMessage::DelLink(LinkUnspec::new_with_index(index).build()), 0)
            .map_err(refused(|| format!("delete interface {name}")))
    }

    /// Adds an address with its prefix length. An IPv6 one is usable at once: nobody is asked whether he has it.
    ///
    /// # Errors
    /// ENODEV when the interface does not exist, EEXIST when it has the address.
    pub fn add_address(&self, name: &str, address: IpNet) -> Done {
        let message = address_message(self.link(name)?.0, address);
        self.perform(RouteNetlinkMessage::NewAddress(message), CREATE)
            .map_err(refused(|| format!("add address {address} to interface {name}")))
    }

    /// Deletes an address.
    ///
    /// # Errors
    /// ENODEV when the interface does not exist, EADDRNOTAVAIL when it does not have the address.
    pub fn delete_address(&self, name: &str, address: IpNet) -> Done {
        let message = address_message(self.link(name)?.0, address);
        self.perform(RouteNetlinkMessage::DelAddress(message), 0)
            .map_err(refused(|| format!("delete address {address} of interface {name}")))
    }

    /// Adds a route to a destination through a gateway; 0.0.0.0/0 is the default route.
    ///
    /// # Errors
    /// ENETUNREACH when the gateway is on no link, EEXIST when there is such a route, EINVAL when the families differ.
    pub fn add_route(&self, destination: IpNet, gateway: IpAddr) -> Done {
        let add = || {
            RouteMessageBuilder::<IpAddr>::new()
                .destination_prefix(destination.network(), destination.prefix_len())
                .and_then(|route| route.gateway(gateway))
                .map_err(|_| errno(libc::EINVAL))
                .and_then(|route| self.perform(RouteNetlinkMessage::NewRoute(route.build()), CREATE))
        };
        add().map_err(refused(|| format!("add a route to {destination} through {gateway}")))
    }

    /// Makes the route to a destination one through exactly these gateways, all alike; without any there is none.
    /// Whoever forwards by it misses no packet meanwhile.
    ///
    /// # Errors
    /// ENETUNREACH when a gateway is on no link, ESRCH when there is no route to be deleted.
    pub fn set_route(&self, destination: IpNet, gateways: &BTreeSet<IpAddr>) -> Done {
        let set = || {
            let invalid = |_| errno(libc::EINVAL);
            let next_hop = |gateway: &IpAddr| {
                let hop = if gateway.is_ipv4() {
                    RouteNextHopBuilder::new_ipv4()
                } else {
                    RouteNextHopBuilder::new_ipv6()
                };
                hop.via(*gateway).map(RouteNextHopBuilder::build).map_err(invalid)
            };
            let hops = gateways.iter().map(next_hop).collect::<io::Result<Vec<_>>>()?;
            let route = RouteMessageBuilder::<IpAddr>::new()
                .destination_prefix(destination.network(), destination.prefix_len())
                .map_err(invalid)?;
            if hops.is_empty() {
                return self.perform(RouteNetlinkMessage::DelRoute(route.build()), 0);
            }
            let route = RouteNetlinkMessage::NewRoute(route.multipath(hops).build());
            self.perform(route, NLM_F_CREATE | NLM_F_REPLACE)
        };
        set().map_err(refused(|| format!("set the route to {destination}")))
    }

    /// The gateways of the route to exactly this destination in the main table; none without such a route.
    ///
    /// # Errors
    /// When the kernel refuses to list.
    pub fn gateways(&self, destination: IpNet) -> Result<BTreeSet<IpAddr>, NetworkError> {
        let list = || {
            let mut latest = self.sequence.lock().unwrap_or_else(PoisonError::into_inner);
            let mut buf = vec![0; 32 << 10];
            'dump: loop {
                *latest = latest.wrapping_add(1);
                self.socket.send(&message::request(Dump::Routes, *latest))?;
                let (mut found, mut interrupted) = (BTreeSet::new(), false);
                loop {
                    let length = socket::recv(&self.socket, &mut buf)?;
                    for (header, message) in message::messages(&buf[..length]) {
                        interrupted |= header.interrupted;
                        match message {
                            _ if header.sequence != *latest => {}
                            Message::Done if interrupted => continue 'dump,
                            Message::Done => return Ok(found),
                            Message::Error(code) => return Err(errno(code)),
                            Message::Route(to, gateways) if to == destination => {
                                found.extend(gateways.into_iter().map(|(_, gateway)| gateway));
                            }
                            Message::DefaultRoute(gateways) if destination.prefix_len() == 0 => {
                                let family =
                                    |gateway: &IpAddr| gateway.is_ipv4() == destination.addr().is_ipv4();
                                found.extend(gateways.into_iter().map(|(_, gateway)| gateway).filter(family));
                            }
                            _ => {}
                        }
                    }
                }
            }
        };
        list().map_err(refused(|| format!("list the routes to {destination}")))
    }

    fn change(
        &self,
        name: &str,
        what: &str,
        change: impl FnOnce(LinkMessageBuilder<LinkUnspec>) -> LinkMessageBuilder<LinkUnspec>,
    ) -> Done {
        let (index, _) = self.link(name)?;
        self.perform(RouteNetlinkMessage::SetLink(change(LinkUnspec::new_with_index(index)).build()), 0)
            .map_err(refused(|| format!("set interface {name} {what}")))
    }

    /// A request whose answer is an acknowledgement.
    fn perform(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.request(message, flags).map(drop)
    }

    /// Sends a request and reads until its acknowledgement; returns the link that came before, if one did.
    fn request(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Option<(LinkIndex, Link)>> {
        let mut latest = self.sequence.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = latest.wrapping_add(1);
        let sequence = *latest;
        let mut message = NetlinkMessage::from(message);
        message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        message.header.sequence_number = sequence;
        message.finalize();
        let mut request = vec![0; message.buffer_len()];
        message.serialize(&mut request);
        self.socket.send(&request)?;

        let mut buf = vec![0; 32 << 10];
        let mut found = None;
        loop {
            let length = socket::recv(&self.socket, &mut buf)?;
            for (header, message) in message::messages(&buf[..length]) {
                match message {
                    _ if header.sequence != sequence => {}
                    Message::Acknowledged => return Ok(found),
                    Message::Error(code) => return Err(errno(code)),
                    Message::Link(index, link) => found = Some((index, link)),
                    _ => {}
                }
            }
        }
    }
}

/// For requests that make something new.
const CREATE: u16 = NLM_F_CREATE | NLM_F_EXCL;

fn namespace_fd(namespace: &Namespace) -> i32 {
    namespace.as_fd().as_raw_fd()
}

fn address_message(index: LinkIndex, address: IpNet) -> AddressMessage {
    let length = address.prefix_len();
    match address.addr() {
        IpAddr::V4(address) => {
            AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(address, length).build()
        }
        IpAddr::V6(address) => {
            let builder = AddressMessageBuilder::<Ipv6Addr>::new();
            let mut message = builder.index(index).address(address, length).build();
            message.header.flags = AddressHeaderFlags::Nodad;
            // Without the local address, which the kernel takes for a point-to-point link's.
            message.attributes.retain(|attribute| matches!(attribute, AddressAttribute::Address(_)));
            message
        }
    }
}

fn refused(action: impl FnOnce() -> String) -> impl FnOnce(io::Error) -> NetworkError {
    |source| NetworkError { action: action(), source }
}

fn errno(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}
