//! What the tests stand on: stores of their own, and tasks at fixed times.

pub mod stores;
pub mod tasks;
