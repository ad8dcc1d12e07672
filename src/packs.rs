//! Packs: kinds that are declared in folders and not compiled. `legwork-pack` reads and checks them; this module owns what their kinds do.
//!
//! [`LoadedPacks`] is what was loaded: the packs, and the sources and models that they add to those of the process. A kind of a pack is a
//! [`TaskKind`](crate::kinds::TaskKind) like a compiled one. Each runner has a file of its own; [`attempt`] does what all runners share.

mod attempt;
mod built_in;
mod builtin;
mod chain;
mod effect;
mod email;
mod export;
mod fan_out;
mod http;
mod kind;
mod load;
mod messages;
mod prepare;
mod redact;
mod report;
mod running;
mod schedules;
mod sms;
mod sources;
mod steps;

pub use load::{LoadedPacks, PackError, host};
pub use prepare::rehearse;
pub use running::{ReloadError, RunningPacks};
pub use sources::demonstration;
