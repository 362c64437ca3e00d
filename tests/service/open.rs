//! What answers without a token, and that nothing else does.

use daypass::proto::v1::{self, ledger_client::LedgerClient, trust_client::TrustClient};
use ssh_key::PublicKey;
use tonic::{Code, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::{v1 as reflection, v1alpha};

use crate::door::{Door, refusal};

#[tokio::test]
async fn every_other_method_demands_a_token() {
    let door = Door::open("").await;
    let mut passes = door.passes();
    let mut ledger = LedgerClient::new(door.channel.clone());
    let answers: [(&str, Option<Status>); 7] = [
        (
            "Issue",
            passes.issue(v1::IssueRequest::default()).await.err(),
        ),
        (
            "Explain",
            passes.explain(v1::ExplainRequest::default()).await.err(),
        ),
        (
            "ListRoles",
            passes
                .list_roles(v1::ListRolesRequest::default())
                .await
                .err(),
        ),
        ("List", ledger.list(v1::ListRequest::default()).await.err()),
        ("Export", ledger.export(v1::ExportRequest {}).await.err()),
        (
            "GetCheckpoint",
            ledger
                .get_checkpoint(v1::GetCheckpointRequest {})
                .await
                .err(),
        ),
        (
            "Prove",
            ledger.prove(v1::ProveRequest::default()).await.err(),
        ),
    ];
    for (method, status) in answers {
        let expected = (Code::Unauthenticated, "TOKEN_MISSING".to_owned());
        assert_eq!(refusal(&status.unwrap()), expected, "{method}");
    }
    let mut trust = TrustClient::new(door.channel.clone());
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
    let door = Door::open("").await;
    let lists = [
        services!(reflection, door.channel.clone()),
        services!(v1alpha, door.channel.clone()),
    ];
    let mut health = HealthClient::new(door.channel.clone());
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
    let door = Door::open("").await;
    let (url, _) = door.world.server();
    let authority = door.world.daemon().unwrap().authority();
    for builder in [
        reqwest::Client::builder().http1_only(),
        reqwest::Client::builder(),
    ] {
        let client = door.plain(builder);
        let get = async |path: &str| {
            let answer = client.get(format!("{url}{path}")).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        };
        let (status, keys) = get("/ca.pub").await;
        assert_eq!(status, 200);
        let key = PublicKey::from_openssh(keys.trim_end()).unwrap();
        assert_eq!(key.key_data(), authority.ca.active().key_data());
        let (_, checkpoint) = get("/checkpoint").await;
        let head = authority.store.verifier().verify(&checkpoint).unwrap();
        assert_eq!(head.size, door.size());
        assert_eq!(get("/healthz").await, (200, "ok\n".to_owned()));
        assert!(get("/readyz").await.1.contains("ready\n"));
        assert!(get("/metrics").await.1.contains("daypass_ledger_size"));
        assert_eq!(get("/nothing").await.0, 404);
    }
}
