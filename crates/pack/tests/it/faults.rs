//! Every fault is told with file, line and column, with what is wrong and what is allowed.

use std::collections::BTreeMap;

use legwork_pack::{Fault, Host, PackFiles, PackSet};

use super::support::{HEAD, host, load, load_files};

/// Lines after [`HEAD`] (which has five), and what is told of them: the beginning of each message, and words that it holds.
fn told(lines: &str, expected: &[(&str, &str)]) {
    let faults = load(lines).unwrap_err();
    assert_eq!(faults.len(), expected.len(), "{lines}\n{faults:#?}");
    for (fault, (start, words)) in faults.iter().zip(expected) {
        assert!(fault.starts_with(start) && fault.contains(words), "{fault}\nis not\n{start} … {words}");
    }
}

/// A kind with the runner `sql`, and more lines.
fn sql_kind(lines: &str) -> String {
    format!("[kinds.\"p.k\"]\ndescription = \"d\"\nrunner = \"sql\"\n{lines}\n")
}

/// The fault of one line of a kind: line 9 of the file.
fn sql_line(line: &str, start: &str, words: &str) {
    let lines = sql_kind(line) + "sql = \"DELETE FROM t\"";
    told(&lines, &[(&format!("p/pack.toml:9:{start}"), words)]);
}

#[test]
fn what_is_no_toml_is_told_with_its_place() {
    told("[kinds\n", &[("p/pack.toml:6:7: ", "not valid TOML")]);
    let faults = load_files(&[("pack.toml", "")]).unwrap_err();
    assert_eq!(
        faults,
        ["p/pack.toml:1:1: pack: is missing. Begin the file with a table [pack], which names and describes the pack."]
    );
}

#[test]
fn unknown_fields_are_told_with_the_nearest_known_one() {
    sql_line("qeue = \"x\"", "1: kinds.\"p.k\".qeue: ", "Did you mean \"queue\"?");
    sql_line("template = \"x\"", "1: kinds.\"p.k\".template: ", "is unknown here. Allowed are description, runner");
    told("[schedule.x]\nkind = \"p.k\"\n", &[("p/pack.toml:6:2: schedule: ", "Did you mean \"schedules\"?")]);
}

#[test]
fn fields_of_the_wrong_form_are_told() {
    sql_line("priority = 10", "12: kinds.\"p.k\".priority: ", "must be a whole number from 0 to 9; got 10.");
    sql_line("time_limit = \"5 minutes\"", "14: kinds.\"p.k\".time_limit: ", "must be a duration like \"90s\"");
    sql_line("rate = \"10 a minute\"", "8: kinds.\"p.k\".rate: ", "must be a rate like \"10/m\"");
    sql_line("rate = \"0/m\"", "8: kinds.\"p.k\".rate: ", "must be a rate");
    sql_line("scope = \"admn\"", "9: kinds.\"p.k\".scope: ", "Did you mean \"admin\"?");
    sql_line("concurrency = 2", "1: kinds.\"p.k\".concurrency: ", "is unknown here");
    sql_line("queue = \"Heavy Work\"", "9: kinds.\"p.k\".queue: ", "is not a name of a queue");
    sql_line("max_retries = true", "15: kinds.\"p.k\".max_retries: ", "got true");
    sql_line(
        "retry = { backoff = \"fixed\", cap = \"1h\" }",
        "30: kinds.\"p.k\".retry.cap: ",
        "has no meaning with backoff = \"fixed\"",
    );
    sql_line("retry = { backoff = \"exponential\", base = \"2h\" }", "9: kinds.\"p.k\".retry: ", "must not be above the longest");
    sql_line(
        "soft_time_limit = \"31m\"",
        "1: kinds.\"p.k\".soft_time_limit: ",
        "must be below time_limit; they are 1860 and 1800 seconds",
    );
    sql_line("source = \"t\"", "10: kinds.\"p.k\".source: ", "declares no source \"t\"");
    sql_line("when = \"{{ params.x }}\"", "8: kinds.\"p.k\".when: ", "written bare");
    sql_line("when = \"now >\"", "8: kinds.\"p.k\".when: ", "does not parse");
    sql_line("example = { x = 1 }", "11: kinds.\"p.k\".example: ", "/x: is unknown");
}

