//! Templates of mails and of reports: Jinja, from `TEMPLATES_DIR/emails` and `TEMPLATES_DIR/reports`, else from the program itself.
//!
//! All files are read and compiled at start, so a broken one is told with its file and line before anything is sent, and no name that
//! a user gives ever reaches the file system. `NAME.html` is autoescaped, `NAME.txt` is not. Names that start with `_`, and `base`, are
//! layouts: they can be extended, not mailed.

mod built_in;
mod inlined;
mod missing;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use legwork_pack::Pack;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, merge_maps};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use parking_lot::RwLock;
use serde_json::{Map, Value, json};

use crate::config::RenderConfig;

use inlined::Inliner;

/// What one render may cost, in instructions of the template engine: far more than a real mail takes, and well below a second.
const FUEL: u64 = 5_000_000;
/// The largest template file, in bytes.
const LARGEST_FILE: u64 = 1 << 20;
/// The folder of the pages that are no mails.
const PAGES: &str = "reports";
/// Where a text that is made from HTML is wrapped, in characters.
const TEXT_WIDTH: usize = 78;

/// Why a mail could not be rendered. No second attempt will mend it.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The folder, or a file of it, cannot be read.
    #[error("templates: {path}: {reason}")]
    File {
        /// The file or folder that cannot be read.
        path: String,
        /// The operating system's error, as text.
        reason: String,
    },
    /// There is no such template.
    #[error("there is no template {name:?}; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// All names, with commas.
        known: String,
    },
    /// The template needs a variable that neither the context nor the settings give.
    #[error("template {template:?} needs {what}, which the context does not give ({place})")]
    MissingVariable {
        /// Name of the template.
        template: String,
        /// Which variable, as in `order.total`; several with commas.
        what: String,
        /// File and line in which the variable is used.
        place: String,
    },
    /// The template does not compile or does not render.
    #[error("{reason} ({place})")]
    Template {
        /// The template engine's error, as text.
        reason: String,
        /// File and line of the error.
        place: String,
    },
}

/// A mail's two parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The `text/plain` part.
    pub text: String,
    /// The HTML part, its CSS inlined; `None` where the template is text alone.
    pub html: Option<String>,
}

/// What is in a template's scope beside the context, `site_name`, `frontend_url`, `recipient_name` (from `name` or `user` of the context;
/// may be empty) and a `user` of its own where the context brings none. Where the context has a field of the same name, the context wins;
/// but `site_name` and `frontend_url` are the settings' alone, because they say in our layout who writes, and whereto its links lead.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The bare address. `user.email` where the context brings no `user`.
    pub recipient_email: &'a str,
    /// The subject of the mail, for the variable `subject`.
    pub subject: &'a str,
}

/// What a template may use by name, made ready once for many mails.
#[derive(Clone, Debug)]
pub struct Context(minijinja::Value);

impl Context {
    /// The fields of `fields`.
    pub fn new(fields: Map<String, Value>) -> Self {
        Self(minijinja::Value::from(Serde(fields)))
    }

    /// The names of an object of the template engine.
    pub fn of(values: minijinja::Value) -> Self {
        Self(values)
    }

    /// These, and those of `over`, which win.
    #[must_use]
    pub fn and(&self, over: &Self) -> Self {
        Self(merge_maps([self.0.clone(), over.0.clone()]))
    }

    fn get(&self, name: &str) -> minijinja::Value {
        self.0.get_attr(name).unwrap_or_default()
    }
}

/// Renders templates. One a process.
pub struct Renderer {
    env: Environment<'static>,
    inliner: Inliner,
    mailable: BTreeMap<String, Parts>,
    site_name: String,
    /// What the settings alone say.
    settings: Context,
    /// The renderers of packs by the names of the packs. A template of a pack is known as `PACK/NAME` outside of it.
    packs: RwLock<BTreeMap<String, Arc<Renderer>>>,
}

/// Which files a template has.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    html: bool,
    text: bool,
}

