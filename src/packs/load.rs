//! Loads packs from their folders, and makes kinds of what they declare.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use legwork_pack::{Dialect, Host, HostKind, Pack, PackFiles, PackSet, Runner, Sql};
use legwork_source::{Access, Sources, SourcesConfig};

use super::kind::{PackRuntime, task_kind};
use super::{built_in, sources};
use crate::config::{PacksConfig, RenderConfig};
use crate::kinds::{KindSet, TaskKind};
use crate::services::render::Renderer;

/// Why packs cannot be used: one mistake a line, each with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packs have mistakes:\n{}", .0.join("\n"))]
pub struct PackError(pub Vec<String>);

/// Packs that were found right, and what they need.
pub struct LoadedPacks {
    set: PackSet,
    render: RenderConfig,
    renderers: BTreeMap<String, Arc<Renderer>>,
}

/// What the program offers to packs. `now` makes clocked schedules of the past a mistake.
pub fn host(config: &PacksConfig, render: &RenderConfig, now: Option<Timestamp>) -> Result<Host, PackError> {
    let renderer = Renderer::new(render).map_err(|error| PackError(vec![error.to_string()]))?;
    let kinds = KindSet::compiled();
    let kinds = kinds.public().map(|kind| (kind.policy.name.to_string(), HostKind { schema: (*kind.json_schema).clone() }));
    Ok(Host {
        kinds: kinds.collect(),
        email_templates: renderer.names().map(str::to_owned).collect(),
        vars: Some(config.vars.clone()),
        now,
    })
}

impl LoadedPacks {
    /// Reads and checks the packs of the configuration, and adds their sources and models to `sources`.
    pub fn load(config: &PacksConfig, render: &RenderConfig, sources: &mut SourcesConfig) -> Result<Self, PackError> {
        let host = host(config, render, None)?;
        let set = read(config, &host)?;
        let mut errors = Vec::new();
        let mut renderers = BTreeMap::new();
        for pack in set.packs() {
            errors.extend(sources::add(pack, config, sources));
            match Renderer::for_pack(render, pack) {
                Ok(renderer) => drop(renderers.insert(pack.name.clone(), Arc::new(renderer))),
                Err(error) => errors.push(format!("the pack {}: {error}", pack.name)),
            }
        }
        if errors.is_empty() { Ok(Self { set, render: render.clone(), renderers }) } else { Err(PackError(errors)) }
    }

    /// No packs.
    pub fn none(render: &RenderConfig) -> Self {
        Self { set: PackSet::default(), render: render.clone(), renderers: BTreeMap::new() }
    }

    /// The packs.
    pub fn set(&self) -> &PackSet {
        &self.set
    }

    /// Makes their mail templates known to the compiled kinds, as `PACK/NAME`.
    pub fn lend_templates(&self, renderer: &Renderer) {
        renderer.adopt(self.renderers.clone());
    }

    /// Their kinds, ready to run.
    pub fn kinds(&self) -> Vec<TaskKind> {
        let compiled = KindSet::compiled();
        let mut kinds = Vec::new();
        for pack in self.set.packs() {
            let Some(renderer) = self.renderers.get(&pack.name) else { continue };
            let runtime = Arc::new(PackRuntime::new(pack.clone(), renderer.clone(), &self.render));
            kinds.extend(pack.kinds.iter().map(|kind| task_kind(&runtime, kind, &compiled)));
        }
        kinds
    }

    /// Prepares every statement of the packs against its database. The error names each statement that the database refuses, and each source
    /// that does not answer.
    pub async fn prepare(&self, sources: &Sources) -> Result<(), PackError> {
        let mut errors = Vec::new();
        for pack in self.set.packs() {
            for source in &pack.sources {
                match sources.get(Some(&source.name)) {
                    Ok(found) => errors.extend(refused(pack, found).await),
                    Err(reason) => errors.push(format!("{}: sources.{}: {reason}", source.place, source.name)),
                }
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(PackError(errors)) }
    }
}

/// The packs of the configuration. A name without a folder may be that of the built-in pack.
fn read(config: &PacksConfig, host: &Host) -> Result<PackSet, PackError> {
    let mut files = Vec::new();
    let mut errors = Vec::new();
    for folder in &config.folders {
        if folder == Path::new(built_in::NAME) && !folder.exists() {
            files.push(built_in::files());
            continue;
        }
        match PackFiles::read(folder) {
            Ok(read) => files.push(read),
            Err(error) => errors.push(error.to_string()),
        }
    }
    match PackSet::from_files(&files, host) {
        Ok(set) if errors.is_empty() => Ok(set),
        Ok(_) => Err(PackError(errors)),
        Err(faults) => {
            errors.extend(faults.iter().map(ToString::to_string));
            Err(PackError(errors))
        }
    }
}

/// What a database says of the statements that are for it.
async fn refused(pack: &Pack, source: &legwork_source::Source) -> Vec<String> {
    let dialect = if source.is_postgres() { Dialect::Postgres } else { Dialect::Sqlite };
    let mut errors = Vec::new();
    for kind in pack.kinds.iter().filter(|kind| kind.source.as_deref() == Some(source.name())) {
        for statement in statements_of(kind).into_iter().flat_map(|sql| sql.statements(dialect)) {
            // A transaction each: in Postgres a refused statement ends its transaction.
            let mut transaction = match source.begin(Access::Read).await {
                Ok(transaction) => transaction,
                Err(error) => return vec![format!("{}: the pack {} cannot be used: {error}", kind.place, pack.name)],
            };
            if let Err(error) = transaction.prepare(&statement.text).await {
                errors.push(format!("{}: {} refuses the statement of {}: {error}", statement.place, dialect, kind.name));
            }
        }
    }
    errors
}

/// All SQL of a kind.
fn statements_of(kind: &legwork_pack::Kind) -> Vec<&Sql> {
    let mut all: Vec<&Sql> = Vec::new();
    all.extend(kind.data.query.iter().map(|query| &query.sql));
    all.extend(kind.data.queries.iter().map(|(_, query)| &query.sql));
    for steps in [&kind.steps.before, &kind.steps.after, &kind.steps.on_failure] {
        all.extend(steps.iter().map(|step| &step.sql));
    }
    match &kind.runner {
        Runner::Sql(steps) => all.extend(steps.iter().map(|step| &step.sql)),
        Runner::FanOut(fan_out) => all.push(&fan_out.query),
        Runner::Export(export) => {
            if let legwork_pack::ExportRows::Query(sql) = &export.rows {
                all.push(sql);
            }
        }
        _ => {}
    }
    all
}
