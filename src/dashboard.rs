//! The dashboard: pages rendered on the server, and kept current by a small script of our own.
//!
//! A page reads what it shows through the engine, as the API does, and turns it into a view-model for its template; a form does what the API's
//! routes do, and is recorded in the audit log. Nothing is inline, nothing comes from elsewhere, and every value is escaped by the templates.

/// A view-model: names and values that templates see; each value is whatever serializes.
macro_rules! view {
    (@value $key:ident) => { minijinja::Value::from(minijinja::value::Serde(&$key)) };
    (@value $key:ident $value:expr) => { minijinja::Value::from(minijinja::value::Serde(&$value)) };
    ($($key:ident $(=> $value:expr)?),* $(,)?) => {
        minijinja::context! { $($key => view!(@value $key $($value)?)),* }
    };
}

mod access;
mod assets;
mod chart;
mod error;
mod form;
mod format;
mod history;
mod live;
mod login;
mod pages;
mod schema_form;
mod session;
mod shell;
mod templates;
mod tree;
mod view;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use parking_lot::Mutex;
use secrecy::SecretString;

use crate::http::ApiState;
use session::Signer;

pub use error::not_found;
pub(crate) use login::first_url;

/// What the dashboard holds beside the API's own.
pub struct Dashboard {
    signer: Signer,
    /// What the first sign-in takes, until it was used.
    first_link: Mutex<Option<String>>,
    /// Whether mail is written into an outbox that pages may show, and where.
    is_embedded: bool,
}

/// The settings of the dashboard.
#[derive(Default)]
pub struct DashboardConfig {
    /// What cookies are signed with; without it, sessions end with the process.
    pub secret: Option<SecretString>,
    /// A secret that whoever presents it may choose the first administrator's password with. It works once.
    pub first_link: Option<String>,
    /// Whether this is the embedded setting.
    pub is_embedded: bool,
}

impl Dashboard {
    /// Creates the dashboard with these settings.
    pub fn new(config: DashboardConfig) -> Self {
        Self {
            signer: Signer::new(config.secret.as_ref()),
            first_link: Mutex::new(config.first_link),
            is_embedded: config.is_embedded,
        }
    }

    /// The name of the account whose session a request carries; its password and role are not looked at.
    pub(crate) fn name_of(&self, headers: &HeaderMap, state: &ApiState) -> Option<String> {
        let value = access::cookie(headers, access::Cookies::of(state).session)?;
        self.signer.open(value, state.now()).map(|session| session.name)
    }
}

/// The routes of all pages and forms.
pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/assets/dashboard/{file}", get(assets::asset))
        .route("/login", get(login::show).post(login::login))
        .route("/welcome", get(login::welcome).post(login::choose_password))
        .route("/logout", post(login::logout))
        .route("/preferences", post(login::preferences))
        .route("/live", get(live::changes))
        .merge(pages::routes())
}
