//! The shipped packs: the kinds are run with their examples on a `SQLite` source and on a Postgres source, every statement prepares on both,
//! and the check-lists of their documents are complete.

mod chain;
mod checks;
mod effects;
mod ground;
mod recorded;
mod secrets;
mod statements;

use std::path::PathBuf;
use std::time::Duration;

use legwork::config::Config;
use legwork::packs::LoadedPacks;
use legwork_pack::{Backoff, Runner};

use self::ground::{Side, on_both, vars};

/// The packs of the repository.
const PACKS: [&str; 5] = ["labcontrol", "blt", "events", "au-vlp", "yea-poultry"];

/// Kinds that need a child process of the program.
fn cannot_run_here(kind: &legwork_pack::Kind) -> bool {
    matches!(&kind.runner, Runner::Builtin(builtin) if builtin.kind == "image.process")
}

fn loaded(pack: &str) -> LoadedPacks {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::read(vars(pack, folder.path())).unwrap();
    LoadedPacks::load(&config.packs, &config.render, &mut config.sources).unwrap()
}

fn checklist(pack: &str) -> toml::Table {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packs").join(pack).join("checklist.toml");
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_the_packs_succeeds_with_its_example_on_both_databases() {
    for pack in PACKS {
        on_both(pack, async |ground| {
            let mut failures = Vec::new();
            for kind in ground.declared().into_iter().filter(|kind| !cannot_run_here(kind)) {
                if ground.kind(&kind.name).needs_engine {
                    continue;
                }
                let example = serde_json::Value::from(kind.example.clone());
                match ground.run(&kind.name, &example).await {
                    Ok(result) if result["success"] == true && result["message"].is_string() => {}
                    other => failures.push(format!("{pack} on {:?}: {} gave {other:?}", ground.side, kind.name)),
                }
            }
            assert_eq!(failures, [] as [&str; 0], "{}", failures.join("\n"));
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_of_the_packs_prepares_on_both_databases() {
    for pack in PACKS {
        on_both(pack, async |ground| {
            assert_eq!(ground.packs.prepare(&ground.services.sources).await, Ok(()), "{pack} on {:?}", ground.side);
        })
        .await;
    }
}

#[test]
fn the_packs_have_every_task_and_schedule_of_their_documents() {
    for pack in PACKS {
        let loaded = loaded(pack);
        let list = checklist(pack);
        for (task, facts) in list["tasks"].as_table().unwrap() {
            let name = facts["kind"].as_str().unwrap();
            // What the program has itself is scheduled by the pack and not written twice.
            let Some((_, kind)) = loaded.set().kind(name) else { panic!("{pack}: {task}: there is no kind {name}") };
            for arg in facts.get("args").and_then(toml::Value::as_array).into_iter().flatten() {
                assert!(kind.params.get(arg.as_str().unwrap()).is_some(), "{pack}: {name} lacks the param {arg:?}");
            }
            if let Some(rate) = facts.get("rate").and_then(toml::Value::as_str) {
                assert_eq!(kind.rate.map(|rate| rate.to_string()).as_deref(), Some(rate), "{pack}: {name}");
            }
            if let Some(seconds) = facts.get("fixed_retry").and_then(toml::Value::as_integer) {
                let delay = Duration::from_secs(u64::try_from(seconds).unwrap());
                assert_eq!(kind.limits.retry, Some(Backoff::Fixed(delay)), "{pack}: {name}");
            }
            if let Some(queue) = facts.get("queue").and_then(toml::Value::as_str) {
                let found = loaded.kinds().into_iter().find(|kind| kind.policy.name.as_str() == name).unwrap();
                assert_eq!(found.policy.queue.as_str(), queue, "{pack}: {name}");
            }
        }
        for (name, facts) in list.get("schedules").and_then(toml::Value::as_table).into_iter().flatten() {
            let found = loaded.set().schedules().find(|(_, schedule)| schedule.name == *name);
            let Some((_, schedule)) = found else { panic!("{pack}: there is no schedule {name}") };
            assert_eq!(Some(schedule.kind.as_str()), facts["kind"].as_str(), "{pack}: {name}");
            if let Some(enabled) = facts.get("enabled").and_then(toml::Value::as_bool) {
                assert_eq!(schedule.enabled, enabled, "{pack}: {name}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn args_of_a_pack_kind_are_refused_by_their_pointer() {
    ground::on("labcontrol", Side::Sqlite, async |ground| {
        let kind = ground.kind("labcontrol.remind_by_email");
        let errors = kind.check(r#"{"appointment_id":"x","other":1}"#, &ground.services).unwrap_err();
        let pointers: Vec<&str> = errors.iter().map(|error| &*error.pointer).collect();
        assert_eq!(pointers, ["/appointment_id", "/other"]);
        assert_eq!(kind.check(r#"{"appointment_id":1}"#, &ground.services), Ok(()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_have_a_layout_of_their_own_and_compiled_kinds_use_the_mails_of_a_pack() {
    on_both("yea-poultry", async |ground| {
        for name in ["yea.generate_weekly_report", "yea.check_pending_applications"] {
            let example =
                serde_json::Value::from(ground.declared().iter().find(|kind| kind.name == name).unwrap().example.clone());
            let result =
                ground.run(name, &example).await.unwrap_or_else(|error| panic!("{name} on {:?}: {error:?}", ground.side));
            assert_eq!(result["success"], true, "{name}: {result}");
        }
    })
    .await;
}
