//! The settings in effect, as they may be shown: secrets are hidden.

use std::collections::BTreeMap;

use serde::Serialize;

use super::settings::SETTINGS;
use super::{Config, Database};

/// What stands where a secret would.
const HIDDEN: &str = "***";
/// Secrets as a whole.
const SECRETS: [&str; 10] = [
    "JWT_SECRET",
    "WEBHOOK_SECRET",
    "ENCRYPTION_KEYS",
    "LEGWORK_TOKEN",
    "FILES_SECRET",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "HUBTEL_CLIENT_SECRET",
    "SMS_HTTP_HEADERS",
    "SMS_HTTP_BODY",
];

/// One setting in effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EffectiveSetting {
    /// Name of the environment variable.
    pub name: &'static str,
    /// What is in effect; a secret in it is shown as `***`.
    pub value: String,
    /// Whether it was set, else it is the default.
    pub is_set: bool,
}

/// Every setting in effect, in the order of `.env.example`. `config` is what was read from `vars`.
pub fn effective_settings(config: &Config, vars: &BTreeMap<String, String>) -> Vec<EffectiveSetting> {
    let of = |name: &'static str, default: &str| {
        let set = vars.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let value = set.map_or_else(|| in_effect(config, name).unwrap_or_else(|| default.to_owned()), |text| hidden(name, text));
        EffectiveSetting { name, value, is_set: set.is_some() }
    };
    SETTINGS.iter().map(|setting| of(setting.name, setting.default)).collect()
}

/// Defaults that follow from other settings.
fn in_effect(config: &Config, name: &str) -> Option<String> {
    Some(match name {
        "PUBLIC_URL" => config.http.public_url.clone(),
        "FRONTEND_URL" => config.render.frontend_url.clone(),
        "CHILDREN" => config.isolate.children.to_string(),
        "LEGWORK_URL" => config.client.url.clone(),
        "DATABASE_URL" => match &config.store.database {
            Database::Sqlite(path) => format!("sqlite:{}", path.display()),
            Database::Postgres(_) => return None,
        },
        _ => return None,
    })
}

fn hidden(name: &str, text: &str) -> String {
    if SECRETS.contains(&name) {
        return HIDDEN.to_owned();
    }
    if name == "JWT_PUBLIC_KEY" && text.contains("-----BEGIN") {
        return "(PEM)".to_owned();
    }
    if text.contains("://") { without_password(text) } else { text.to_owned() }
}

/// A URL without what may be secret in it. Not by a URL parser: addresses of Sentinels and clusters name several hosts.
fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?***"));
    let rest = match rest.rsplit_once('@') {
        Some((login, place)) => {
            let user = login.split_once(':').map_or(HIDDEN, |(user, _)| user);
            let password = if login.contains(':') { ":***" } else { "" };
            format!("{user}{password}@{place}")
        }
        None => rest.to_owned(),
    };
    format!("{scheme}://{rest}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown_wherever_it_hides() {
        let vars: BTreeMap<String, String> = [
            ("DATABASE_URL", "postgres://ann:hidden-1@h/db?sslpassword=hidden-2"),
            ("REDIS_URL", "redis+sentinel://:hidden-3@a:1,b:2/main"),
            ("JWT_SECRET", "hidden-4-hidden-4-hidden-4-hidden-4"),
            ("SMTP_URL", "smtps://ann:hid@den-hidden-5@h"),
            ("LEGWORK_TOKEN", "hidden-6"),
            ("SMS_HTTP_URL", "https://sms.example.org/send?key=hidden-8"),
            ("SMS_HTTP_HEADERS", r#"{"x-key":"hidden-9"}"#),
            ("HUBTEL_CLIENT_SECRET", "hidden-10"),
            ("ENCRYPTION_KEYS", "hidden-7:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        let config = Config::read(vars.clone()).unwrap();
        let settings = effective_settings(&config, &vars);
        let of = |name: &str| settings.iter().find(|setting| setting.name == name).unwrap().value.as_str();
        assert!(settings.iter().all(|setting| !setting.value.contains("hidden")), "{settings:?}");
        assert_eq!(of("DATABASE_URL"), "postgres://ann:***@h/db?***");
        assert_eq!(of("REDIS_URL"), "redis+sentinel://:***@a:1,b:2/main");
        assert_eq!(of("SMTP_URL"), "smtps://ann:***@h");
    }

    #[test]
    fn defaults_that_follow_from_others_are_worked_out() {
        let vars = BTreeMap::from([("LISTEN".to_owned(), "0.0.0.0:9000".to_owned())]);
        let settings = effective_settings(&Config::read(vars.clone()).unwrap(), &vars);
        let of = |name: &str| settings.iter().find(|setting| setting.name == name).unwrap();
        assert!(of("LISTEN").is_set && !of("PUBLIC_URL").is_set);
        assert_eq!(of("LEGWORK_URL").value, "http://127.0.0.1:9000");
        assert_eq!(of("DATABASE_URL").value, "sqlite:data/legwork.db");
        assert_eq!(of("CONCURRENCY").value, "100");
    }
}
