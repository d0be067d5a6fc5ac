//! Kubernetes for the load balancer: resources in, statuses out. The only crate that knows Kubernetes.
//!
//! There are two [`Backend`]s that the rest cannot tell apart: an API server, and a directory of manifests
//! with a state directory beside it. Both give one stream of [`Change`]s, made of the plain values of
//! `metal-core`, and take what the machines decide through one [`Sink`], which never blocks.
//!
//! ```no_run
//! use metal_core::controller::Assignment;
//! use metal_k8s::{Backend, Change, Options, Role};
//!
//! # async fn run() -> Result<(), metal_k8s::OpenError> {
//! let options = Options::new(Role::Controller);
//! let backend = Backend::directory(options, "manifests".as_ref(), "state".as_ref(), None)?;
//! let (mut changes, sink) = backend.start(None)?;
//! while let Some(change) = changes.recv().await {
//!     match change {
//!         Change::Service(key, Some(service)) => {
//!             let addresses = vec!["192.0.2.1".parse().unwrap()];
//!             sink.assign(key, 1, service.version, Assignment { addresses, ..Assignment::default() });
//!         }
//!         Change::Problem(problem) => eprintln!("{problem}"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Not in here: any decision about addresses, announcements or the validity of a pool. Objects shrink at this
//! border to what a decision can depend on; the rest is never kept.

mod annotation;
mod apply;
mod backend;
mod change;
mod claims;
pub mod crd;
#[cfg(test)]
mod fake;
mod fence;
mod files;
mod lease;
mod legacy;
mod parse;
mod raw;
mod secret;
mod seen;
mod sink;
mod state;
mod status;
mod view;
mod watch;

pub use backend::{Backend, OpenError, Options, Pod, Role};
pub use change::{Change, Changes, Problem};
pub use fence::Fence;
pub use files::offline::{Fault, Manifests, Place, Unusable};
pub use lease::{LeaseClient, LeaseError};
pub use sink::Sink;
pub use status::SessionState;
