//! What goes over the TCP connection: messages to values and back.
//!
//! | to read | to write |
//! | --- | --- |
//! | [`frame`]: a stream to messages | [`build::Packer`]: many prefixes to UPDATEs |
//! | [`Message::parse`], or the `parse` of one kind | [`build::Contents`]: one UPDATE, as told |
//! | [`update::Update`] and [`update::OwnedUpdate`] | the `encode` of every other message |
//!
//! Every `encode` writes a whole message into a buffer of the caller's and returns its length.

pub mod attribute;
pub mod build;
pub mod capability;
pub mod error;
pub mod family;
pub mod frame;
pub mod list;
pub mod message;
pub mod nlri;
pub mod notification;
pub mod open;
pub mod refresh;
pub mod session;
pub mod update;
mod writer;

pub use attribute::{Attribute, AttributeCode, Flags, Value};
pub use build::{Attributes, Contents, Packer};
pub use capability::Capability;
pub use error::{EncodeError, Error, ErrorKind};
pub use family::{Afi, Families, Family, Safi};
pub use list::List;
pub use message::{Message, encode_keepalive};
pub use nlri::{Nlri, Prefixes};
pub use notification::Notification;
pub use open::Open;
pub use refresh::RouteRefresh;
pub use session::{Peer, Session};
pub use update::{OwnedUpdate, Update};
