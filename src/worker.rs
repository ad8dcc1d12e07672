//! The pool: takes what it has slots for, runs it, hands over what came of it.
//!
//! [`pool`] receives and begins; [`executor`] runs one attempt as named steps; [`running`] knows what runs and how to stop it;
//! [`heartbeat`] keeps the lease from a thread of its own and compares the store's picture with ours; [`progress`] folds progress.

pub mod executor;
pub mod heartbeat;
pub mod lanes;
pub mod pool;
pub mod progress;
pub mod running;
