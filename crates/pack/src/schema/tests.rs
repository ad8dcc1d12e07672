use serde_json::Value as Json;

use super::pack_schema;
use crate::shape;
use crate::tree::{Text, parse};

const PUBLISHED: &str = include_str!("../../pack.schema.json");

/// Whether the schema takes a document, and whether the loader's check of shapes does.
fn taken(toml: &str) -> (bool, bool) {
    let text = Text { label: "pack.toml", text: toml };
    let root = parse(text).unwrap();
    let validator = jsonschema::options().build(&pack_schema()).unwrap();
    (validator.is_valid(&root.json()), shape::check(&root, text).is_empty())
}

#[test]
fn the_published_schema_is_that_of_the_loader() {
    let published: Json = serde_json::from_str(PUBLISHED).unwrap();
    assert!(
        published == pack_schema(),
        "pack.schema.json is old; write it anew by: cargo run -p legwork-pack --example schema > crates/pack/pack.schema.json"
    );
}

#[test]
fn schema_and_loader_take_the_same_documents() {
    let head = "[pack]\nname = \"p\"\ndescription = \"d\"\n";
    let kind = |lines: &str| format!("{head}[kinds.\"p.k\"]\ndescription = \"d\"\n{lines}\n");
    assert_eq!(taken(include_str!("../../starter/pack.toml")), (true, true));
    assert_eq!(
        taken(&kind(
            "runner = \"sql\"\nsql = \"x\"\ntime_limit = 270\nparams = { a = \"string\", b = { type = \"list\", items = \"integer\" } }"
        )),
        (true, true)
    );
    assert_eq!(
        taken(&kind("runner = \"http\"\nurl = \"x\"\nexpected_status = [200]\njson = [1]\nheaders = { a = \"b\" }")),
        (true, true)
    );
    let wrong = [
        head.replace("name", "nam"),
        format!("{head}[kind.x]\n"),
        kind(""),
        kind("runner = \"sqll\""),
        kind("runner = \"sql\"\nsql = 5"),
        kind("runner = \"sql\"\nsql = \"x\"\ntemplate = \"y\""),
        kind("runner = \"email\"\nto = \"x\""),
        kind("runner = \"sql\"\npriority = 10"),
        kind("runner = \"sql\"\ntime_limit = \"soon\""),
        kind("runner = \"sql\"\nrate = \"10\""),
        kind("runner = \"sql\"\nparams = { a = { typ = \"string\" } }"),
        kind("runner = \"sql\"\nretry = { backoff = \"linear\" }"),
        kind("runner = \"sql\"\nsteps = [{ name = \"A\", sql = \"x\" }]"),
        kind("runner = \"http\"\nurl = \"x\"\nexpected_status = [99]"),
        kind("runner = \"report\"\nfile = true"),
        format!("{head}[schedules.S]\nkind = \"p.k\"\nsolar = {{ event = \"dawn\", latitude = 91, longitude = 0 }}\n"),
        format!("{head}[schedules.S]\ncrontab = \"@daily\"\n"),
    ];
    for toml in wrong {
        assert_eq!(taken(&toml), (false, false), "{toml}");
    }
}
