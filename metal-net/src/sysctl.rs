//! Settings of the kernel that netlink does not tell.

use std::{fs, io, path::Path};

/// Whether the kernel keeps quiet about its own addresses when it is asked on an interface: the larger one of the
/// interface's `arp_ignore` and that of `all`, as the kernel itself reads it.
///
/// # Errors
/// When there is no such interface in the network namespace of this thread, or no IPv4.
pub fn arp_ignore(interface: &str) -> io::Result<u8> {
    let read = |name: &str| {
        let path = Path::new("/proc/sys/net/ipv4/conf").join(name).join("arp_ignore");
        let text = fs::read_to_string(path)?;
        text.trim().parse::<u8>().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
    };
    Ok(read("all")?.max(read(interface)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lo_has_it_and_an_interface_that_is_not_there_has_not() {
        assert!(arp_ignore("lo").unwrap() <= 8);
        assert_eq!(arp_ignore("nonsense0").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
