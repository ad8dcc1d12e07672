use std::path::PathBuf;

use super::*;

fn config(templates_dir: PathBuf) -> RenderConfig {
    RenderConfig { templates_dir, site_name: "Example & Co".into(), frontend_url: "https://example.org".into() }
}

fn built_in() -> Renderer {
    Renderer::new(&config("/nonexistent".into())).unwrap()
}

fn with_files(files: &[(&str, &str)]) -> Result<Renderer, RenderError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("emails")).unwrap();
    for (file, source) in files {
        std::fs::write(folder.path().join("emails").join(file), source).unwrap();
    }
    Renderer::new(&config(folder.path().into()))
}

fn render(renderer: &Renderer, name: &str, context: Value) -> Result<Rendered, RenderError> {
    let Value::Object(context) = context else { panic!("an object") };
    renderer.render(name, Scope { recipient_email: "ann@example.net", subject: "TaskEvent <now>" }, &Context::new(context))
}

#[test]
fn every_template_renders_with_the_little_that_the_documents_give() {
    let all = built_in();
    let cases = [
        ("welcome_user", json!({})),
        ("welcome_user", json!({ "user": { "first_name": "Ann", "email": "a@b.c" } })),
        ("welcome_user", json!({ "user": "Ann" })),
        ("welcome_admin", json!({ "user": { "name": "Ann", "role": "editor" } })),
        ("notification", json!({ "message": "One.\n\nTwo." })),
        ("newsletter", json!({ "content": "Newsletter content" })),
        ("newsletter", json!({ "content": 5, "items": [{ "title": "t", "text": "x", "url": "https://e.org" }] })),
        ("weekly_stats", json!({ "stats": { "open_issues": 5 }, "period": "week 47" })),
        ("test_template", json!({ "name": "Test User" })),
    ];
    for (name, context) in cases {
        let rendered = render(&all, name, context).unwrap_or_else(|error| panic!("{name}: {error}"));
        let html = rendered.html.unwrap();
        assert!(html.starts_with("<!DOCTYPE html>") && html.contains("Example &amp; Co"), "{name}: {html}");
        assert!(rendered.text.contains("Example & Co") && !rendered.text.contains("</"), "{name}: {}", rendered.text);
        assert!(!rendered.text.contains("\n\n\n"), "{name}: {}", rendered.text);
    }
    let names: Vec<&str> = all.names().collect();
    assert_eq!(names, ["newsletter", "notification", "report", "test_template", "weekly_stats", "welcome_admin", "welcome_user"]);
}

#[test]
fn a_missing_variable_is_named_with_its_file_and_line() {
    for (name, variable, line) in [("newsletter", "content", 2), ("notification", "message", 2), ("weekly_stats", "stats", 9)] {
        let error = render(&built_in(), name, json!({})).unwrap_err();
        assert!(matches!(error, RenderError::MissingVariable { .. }), "{error:?}");
        let reported = format!("template {name:?} needs {variable}, which the context does not give ({name}.html, line {line})");
        assert_eq!(error.to_string(), reported);
    }
    let own = with_files(&[
        ("x.txt", "a\n{{ order.total }}"),
        ("_m.txt", "{% macro line(text) %}{{ text | upper }}{% endmacro %}"),
        ("deep.txt", "{% from '_m.txt' import line %}\n{{ line(title) }}"),
        ("loop.txt", "{% for item in items %}{{ item.url }}{% endfor %}"),
    ])
    .unwrap();
    for (name, context, word) in [
        ("x", json!({ "order": {} }), "order.total,"),
        ("x", json!({}), "order,"),
        ("deep", json!({}), "title,"),
        ("loop", json!({ "items": [{}] }), "(loop.txt, line 1)"),
    ] {
        let error = render(&own, name, context).unwrap_err();
        assert!(matches!(error, RenderError::MissingVariable { .. }) && error.to_string().contains(word), "{error}");
    }
}

#[test]
fn a_value_of_the_wrong_type_is_not_told_as_missing() {
    let error = render(&built_in(), "weekly_stats", json!({ "stats": 5 })).unwrap_err();
    assert!(matches!(error, RenderError::Template { .. }) && error.to_string().contains("weekly_stats.html, line 9"), "{error}");
}

