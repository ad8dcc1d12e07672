//! A bulk mail whose worker is killed again and again, through a mail server that drops one in a hundred after DATA.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Cluster, in_database};
use crate::support::engine::PATIENCE;
use crate::support::smtp::{Act, Moment, Setup};

const PEOPLE: usize = 3_000;
/// `BULK_CONNECTIONS` by default: so many hand-overs are under way at once.
const CONNECTIONS: usize = 8;

fn is_dropped(address: &str) -> bool {
    address.trim_end_matches("@example.net").ends_with("50")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_mail_outlives_kills_and_drops_with_nobody_twice_and_nobody_missing() {
    let smtp = Setup::new()
        .pipelining()
        .script(|step| match step.moment {
            Moment::Message(mail) if is_dropped(&mail.to[0]) => Act::TakeAndClose,
            _ => Act::Go,
        })
        .start()
        .await;
    in_database(|database| async move {
        let mut cluster = Cluster::mailing(database, 1, smtp).await;
        let to: Vec<String> = (0..PEOPLE).map(|n| format!("r{n}@example.net")).collect();
        let args =
            json!({ "recipient_emails": to, "subject": "TaskEvent", "template_name": "newsletter", "context": { "content": "C" } });
        let id = cluster.submit(vec![json!({ "kind": "email.bulk", "args": args })]).await.remove(0);
        let mut kills = 0;
        for taken in [200, 600, 601, 1_200, 1_700, 2_300] {
            let enough = cluster.smtp.until(|counts| counts.taken >= taken);
            tokio::time::timeout(PATIENCE, enough).await.expect("mails came");
            let worker = cluster.workers.remove(0);
            // One of them is told to end: that leaves nothing in doubt.
            if taken == 1_200 {
                assert_eq!(worker.end().await.code(), Some(0));
            } else {
                worker.kill().await;
                kills += 1;
            }
            cluster.start_worker(10).await;
        }
        let status = cluster.ended(&id).await;
        assert_eq!(status["status"], "SUCCESS", "{status}");

        let copies = cluster.smtp.copies();
        assert!(copies.values().all(|&copies| copies == 1), "somebody was mailed twice");
        let outcomes = cluster.outcomes(&id).await;
        assert_eq!(outcomes.len(), PEOPLE, "somebody is missing");
        let mut doubtful = 0;
        for (address, outcome) in &outcomes {
            match (outcome.as_str(), is_dropped(address)) {
                ("accepted", false) => assert!(copies.contains_key(address), "{address} was left out"),
                ("unknown", true) => {}
                ("unknown", false) => doubtful += 1,
                other => panic!("{address}: {other:?}"),
            }
        }
        assert!(doubtful <= kills * CONNECTIONS, "{doubtful} are unknown that were not dropped, after {kills} kills");
    })
    .await;
}

impl Cluster {
    /// The outcome of each recipient.
    async fn outcomes(&self, id: &str) -> BTreeMap<String, String> {
        let (mut outcomes, mut cursor) = (BTreeMap::new(), String::new());
        loop {
            let page = self.get(&format!("/tasks/{id}/recipients?limit=1000{cursor}")).await;
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            for item in page["items"].as_array().unwrap() {
                outcomes.insert(text(&item["recipient"]), text(&item["outcome"]));
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return outcomes,
            }
        }
    }
}
