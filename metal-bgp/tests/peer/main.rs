//! The peer machine: sessions with a scripted peer, and with another machine over a link that does its worst.

mod collision;
mod configuration;
mod errors;
mod inbound;
mod link;
mod open;
mod pitfalls;
mod sending;
mod status;
mod support;
mod timers;
