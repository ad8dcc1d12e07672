use std::collections::BTreeMap;

use super::super::router::schemas_brought;
use super::*;

/// utoipa lets the later of two schemas with one name replace the earlier one in silence.
#[test]
fn no_two_types_share_a_name() {
    let mut known: BTreeMap<String, serde_json::Value> = BTreeMap::new();
    let kinds = KindSet::compiled();
    let of_kinds = kinds.public().flat_map(|kind| {
        let own = (kind.schema_name.clone(), kind.schema.clone());
        kind.components.clone().into_iter().chain([own])
    });
    let mut clashes = Vec::new();
    for (name, schema) in schemas_brought().into_iter().chain(of_kinds) {
        let schema = serde_json::to_value(&schema).unwrap();
        if known.get(&name).is_some_and(|other| *other != schema) {
            clashes.push(name.clone());
        }
        known.insert(name, schema);
    }
    assert_eq!(clashes, Vec::<String>::new());
    let components = document(&kinds).components.unwrap();
    // The bodies that are put together by hand, and the shared problem.
    let made = ["BatchItem", "BatchSubmission", "TaskSubmission", "Problem", "FieldError", "Moment"].map(str::to_owned);
    let typed = kinds.public().filter(|kind| kind.route.is_some()).map(|kind| bodies::typed_name(&kind));
    for name in made.into_iter().chain(typed) {
        known.entry(name).or_default();
    }
    let missing: Vec<&String> = known.keys().filter(|name| !components.schemas.contains_key(*name)).collect();
    assert_eq!(missing, Vec::<&String>::new());
    assert_eq!(components.schemas.len(), known.len(), "a schema has come that no type brings: {:?}", components.schemas.keys());
}
