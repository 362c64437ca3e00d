//! What answers without a token, and that nothing else does.

use daypass::proto::{
    FILE_DESCRIPTOR_SET,
    v1::{self, trust_client::TrustClient},
};
use prost::Message;
use prost_types::ServiceDescriptorProto;
use ssh_key::PublicKey;
use tonic::{Code, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::{v1 as reflection, v1alpha};

use crate::{
    observe::{refusal, size, start},
    support::{api::with_token, env::TestEnv, https},
};

/// Every method of our services that are not `Trust`, as the descriptors that reflection serves
/// list them.
fn methods() -> Vec<String> {
    let files = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET)
        .unwrap()
        .file;
    let ours = files
        .into_iter()
        .filter(|file| file.package() == "daypass.v1");
    let services = ours.flat_map(|file| file.service);
    let guarded = services.filter(|service| service.name() != "Trust");
    let named = |service: ServiceDescriptorProto| {
        let name = service.name().to_owned();
        let methods = service.method.into_iter();
        methods.map(move |method| format!("/daypass.v1.{name}/{}", method.name()))
    };
    // A caller in an emergency has no token: the challenge is the only answer without one. A host
    // signs its reports by its own keys.
    let others = ["/EmergencyChallenge", SYNC, LOGINS];
    let all = guarded.flat_map(named);
    all.filter(|method| !others.iter().any(|it| method.ends_with(it)))
        .collect()
}

/// The reports of a host.
const SYNC: &str = ".Hosts/Sync";
const LOGINS: &str = ".Hosts/ReportLogins";

/// The answer to a call of `method` with a message that says nothing: every field of ours may be
/// left out.
async fn call(env: &TestEnv, method: &str, token: Option<&str>) -> Option<Status> {
    let mut client = tonic::client::Grpc::new(env.api.channel());
    client.ready().await.unwrap();
    let nothing = v1::GetTrustRequest {};
    let request = match token {
        Some(token) => with_token(nothing, token),
        None => tonic::Request::new(nothing),
    };
    let codec = tonic_prost::ProstCodec::<_, v1::GetTrustRequest>::default();
    let path = http::uri::PathAndQuery::try_from(method).unwrap();
    client.server_streaming(request, path, codec).await.err()
}

#[tokio::test]
async fn every_other_method_demands_a_token() {
    let env = start(TestEnv::new()).await;
    let methods = methods();
    for service in ["Passes", "Requests", "Ledger", "Admin", "Hosts"] {
        let prefix = format!("/daypass.v1.{service}/");
        assert!(
            methods.iter().any(|method| method.starts_with(&prefix)),
            "{service}"
        );
    }
    assert!(methods.len() >= 19, "{methods:?}");
    for method in methods {
        for (token, reason) in [(None, "TOKEN_MISSING"), (Some("a.b.c"), "TOKEN_MALFORMED")] {
            let before = size(&env);
            let status = call(&env, &method, token).await;
            let status = status.unwrap_or_else(|| panic!("{method} answers"));
            let expected = (Code::Unauthenticated, reason.to_owned());
            assert_eq!(refusal(&status), expected, "{method}");
            assert_eq!(size(&env), before, "{method}");
        }
    }
    let before = size(&env);
    for token in [None, Some("a.b.c")] {
        let status = call(&env, &format!("/daypass.v1{SYNC}"), token).await;
        let expected = (Code::InvalidArgument, "ASK_MALFORMED".to_owned());
        assert_eq!(refusal(&status.unwrap()), expected, "no report, no host");
    }
    let challenge = v1::EmergencyChallengeRequest {};
    let challenge = env
        .api
        .passes()
        .emergency_challenge(challenge)
        .await
        .unwrap();
    assert!(challenge.into_inner().challenge.len() > 32);
    assert_eq!(size(&env), before, "a challenge is no event");
    let mut trust = TrustClient::new(env.api.channel());
    let trust = trust
        .get_trust(v1::GetTrustRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(trust.server_name, "localhost");
    assert_eq!((trust.issuers.len(), trust.ca_keys.len()), (1, 1));
}

/// Asks for the list of services in one version of the reflection protocol.
macro_rules! services {
    ($version:ident, $channel:expr) => {{
        use $version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut client = ServerReflectionClient::new($channel);
        let answers = client
            .server_reflection_info(tokio_stream::once(request))
            .await
            .unwrap();
        let answer = answers.into_inner().message().await.unwrap().unwrap();
        match answer.message_response.unwrap() {
            MessageResponse::ListServicesResponse(list) => list
                .service
                .into_iter()
                .map(|it| it.name)
                .collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    }};
}

#[tokio::test]
async fn health_and_both_reflections_name_every_service() {
    let env = start(TestEnv::new()).await;
    let lists = [
        services!(reflection, env.api.channel()),
        services!(v1alpha, env.api.channel()),
    ];
    let mut health = HealthClient::new(env.api.channel());
    for service in ["daypass.v1.Passes", "daypass.v1.Trust", "daypass.v1.Ledger"] {
        for list in &lists {
            assert!(
                list.iter().any(|name| name == service),
                "{service}: {list:?}"
            );
        }
        // The first answer of a watch may be from before the issuer's keys were there.
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let mut watch = health.watch(request).await.unwrap().into_inner();
        while let Some(answer) = watch.message().await.unwrap() {
            if answer.status() == ServingStatus::Serving {
                break;
            }
        }
    }
}

#[tokio::test]
async fn hosts_and_monitors_are_answered_over_either_http() {
    let env = start(TestEnv::new()).await;
    let url = env.server.url();
    let authority = env.authority();
    for builder in [
        reqwest::Client::builder().http1_only(),
        reqwest::Client::builder(),
    ] {
        let client = https::client_with(&env.server.tls_ca(), builder);
        let get = async |path: &str| {
            let answer = client.get(format!("{url}{path}")).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        };
        let (status, keys) = get("/ca.pub").await;
        assert_eq!(status, 200);
        let (version, key) = keys.trim_end().split_once('\n').unwrap();
        assert!(
            version.starts_with("# daypass CA keys, version "),
            "{version}"
        );
        let key = PublicKey::from_openssh(key).unwrap();
        assert_eq!(key.key_data(), authority.ca().active().key_data());
        let (_, checkpoint) = get("/checkpoint").await;
        let head = authority.store.verifier().verify(&checkpoint).unwrap();
        assert_eq!(head.size, size(&env));
        assert_eq!(get("/healthz").await, (200, "ok\n".to_owned()));
        assert!(get("/readyz").await.1.contains("ready\n"));
        assert!(get("/metrics").await.1.contains("daypass_ledger_size"));
        assert_eq!(get("/nothing").await.0, 404);
    }
}
