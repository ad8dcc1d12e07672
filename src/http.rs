//! The API over HTTP: the only place that knows axum.
//!
//! A handler takes the request apart ([`extract`]), calls the queue once, and answers; what goes wrong is an [`ApiError`], which alone knows
//! how an error looks. One hand-written layer ([`middleware`]) stands around all routes, because each layer costs the hot path.
//! The document ([`openapi`]) is made from the same functions as the routes, so that neither knows a path that the other does not.

mod api;
mod audit;
mod docs;
mod error;
mod extract;
pub mod health;
mod limit;
mod middleware;
pub mod openapi;
mod params;
mod range;
mod router;
mod server;
mod state;

pub(crate) use crate::auth::Caller;
pub(crate) use api::auth::is_account_name;
pub(crate) use api::suppressions::address_of;
pub(crate) use audit::{AuditNote, actions as audit_actions};
pub use error::{ApiError, Problem};
pub(crate) use extract::{NamePath, QueuePath, TaskPath};
pub use health::Readiness;
pub use router::{Service, router};
pub use server::serve;
pub use state::{ApiParts, ApiState};
