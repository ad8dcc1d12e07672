//! What the tests stand on.

pub mod brokers;
pub mod redis_server;
