//! The heartbeat's thread: its own runtime and, on Postgres, its own connections, so that nothing that runs here can starve it.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{App, AppError, build_store};
use legwork_engine::domain::WorkerId;
use legwork_engine::store::SharedStore;
use legwork_engine::worker::heartbeat::Heartbeat;
use legwork_engine::worker::pool::Pool;

/// The thread that sends heartbeats.
pub(super) struct HeartbeatThread {
    ended: tokio::sync::oneshot::Receiver<()>,
}

impl HeartbeatThread {
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
) -> Result<HeartbeatThread, AppError> {
    let heartbeat = Heartbeat::new(pool.clone(), app.queue.clone(), app.config.worker.clone(), id, name, app.shutdown.clone());
    let (said, ended) = tokio::sync::oneshot::channel();
    let shared = app.store.is_exclusive().then(|| app.store.clone());
    let mut config = app.config.store.clone();
    config.connections = 1;
    let (stop, shutdown) = (stop.clone(), app.shutdown.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AppError::Thread)?;
    let run = move || {
        runtime.block_on(async move {
            let own: SharedStore = match shared {
                Some(store) => store,
                None => match build_store(&config).await {
                    Ok(store) => store,
                    Err(error) => {
                        tracing::error!(%error, "the heartbeat has no store to write to; without it nothing may be fetched, so the process ends");
                        return shutdown.start();
                    }
                },
            };
            heartbeat.run(&own, stop).await;
        });
        drop(said);
    };
    std::thread::Builder::new().name("heartbeat".into()).spawn(run).map_err(AppError::Thread)?;
    Ok(HeartbeatThread { ended })
}