#[test]
fn a_kind_says_what_it_is() {
    told("[kinds.\"p.k\"]\ndescription = \"d\"\n", &[("p/pack.toml:6:8: kinds.\"p.k\".runner: is missing", "sql, fan_out")]);
    told(
        "[kinds.\"p.k\"]\ndescription = \"d\"\nrunner = \"sqll\"\n",
        &[("p/pack.toml:8:10: kinds.\"p.k\".runner: must be one of", "Did you mean \"sql\"?")],
    );
    told(
        "[kinds.\"p.k\"]\nrunner = \"sql\"\nsql = \"DELETE FROM t\"\n",
        &[("p/pack.toml:6:8: kinds.\"p.k\".description: is missing", "for the user")],
    );
    told(
        &sql_kind("").replace("p.k", "K"),
        &[("p/pack.toml:6:8: kinds.K: ", "is not a name of a kind"), ("p/pack.toml:6:8: kinds.K.sql: is missing", "`steps`")],
    );
    told(
        &sql_kind("sql = \"DELETE FROM t\"").replace("p.k", "notify.admins"),
        &[("p/pack.toml:6:8: ", "there is a compiled kind")],
    );
}

#[test]
fn names_in_expressions_are_known_where_they_stand() {
    let kind = |lines: &str| sql_kind(&format!("sql = \"DELETE FROM t\"\nparams = {{ days = \"integer\" }}\n{lines}"));
    let is = |lines: &str, words: &str| told(&kind(lines), &[("p/pack.toml:11:", words)]);
    is("when = \"params.dais > 1\"", "there is no param \"dais\". Allowed are days. Did you mean \"days\"?");
    is("when = \"day\"", "the name \"day\" is unknown here");
    is("when = \"row.x\"", "no `query` is read before this");
    is("when = \"results.affected\"", "no named step, query or link comes before this");
    is("when = \"outcome.x\"", "known after the effect only");
    is("summary = \"{{ error.type }}\"", "known in `on_failure` only");
    is("summary = \"{{ results.affectd }}\"", "Did you mean \"affected\"?");
    is("summary = \"{{ settings.sitename }}\"", "Did you mean \"site_name\"?");
    is("summary = \"{{ task.idd }}\"", "Did you mean \"id\"?");
    is("summary = \"{{ params.days | }}\"", "does not parse");
    is("result = { a = [1, \"{{ nothing }}\"] }", "the name \"nothing\" is unknown here");
}

#[test]
fn params_are_checked_against_themselves() {
    let param = |param: &str, start: &str, words: &str| {
        told(
            &sql_kind(&format!("sql = \"DELETE FROM t\"\n[kinds.\"p.k\".params]\n{param}")),
            &[(&format!("p/pack.toml:11:{start}"), words)],
        );
    };
    param("a = \"strng\"", "5: kinds.\"p.k\".params.a: ", "Did you mean \"string\"?");
    param("queue = \"string\"", "1: ", "is an option of every submission");
    param("now = \"string\"", "1: ", "statements know \"now\" already");
    param("\"A b\" = \"string\"", "1: ", "is not a name");
    param("a = { type = \"list\" }", "", "`items` does not say of what");
    param(
        "a = { type = \"integer\", pattern = \"x\" }",
        "",
        "has no meaning for the type integer. Remove it. This type takes min, max.",
    );
    param("a = { type = \"integer\", min = 5, default = 3 }", "", "does not fit the param itself: must be at least 5; got 3.");
    param(
        "a = { type = \"list\", items = \"email\", example = [\"x\"] }",
        "",
        "does not fit the param itself at /0: must be a mail address",
    );
    param("a = { type = \"string\", enum = [1] }", "", "1 must be a text");
    param("a = { type = \"string\", pattern = \"(\" }", "", "is not a regular expression");
    param("a = { type = \"integer\", optional = false, default = 3 }", "", "may be left out");
}

#[test]
fn an_example_that_cannot_be_made_up_is_asked_for() {
    told(
        &sql_kind("sql = \"DELETE FROM t\"\nparams = { a = { type = \"string\", pattern = \"^[0-9]{6}$\" } }"),
        &[("p/pack.toml:6:8: kinds.\"p.k\".params: ", "no example can be made up for the params: /a: does not match")],
    );
}

