//! How a peer stands.

use std::sync::Arc;

use metal_bgp::peer::{Counters, Phase};

/// How a peer stands.
#[derive(Clone, Debug)]
pub struct View {
    /// Its name.
    pub peer: Arc<str>,
    /// Where it stands.
    pub phase: Phase,
    /// The same in words, with what went wrong last.
    pub message: String,
    /// How many prefixes it is told, as far as it has taken them; without a session none.
    pub announced: usize,
    /// How many prefixes are meant for it.
    pub meant: usize,
    /// What was exchanged with it.
    pub counters: Counters,
}
