//! What kinds of the packs change and send.

use serde_json::json;

use super::ground::on_both;

#[tokio::test(flavor = "multi_thread")]
async fn an_appointment_is_reminded_of_once() {
    on_both("labcontrol", async |ground| {
        let first = ground.run("labcontrol.send_appointment_reminders", &json!({})).await.unwrap();
        let created = first["created"].as_u64().unwrap();
        assert!(created > 0, "{first}");
        assert_eq!(ground.children().len() as u64, created);
        let by_mail = ground.children().iter().filter(|kind| *kind == "labcontrol.remind_by_email").count();
        assert_eq!(ground.mails().len(), by_mail, "{:?}", ground.children());
        let again = ground.run("labcontrol.send_appointment_reminders", &json!({})).await.unwrap();
        assert_eq!(again["rows"].as_u64(), first["skipped"].as_u64(), "{again}: only what nobody can be reached for is left");
        assert_eq!(ground.mails().len(), by_mail);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_after_the_mail_was_sent_sends_none_again() {
    on_both("labcontrol", async |ground| {
        let args = json!({ "appointment_id": 1 });
        let cx = ground.task("labcontrol.remind_by_email");
        let first = ground.attempt(&cx, "labcontrol.remind_by_email", 1, &args).await.unwrap();
        let second = ground.attempt(&cx, "labcontrol.remind_by_email", 2, &args).await.unwrap();
        assert_eq!(ground.mails().len(), 1, "{first}");
        assert_eq!(second, first, "the second attempt goes on behind the recorded effect");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_domain_with_an_address_gets_its_weekly_statistics() {
    on_both("blt", async |ground| {
        let domains = ground.number("SELECT COUNT(*) AS n FROM domains WHERE email IS NOT NULL AND email <> ''").await;
        let result = ground.run("blt.send_weekly_stats", &json!({})).await.unwrap();
        let sent = ground.number("SELECT COUNT(*) AS n FROM weekly_stats_log WHERE outcome = 'sent'").await;
        let created = result["created"].as_i64().unwrap() + result["refused"].as_i64().unwrap();
        assert_eq!(created, domains, "{result}");
        assert_eq!(i64::try_from(ground.mails().len()).unwrap(), sent);
        assert!(sent > 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_confirmed_and_ongoing_events_with_an_end_are_completed() {
    on_both("events", async |ground| {
        let due = "SELECT COUNT(*) AS n FROM events WHERE status = 'COMPLETED'";
        let before = ground.number(due).await;
        let result = ground.run("events.mark_ended_events_as_completed", &json!({})).await.unwrap();
        let changed = result["affected"].as_i64().unwrap();
        assert!(changed > 0, "{result}");
        assert_eq!(ground.number(due).await, before + changed);
        let again = ground.run("events.mark_ended_events_as_completed", &json!({})).await.unwrap();
        assert_eq!(again["affected"], 0);
    })
    .await;
}
