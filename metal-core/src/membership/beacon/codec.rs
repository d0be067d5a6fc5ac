//! Reading and writing the sealed part byte by byte. Everything is big-endian.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::Refused;

/// Reads from the front of a slice; every step says whether there was enough.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Refused> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(Refused::Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Refused> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Refused::Malformed)?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Refused> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, Refused> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Refused> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Refused> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Refused> {
        let length = usize::from(self.u8()?);
        core::str::from_utf8(self.bytes(length)?).map_err(|_| Refused::Malformed)
    }

    /// A count that may not exceed `limit`.
    pub(super) fn count(&mut self, limit: usize) -> Result<usize, Refused> {
        let count = usize::from(self.u8()?);
        if count > limit { Err(Refused::Malformed) } else { Ok(count) }
    }

    pub(super) fn address(&mut self) -> Result<IpAddr, Refused> {
        match self.u8()? {
            4 => Ok(Ipv4Addr::from(self.array::<4>()?).into()),
            6 => Ok(Ipv6Addr::from(self.array::<16>()?).into()),
            _ => Err(Refused::Malformed),
        }
    }

    pub(super) fn prefix(&mut self) -> Result<IpNet, Refused> {
        let length = self.u8()?;
        let prefix = IpNet::new(self.address()?, length).map_err(|_| Refused::Malformed)?;
        Ok(prefix.trunc())
    }

    /// Skips the extensions at the end: type, length, value. No type is known yet.
    pub(super) fn extensions(&mut self) -> Result<(), Refused> {
        while !self.is_empty() {
            let _kind = self.u16()?;
            let length = usize::from(self.u16()?);
            self.bytes(length)?;
        }
        Ok(())
    }
}

/// Appends to a frame.
pub(super) trait Write {
    fn text(&mut self, text: &str);
    fn address(&mut self, address: IpAddr);
    fn prefix(&mut self, prefix: IpNet);
}

impl Write for Vec<u8> {
    fn text(&mut self, text: &str) {
        let bytes = text.as_bytes();
        // Names are cut to what a header takes before they come here.
        self.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
        self.extend_from_slice(&bytes[..bytes.len().min(usize::from(u8::MAX))]);
    }

    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => {
                self.push(4);
                self.extend_from_slice(&address.octets());
            }
            IpAddr::V6(address) => {
                self.push(6);
                self.extend_from_slice(&address.octets());
            }
        }
    }

    fn prefix(&mut self, prefix: IpNet) {
        self.push(prefix.prefix_len());
        self.address(prefix.network());
    }
}

/// The bytes of an address with its family.
pub(super) const fn address_len(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(_) => 5,
        IpAddr::V6(_) => 17,
    }
}
