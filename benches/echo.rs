//! The floor that submissions stand on: axum, the same runtime and allocator, a handler that gives the body back. `scripts/bench` runs it.
//!
//! `echo ADDRESS` listens there until it is stopped.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::post;
use axum::serve::ListenerExt;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

async fn echo(body: Bytes) -> impl IntoResponse {
    (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json")], body)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    // `cargo bench` passes `--bench`: then there is no address, and nothing to measure from inside.
    let Some(address) = std::env::args().skip(1).find_map(|word| word.parse::<SocketAddr>().ok()) else { return Ok(()) };
    let listener = tokio::net::TcpListener::bind(address).await?.tap_io(|stream| {
        // Without it the figure would be worse, not wrong.
        stream.set_nodelay(true).ok();
    });
    axum::serve(listener, Router::new().route("/api/v1/tasks", post(echo))).await
}