impl Renderer {
    /// Reads and compiles all templates: those of `emails/` in the configured folder (which need not exist), and the program's own. A file
    /// `NAME.html` replaces both of the program's files of that name, because its text would not fit any more.
    pub fn new(config: &RenderConfig) -> Result<Self, RenderError> {
        let mut sources = built_in::sources();
        let own = read_folder(&config.templates_dir.join("emails"))?;
        for name in own.keys().filter_map(|file| file.strip_suffix(".html")) {
            sources.remove(&format!("{name}.txt"));
        }
        sources.extend(own);

        let mut env = environment()?;
        let mut mailable: BTreeMap<String, Parts> = BTreeMap::new();
        for (file, source) in sources {
            env.add_template_owned(file.clone(), source).map_err(|error| to_render_error(&error))?;
            let Some((name, ending)) = file.rsplit_once('.') else { continue };
            if !is_layout(name) {
                let parts = mailable.entry(name.to_owned()).or_default();
                parts.html |= ending == "html";
                parts.text |= ending == "txt";
            }
        }
        let mut pages = built_in::pages();
        pages.extend(read_folder(&config.templates_dir.join(PAGES))?);
        for (file, source) in pages {
            env.add_template_owned(format!("{PAGES}/{file}"), source).map_err(|error| to_render_error(&error))?;
        }
        let mut settings = Map::new();
        settings.insert("site_name".into(), config.site_name.clone().into());
        settings.insert("frontend_url".into(), config.frontend_url.clone().into());
        let settings = Context::new(settings);
        let site_name = config.site_name.clone();
        Ok(Self { env, inliner: Inliner::new(), mailable, site_name, settings, packs: RwLock::default() })
    }

    /// The same with the templates and the filters of a pack. A template of the pack goes before one of the program with the same name.
    pub fn for_pack(config: &RenderConfig, pack: &Pack) -> Result<Self, RenderError> {
        let mut renderer = Self::new(config)?;
        legwork_pack::install(&mut renderer.env, &pack.zone);
        for name in pack.email_templates.keys().filter_map(|file| file.strip_suffix(".html")) {
            renderer.env.remove_template(&format!("{name}.txt"));
            renderer.mailable.remove(name);
        }
        for (file, source) in &pack.email_templates {
            let added = renderer.env.add_template_owned(file.clone(), source.clone());
            added.map_err(|error| to_render_error(&error))?;
            let Some((name, ending)) = file.rsplit_once('.').filter(|(name, _)| !is_layout(name)) else { continue };
            let parts = renderer.mailable.entry(name.to_owned()).or_default();
            parts.html |= ending == "html";
            parts.text |= ending == "txt";
        }
        for (file, source) in &pack.report_templates {
            let added = renderer.env.add_template_owned(format!("{PAGES}/{file}"), source.clone());
            added.map_err(|error| to_render_error(&error))?;
        }
        // Within the pages of the pack a name is that of a page first: mails and pages may both have a layout.
        let pages: HashSet<String> = pack.report_templates.keys().cloned().collect();
        renderer.env.set_path_join_callback(move |name, parent| {
            let is_page = parent.strip_prefix(PAGES).is_some_and(|rest| rest.starts_with('/'));
            if is_page && pages.contains(name) { format!("{PAGES}/{name}").into() } else { name.into() }
        });
        Ok(renderer)
    }

    /// Makes the templates of packs known as `PACK/NAME`, in place of those that were known so.
    pub fn adopt(&self, packs: BTreeMap<String, Arc<Self>>) {
        *self.packs.write() = packs;
    }

