//! Who listens on a port, and who has connections with a peer.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// Somebody who listens on a port, or has a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Where: this host's end.
    pub address: SocketAddr,
    /// Its user's number.
    pub user: u32,
    /// Its process id and name, if it can be seen: that of another user takes root, that of another container the
    /// host's process namespace.
    pub process: Option<(u32, String)>,
}

impl fmt::Display for Holder {
    /// The process, else the user.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.process {
            Some((id, name)) => write!(f, "{name} (process {id})"),
            None => write!(f, "a process of user {} that cannot be seen from here", self.user),
        }
    }
}

/// Who listens on a TCP port in the network namespace of the calling thread. Nobody, when /proc does not tell. It reads
/// much of /proc: this is for when something has failed.
#[must_use]
pub fn holders(port: u16) -> Vec<Holder> {
    let sockets = sockets().filter(|socket| socket.state == LISTEN && socket.local.port() == port);
    sockets.map(|socket| socket.holder()).collect()
}

/// Which other processes have connections with these peers in the network namespace of the calling thread: to the port
/// of the peer, or from the peer to the same port here. Peers with whom nobody has any are left out. It reads much of
/// /proc: not for a thread that is in a hurry.
#[must_use]
pub fn connections_of_others(peers: BTreeSet<(IpAddr, u16)>) -> BTreeMap<(IpAddr, u16), Vec<Holder>> {
    let with = |socket: &Socket| {
        let remote = (socket.remote.ip(), socket.remote.port());
        let inverse = (socket.remote.ip(), socket.local.port());
        let is_open = socket.state == ESTABLISHED && socket.inode != 0;
        [remote, inverse].into_iter().find(|peer| is_open && peers.contains(peer))
    };
    let mut found: Vec<(_, Socket)> =
        sockets().filter_map(|socket| with(&socket).map(|peer| (peer, socket))).collect();
    if found.is_empty() {
        return BTreeMap::new();
    }
    // Threads of this process may open and close connections meanwhile: one of its own that was there before and is there
    // afterwards is among its files between.
    let own = own_sockets();
    let after: BTreeSet<u64> =
        sockets().filter(|socket| with(socket).is_some()).map(|socket| socket.inode).collect();
    found.retain(|(_, socket)| !own.contains(&socket.inode) && after.contains(&socket.inode));
    let mut others = BTreeMap::<_, Vec<Holder>>::new();
    for (peer, socket) in found {
        others.entry(peer).or_default().push(socket.holder());
    }
    others
}

fn sockets() -> impl Iterator<Item = Socket> {
    let tables = ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/thread-self/net/{table}")));
    let lines = |table: String| table.lines().filter_map(parse).collect::<Vec<_>>();
    tables.into_iter().flatten().flat_map(lines)
}

fn own_sockets() -> BTreeSet<u64> {
    let files = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    targets
        .filter_map(|target| target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
        .collect()
}

/// A socket as the kernel lists it.
#[derive(Debug, PartialEq)]
struct Socket {
    local: SocketAddr,
    remote: SocketAddr,
    state: u8,
    user: u32,
    inode: u64,
}

impl Socket {
    fn holder(&self) -> Holder {
        Holder { address: self.local, user: self.user, process: process(self.inode) }
    }
}

/// Reads a line of /proc/net/tcp or tcp6; `None` if it is about something else.
fn parse(line: &str) -> Option<Socket> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let &[_, local, remote, state, _, _, _, user, _, inode, ..] = words.as_slice() else { return None };
    Some(Socket {
        local: end(local)?,
        remote: end(remote)?,
        state: u8::from_str_radix(state, 16).ok()?,
        user: user.parse().ok()?,
        inode: inode.parse().ok()?,
    })
}

/// One end of a connection. IPv4 that goes through a socket of IPv6 is IPv4.
fn end(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    // Words of 32 bits as this machine reads the address in memory.
    let word = |at: usize| u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let octets: Vec<u8> = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            IpAddr::from(<[u8; 16]>::try_from(octets).ok()?).to_canonical()
        }
        _ => return None,
    };
    Some((ip, u16::from_str_radix(port, 16).ok()?).into())
}

/// States as the kernel numbers them.
const ESTABLISHED: u8 = 0x01;
const LISTEN: u8 = 0x0A;

/// The first process that has a socket open.
fn process(inode: u64) -> Option<(u32, String)> {
    let link = format!("socket:[{inode}]");
    let is_it = |file: fs::DirEntry| {
        fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == link.as_str())
    };
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let id: u32 = entry.file_name().to_str()?.parse().ok()?;
        let mut files = fs::read_dir(entry.path().join("fd")).ok()?.flatten();
        files.any(is_it).then(|| {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            (id, name.trim_end().to_owned())
        })
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn this_process_is_found() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let address = listener.local_addr().unwrap();
            let found = holders(address.port());
            let [holder] = found.as_slice() else { panic!("{found:?}") };
            assert_eq!(holder.address, address);
            assert_eq!(holder.process.as_ref().unwrap().0, std::process::id());
        }
        assert_eq!(holders(0), []);
    }

    #[test]
    fn own_connections_are_not_those_of_others() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap();
        let _connection = std::net::TcpStream::connect(peer).unwrap();
        let peers = BTreeSet::from([(peer.ip(), peer.port())]);
        assert_eq!(connections_of_others(peers), BTreeMap::new());
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn lines_of_the_kernel_are_read() {
        let line = "   0: 00000000:00B3 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 4711 1 0";
        let (local, remote) = ("0.0.0.0:179".parse().unwrap(), "0.0.0.0:0".parse().unwrap());
        let socket = Socket { local, remote, state: LISTEN, user: 101, inode: 4711 };
        assert_eq!(parse(line), Some(socket));
        assert_eq!(parse(&line.replace(" 0A ", " 01 ")).unwrap().state, ESTABLISHED);
        let line = "1: 000080FE00000000FF005450010000FE:00B3 0000000000000000FFFF00000100007F:0001 01 0:0 0:0 0 0 0 1 1";
        assert_eq!(parse(line).unwrap().remote, "127.0.0.1:1".parse().unwrap(), "IPv4 by a socket of IPv6");
        assert_eq!(parse(line).unwrap().local, "[fe80::5054:ff:fe00:1]:179".parse().unwrap());
        assert_eq!(
            parse("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid"),
            None
        );
    }
}
