//! The whole server behind a real HAProxy (version 2 of the header) and a real nginx (version 1):
//! passes, limits and plain HTTPS go by the caller's own address.

use std::net::{IpAddr, SocketAddr};

use daypass::proto::v1::ListRolesRequest;
use reqwest::StatusCode;
use tonic::Code;

use crate::{
    balancer::{Balancer, Program},
    support::{
        api::{Api, ask, with_token},
        env::{TestEnv, UNLIMITED},
        https,
    },
};

const POLICY: &str = r#"
[limits]
principals = ["deploy"]
[audit]
allow = '"security" in claims.groups'
[[role]]
name = "here"
allow = 'true'
principals = ["deploy"]
source = "caller"
"#;

/// The address from which the load balancer connects to the server.
const BALANCER: &str = "127.0.0.9";

/// Callers on both families. None has the load balancer's address.
const CALLERS: [&str; 3] = ["127.0.0.2", "127.0.0.3", "::1"];

/// A server that takes callers from a load balancer at [`BALANCER`].
async fn server(limits: &str, configuration: &str) -> TestEnv {
    let env = TestEnv::new().policy(POLICY).limits(limits);
    let mut env = env.configuration(configuration).start().await;
    let proxies = format!("proxies = [\"{BALANCER}\"]\nlisten = ");
    env.edit("daypass.toml", "listen = ", &proxies);
    env.restart().await;
    env
}

/// A load balancer before it that connects from `own`.
async fn before(program: Program, env: &TestEnv, own: &str) -> Balancer {
    let port = env.server.port();
    let server = SocketAddr::from(([127, 0, 0, 1], port));
    let from = |text: String| match program {
        Program::HaProxy => format!("defaults\n    source {own}\n{text}"),
        Program::Nginx => {
            text.replace("stream {\n", &format!("stream {{\n    proxy_bind {own};\n"))
        }
    };
    Balancer::start(program, server, from).await
}

async fn connect(env: &TestEnv, balancer: &Balancer, caller: &str) -> Api {
    let caller = caller.parse().unwrap();
    let ca = env.server.tls_ca();
    Api::open_from(caller, balancer.port, ca.as_bytes()).await
}

/// What `path` answers to a caller at this address; none if the connection is refused.
async fn get(env: &TestEnv, port: u16, caller: &str, path: &str) -> Option<StatusCode> {
    let caller: IpAddr = caller.parse().unwrap();
    let to: SocketAddr = match caller.is_ipv4() {
        true => ([127, 0, 0, 1], port).into(),
        false => ([0, 0, 0, 0, 0, 0, 0, 1], port).into(),
    };
    let builder = reqwest::Client::builder()
        .local_address(caller)
        .resolve("localhost", to);
    let client = https::client_with(&env.server.tls_ca(), builder);
    let url = format!("https://localhost:{port}{path}");
    let answer = client.get(url).send().await.ok()?;
    Some(answer.status())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_for_the_callers_address_names_the_real_caller_behind_haproxy_and_nginx() {
    let env = server(UNLIMITED, "").await;
    for program in [Program::HaProxy, Program::Nginx] {
        let balancer = before(program, &env, BALANCER).await;
        for caller in CALLERS {
            let api = connect(&env, &balancer, caller).await;
            let alice = env.user("alice", &["sre"]).over(&api);
            let pass = alice.issue(ask("here")).await.unwrap();
            let length = if caller.contains(':') { 128 } else { 32 };
            let expected = format!("{caller}/{length}");
            assert_eq!(pass.source_addresses, [expected], "{program:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_of_each_caller_behind_one_load_balancer() {
    for program in [Program::HaProxy, Program::Nginx] {
        let env = server("requests_per_address = { per_second = 1, burst = 3 }", "").await;
        let balancer = before(program, &env, BALANCER).await;
        let list = async |api: &Api| {
            let request = with_token(ListRolesRequest::default(), "");
            let answer = api.passes().list_roles(request).await;
            answer.unwrap_err().code()
        };
        let first = connect(&env, &balancer, "127.0.0.2").await;
        let mut codes = Vec::new();
        // The rate gives a place back each second: a slow machine may use up a few more.
        while codes.last() != Some(&Code::ResourceExhausted) {
            assert!(codes.len() < 100, "{program:?}: {codes:?}");
            codes.push(list(&first).await);
        }
        assert!(codes.len() > 3, "{program:?}: {codes:?}");
        for caller in ["127.0.0.3", "::1"] {
            let second = connect(&env, &balancer, caller).await;
            assert_eq!(list(&second).await, Code::Unauthenticated, "{program:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_behind_a_load_balancer_is_never_loopback() {
    for (configuration, metrics) in [
        ("", StatusCode::FORBIDDEN),
        ("[metrics]\npublic = true", StatusCode::OK),
    ] {
        let env = server(UNLIMITED, configuration).await;
        for program in [Program::HaProxy, Program::Nginx] {
            let balancer = before(program, &env, BALANCER).await;
            for caller in ["127.0.0.1", "127.0.0.2", "::1"] {
                for (path, expected) in [("/metrics", metrics), ("/krl", StatusCode::OK)] {
                    let answer = get(&env, balancer.port, caller, path).await;
                    assert_eq!(answer, Some(expected), "{program:?} {caller} {path}");
                }
            }
        }
        // This machine's own monitoring goes past the load balancer.
        let port = env.server.port();
        let answer = get(&env, port, "127.0.0.1", "/metrics").await;
        assert_eq!(answer, Some(StatusCode::OK));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_counts_from_listed_addresses_only_and_must_be_there() {
    let env = server(UNLIMITED, "").await;
    let port = env.server.port();
    for program in [Program::HaProxy, Program::Nginx] {
        let unlisted = before(program, &env, "127.0.0.8").await;
        assert_eq!(get(&env, unlisted.port, "127.0.0.2", "/krl").await, None);
    }
    // The listed address without a header, and another one.
    assert_eq!(get(&env, port, BALANCER, "/krl").await, None);
    let direct = get(&env, port, "127.0.0.8", "/krl").await;
    assert_eq!(direct, Some(StatusCode::OK));
}