#[test]
fn statements_use_declared_parameters() {
    let faults = load_files(&[
        (
            "pack.toml",
            &format!(
                "{HEAD}{}",
                sql_kind(
                    "sql = \"sql/x.sql\"\nparams = { days = \"integer\" }\nbind = { unused = \"x\", days = \"x\", now = \"x\" }"
                )
            ),
        ),
        ("sql/x.sql", "UPDATE t SET a = ':ok'\nWHERE b = :dais AND c = :dais AND d = :days"),
        ("sql/x.postgres.sql", "SELECT 1;\nSELECT $1"),
    ])
    .unwrap_err();
    let expected = [
        ("p/pack.toml:11:10: kinds.\"p.k\".bind.unused: ", "no statement uses :unused"),
        ("p/pack.toml:11:24: kinds.\"p.k\".bind.days: ", "is a param already"),
        ("p/pack.toml:11:36: kinds.\"p.k\".bind.now: ", ":now is bound already"),
        ("p/sql/x.postgres.sql:2:8: kinds.\"p.k\".sql: ", "numbered parameters"),
        ("p/sql/x.sql:2:11: kinds.\"p.k\".sql: ", "the parameter :dais is not declared"),
    ];
    for (fault, (start, words)) in faults.iter().zip(expected.iter().skip(1)) {
        assert!(
            faults.iter().any(|fault| fault.starts_with(start) && fault.contains(words)),
            "{start} … {words} is missing: {faults:#?}\n{fault}"
        );
    }
    sql_file_fault(
        "sql = \"sql/y.sql\"",
        "the pack has no file \"sql/y.sql\". Paths are relative to the folder of pack.toml. Allowed are sql/x.sql. Did you mean \"sql/x.sql\"?",
    );
    sql_file_fault("sql = \"../x.sql\"", "leads out of the pack");
    sql_file_fault("sql = \"SELECT 1; SELECT 2\"\nrows = \"one\"", "must be one statement");
    sql_file_fault("sql = \"BEGIN\"", "BEGIN is not allowed");
    sql_file_fault("sql = \"DELETE FROM t WHERE a = {{ now }}\"", "SQL is no template");
    sql_file_fault("steps = []\nsql = \"DELETE FROM t\"", "not allowed together with `sql`");
    sql_file_fault(
        "sql = \"SELECT 1 WHERE 1 IN (:x)\"\nbind = { x = { type = \"list\", value = [1] } }",
        "`items` does not say of what",
    );
}

fn sql_file_fault(lines: &str, words: &str) {
    let toml = format!("{HEAD}{}", sql_kind(lines));
    let faults = load_files(&[("pack.toml", &toml), ("sql/x.sql", "SELECT 1")]).expect_err(lines);
    assert!(faults[0].contains(words), "{lines}: {faults:#?}");
}

#[test]
fn a_pack_without_a_source_has_no_sql() {
    let faults = load_files(&[(
        "pack.toml",
        &format!("[pack]\nname = \"p\"\ndescription = \"d\"\n{}", sql_kind("sql = \"DELETE FROM t\"")),
    )])
    .unwrap_err();
    assert!(faults[0].starts_with("p/pack.toml:7:1: kinds.\"p.k\".sql: needs a database"), "{faults:?}");
    let two = format!("{HEAD}[sources.t]\nurl = \"env:T\"\n{}", sql_kind("sql = \"DELETE FROM t\""));
    let faults = load_files(&[("pack.toml", &two)]).unwrap_err();
    assert!(
        faults[0].contains("does not say in which database. Give the kind a `source`, or [defaults] one: s, t."),
        "{faults:?}"
    );
}

