//! Plain HTTPS answers for hosts and monitors, over HTTP/1.1 and HTTP/2: CA keys, revoked passes,
//! checkpoint and tiles, health, metrics. The files for hosts are signed, and a host downloads one
//! again only if it has changed.

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{AppendHeaders, IntoResponse, Response},
    routing::get,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, StatusCode, Uri,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG},
};

use super::{
    conditional, entries, gauges::Gauges, limiter::Network, lines::LOG, metrics, peer::Peer,
    services::Services, status::CallError,
};
use crate::ledger::tile::Tile;
use crate::operations::{
    Error, ledger_key,
    published::{self, Document},
    recovery, trust,
};
use crate::ssh::sshsig;

/// Returns the routes of `GET`, each rate-limited by address. `/healthz`, `/readyz` and `/metrics`
/// are not rate-limited.
pub(super) fn routes(services: Arc<Services>, pages: Pages) -> Router {
    Router::new()
        .route("/ca.pub", get(ca_keys))
        .route("/krl", get(krl))
        .route("/recovery", get(recovery_document))
        .route("/checkpoint", get(checkpoint))
        .route("/ledger-keys", get(ledger_keys))
        .route("/tile/{*path}", get(tile))
        .route("/tile/entries/{*path}", get(entries::bundle))
        .merge(pages.of_people.with_state(()))
        .route_layer(from_fn_with_state(services.clone(), limit_rate))
        .route(
            "/healthz",
            get(async || text(StatusCode::OK, "ok\n".to_owned())),
        )
        .route("/readyz", get(ready))
        .with_state(services.clone())
        .merge(
            Router::new()
                .route("/metrics", get(render))
                .with_state((services, pages.metrics)),
        )
}

/// Pages besides those of the ledger and the keys.
pub(super) struct Pages {
    /// The page for approvers; without any route if there is none.
    pub(super) of_people: Router,
    pub(super) metrics: Metrics,
}

/// Metrics to render, and who may read them.
#[derive(Clone)]
pub(super) struct Metrics {
    pub(super) handle: metrics::Handle,
    pub(super) is_public: bool,
    pub(super) gauges: Arc<Gauges>,
}

/// Serves every published key, one per line: a file for sshd's `TrustedUserCAKeys`.
async fn ca_keys(State(services): State<Arc<Services>>, asked: HeaderMap) -> Response {
    let keys = published::current_ca_keys(&services.authority).await;
    document(&asked, TEXT, keys.as_deref())
}

/// Serves the revoked passes: a KRL for sshd's `RevokedKeys`.
async fn krl(State(services): State<Arc<Services>>, asked: HeaderMap) -> Response {
    let revocations = published::current_revocations(&services.authority).await;
    let krl = revocations.as_deref().map(|it| &it.document);
    document(&asked, "application/octet-stream", krl)
}

/// Serves the administrators' keys, and whether and by whose statement a restored ledger goes on.
async fn recovery_document(State(services): State<Arc<Services>>, asked: HeaderMap) -> Response {
    let recovery = recovery::document(&services.authority).await;
    document(&asked, "application/json", recovery.as_deref())
}

/// Answers with a signed document, or with 304 if the caller already has it.
fn document(asked: &HeaderMap, kind: &'static str, content: Result<&Document, &Error>) -> Response {
    let content = match content {
        Ok(content) => content,
        Err(error) => return not_published(error),
    };
    let tag = format!("\"{}\"", content.digest);
    // The active key's first: earlier hosts read one.
    let signatures = std::iter::once(&content.signature).chain(&content.more_signatures);
    let signatures = signatures.map(|it| (sshsig::HEADER, STANDARD.encode(it)));
    let signatures = AppendHeaders(signatures);
    let tags = [(ETAG, tag.clone())];
    match conditional::has(asked, &tag) {
        true => (StatusCode::NOT_MODIFIED, tags, signatures).into_response(),
        false => (
            tags,
            signatures,
            [(CONTENT_TYPE, kind)],
            content.body.clone(),
        )
            .into_response(),
    }
}

