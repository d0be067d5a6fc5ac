//! Who listens on a port.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Somebody who listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Where.
    pub address: SocketAddr,
    /// Its user's number.
    pub user: u32,
    /// Its process id and name, if it can be seen: that of another user takes root, that of another container the
    /// host's process namespace.
    pub process: Option<(u32, String)>,
}

impl Holder {
    /// The process, else the user.
    pub(super) fn name(&self) -> String {
        match &self.process {
            Some((id, name)) => format!("{name} (process {id})"),
            None => format!("a process of user {} that cannot be seen from here", self.user),
        }
    }
}

/// Who listens on a TCP port in the network namespace of the calling thread. Nobody, when /proc does not tell. It reads
/// much of /proc: this is for when something has failed.
#[must_use]
pub fn holders(port: u16) -> Vec<Holder> {
    let tables = ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/thread-self/net/{table}")));
    let lines = tables.iter().flatten().flat_map(|table| table.lines());
    let sockets = lines.filter_map(parse).filter(|socket| socket.address.port() == port);
    let holder = |Socket { address, user, inode }| Holder { address, user, process: process(inode) };
    sockets.map(holder).collect()
}

/// A socket that listens.
#[derive(Debug, PartialEq)]
struct Socket {
    address: SocketAddr,
    user: u32,
    inode: u64,
}

/// Reads a line of /proc/net/tcp or tcp6; `None` if it is about something else.
fn parse(line: &str) -> Option<Socket> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let &[_, local, _, state, _, _, _, user, _, inode, ..] = words.as_slice() else { return None };
    if state != LISTEN {
        return None;
    }
    let (ip, port) = local.split_once(':')?;
    // Words of 32 bits as this machine reads the address in memory.
    let word = |at: usize| u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let octets: Vec<u8> = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).into()
        }
        _ => return None,
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(Socket { address: (ip, port).into(), user: user.parse().ok()?, inode: inode.parse().ok()? })
}

/// The state of a listener, as the kernel numbers it.
const LISTEN: &str = "0A";

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

    #[cfg(target_endian = "little")]
    #[test]
    fn lines_of_the_kernel_are_read() {
        let line = "   0: 00000000:00B3 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 4711 1 0";
        let socket = Socket { address: "0.0.0.0:179".parse().unwrap(), user: 101, inode: 4711 };
        assert_eq!(parse(line), Some(socket));
        assert_eq!(parse(&line.replace(" 0A ", " 01 ")), None, "an open connection");
        let line = "1: 000080FE00000000FF005450010000FE:00B3 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 1 1";
        assert_eq!(parse(line).unwrap().address, "[fe80::5054:ff:fe00:1]:179".parse().unwrap());
        assert_eq!(
            parse("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid"),
            None
        );
    }
}
