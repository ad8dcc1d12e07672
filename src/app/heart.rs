//! The heartbeat's thread: its own runtime and, on Postgres, its own connections, so that nothing that runs here can starve it.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{App, AppError, build_store};
use legwork_engine::domain::WorkerId;
use legwork_engine::store::SharedStore;
use legwork_engine::worker::heartbeat::Heart;
use legwork_engine::worker::pool::Pool;

/// A heart that beats.
pub(super) struct BeatingHeart {
    ended: tokio::sync::oneshot::Receiver<()>,
}

impl BeatingHeart {
    /// Resolves when the thread has ended.
    pub(super) async fn ended(self) {
        // The thread drops its end when it ends, however that may be.
        drop(self.ended.await);
    }
}

pub(super) fn start(
    app: &App,
    pool: &Arc<Pool>,
    id: WorkerId,
    name: &str,
    stop: &CancellationToken,
) -> Result<BeatingHeart, AppError> {
    let heart = Heart::new(pool.clone(), app.queue.clone(), app.config.worker.clone(), id, name, app.shutdown.clone());
    let (said, ended) = tokio::sync::oneshot::channel();
    let shared = app.store.is_exclusive().then(|| app.store.clone());
    let mut config = app.config.store.clone();
    config.connections = 1;
    let (stop, shutdown) = (stop.clone(), app.shutdown.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AppError::Thread)?;
    let beat = move || {
        runtime.block_on(async move {
            let own: SharedStore = match shared {
                Some(store) => store,
                None => match build_store(&config).await {
                    Ok(store) => store,
                    Err(error) => {
                        tracing::error!(%error, "the heart has no store to beat in; without it nothing may be fetched, so the process ends");
                        return shutdown.begin();
                    }
                },
            };
            heart.run(&own, stop).await;
        });
        drop(said);
    };
    std::thread::Builder::new().name("heartbeat".into()).spawn(beat).map_err(AppError::Thread)?;
    Ok(BeatingHeart { ended })
}
