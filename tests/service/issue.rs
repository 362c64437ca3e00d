//! Issue: the pass, and every refusal with its one event or none.

use daypass::proto::v1::{self, issue_response::Answer, ledger_client::LedgerClient};
use ssh_key::{Algorithm, Certificate, PrivateKey, private::Ed25519Keypair};
use tonic::Code;

use crate::{
    observe::{last, log, person, refusal, size, start},
    support::{
        api::{ask, with_token},
        env::TestEnv,
        ledger::export,
        user::TestUser,
    },
};

#[tokio::test]
async fn a_proven_ask_is_one_event_and_one_pass() {
    let env = start(TestEnv::new()).await;
    let alice = person(&env, "alice");
    let before = size(&env);
    let request = with_token(alice.attempt(ask("shell")).message(), &alice.token);
    let pass = env.api.passes().issue(request).await.unwrap().into_inner();
    let Some(Answer::Pass(pass)) = pass.answer else {
        panic!("the role needs no approval");
    };
    let certificate = Certificate::from_openssh(&pass.certificate).unwrap();
    assert_eq!(
        certificate.public_key(),
        alice.caller.key.public_key().key_data()
    );
    assert_eq!(certificate.serial(), before);
    assert_eq!(size(&env), before + 1);
    let event = last(&env).await;
    assert_eq!(
        (&event["type"], &event["index"]),
        (&"issued".into(), &before.into())
    );
    let line = log()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .find(|line| line["method"] == "Passes/Issue" && line["serial"] == before)
        .unwrap();
    assert_eq!(line["subject"], "alice");
    assert_eq!(line["code"], "OK");
}

type Change = fn(&mut v1::IssueRequest);

#[tokio::test]
async fn a_refused_ask_of_a_proven_identity_is_one_event_and_no_pass() {
    let denied = Code::PermissionDenied;
    let cases: [(&str, &str, Change, Code, &str); 12] = [
        (
            "no ask",
            "alice",
            |it| it.ask = None,
            Code::InvalidArgument,
            "ASK_MALFORMED",
        ),
        (
            "a reason of two lines",
            "alice",
            |it| ask_of(it).reason = "a\nb".into(),
            Code::InvalidArgument,
            "ASK_MALFORMED",
        ),
        (
            "a key that is none",
            "alice",
            |it| proof(it).public_key = "ssh-ed25519 AAAA".into(),
            Code::InvalidArgument,
            "SUBJECT_KEY",
        ),
        (
            "a key of 20 KB",
            "alice",
            |it| proof(it).public_key = format!("ssh-rsa {}", "A".repeat(20_000)),
            Code::InvalidArgument,
            "SUBJECT_KEY",
        ),
        (
            "another key",
            "alice",
            |it| proof(it).public_key = other_key(),
            Code::Unauthenticated,
            "KEY_BINDING",
        ),
        (
            "another secret",
            "alice",
            |it| proof(it).binding_secret = vec![1; 32],
            Code::Unauthenticated,
            "KEY_BINDING",
        ),
        (
            "no possession",
            "alice",
            |it| proof(it).signature.clear(),
            Code::Unauthenticated,
            "POSSESSION",
        ),
        (
            "an ask that was not signed",
            "alice",
            |it| ask_of(it).ttl_seconds = 60,
            Code::Unauthenticated,
            "POSSESSION",
        ),
        (
            "a user without a role",
            "mallory",
            |_| (),
            denied,
            "NOT_ALLOWED",
        ),
        ("another user's role", "bob", |_| (), denied, "NOT_ALLOWED"),
        (
            "an unknown role",
            "alice-root",
            |_| (),
            denied,
            "ROLE_UNKNOWN",
        ),
        ("an injection", "alice-logs", |_| (), denied, "PARAMETER"),
    ];
    let env = start(TestEnv::new()).await;
    for (case, who, change, code, reason) in cases {
        let (caller, wish) = match who {
            "alice-root" => (person(&env, "alice"), named("root", "")),
            "alice-logs" => (person(&env, "alice"), named("logs", "nginx; reboot")),
            name => (person(&env, name), ask("shell")),
        };
        let before = size(&env);
        let mut request = caller.attempt(wish).message();
        change(&mut request);
        let answer = env
            .api
            .passes()
            .issue(with_token(request, &caller.token))
            .await;
        assert_eq!(
            refusal(&answer.unwrap_err()),
            (code, reason.to_owned()),
            "{case}"
        );
        assert_eq!(size(&env), before + 1, "{case}");
        let event = last(&env).await;
        assert_eq!(
            (&event["type"], &event["reason"]),
            (&"denied".into(), &reason.into()),
            "{case}"
        );
        assert_eq!(
            event["who"]["subject"],
            who.split('-').next().unwrap(),
            "{case}"
        );
        assert_secret(&caller, &event.to_string());
    }
}

