//! The dev issuer's HTTP: the accept loop and one function per path.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use url::form_urlencoded;

use super::{
    Behaviour, Shared, TOKEN_LIFETIME,
    flows::{Authorization, INTERVAL, InvalidAuthorization, PATIENCE, Parameters},
    pages, people, set,
    wanted::{LEVELS, Wanted},
};
use crate::dev::now;

/// Where discovery is (OpenID Connect Discovery, section 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";
/// More than any form of ours.
const BODY_LIMIT: usize = 64 * 1024;
/// The longest that [`Behaviour::Slow`] keeps anybody waiting.
const SLOW: Duration = Duration::from_secs(60);

type Answer = Response<Full<Bytes>>;

/// Serves until the task is aborted; its connections end with it.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(answer(&shared, request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            // A peer that hangs up is no news.
            let _ = connection.await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    *shared.hits.lock().entry(path.clone()).or_default() += 1;
    let method = request.method().clone();
    let query = parameters(request.uri().query().unwrap_or_default().as_bytes());
    if method == Method::GET {
        return get(shared, &path, &query).await;
    }
    let Ok(body) = Limited::new(request.into_body(), BODY_LIMIT)
        .collect()
        .await
    else {
        return html(StatusCode::PAYLOAD_TOO_LARGE, pages::message("Too large"));
    };
    let form = parameters(&body.to_bytes());
    match (method, path.as_str()) {
        (Method::POST, "/login") => login(shared, &form),
        (Method::POST, "/token") => token(shared, &form),
        (Method::POST, "/device_authorization") => device_authorization(shared, &form),
        (Method::POST, "/device") => device(shared, &form),
        _ => not_found(),
    }
}

async fn get(shared: &Shared, path: &str, query: &Parameters) -> Answer {
    match path {
        DISCOVERY | "/jwks" => metadata(shared, path).await,
        "/elsewhere/.well-known/openid-configuration" => json_answer(&discovery(shared)),
        "/elsewhere/jwks" => json_answer(&jwks(shared)),
        "/authorize" => authorize(shared, query),
        "/device" => {
            let code = query.get("user_code").map_or("", String::as_str);
            html(StatusCode::OK, pages::device(code, ""))
        }
        _ => not_found(),
    }
}

/// Discovery or the key set, as the present behaviour has it.
async fn metadata(shared: &Shared, path: &str) -> Answer {
    let proper = || match path {
        DISCOVERY => discovery(shared),
        _ => jwks(shared),
    };
    let behaviour = *shared.behaviour.borrow();
    match behaviour {
        Behaviour::Normal => json_answer(&proper()),
        Behaviour::Status500 => html(
            StatusCode::INTERNAL_SERVER_ERROR,
            pages::message("Something is wrong"),
        ),
        Behaviour::Slow => {
            let mut changes = shared.behaviour.subscribe();
            let changed = changes.wait_for(|behaviour| *behaviour != Behaviour::Slow);
            let _ = tokio::time::timeout(SLOW, changed).await;
            json_answer(&proper())
        }
        Behaviour::Html => html(StatusCode::OK, pages::message("Down for maintenance")),
        Behaviour::Empty if path != DISCOVERY => json_answer(&json!({"keys": []})),
        Behaviour::Huge => json_answer(&json!({"keys": [], "padding": "x".repeat(50_000_000)})),
        Behaviour::DuplicateKid if path != DISCOVERY => json_answer(&duplicate_kid(proper())),
        Behaviour::OtherIssuer if path == DISCOVERY => {
            json_answer(&with(proper(), "issuer", "https://other.example"))
        }
        Behaviour::PlainKeys if path == DISCOVERY => {
            json_answer(&with(proper(), "jwks_uri", "http://issuer.example/jwks"))
        }
        Behaviour::Names(name, text) => json_answer(&renamed(proper(), name, text)),
        Behaviour::Redirect => redirect(&format!("{}/elsewhere{path}", shared.url)),
        Behaviour::Empty
        | Behaviour::DuplicateKid
        | Behaviour::OtherIssuer
        | Behaviour::PlainKeys => json_answer(&proper()),
    }
}

fn discovery(shared: &Shared) -> Value {
    let url = &shared.url;
    json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "device_authorization_endpoint": format!("{url}/device_authorization"),
        "jwks_uri": format!("{url}/jwks"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", DEVICE_GRANT],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "scopes_supported": ["openid", "email", "groups"],
        "acr_values_supported": LEVELS.map(|(level, _)| level),
        "claims_supported": ["sub", "name", "email", "email_verified", "groups", "auth_time", "amr", "acr"],
    })
}

fn jwks(shared: &Shared) -> Value {
    json!({"keys": shared.keys.lock().jwks()})
}

fn duplicate_kid(mut jwks: Value) -> Value {
    if let Some(keys) = jwks.get_mut("keys").and_then(Value::as_array_mut) {
        keys.extend_from_within(..);
    }
    jwks
}