    /// The renderer of the pack that a name belongs to, and the name within the pack.
    fn of_pack<'a>(&self, name: &'a str) -> Option<(Arc<Self>, &'a str)> {
        let (pack, name) = name.split_once('/')?;
        self.packs.read().get(pack).map(|renderer| (renderer.clone(), name))
    }

    /// Renders a page of a pack: `file` with its ending. Beside `values` and `extra`, which wins, it sees `site_name` and `frontend_url`.
    pub fn pack_page(&self, file: &str, values: &minijinja::Value, extra: Map<String, Value>) -> Result<String, RenderError> {
        let Context(variables) = self.settings.and(&Context::of(values.clone())).and(&Context::new(extra));
        let (name, ending) = file.rsplit_once('.').unwrap_or((file, "html"));
        self.file(&format!("{PAGES}/{name}"), ending, &variables)
    }

    /// What the site is called.
    pub fn site_name(&self) -> &str {
        &self.site_name
    }

    /// The names that can be mailed, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.mailable.keys().map(String::as_str)
    }

    /// Whether there is such a template; the error names what there is.
    pub fn check_name(&self, name: &str) -> Result<(), RenderError> {
        if let Some((renderer, name)) = self.of_pack(name) {
            return renderer.check_name(name);
        }
        self.parts(name).map(|_| ())
    }

    /// Renders both parts. Where there is no text template, the text is made from the HTML.
    pub fn render(&self, name: &str, scope: Scope<'_>, context: &Context) -> Result<Rendered, RenderError> {
        if let Some((renderer, name)) = self.of_pack(name) {
            return renderer.render(name, scope, context);
        }
        let parts = self.parts(name)?;
        let Context(variables) = scope.defaults(context).and(context).and(&self.settings);
        let html = if parts.html { Some(self.inlined(self.file(name, "html", &variables)?)?) } else { None };
        let text = match &html {
            Some(html) if !parts.text => text_of(html)?,
            _ => tidied(&self.file(name, "txt", &variables)?),
        };
        Ok(Rendered { text, html })
    }

    /// Renders a page that is no mail: `NAME.html` of `reports/` in the configured folder, else of the program. Beside `context`, which holds
    /// what is to be shown, it sees `site_name`.
    pub fn page(&self, name: &str, mut context: Map<String, Value>) -> Result<String, RenderError> {
        context.insert("site_name".into(), self.site_name.clone().into());
        self.file(&format!("{PAGES}/{name}"), "html", &minijinja::Value::from(Serde(context)))
    }

    fn parts(&self, name: &str) -> Result<Parts, RenderError> {
        self.mailable.get(name).copied().ok_or_else(|| RenderError::Unknown {
            name: name.chars().take(100).collect(),
            known: self.names().collect::<Vec<_>>().join(", "),
        })
    }

    fn file(&self, name: &str, ending: &str, variables: &minijinja::Value) -> Result<String, RenderError> {
        let template = self.env.get_template(&format!("{name}.{ending}")).map_err(|error| to_render_error(&error))?;
        template
            .render(variables.clone())
            .map_err(|error| self.missed(name, &error, variables).unwrap_or_else(|| to_render_error(&error)))
    }

    /// The variable that was missing, where that is why the rendering failed. The engine says so of some uses only: a filter, say, finds
    /// just that the value is none that it can take.
    fn missed(&self, name: &str, error: &minijinja::Error, variables: &minijinja::Value) -> Option<RenderError> {
        let chain = missing::chain(error);
        let is_undefined = chain.first().is_some_and(|error| error.kind() == ErrorKind::UndefinedError);
        let found = chain.iter().find_map(|error| {
            let names = missing::at(&self.env, error, variables, is_undefined);
            (!names.is_empty()).then(|| (names.into_iter().collect::<Vec<_>>().join(", "), place_of(error)))
        });
        let (what, place) = match (found, chain.first()) {
            (Some(found), _) => found,
            (None, Some(innermost)) if is_undefined => {
                let detail = innermost.detail().and_then(|detail| Some(detail.split_once('`')?.1.split_once('`')?.0.to_owned()));
                (detail.unwrap_or_else(|| "a value".to_owned()), place_of(innermost))
            }
            _ => return None,
        };
        Some(RenderError::MissingVariable { template: name.to_owned(), what, place })
    }

    fn inlined(&self, html: String) -> Result<String, RenderError> {
        if memchr::memmem::find(html.as_bytes(), b"<style").is_none() {
            return Ok(html);
        }
        self.inliner.inline(&html).map_err(|error| RenderError::Template { reason: error.to_string(), place: "its CSS".into() })
    }
}

impl Scope<'_> {
    /// What stands where the context has nothing of that name.
    fn defaults(&self, context: &Context) -> Context {
        let mut fields = Map::new();
        fields.insert("recipient_email".into(), self.recipient_email.into());
        fields.insert("subject".into(), self.subject.into());
        fields.insert("recipient_name".into(), recipient_name(context).into());
        fields.insert("user".into(), json!({ "email": self.recipient_email }));
        Context::new(fields)
    }
}

