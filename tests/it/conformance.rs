//! The contracts of the ports. Every side of a port runs the same cases.

mod broker;
mod store;