#[test]
fn sources_settings_and_models_are_checked() {
    told(
        "[settings]\nsite_name = \"x\"\n[models.m]\nfields = { id = \"int\", b = \"text\" }\nkey = \"c\"\nexport = [\"d\"]\nroles = { adress = \"b\" }\nvalues = { on = 1 }\n",
        &[
            ("p/pack.toml:7:1: settings.site_name: ", "the server's own"),
            ("p/pack.toml:9:17: models.m.fields.id: ", "the type \"int\" is unknown"),
            ("p/pack.toml:10:7: models.m.key: ", "no field \"c\""),
            ("p/pack.toml:11:11: models.m.export: ", "no field \"d\""),
            ("p/pack.toml:12:11: models.m.roles.adress: ", "Did you mean \"address\"?"),
            ("p/pack.toml:13:12: models.m.values.on: ", "Allowed are active"),
        ],
    );
    let source = |lines: &str| {
        load_files(&[("pack.toml", &format!("[pack]\nname = \"p\"\ndescription = \"d\"\n[sources.s]\n{lines}\n"))]).unwrap_err()
    };
    assert!(source("url = \"mysql://u:hidden@h/d\"")[0].contains("must be env:NAME, sqlite:PATH or postgres://"));
    assert!(!source("url = \"mysql://u:hidden@h/d\"")[0].contains("hidden"));
    assert!(source("url = \"env:A B\"")[0].contains("not the name of an environment variable"));
    assert!(source("demo = \"demo.sql\"").iter().any(|fault| fault.contains("fills the tables that `schema` makes")));
    assert!(source("schema = \"CREATE TABLE t (a)\"")[0].contains("must be a file of the pack that ends in .sql"));
}

#[test]
fn a_setting_that_has_to_be_there_is_missed() {
    let toml = format!("{HEAD}[settings]\ntoken = {{ env = \"P_TOKEN\" }}\n");
    let files = [PackFiles::from_texts("p", [("pack.toml", toml)])];
    let with = |vars: &[(&str, &str)]| {
        let vars: BTreeMap<String, String> = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        PackSet::from_files(&files, &Host { vars: Some(vars), ..host() })
    };
    let faults = with(&[]).unwrap_err();
    assert_eq!(
        faults.to_string(),
        "p/pack.toml:7:1: settings.token: the environment variable P_TOKEN is not set. Set it, or give the setting a `default`."
    );
    assert_eq!(with(&[("P_TOKEN", "x")]).unwrap().packs()[0].settings["token"].value, "x");
    assert!(PackSet::from_files(&files, &host()).is_ok());
}

