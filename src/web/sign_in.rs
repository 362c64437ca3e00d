//! Sign-in by the authorization code flow, and sign-out.
//!
//! The browser makes its key first and sends the commitment to it, which becomes the token's nonce.
//! The provider's answer counts in the browser that began, for the provider that was asked, with a
//! token for that commitment.

use std::sync::{Arc, atomic::AtomicBool};

use axum::{
    Json,
    extract::{
        Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    response::{IntoResponse, Redirect, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header::SET_COOKIE};
use serde::Deserialize;
use serde_json::json;

use super::{
    cookies,
    environment::{now, random_text},
    exchanges::Known,
    fault::Fault,
    origin, pages,
    pending::{self, Pending, is_commitment},
    reading::locked,
    sessions::{Renewal, Session},
    site::Site,
    target::Target,
};
use crate::{
    identity::{
        Identity,
        code_flow::{Authorization, CodeError, CodeFlow},
    },
    operations::requests,
    server::lines::{LOG, causes},
    unix_seconds::UnixSeconds,
};

/// Bytes of a code at most.
const CODE_LIMIT: usize = 4096;

/// Seconds for which a browser is known: 90 days after its last sign-in.
const KNOWN_FOR: u64 = 90 * 24 * 60 * 60;

/// The page to show after the sign-in.
#[derive(Deserialize)]
pub(super) struct Afterwards {
    #[serde(default)]
    to: Target,
}

/// Serves the page to sign in.
pub(super) async fn page(
    State(site): State<Arc<Site>>,
    afterwards: Result<Query<Afterwards>, QueryRejection>,
) -> Response {
    let flows = site.clients.flows.iter();
    let issuers: Vec<&str> = flows.map(|flow| flow.settings().name.as_str()).collect();
    let target = afterwards.map_or(Target::default(), |Query(it)| it.to);
    pages::sign_in(&site.authority.server_name, &issuers, target).into_response()
}

/// A sign-in as the script begins it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Begin {
    issuer: String,
    commitment: String,
    #[serde(default)]
    to: Target,
}

/// Begins a sign-in: answers with the URL of the provider's page.
pub(super) async fn begin(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    body: Result<Json<Begin>, JsonRejection>,
) -> Response {
    if !origin::is_own(&headers, &site.clients.origin) {
        return Fault::foreign(&site.clients.origin).json();
    }
    let body = body.ok().filter(|Json(it)| is_commitment(&it.commitment));
    let Some(Json(begin)) = body else {
        return Fault::new(StatusCode::BAD_REQUEST, "The sign-in is malformed.").json();
    };
    match begun(&site, begin).await {
        Ok((url, cookie)) => ([(SET_COOKIE, cookie)], Json(json!({ "url": url }))).into_response(),
        Err(fault) => fault.json(),
    }
}

async fn begun(site: &Site, begin: Begin) -> Result<(String, HeaderValue), Fault> {
    let flow = flow(site, &begin.issuer)?;
    let pending = Pending {
        issuer: begin.issuer,
        state: random_text().map_err(|error| internal(&error))?,
        commitment: begin.commitment,
        target: begin.to,
        expires: UnixSeconds::from(now()).saturating_add(pending::LIFETIME),
    };
    let verifier = site.cookie_key.verifier(&pending.state);
    let url = flow.authorization_url(authorization(site, &pending, &verifier));
    let url = url.await.map_err(|error| failed(flow, &error))?;
    let cookie = site.cookie_key.seal(&pending);
    let cookie = cookie.map_err(|error| internal(&error))?;
    let cookie = cookies::set(cookies::SIGN_IN, &cookie, pending::LIFETIME.as_secs());
    Ok((url, cookie.map_err(|error| internal(&error))?))
}

fn flow<'a>(site: &'a Site, issuer: &str) -> Result<&'a CodeFlow, Fault> {
    site.clients.flow(issuer).ok_or_else(unknown_issuer)
}

fn unknown_issuer() -> Fault {
    let text = "There is no such identity provider.";
    Fault::new(StatusCode::BAD_REQUEST, text)
}

