//! What the tests stand on: stores and brokers of their own, servers that can be killed, a mail server that misbehaves on demand, tasks
//! at fixed times.

pub mod brokers;
pub mod context;
pub mod engine;
pub mod faulty;
pub mod files;
pub mod ledger;
pub mod mime;
pub mod postgres;
pub mod probe;
pub mod process;
pub mod redis_server;
pub mod service;
pub mod smtp;
pub mod stores;
pub mod tasks;
