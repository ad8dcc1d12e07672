//! What is secret does not get out, and what is private stays so.

use std::sync::Arc;

use legwork::files::{FileService, TaskFiles};
use legwork_engine::domain::{FilePath, Scope};
use serde_json::json;

use super::ground::{Side, on_texts};
use crate::support::files::MemoryFileList;

const HEAD: &str = r#"
[pack]
name = "probe"
description = "What the tests need."
[settings]
key = { env = "PROBE_KEY", default = "the-key-of-the-pack", secret = true }
[sources.probe]
url = "env:PROBE_DATABASE_URL"
schema = "schema.sql"
"#;
const SCHEMA: &str = "CREATE TABLE things (id INTEGER PRIMARY KEY)";

async fn on(kinds: &str, case: impl AsyncFn(&super::ground::Ground)) {
    on_texts(&[("pack.toml", &format!("{HEAD}{kinds}")), ("schema.sql", SCHEMA)], case).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_redacted_in_results_and_messages() {
    const KINDS: &str = r#"
[kinds."probe.echo"]
description = "Gives back what it got."
runner = "sql"
sql = "SELECT CAST(:code AS text) AS code, 'x' || CAST(:code AS text) AS more, CAST(:pins AS text) AS pins, 'open' AS plain"
rows = "one"
summary = "{{ params.code }} and {{ settings.key }}"
[kinds."probe.echo".params]
code = { type = "string", secret = true }
pins = { type = "list", items = { type = "object", fields = { pin = { type = "string", secret = true } } } }
"#;
    on(KINDS, async |ground| {
        let result = ground.run("probe.echo", &json!({ "code": "s3cret", "pins": [{ "pin": "b\"c d" }] })).await.unwrap();
        let (row, text) = (&result["row"], result.to_string());
        assert_eq!((&row["code"], &row["more"], &row["plain"]), (&json!("***"), &json!("x***"), &json!("open")));
        assert_eq!(result["message"], "*** and ***");
        assert!(!text.contains("s3cret") && !text.contains("c d") && !text.contains("the-key"), "{text}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_quotes_a_secret_however_short() {
    const KINDS: &str = r#"
[kinds."probe.bound"]
description = "Binds a text as a number."
runner = "sql"
sql = "SELECT :number AS number"
rows = "one"
bind = { number = { type = "integer", value = "{{ params.code }}" } }
params = { code = { type = "string", secret = true } }

[kinds."probe.shifted"]
description = "Takes a text for a time."
runner = "sql"
sql = "SELECT :time AS time"
rows = "one"
bind = { time = "{{ params.code | plus(days=1) }}" }
params = { code = { type = "string", secret = true } }

[kinds."probe.cast"]
description = "Casts a text in the database."
runner = "sql"
sql = "SELECT CAST(:code AS integer) AS number"
rows = "one"
params = { code = { type = "string", secret = true } }

[kinds."probe.mail"]
description = "Gives a text to a compiled kind that takes an address."
runner = "builtin"
kind = "email.send"
args = { recipient_email = "{{ params.code }}", subject = "{{ params.code }}", text = "x", cc = ["{{ params.code }}"] }
params = { code = { type = "string", secret = true } }
"#;
    on(KINDS, async |ground| {
        for kind in ["bound", "shifted", "cast", "mail"] {
            for code in ["q7", "q7\"q7 quite long"] {
                let outcome = ground.outcome(&format!("probe.{kind}"), &json!({ "code": code })).await;
                match outcome {
                    Err(message) => assert!(!message.contains("q7"), "{kind} on {:?}: {message}", ground.side),
                    // To SQLite it is 0.
                    Ok(result) => assert!(kind == "cast" && ground.side == Side::Sqlite, "{kind}: {result}"),
                }
            }
        }
        let message = ground.outcome("probe.mail", &json!({ "code": "q7" })).await.unwrap_err();
        assert!(message.starts_with("BadArgs: ") && message.contains("/recipient_email is wrong"), "{message}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_asks_for_the_scope_of_the_compiled_kind_that_it_runs() {
    const KINDS: &str = r#"
[kinds."probe.clean"]
description = "Runs a compiled kind that is for administrators."
runner = "builtin"
kind = "notifications.cleanup"

[kinds."probe.clean_all"]
description = "Submits one for each row."
runner = "fan_out"
query = "SELECT id FROM things"
key = "id"
children = [{ kind = "notifications.cleanup" }]

[kinds."probe.echo"]
description = "Runs one that is for everybody."
runner = "builtin"
kind = "system.echo"
"#;
    on(KINDS, async |ground| {
        assert_eq!(ground.kind("probe.clean").scope, Scope::Admin);
        assert_eq!(ground.kind("probe.clean_all").scope, Scope::Admin);
        assert_eq!(ground.kind("probe.echo").scope, Scope::Submit);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_attaches_only_files_that_its_principal_may_read() {
    const KINDS: &str = r#"
[kinds."probe.send"]
description = "Mails a stored file."
runner = "email"
to = "someone@example.com"
subject = "A file"
text = "Here it is."
attachments = ["{{ params.path }}"]
params = { path = "string" }
"#;
    on(KINDS, async |ground| {
        let list = Arc::new(MemoryFileList::default());
        let of = |principal: &str| {
            let mut cx = ground.task("probe.send");
            let file_service = FileService::new(cx.services.files.clone(), list.clone());
            cx.files = TaskFiles { file_service, principal: principal.into(), ..cx.files };
            cx
        };
        let (alice, bob) = (of("alice"), of("bob"));
        let path = FilePath::parse("reports/1/private.txt").unwrap();
        let mut writer = alice.files.create(path.clone(), "text/plain", None).await.unwrap();
        writer.write(b"for alice").await.unwrap();
        writer.finish().await.unwrap();
        let args = json!({ "path": path.as_str() });
        let refused = ground.attempt(&bob, "probe.send", 1, &args).await;
        assert!(format!("{refused:?}").contains("FileNotFound"), "{refused:?}");
        assert_eq!(ground.mails().len(), 0);
        ground.attempt(&alice, "probe.send", 1, &args).await.unwrap();
        assert_eq!(ground.mails().len(), 1);
    })
    .await;
}