#[test]
fn runners_say_what_they_need() {
    let kind = |runner: &str, lines: &str| format!("[kinds.\"p.k\"]\ndescription = \"d\"\nrunner = \"{runner}\"\n{lines}\n");
    let is = |runner: &str, lines: &str, words: &str| {
        let faults = load(&kind(runner, lines)).unwrap_err();
        assert!(faults[0].contains(words), "{runner} {lines}: {faults:#?}");
        assert_eq!(faults.len(), 1, "{faults:#?}");
    };
    let mail = "to = \"a@b.c\"\nsubject = \"s\"\n";
    is(
        "email",
        &format!("{mail}template = \"notificatoin\""),
        "there is no mail template \"notificatoin\". Make templates/emails/notificatoin.html or .txt in the pack. Allowed are notification. Did you mean \"notification\"?",
    );
    is("email", mail, "Give a template or a text.");
    is("email", &format!("{mail}template = \"notification\"\ntext = \"x\""), "not both");
    is("email", &format!("{mail}template = \"notification\"\nhtml = \"x\""), "a template makes its own HTML");
    is(
        "email",
        &format!("{mail}text = \"x\"\ncontext = {{ a = 1 }}"),
        "a text can use params, row and the other variables directly",
    );
    is("email", &format!("{mail}text = \"{{{{ row.x }}}}\""), "no `query` is read before this");
    is("email", &format!("{mail}text = \"x\"\nno_row = \"skip\""), "belongs to `query`, which is missing");
    is("email", "subject = \"s\"\ntext = \"x\"", "to: is missing");
    is("sms", "to = \"+233244123456\"", "message: is missing");
    is("http", "url = \"https://a.example\"\nmethod = \"GET\"\njson = {}", "is not sent with GET");
    is("http", "url = \"https://a.example\"\nexpected_status = [99]", "a list of whole numbers from 200 to 599");
    is("report", "template = \"x\"", "there is no template \"templates/reports/x.html\"");
    is("report", "file = \"x.html\"", "belongs to `template`");
    is("export", "", "Give a declared model, or a query.");
    is("export", "model = \"m\"", "the pack declares no model \"m\"");
    is(
        "export",
        "query = \"SELECT 1\"\nformat = \"xlsx\"\ngzip = true",
        "has no meaning for the format xlsx; it is for csv and ndjson",
    );
    is("export", "query = \"SELECT 1\"\nfields = [\"a\"]", "belongs to `model`");
    is("fan_out", "query = \"SELECT 1 AS id\"\nkey = \"id\"\nchildren = []", "Give at least one child.");
    is("fan_out", "query = \"SELECT 1 AS id\"\nkey = \"id\"\nchildren = [{ kind = \"p.x\" }]", "there is no kind \"p.x\"");
    is(
        "fan_out",
        "query = \"SELECT 1 AS id\"\nkey = \"id\"\nchildren = [{ kind = \"notify.admins\", args = { subject = \"s\" }, eta = \"{{ now }}\", countdown = 1 }]",
        "not both",
    );
    is("chain", "links = []", "Give at least one link.");
    is("chain", "rate = \"3/m\"\nlinks = [{ name = \"a\", kind = \"notifications.cleanup\" }]", "is not allowed for a chain");
    is(
        "chain",
        "links = [{ name = \"a\", kind = \"notifications.cleanup\", args = { days = \"{{ results.a }}\" } }]",
        "no named step, query or link comes before this",
    );
    is(
        "builtin",
        "kind = \"notify.admin\"",
        "there is no compiled kind \"notify.admin\". Allowed are notifications.cleanup, notify.admins. Did you mean \"notify.admins\"?",
    );
    is("builtin", "kind = \"notify.admins\"", "needs the arg \"subject\", which is missing");
    is(
        "builtin",
        "kind = \"notifications.cleanup\"\nargs = { dais = 1 }",
        "has no arg \"dais\". Allowed are days, source. Did you mean \"days\"?",
    );
    is(
        "sql",
        "steps = [{ name = \"a\", sql = \"DELETE FROM t\" }, { name = \"a\", sql = \"DELETE FROM t\" }]",
        "the name \"a\" is taken",
    );
    is("sql", "steps = [{ name = \"success\", sql = \"DELETE FROM t\" }]", "every result has a field \"success\" already");
}

#[test]
fn args_of_children_and_schedules_fit_the_kinds() {
    let kinds = sql_kind("sql = \"DELETE FROM t WHERE id = :id\"\nparams = { id = \"integer\" }");
    told(
        &format!("{kinds}[schedules.\"S\"]\nkind = \"p.k\"\ncrontab = \"@daily\"\nargs = {{ id = \"x\", ix = 1 }}\n"),
        &[
            ("p/pack.toml:11:12: schedules.S.args: /id: must be a whole number; got \"x\".", ""),
            ("p/pack.toml:11:12: schedules.S.args: /ix: is unknown; allowed are id", ""),
        ],
    );
    told(
        &format!("{kinds}[schedules.\"S\"]\nkind = \"p.kk\"\ncrontab = \"@daily\"\n"),
        &[("p/pack.toml:11:12: schedules.S.kind: ", "Did you mean \"p.k\"?")],
    );
    let fan_out = |args: &str| {
        format!(
            "{kinds}[kinds.\"p.f\"]\ndescription = \"d\"\nrunner = \"fan_out\"\nquery = \"SELECT 1 AS id\"\nkey = \"id\"\nchildren = [{{ kind = \"p.k\", args = {args} }}]\n"
        )
    };
    told(&fan_out("{ id = \"one\" }"), &[("p/pack.toml:16:", "/id: must be a whole number; got \"one\".")]);
    told(&fan_out("{ id = \"{{ row.id }}\", x = 1 }"), &[("p/pack.toml:16:", "has no arg \"x\". Allowed are id.")]);
    assert!(load(&fan_out("{ id = \"{{ row.id }}\" }")).is_ok());
}

