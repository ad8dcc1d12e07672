//! Listens, and ends in good order.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::ServiceExt;
use axum::extract::Request;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;

use super::router::router;
use super::state::{ApiParts, ApiState};

/// So long after the end was asked for, connections that are still open are cut: a client that reads an event stream slowly, or never.
const DRAIN: Duration = Duration::from_secs(5);

/// Serves until the end is asked for; then takes no more connections, answers what has come, and returns.
pub async fn serve(listener: TcpListener, parts: ApiParts) -> io::Result<()> {
    let shutdown = parts.shutdown.clone();
    // Nagle's algorithm would hold back small answers for 40 ms.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
    });
    let service = router(ApiState::new(parts));
    let make = ServiceExt::<Request>::into_make_service_with_connect_info::<SocketAddr>(service);
    let begun = shutdown.clone();
    let serving = axum::serve(listener, make).with_graceful_shutdown(async move { begun.begun().await });
    tokio::select! {
        served = serving.into_future() => served,
        () = drained(&shutdown) => {
            tracing::info!("connections that were still open {} s after the end began are cut", DRAIN.as_secs());
            Ok(())
        }
    }
}

async fn drained(shutdown: &crate::shutdown::Shutdown) {
    shutdown.begun().await;
    tokio::time::sleep(DRAIN).await;
}
