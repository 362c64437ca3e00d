//! The plain HTTPS answers for hosts and monitors, on HTTP/1.1 and HTTP/2: CA keys, checkpoint, health, metrics.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    Extension, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header::CONTENT_TYPE};

use super::{Services, connection::Peer, metrics, places::Network, status::Refusal};
use crate::operations::trust;

/// `GET` on a handful of paths, each under the address's rate.
pub(super) fn routes(services: Arc<Services>, metrics: Metrics) -> Router {
    Router::new()
        .route("/ca.pub", get(ca_keys))
        .route("/checkpoint", get(checkpoint))
        .route(
            "/healthz",
            get(async || text(StatusCode::OK, "ok\n".to_owned())),
        )
        .route("/readyz", get(ready))
        .with_state(services.clone())
        .merge(
            Router::new()
                .route("/metrics", get(render))
                .with_state((services, metrics)),
        )
}

/// What `/metrics` shows, and to whom.
#[derive(Clone)]
pub(super) struct Metrics {
    pub(super) handle: metrics::Handle,
    pub(super) is_public: bool,
}

/// Every published key, one per line: a file for sshd's `TrustedUserCAKeys`.
async fn ca_keys(State(services): State<Arc<Services>>, peer: Extension<Peer>) -> Response {
    if let Some(wait) = services.too_many(*peer) {
        return wait;
    }
    let mut lines = String::new();
    for (key, _) in trust::trust(&services.authority).keys {
        match key.to_openssh() {
            Ok(line) => writeln!(lines, "{line}").unwrap_or_default(),
            Err(error) => return sorry(&error.into()),
        }
    }
    text(StatusCode::OK, lines)
}

/// The ledger's head, signed (C2SP tlog-checkpoint).
async fn checkpoint(State(services): State<Arc<Services>>, peer: Extension<Peer>) -> Response {
    if let Some(wait) = services.too_many(*peer) {
        return wait;
    }
    match trust::checkpoint(&services.authority).await {
        Ok(checkpoint) => text(StatusCode::OK, checkpoint),
        Err(error) => sorry(&error.into()),
    }
}

async fn ready(State(services): State<Arc<Services>>) -> Response {
    let readiness = services.readiness();
    let status = match readiness.is_ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    text(status, readiness.notes)
}

async fn render(
    State((services, metrics)): State<(Arc<Services>, Metrics)>,
    Extension(Peer(peer)): Extension<Peer>,
) -> Response {
    if !metrics.is_public && !peer.ip().to_canonical().is_loopback() {
        return text(
            StatusCode::FORBIDDEN,
            "metrics are for loopback\n".to_owned(),
        );
    }
    let size = trust::health(&services.authority).ledger_size;
    ::metrics::gauge!("daypass_ledger_size").set(size as f64);
    text(StatusCode::OK, metrics.handle.render())
}

impl Services {
    fn too_many(&self, Peer(peer): Peer) -> Option<Response> {
        let checked = self.per_address.check(Network::of(peer.ip()));
        checked.err().map(|wait| sorry(&Refusal::RateLimited(wait)))
    }
}

fn sorry(refusal: &Refusal) -> Response {
    let code = match refusal {
        Refusal::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    tracing::warn!(code = refusal.reason(), cause = %refusal, "a plain request was not answered");
    text(code, format!("{}\n", refusal.reason()))
}

fn text(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}
