//! Reads what the runner of a kind needs.

use std::time::Duration;

use super::addresses::Target;
use super::kinds::ReadRunner;
use super::statements::SqlForm;
use super::templates::{EMAILS, REPORTS, TemplateUse};
use super::{Known, Reader, text_of};
use crate::engine::Value;
use crate::fault::allowed;
use crate::kind::{
    Body, Builtin, ChildSpec, DEFAULT_BATCH, Data, EffectSteps, Email, Export, ExportRows, FanOut, FileMail, Http, Link, NoRow,
    OnUnknown, Report, ReportFile, Rows, Runner, Sms, Step,
};
use crate::shape::duration_of;
use crate::tree::{Entry, Node, Path};

impl Reader<'_> {
    /// The runner. `known` has afterwards what `summary` and `result` may use.
    pub(super) fn runner(
        &mut self,
        entry: &Entry,
        path: &Path,
        known: &mut Known<'_>,
        source: Option<&str>,
    ) -> Option<ReadRunner> {
        let node = &entry.node;
        let plain = |runner: Runner| ReadRunner { runner, data: Data::default(), steps: EffectSteps::default() };
        Some(match node.get("runner").and_then(Node::text)? {
            "sql" => plain(Runner::Sql(self.sql_steps(entry, path, known, source))),
            "fan_out" => plain(Runner::FanOut(Box::new(self.fan_out(node, path, known, source)?))),
            "chain" => plain(Runner::Chain(self.chain(node, path, known))),
            "export" => self.export(entry, path, known, source)?,
            name => {
                let data = self.data(node, path, known, source);
                let before = self.effect_before(node, path, known, source);
                let runner = match name {
                    "email" => Runner::Email(Box::new(self.email(entry, path, known)?)),
                    "sms" => Runner::Sms(Box::new(self.sms(node, path, known)?)),
                    "http" => Runner::Http(Box::new(self.http(node, path, known)?)),
                    "report" => Runner::Report(Box::new(self.report(node, path, known))),
                    "builtin" => Runner::Builtin(Box::new(self.builtin(node, path, known)?)),
                    _ => return None,
                };
                let steps = self.effect_steps(node, path, before, known, source);
                ReadRunner { runner, data, steps }
            }
        })
    }

    fn sql_steps(&mut self, entry: &Entry, path: &Path, known: &mut Known<'_>, source: Option<&str>) -> Vec<Step> {
        let node = &entry.node;
        match (node.entry("sql"), node.entry("steps")) {
            (Some(_), Some(steps)) => {
                self.fault(steps.key_at, &path.at("steps"), "is not allowed together with `sql`. Make `sql` the first step.");
            }
            (None, None) => self.fault(entry.key_at, &path.at("sql"), "is missing. Give the SQL of one step, or `steps`."),
            (Some(sql), None) => {
                if source.is_none() {
                    self.no_source(sql.key_at, &path.at("sql"));
                }
            }
            (None, Some(_)) => {
                for name in ["rows", "max_rows", "required", "bind"] {
                    if let Some(entry) = node.entry(name) {
                        self.fault(entry.key_at, &path.at(name), "belongs to `sql`. Move it into the step that it is for.");
                    }
                }
                return self.steps(node, "steps", path, known, source);
            }
        }
        // The condition of the only step is that of the kind.
        let single = Node {
            at: node.at,
            value: crate::tree::Toml::Table(node.entries().iter().filter(|entry| entry.key != "when").cloned().collect()),
        };
        let Some(mut step) = self.step(&single, None, path, known) else { return Vec::new() };
        let name = match step.rows {
            Rows::Affected => "affected",
            Rows::One => "row",
            Rows::Many => "rows",
        };
        step.name = Some(name.to_owned());
        known.results.insert(name.to_owned());
        vec![step]
    }

    fn fan_out(&mut self, node: &Node, path: &Path, known: &mut Known<'_>, source: Option<&str>) -> Option<FanOut> {
        if let (Some(entry), None) = (node.entry("query"), source) {
            self.no_source(entry.key_at, &path.at("query"));
        }
        let query = self.sql(node, "query", path, known, SqlForm::Query);
        let of_row = Known { row: true, rows: false, ..known.clone() };
        let path_of_children = path.at("children");
        let items = node.get("children").map(Node::items).unwrap_or_default();
        if let (Some(entry), true) = (node.entry("children"), items.is_empty()) {
            self.fault(entry.key_at, &path_of_children, "is empty. Give at least one child.");
        }
        let children =
            items.iter().enumerate().map(|(index, item)| self.child(item, &path_of_children.item(index), &of_row)).collect();
        Some(FanOut {
            query: query?,
            no_row: if node.get("no_row").and_then(Node::text) == Some("fail") { NoRow::Fail } else { NoRow::Skip },
            key: text_of(node, "key")?,
            batch: node.get("batch").and_then(Node::integer).and_then(|rows| u32::try_from(rows).ok()).unwrap_or(DEFAULT_BATCH),
            children,
        })
    }

    fn child(&mut self, node: &Node, path: &Path, known: &Known<'_>) -> ChildSpec {
        if let (Some(entry), Some(_)) = (node.entry("eta"), node.get("countdown")) {
            self.fault(entry.key_at, &path.at("eta"), "either eta or countdown is given, not both. Remove one.");
        }
        if let Some((at, queue)) = node.get("queue").and_then(|queue| Some((queue.at, queue.text()?))) {
            self.queue_name(at, &path.at("queue"), queue);
        }
        ChildSpec {
            kind: text_of(node, "kind").unwrap_or_default(),
            args: self.values_field(node, "args", path, known),
            when: self.expression_field(node, "when", path, known),
            queue: text_of(node, "queue"),
            priority: node.get("priority").and_then(Node::integer).and_then(|number| u8::try_from(number).ok()),
            countdown: node.get("countdown").and_then(duration_of),
            eta: self.value_field(node, "eta", path, known),
            expires: node.get("expires").and_then(duration_of),
        }
    }

    fn chain(&mut self, node: &Node, path: &Path, known: &mut Known<'_>) -> Vec<Link> {
        let path = path.at("links");
        let items = node.get("links").map(Node::items).unwrap_or_default();
        if let (Some(entry), true) = (node.entry("links"), items.is_empty()) {
            self.fault(entry.key_at, &path, "is empty. Give at least one link.");
        }
        let mut links = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = path.item(index);
            let name = text_of(item, "name").unwrap_or_default();
            links.push(Link {
                kind: text_of(item, "kind").unwrap_or_default(),
                args: self.values_field(item, "args", &path, known),
                when: self.expression_field(item, "when", &path, known),
                continues: item.get("on_failure").and_then(Node::text) == Some("continue"),
                name: name.clone(),
            });
            if let Some(node) = item.get("name") {
                self.result_name(node.at, &path.at("name"), &name, known);
            }
        }
        links
    }

    fn email(&mut self, entry: &Entry, path: &Path, known: &Known<'_>) -> Option<Email> {
        let node = &entry.node;
        let body = self.body(node, entry.key_at, path, known, true);
        let addresses = |reader: &mut Self, name: &str| {
            let value = reader.value_field(node, name, path, known);
            reader.targets(node, name, path, value.as_ref(), Target::Address);
            value
        };
        Some(Email {
            to: addresses(self, "to")?,
            cc: addresses(self, "cc"),
            bcc: addresses(self, "bcc"),
            reply_to: addresses(self, "reply_to"),
            from: addresses(self, "from"),
            subject: self.value_field(node, "subject", path, known)?,
            body: body?,
            attachments: self.value_field(node, "attachments", path, known),
            on_unknown: on_unknown(node),
        })
    }

    /// A template with its context, or a text with its HTML.
    fn body(&mut self, node: &Node, at: usize, path: &Path, known: &Known<'_>, may_have_html: bool) -> Option<Body> {
        let text = self.value_field(node, "text", path, known);
        let html = if may_have_html { self.value_field(node, "html", path, known) } else { None };
        match (node.get("template"), text) {
            (Some(template), None) => {
                if let Some(entry) = node.entry("html") {
                    self.fault(
                        entry.key_at,
                        &path.at("html"),
                        "is only allowed together with `text`: a template makes its own HTML. Remove it.",
                    );
                }
                let name = template.text()?;
                let context = self.values_field(node, "context", path, known);
                let is_own = self.mail_template(template, &path.at("template"), name, known, &context);
                Some(Body::Template { name: name.to_owned(), is_own, context })
            }
            (None, Some(text)) => {
                if let Some(entry) = node.entry("context") {
                    self.fault(
                        entry.key_at,
                        &path.at("context"),
                        "is only allowed together with `template`: a text can use params, row and the other variables directly. Remove it.",
                    );
                }
                Some(Body::Text { text, html })
            }
            (Some(template), Some(_)) => {
                self.fault(template.at, &path.at("template"), "either template or text is given, not both. Remove one.");
                None
            }
            (None, None) => {
                self.fault(at, &path.at("template"), "is missing. Give a template or a text.");
                None
            }
        }
    }

    /// Checks a mail template's name, and says whether it is the pack's own.
    fn mail_template(&mut self, node: &Node, path: &Path, name: &str, known: &Known<'_>, context: &Value) -> bool {
        let own: Vec<String> = ["html", "txt"]
            .iter()
            .map(|ending| format!("{EMAILS}{name}.{ending}"))
            .filter(|file| self.files.text(file).is_some())
            .collect();
        if !own.is_empty() {
            let known = known.with_extra(context.entry_names().map(str::to_owned));
            self.templates.push(TemplateUse::new(own, &known, true));
            return true;
        }
        if leads_out(name) {
            self.fault(
                node.at,
                path,
                format!("{name:?} leads out of {EMAILS}. Write the name of a file in this folder, without its ending."),
            );
        } else if !self.host.email_templates.contains(name) {
            let files = self.files;
            let own = files.paths().filter_map(|path| path.strip_prefix(EMAILS)?.rsplit_once('.')).map(|(name, _)| name);
            let mut names: Vec<&str> = own.chain(self.host.email_templates.iter().map(String::as_str)).collect();
            names.sort_unstable();
            names.dedup();
            let known = allowed(name, names);
            self.fault(
                node.at,
                path,
                format!("there is no mail template {name:?}. Make {EMAILS}{name}.html or .txt in the pack.{known}"),
            );
        }
        false
    }

    fn sms(&mut self, node: &Node, path: &Path, known: &Known<'_>) -> Option<Sms> {
        let to = self.value_field(node, "to", path, known);
        self.targets(node, "to", path, to.as_ref(), Target::Number);
        Some(Sms {
            to: to?,
            message: self.value_field(node, "message", path, known)?,
            sender_id: self.value_field(node, "sender_id", path, known),
            on_unknown: on_unknown(node),
        })
    }

    fn http(&mut self, node: &Node, path: &Path, known: &Known<'_>) -> Option<Http> {
        let method = text_of(node, "method").unwrap_or_else(|| "POST".into());
        if let Some(entry) = node.entry("json").filter(|_| matches!(method.as_str(), "GET" | "HEAD")) {
            self.fault(entry.key_at, &path.at("json"), format!("is not sent with {method}. Remove it, or use another method."));
        }
        let statuses = node.get("expected_status").map(Node::items).unwrap_or_default();
        let url = self.value_field(node, "url", path, known);
        self.targets(node, "url", path, url.as_ref(), Target::Url);
        Some(Http {
            url: url?,
            headers: self.value_field(node, "headers", path, known),
            json: self.value_field(node, "json", path, known),
            timeout: node.get("timeout").and_then(duration_of).unwrap_or(Duration::from_secs(30)),
            expected_status: statuses.iter().filter_map(|status| u16::try_from(status.integer()?).ok()).collect(),
            method,
        })
    }

    fn report(&mut self, node: &Node, path: &Path, known: &Known<'_>) -> Report {
        let context = self.value_field(node, "context", path, known);
        let template = node.get("template").and_then(|template| {
            let name = template.text()?;
            let file = if name.contains('.') { name.to_owned() } else { format!("{name}.html") };
            let full = format!("{REPORTS}{file}");
            if leads_out(name) {
                let message = format!("{name:?} leads out of {REPORTS}. Write the name of a file in this folder.");
                self.fault(template.at, &path.at("template"), message);
            } else if self.files.text(&full).is_some() {
                let names = context.iter().flat_map(Value::entry_names).map(str::to_owned);
                self.templates.push(TemplateUse::new(vec![full], &known.with_extra(names), false));
            } else {
                let files = self.files;
                let known = allowed(&file, files.paths().filter_map(|path| path.strip_prefix(REPORTS)));
                self.fault(
                    template.at,
                    &path.at("template"),
                    format!("there is no template {full:?}. Make this file in the pack.{known}"),
                );
            }
            Some(file)
        });
        let file = match node.get("file") {
            Some(file) if file.boolean() == Some(false) => ReportFile::None,
            _ => self.value_field(node, "file", path, known).map_or(ReportFile::Default, ReportFile::Named),
        };
        if let (Some(entry), None) = (node.entry("file"), node.get("template")) {
            self.fault(entry.key_at, &path.at("file"), "belongs to `template`, which is missing. Give a template, or remove it.");
        }
        Report { template, context, file, mail: self.file_mail(node, path, known) }
    }

    fn file_mail(&mut self, node: &Node, path: &Path, known: &Known<'_>) -> Option<FileMail> {
        let entry = node.entry("mail")?;
        let (node, path) = (&entry.node, path.at("mail"));
        let known = &known.with_outcome();
        let body = self.body(node, entry.key_at, &path, known, false);
        let to = self.value_field(node, "to", &path, known);
        self.targets(node, "to", &path, to.as_ref(), Target::Address);
        Some(FileMail {
            to: to?,
            subject: self.value_field(node, "subject", &path, known)?,
            body: body?,
            when: self.expression_field(node, "when", &path, known),
            attach: node.get("attach").and_then(Node::boolean).unwrap_or(false),
        })
    }

    fn export(&mut self, entry: &Entry, path: &Path, known: &mut Known<'_>, source: Option<&str>) -> Option<ReadRunner> {
        let node = &entry.node;
        let rows = self.export_rows(entry, path, known, source);
        let format = text_of(node, "format").unwrap_or_else(|| "csv".into());
        let switch = |name: &str, default| node.get(name).and_then(Node::boolean).unwrap_or(default);
        for (name, formats) in [("gzip", &["csv", "ndjson"] as &[&str]), ("bom", &["csv"]), ("formula_guard", &["csv"])] {
            if let Some(entry) = node.entry(name).filter(|_| !formats.contains(&format.as_str())) {
                self.fault(
                    entry.key_at,
                    &path.at(name),
                    format!("has no meaning for the format {format}; it is for {}. Remove it.", formats.join(" and ")),
                );
            }
        }
        let before = self.effect_before(node, path, known, source);
        let export = Export {
            rows: rows?,
            gzip: switch("gzip", false),
            bom: switch("bom", false),
            formula_guard: switch("formula_guard", true),
            file: self.value_field(node, "file", path, known),
            mail: self.file_mail(node, path, known),
            format,
        };
        let steps = self.effect_steps(node, path, before, known, source);
        Some(ReadRunner { runner: Runner::Export(Box::new(export)), data: Data::default(), steps })
    }

    fn export_rows(&mut self, entry: &Entry, path: &Path, known: &Known<'_>, source: Option<&str>) -> Option<ExportRows> {
        let node = &entry.node;
        let only = |reader: &mut Self, names: &[&str], other: &str| {
            for entry in names.iter().filter_map(|name| node.entry(name)) {
                reader.fault(entry.key_at, &path.at(&entry.key), format!("belongs to `{other}`. Remove it."));
            }
        };
        match (node.get("model"), node.entry("query")) {
            (Some(model), None) => {
                only(self, &["bind"], "query");
                let fields = node.get("fields").map(Node::items).unwrap_or_default();
                Some(ExportRows::Model {
                    model: model.text()?.to_owned(),
                    filters: self.value_field(node, "filters", path, known),
                    fields: fields.iter().filter_map(Node::text).map(str::to_owned).collect(),
                })
            }
            (None, Some(query)) => {
                only(self, &["filters", "fields"], "model");
                if source.is_none() {
                    self.no_source(query.key_at, &path.at("query"));
                }
                self.sql(node, "query", path, known, SqlForm::Query).map(ExportRows::Query)
            }
            (Some(_), Some(query)) => {
                self.fault(query.key_at, &path.at("query"), "either model or query is given, not both. Remove one.");
                None
            }
            (None, None) => {
                self.fault(entry.key_at, &path.at("model"), "is missing. Give a declared model, or a query.");
                None
            }
        }
    }

    fn builtin(&mut self, node: &Node, path: &Path, known: &Known<'_>) -> Option<Builtin> {
        Some(Builtin { kind: text_of(node, "kind")?, args: self.values_field(node, "args", path, known) })
    }
}

/// Whether a path leads out of the folder that it is relative to.
pub(super) fn leads_out(path: &str) -> bool {
    path.starts_with('/') || path.split(['/', '\\']).any(|part| part == "..")
}

fn on_unknown(node: &Node) -> OnUnknown {
    if node.get("on_unknown").and_then(Node::text) == Some("resend") { OnUnknown::Resend } else { OnUnknown::Hold }
}
