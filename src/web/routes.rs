//! The paths of the page, and the headers of every answer.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::map_response,
    response::{Redirect, Response},
    routing::{any, get, post},
};
use http::{
    HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        X_FRAME_OPTIONS,
    },
};

use super::{
    access, audit, deciding, event,
    fault::Fault,
    files, hosts, live, pages, passkey, reading, sign_in,
    site::{Clients, Site},
    timeline,
};
use crate::server::page::Backend;

/// Bytes of a request's body at most: a decision takes 4 KiB.
const BODY_LIMIT: usize = 16 * 1024;

/// Everything comes from this address, and nothing is inline. No page of another site frames it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The routes of the page, all under `/web`; the front of the port leads there.
pub(crate) fn routes(clients: Clients, backend: Backend) -> Router {
    let site = Arc::new(Site::new(clients, backend));
    let front = || get(async || Redirect::to("/web/requests"));
    Router::new()
        .route("/", front())
        .route("/web", front())
        .route("/web/", front())
        .route("/web/requests", get(reading::list))
        .route("/web/requests/{id}", get(reading::request))
        .route("/web/requests/{id}/{verb}", post(deciding::decide))
        .route("/web/access", get(access::page))
        .route("/web/access/lock", post(access::lock_me))
        .route("/web/locked", get(async || pages::locked()))
        .route("/web/audit", get(audit::page))
        .route("/web/audit.csv", get(audit::csv))
        .route("/web/audit/timeline", get(timeline::page))
        .route("/web/audit/hosts", get(hosts::page))
        .route("/web/audit/{index}", get(event::page))
        .route("/web/audit/{index}/proof", get(event::proof))
        .route("/web/events", get(live::events))
        .route("/web/sign-in", get(sign_in::page).post(sign_in::begin))
        .route("/web/callback", get(sign_in::callback))
        .route("/web/sign-out", post(sign_in::sign_out))
        .route("/web/signed-out", get(async || pages::signed_out()))
        .route("/web/passkey", get(passkey::page))
        .route("/web/page.js", get(files::script))
        .route("/web/access.js", get(files::access_script))
        .route("/web/proof.js", get(files::proof_script))
        .route("/web/passkey.js", get(files::passkey_script))
        .route("/web/page.css", get(files::style))
        .route("/web/icon.svg", get(files::icon))
        .route("/web/{*nothing}", any(async || pages::nothing()))
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(map_response(secured))
        .with_state(site)
}

/// The answer to a method that an address does not take.
async fn wrong_method() -> Response {
    let text =
        "This address does not take what your browser sent. Go to the requests, and on from there.";
    Fault::new(StatusCode::METHOD_NOT_ALLOWED, text).page()
}

/// Adds the headers that keep other sites, caches and sniffing browsers out.
async fn secured(mut response: Response) -> Response {
    let fixed = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    let headers = response.headers_mut();
    for (name, value) in fixed {
        let _ = headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        (
            "permissions-policy",
            "camera=(), geolocation=(), microphone=()",
        ),
    ] {
        let _ = headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(CACHE_CONTROL) {
        let _ = headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
