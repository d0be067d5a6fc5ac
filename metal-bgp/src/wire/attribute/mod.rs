//! Path attributes (RFC 4271 4.3, 5).

mod aigp;
mod as_path;
mod community;
mod fault;
mod header;
mod reach;
mod value;

pub use aigp::Aigp;
pub(crate) use as_path::width;
pub use as_path::{AS_TRANS, AsPath, Asns, PathSegment, Segment, SegmentKind, merge_as4_path};
pub use community::{
    Community, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity, LinkBandwidth, ParseCommunityError,
};
pub use fault::Fault;
pub use header::{Attribute, AttributeCode, AttributeIter, Flags};
pub(crate) use header::{Split, split};
pub use reach::{MpNlri, MpReach, MpUnreach, NextHop};
pub use value::{Aggregator, Origin, Value};
pub(crate) use value::{Context, check, is_host, is_plainly_good};
