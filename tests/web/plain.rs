//! The page's answers without a browser: headers, files, and requests that no page of ours makes.

use http::StatusCode;
use reqwest::{Client, RequestBuilder, Response, redirect::Policy};
use serde_json::{Value, json};

use crate::support::{env::TestEnv, provider::Provider};

/// A caller without a browser: it follows no redirect and keeps no cookie.
pub(crate) fn client(env: &TestEnv) -> Client {
    let root = reqwest::Certificate::from_pem(env.server.tls_ca().as_bytes()).unwrap();
    Client::builder()
        .redirect(Policy::none())
        .tls_certs_only([root])
        .no_proxy()
        .build()
        .unwrap()
}

pub(crate) async fn sent(request: RequestBuilder) -> Response {
    request.send().await.unwrap()
}

pub(crate) fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_keeps_other_sites_caches_and_scripts_out() {
    let env = TestEnv::start().await;
    let (client, url) = (client(&env), env.server.url());
    for path in [
        "/",
        "/web",
        "/web/",
        "/web/sign-in",
        "/web/signed-out",
        "/web/requests",
        "/web/requests/7",
        "/web/requests/x",
        "/web/events",
        "/web/access",
        "/web/locked",
        "/web/audit",
        "/web/audit/3",
        "/web/audit/3/proof",
        "/web/audit/timeline",
        "/web/audit/hosts",
        "/web/passkey",
        "/web/nothing",
        "/web/access.js",
        "/web/proof.js",
        "/web/passkey.js",
        "/web/callback?code=a&state=b",
        "/web/page.js",
        "/web/page.css",
        "/web/icon.svg",
    ] {
        let answer = sent(client.get(format!("{url}{path}"))).await;
        let policy = header(&answer, "content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{path}"
        );
        for part in [
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(
            !policy.contains("unsafe") && !policy.contains('*'),
            "{policy}"
        );
        assert_eq!(
            header(&answer, "x-content-type-options"),
            "nosniff",
            "{path}"
        );
        assert_eq!(header(&answer, "referrer-policy"), "no-referrer", "{path}");
        assert_eq!(header(&answer, "x-frame-options"), "DENY", "{path}");
        assert_eq!(header(&answer, "cross-origin-opener-policy"), "same-origin");
        let is_file = path.contains('.');
        let caching = if is_file { "no-cache" } else { "no-store" };
        assert_eq!(header(&answer, "cache-control"), caching, "{path}");
    }
    env.close().await;
}

/// `/web/` and `/` answered 404 in plain text, and a wrong method an empty 405.
#[tokio::test(flavor = "multi_thread")]
async fn the_front_leads_to_the_page_and_a_wrong_method_gets_a_sentence() {
    let env = TestEnv::start().await;
    let (client, url) = (client(&env), env.server.url());
    for path in ["", "/", "/web", "/web/"] {
        let answer = sent(client.get(format!("{url}{path}"))).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path:?}");
        assert_eq!(header(&answer, "location"), "/web/requests", "{path:?}");
    }
    for (method, path, allowed) in [
        ("POST", "/", "GET,HEAD"),
        ("POST", "/web/requests", "GET,HEAD"),
        ("PUT", "/web/sign-in", "GET,HEAD,POST"),
        ("GET", "/web/requests/3/approve", "POST"),
        ("DELETE", "/web/audit/3", "GET,HEAD"),
    ] {
        let method = method.parse().unwrap();
        let answer = sent(client.request(method, format!("{url}{path}"))).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(header(&answer, "allow"), allowed, "{path}");
        let policy = header(&answer, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{path}");
        let text = answer.text().await.unwrap();
        assert!(
            text.contains("does not take what your browser sent"),
            "{path}: {text}"
        );
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_small_and_sent_once() {
    let env = TestEnv::start().await;
    let (client, url) = (client(&env), env.server.url());
    let mut bytes = 0;
    for path in [
        "/web/sign-in",
        "/web/page.js",
        "/web/page.css",
        "/web/icon.svg",
    ] {
        let answer = sent(client.get(format!("{url}{path}"))).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let tag = header(&answer, "etag").to_owned();
        let body = answer.text().await.unwrap();
        assert!(
            !body.contains("style=") && !body.contains("onclick"),
            "{path}"
        );
        bytes += body.len();
        if tag.is_empty() {
            continue;
        }
        assert!(tag.starts_with('"'), "strong: {tag}");
        // A proxy that compresses makes the tag a weak one.
        for asked in [tag.clone(), format!("W/{tag}")] {
            let again = client
                .get(format!("{url}{path}"))
                .header("if-none-match", &asked);
            let again = sent(again).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path} {asked}");
            assert_eq!(header(&again, "etag"), tag);
        }
    }
    assert!(bytes < 50 * 1024, "{bytes}");
    env.close().await;
}

/// Begins a sign-in as the script does.
pub(crate) fn begin(env: &TestEnv, origin: &str, body: &Value) -> RequestBuilder {
    let url = format!("{}/web/sign-in", env.server.url());
    client(env).post(url).header("origin", origin).json(body)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sites_page_begins_and_ends_nothing() {
    let env = TestEnv::start().await;
    let (client, url) = (client(&env), env.server.url());
    let good = json!({"issuer": "dev", "commitment": "A".repeat(43)});
    let begun = sent(begin(&env, &url, &good)).await;
    assert_eq!(begun.status(), StatusCode::OK);
    for origin in [
        "null",
        "https://evil.example",
        "https://localhost",
        "http://localhost",
    ] {
        let refused = sent(begin(&env, origin, &good)).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{origin}");
        assert!(refused.headers().get("set-cookie").is_none());
        for path in ["sign-out", "requests/3/approve", "access/lock"] {
            let post = client
                .post(format!("{url}/web/{path}"))
                .header("origin", origin);
            assert_eq!(sent(post).await.status(), StatusCode::FORBIDDEN, "{path}");
        }
    }
    let silent = client.post(format!("{url}/web/sign-out"));
    assert_eq!(
        sent(silent).await.status(),
        StatusCode::FORBIDDEN,
        "no origin"
    );
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_sign_in_is_refused_and_leads_nowhere_else() {
    let env = TestEnv::start().await;
    let url = env.server.url();
    let commitment = "A".repeat(43);
    for (case, body) in [
        ("no commitment", json!({"issuer": "dev"})),
        (
            "a short one",
            json!({"issuer": "dev", "commitment": "AAAA"}),
        ),
        (
            "not base64url",
            json!({"issuer": "dev", "commitment": "/".repeat(43)}),
        ),
        (
            "another issuer",
            json!({"issuer": "x", "commitment": commitment}),
        ),
        (
            "an address",
            json!({"issuer": "dev", "commitment": commitment, "to": "//evil.example"}),
        ),
        (
            "more",
            json!({"issuer": "dev", "commitment": commitment, "redirect": "https://evil.example"}),
        ),
        (
            "long",
            json!({"issuer": "x".repeat(100_000), "commitment": commitment}),
        ),
    ] {
        let refused = sent(begin(&env, &url, &body)).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{case}");
    }
    let page = format!("{url}/web/sign-in?to=https://evil.example");
    let page = sent(client(&env).get(page)).await;
    assert!(!page.text().await.unwrap().contains("evil.example"));
    env.close().await;
}

/// The cookie and the state of a sign-in that was begun.
pub(crate) async fn begun(env: &TestEnv) -> (String, String, String) {
    let body = json!({"issuer": "dev", "commitment": "A".repeat(43), "to": "requests/3"});
    let answer = sent(begin(env, &env.server.url(), &body)).await;
    let cookie = header(&answer, "set-cookie");
    assert!(cookie.starts_with("__Host-daypass-sign-in="), "{cookie}");
    for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let answer: Value = answer.json().await.unwrap();
    let url = url::Url::parse(answer["url"].as_str().unwrap()).unwrap();
    let value = |name: &str| {
        let mut pairs = url.query_pairs();
        pairs.find(|(key, _)| key == name).unwrap().1.into_owned()
    };
    assert_eq!(value("nonce"), "A".repeat(43));
    assert_eq!(value("code_challenge_method"), "S256");
    (cookie, value("state"), url.to_string())
}

/// Login CSRF, mix-up and replays: an answer of the provider counts in the browser that began,
/// once, with the state and issuer of that sign-in.
#[tokio::test(flavor = "multi_thread")]
async fn a_providers_answer_counts_only_for_the_sign_in_that_it_answers() {
    let env = TestEnv::start().await;
    let (client, url) = (client(&env), env.server.url());
    let (cookie, state, authorization) = begun(&env).await;
    let (other_cookie, other_state, _) = begun(&env).await;
    let visitor = daypass::dev::person::Visitor::new("carol", env.password());
    let answer = visitor.destination(&authorization).await.unwrap();
    let issuer = env.issuer().url().to_owned();
    let encoded = url::form_urlencoded::byte_serialize(issuer.as_bytes()).collect::<String>();
    let cases = [
        ("no cookie", answer.clone(), String::new()),
        (
            "another browser's cookie",
            answer.clone(),
            other_cookie.clone(),
        ),
        (
            "another state",
            answer.replace(&state, &other_state),
            cookie.clone(),
        ),
        ("no state", answer.replace(&state, ""), cookie.clone()),
        (
            "another issuer",
            answer.replace(&encoded, "https%3A%2F%2Fevil.example"),
            cookie.clone(),
        ),
        (
            "no issuer",
            answer.replace(&format!("&iss={encoded}"), ""),
            cookie.clone(),
        ),
        (
            "another code",
            format!("{url}/web/callback?code=stolen&state={state}&iss={encoded}"),
            cookie.clone(),
        ),
        (
            "a refusal",
            format!(
                "{url}/web/callback?error=access_denied&error_description=%3Cscript%3E&state={state}&iss={encoded}"
            ),
            cookie.clone(),
        ),
    ];
    for (case, answer, cookie) in cases {
        let refused = sent(client.get(&answer).header("cookie", cookie)).await;
        assert!(
            refused.status().is_client_error() || refused.status() == 502,
            "{case}"
        );
        let cookies = refused.headers().get_all("set-cookie").iter();
        let is_session = |it: &http::HeaderValue| it.as_bytes().starts_with(b"__Host-daypass=");
        assert_eq!(cookies.filter(|it| is_session(it)).count(), 0, "{case}");
        assert!(
            !refused.text().await.unwrap().contains("<script>"),
            "{case}"
        );
    }
    let taken = sent(client.get(&answer).header("cookie", &cookie)).await;
    assert_eq!(taken.status(), StatusCode::SEE_OTHER, "the real one");
    assert_eq!(header(&taken, "location"), "/web/requests/3");
    let again = sent(client.get(&answer).header("cookie", &cookie)).await;
    assert_eq!(again.status(), StatusCode::BAD_GATEWAY, "the code is spent");
    env.close().await;
}

/// Two providers. What the one answers never counts at a sign-in that was begun at the other, and
/// no code of the one is brought to the other.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_one_provider_is_never_taken_to_another() {
    let provider = Provider::start("ES256").await;
    let env = TestEnv::new()
        .configuration(format!(
            "[[issuer]]\nname = \"npm\"\nurl = {:?}\nclient_id = \"daypass\"\nalgorithms = [\"ES256\"]\n\
             binding = \"nonce\"\n",
            provider.url()
        ))
        .start()
        .await;
    let (client, url) = (client(&env), env.server.url());
    let body = json!({"issuer": "npm", "commitment": "A".repeat(43), "to": "requests/3"});
    let begun_there = sent(begin(&env, &url, &body)).await;
    let there = header(&begun_there, "set-cookie")
        .split(';')
        .next()
        .unwrap();
    let there = there.to_owned();
    let page: Value = begun_there.json().await.unwrap();
    let page = page["url"].as_str().unwrap();
    assert!(page.starts_with(provider.url()), "{page}");
    let state = url::Url::parse(page).unwrap();
    let state = state.query_pairs().find(|(key, _)| key == "state").unwrap();
    // Carol's code of the dev provider, for another sign-in of hers.
    let (_, own_state, authorization) = begun(&env).await;
    let visitor = daypass::dev::person::Visitor::new("carol", env.password());
    let answer = visitor.destination(&authorization).await.unwrap();
    let answer = answer.replace(&own_state, &state.1);
    let encode =
        |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let (dev, npm) = (encode(env.issuer().url()), encode(provider.url()));
    for (case, answer, told) in [
        ("the answer as it is", answer.clone(), "of another provider"),
        (
            "without its issuer",
            answer.replace(&format!("&iss={dev}"), ""),
            "of another provider",
        ),
        (
            "under the other's name",
            answer.replace(&dev, &npm),
            "the provider refused the code",
        ),
    ] {
        let refused = sent(client.get(&answer).header("cookie", &there)).await;
        assert_eq!(refused.status(), StatusCode::BAD_GATEWAY, "{case}");
        let cookies = refused.headers().get_all("set-cookie").iter();
        let mut cookies = cookies.map(|it| it.to_str().unwrap());
        assert!(
            cookies.all(|it| !it.starts_with("__Host-daypass=")),
            "{case}"
        );
        let text = refused.text().await.unwrap();
        assert!(text.contains(told), "{case}: {text}");
    }
    env.close().await;
}

/// Signs carol in without a browser. Returns the cookie of her session.
pub(crate) async fn session(env: &TestEnv) -> String {
    let (cookie, _, authorization) = begun(env).await;
    let visitor = daypass::dev::person::Visitor::new("carol", env.password());
    let answer = visitor.destination(&authorization).await.unwrap();
    let taken = sent(client(env).get(answer).header("cookie", cookie)).await;
    let session = header(&taken, "set-cookie").split(';').next().unwrap();
    assert!(session.starts_with("__Host-daypass="), "{session}");
    session.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_has_eight_sessions_and_a_new_one_ends_the_oldest() {
    let env = TestEnv::start().await;
    let (client, url) = (client(&env), format!("{}/web/requests", env.server.url()));
    let status = async |cookie: &str| {
        let answer = sent(client.get(&url).header("cookie", cookie)).await;
        answer.status()
    };
    let first = session(&env).await;
    for _ in 0..7 {
        session(&env).await;
    }
    assert_eq!(status(&first).await, StatusCode::OK, "the eighth ends none");
    let last = session(&env).await;
    assert_eq!(
        status(&first).await,
        StatusCode::SEE_OTHER,
        "the ninth ends the first"
    );
    assert_eq!(status(&last).await, StatusCode::OK);
    assert_eq!(status("__Host-daypass=x").await, StatusCode::SEE_OTHER);
    env.close().await;
}

/// Without `[web]` there is no page.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_page_without_its_section() {
    let env = TestEnv::new().policy(POLICY).start_process().await;
    let url = format!("{}/web/sign-in", env.server.url());
    let missing = sent(client(&env).get(url)).await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}

/// One role for everyone.
const POLICY: &str = "[limits]\nttl = \"1h\"\nprincipals = [\"deploy\"]\n[[role]]\nname = \"shell\"\n\
    allow = \"true\"\nprincipals = [\"deploy\"]\nttl = \"1h\"\n";
