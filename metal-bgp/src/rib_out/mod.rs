//! What is announced to whom.
pub mod aggregate;
mod export;
mod group;
mod log;
mod member;
mod pages;
mod queue;
mod rib;
mod route;
mod table;
mod wanted;

pub use export::{Export, InvalidExport};
pub use log::COALESCE;
pub use rib::{Input, RibOut};
pub use route::{DEFAULT_LOCAL_PREF, InvalidRoute, MAX_COMMUNITIES, MAX_PREPEND, Route, RouteSettings};
pub use table::Audience;