#[test]
fn schedules_fire_exactly_when_they_say() {
    let kinds = sql_kind("sql = \"DELETE FROM t\"");
    let is = |lines: &str, start: &str, words: &str| {
        told(&format!("{kinds}[schedules.\"S\"]\nkind = \"p.k\"\n{lines}\n"), &[(&format!("p/pack.toml:{start}"), words)]);
    };
    is("", "10:12: schedules.S: ", "does not say when it fires. Give one of crontab, interval, clocked, solar.");
    is("crontab = \"0 9 * *\"", "12:11: schedules.S.crontab: ", "");
    is("crontab = \"0 25 * * *\"", "12:11: schedules.S.crontab: ", "25");
    is("crontab = \"0 0 30 2 *\"", "12:11: schedules.S.crontab: ", "");
    is("crontab = \"* * * * * *\"", "12:11: schedules.S.crontab: ", "");
    is("crontab = \"@daily\"\ninterval = \"5m\"", "13:1: schedules.S.interval: ", "Give exactly one of");
    is("interval = \"500ms\"", "12:12: schedules.S.interval: ", "");
    is("clocked = \"soon\"", "12:11: schedules.S.clocked: ", "soon");
    is("solar = { event = \"moonrise\", latitude = 1, longitude = 1 }", "12:", "must be one of dawn");
    is("solar = { event = \"dawn\", latitude = 91, longitude = 1 }", "12:", "must be a number from -90 to 90; got 91.");
    is("crontab = \"@daily\"\ntimezone = \"Europe/Londn\"", "13:12: schedules.S.timezone: ", "Europe/London");
    is("crontab = \"@daily\"\nstart = \"2026-02-01T00:00:00Z\"\nend = \"2026-01-01T00:00:00Z\"", "14:", "");
    is("crontab = \"@daily\"\nmissed_limit = 3", "13:1: schedules.S.missed_limit: ", "belongs to missed = \"all\"");
    is("crontab = \"@daily\"\noverlap = \"wait\"", "13:11: ", "must be one of allow, skip, queue_one");
}

#[test]
fn a_clocked_time_that_has_passed_is_refused_where_the_time_is_known() {
    let toml = format!(
        "{HEAD}{}[schedules.\"S\"]\nkind = \"p.k\"\nclocked = \"2026-01-01T00:00:00Z\"\n",
        sql_kind("sql = \"DELETE FROM t\"")
    );
    let load = |toml: &str, now: Option<&str>| {
        let files = [PackFiles::from_texts("p", [("pack.toml", toml)])];
        PackSet::from_files(&files, &Host { now: now.map(|now| now.parse().unwrap()), ..host() })
    };
    let faults = load(&toml, Some("2026-01-02T00:00:00Z")).unwrap_err().to_string();
    assert!(faults.starts_with("p/pack.toml:12:11: schedules.S.clocked: "), "{faults}");
    assert!(load(&toml, Some("2025-12-31T00:00:00Z")).is_ok());
    assert!(load(&toml, None).is_ok());
    assert!(load(&format!("{toml}enabled = false\n"), Some("2026-01-02T00:00:00Z")).is_ok());
}

#[test]
fn routes_fit_a_kind_and_name_a_queue() {
    told(
        &format!("{}[routes]\n\"q.*\" = \"heavy\"\n\"p.*\" = \"Very Heavy\"\n", sql_kind("sql = \"DELETE FROM t\"")),
        &[
            ("p/pack.toml:11:1: routes.\"q.*\": ", "matches no kind of this pack"),
            ("p/pack.toml:12:9: routes.\"p.*\": ", "is not a name of a queue"),
        ],
    );
}

#[test]
fn templates_parse_and_use_known_names() {
    let toml = format!(
        "{HEAD}[kinds.\"p.k\"]\ndescription = \"d\"\nrunner = \"email\"\nto = \"a@b.c\"\nsubject = \"s\"\ntemplate = \"hello\"\ncontext = {{ colour = \"red\" }}\nparams = {{ name = \"string\" }}\n"
    );
    let faults = load_files(&[
        ("pack.toml", &toml),
        (
            "templates/emails/hello.html",
            "{{ colour }} {{ params.name }} {{ recipient_name }}\n{{ params.nam }}\n{% set x = 1 %}{{ x }}{{ color }}",
        ),
        ("templates/emails/broken.txt", "one\n{% if %}"),
        ("templates/emails/unused.txt", "{{ anything }}"),
    ])
    .unwrap_err();
    let expected = [
        ("p/templates/emails/broken.txt:2:1: ", "does not parse"),
        ("p/templates/emails/hello.html:2:1: ", "there is no param \"nam\""),
        ("p/templates/emails/hello.html:3:1: ", "the name \"color\" is unknown here"),
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, (start, words)) in faults.iter().zip(expected) {
        assert!(fault.starts_with(start) && fault.contains(words), "{fault}\nis not\n{start} … {words}");
    }
}

