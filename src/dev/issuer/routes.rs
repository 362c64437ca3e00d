//! The dev issuer's HTTP: one handler per path. What they decide is in [`super::flows`].

use std::{sync::Arc, time::Duration};

use axum::{
    Form, Json, Router,
    extract::{DefaultBodyLimit, Query, Request, State as Shared},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    behaviour::Behaviour,
    flows::{Authorization, CLIENT_ID, INTERVAL, InvalidAuthorization, SIGN_IN_LIFETIME},
    members::set,
    pages,
    parameters::Parameters,
    people::{self, Account},
    profile::{Profile, Refusal},
    renewals::Renewed,
    signed_in::SignedIn,
    state::{State, TOKEN_LIFETIME},
    wanted::{LEVELS, Wanted},
};
use crate::{dev::now, identity::Algorithm};

/// The path of discovery (OpenID Connect Discovery, section 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// More than any form of this issuer.
const BODY_LIMIT: usize = 64 * 1024;

/// The longest that [`Behaviour::Slow`] delays an answer.
const SLOW: Duration = Duration::from_secs(60);

/// The grant of the device flow (RFC 8628, section 3.4).
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The message for a wrong name or password.
const WRONG: &str = "No such name and password. `daypass dev` printed both.";

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route(DISCOVERY, get(discovery))
        .route("/jwks", get(key_set))
        .route(
            "/elsewhere/.well-known/openid-configuration",
            get(moved_discovery),
        )
        .route("/elsewhere/jwks", get(moved_key_set))
        .route("/authorize", get(authorize))
        .route("/login", post(login))
        .route("/token", post(token))
        .route("/device_authorization", post(device_authorization))
        .route("/device", get(device_page).post(device))
        .fallback(elsewhere)
        .method_not_allowed_fallback(not_found)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), count))
        .with_state(state)
}

/// Counts the request, and keeps its answer out of caches.
async fn count(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    *state.hits.lock().entry(path).or_default() += 1;
    let mut answer = next.run(request).await;
    let no_store = HeaderValue::from_static("no-store");
    answer.headers_mut().insert(header::CACHE_CONTROL, no_store);
    answer
}

/// The two documents that clients fetch, and that the issuer can be told to spoil.
#[derive(Clone, Copy)]
enum Document {
    Discovery,
    KeySet,
}

impl Document {
    fn path(self) -> &'static str {
        match self {
            Self::Discovery => DISCOVERY,
            Self::KeySet => "/jwks",
        }
    }

    /// The document as the specifications want it.
    fn proper(self, state: &State) -> Value {
        match self {
            Self::Discovery => {
                let profile = state.profile.lock();
                let origin = profile.origin(&state.url);
                profile.discovery(proper_discovery(origin), &state.url)
            }
            Self::KeySet => {
                let keys = state.keys.lock().jwks();
                json!({"keys": state.profile.lock().keys(keys)})
            }
        }
    }
}

async fn discovery(Shared(state): Shared<Arc<State>>) -> Response {
    as_told(&state, Document::Discovery).await
}

async fn key_set(Shared(state): Shared<Arc<State>>) -> Response {
    as_told(&state, Document::KeySet).await
}

async fn moved_discovery(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    Json(Document::Discovery.proper(&state))
}

async fn moved_key_set(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    Json(Document::KeySet.proper(&state))
}

