//! The frame around every page: navigation, account, theme, notices.

use axum::http::header::SET_COOKIE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use minijinja::Value;
use serde::Serialize;

use super::access::Visitor;
use super::assets;
use super::form::{NOTICE_COOKIE, Notice};
use super::templates;
use crate::http::ApiState;

#[derive(Serialize)]
struct NavItem {
    label: &'static str,
    url: &'static str,
    icon: &'static str,
    current: bool,
    badge: Option<()>,
}

#[derive(Serialize)]
struct NavGroup {
    label: Option<&'static str>,
    items: Vec<NavItem>,
}

/// An entry of the navigation: label, path, icon, whether it is for administrators only.
type NavEntry = (&'static str, &'static str, &'static str, bool);

/// The groups of the navigation, each with its label.
const NAV: &[(Option<&'static str>, &[NavEntry])] = &[
    (None, &[("Overview", "/", "overview", false)]),
    (
        Some("Work"),
        &[("Tasks", "/tasks", "tasks", false), ("Queues", "/queues", "queues", false), ("Workers", "/workers", "workers", false)],
    ),
    (Some("Messages"), &[("Suppressions", "/suppressions", "suppressions", true)]),
    (
        Some("System"),
        &[
            ("Kinds", "/kinds", "kinds", false),
            ("Audit", "/audit", "audit", true),
            ("Accounts and tokens", "/accounts", "accounts", true),
        ],
    ),
];

fn nav(visitor: &Visitor) -> Vec<NavGroup> {
    let path = visitor.path();
    let is_current = |url: &str| {
        if url == "/" { path == "/" } else { path == url || path.strip_prefix(url).is_some_and(|rest| rest.starts_with('/')) }
    };
    let group = |(label, items): &(Option<&'static str>, &[NavEntry])| NavGroup {
        label: *label,
        items: items
            .iter()
            .filter(|(.., admins_only)| !admins_only || visitor.is_admin())
            .map(|(label, url, icon, _)| NavItem { label, url, icon, current: is_current(url), badge: None })
            .collect(),
    };
    NAV.iter().map(group).filter(|group| !group.items.is_empty()).collect()
}

/// A page of somebody who is signed in: the view, and the frame under `shell`.
pub(super) fn page(state: &ApiState, visitor: &Visitor, template: &str, view: Value) -> Response {
    answer(state, visitor, StatusCode::OK, template, view)
}

/// The same with another status: a form with errors at its fields.
pub(super) fn answer(state: &ApiState, visitor: &Visitor, status: StatusCode, template: &str, view: Value) -> Response {
    let notice = visitor.notice.as_deref().and_then(Notice::of_cookie);
    let initial: String = visitor.session.name.chars().take(1).collect();
    let shell = view! {
        version => env!("CARGO_PKG_VERSION"),
        build => assets::version(),
        theme => visitor.theme,
        user => view! { name => visitor.session.name, role => visitor.role(), initial },
        can => view! { operate => visitor.is_operator(), admin => visitor.is_admin() },
        nav => nav(visitor),
        csrf => visitor.csrf,
        flash => notice,
        embedded => state.dashboard.is_embedded,
        path => visitor.path_query,
        path_query => url::form_urlencoded::byte_serialize(visitor.path_query.as_bytes()).collect::<String>(),
        live_url => "/live",
    };
    let mut response = templates::page(status, template, minijinja::context! { shell, ..view });
    if visitor.notice.is_some() {
        let gone = format!("{NOTICE_COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
        if let Ok(gone) = HeaderValue::from_str(&gone) {
            response.headers_mut().append(SET_COOKIE, gone);
        }
    }
    response
}
