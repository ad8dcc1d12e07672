//! The list of kinds, and what is derived from a line of it.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::types::JsonType;
use parking_lot::RwLock;
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, Schema};

use super::{
    Kind, RunFuture, TaskContext, content_cleanup_expired, content_publish_scheduled, data_export, email_bulk, email_notify_user,
    email_send, email_welcome, files_prune, http_call, image_process, notifications_bulk, notifications_cleanup, notify_admins,
    report_admin, results_prune, sms_bulk, sms_send, system, system_aggregate_metrics, system_callback, system_health_check,
};
use crate::services::Services;
use legwork_engine::KindPolicy;
use legwork_engine::domain::{FieldError, KindName, QueueName, Scope, TaskFailure, parser_words};

/// Every compiled kind.
fn kinds() -> Vec<TaskKind> {
    vec![
        TaskKind::of::<email_send::SendEmail>(),
        TaskKind::of::<email_bulk::BulkEmail>(),
        TaskKind::of::<data_export::ExportData>(),
        TaskKind::of::<http_call::HttpCall>(),
        TaskKind::of::<email_welcome::WelcomeEmail>(),
        TaskKind::of::<email_notify_user::NotifyUser>(),
        TaskKind::of::<notify_admins::NotifyAdmins>(),
        TaskKind::of::<notifications_bulk::BulkNotice>(),
        TaskKind::of::<content_publish_scheduled::PublishScheduled>(),
        TaskKind::of::<content_cleanup_expired::CleanupExpired>(),
        TaskKind::of::<notifications_cleanup::CleanupNotifications>(),
        TaskKind::of::<image_process::ProcessImage>(),
        TaskKind::of::<report_admin::AdminReport>(),
        TaskKind::of::<sms_send::SendSms>(),
        TaskKind::of::<sms_bulk::BulkSms>(),
        TaskKind::of::<system::Echo>(),
        TaskKind::of::<system::Sleep>(),
        TaskKind::of::<system_health_check::CheckHealth>(),
        TaskKind::of::<system_aggregate_metrics::AggregateMetrics>(),
        TaskKind::of::<results_prune::PruneResults>(),
        TaskKind::of::<files_prune::PruneFiles>(),
        // What the engine submits itself.
        TaskKind::of::<system_callback::Callback>(),
    ]
}

/// A kind with its args type erased.
#[derive(Clone)]
pub struct TaskKind {
    /// What the engine has to know about it.
    pub policy: Arc<KindPolicy>,
    /// What it does.
    pub description: Arc<str>,
    /// Its typed route below `/tasks`.
    pub route: Option<&'static str>,
    /// What a token must allow that submits it.
    pub scope: Scope,
    /// Whether it asks the engine itself: `legwork run` has none.
    pub needs_engine: bool,
    /// Pointers to args that are paths of stored files which it reads.
    pub files: Vec<String>,
    /// Args that work.
    pub example: Value,
    /// The name of its args in `OpenAPI`.
    pub schema_name: String,
    /// The schema of its args, references into `components` included.
    pub schema: RefOr<Schema>,
    /// The schemas that it refers to, by name.
    pub components: Vec<(String, RefOr<Schema>)>,
    /// The args' JSON Schema (2020-12), self-contained.
    pub json_schema: Arc<Value>,
    /// Made when first needed: only args that are refused need it.
    validator: Arc<OnceLock<jsonschema::Validator>>,
    /// The pack that declares it; `None` for a compiled kind.
    pub pack: Option<Arc<str>>,
    /// The name of the task in Celery whose work it does.
    pub celery_task: Option<Arc<str>>,
    behavior: Arc<dyn Behavior>,
}

/// What a kind does with args: the part of a [`TaskKind`] that a compiled kind and one of a pack have not in common.
pub trait Behavior: Send + Sync {
    /// Checks args as they were submitted.
    fn check(&self, args: &str, services: &Services) -> Result<(), ArgsError>;

    /// Starts the work. Args that do not parse are a failure here.
    fn run(&self, args: &str, cx: TaskContext) -> Result<RunFuture, TaskFailure>;
}

/// A compiled kind.
struct Compiled<K>(PhantomData<fn() -> K>);

impl<K: Kind> Behavior for Compiled<K> {
    fn check(&self, args: &str, services: &Services) -> Result<(), ArgsError> {
        check_args::<K>(args, services)
    }

    fn run(&self, args: &str, cx: TaskContext) -> Result<RunFuture, TaskFailure> {
        run_args::<K>(args, cx)
    }
}