/// The document as the present behaviour has it.
async fn as_told(state: &State, document: Document) -> Response {
    let proper = document.proper(state);
    let behaviour = *state.behaviour.borrow();
    let spoiled = match (behaviour, document) {
        (Behaviour::Status500, _) => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            return page(status, pages::message("Something is wrong"));
        }
        (Behaviour::Html, _) => {
            return page(StatusCode::OK, pages::message("Down for maintenance"));
        }
        (Behaviour::Redirect, _) => {
            let moved = format!("{}/elsewhere{}", state.url, document.path());
            return Redirect::to(&moved).into_response();
        }
        (Behaviour::Slow, _) => {
            let mut changes = state.behaviour.subscribe();
            let changed = changes.wait_for(|behaviour| *behaviour != Behaviour::Slow);
            let _ = tokio::time::timeout(SLOW, changed).await;
            // A key that was replaced meanwhile is not in the answer.
            document.proper(state)
        }
        (Behaviour::Huge, _) => json!({"keys": [], "padding": "x".repeat(50_000_000)}),
        (Behaviour::Names(name, text), _) => renamed(proper, name, text),
        (Behaviour::Empty, Document::KeySet) => json!({"keys": []}),
        (Behaviour::DuplicateKid, Document::KeySet) => duplicate_kid(proper),
        (Behaviour::OtherIssuer, Document::Discovery) => {
            with(proper, "issuer", "https://other.example")
        }
        (Behaviour::PlainKeys, Document::Discovery) => {
            with(proper, "jwks_uri", "http://issuer.example/jwks")
        }
        (Behaviour::Normal, _)
        | (Behaviour::Empty | Behaviour::DuplicateKid, Document::Discovery)
        | (Behaviour::OtherIssuer | Behaviour::PlainKeys, Document::KeySet) => proper,
    };
    Json(spoiled).into_response()
}

fn proper_discovery(url: &str) -> Value {
    json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "device_authorization_endpoint": format!("{url}/device_authorization"),
        "jwks_uri": format!("{url}/jwks"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", DEVICE_GRANT],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": Algorithm::ALL.map(Algorithm::name),
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "scopes_supported": ["openid", "email", "groups"],
        "acr_values_supported": LEVELS.map(|(level, _)| level),
        "claims_supported": [
            "sub", "name", "email", "email_verified", "groups", "auth_time", "amr", "acr",
        ],
    })
}

fn duplicate_kid(mut key_set: Value) -> Value {
    if let Some(keys) = key_set.get_mut("keys").and_then(Value::as_array_mut) {
        keys.extend_from_within(..);
    }
    key_set
}

fn with(mut document: Value, name: &str, value: &str) -> Value {
    set(&mut document, name, json!(value));
    document
}

/// Replaces the text under a name, if the document has that name.
fn renamed(document: Value, name: &str, text: &str) -> Value {
    match document.get(name) {
        Some(_) => with(document, name, text),
        None => document,
    }
}

async fn authorize(Shared(state): Shared<Arc<State>>, Query(query): Query<Parameters>) -> Response {
    let profile = state.profile.lock().clone();
    match Authorization::parse(&query, &profile, now()) {
        Ok(authorization) => {
            let asked = authorization.wanted.describe();
            let id = state.flows.lock().wait(authorization);
            page(StatusCode::OK, pages::sign_in(&id, &asked))
        }
        Err(InvalidAuthorization::Page(why)) => page(StatusCode::BAD_REQUEST, pages::message(why)),
        Err(InvalidAuthorization::Redirect(url)) => Redirect::to(url.as_str()).into_response(),
    }
}

async fn login(Shared(state): Shared<Arc<State>>, Form(form): Form<Parameters>) -> Response {
    let id = form.text("request");
    let Some(account) = authenticate(&state, &form) else {
        return page(StatusCode::FORBIDDEN, pages::sign_in(id, WRONG));
    };
    let issuer = state.profile.lock().issuer(&state.url);
    let mut flows = state.flows.lock();
    match flows.approve(id, account.name, &issuer, now()) {
        Some(url) => Redirect::to(url.as_str()).into_response(),
        None => page(
            StatusCode::BAD_REQUEST,
            pages::message("This sign-in is over; start again"),
        ),
    }
}

/// The account whose name and password the form has.
fn authenticate(state: &State, form: &Parameters) -> Option<&'static Account> {
    let password = form.text("password");
    let is_right = match &state.password {
        Some(expected) => expected == password,
        None => true,
    };
    people::find(form.get("login")?).filter(|_| is_right)
}

