use super::*;

fn read(vars: &[(&str, &str)]) -> Result<Config, Mistakes> {
    Config::read(vars.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect())
}

#[test]
fn every_default_parses() {
    let config = read(&[]).unwrap();
    assert!(config.is_embedded());
    assert!(config.roles.api && config.roles.worker && config.roles.scheduler);
    assert_eq!(config.http.public_url, "http://127.0.0.1:8000");
    let spelled: Vec<_> = SETTINGS.iter().map(|setting| (setting.name, setting.default)).collect();
    read(&spelled).unwrap();
}

#[test]
fn env_example_is_what_the_settings_say() {
    assert_eq!(include_str!("../../.env.example"), env_example(), "write it anew: legwork check-config --example > .env.example");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let mistakes =
        read(&[("LISTEN", "nowhere"), ("ROLES", "api,cook"), ("LEASE", "1s"), ("SMTP_URL", "ftp://x"), ("BODY_LIMIT", "-1")]);
    let settings: Vec<_> = mistakes.unwrap_err().0.into_iter().map(|mistake| mistake.setting).collect();
    assert_eq!(settings, ["LISTEN", "ROLES", "BODY_LIMIT", "SMTP_URL", "LEASE"]);
}

#[test]
fn postgres_without_a_key_for_tokens_is_refused() {
    let mistakes = read(&[("DATABASE_URL", "postgres://u:secret-word@h/db")]).unwrap_err();
    assert_eq!(mistakes.0[0].setting, "JWT_SECRET");
    assert!(!mistakes.to_string().contains("secret-word"));
}

#[test]
fn a_command_needs_no_secrets() {
    let vars = |database: &str| [("DATABASE_URL".to_owned(), database.to_owned())].into();
    Config::read_for(Purpose::Command, vars("postgres://h/db")).unwrap();
    Config::read_for(Purpose::Work, vars("postgres://h/db")).unwrap_err();
    let mistakes = Config::read_for(Purpose::Command, vars("mysql://h/db")).unwrap_err();
    assert_eq!(mistakes.0[0].setting, "DATABASE_URL");
}

#[test]
fn origins_are_what_browsers_send_or_all() {
    for good in ["*", "https://app.example.org", "http://localhost:3000, https://a.example", "capacitor://localhost"] {
        assert!(!read(&[("CORS_ORIGINS", good)]).unwrap().http.cors_origins.is_empty(), "{good}");
    }
    for bad in ["foo bar", "https://a.example/", "http://a.example/path", "*,https://a.example", "https://A.example"] {
        assert_eq!(read(&[("CORS_ORIGINS", bad)]).unwrap_err().0[0].setting, "CORS_ORIGINS", "{bad}");
    }
}

#[test]
fn what_would_stop_everything_is_refused() {
    for (setting, value) in
        [("REQUEST_TIMEOUT", "0s"), ("RESULT_RETENTION", "0s"), ("IDEMPOTENCY_RETENTION", "0"), ("LISTEN", "localhost:8000")]
    {
        let mistakes = read(&[(setting, value)]).unwrap_err();
        assert_eq!((mistakes.0.len(), mistakes.0[0].setting), (1, setting));
    }
}

#[test]
fn a_log_level_with_a_typing_error_is_refused_with_what_is_allowed() {
    for level in ["inof", "info,legwork::queue=debgu", "legwork", "=debug", "info,sqlx"] {
        let reported = read(&[("LOG_LEVEL", level)]).unwrap_err().to_string();
        assert!(
            reported.contains("LOG_LEVEL") && reported.contains("off, error, warn, info, debug, trace"),
            "{level}: {reported}"
        );
    }
    for level in ["info", "OFF", "legwork::queue=debug", "warn, legwork=trace,sqlx=info"] {
        assert_eq!(read(&[("LOG_LEVEL", level)]).unwrap().log.level, level.replace(' ', ""));
    }
}

#[test]
fn roles_are_told_in_words() {
    let roles = |text: &str| {
        read(&[
            ("ROLES", text),
            ("DATABASE_URL", "postgres://h/d"),
            ("REDIS_URL", "redis://h"),
            ("JWT_SECRET", "x".repeat(32).as_str()),
        ])
        .unwrap()
        .roles
    };
    assert_eq!(roles("worker,api").to_string(), "api, worker");
    assert_eq!(roles("all").to_string(), "api, worker, scheduler");
}

#[test]
fn redis_falls_back_to_the_names_of_others() {
    use secrecy::ExposeSecret as _;
    let of = |vars: &[(&str, &str)]| read(vars).unwrap().broker.redis.map(|url| url.expose_secret().to_owned());
    let all = [("CELERY_BROKER_URL", "redis://c"), ("REDISCLOUD_URL", "redis://b"), ("REDIS_URL", "redis://a")];
    assert_eq!(of(&all).as_deref(), Some("redis://a"));
    assert_eq!(of(&all[..2]).as_deref(), Some("redis://b"));
    assert_eq!(of(&all[..1]).as_deref(), Some("redis://c"));
}

#[test]
fn secrets_do_not_show_in_debug() {
    let config = read(&[
        ("DATABASE_URL", "postgres://u:hidden-1@h/db"),
        ("REDIS_URL", "redis://:hidden-2@h"),
        ("JWT_SECRET", "hidden-3-hidden-3-hidden-3-hidden-3"),
        ("SMTP_URL", "smtps://u:hidden-4@h"),
    ]);
    assert!(!format!("{:?}", config.unwrap()).contains("hidden"));
}

#[test]
fn a_range_holds_its_addresses_and_no_others() {
    let config = read(&[("OUTBOUND_ALLOW", "10.0.0.0/8, ::1,0.0.0.0/0")]).unwrap();
    let [ten, one, all] = config.outbound.allow[..] else { panic!("three ranges") };
    assert!(ten.contains("10.200.0.1".parse().unwrap()) && !ten.contains("11.0.0.1".parse().unwrap()));
    assert!(ten.contains("::ffff:10.0.0.1".parse().unwrap()));
    assert!(one.contains("::1".parse().unwrap()) && !one.contains("::2".parse().unwrap()));
    assert!(all.contains("192.0.2.1".parse().unwrap()));
}
