//! ARP requests answered by the kernel itself, without waking anybody.
//!
//! A BPF program sits at the entrance of an interface (tcx). It answers what is as it should be in every respect, in
//! place, and passes on everything else, so that the packet sockets behind it see all that is odd: probes, conflicts,
//! frames of VLANs, frames for other hosts, padding beyond the usual. What it has answered no socket sees.
//!
//! It takes CAP_BPF and CAP_NET_ADMIN, and Linux 6.6. The program is assembled here: no compiler is involved.

mod map;
mod program;
mod syscall;

use std::{io, net::Ipv4Addr, os::fd::OwnedFd};

use metal_core::view::{LinkIndex, Mac};

pub(crate) use self::map::SharedCell;
use self::map::{Answer, Answers};
use crate::{Expiry, packet::names_no_link};

/// The program on one interface. It goes with this value, or with the process, however that ends.
#[derive(Debug)]
pub struct FastPath {
    answers: Answers,
    /// The program is attached as long as this is open.
    _attachment: OwnedFd,
}

impl FastPath {
    /// Attaches it to an interface of the calling thread's network namespace, in front of all other programs there. It
    /// answers nothing yet, and never past `expiry`.
    ///
    /// # Errors
    /// When `expiry` is not shared with the kernel, without the capabilities, and on kernels that lack what it takes.
    pub fn attach(link: LinkIndex, expiry: &Expiry) -> Result<Self, FastPathError> {
        let not_shared = || FastPathError::new("share the expiry of", io::ErrorKind::Unsupported.into());
        let cell = expiry.cell().ok_or_else(not_shared)?;
        let answers = Answers::new().map_err(|source| FastPathError::new("make the table of", source))?;
        let program = program::assemble(answers.fd(), cell.fd());
        let program = syscall::load(&program).map_err(|source| FastPathError::new("load", source))?;
        let attachment =
            syscall::attach(&program, link).map_err(|source| FastPathError::new("attach", source))?;
        Ok(Self { answers, _attachment: attachment })
    }

    /// Answers for an address with `mac` from now on, or (`None`) no longer.
    ///
    /// # Errors
    /// When the kernel has no memory left.
    pub fn answer(&self, address: Ipv4Addr, mac: Option<Mac>) -> io::Result<()> {
        let Some(mac) = mac else { return self.answers.remove(address) };
        // What has been counted goes on with another MAC.
        let count = self.answers.get(address)?.map_or(0, |answer| answer.count);
        self.answers.set(address, Answer { mac, padding: [0; 2], count })
    }

    /// How often it has answered for each address.
    ///
    /// # Errors
    /// When the kernel has no memory left.
    pub fn counts(&self) -> io::Result<Vec<(Ipv4Addr, u64)>> {
        self.answers
            .all()
            .map(|all| all.into_iter().map(|(address, answer)| (address, answer.count)).collect())
    }

    /// Whether this process could have one: tries it on the loopback interface, where nobody asks.
    ///
    /// # Errors
    /// What keeps it from having one.
    pub fn probe() -> Result<(), FastPathError> {
        Self::attach(LOOPBACK, &Expiry::shared_with_kernel()?).map(drop)
    }
}

/// The number of the loopback interface of each network namespace.
const LOOPBACK: LinkIndex = 1;

/// Why the kernel does not answer by itself.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} the BPF program that answers ARP requests: {source}{}", hint(step, source))]
pub struct FastPathError {
    /// What failed, as a verb.
    step: &'static str,
    source: io::Error,
}

impl FastPathError {
    const fn new(step: &'static str, source: io::Error) -> Self {
        Self { step, source }
    }

    /// Whether the interface does not exist (any more).
    #[must_use]
    pub fn is_gone(&self) -> bool {
        names_no_link(&self.source)
    }
}

fn hint(step: &str, source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            " (it takes the capabilities CAP_BPF and CAP_NET_ADMIN in the first user namespace, or root)"
        }
        Some(libc::EINVAL) if step == "attach" => " (it takes Linux 6.6 or newer with CONFIG_NET_XGRESS)",
        Some(libc::ENOSYS) => " (the kernel lacks CONFIG_BPF_SYSCALL)",
        _ => "",
    }
}
