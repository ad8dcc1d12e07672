//! What only the Postgres side of the store has: partitions, connections that break, concurrent batches.

use std::sync::Arc;

use legwork_engine::broker::memory::MemoryBroker;
use legwork_engine::clock::ManualClock;
use legwork_engine::domain::{ErrorReport, NewTask, Next, TaskStatus};
use legwork_engine::store::postgres::PgStore;
use legwork_engine::store::{InsertAnswer, Prune, Settled, Settlement, StartAnswer, Store, StoreError};
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::engine::Engine;
use crate::support::postgres::{drop_schema, fresh_schema, in_latin1, in_schema, observer, url};
use crate::support::tasks::{
    at, dispatched, end_of, ended, insert, inserted, mishap, reference, row, settle, settle_all, settlement, start, start_ref,
    start_refs, started, status, task, task_with_callback,
};

const DAY: i64 = 86_400;

async fn partitions(schema: &str, table: &str) -> Vec<String> {
    let find = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = $1::regclass ORDER BY 1";
    sqlx::query_scalar(find).bind(table).fetch_all(&mut observer(schema).await).await.unwrap()
}

fn prune(days: i64) -> Prune {
    Prune { results_before: at(days * DAY), keys_before: at(0), workers_before: at(0), now: start(), limit: 10 }
}

#[tokio::test]
async fn partitions_are_made_for_today_and_three_days_ahead() {
    in_schema(|store, schema| async move {
        tokio::try_join!(store.make_partitions(start()), store.make_partitions(start()), store.make_partitions(at(DAY))).unwrap();
        let days = ["20261121", "20261122", "20261123", "20261124", "20261125"];
        assert_eq!(partitions(&schema, "task_results").await, days.map(|day| format!("task_results_{day}")));
        assert_eq!(partitions(&schema, "attempts").await, days.map(|day| format!("attempts_{day}")));
    })
    .await;
}

