//! What is told of packs when they are loaded and prepared.

use std::collections::BTreeMap;
use std::path::Path;

use legwork::app::{build_services, with_secrets};
use legwork::config::Config;
use legwork::packs::{LoadedPacks, PackError};
use legwork_engine::clock::{Clock, ManualClock};

use super::ground::{on_texts, vars, written};

const HEAD: &str = r#"
[pack]
name = "probe"
description = "What the tests need."
[sources.probe]
url = "env:PROBE_DATABASE_URL"
schema = "schema.sql"
"#;
const SCHEMA: &str = "CREATE TABLE things (id INTEGER PRIMARY KEY)";

/// What is told of a pack, from its load to its preparation.
async fn told(folder: &Path, texts: &[(&str, &str)], more: &[(&str, &str)]) -> Result<(), PackError> {
    let mut vars: BTreeMap<String, String> = vars(&written(folder, texts), folder);
    vars.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut config = with_secrets(Config::read(vars).unwrap()).unwrap();
    let packs = LoadedPacks::load(&config.packs, &config.render, &mut config.sources)?;
    let clock: std::sync::Arc<dyn Clock> = std::sync::Arc::new(ManualClock::at("2026-03-09T09:05:00Z".parse().unwrap()));
    let services = build_services(&config, &clock).unwrap();
    let prepared = packs.prepare(&services.sources).await;
    services.sources.close().await;
    prepared
}

fn mistakes(told: Result<(), PackError>) -> Vec<String> {
    match told {
        Err(PackError::Mistakes(mistakes)) => mistakes,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_nobody_could_name_are_told_with_their_place() {
    const KINDS: &str = r#"
[kinds."probe.count"]
description = "Counts."
runner = "sql"
sql = "SELECT id, 2 * id, id FROM things"
rows = "many"

[kinds."probe.each"]
description = "A task for each row."
runner = "fan_out"
query = "each.sql"
key = "thing_id"
children = [{ kind = "system.echo" }]
"#;
    let declaration = format!("{HEAD}{KINDS}");
    let texts = [("pack.toml", &*declaration), ("schema.sql", SCHEMA), ("each.sql", "\nSELECT id FROM things")];
    on_texts(&texts, async |ground| {
        let told = mistakes(ground.packs.prepare(&ground.services.sources).await);
        let expected = [
            (":12:7: kinds.\"probe.count\": column 2, ", "Give it one, as in COUNT(*) AS number."),
            (":12:7: kinds.\"probe.count\": two columns are called \"id\"", "as in id AS other"),
            ("each.sql:2:1: kinds.\"probe.each\": ", "no column \"thing_id\", which is the `key` of the fan_out; it gives id."),
        ];
        for (start, words) in expected {
            assert!(told.iter().any(|fault| fault.contains(start) && fault.contains(words)), "{start} {words}\n{told:#?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_told_with_the_variable_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let texts = [("pack.toml", HEAD), ("schema.sql", SCHEMA)];
    let away = told(folder.path(), &texts, &[("PROBE_DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")]).await;
    let Err(PackError::Away(away)) = away else { panic!("{away:?}") };
    assert!(away[0].contains("pack.toml:5:") && away[0].contains("sources.probe: the source probe is not available"), "{away:?}");
    assert!(away[0].contains("correct the variable PROBE_DATABASE_URL"), "{away:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_url_is_told_where_it_is_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let texts = [("pack.toml", HEAD), ("schema.sql", SCHEMA)];
    let told_of_variable = mistakes(told(folder.path(), &texts, &[("PROBE_DATABASE_URL", "mysql://u:s3cret@h/d")]).await);
    assert!(
        told_of_variable[0].contains("sources.probe: the variable PROBE_DATABASE_URL names no database"),
        "{told_of_variable:?}"
    );
    let declared = HEAD.replace("env:PROBE_DATABASE_URL", "postgres://s3cret");
    let told_of_url = mistakes(
        told(
            folder.path(),
            &[("pack.toml", &declared.replace("postgres://s3cret", "postgres:///s3cret")), ("schema.sql", SCHEMA)],
            &[],
        )
        .await,
    );
    assert!(told_of_url[0].contains("pack.toml:6:7: sources.probe.url: "), "{told_of_url:?}");
    assert!(!format!("{told_of_variable:?}{told_of_url:?}").contains("s3cret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_production_a_database_has_to_be_named() {
    let production = [
        ("DATABASE_URL", "postgres://legwork@127.0.0.1/legwork"),
        ("JWT_SECRET", "a secret of the tests that signs the tokens of users"),
    ];
    for name in ["probe", "app"] {
        let folder = tempfile::tempdir().unwrap();
        let declared = HEAD.replace("[sources.probe]", &format!("[sources.{name}]"));
        let texts = [("pack.toml", &*declared), ("schema.sql", SCHEMA)];
        let told_of = mistakes(told(folder.path(), &texts, &production).await);
        let words = format!("sources.{name}: no database is known for it. Set the variable PROBE_DATABASE_URL");
        assert!(told_of[0].contains(&words), "{told_of:?}");
        assert_eq!(told(folder.path(), &texts, &[&production[..], &[("DEMO", "on")]].concat()).await, Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_called_app_is_made_of_the_scripts_of_its_pack() {
    const KIND: &str = r#"
[kinds."probe.count"]
description = "Counts."
runner = "sql"
sql = "SELECT COUNT(*) AS number FROM things"
rows = "one"
"#;
    let folder = tempfile::tempdir().unwrap();
    let declared = HEAD.replace("[sources.probe]", "[sources.app]") + KIND;
    assert_eq!(told(folder.path(), &[("pack.toml", &declared), ("schema.sql", SCHEMA)], &[]).await, Ok(()));
    assert!(folder.path().join("probe-app.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demonstration_of_an_earlier_schema_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let kind = |column: &str| {
        format!(
            "{HEAD}[kinds.\"probe.read\"]\ndescription = \"Reads.\"\nrunner = \"sql\"\nsql = \"SELECT {column} FROM things\"\nrows = \"many\"\n"
        )
    };
    assert_eq!(told(folder.path(), &[("pack.toml", &kind("id")), ("schema.sql", SCHEMA)], &[]).await, Ok(()));
    let changed = "CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT)";
    let told_of = mistakes(told(folder.path(), &[("pack.toml", &kind("name")), ("schema.sql", changed)], &[]).await);
    assert!(
        told_of[0].contains("SQLite refuses the statement") && told_of[0].contains("no column")
            || told_of[0].contains("no such column"),
        "{told_of:?}"
    );
    assert!(
        told_of[1].contains("probe-probe.db was made of the scripts") && told_of[1].contains("delete this file"),
        "{told_of:?}"
    );
    std::fs::remove_file(folder.path().join("probe-probe.db")).unwrap();
    assert_eq!(told(folder.path(), &[("pack.toml", &kind("name")), ("schema.sql", changed)], &[]).await, Ok(()));
}
