//! What speakers find out about addresses of Services, for the controller to tell and to act on.

use alloc::string::String;
use core::net::IpAddr;

use crate::{name::ObjectKey, speaker::Reason};

/// Something that is odd about an address of a Service on a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The Service.
    pub service: ObjectKey,
    /// Its address.
    pub address: IpAddr,
    /// The interface on which it was found; empty when it is about all.
    pub interface: String,
    /// What it is.
    pub reason: Reason,
    /// The address is announced all the same.
    pub announced: bool,
    /// The address has never been announced: the Service may get another one instead.
    pub replaceable: bool,
    /// The sentence that users read.
    pub message: String,
}
