//! The templates, compiled into the binary, and how a page is answered.

use std::sync::LazyLock;

use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use minijinja::{AutoEscape, Environment, HtmlEscape, Value};

use super::{assets, format};

/// Scripts, styles, images and answers come from this server only; nobody frames a page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      frame-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        const TEMPLATES: &[(&str, &str)] = &[$((
            concat!("dashboard/", $name, ".html"),
            include_str!(concat!("../../templates/dashboard/", $name, ".html")),
        )),*];
    };
}

templates!(
    "base",
    "bare",
    "ui",
    "error",
    "login",
    "welcome",
    "overview",
    "tasks",
    "tasks_bulk",
    "task",
    "task_new",
    "queues",
    "queue",
    "workers",
    "kinds",
    "kind",
    "suppressions",
    "audit",
    "accounts",
);

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    for (name, source) in TEMPLATES {
        // A template that does not parse is missing, which a test finds.
        drop(environment.add_template(name, source));
    }
    environment.add_filter("num", format::number);
    environment.add_filter("short", format::short);
    environment.add_filter("duration", format::duration);
    environment.add_filter("percent", format::percent);
    environment.add_filter("bytes", format::bytes);
    environment.add_filter("rate", format::rate);
    environment.add_filter("count", |value: u64, noun: &str| format::count(value, noun));
    environment.add_filter("sentence", |word: &str| format::sentence(word));
    environment.add_filter("ticks", ticks);
    environment.add_function("asset", |name: &str| assets::url(name));
    environment
});

/// A text whose parts between backticks are code. Everything is escaped first.
fn ticks(text: &str) -> Value {
    let escaped = HtmlEscape(text).to_string();
    let mut html = String::with_capacity(escaped.len() + 32);
    let parts: Vec<&str> = escaped.split('`').collect();
    for (place, part) in parts.iter().enumerate() {
        let is_code = place % 2 == 1 && place + 1 < parts.len();
        if is_code {
            html.extend(["<code>", part, "</code>"]);
        } else {
            html.push_str(part);
        }
    }
    Value::from_safe_string(html)
}

/// Renders the template with this file name. `view` holds its variables.
pub(super) fn render(name: &str, view: Value) -> Result<String, minijinja::Error> {
    ENVIRONMENT.get_template(&format!("dashboard/{name}.html"))?.render(view)
}

/// Answers with a page.
pub(super) fn page(status: StatusCode, name: &str, view: Value) -> Response {
    match render(name, view) {
        Ok(html) => {
            let headers = [
                (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
                (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
                // With no referrer at all, browsers do not say where a form comes from.
                (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
            ];
            (status, headers, html).into_response()
        }
        Err(error) => {
            tracing::error!(template = name, error = %format!("{error:#}"), "a page could not be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, "The page could not be rendered; the server's log says why.").into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_in_a_description_is_marked_and_everything_is_escaped() {
        assert_eq!(ticks("as `a<b>` & `c`").to_string(), "as <code>a&lt;b&gt;</code> &amp; <code>c</code>");
    }

    #[test]
    fn every_template_parses_and_has_no_inline_script_or_style() {
        for (name, source) in TEMPLATES {
            assert!(ENVIRONMENT.get_template(name).is_ok(), "{name}: {:?}", Environment::new().add_template(name, source).err());
            for banned in ["<style", "style=\"", "onclick=", "onload=", "javascript:", "|safe", "<script>"] {
                assert!(!source.contains(banned), "{name} has {banned}");
            }
        }
    }
}
