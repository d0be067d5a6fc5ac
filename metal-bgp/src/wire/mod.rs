//! What goes over the TCP connection.

pub mod frame;