#[test]
fn the_context_replaces_neither_the_name_of_the_site_nor_its_address() {
    let context = json!({ "message": "x", "frontend_url": "javascript:alert(1)", "site_name": "Your bank" });
    let rendered = render(&built_in(), "notification", context).unwrap();
    for part in [rendered.html.unwrap(), rendered.text] {
        assert!(!part.contains("javascript:") && !part.contains("Your bank"), "{part}");
    }
}

#[test]
fn an_unknown_template_names_those_that_exist() {
    for name in ["nope", "../test_template", "test_template.html", "base", "_parts", "/etc/passwd", "%2e%2e/x", ""] {
        let error = built_in().check_name(name).unwrap_err().to_string();
        assert!(error.contains("welcome_user") && error.contains(&format!("{name:?}")), "{error}");
    }
}

#[test]
fn html_is_escaped_and_text_is_not() {
    let rendered = render(&built_in(), "notification", json!({ "message": "<script>1 & 2</script>" })).unwrap();
    let html = rendered.html.unwrap();
    assert!(html.contains("&lt;script&gt;1 &amp; 2&lt;") && !html.contains("<script>"), "{html}");
    assert!(rendered.text.contains("<script>1 & 2</script>"));
}

#[test]
fn css_is_inlined_and_only_at_rules_stay_in_the_head() {
    let html = render(&built_in(), "test_template", json!({})).unwrap().html.unwrap();
    assert!(html.contains("max-width: 600px") && html.contains("@media (prefers-color-scheme: dark)"), "{html}");
    let style = html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    assert!(!style.contains("background-color: #f3f4f6"), "{style}");
    let card = html.split_once(r#"class="card""#).unwrap().1.split_once('>').unwrap().0;
    assert!(card.contains("style=") && card.contains("max-width"), "{card}");
    assert!(html.contains("<!--[if mso]>"), "{html}");
}

#[test]
fn text_is_made_from_the_html_where_there_is_none() {
    let own =
        with_files(&[("plain.html", "<h1>Hi {{ user.email }}</h1><p>See <a href='https://e.org/x'>this</a>.</p>")]).unwrap();
    let rendered = render(&own, "plain", json!({})).unwrap();
    assert!(rendered.text.contains("Hi ann@example.net") && rendered.text.contains("https://e.org/x"), "{}", rendered.text);
}

#[test]
fn a_file_in_the_folder_replaces_both_files_of_the_program() {
    let own =
        with_files(&[("welcome_user.html", "<p>Ours</p>"), ("only.txt", "text {{ x }}"), ("note.md", "{% nonsense")]).unwrap();
    let rendered = render(&own, "welcome_user", json!({})).unwrap();
    assert_eq!((rendered.html.as_deref(), rendered.text.as_str()), (Some("<p>Ours</p>"), "Ours\n"));
    let rendered = render(&own, "only", json!({ "x": 1 })).unwrap();
    assert_eq!((rendered.html, rendered.text.as_str()), (None, "text 1\n"));
}

#[test]
fn a_broken_template_is_told_at_start() {
    let error = with_files(&[("bad.html", "a\n{% if %}")]).err().unwrap().to_string();
    assert!(error.contains("bad.html, line 2"), "{error}");
}

#[test]
fn a_template_that_never_ends_is_stopped() {
    let own = with_files(&[("loop.txt", "{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}")])
        .unwrap();
    let error = render(&own, "loop", json!({})).unwrap_err().to_string();
    assert!(error.contains("fuel"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("emails")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("emails/leak.txt")).unwrap();
    let error = Renderer::new(&config(folder.path().into())).err().unwrap().to_string();
    assert!(error.contains("leads out of the folder"), "{error}");
}

#[test]
fn css_from_elsewhere_is_not_fetched() {
    let own = with_files(&[(
        "far.html",
        "<html><head><link rel=stylesheet href='file:///etc/passwd'><style>@import 'http://127.0.0.1:9/x'; p{color:red}</style></head><body><p>x</p></body></html>",
    )])
    .unwrap();
    let html = render(&own, "far", json!({})).unwrap().html.unwrap();
    assert!(html.contains("color: red") && !html.contains("root:"), "{html}");
}
