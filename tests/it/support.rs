//! What the tests stand on: stores and brokers of their own, servers that can be killed, tasks at fixed times.

pub mod brokers;
pub mod engine;
pub mod postgres;
pub mod probe;
pub mod redis_server;
pub mod stores;
pub mod tasks;
