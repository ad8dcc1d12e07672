use serde_json::{Value as Json, json};

use crate::{Host, PackFiles, PackSet, Params};

/// The params of a kind whose params are written as TOML.
fn params(toml: &str) -> Params {
    let text = format!(
        "[pack]\nname = \"p\"\ndescription = \"d\"\n[sources.s]\nurl = \"sqlite:x\"\n[kinds.\"p.k\"]\ndescription = \"d\"\nrunner = \"sql\"\nsql = \"SELECT 1\"\n[kinds.\"p.k\".params]\n{toml}\n"
    );
    let packs = PackSet::from_files(&[PackFiles::from_texts("p", [("pack.toml", text)])], &Host::default()).unwrap();
    packs.kind("p.k").unwrap().1.params.clone()
}

fn all() -> Params {
    params(
        r#"
title = "string"
count = { type = "integer", min = 1, max = 10, default = 3 }
share = { type = "number", optional = true }
is_new = { type = "boolean", default = false }
day = { type = "date", optional = true }
at = { type = "datetime", optional = true }
id = { type = "uuid", optional = true }
email = { type = "email", optional = true }
phone = { type = "phone", optional = true }
ids = { type = "list", items = "integer", min_items = 1, max_items = 3, example = [1, 2] }
level = { type = "string", enum = ["low", "high"], default = "low" }
code = { type = "string", pattern = "^[0-9]{4}$", optional = true, secret = true, example = "1234" }
place = { type = "object", optional = true, fields = { region = "string", active = { type = "boolean", default = true } } }
extra = { type = "object", optional = true }
"#,
    )
}

/// `pointer: detail` of each fault.
fn faults(args: &str) -> Vec<String> {
    all().parse(args).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_are_applied_and_what_is_left_out_is_null() {
    let args = all().parse(r#"{"title":"t","ids":[5.0],"place":{"region":"Ho"}}"#).unwrap();
    let expected = json!({
        "title": "t", "count": 3, "share": null, "is_new": false, "day": null, "at": null, "id": null, "email": null, "phone": null,
        "ids": [5], "level": "low", "code": null, "place": { "region": "Ho", "active": true }, "extra": null,
    });
    assert_eq!(Json::Object(args), expected);
}

#[test]
fn all_faults_are_told_at_once_with_pointers() {
    let told = faults(
        r#"{"count":11,"share":"x","is_new":1,"day":"2026-02-30","at":"2026-01-31T09:00:00","id":"7","email":"a@@b","phone":"0244123456",
            "ids":[1,"2",3,4],"level":"mid","code":"12a4","place":{"regoin":"Ho"},"tilte":"x"}"#,
    );
    let expected = [
        "/title: is missing",
        "/count: must be from 1 to 10; got 11",
        "/share: must be a number; got \"x\"",
        "/is_new: must be true or false; got 1",
        "/day: must be a day like \"2026-01-31\"; got \"2026-02-30\"",
        "/at: must be a time with an offset (RFC 3339) like",
        "/id: must be a UUID like",
        "/email: must be a mail address like",
        "/phone: must be a number in the international form like",
        "/ids: has 4 items; it must have from 1 to 3",
        "/level: \"mid\" is not allowed; allowed are \"low\", \"high\"",
        "/code: does not match the pattern ^[0-9]{4}$",
        "/place/region: is missing",
        "/place/regoin: is unknown; allowed are region, active; did you mean \"region\"?",
        "/tilte: is unknown; allowed are title,",
    ];
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\nis not\n{expected}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    assert_eq!(faults("[1]"), [": must be an object; got a list"]);
    assert!(faults("{")[0].contains("is not JSON"));
    assert_eq!(faults(r#"{"title":"t","ids":[1,"2"]}"#), ["/ids/1: must be a whole number; got \"2\""]);
}

#[test]
fn a_secret_is_never_repeated() {
    let told = faults(r#"{"title":"t","ids":[1],"code":98765}"#);
    assert!(!told.concat().contains("98765"), "{told:?}");
    assert_eq!(all().secrets().into_iter().collect::<Vec<_>>(), ["/code"]);
}

#[test]
fn the_schema_says_what_the_params_say() {
    let schema = all().json_schema();
    assert_eq!(schema["required"], json!(["title", "ids"]));
    assert_eq!(schema["additionalProperties"], json!(false));
    let of = |name: &str| schema["properties"][name].clone();
    assert_eq!(of("count"), json!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": 10, "default": 3 }));
    assert_eq!(of("share"), json!({ "type": ["number", "null"] }));
    assert_eq!(of("day"), json!({ "type": ["string", "null"], "format": "date" }));
    assert_eq!(of("level"), json!({ "type": "string", "enum": ["low", "high"], "default": "low" }));
    let ids = json!({ "type": "array", "items": { "type": "integer", "format": "int64" }, "minItems": 1, "maxItems": 3, "examples": [[1, 2]] });
    assert_eq!(of("ids"), ids);
    assert_eq!(of("place")["properties"]["active"], json!({ "type": "boolean", "default": true }));
    assert_eq!(of("place")["required"], json!(["region"]));
    assert_eq!(of("code")["writeOnly"], json!(true));
}

#[test]
fn an_example_is_made_of_what_is_required() {
    assert_eq!(Json::Object(all().example()), json!({ "title": "text", "ids": [1, 2], "code": "1234" }));
    let made_up = params(
        "a = \"uuid\"\nb = \"phone\"\nc = { type = \"integer\", min = 7 }\nd = { type = \"string\", min_length = 9, max_length = 10 }",
    );
    assert!(made_up.apply(&made_up.example()).is_ok());
}

#[test]
fn secrets_inside_objects_and_lists_are_found_and_never_quoted() {
    let params = params(
        r#"
login = { type = "object", fields = { user = "string", pin = { type = "integer", secret = true } } }
codes = { type = "list", items = { type = "integer", secret = true } }
people = { type = "list", items = { type = "object", fields = { pin = { type = "string", secret = true } } } }
card = { type = "object", secret = true, fields = { number = "integer", days = { type = "list", items = "date" } } }
"#,
    );
    let secrets: Vec<String> = params.secrets().into_iter().collect();
    assert_eq!(secrets, ["/card", "/codes/*", "/login/pin", "/people/*/pin"]);
    let args = r#"{"login":{"user":"u","pin":"s3cret"},"codes":["s3cret"],"people":[{"pin":5553}],"card":{"number":"s3cret","days":["s3cret"]}}"#;
    let faults = params.parse(args).unwrap_err();
    assert_eq!(faults.len(), 5, "{faults:?}");
    let quoted: Vec<&str> =
        faults.iter().map(|fault| &*fault.detail).filter(|detail| detail.contains("s3cret") || detail.contains("5553")).collect();
    assert_eq!(quoted, [] as [&str; 0]);
}
