//! TCP as a BGP speaker needs it, between two hosts on a cable: passwords, hop limits, devices, last words, routers
//! that find each other.

mod cable;
mod closing;
mod connecting;
mod discovery;
mod listening;
mod passwords;
mod ttl;
