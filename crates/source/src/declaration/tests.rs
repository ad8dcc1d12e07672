use secrecy::ExposeSecret as _;
use serde_json::json;

use super::*;

fn vars() -> BTreeMap<String, String> {
    BTreeMap::from([
        ("APP_DB".to_owned(), "postgres://u:hidden@h/app".to_owned()),
        ("WRONG".to_owned(), "mysql://u:hidden@h".to_owned()),
    ])
}

fn read(text: &str) -> SourcesConfig {
    SourcesConfig::parse(text, &vars()).unwrap()
}

fn mistakes(text: &str) -> Vec<String> {
    SourcesConfig::parse(text, &vars()).unwrap_err()
}

#[test]
fn the_demonstration_declares_a_model_for_every_role() {
    let config = SourcesConfig::demo(Path::new("data"));
    let app = &config.sources["app"];
    assert!(matches!(&app.place, SourcePlace::Demo(path) if path == Path::new("data/demo.db")));
    for role in ModelRole::ALL {
        assert_eq!(app.models[role.as_str()].role, Some(role));
    }
    let user = &app.models["user"];
    assert_eq!(user.field_with(FieldRole::Address).unwrap().name, "email");
    assert_eq!(user.field_with(FieldRole::Name).unwrap().name, "first_name");
    assert_eq!(user.values["active"], json!(1));
    let content = &app.models["content"];
    for role in [
        FieldRole::PublishAt,
        FieldRole::PublishedAt,
        FieldRole::ExpiresAt,
        FieldRole::Status,
        FieldRole::Created,
        FieldRole::Views,
    ] {
        assert!(content.field_with(role).is_some(), "{role}");
    }
    let notification = &app.models["notification"];
    for role in [FieldRole::User, FieldRole::Title, FieldRole::Body, FieldRole::Read, FieldRole::ReadAt, FieldRole::Created] {
        assert!(notification.field_with(role).is_some(), "{role}");
    }
}

#[test]
fn a_declaration_is_read_with_its_usual_values() {
    let config = read(
        r#"
[sources.app]
url = "env:APP_DB"
[sources.app.models.member]
table = "shop.members"
key = "nr"
role = "user"
export = ["nr", "mail"]
roles = { address = "mail" }
fields = { nr = "integer", mail = { type = "text", column = "e mail" }, secret = "text" }
[sources.old]
url = "sqlite:old.db"
models = { thing = { fields = { id = "uuid" } } }
"#,
    );
    let SourcePlace::Postgres(url) = &config.sources["app"].place else { panic!("postgres") };
    assert_eq!(url.expose_secret(), "postgres://u:hidden@h/app");
    assert!(!format!("{config:?}").contains("hidden"));
    let member = &config.sources["app"].models["member"];
    assert_eq!((member.table.as_str(), member.key.as_str(), member.role), ("shop.members", "nr", Some(ModelRole::User)));
    assert_eq!(member.fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>(), ["nr", "mail", "secret"]);
    assert_eq!(member.field("mail").unwrap().column, "e mail");
    assert_eq!(member.exportable().collect::<Vec<_>>(), ["nr", "mail"]);
    assert_eq!(member.filterable().collect::<Vec<_>>(), ["nr", "mail"]);
    assert_eq!(member.field_with(FieldRole::Address).unwrap().name, "mail");
    assert!(!member.may_write);
    let thing = &config.sources["old"].models["thing"];
    assert_eq!((thing.table.as_str(), thing.key.as_str(), thing.role), ("thing", "id", None));
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let reported = mistakes(
        r#"
[sources.app]
url = "env:NOWHERE"
color = "red"
[sources.app.models.user]
tabel = "users"
key = "nr"
fields = { id = "int", "e-mail" = "text", name = "text", born = "date", state = "json" }
filter = ["id", "shoe"]
export = "all"
write = "yes"
role = "boss"
roles = { address = "born", boss = "name" }
values = { published = 1, wild = 2 }
[sources.app.models.admin]
table = ""
[sources.bad]
url = "env:WRONG"
[sources.bad.models."x;y"]
fields = { id = 5 }
"#,
    );
    let expected = [
        "line 3: sources.app.url: the environment variable \"NOWHERE\" is not set",
        "line 4: sources.app.color: is unknown; allowed are url, models",
        "line 6: sources.app.models.user.tabel: is unknown; allowed are table, key,",
        "line 7: sources.app.models.user.key: \"nr\" is none of its fields",
        "line 8: sources.app.models.user.fields.id: the type \"int\" is not one of integer, number, text,",
        "line 8: sources.app.models.user.fields.e-mail: a name is a letter",
        "line 9: sources.app.models.user.filter: \"id\" is none of its fields",
        "line 9: sources.app.models.user.filter: \"shoe\" is none of its fields",
        "line 10: sources.app.models.user.export: is not a list of texts",
        "line 11: sources.app.models.user.write: must be true or false",
        "line 12: sources.app.models.user.role: \"boss\" is not one of user, admin,",
        "line 13: sources.app.models.user.roles.address: \"born\" is of type date; such a field is text",
        "line 13: sources.app.models.user.roles: \"boss\" is not one of address,",
        "line 14: sources.app.models.user.values.published: is not of the type of state, json",
        "line 14: sources.app.models.user.values: \"wild\" is not one of active,",
        "line 15: sources.app.models.admin.fields: is missing",
        "line 16: sources.app.models.admin.table: \"\" must have 1 to 63 bytes",
        "line 18: sources.bad.url: the environment variable WRONG is neither postgres://",
        "line 19: sources.bad.models.x;y: a name is a letter",
    ];
    for (reported, expected) in reported.iter().zip(expected) {
        assert!(reported.starts_with(expected), "{reported}\nis not\n{expected}");
    }
    assert_eq!(reported.len(), expected.len(), "{reported:#?}");
    assert!(!reported.concat().contains("hidden"));
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let reported = mistakes("[sources.app]\nurl = postgres\n[sources.app]\n");
    assert!(reported[0].starts_with("line 2: "), "{reported:?}");
    assert_eq!(mistakes(""), ["line 1: sources: is missing"]);
    assert_eq!(mistakes("sources = 5\n"), ["line 1: sources: is not a table"]);
}

#[test]
fn a_role_belongs_to_one_model() {
    let reported = mistakes(
        "[sources.app]\nurl = \"sqlite:x\"\n[sources.app.models.a]\nrole = \"user\"\nfields = { id = \"integer\" }\n\
         [sources.app.models.b]\nrole = \"user\"\nfields = { id = \"integer\" }\n",
    );
    assert_eq!(reported, ["line 6: sources.app.models.b.role: \"a\" has the role user already"]);
}
