//! What is refused, and what fails.

use legwork_engine::domain::TaskFailure;
use serde_json::{Value, json};

use super::{Bench, MODELS, january, sources};

fn actual(bench: &Bench, args: &Value) -> String {
    bench
        .field_errors(args)
        .iter()
        .map(|field_error| format!("{} {}", field_error.pointer, field_error.detail))
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test]
async fn each_bad_field_is_told_by_its_pointer() {
    let bench = Bench::new(None);
    assert_eq!(actual(&bench, &january("activity")), "");
    let mut args = january("activity");
    for (field, value, wanted) in [
        ("date_from", json!("2024-02-01"), "/date_to 2024-01-31 is before date_from, 2024-02-01"),
        ("date_from", json!("2018-06-01"), "/date_to 2024-01-31 is more than 5 years after date_from, 2018-06-01"),
        ("date_to", json!("31.01.2024"), "/date_to \"31.01.2024\" is not a day like 2024-01-31"),
        ("source", json!("shop"), "/source there is no source \"shop\"; there are app"),
    ] {
        let good = args[field].take();
        args[field] = value;
        assert_eq!(actual(&bench, &args), wanted);
        args[field] = good;
    }
    for (field, value, pointer) in [
        ("report_type", json!("sales"), "/report_type "),
        ("date_from", json!(20_240_101), "/date_from "),
        ("email_to", json!(5), "/email_to "),
        ("email_to", json!("nobody"), "/email_to \"nobody\" is not an e-mail address"),
        ("email_to", json!(["a@b.example", "x@y\r\nBcc: z@example.org"]), "/email_to/1 "),
        ("email_to", json!(vec!["a@b.example"; 21]), "/email_to has 21 addresses; 20 are allowed"),
        ("timezone", json!("Africa/Accra"), "/timezone is unknown; allowed are "),
    ] {
        let mut args = january("activity");
        args[field] = value;
        let actual = actual(&bench, &args);
        assert!(actual.starts_with(pointer) && actual.lines().count() == 1, "{field}: {actual}");
    }
    let missing = actual(&bench, &json!({}));
    for field in ["report_type", "date_from", "date_to"] {
        assert!(missing.contains(&format!("/{field} is missing")), "{missing}");
    }
}

#[tokio::test]
async fn a_model_that_is_not_declared_is_refused_at_the_submission() {
    let users = "[sources.app.models.user]\ntable = \"users\"\nfields = { id = \"integer\", email = \"text\" }\n";
    let bench = Bench::new(Some(sources("sqlite:/nonexistent/app.db", users)));
    let told_of = |about| actual(&bench, &january(about));
    assert_eq!(
        told_of("activity"),
        "/report_type no model of the source app has the role activity: declare [sources.app.models.activity] in SOURCES"
    );
    assert_eq!(told_of("users"), "/report_type no field of the model user has the role created; declare it in SOURCES");
    // The declaration may change between submission and run.
    let failure = bench.attempt(1, &january("activity")).await.unwrap_err();
    assert!(matches!(&failure, TaskFailure::Fail(error) if error.kind == "SourceUndeclared"), "{failure:?}");
}

#[tokio::test]
async fn a_source_that_is_away_is_tried_again() {
    let bench = Bench::new(Some(sources("sqlite:/nonexistent/app.db", &MODELS.replace("{schema}", ""))));
    assert_eq!(actual(&bench, &january("users")), "");
    let failure = bench.attempt(1, &january("users")).await.unwrap_err();
    assert!(matches!(&failure, TaskFailure::Retry { error, .. } if error.kind == "SourceUnavailable"), "{failure:?}");
}