/// How the recipient is greeted: `name`, or what `user` is called; empty where neither tells.
fn recipient_name(context: &Context) -> String {
    let user = context.get("user");
    let of_user = |field: &str| user.get_attr(field).unwrap_or_default();
    let candidates = [context.get("name"), of_user("first_name"), of_user("name"), of_user("username"), user.clone()];
    let names = candidates.iter().filter_map(minijinja::Value::as_str);
    names.filter(|name| !name.trim().is_empty()).map(str::to_owned).next().unwrap_or_default()
}

fn environment() -> Result<Environment<'static>, RenderError> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    let syntax =
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(|error| to_render_error(&error))?;
    env.set_syntax(syntax);
    Ok(env)
}

fn is_layout(name: &str) -> bool {
    name == "base" || name.starts_with('_')
}

/// `NAME.html` or `NAME.txt`, where NAME is of letters, digits, `_` and `-`.
fn is_template_file(file: &str) -> bool {
    let stem = file.strip_suffix(".html").or_else(|| file.strip_suffix(".txt"));
    stem.is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')))
}

/// The template files of a folder by name; other files are passed over, and so are links that lead out of it.
fn read_folder(folder: &Path) -> Result<BTreeMap<String, String>, RenderError> {
    let failed = |path: &Path, error: &dyn std::fmt::Display| RenderError::File {
        path: path.display().to_string(),
        reason: error.to_string(),
    };
    let mut sources = BTreeMap::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(sources),
        Err(error) => return Err(failed(folder, &error)),
    };
    let root = folder.canonicalize().map_err(|error| failed(folder, &error))?;
    let mut files = BTreeSet::new();
    for entry in entries {
        let entry = entry.map_err(|error| failed(folder, &error))?;
        files.extend(entry.file_name().to_str().filter(|file| is_template_file(file)).map(str::to_owned));
    }
    for file in files {
        let path = folder.join(&file);
        let target = path.canonicalize().map_err(|error| failed(&path, &error))?;
        if !target.starts_with(&root) {
            return Err(failed(&path, &"is a link that leads out of the folder"));
        }
        let size = target.metadata().map_err(|error| failed(&path, &error))?.len();
        if size > LARGEST_FILE {
            return Err(failed(&path, &format!("has {size} bytes; {LARGEST_FILE} are allowed")));
        }
        let source = std::fs::read_to_string(&target).map_err(|error| failed(&path, &error))?;
        sources.insert(file, source);
    }
    Ok(sources)
}

/// What the innermost error says.
fn to_render_error(error: &minijinja::Error) -> RenderError {
    let innermost = missing::chain(error).first().copied().unwrap_or(error);
    let kind = innermost.kind().to_string();
    let reason = innermost.detail().map_or(kind.clone(), |detail| format!("{kind}: {detail}"));
    RenderError::Template { reason, place: place_of(innermost) }
}

fn place_of(error: &minijinja::Error) -> String {
    match (error.name(), error.line()) {
        (Some(name), Some(line)) => format!("{name}, line {line}"),
        (Some(name), None) => name.to_owned(),
        _ => "template".to_owned(),
    }
}

fn text_of(html: &str) -> Result<String, RenderError> {
    html2text::config::plain()
        .raw_mode(true)
        .no_table_borders()
        .link_footnotes(true)
        .string_from_read(html.as_bytes(), TEXT_WIDTH)
        .map(|text| tidied(&text))
        .map_err(|error| RenderError::Template { reason: error.to_string(), place: "the text made from its HTML".into() })
}

/// What goes before a signature; the blank belongs to it.
const SIGNATURE: &str = "-- ";

/// Without blanks at the ends of lines, more than one empty line in a row, or empty lines around the whole.
fn tidied(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines().map(|line| if line == SIGNATURE { line } else { line.trim_end() }) {
        if !line.is_empty() || lines.last().is_some_and(|last| !last.is_empty()) {
            lines.push(line);
        }
    }
    while lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests;
