//! Runs an axum router on a loopback port until it is stopped: the HTTP of the dev world's servers.

use std::time::Duration;

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    serve::Listener,
};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Grace period for a client that does not read its answer.
const GRACE: Duration = Duration::from_secs(1);

/// A running server. Dropping it closes its port and its connections.
pub(super) struct Server {
    stopping: DropGuard,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves `router`. `listener` must be bound to loopback.
    pub(super) fn start<L>(listener: L, router: Router) -> Self
    where
        L: Listener,
        L::Addr: std::fmt::Debug,
    {
        let stopping = CancellationToken::new();
        let stopped = stopping.clone();
        let router = router.layer(middleware::from_fn(move |request: Request, next: Next| {
            answer_unless_stopped(stopped.clone(), request, next)
        }));
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(stopping.clone().cancelled_owned());
        let task = tokio::spawn(async move {
            // The accept loop has no error of its own: it tries again.
            let _ = served.await;
        });
        Self {
            stopping: stopping.drop_guard(),
            task,
        }
    }

    /// Closes the port and every connection, and returns when they are closed.
    pub(super) async fn stop(self) {
        drop(self.stopping);
        let mut task = self.task;
        if tokio::time::timeout(GRACE, &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// Ends an answer that waits for a test when the server stops.
async fn answer_unless_stopped(
    stopped: CancellationToken,
    request: Request,
    next: Next,
) -> Response {
    tokio::select! {
        answer = next.run(request) => answer,
        () = stopped.cancelled() => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