/// A kind that is not compiled: what it is, in the form in which [`TaskKind::declared`] takes it.
pub struct DeclaredKind {
    /// What the engine has to know about it.
    pub policy: KindPolicy,
    /// The pack that declares it.
    pub pack: Arc<str>,
    /// The name of the task in Celery whose work it does.
    pub celery_task: Option<Arc<str>>,
    /// What it does, in words.
    pub description: String,
    /// What a token must allow that submits it.
    pub scope: Scope,
    /// Args that work.
    pub example: Value,
    /// The JSON Schema (2020-12) of its args, self-contained.
    pub json_schema: Value,
    /// Whether it asks the engine itself, so that it cannot run in the foreground.
    pub needs_engine: bool,
    /// What it does.
    pub behavior: Arc<dyn Behavior>,
}

impl TaskKind {
    /// Erases the type of a kind.
    pub fn of<K: Kind>() -> Self {
        let mut components = Vec::new();
        K::schemas(&mut components);
        let schema = K::schema();
        let json_schema = self_contained(&schema, &components);
        Self {
            policy: Arc::new(KindPolicy {
                name: KindName::from_store(K::NAME),
                queue: QueueName::from_store(K::QUEUE),
                retry: K::RETRY,
                rate: None,
                hard_limit: K::HARD_LIMIT,
                soft_limit: K::SOFT_LIMIT,
                args_limit: K::ARGS_LIMIT,
                is_public: K::PUBLIC,
                sensitive: K::SENSITIVE.iter().map(|&pointer| pointer.to_owned()).collect(),
            }),
            description: K::DESCRIPTION.into(),
            route: K::ROUTE,
            scope: K::SCOPE,
            needs_engine: K::NEEDS_ENGINE,
            files: K::FILES.iter().map(|&pointer| pointer.to_owned()).collect(),
            example: K::example(),
            schema_name: K::name().into_owned(),
            schema,
            components,
            validator: Arc::default(),
            json_schema: Arc::new(json_schema),
            pack: None,
            celery_task: None,
            behavior: Arc::new(Compiled::<K>(PhantomData)),
        }
    }

    /// A kind that a pack declares.
    pub fn declared(kind: DeclaredKind) -> Self {
        let DeclaredKind { policy, pack, celery_task, description, scope, example, json_schema, needs_engine, behavior } = kind;
        let schema_name = schema_name_of(policy.name.as_str());
        // Keywords that utoipa has no words for are left out there; `/tasks/kinds` has them all.
        let schema = serde_json::from_value(json_schema.clone()).unwrap_or_else(|_| RefOr::T(Object::new().into()));
        Self {
            policy: Arc::new(policy),
            description: description.into(),
            route: None,
            scope,
            needs_engine,
            files: Vec::new(),
            example,
            schema_name,
            schema,
            components: Vec::new(),
            json_schema: Arc::new(json_schema),
            validator: Arc::default(),
            pack: Some(pack),
            celery_task,
            behavior,
        }
    }

    /// Checks args as submitted: the kind's own types and rules. On failure every bad field is named.
    pub fn check(&self, args: &str, services: &Services) -> Result<(), Vec<FieldError>> {
        self.behavior.check(args, services).map_err(|field_error| self.all_field_errors(args, field_error))
    }

    /// What the schema alone finds wrong with args, before anything is known of the process in which they are used.
    pub fn schema_errors(&self, args: &Value) -> Vec<FieldError> {
        self.validator().iter_errors(args).flat_map(|error| self.field_errors_of(&error)).collect()
    }

    /// Starts the work. Args that do not parse (a newer version wrote them) are a failure here.
    pub fn run(&self, args: &str, cx: TaskContext) -> Result<RunFuture, TaskFailure> {
        self.behavior.run(args, cx)
    }

    /// The parser stops at its first error, the schema finds them all, and only the kind's own check knows what no schema says.
    fn all_field_errors(&self, args: &str, field_error: ArgsError) -> Vec<FieldError> {
        let field_error = match field_error {
            ArgsError::All(field_errors) => return field_errors,
            other => other,
        };
        let value: Value = match serde_json::from_str(args) {
            Ok(value) => value,
            // A number out of range, or too many brackets: what takes JSON as it comes found nothing wrong with it.
            Err(error) => return vec![FieldError::new(String::new(), format!("cannot be read: {}", parser_words(&error)))],
        };
        let mut found: Vec<FieldError> = self.schema_errors(&value);
        match field_error {
            ArgsError::Parser(first) if found.is_empty() => found.push(first),
            // The schema has told it.
            ArgsError::Parser(_) | ArgsError::All(_) => {}
            ArgsError::Rules(broken) => {
                for error in broken {
                    if found.iter().all(|known| known.pointer != error.pointer) {
                        found.push(error);
                    }
                }
            }
        }
        found
    }

