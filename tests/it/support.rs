//! What the tests stand on.

pub mod ledger;
pub mod mime;
pub mod smtp;