fn authorization<'a>(site: &'a Site, pending: &'a Pending, verifier: &'a str) -> Authorization<'a> {
    Authorization {
        redirect: &site.clients.redirect,
        state: &pending.state,
        nonce: &pending.commitment,
        verifier,
    }
}

/// The provider's answer (RFC 6749, section 4.1.2; RFC 9207).
#[derive(Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    state: String,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// Takes the provider's answer, and starts the session.
pub(super) async fn callback(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    answer: Result<Query<Answer>, QueryRejection>,
) -> Response {
    let cookie = cookies::value(&headers, cookies::SIGN_IN).unwrap_or_default();
    let pending = answer.ok().and_then(|Query(answer)| {
        let now = UnixSeconds::from(now());
        let pending = site.cookie_key.open(cookie, &answer.state, now)?;
        Some((pending, answer))
    });
    let Some((pending, answer)) = pending else {
        let text = "This sign-in was not begun in this browser, is too old, or was finished \
                    already. Sign in again.";
        return Fault::new(StatusCode::BAD_REQUEST, text).page();
    };
    let known = cookies::value(&headers, cookies::KNOWN);
    let browser = known.and_then(|cookie| site.cookie_key.open_known(cookie));
    let Some(exchanges) = site.exchanges.get(&pending.issuer) else {
        return unknown_issuer().page();
    };
    let Some(_place) = exchanges.place(browser.as_ref(), now()).await else {
        // The code is good for a minute or so, and the browser keeps its cookie.
        let text = "Too many people sign in at this moment. Load this page again in a few seconds.";
        return Fault::new(StatusCode::SERVICE_UNAVAILABLE, text).page();
    };
    let started = start(&site, &pending, answer, &headers).await;
    if let Err(fault) = &started
        && fault.status == StatusCode::SERVICE_UNAVAILABLE
    {
        // The provider may be back before the code is too old: to load this page again goes on.
        return fault.page();
    }
    let mut response = match started {
        Ok(session) => {
            let target = Redirect::to(&pending.target.path());
            let mut response = ([(SET_COOKIE, session)], target).into_response();
            if let Some(known) = known_cookie(&site, browser) {
                let _ = response.headers_mut().append(SET_COOKIE, known);
            }
            response
        }
        Err(fault) => fault.page(),
    };
    if let Ok(gone) = cookies::remove(cookies::SIGN_IN) {
        let _ = response.headers_mut().append(SET_COOKIE, gone);
    }
    response
}

/// The cookie that tells this browser from strangers' at its next sign-in.
fn known_cookie(site: &Site, browser: Option<Known>) -> Option<HeaderValue> {
    let browser = browser.or_else(|| random_text().ok().map(Known))?;
    let cookie = site.cookie_key.seal_known(&browser);
    cookies::set(cookies::KNOWN, &cookie, KNOWN_FOR).ok()
}

/// Starts a session under a new cookie, and ends the one that this browser had.
async fn start(
    site: &Site,
    pending: &Pending,
    answer: Answer,
    headers: &HeaderMap,
) -> Result<HeaderValue, Fault> {
    let flow = flow(site, &pending.issuer)?;
    let session = session(site, flow, pending, answer).await?;
    if let Err(lock) = requests::expect_unlocked(&site.authority, &session.identity) {
        return Err(locked(&lock.to_string()));
    }
    if let Some(old) = cookies::value(headers, cookies::SESSION) {
        site.sessions.end(old);
    }
    let cookie = random_text().map_err(|error| internal(&error))?;
    let now = now();
    let left = session.ends() - now;
    let left = u64::try_from(left.whole_seconds()).unwrap_or_default();
    let header = cookies::set(cookies::SESSION, &cookie, left).map_err(|error| internal(&error))?;
    tracing::info!(
        issuer = session.identity.issuer(),
        subject = session.identity.subject(),
        "signed in on the page"
    );
    site.sessions.start(&cookie, session, now);
    Ok(header)
}

