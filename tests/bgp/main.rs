//! BGP sessions with real routers: what counts is what the router says.

#![expect(clippy::print_stdout, reason = "a failed test says of which router")]

mod announcing;
mod lab;
mod refusing;
mod router;