#[test]
fn names_belong_to_one_pack() {
    let toml = format!("{HEAD}{}[schedules.\"S\"]\nkind = \"p.k\"\ncrontab = \"@daily\"\n", sql_kind("sql = \"DELETE FROM t\""));
    let files = ["one", "two"].map(|label| PackFiles::from_texts(label, [("pack.toml", toml.as_str())]));
    let faults = PackSet::from_files(&files, &host()).unwrap_err();
    let told: Vec<String> = faults.iter().map(Fault::to_string).collect();
    for what in [
        "a kind \"p.k\" already (one/pack.toml:6:8)",
        "a source \"s\" already",
        "a schedule \"S\" already",
        "another pack has the name \"p\" already",
    ] {
        assert!(told.iter().any(|fault| fault.starts_with("two/pack.toml:") && fault.contains(what)), "{what}: {told:#?}");
    }
    assert_eq!(told.len(), 4, "{told:#?}");
}

#[test]
fn a_kind_that_reaches_itself_is_refused() {
    let link = |name: &str, next: &str| {
        format!("[kinds.\"{name}\"]\ndescription = \"d\"\nrunner = \"chain\"\nlinks = [{{ name = \"l\", kind = \"{next}\" }}]\n")
    };
    told(
        &[link("p.a", "p.b"), link("p.b", "p.c"), link("p.c", "p.a"), link("p.d", "p.a")].concat(),
        &[("p/pack.toml:6:8: kinds.\"p.a\": reaches itself: p.a → p.b → p.c → p.a.", "Remove one")],
    );
    told(&link("p.a", "p.a"), &[("p/pack.toml:6:8: ", "p.a → p.a")]);
}

#[test]
fn a_folder_without_a_declaration_is_no_pack() {
    let folder = tempfile::tempdir().unwrap();
    let faults = PackSet::load(&[folder.path().to_path_buf(), "/nowhere/at/all".into()], &host()).unwrap_err();
    assert!(faults.iter().any(|fault| fault.message.contains("holds no pack.toml")), "{faults}");
    assert!(faults.iter().any(|fault| fault.message.contains("cannot be read")), "{faults}");
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_out_of_the_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("x.sql"), "SELECT 1").unwrap();
    std::fs::write(folder.path().join("pack.toml"), HEAD).unwrap();
    std::os::unix::fs::symlink(outside.path().join("x.sql"), folder.path().join("x.sql")).unwrap();
    let faults = PackSet::load(&[folder.path().to_path_buf()], &host()).unwrap_err();
    assert!(faults.to_string().contains("leads out of the pack's folder"), "{faults}");
}

#[test]
fn a_query_only_reads() {
    let kind = |lines: &str| {
        format!("[kinds.\"p.k\"]\ndescription = \"d\"\nrunner = \"sms\"\nto = \"+233244123456\"\nmessage = \"m\"\n{lines}")
    };
    told(
        &kind("query = \"WITH a AS (DELETE FROM t RETURNING id) SELECT id FROM a\""),
        &[("p/pack.toml:11:9: kinds.\"p.k\".query: DELETE is not allowed here", "Use a step for what writes")],
    );
    told(
        &kind("queries.q = { sql = \"SELECT id FROM t FOR UPDATE\" }"),
        &[("p/pack.toml:11:21: kinds.\"p.k\".queries.q.sql: FOR UPDATE is not allowed here", "")],
    );
    assert!(load(&kind("before = [{ name = \"a\", sql = \"SELECT id FROM t FOR UPDATE\", rows = \"many\" }]")).is_ok());
}

