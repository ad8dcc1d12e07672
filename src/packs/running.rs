//! The packs that a process runs, and their replacement without a restart.

use std::sync::Arc;

use legwork_engine::queue::Queue;
use legwork_engine::queue::declared::SyncReport;
use legwork_engine::store::{StoreError, StoreResult};
use legwork_source::SourcesConfig;
use parking_lot::RwLock;

use super::{LoadedPacks, PackError};
use crate::config::{PacksConfig, RenderConfig};
use crate::kinds::KindSet;
use crate::services::Services;

/// The packs of a process. A reload puts others in their place only if those are right as a whole.
pub struct RunningPacks {
    config: PacksConfig,
    render: RenderConfig,
    /// The sources that the configuration declares, without those of packs.
    declared: SourcesConfig,
    /// The sources that the process has opened.
    opened: SourcesConfig,
    current: RwLock<Arc<LoadedPacks>>,
    /// Whether the process keeps the schedules of its packs. A worker does not: it may know other packs than the schedulers.
    keeps_schedules: bool,
    /// One reload at a time.
    reloading: tokio::sync::Mutex<()>,
}

/// Why packs were not reloaded. Those that ran go on.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The packs cannot be used.
    #[error(transparent)]
    Packs(#[from] PackError),
    /// The packs need other databases, or know other models, than the process has opened.
    #[error("the source {0:?} or one of its models has changed, and a running server keeps its sources and models. Restart it")]
    Source(String),
    /// The packs run, but their schedules could not be brought in line.
    #[error("the packs were reloaded, but their schedules could not be brought in line: {0}. Run `legwork schedule sync`")]
    Schedules(#[from] StoreError),
}

impl RunningPacks {
    /// Reads the packs of the configuration, and adds their sources and models to `sources`.
    pub fn load(
        config: &PacksConfig,
        render: &RenderConfig,
        sources: &mut SourcesConfig,
        keeps_schedules: bool,
    ) -> Result<Self, PackError> {
        let declared = sources.clone();
        let packs = LoadedPacks::load(config, render, sources)?;
        Ok(Self {
            config: config.clone(),
            render: render.clone(),
            declared,
            opened: sources.clone(),
            current: RwLock::new(Arc::new(packs)),
            keeps_schedules,
            reloading: tokio::sync::Mutex::default(),
        })
    }

    /// The packs that run now.
    pub fn current(&self) -> Arc<LoadedPacks> {
        self.current.read().clone()
    }

    /// Reads the packs anew. If they are right, their kinds, templates and schedules replace those that run; attempts that run keep theirs. If
    /// they are not, everything stays as it is. Returns what was done to the schedules of each pack.
    pub async fn reload(
        &self,
        kinds: &KindSet,
        services: &Services,
        queue: &Queue,
    ) -> Result<Vec<(String, SyncReport)>, ReloadError> {
        let _one_at_a_time = self.reloading.lock().await;
        let mut sources = self.declared.clone();
        let fresh = LoadedPacks::load(&self.config, &self.render, &mut sources)?;
        if let Some(source) = self.opened.first_difference(&sources) {
            return Err(ReloadError::Source(source.to_owned()));
        }
        fresh.prepare(&services.sources).await?;
        fresh.lend_templates(&services.renderer);
        kinds.replace_declared(fresh.kinds());
        queue.kinds_changed().await;
        *self.current.write() = Arc::new(fresh);
        self.sync_schedules(queue).await.map_err(ReloadError::Schedules)
    }

    /// Brings the schedules in line with what the packs declare, where this process keeps them. Returns what was done for each pack.
    pub async fn sync_schedules(&self, queue: &Queue) -> StoreResult<Vec<(String, SyncReport)>> {
        if self.keeps_schedules { self.current().sync_schedules(queue).await } else { Ok(Vec::new()) }
    }
}
