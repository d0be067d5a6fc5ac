//! Passwords of TCP connections: the MD5 signature option (RFC 2385).

use std::{fmt, io, net::IpAddr};

use socket2::Socket;
use zeroize::{Zeroize, Zeroizing};

use super::options::Family;
use crate::socket::{self, OptionValue};

/// A password with which each TCP segment is signed. It is overwritten when it is dropped, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Md5Key(Zeroizing<Box<[u8]>>);

/// Why a password cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Md5KeyError {
    /// It is empty.
    #[error("the password is empty: give it 1 to {max} bytes, or leave it out", max = Md5Key::MAX_LEN)]
    Empty,
    /// It is longer than the kernel takes.
    #[error("the password has {0} bytes, and TCP takes at most {max}: choose a shorter one", max = Md5Key::MAX_LEN)]
    TooLong(usize),
}

impl Md5Key {
    /// The longest one in bytes.
    pub const MAX_LEN: usize = libc::TCP_MD5SIG_MAXKEYLEN;

    /// A copy of `password`.
    ///
    /// # Errors
    /// When it has no byte or too many.
    pub fn new(password: &[u8]) -> Result<Self, Md5KeyError> {
        match password.len() {
            0 => Err(Md5KeyError::Empty),
            1..=Self::MAX_LEN => Ok(Self(Zeroizing::new(password.into()))),
            length => Err(Md5KeyError::TooLong(length)),
        }
    }
}

impl fmt::Debug for Md5Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Md5Key(..)")
    }
}

/// Signs what a socket exchanges with a peer, and drops what the peer has not signed alike; `None` ends that. On a
/// listener it counts for connections that begin from then on.
pub(super) fn sign(socket: &Socket, family: Family, peer: IpAddr, key: Option<&Md5Key>) -> io::Result<()> {
    let peer = match (family, peer) {
        (Family::V4, peer) => peer,
        (_, IpAddr::V4(peer)) => peer.to_ipv6_mapped().into(),
        (_, peer) => peer,
    };
    socket::set_option_from(socket, libc::IPPROTO_TCP, libc::TCP_MD5SIG, &Signature::new(peer, key))
}

/// `struct tcp_md5sig`.
///
/// There is no interface in it. The kernel takes none but a VRF, and only for sockets that serve several; ours are bound
/// to one. It does not look at the scope of a link-local address at all.
#[repr(C, align(8))]
struct Signature {
    /// `struct sockaddr_storage`.
    address: [u8; 128],
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    interface: libc::c_int,
    key: [u8; Md5Key::MAX_LEN],
}

impl OptionValue for Signature {}

// Which leaves no room for padding.
const _: () = assert!(size_of::<Signature>() == 128 + 1 + 1 + 2 + 4 + Md5Key::MAX_LEN);

impl Signature {
    fn new(peer: IpAddr, key: Option<&Md5Key>) -> Self {
        let mut signature = Self {
            address: [0; 128],
            flags: 0,
            prefix_length: 0,
            key_length: 0,
            interface: 0,
            key: [0; Md5Key::MAX_LEN],
        };
        // The port, and the flow label of IPv6, stay zero.
        let family = match peer {
            IpAddr::V4(peer) => {
                signature.address[4..8].copy_from_slice(&peer.octets());
                libc::AF_INET
            }
            IpAddr::V6(peer) => {
                signature.address[8..24].copy_from_slice(&peer.octets());
                libc::AF_INET6
            }
        };
        signature.address[..2].copy_from_slice(&socket::family(family).to_ne_bytes());
        if let Some(Md5Key(bytes)) = key {
            signature.key[..bytes.len()].copy_from_slice(bytes);
            signature.key_length = u16::try_from(bytes.len()).unwrap_or_default();
        }
        signature
    }
}

impl Drop for Signature {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_1_to_80_bytes() {
        assert_eq!(Md5Key::new(b""), Err(Md5KeyError::Empty));
        assert!(Md5Key::new(&[b'x'; 80]).is_ok());
        let error = Md5Key::new(&[b'x'; 81]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the password has 81 bytes, and TCP takes at most 80: choose a shorter one"
        );
    }

    #[test]
    fn a_password_is_not_printed() {
        assert_eq!(format!("{:?}", Md5Key::new(b"secret").unwrap()), "Md5Key(..)");
    }

    #[test]
    fn the_kernel_reads_address_and_key() {
        let key = Md5Key::new(b"secret").unwrap();
        let v4 = Signature::new([192, 0, 2, 1].into(), Some(&key));
        let family = |bytes: [u8; 2]| u16::from_ne_bytes(bytes);
        assert_eq!(family([v4.address[0], v4.address[1]]), 2);
        assert_eq!(v4.address[2..9], [0, 0, 192, 0, 2, 1, 0]);
        assert_eq!((v4.key_length, &v4.key[..7]), (6, b"secret\0".as_slice()));
        let address = std::net::Ipv6Addr::LOCALHOST;
        let v6 = Signature::new(address.into(), None);
        assert_eq!(family([v6.address[0], v6.address[1]]), 10);
        assert_eq!(v6.address[8..24], address.octets());
        assert_eq!(v6.key_length, 0);
    }
}
