//! `sms.bulk`, on both pairs: nobody twice, nobody left out, whatever the provider does and whoever dies.

use std::collections::BTreeMap;

use legwork::config::SmsProvider;
use legwork_engine::domain::{TaskId, TaskStatus};
use legwork_engine::store::{RecipientFilter, RecipientRow};
use serde_json::{Value, json};

use super::gateway::{Act, Gateway};
use crate::outbound::receiver::answer;
use crate::support::engine::Engine;

macro_rules! on_both_pairs {
    ($($case:ident,)+) => {
        $(mod $case {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn embedded() {
                crate::support::engine::embedded(super::cases::$case).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn production() {
                crate::support::engine::production(super::cases::$case).await;
            }
        })+
    };
}

on_both_pairs! {
    without_a_provider_messages_are_files_and_bad_numbers_are_rejected_alone,
    each_recipient_gets_its_own_text_and_its_answer_is_kept,
    a_provider_that_asks_for_time_gets_it_and_nobody_twice,
    a_provider_that_is_away_costs_a_retry_and_nobody,
    a_provider_that_refuses_us_rejects_nobody,
    a_provider_that_hangs_up_leaves_few_unknown,
    what_is_unknown_is_sent_again_on_request,
    a_worker_that_dies_within_a_hand_over_leaves_that_one_unknown_and_nobody_gets_two,
    what_is_wrong_with_a_list_is_named,
}

/// The same process with a provider, which is called by one at a time.
fn through(engine: &Engine, url: &str) -> Engine {
    let url = url.to_owned();
    engine.tuned(|config| {
        config.sms.provider = SmsProvider::Hubtel { url, client_id: "client".into(), client_secret: "secret".into() };
        config.sms.connections = 1;
    })
}

fn number(index: usize) -> String {
    format!("+23320{index:07}")
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(number).collect()
}

async fn rows(engine: &Engine, id: TaskId) -> Vec<RecipientRow> {
    engine.ground().store.recipients(id, &RecipientFilter::default(), 1_000).await.unwrap()
}

async fn count_outcomes(engine: &Engine, id: TaskId) -> BTreeMap<&'static str, usize> {
    let mut count_outcomes = BTreeMap::new();
    for row in rows(engine, id).await {
        *count_outcomes.entry(row.state.as_str()).or_default() += 1;
    }
    count_outcomes
}

/// The result of a task that succeeded.
async fn result(engine: &Engine, id: TaskId) -> Value {
    let status = engine.ended(id).await;
    assert_eq!(status.status, TaskStatus::Success, "{status:?}");
    serde_json::from_str(status.result.as_ref().unwrap().get()).unwrap()
}

mod cases {
    use super::*;

    pub async fn without_a_provider_messages_are_files_and_bad_numbers_are_rejected_alone(engine: Engine) {
        let pool = engine.start_pool().await;
        let numbers = ["+233244123456", "0244123456", " +233201234567", "+233244123456", "+1\r\nTo: +2", "+233201234567"];
        let id = engine.submit("sms.bulk", json!({ "phone_numbers": numbers, "message": "ж".repeat(71) })).await;
        let result = result(&engine, id).await;
        assert_eq!(result["message"], "2 of 4 messages are in the outbox, 2 rejected");
        let counted = ["success", "total", "accepted", "rejected", "deferred", "unknown", "suppressed", "segments"];
        assert_eq!(
            counted.map(|name| result[name].clone()),
            [json!(true), json!(4), json!(2), json!(2), json!(0), json!(0), json!(0), json!(4),]
        );
        let refused: Vec<_> = rows(&engine, id).await.into_iter().filter(|row| row.state.as_str() == "rejected").collect();
        assert!(refused[0].response.as_ref().unwrap().contains("does not start with '+'"), "{refused:?}");
        let files = std::fs::read_dir(&engine.config.sms.outbox).unwrap().count();
        assert_eq!(files, 2);
        pool.end().await;
    }