/// Fetches and verifies the token.
async fn session(
    site: &Site,
    flow: &CodeFlow,
    pending: &Pending,
    answer: Answer,
) -> Result<Session, Fault> {
    let told = |error: CodeError| failed(flow, &error);
    flow.expect_issuer(answer.iss.as_deref())
        .await
        .map_err(told)?;
    if answer.error.is_some() {
        let text =
            "The identity provider refused the sign-in. Sign in again, or ask its operators.";
        return Err(Fault::new(StatusCode::FORBIDDEN, text));
    }
    let code = answer.code.filter(|code| code.len() <= CODE_LIMIT);
    let missing = || Fault::new(StatusCode::BAD_REQUEST, "The provider sent no code.");
    let code = code.ok_or_else(missing)?;
    let verifier = site.cookie_key.verifier(&pending.state);
    let tokens = flow.unverified_tokens(&code, authorization(site, pending, &verifier));
    let tokens = tokens.await.map_err(told)?;
    let (token, now) = (tokens.id_token, now());
    let identity = site.issuers.verify(&token, now).await;
    let identity = identity.map_err(|error| refused(flow, &error.to_string()))?;
    expect_ours(flow, &identity, pending).map_err(|why| refused(flow, why))?;
    let renewal = tokens.refresh.map(|refresh| Renewal {
        issuer: pending.issuer.clone(),
        refresh,
        ends: now + flow.settings().sign_in.session,
        turn: Arc::default(),
    });
    Ok(Session {
        identity,
        token,
        original: None,
        renewal,
        commitment: pending.commitment.clone(),
        is_auditor: AtomicBool::default(),
    })
}

/// Checks that the token is of this provider and for this browser's key: a code of another sign-in
/// brings another token.
fn expect_ours(
    flow: &CodeFlow,
    identity: &Identity,
    pending: &Pending,
) -> Result<(), &'static str> {
    if identity.issuer() != flow.settings().url {
        return Err("the token is of another provider");
    }
    match identity.nonce() {
        Some(nonce) if nonce == pending.commitment => Ok(()),
        Some(_) | None => Err("the token is for another browser's key"),
    }
}

/// Ends the session.
pub(super) async fn sign_out(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    if !origin::is_own(&headers, &site.clients.origin) {
        return Fault::foreign(&site.clients.origin).page();
    }
    if let Some(cookie) = cookies::value(&headers, cookies::SESSION) {
        site.sessions.end(cookie);
    }
    let mut response = Redirect::to("/web/signed-out").into_response();
    if let Ok(gone) = cookies::remove(cookies::SESSION) {
        let _ = response.headers_mut().append(SET_COOKIE, gone);
    }
    response
}

/// A failure of the provider. The page names the kind; the log has the cause.
fn failed(flow: &CodeFlow, error: &CodeError) -> Fault {
    let issuer = &flow.settings().name;
    if LOG.admit("WEB_SIGN_IN") {
        let cause = causes(error);
        tracing::warn!(
            issuer,
            cause,
            "a sign-in on the page failed at its provider"
        );
    }
    match error {
        CodeError::Fetch(_) | CodeError::Down => Fault::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("The identity provider {issuer} does not answer. Try again in a minute."),
        ),
        CodeError::Refused(_) | CodeError::NoToken | CodeError::OtherIssuer => Fault::new(
            StatusCode::BAD_GATEWAY,
            format!("The sign-in at {issuer} failed: {error}. Sign in again."),
        ),
    }
}

fn refused(flow: &CodeFlow, why: &str) -> Fault {
    let issuer = &flow.settings().name;
    if LOG.admit("WEB_TOKEN") {
        tracing::warn!(
            issuer,
            cause = why,
            "a token of a sign-in on the page is refused"
        );
    }
    let text = format!("The sign-in at {issuer} is refused: {why}.");
    Fault::new(StatusCode::FORBIDDEN, text)
}

fn internal(error: &dyn std::error::Error) -> Fault {
    tracing::error!(cause = %error, "a sign-in on the page failed");
    let text = "The server cannot sign you in now. Tell its operators.";
    Fault::new(StatusCode::INTERNAL_SERVER_ERROR, text)
}