/// A role that may read and write the tables of the schema, and make none.
async fn writing_role(schema: &str) -> String {
    let role = format!("{schema}_writer");
    let sql = format!(
        "CREATE ROLE {role}; GRANT USAGE ON SCHEMA {schema} TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut observer(schema).await).await.unwrap();
    role
}

#[tokio::test]
async fn a_role_that_may_make_no_partitions_is_told_which_one_is_missing() {
    in_schema(|store, schema| async move {
        store.make_partitions(start()).await.unwrap();
        let started_task = started(&store, task(0), 1).await;
        let role = writing_role(&schema).await;
        let separator = if url().contains('?') { '&' } else { '?' };
        let as_writer = format!("{}{separator}options[role]={role}", url());
        let writer: Arc<dyn Store> = Arc::new(PgStore::connect(&as_writer, &schema, 4).await.unwrap());
        writer.make_partitions(start()).await.unwrap();
        let far = at(100 * DAY);
        let refused = writer.make_partitions(far).await.unwrap_err().to_string();
        assert!(refused.contains("task_results_20270301") && refused.contains("CREATE on the schema"), "{refused}");
        let late = settlement(1, &started_task, far, Next::success("1".into()));
        let unsettled = writer.settle(std::slice::from_ref(&late)).await;
        assert!(
            matches!(&unsettled, Err(StoreError::Database(reason)) if reason.contains("task_results_20270301")),
            "{unsettled:?}"
        );
        store.make_partitions(far).await.unwrap();
        end_of(settle_all(&writer, &[late]).await.remove(0));
        writer.close().await;
        let sql = format!("DROP OWNED BY {role}; DROP ROLE {role}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut observer(&schema).await).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_result_that_the_database_cannot_hold_is_a_failure_once() {
    in_latin1(|store| async move {
        let clock = Arc::new(ManualClock::at(start()));
        let broker = Arc::new(MemoryBroker::default());
        let engine = Engine::over(store.clone(), broker, clock);
        let (refused, kept, retried) =
            (started(&store, task(0), 1).await, started(&store, task(0), 1).await, started(&store, task(0), 1).await);
        let error = ErrorReport::new("Balloon", "a \u{1f388}", true);
        let ends = [
            settlement(1, &refused, at(2), Next::success("\"\u{1f388}\"".into())),
            settlement(1, &kept, at(2), Next::success("\"\u{e9}\"".into())),
            settlement(1, &retried, at(2), Next::Retry { due_at: at(9), error }),
        ];
        for end in ends {
            let settled = engine.queue.settle(end).await.unwrap().await.unwrap().unwrap();
            assert!(matches!(settled, Settled::Ended(_) | Settled::Waiting { .. }), "{settled:?}");
        }
        let end = row(&store, refused.id).await;
        let reason = end.error.unwrap().message;
        assert_eq!((end.status, end.result), (TaskStatus::Failure, None));
        assert!(reason.starts_with("the result cannot be stored: ") && reason.contains("LATIN1"), "{reason}");
        assert_eq!(row(&store, kept.id).await.result.as_deref(), Some("\"\u{e9}\""));
        let waiting = row(&store, retried.id).await;
        assert_eq!((waiting.status, waiting.error.unwrap().message), (TaskStatus::Retry, "a \\u{1f388}".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn whoever_finds_no_partition_makes_it() {
    in_schema(|store, _| async move {
        let far = 100 * DAY;
        let success = started(&store, task(far), far).await;
        end_of(settle(&store, &success, at(far), Next::success("1".into())).await);
        let later = 110 * DAY;
        let retried = started(&store, task(later), later).await;
        let settled = settle(&store, &retried, at(later), Next::Retry { due_at: at(later), error: mishap() }).await;
        assert!(matches!(settled, Settled::Waiting { .. }), "{settled:?}");
        let expiring = inserted(&store, NewTask { expires_at: Some(at(120 * DAY)), ..task(0) }).await;
        let answers = start_refs(&store, 1, &[reference(expiring, 0)], at(120 * DAY)).await;
        assert!(matches!(answers[0], StartAnswer::Ended(_)), "{answers:?}");
        assert_eq!(status(&store, success.id).await, TaskStatus::Success);
    })
    .await;
}

#[tokio::test]
async fn days_are_dropped_whole_once_their_last_moment_is_past() {
    in_schema(|store, schema| async move {
        store.make_partitions(at(-4 * DAY)).await.unwrap();
        let old = ended(&store, task(-4 * DAY), -4 * DAY, Next::failure(mishap())).await;
        let same_day = ended(&store, task(-2 * DAY - 60), -2 * DAY - 60, Next::failure(mishap())).await;
        assert!(!store.prune(&prune(-2)).await.unwrap());
        assert_eq!(store.find(old).await.unwrap(), None);
        assert!(store.find(same_day).await.unwrap().is_some());
        assert_eq!(partitions(&schema, "attempts").await[0], "attempts_20261119");
    })
    .await;
}

#[tokio::test]
async fn a_partition_that_is_in_use_is_dropped_the_next_time() {
    in_schema(|store, schema| async move {
        store.make_partitions(at(-9 * DAY)).await.unwrap();
        let old = ended(&store, task(-9 * DAY), -9 * DAY, Next::failure(mishap())).await;
        let mut reader = observer(&schema).await;
        sqlx::raw_sql("BEGIN; SELECT count(*) FROM task_results").execute(&mut reader).await.unwrap();
        store.prune(&prune(-2)).await.unwrap();
        assert!(store.find(old).await.unwrap().is_some());
        sqlx::raw_sql("COMMIT").execute(&mut reader).await.unwrap();
        store.prune(&prune(-2)).await.unwrap();
        assert_eq!(store.find(old).await.unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_that_overlap_in_any_order_do_not_lock_each_other_out() {
    in_schema(|store, _| async move {
        let tasks: Vec<_> = (0..100).map(|n| if n % 9 == 0 { task_with_callback() } else { task(0) }).collect();
        insert(&store, &tasks.iter().cloned().map(dispatched).collect::<Vec<_>>()).await;
        let refs: Vec<_> = tasks.iter().map(|task| reference(task.id, 0)).collect();
        let running: Vec<_> = start_refs(&store, 1, &refs, at(1))
            .await
            .into_iter()
            .map(|answer| match answer {
                StartAnswer::Started(started_task) => settlement(1, &started_task, at(2), Next::success("1".into())),
                other => panic!("it did not start: {other:?}"),
            })
            .collect();
        let mut writers = Vec::new();
        for n in 0..6 {
            let (store, mut batch) = (store.clone(), running.clone());
            fastrand::Rng::with_seed(n).shuffle(&mut batch);
            writers.push(tokio::spawn(async move { settle_all(&store, &batch).await }));
        }
        let mut ends = 0;
        for writer in writers {
            for settled in writer.await.unwrap() {
                match settled {
                    Settled::Ended(_) => ends += 1,
                    Settled::Already => {}
                    other => panic!("a settlement was answered with {other:?}"),
                }
            }
        }
        assert_eq!(ends, tasks.len());
    })
    .await;
}

/// A store of its own name, so that only its connections can be ended.
async fn named_store() -> (Arc<dyn Store>, String, PgConnection) {
    let schema = fresh_schema();
    let sign = if url().contains('?') { '&' } else { '?' };
    let named = format!("{}{sign}application_name={schema}", url());
    let store: Arc<dyn Store> = Arc::new(PgStore::connect(&named, &schema, 2).await.unwrap());
    store.migrate().await.unwrap();
    let observer = observer(&schema).await;
    (store, schema, observer)
}

/// Ends every connection of the store, and waits until they are gone.
async fn kill_connections(schema: &str, observer: &mut PgConnection) {
    let kill = "SELECT bool_and(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = $1";
    let all_gone: Option<bool> = sqlx::query_scalar(kill).bind(schema).fetch_one(observer).await.unwrap();
    assert_eq!(all_gone, Some(true));
}

#[tokio::test]
async fn a_killed_connection_heals() {
    let (store, schema, mut observer) = named_store().await;
    let case = {
        let (store, schema) = (store.clone(), schema.clone());
        tokio::spawn(async move {
            let first = started(&store, task(0), 1).await;
            settle(&store, &first, at(2), Next::success("1".into())).await;
            let running = started(&store, task(0), 1).await;
            kill_connections(&schema, &mut observer).await;
            end_of(settle(&store, &running, at(2), Next::success("1".into())).await);
            let id = inserted(&store, task(3)).await;
            assert_eq!(row(&store, id).await.submitted_at, at(3));
            // A start is not repeated by itself: whether it was written is not known.
            let refs = [reference(id, 0)];
            let batch = legwork_engine::store::StartBatch {
                worker: crate::support::tasks::worker(1),
                worker_name: "w",
                now: at(4),
                exclusive: false,
                refs: &refs,
            };
            assert!(matches!(store.start(&batch).await, Err(StoreError::Unavailable(_))));
            start_ref(&store, 1, refs[0], at(4)).await;
        })
    };
    let ended = case.await;
    store.close().await;
    drop_schema(&schema).await;
    ended.unwrap();
}

#[tokio::test]
async fn a_database_that_is_away_is_unavailable() {
    let store = PgStore::connect("postgres://nobody@127.0.0.1:1/none", "legwork", 1).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let settlements: [Settlement; 0] = [];
    assert_eq!(store.settle(&settlements).await.unwrap().len(), 0);
    assert!(matches!(store.insert(&[dispatched(task(0))]).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.migrate().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(PgStore::connect("not a url", "legwork", 1).await, Err(StoreError::Database(_))));
}

#[tokio::test]
async fn a_schema_that_is_not_migrated_says_so() {
    let schema = fresh_schema();
    let store = PgStore::connect(&url(), &schema, 1).await.unwrap();
    assert!(!store.is_migrated().await.unwrap());
    let (one, two) = tokio::join!(store.migrate(), store.migrate());
    let migrated = store.is_migrated().await;
    store.close().await;
    drop_schema(&schema).await;
    assert!(one.is_ok() && two.is_ok() && migrated.unwrap(), "{one:?} {two:?}");
}

#[tokio::test]
async fn an_older_program_starts_on_a_newer_schema() {
    in_schema(|store, schema| async move {
        let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                     VALUES (9999, 'of a later version', true, '\\x00', 0)";
        sqlx::query(newer).execute(&mut observer(&schema).await).await.unwrap();
        store.migrate().await.unwrap();
        assert!(store.is_migrated().await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn the_mail_ledger_is_pruned_by_its_index() {
    in_schema(|_, schema| async move {
        // `pg_indexes` would look at the indexes of other tests' schemas too, which may be dropped at the same moment.
        let find = "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = to_regclass($1)";
        let found: Vec<String> = sqlx::query_scalar(find)
            .bind(format!("\"{schema}\".mail_ledger"))
            .fetch_all(&mut observer(&schema).await)
            .await
            .unwrap();
        assert!(found.iter().any(|definition| definition.ends_with("(updated_at)")), "{found:?}");
    })
    .await;
}

/// Stands between a store and the database. The first connection over which the word comes back is cut on the store's side alone: the
/// database goes on with what it was asked to do.
async fn cutting_proxy(word: &'static str) -> (u16, tokio::sync::mpsc::UnboundedReceiver<()>) {
    let database: PgConnectOptions = url().parse().unwrap();
    let upstream = format!("{}:{}", database.get_host(), database.get_port());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (said, heard) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut is_first = true;
        while let Ok((mut store, _)) = listener.accept().await {
            let mut database = TcpStream::connect(&upstream).await.unwrap();
            let (said, cuts) = (said.clone(), std::mem::replace(&mut is_first, false));
            tokio::spawn(async move {
                let (mut asks, mut answers) = (vec![0; 65_536], vec![0; 65_536]);
                loop {
                    tokio::select! {
                        Ok(count @ 1..) = store.read(&mut asks) => database.write_all(&asks[..count]).await.unwrap(),
                        Ok(count @ 1..) = database.read(&mut answers) => {
                            let answer = &answers[..count];
                            let holds_word = answer.windows(word.len()).any(|part| part == word.as_bytes());
                            if holds_word {
                                said.send(()).unwrap();
                            }
                            if holds_word && cuts {
                                break;
                            }
                            store.write_all(answer).await.unwrap();
                        }
                        else => return,
                    }
                }
                drop(store);
                while let Ok(1..) = database.read(&mut answers).await {}
            });
        }
    });
    (port, heard)
}

#[tokio::test]
async fn an_insert_that_goes_on_after_its_connection_was_lost_is_answered_as_inserted() {
    in_schema(|_, schema| async move {
        let mut observer = observer(&schema).await;
        let hold = "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                        RAISE NOTICE 'the insert is held';
                        PERFORM pg_advisory_xact_lock(hashtext(TG_TABLE_SCHEMA));
                        RETURN NULL;
                    END $$;
                    CREATE TRIGGER hold BEFORE INSERT ON tasks FOR EACH STATEMENT EXECUTE FUNCTION hold();";
        sqlx::raw_sql(hold).execute(&mut observer).await.unwrap();
        sqlx::query("SELECT pg_advisory_lock(hashtext($1))").bind(&schema).execute(&mut observer).await.unwrap();
        let (port, mut inserts) = cutting_proxy("the insert is held").await;
        let sign = if url().contains('?') { '&' } else { '?' };
        let proxied = format!("{}{sign}host=127.0.0.1&port={port}&sslmode=disable", url());
        let store: Arc<dyn Store> = Arc::new(PgStore::connect(&proxied, &schema, 1).await.unwrap());
        let tasks = [dispatched(task(0)), dispatched(task(0))];
        let (answers, ()) = tokio::join!(store.insert(&tasks), async {
            // The first try, which is cut off, and the second one, which waits behind it.
            inserts.recv().await.unwrap();
            inserts.recv().await.unwrap();
            sqlx::query("SELECT pg_advisory_unlock(hashtext($1))").bind(&schema).execute(&mut observer).await.unwrap();
        });
        let answers: Vec<_> = answers.unwrap().into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, [InsertAnswer::Inserted, InsertAnswer::Inserted]);
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM tasks").fetch_one(&mut observer).await.unwrap();
        assert_eq!(count, 2);
        store.close().await;
    })
    .await;
}
