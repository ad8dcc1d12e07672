//! What the tests stand on: stores of their own, and tasks at fixed times.

pub mod postgres;
pub mod stores;
pub mod tasks;
