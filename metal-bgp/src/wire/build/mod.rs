//! UPDATEs to send.

mod attributes;
mod contents;
mod emit;
mod packer;
mod prefix;

pub use attributes::{Attributes, Originate, Partial, RawAttribute};
pub use contents::{Contents, Reach, Routes};
pub(crate) use packer::usable;
pub use packer::{Packer, encode_end_of_rib};
pub use prefix::Encode;