async fn token(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Form(form): Form<Parameters>,
) -> Response {
    let profile = state.profile.lock().clone();
    if let Err(description) = profile.check_client(&form, basic_secret(&headers).as_deref()) {
        let error = json!({"error": "invalid_client", "error_description": description});
        return (StatusCode::UNAUTHORIZED, Json(error)).into_response();
    }
    if form.text("grant_type") == "refresh_token" {
        let renewed = profile.renew(&mut state.flows.lock().renewals, &form, now());
        return match renewed {
            Ok(Renewed { signed_in, token }) => tokens(&state, &profile, &signed_in, token),
            Err(refusal) => refused(&refusal),
        };
    }
    let mut flows = state.flows.lock();
    let redeemed = match form.text("grant_type") {
        "authorization_code" => flows.redeem_code(&form, now()).ok_or("invalid_grant"),
        DEVICE_GRANT => flows.poll_device(form.text("device_code"), now()),
        _ => Err("unsupported_grant_type"),
    };
    let kept = match &redeemed {
        Ok(signed_in) if signed_in.refreshes => Some(flows.renewals.keep(signed_in.clone())),
        Ok(_) | Err(_) => None,
    };
    drop(flows);
    match redeemed {
        Ok(signed_in) => tokens(&state, &profile, &signed_in, kept),
        Err(code) => oauth_error(code),
    }
}

/// The answer of the token endpoint (RFC 6749, section 5.1).
fn tokens(
    state: &State,
    profile: &Profile,
    signed_in: &SignedIn,
    refresh_token: Option<String>,
) -> Response {
    let mut answer = json!({
        "access_token": crate::dev::random_text(),
        "token_type": "Bearer",
        "expires_in": profile.lifetime().unwrap_or(TOKEN_LIFETIME).as_secs(),
    });
    if profile.has_id_token(signed_in) {
        set(&mut answer, "id_token", json!(state.id_token(signed_in)));
    }
    if let Some(token) = refresh_token {
        set(&mut answer, "refresh_token", json!(token));
    }
    Json(answer).into_response()
}

fn refused(refusal: &Refusal) -> Response {
    let mut error = json!({"error": refusal.error});
    if !refusal.description.is_empty() {
        let description = json!(refusal.description);
        set(&mut error, "error_description", description);
    }
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    (status, Json(error)).into_response()
}

/// The client secret in the header (RFC 6749, section 2.3.1).
fn basic_secret(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let bytes = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (_, secret) = text.split_once(':')?;
    Some(secret.to_owned())
}

async fn device_authorization(
    Shared(state): Shared<Arc<State>>,
    Form(form): Form<Parameters>,
) -> Response {
    if form.text("client_id") != CLIENT_ID {
        return oauth_error("invalid_client");
    }
    let wanted = Wanted::of(&form);
    let refreshes = state.profile.lock().refreshes(&form);
    let mut flows = state.flows.lock();
    let (device_code, user_code) = flows.begin_device(wanted, refreshes, now());
    drop(flows);
    let url = &state.url;
    let answer = json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": format!("{url}/device"),
        "verification_uri_complete": format!("{url}/device?user_code={user_code}"),
        "expires_in": SIGN_IN_LIFETIME.as_secs(),
        "interval": INTERVAL.as_secs(),
    });
    let behaviour = *state.behaviour.borrow();
    if let Behaviour::Names(name, text) = behaviour {
        return Json(renamed(answer, name, text)).into_response();
    }
    Json(answer).into_response()
}

async fn device_page(Query(query): Query<Parameters>) -> Response {
    page(StatusCode::OK, pages::device(query.text("user_code"), ""))
}

async fn device(Shared(state): Shared<Arc<State>>, Form(form): Form<Parameters>) -> Response {
    let code = form.text("user_code");
    let Some(account) = authenticate(&state, &form) else {
        return page(StatusCode::FORBIDDEN, pages::device(code, WRONG));
    };
    let mut flows = state.flows.lock();
    if flows.approve_device(code, account.name, now()) {
        page(
            StatusCode::OK,
            pages::message("Done: go back to your device"),
        )
    } else {
        let why = "No device waits for this code.";
        page(StatusCode::BAD_REQUEST, pages::device("", why))
    }
}

/// Discovery below another path, or nothing.
async fn elsewhere(Shared(state): Shared<Arc<State>>, uri: Uri) -> Response {
    if state.profile.lock().is_discovery(uri.path()) {
        return as_told(&state, Document::Discovery).await;
    }
    not_found().await
}

async fn not_found() -> Response {
    page(
        StatusCode::NOT_FOUND,
        pages::message("There is nothing here"),
    )
}

fn oauth_error(code: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": code}))).into_response()
}

fn page(status: StatusCode, page: String) -> Response {
    (status, Html(page)).into_response()
}