fn with(mut document: Value, name: &str, value: &str) -> Value {
    set(&mut document, name, json!(value));
    document
}

/// The document with another text under a name that it has.
fn renamed(document: Value, name: &str, text: &str) -> Value {
    match document.get(name) {
        Some(_) => with(document, name, text),
        None => document,
    }
}

fn authorize(shared: &Shared, query: &Parameters) -> Answer {
    match Authorization::parse(query, now()) {
        Ok(authorization) => {
            let asked = authorization.wanted.describe();
            let id = shared.flows.lock().wait(authorization);
            html(StatusCode::OK, pages::sign_in(&id, &asked))
        }
        Err(InvalidAuthorization::Page(why)) => html(StatusCode::BAD_REQUEST, pages::message(why)),
        Err(InvalidAuthorization::Redirect(url)) => redirect(url.as_str()),
    }
}

fn login(shared: &Shared, form: &Parameters) -> Answer {
    let id = form.get("request").map_or("", String::as_str);
    let Some(account) = authenticate(shared, form) else {
        return html(StatusCode::FORBIDDEN, pages::sign_in(id, WRONG));
    };
    let next = shared
        .flows
        .lock()
        .approve(id, account.name, &shared.url, now());
    match next {
        Some(url) => redirect(url.as_str()),
        None => html(
            StatusCode::BAD_REQUEST,
            pages::message("This sign-in is over; start again"),
        ),
    }
}

/// What a wrong name or password gets.
const WRONG: &str = "No such name and password. `daypass dev` printed both.";

/// The account whose name and password the form has.
fn authenticate(shared: &Shared, form: &Parameters) -> Option<&'static people::Account> {
    let password = form.get("password").map_or("", String::as_str);
    let right = shared
        .password
        .as_deref()
        .is_none_or(|expected| expected == password);
    people::find(form.get("login")?).filter(|_| right)
}

/// RFC 8628, section 3.4.
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

fn token(shared: &Shared, form: &Parameters) -> Answer {
    let mut flows = shared.flows.lock();
    let redeemed = match form.get("grant_type").map(String::as_str) {
        Some("authorization_code") => flows.redeem_code(form, now()).ok_or("invalid_grant"),
        Some(DEVICE_GRANT) => {
            let code = form.get("device_code").map_or("", String::as_str);
            flows.poll_device(code, now())
        }
        _ => Err("unsupported_grant_type"),
    };
    drop(flows);
    match redeemed {
        Ok(signed_in) => json_answer(&json!({
            "access_token": crate::dev::random_text(),
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFETIME.as_secs(),
            "id_token": shared.id_token(&signed_in),
        })),
        Err(code) => oauth_error(code),
    }
}

fn device_authorization(shared: &Shared, form: &Parameters) -> Answer {
    if form.get("client_id").map(String::as_str) != Some(super::CLIENT_ID) {
        return oauth_error("invalid_client");
    }
    let (device_code, user_code) = shared.flows.lock().begin_device(Wanted::of(form), now());
    let url = &shared.url;
    let answer = json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": format!("{url}/device"),
        "verification_uri_complete": format!("{url}/device?user_code={user_code}"),
        "expires_in": PATIENCE.as_secs(),
        "interval": INTERVAL.as_secs(),
    });
    if let Behaviour::Names(name, text) = *shared.behaviour.borrow() {
        return json_answer(&renamed(answer, name, text));
    }
    json_answer(&answer)
}

fn device(shared: &Shared, form: &Parameters) -> Answer {
    let code = form.get("user_code").map_or("", String::as_str);
    let Some(account) = authenticate(shared, form) else {
        return html(StatusCode::FORBIDDEN, pages::device(code, WRONG));
    };
    if shared
        .flows
        .lock()
        .approve_device(code, account.name, now())
    {
        html(
            StatusCode::OK,
            pages::message("Done: go back to your device"),
        )
    } else {
        let why = "No device waits for this code.";
        html(StatusCode::BAD_REQUEST, pages::device("", why))
    }
}

fn parameters(encoded: &[u8]) -> Parameters {
    form_urlencoded::parse(encoded).into_owned().collect()
}

fn not_found() -> Answer {
    html(
        StatusCode::NOT_FOUND,
        pages::message("There is nothing here"),
    )
}

fn oauth_error(code: &str) -> Answer {
    let body = json!({"error": code}).to_string();
    respond(StatusCode::BAD_REQUEST, "application/json", body)
}

fn json_answer(value: &Value) -> Answer {
    respond(StatusCode::OK, "application/json", value.to_string())
}

fn html(status: StatusCode, page: String) -> Answer {
    respond(status, "text/html; charset=utf-8", page)
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(content_type),
    );
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-store"),
    );
    answer
}

fn redirect(target: &str) -> Answer {
    let mut answer = respond(StatusCode::SEE_OTHER, "text/plain", String::new());
    if let Ok(location) = header::HeaderValue::from_str(target) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer
}
