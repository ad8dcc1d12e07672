//! Bulk mail, on both pairs: nobody twice, nobody left out, whatever the mail server does and whoever dies.

mod kills;
mod lists;
mod outcomes;
mod people;

use std::collections::BTreeMap;

use legwork_engine::domain::{TaskId, TaskStatus};
use legwork_engine::store::{RecipientFilter, RecipientRow};
use legwork_mail::{SmtpConfig, SmtpSecurity};
use serde_json::{Value, json};

use crate::support::engine::{Engine, RunningPool};
use crate::support::smtp::SmtpServer;

macro_rules! on_both_pairs {
    ($($module:ident { $($case:ident,)+ })+) => {
        $(mod $module {
            $(mod $case {
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn embedded() {
                    crate::support::engine::embedded(crate::bulk::$module::$case).await;
                }
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn production() {
                    crate::support::engine::production(crate::bulk::$module::$case).await;
                }
            })+
        })+
    };
}

mod pairs {
    on_both_pairs! {
        outcomes {
            the_documents_body_works_on_the_outbox,
            each_recipient_is_mailed_once_and_its_answer_is_kept,
            a_server_without_pipelining_is_served_step_by_step,
            an_address_at_which_the_server_hangs_up_holds_nobody_up,
            a_server_that_hangs_up_at_everybody_is_left_alone,
            an_attempt_that_reaches_nobody_tells_how_far_the_others_came,
            a_recipient_refused_for_now_is_tried_again_later,
            who_is_refused_for_now_for_ever_is_deferred_in_the_end,
            a_mail_without_an_answer_is_unknown_and_held,
            a_mail_without_an_answer_is_sent_again_on_request,
            a_server_that_closes_now_and_then_loses_nobody,
            a_server_that_is_away_costs_a_retry_and_nobody,
            a_server_that_refuses_the_sender_rejects_nobody,
            nobody_reached_is_a_failure,
            what_fails_for_everybody_fails_at_once,
        }
        kills {
            a_worker_that_dies_within_a_hand_over_leaves_that_one_unknown,
            a_worker_that_was_given_up_hands_nothing_over,
            many_kills_mail_nobody_twice_and_leave_nobody_out,
            a_store_that_is_away_for_a_while_loses_no_answer,
            a_revoke_stops_in_the_middle,
            a_paused_queue_stops_in_the_middle_and_goes_on,
            a_retry_by_hand_mails_those_who_were_not_reached,
        }
        lists {
            recipients_are_listed_in_pages_and_by_outcome,
            recipients_come_as_one_csv_file,
            the_list_of_a_task_is_seen_by_who_sees_the_task,
            what_is_wrong_with_a_list_is_named,
            ten_thousand_addresses_are_taken_by_default,
        }
        people {
            who_is_suppressed_gets_nothing,
            an_address_that_does_not_exist_gets_nothing_any_more,
            a_link_unsubscribes_by_its_button_only,
            a_context_may_bring_its_own_link_and_the_recipients_own_counts_most,
            the_suppression_list_is_kept_by_who_may,
            what_would_break_out_of_a_header_does_not,
        }
    }
}

/// The same process with a mail server.
fn mailing(engine: &Engine, server: &SmtpServer) -> Engine {
    let port = server.port();
    engine.tuned(|config| {
        config.mail.from = "TaskEvent <task_event@example.org>".into();
        config.mail.smtp = Some(SmtpConfig {
            host: "127.0.0.1".into(),
            port,
            security: SmtpSecurity::Plain,
            login: None,
            connections: 1,
            messages_per_connection: 25,
            timeout: std::time::Duration::from_secs(20),
        });
        config.bulk.connections = 3;
        config.bulk.public_url = "https://tasks.example.org".into();
        config.bulk.is_public = true;
        config.auth.secrets = vec![crate::support::service::SECRET.into()];
    })
}

/// `r0@example.net` and so on.
fn addresses(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("r{n}@example.net")).collect()
}

fn body(to: &[String]) -> Value {
    json!({ "recipient_emails": to, "subject": "TaskEvent", "template_name": "newsletter", "context": { "content": "Come and see." } })
}

/// Submits, and waits until the task has ended.
async fn run(engine: &Engine, args: Value) -> (TaskId, Value) {
    let pool = engine.start_pool().await;
    let id = engine.submit("email.bulk", args).await;
    let status = engine.ended(id).await;
    assert_eq!(status.status, TaskStatus::Success, "{status:?}");
    let progress = status.progress.as_ref().expect("it tells how far it is");
    assert_eq!(Some(progress.done), progress.total, "the last word is of the end");
    pool.end().await;
    (id, serde_json::from_str(status.result.as_ref().unwrap().get()).unwrap())
}

async fn rows(engine: &Engine, id: TaskId) -> Vec<RecipientRow> {
    engine.ground().store.recipients(id, &RecipientFilter::default(), 20_000).await.unwrap()
}

/// The outcome of each address.
async fn outcomes(engine: &Engine, id: TaskId) -> BTreeMap<String, &'static str> {
    rows(engine, id).await.into_iter().map(|row| (row.address, row.state.as_str())).collect()
}

/// How many have each outcome.
async fn count_outcomes(engine: &Engine, id: TaskId) -> BTreeMap<&'static str, usize> {
    let mut count_outcomes = BTreeMap::new();
    for outcome in outcomes(engine, id).await.into_values() {
        *count_outcomes.entry(outcome).or_default() += 1;
    }
    count_outcomes
}

/// A worker is declared dead, its task rescued, and another one starts.
async fn succeeded_by(engine: &Engine, dead: RunningPool) -> (Engine, RunningPool) {
    dead.kill();
    let next = engine.another();
    let mut pool = next.start_pool().await;
    next.pass_lease(&next.scheduler(), &mut [&mut pool]).await;
    (next, pool)
}
