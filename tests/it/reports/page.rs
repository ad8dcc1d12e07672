//! The page, and the mail that leads to it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Bench, both, january};

/// What a page may not hold: it stands alone, and runs nothing.
fn check_page(html: &str) {
    for forbidden in ["<script", "javascript:", "onload=", "http://", "https://", "<link", "<img", "@import", "url(", "NaN"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    let ids: Vec<&str> = html.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    for named in html.split("aria-labelledby=\"").skip(1).flat_map(|rest| rest.split('"').next().unwrap().split(' ')) {
        assert!(ids.contains(&named), "{named}");
    }
    assert!(html.contains("@page") && html.contains("prefers-color-scheme: dark"));
    for tag in ["svg", "section", "table", "tr", "div", "main"] {
        let opened = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[tokio::test]
async fn the_page_shows_every_figure_and_runs_nothing() {
    both(|bench| async move {
        for (about, title, figures) in [
            ("activity", "Activity report", ["Actions", "Ada Mensah (1)", "+200.0 %", "1 to 31 January 2024"]),
            ("users", "Users report", ["Users in all", "suspended", "+100.0 %", "1 to 31 December 2023"]),
            ("content", "Content report", ["Root (1)", "Views of the created", "new", "50.0 %"]),
        ] {
            let result = bench.run(&january(about)).await;
            let html = bench.page(&result).await;
            check_page(&html);
            assert!(
                html.contains(&format!("<h1>{title}</h1>"))
                    && html.contains("<table>")
                    && html.contains("<svg")
                    && !html.contains("Nothing happened")
            );
            for figure in figures {
                assert!(html.contains(figure), "{about}: {figure}");
            }
            assert_eq!(result["success"], true);
            assert_eq!(result["file_path"], format!("reports/{}.html", bench.cx.task));
            let link = result["download_url"].as_str().unwrap();
            assert!(link.contains("/api/v1/files/reports/") && link.contains("signature="), "{link}");
        }
    })
    .await;
}

#[tokio::test]
async fn names_are_escaped_in_charts_and_tables() {
    both(|bench| async move {
        let html = bench.page(&bench.run(&january("activity")).await).await;
        assert!(!html.contains("Eve <b>") && html.matches("Eve &lt;b&gt;&amp;&quot; (3)").count() >= 3, "{html}");
    })
    .await;
}

#[tokio::test]
async fn an_empty_range_gives_zeros_and_a_page_that_says_so() {
    both(|bench| async move {
        for about in ["activity", "users", "content"] {
            let args = json!({ "report_type": about, "date_from": "2020-02-01", "date_to": "2020-02-29" });
            let result = bench.run(&args).await;
            assert!(result["totals"].as_object().unwrap().values().all(|total| *total == json!(0)), "{result}");
            let compared = result["comparison"]["totals"].as_object().unwrap();
            assert!(compared.values().all(|one| one["percent"] == json!(0.0)), "{result}");
            assert!(result["message"].as_str().unwrap().ends_with("there is nothing in this range"), "{result}");
            assert_eq!(result["series"].as_array().unwrap().len(), 29);
            let html = bench.page(&result).await;
            check_page(&html);
            assert!(html.contains("Nothing happened from 1 to 29 February 2020"), "{html}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_body_of_the_document_works_on_the_demonstration() {
    let bench = Bench::new(None);
    for about in ["activity", "users", "content"] {
        check_page(&bench.page(&bench.run(&january(about)).await).await);
        let args = json!({ "report_type": about, "date_from": "2022-01-01", "date_to": "2026-11-21" });
        let result = bench.run(&args).await;
        let html = bench.page(&result).await;
        check_page(&html);
        assert!(!html.contains("Nothing happened"));
        assert!(result.to_string().len() < 64 << 10, "{} bytes", result.to_string().len());
    }
}

#[tokio::test]
async fn each_address_gets_one_mail_however_many_attempts_there_are() {
    let bench = Bench::new(None);
    let mut args = january("activity");
    args["email_to"] = json!(["Ann <ann@example.org>", "bob@example.org", "ANN@example.org"]);
    let first = bench.attempt(1, &args).await.unwrap();
    let second = bench.attempt(2, &args).await.unwrap();
    assert_eq!(first["emails"], second["emails"]);
    let actual: Vec<&str> =
        first["emails"].as_array().unwrap().iter().map(|mail| mail["recipient_email"].as_str().unwrap()).collect();
    assert_eq!(actual, ["Ann <ann@example.org>", "bob@example.org"]);
    let sent: Vec<(String, Value)> =
        bench.post.taken.lock().iter().map(|(part, (_, args))| (part.clone(), args.clone())).collect();
    assert_eq!(sent.iter().map(|(part, _)| part.as_str()).collect::<Vec<_>>(), ["email-0", "email-1"]);
    let context = &sent[0].1["context"];
    assert_eq!(sent[0].1["subject"], "Activity report, 2024-01-01 to 2024-01-31");
    assert_eq!(context["report_url"], first["download_url"]);
    assert_eq!(context["totals"][0]["label"], "Actions");
    // One address as it is.
    args["email_to"] = json!("cleo@example.org");
    assert_eq!(bench.run(&args).await["emails"][0]["recipient_email"], "cleo@example.org");
}