    #[expect(clippy::expect_used, reason = "the schema is derived at compile time; a test builds every kind's validator")]
    fn validator(&self) -> &jsonschema::Validator {
        self.validator.get_or_init(|| jsonschema::options().build(&self.json_schema).expect("a derived schema is valid"))
    }

    /// What the schema found at an object, told of the fields that are to blame.
    fn field_errors_of(&self, error: &ValidationError<'_>) -> Vec<FieldError> {
        let at = error.instance_path().to_string();
        match error.kind() {
            ValidationErrorKind::Required { property } => {
                vec![FieldError::missing(&at, property.as_str().unwrap_or_default())]
            }
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let fields = self.json_schema["properties"].as_object().filter(|_| at.is_empty());
                let allowed: Vec<&str> = fields.into_iter().flat_map(|fields| fields.keys().map(String::as_str)).collect();
                unexpected.iter().map(|name| FieldError::unknown(&at, name, &allowed)).collect()
            }
            ValidationErrorKind::Enum { options } => {
                let allowed: Vec<String> = options.as_array().into_iter().flatten().map(Value::to_string).collect();
                vec![FieldError::new(at, format!("{} is not allowed; allowed are {}", error.instance(), allowed.join(", ")))]
            }
            // Mostly a field that may be left out: what counts is what it would have to be.
            ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } => {
                let wanted: Vec<_> = context.iter().filter(|branch| !branch.iter().any(wants_null)).collect();
                match wanted.as_slice() {
                    [only] => only.iter().flat_map(|error| self.field_errors_of(error)).collect(),
                    [] => vec![FieldError::new(at, error.to_string())],
                    several => {
                        let each: Vec<String> =
                            several.iter().flat_map(|branch| branch.iter().map(ToString::to_string)).collect();
                        vec![FieldError::new(at, each.join("; or "))]
                    }
                }
            }
            _ => vec![FieldError::new(at, error.to_string())],
        }
    }
}

fn wants_null(error: &ValidationError<'_>) -> bool {
    matches!(error.kind(), ValidationErrorKind::Type { kind: TypeKind::Single(JsonType::Null) })
}

/// Why args are refused.
pub enum ArgsError {
    /// They do not parse: the first error.
    Parser(FieldError),
    /// They parse, and break rules of the kind.
    Rules(Vec<FieldError>),
    /// Everything that is wrong with them; there is nothing to add.
    All(Vec<FieldError>),
}

/// `shop.close_carts` is `ShopCloseCartsArgs` in `OpenAPI`.
fn schema_name_of(kind: &str) -> String {
    let mut name = String::new();
    for word in kind.split(['.', '_', '-']) {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name + "Args"
}

fn check_args<K: Kind>(args: &str, services: &Services) -> Result<(), ArgsError> {
    let parsed: K = parse_args(args).map_err(ArgsError::Parser)?;
    let field_errors = parsed.check(services);
    if field_errors.is_empty() { Ok(()) } else { Err(ArgsError::Rules(field_errors)) }
}

fn run_args<K: Kind>(args: &str, cx: TaskContext) -> Result<RunFuture, TaskFailure> {
    let parsed: K = parse_args(args).map_err(|error| {
        // The parser's words hold what it found.
        let is_sensitive = K::SENSITIVE.iter().any(|secret| error.pointer.starts_with(secret));
        let detail = if is_sensitive { "is not as this version wants it" } else { &error.detail };
        TaskFailure::fail("BadArgs", format!("{}: {detail}", error.pointer))
    })?;
    Ok(Box::pin(parsed.run(cx)))
}

fn parse_args<K: Kind>(args: &str) -> Result<K, FieldError> {
    let mut input = serde_json::Deserializer::from_str(args);
    serde_path_to_error::deserialize(&mut input).map_err(|error| FieldError::of_parser(&error))
}

/// The schema with everything that it refers to under `$defs`.
fn self_contained(schema: &RefOr<Schema>, components: &[(String, RefOr<Schema>)]) -> Value {
    let mut root = serde_json::to_value(schema).unwrap_or_default();
    if let (Some(object), false) = (root.as_object_mut(), components.is_empty()) {
        let defs = components.iter().map(|(name, schema)| (name.clone(), serde_json::to_value(schema).unwrap_or_default()));
        object.insert("$defs".into(), Value::Object(defs.collect()));
    }
    repoint(&mut root);
    root
}

fn repoint(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get_mut("$ref") {
                *target = target.replace("#/components/schemas/", "#/$defs/");
            }
            map.values_mut().for_each(repoint);
        }
        Value::Array(items) => items.iter_mut().for_each(repoint),
        _ => {}
    }
}

