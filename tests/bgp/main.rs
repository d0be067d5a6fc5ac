//! BGP sessions with real routers: what counts is what the router says.

mod announcing;
mod lab;
mod refusing;
mod router;