fn ask_of(request: &mut v1::IssueRequest) -> &mut v1::Ask {
    request.ask.as_mut().unwrap()
}

fn named(role: &str, unit: &str) -> v1::Ask {
    let params = (!unit.is_empty()).then(|| ("unit".to_owned(), unit.to_owned()));
    v1::Ask {
        role: role.into(),
        params: params.into_iter().collect(),
        ..v1::Ask::default()
    }
}

fn other_key() -> String {
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&[8; 32]));
    assert_eq!(key.algorithm(), Algorithm::Ed25519);
    key.public_key().to_openssh().unwrap()
}

/// Neither the log nor `text` holds any part of the token, or the binding secret.
fn assert_secret(caller: &TestUser, text: &str) {
    for part in caller.token.split('.').chain(["09090909", "CQkJCQ"]) {
        assert!(!log().contains(part) && !text.contains(part));
    }
}

#[tokio::test]
async fn an_unproven_caller_leaves_no_event() {
    let env = start(TestEnv::new()).await;
    let alice = person(&env, "alice");
    let forged = format!("{}AAAA", &alice.token[..alice.token.len() - 4]);
    let huge = "a".repeat(17 * 1024);
    let cases = [
        ("no token", None, "TOKEN_MISSING"),
        ("garbage", Some("a.b.c"), "TOKEN_MALFORMED"),
        (
            "a forged signature",
            Some(forged.as_str()),
            "TOKEN_SIGNATURE",
        ),
        ("a huge token", Some(huge.as_str()), "TOKEN_TOO_LARGE"),
    ];
    for (case, token, reason) in cases {
        let before = size(&env);
        let request = alice.attempt(ask("shell")).message();
        let request = match token {
            Some(token) => with_token(request, token),
            None => tonic::Request::new(request),
        };
        let answer = env.api.passes().issue(request).await.unwrap_err();
        let expected = (Code::Unauthenticated, reason.to_owned());
        assert_eq!(refusal(&answer), expected, "{case}");
        assert_eq!(size(&env), before, "{case}");
    }
    assert_secret(&alice, "");
}

#[tokio::test]
async fn roles_explanations_and_the_ledger_answer_their_readers() {
    let env = start(TestEnv::new()).await;
    let (alice, mallory) = (person(&env, "alice"), person(&env, "mallory"));
    for (caller, names) in [
        (&alice, vec!["shell", "logs", "prod", "prod-root"]),
        (&mallory, vec![]),
    ] {
        let request = with_token(v1::ListRolesRequest::default(), &caller.token);
        let roles = env
            .api
            .passes()
            .list_roles(request)
            .await
            .unwrap()
            .into_inner()
            .roles;
        assert_eq!(
            roles.iter().map(|role| &role.name).collect::<Vec<_>>(),
            names
        );
        let request = with_token(v1::ExplainRequest::default(), &caller.token);
        let explained = env
            .api
            .passes()
            .explain(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(explained.roles.len(), 4);
    }
    let mut ledger = LedgerClient::new(env.api.channel());
    let page = ledger
        .list(with_token(v1::ListRequest::default(), &alice.token))
        .await
        .unwrap();
    assert_eq!(page.into_inner().events.len() as u64, size(&env));
    let refused = ledger
        .list(with_token(v1::ListRequest::default(), &mallory.token))
        .await;
    let denied = (Code::PermissionDenied, "AUDIT_DENIED".to_owned());
    assert_eq!(refusal(&refused.unwrap_err()), denied);
    let refused = ledger
        .export(with_token(v1::ExportRequest {}, &mallory.token))
        .await;
    assert_eq!(refusal(&refused.unwrap_err()), denied);

    let export = export(&env.api, &alice.token).await;
    let verifier = env.authority().store.verifier();
    let report = daypass::ledger::verify::verify_export(&export, &verifier).unwrap();
    assert_eq!(report.events, size(&env));
    let none = v1::ProveRequest { proof: None };
    let refused = ledger
        .prove(with_token(none, &mallory.token))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let beyond = v1::ProveRequest {
        proof: Some(v1::prove_request::Proof::Inclusion(
            v1::prove_request::Inclusion {
                index: 9_999,
                size: 10_000,
            },
        )),
    };
    let refused = ledger
        .prove(with_token(beyond, &mallory.token))
        .await
        .unwrap_err();
    assert_eq!(
        refusal(&refused),
        (Code::NotFound, "NO_SUCH_ENTRY".to_owned())
    );
}

fn proof(request: &mut v1::IssueRequest) -> &mut v1::KeyProof {
    request.proof.as_mut().unwrap()
}
