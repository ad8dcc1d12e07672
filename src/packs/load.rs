//! Loads packs from their folders, and makes kinds of what they declare.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use legwork_pack::{ArgFault, ArgsCheck, Fault, Host, HostKind, PackFiles, PackSet};
use legwork_source::{Sources, SourcesConfig};
use serde_json::Value;

use super::kind::{PackRuntime, for_admins, task_kind};
use super::prepare::Refusals;
use super::{built_in, sources};
use crate::config::{PacksConfig, RenderConfig};
use crate::kinds::{KindSet, TaskKind};
use crate::services::render::Renderer;

/// Why packs cannot be used: one thing a line, each with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// The packs have to be corrected.
    #[error("the packs have mistakes:\n{}", .0.join("\n"))]
    Mistakes(Vec<String>),
    /// Their databases do not answer; nothing is known to be wrong with the packs.
    #[error("the packs are not used, because their databases do not answer:\n{}", .0.join("\n"))]
    Away(Vec<String>),
}

/// Packs that were found right, and what they need.
pub struct LoadedPacks {
    set: PackSet,
    render: RenderConfig,
    renderers: BTreeMap<String, Arc<Renderer>>,
}

/// What the program offers to packs. `now` makes clocked schedules of the past a mistake.
pub fn host(config: &PacksConfig, render: &RenderConfig, now: Option<Timestamp>) -> Result<Host, PackError> {
    let renderer = Renderer::new(render).map_err(|error| PackError::Mistakes(vec![error.to_string()]))?;
    let kinds = KindSet::compiled();
    let kinds = kinds.public().map(|kind| {
        let schema = (*kind.json_schema).clone();
        let name = kind.policy.name.to_string();
        let check = ArgsCheck::new(move |args| {
            let errors = kind.schema_errors(&Value::Object(args.clone())).into_iter();
            errors.map(|error| ArgFault { pointer: error.pointer, detail: error.detail }).collect()
        });
        (name, HostKind { schema, check: Some(check) })
    });
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
        if errors.is_empty() { Ok(Self { set, render: render.clone(), renderers }) } else { Err(PackError::Mistakes(errors)) }
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
        let for_admins = for_admins(&self.set, &compiled);
        let mut kinds = Vec::new();
        for pack in self.set.packs() {
            let Some(renderer) = self.renderers.get(&pack.name) else { continue };
            let runtime = Arc::new(PackRuntime::new(pack.clone(), renderer.clone(), &self.render));
            let made = pack.kinds.iter().map(|kind| task_kind(&runtime, kind, &compiled, for_admins.contains(&kind.name)));
            kinds.extend(made);
        }
        kinds
    }

    /// Prepares every statement of the packs against its database. The error names each statement that the database refuses, and each source
    /// that does not answer.
    pub async fn prepare(&self, sources: &Sources) -> Result<(), PackError> {
        let mut found = Refusals::default();
        for pack in self.set.packs() {
            found.pack(pack, sources).await;
        }
        let told = |faults: Vec<Fault>| faults.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (mut refused, away) = (told(found.refused), told(found.away));
        match (refused.is_empty(), away.is_empty()) {
            (true, true) => Ok(()),
            (true, false) => Err(PackError::Away(away)),
            (false, _) => {
                refused.extend(away);
                Err(PackError::Mistakes(refused))
            }
        }
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
        Ok(_) => Err(PackError::Mistakes(errors)),
        Err(faults) => {
            errors.extend(faults.iter().map(ToString::to_string));
            Err(PackError::Mistakes(errors))
        }
    }
}