    pub async fn each_recipient_gets_its_own_text_and_its_answer_is_kept(engine: Engine) {
        let gateway = Gateway::start(|to, _| {
            let refused = answer("400 Bad Request", "", r#"{"status":1}"#);
            if to == number(1) { Act::Say(refused) } else { Act::Take }
        })
        .await;
        let engine = through(&engine, &gateway.url());
        let pool = engine.start_pool().await;
        let args = json!({
            "recipients": [
                { "phone_number": number(0), "context": { "name": "Ama {{ farm }}" } },
                { "phone_number": number(1), "context": { "name": "Kofi" } },
                { "phone_number": number(2) },
            ],
            "message": "{{ name }}, come to {{ farm }}.",
            "context": { "farm": "Akosombo" },
        });
        let id = engine.submit("sms.bulk", args).await;
        let result = result(&engine, id).await;
        assert_eq!((&result["accepted"], &result["rejected"], &result["segments"]), (&json!(1), &json!(2), &json!(1)));
        assert_eq!(
            gateway.messages(),
            [(number(0), "Ama {{ farm }}, come to Akosombo.".to_owned()), (number(1), "Kofi, come to Akosombo.".to_owned()),]
        );
        let rows = rows(&engine, id).await;
        assert_eq!(rows[0].reference, Some(format!("id-{}", number(0))));
        assert_eq!(rows[1].response.as_deref(), Some("the provider answered 400 Bad Request, code 1: the number is not valid"));
        assert_eq!(rows[2].response.as_deref(), Some("the message needs name, which the context does not give"));
        let progress = engine.row(id).await.progress.unwrap();
        // What comes in quick succession is folded.
        assert!(progress.done > 0 && progress.total == Some(3), "{progress:?}");
        pool.end().await;
    }

    pub async fn a_provider_that_asks_for_time_gets_it_and_nobody_twice(engine: Engine) {
        let gateway = Gateway::start(|to, before| match before {
            0 if to == number(2) => Act::Say(answer("429 Too Many Requests", "retry-after: 120\r\n", "")),
            _ => Act::Take,
        })
        .await;
        let engine = through(&engine, &gateway.url());
        let pool = engine.start_pool().await;
        let id = engine.submit("sms.bulk", json!({ "phone_numbers": numbers(5), "message": "Come." })).await;
        let row = engine.row_when(id, |row| row.attempt.0 == 1 && row.status != TaskStatus::Started).await;
        assert_eq!(row.due_at.duration_since(engine.now()).as_secs(), 120);
        assert_eq!(count_outcomes(&engine, id).await, BTreeMap::from([("accepted", 2), ("deferred", 1), ("queued", 2)]));
        engine.pass_delay(&engine.scheduler(), id).await;
        assert_eq!(result(&engine, id).await["accepted"], 5);
        let mut copies = gateway.copies();
        assert_eq!(copies.remove(&number(2)), Some(2));
        assert!(copies.len() == 4 && copies.values().all(|&copies| copies == 1), "{copies:?}");
        pool.end().await;
    }

    pub async fn a_provider_that_is_away_costs_a_retry_and_nobody(engine: Engine) {
        let gateway = Gateway::start(|_, _| Act::Take).await;
        let url = gateway.url();
        drop(gateway);
        let engine = through(&engine, &url);
        let pool = engine.start_pool().await;
        let id = engine.submit("sms.bulk", json!({ "phone_numbers": numbers(3), "message": "Come." })).await;
        let status = engine.settled(id).await;
        assert_eq!(status.status, TaskStatus::Retry, "{status:?}");
        assert_eq!(status.error.unwrap().kind, "SmsError");
        assert_eq!(count_outcomes(&engine, id).await, BTreeMap::from([("deferred", 1), ("queued", 2)]));
        pool.end().await;
    }

    pub async fn a_provider_that_refuses_us_rejects_nobody(engine: Engine) {
        let gateway = Gateway::start(|_, _| Act::Say(answer("401 Unauthorized", "", ""))).await;
        let engine = through(&engine, &gateway.url());
        let pool = engine.start_pool().await;
        let id = engine.submit("sms.bulk", json!({ "phone_numbers": numbers(3), "message": "Come." })).await;
        let status = engine.settled(id).await;
        assert_eq!(status.status, TaskStatus::Retry, "{status:?}");
        assert_eq!(status.error.unwrap().message, "the provider answered 401 Unauthorized");
        assert_eq!(count_outcomes(&engine, id).await, BTreeMap::from([("deferred", 1), ("queued", 2)]));
        assert_eq!(gateway.messages().len(), 1);
        pool.end().await;
    }

    pub async fn a_provider_that_hangs_up_leaves_few_unknown(engine: Engine) {
        let gateway = Gateway::start(|_, _| Act::Say(String::new())).await;
        let engine = through(&engine, &gateway.url());
        let pool = engine.start_pool().await;
        let id = engine.submit("sms.bulk", json!({ "phone_numbers": numbers(20), "message": "Come." })).await;
        assert_eq!(engine.settled(id).await.status, TaskStatus::Retry);
        assert_eq!(count_outcomes(&engine, id).await, BTreeMap::from([("queued", 17), ("unknown", 3)]));
        pool.end().await;
    }

    pub async fn what_is_unknown_is_sent_again_on_request(engine: Engine) {
        for (policy, unknown, copies) in [("hold", 1, 1), ("resend", 0, 2)] {
            let gateway =
                Gateway::start(|to, before| if to == number(1) && before == 0 { Act::Say("rubbish".into()) } else { Act::Take })
                    .await;
            let engine = through(&engine, &gateway.url());
            let pool = engine.start_pool().await;
            let args = json!({ "phone_numbers": numbers(4), "message": "Come.", "on_unknown": policy });
            let id = engine.submit("sms.bulk", args).await;
            if policy == "resend" {
                engine.row_when(id, |row| row.attempt.0 == 1 && row.status != TaskStatus::Started).await;
                engine.pass_delay(&engine.scheduler(), id).await;
            }
            let result = result(&engine, id).await;
            assert_eq!((&result["unknown"], &result["accepted"]), (&json!(unknown), &json!(4 - unknown)), "{policy}");
            assert_eq!(gateway.copies()[&number(1)], copies, "{policy}");
            pool.end().await;
        }
    }

    pub async fn a_worker_that_dies_within_a_hand_over_leaves_that_one_unknown_and_nobody_gets_two(engine: Engine) {
        let gateway = Gateway::start(|to, _| if to == number(12) { Act::Silence } else { Act::Take }).await;
        let engine = through(&engine, &gateway.url());
        let pool = engine.start_pool().await;
        let id = engine.submit("sms.bulk", json!({ "phone_numbers": numbers(30), "message": "Come." })).await;
        gateway.until_silent().await;
        pool.kill();
        let next = engine.another();
        let mut pool = next.start_pool().await;
        next.pass_lease(&next.scheduler(), &mut [&mut pool]).await;
        let result = result(&next, id).await;
        assert_eq!((&result["accepted"], &result["unknown"], &result["total"]), (&json!(29), &json!(1), &json!(30)));
        let copies = gateway.copies();
        assert!(copies.len() == 30 && copies.values().all(|&copies| copies == 1), "{copies:?}");
        let unknown: Vec<_> = rows(&next, id).await.into_iter().filter(|row| row.state.as_str() == "unknown").collect();
        assert_eq!(unknown.iter().map(|row| row.recipient.as_str()).collect::<Vec<_>>(), [number(12)]);
        pool.end().await;
    }

    pub async fn what_is_wrong_with_a_list_is_named(engine: Engine) {
        let engine = engine.tuned(|config| config.bulk.recipient_limit = 3);
        let kind = legwork::kinds::KindSet::compiled();
        let kind = kind.get(&legwork_engine::domain::KindName::parse("sms.bulk").unwrap()).unwrap().clone();
        let field_errors = |args: Value| format!("{:?}", kind.check(&args.to_string(), &engine.services).unwrap_err());
        let one = json!([{ "phone_number": "+233201234567", "context": { "name": "Ama" } }]);
        for (args, words) in [
            (json!({ "message": "x" }), "/phone_numbers\", detail: \"is missing"),
            (json!({ "message": "x", "phone_numbers": [], "recipients": one }), "give one of them"),
            (json!({ "message": "x", "phone_numbers": numbers(4) }), "has 4 recipients; at most 3 are allowed"),
            (json!({ "message": "{{ name", "recipients": one }), "has a {{ without its }}"),
            (json!({ "message": "{{ name | upper }}", "recipients": one }), "has the place"),
            (json!({ "message": " ", "phone_numbers": numbers(1) }), "is blank"),
            (json!({ "message": "Hi {{ name }}", "phone_numbers": numbers(1) }), "nobody has a context"),
            (json!({ "message": "x", "phone_numbers": numbers(1), "rate": 0 }), "/rate"),
            (json!({ "message": "x", "phone_numbers": numbers(1), "sender_id": "" }), "/sender_id"),
        ] {
            let said = field_errors(args.clone());
            assert!(said.contains(words), "{args}: {said}");
        }
        let literal = json!({ "message": "{{ as it is", "phone_numbers": numbers(1) });
        assert!(kind.check(&literal.to_string(), &engine.services).is_ok());
    }
}