/// Answers 503: the host keeps the file that it has. A partial or unsigned file is never sent.
fn not_published(error: &Error) -> Response {
    if LOG.admit("NOT_PUBLISHED") {
        tracing::error!(cause = %error, "what hosts fetch could not be published");
    }
    text(
        StatusCode::SERVICE_UNAVAILABLE,
        "CA_UNAVAILABLE\n".to_owned(),
    )
}

/// Serves the signed head of the ledger (C2SP tlog-checkpoint).
async fn checkpoint(State(services): State<Arc<Services>>) -> Response {
    match trust::checkpoint(&services.authority).await {
        Ok(checkpoint) => (
            [(CACHE_CONTROL, "no-cache")],
            text(StatusCode::OK, checkpoint),
        )
            .into_response(),
        Err(error) => refusal_text(&error.into()),
    }
}

/// Serves the ledger's key, and the handovers that led to it: they need no signature of the server.
async fn ledger_keys(State(services): State<Arc<Services>>) -> Response {
    let keys = ledger_key::published(&services.authority).await;
    ([(CACHE_CONTROL, "no-cache")], axum::Json(keys)).into_response()
}

/// Serves a tile of the ledger's hashes (C2SP tlog-tiles). The path counts as it was sent: one tile
/// has one path, so that a cache keeps it once.
async fn tile(State(services): State<Arc<Services>>, uri: Uri) -> Response {
    let path = uri.path().strip_prefix("/tile/");
    let tile = path.filter(|_| uri.query().is_none()).and_then(Tile::parse);
    let Some(tile) = tile else {
        return no_tile("no tile has this path\n");
    };
    match trust::tile(&services.authority, tile).await {
        Ok(Some(hashes)) => {
            let caching = if tile.is_full() { FOR_EVER } else { A_MINUTE };
            let headers = [
                (CONTENT_TYPE, "application/octet-stream"),
                (CACHE_CONTROL, caching),
            ];
            (headers, hashes).into_response()
        }
        Ok(None) => no_tile("the ledger does not reach this tile yet\n"),
        Err(error) => refusal_text(&error.into()),
    }
}

/// Answers 404 for now: the ledger grows.
fn no_tile(why: &str) -> Response {
    let answer = text(StatusCode::NOT_FOUND, why.to_owned());
    ([(CACHE_CONTROL, "no-store")], answer).into_response()
}

/// Caching of a full tile.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Caching of a partial tile. Its hashes do not change either, but soon there is a wider one.
const A_MINUTE: &str = "public, max-age=60";

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
    Extension(peer): Extension<Peer>,
) -> Response {
    if !metrics.is_public && !peer.is_loopback() {
        return text(
            StatusCode::FORBIDDEN,
            "metrics are for loopback\n".to_owned(),
        );
    }
    metrics.gauges.measure(&services).await;
    text(StatusCode::OK, metrics.handle.render())
}

/// Answers 429 to an address that asks too often.
async fn limit_rate(
    State(services): State<Arc<Services>>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    match services.per_address.check(Network::of(peer.ip())) {
        Ok(()) => next.run(request).await,
        Err(wait) => refusal_text(&CallError::RateLimited(wait)),
    }
}

fn refusal_text(refusal: &CallError) -> Response {
    let code = match refusal {
        CallError::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
        CallError::TooManyWatches(_)
        | CallError::WatchEnded
        | CallError::Identity(_)
        | CallError::Malformed(_)
        | CallError::SubjectKey(_)
        | CallError::Operation(_)
        | CallError::Randomness(_)
        | CallError::Encoding(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let reason = refusal.reason();
    if LOG.admit(reason) {
        tracing::warn!(code = reason, cause = %refusal, "a plain request was not answered");
    }
    text(code, format!("{reason}\n"))
}

const TEXT: &str = "text/plain; charset=utf-8";

fn text(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, TEXT)], body).into_response()
}
