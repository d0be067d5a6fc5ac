//! The wire codec: octets and values side by side, what must not go wrong, and what always holds.

mod errors;
mod open;
mod pitfalls;
mod properties;
mod small_messages;
mod support;
mod update;
mod validate;
