//! Kubernetes events, as the machines emit them.

use alloc::string::String;

/// How serious an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// All is well.
    Normal,
    /// Somebody should look.
    Warning,
}

/// An event about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// How serious it is.
    pub severity: Severity,
    /// The machine-readable reason, such as `IPAllocated`.
    pub reason: &'static str,
    /// The sentence that users read.
    pub message: String,
}