#[test]
fn unknown_filters_and_tests_are_told() {
    sql_line("summary = \"{{ today | dat }}\"", "11: kinds.\"p.k\".summary: ", "there is no filter \"dat\". Allowed are date");
    sql_line("when = \"today is defind\"", "8: kinds.\"p.k\".when: ", "there is no test \"defind\"");
    assert!(
        load(
            &(sql_kind("summary = \"{{ '| dat' }}{# | dat #}{{ [1] | sum }}{% if today is not defined %}x{% endif %}\"")
                + "sql = \"DELETE FROM t\"")
        )
        .is_ok()
    );
    let kind =
        "[kinds.\"p.k\"]\ndescription = \"d\"\nrunner = \"email\"\nto = \"a@example.com\"\nsubject = \"s\"\ntemplate = \"t\"\n";
    let faults = load_files(&[("pack.toml", &format!("{HEAD}{kind}")), ("templates/emails/t.html", "<p>\n{{ today | dat }}")])
        .unwrap_err();
    assert!(faults[0].starts_with("p/templates/emails/t.html:2:1: ") && faults[0].contains("no filter \"dat\""), "{faults:?}");
}

#[test]
fn plain_addresses_and_urls_are_checked() {
    let kind = |runner: &str, lines: &str| format!("[kinds.\"p.k\"]\ndescription = \"d\"\nrunner = \"{runner}\"\n{lines}\n");
    told(
        &kind("email", "to = [\"a@example.com\", \"b.example.com\"]\nsubject = \"s\"\ntext = \"t\""),
        &[("p/pack.toml:9:6: kinds.\"p.k\".to: \"b.example.com\" is not a mail address", "")],
    );
    told(&kind("sms", "to = \"0244123456\"\nmessage = \"m\""), &[("p/pack.toml:9:6: kinds.\"p.k\".to: ", "international form")]);
    told(&kind("http", "url = \"app.example/jobs\""), &[("p/pack.toml:9:7: kinds.\"p.k\".url: ", "is not a URL like")]);
    assert!(load(&kind("http", "url = \"{{ settings.frontend_url }}/jobs\"")).is_ok());
}

#[test]
fn paths_do_not_lead_out_of_the_pack() {
    told(&sql_kind("sql = \"../x.sql\""), &[("p/pack.toml:9:7: kinds.\"p.k\".sql: \"../x.sql\" leads out of the pack.", "")]);
    let kind = "[kinds.\"p.k\"]\ndescription = \"d\"\nrunner = \"email\"\nto = \"a@example.com\"\nsubject = \"s\"\ntemplate = \"../t\"\n";
    told(kind, &[("p/pack.toml:11:12: kinds.\"p.k\".template: \"../t\" leads out of templates/emails/.", "")]);
}

#[test]
fn plain_args_of_compiled_kinds_are_checked_by_the_host() {
    let mut host = host();
    let check = legwork_pack::ArgsCheck::new(|args| {
        let is_wrong =
            |(name, value): (&String, &serde_json::Value)| (name == "days" && !value.is_number()).then(|| name.clone());
        let wrong = args.iter().filter_map(is_wrong);
        let fault = |pointer: String| legwork_pack::ArgFault { pointer, detail: "must be a number".into() };
        wrong.map(|name| fault(format!("/{name}"))).chain([fault("/missing".into())]).collect()
    });
    host.kinds.get_mut("notifications.cleanup").unwrap().check = Some(check);
    let lines = "[kinds.\"p.k\"]\ndescription = \"d\"\nrunner = \"builtin\"\nkind = \"notifications.cleanup\"\nargs = { days = \"many\", source = \"{{ today }}\" }\n[schedules.S]\nkind = \"notifications.cleanup\"\ncrontab = \"@daily\"\nargs = { days = \"few\" }\n";
    let files = PackFiles::from_texts("p", [("pack.toml", format!("{HEAD}{lines}"))]);
    let faults = PackSet::from_files(&[files], &host).unwrap_err();
    let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
    assert_eq!(
        faults,
        [
            "p/pack.toml:6:8: kinds.\"p.k\".args: /days: must be a number.",
            "p/pack.toml:11:12: schedules.S.args: /days: must be a number.",
        ]
    );
}