/// The kinds that this process knows: the compiled ones, and those of its packs, which may be replaced while it runs. All clones of a set
/// see the same kinds.
#[derive(Clone)]
pub struct KindSet {
    current: Arc<RwLock<Arc<Known>>>,
}

struct Known {
    by_name: HashMap<KindName, Arc<TaskKind>>,
    in_order: Vec<Arc<TaskKind>>,
    generation: u64,
}

impl Known {
    fn new(kinds: Vec<TaskKind>, generation: u64) -> Arc<Self> {
        let mut in_order: Vec<Arc<TaskKind>> = kinds.into_iter().map(Arc::new).collect();
        in_order.sort_by(|a, b| a.policy.name.cmp(&b.policy.name));
        let by_name = in_order.iter().map(|kind| (kind.policy.name.clone(), kind.clone())).collect();
        Arc::new(Self { by_name, in_order, generation })
    }
}

impl KindSet {
    /// The compiled kinds.
    pub fn compiled() -> Self {
        Self::with([])
    }

    /// The compiled kinds and `more`.
    pub fn with(more: impl IntoIterator<Item = TaskKind>) -> Self {
        let known = Known::new(kinds().into_iter().chain(more).collect(), 0);
        Self { current: Arc::new(RwLock::new(known)) }
    }

    /// Replaces the kinds that packs declare. Attempts that run keep theirs.
    pub fn replace_declared(&self, declared: impl IntoIterator<Item = TaskKind>) {
        let mut current = self.current.write();
        let kept = current.in_order.iter().filter(|kind| kind.pack.is_none()).map(|kind| (**kind).clone());
        *current = Known::new(kept.chain(declared).collect(), current.generation + 1);
    }

    /// Which edition of the set this is: it changes with every [`KindSet::replace_declared`].
    pub fn generation(&self) -> u64 {
        self.current.read().generation
    }

    /// A kind by name.
    pub fn get(&self, name: &KindName) -> Option<Arc<TaskKind>> {
        self.current.read().by_name.get(name).cloned()
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = Arc<TaskKind>> + use<> {
        self.current.read().in_order.clone().into_iter()
    }

    /// Those that users may submit, by name.
    pub fn public(&self) -> impl Iterator<Item = Arc<TaskKind>> + use<> {
        self.iter().filter(|kind| kind.policy.is_public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_schema_that_takes_its_example() {
        for kind in KindSet::compiled().iter() {
            let field_errors: Vec<String> = kind.validator().iter_errors(&kind.example).map(|error| error.to_string()).collect();
            assert_eq!(field_errors, [] as [&str; 0], "{}", kind.policy.name);
        }
    }

    /// What the schema has to say of args that did not parse.
    fn said(kind: &str, args: &str) -> String {
        let kinds = KindSet::compiled();
        let kind = kinds.get(&KindName::from_store(kind)).unwrap();
        let field_errors = kind.all_field_errors(args, ArgsError::Rules(Vec::new()));
        let lines: Vec<String> =
            field_errors.into_iter().map(|field_error| format!("{}: {}", field_error.pointer, field_error.detail)).collect();
        lines.join("\n")
    }

    #[test]
    fn a_fault_names_what_is_allowed() {
        let method = said("http.call", r#"{"url":"https://a.example","method":"TRACE"}"#);
        assert!(method.contains("/method: \"TRACE\" is not allowed; allowed are \"GET\", \"HEAD\", \"POST\""), "{method}");
        let optional =
            said("report.admin", r#"{"report_type":"users","date_from":"2026-01-01","date_to":"2026-01-02","email_to":5}"#);
        assert!(optional.contains("/email_to: 5 is not of type \"string\""), "{optional}");
        let far = said("system.echo", r#"{"a":1e400}"#);
        assert!(far.contains("cannot be read: number out of range"), "{far}");
        let deep = said("system.echo", &format!(r#"{{"a":{}{}}}"#, "[".repeat(500), "]".repeat(500)));
        assert!(deep.contains("cannot be read: recursion limit exceeded"), "{deep}");
    }
}
