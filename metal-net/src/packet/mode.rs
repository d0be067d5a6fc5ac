//! What a card lets in beside frames to its own address and broadcasts.

use std::{ffi::CStr, io, path::Path};

use metal_core::{config::ReceiveMode, view::LinkIndex};
use socket2::{Domain, Socket, Type};

use crate::socket::{self, Membership};

/// The mode that is asked for on one interface. The [`Filter`](super::Filter) of a socket is the same in any mode: frames
/// for other hosts never reach it. Dropping it takes the wish back; the kernel counts the wishes of all
/// programs.
#[derive(Debug)]
pub struct Reception {
    link: LinkIndex,
    wish: Option<(Wish, Socket)>,
}

/// What the card is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    EveryMulticast,
    Everything,
}

impl Reception {
    /// Without a wish, on an interface of the calling thread's network namespace. All calls belong on a thread of that
    /// namespace.
    #[must_use]
    pub const fn new(link: LinkIndex) -> Self {
        Self { link, wish: None }
    }

    /// Changes the mode; being in it already changes nothing.
    ///
    /// # Errors
    /// [`is_gone`](super::is_gone) ones, and those of `setsockopt(2)`: the wish is then as it was.
    pub fn set(&mut self, mode: ReceiveMode) -> io::Result<()> {
        let wish = match mode {
            ReceiveMode::Auto if is_wireless(self.link) => Some(Wish::EveryMulticast),
            ReceiveMode::Auto => None,
            ReceiveMode::AllMulti => Some(Wish::EveryMulticast),
            ReceiveMode::Promisc => Some(Wish::Everything),
        };
        if wish != self.wish.as_ref().map(|(wish, _)| *wish) {
            // The new wish stands before the old one goes, so that no frame is missed in between.
            self.wish = wish.map(|wish| Ok::<_, io::Error>((wish, ask(self.link, wish)?))).transpose()?;
        }
        Ok(())
    }
}

/// The wish holds as long as the socket. It receives nothing itself.
fn ask(link: LinkIndex, wish: Wish) -> io::Result<Socket> {
    let index = link.try_into().map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    let kind = match wish {
        Wish::EveryMulticast => libc::PACKET_MR_ALLMULTI,
        Wish::Everything => libc::PACKET_MR_PROMISC,
    };
    let kind = libc::c_ushort::try_from(kind).unwrap_or_default();
    let socket = Socket::new(Domain::PACKET, Type::RAW.cloexec(), None)?;
    let request = Membership { mr_ifindex: index, mr_type: kind, mr_alen: 0, mr_address: [0; 8] };
    socket::set_option(&socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, request)?;
    Ok(socket)
}

/// Whether an interface is a Wi-Fi one, as far as /sys tells.
fn is_wireless(link: LinkIndex) -> bool {
    name(link).is_some_and(|name| is_wireless_below(Path::new("/sys/class/net"), &name))
}

fn is_wireless_below(interfaces: &Path, name: &str) -> bool {
    ["wireless", "phy80211"].iter().any(|mark| interfaces.join(name).join(mark).exists())
}

/// The name of an interface, if there is one.
fn name(link: LinkIndex) -> Option<String> {
    let mut buf = [0; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the IF_NAMESIZE bytes that the call may fill.
    let found = unsafe { libc::if_indextoname(link, buf.as_mut_ptr()) };
    if found.is_null() {
        return None;
    }
    // SAFETY: the call has filled the buffer with a string and its end.
    let name = unsafe { CStr::from_ptr(buf.as_ptr()) };
    name.to_str().ok().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn wireless_by_either_mark() {
        let root = std::env::temp_dir().join(format!("metal-net-wireless-{}", std::process::id()));
        for directory in ["eth0/queues", "wlan0/wireless", "wlp2s0/phy80211"] {
            fs::create_dir_all(root.join(directory)).expect("a directory");
        }
        let is_wireless = ["eth0", "wlan0", "wlp2s0", "none"].map(|name| is_wireless_below(&root, name));
        fs::remove_dir_all(&root).expect("removed");
        assert_eq!(is_wireless, [false, true, true, false]);
    }

    #[test]
    fn interfaces_by_number() {
        assert_eq!(name(1).as_deref(), Some("lo"));
        assert_eq!(name(u32::MAX), None);
    }
}
