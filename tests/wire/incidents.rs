//! What has happened to others, one test each, through the real server. The names are the list.

use crate::support::issued::Issued;
use crate::support::{
    api::{Attempt, Caller, Refusal, ask},
    env::TestEnv,
};
use daypass::{
    dev::world::{Options, World},
    proto::v1::{Ask, IssueResponse},
};
use serde_json::{Value, json};
use ssh_key::{Certificate, certificate::CertType};
use tokio::io::AsyncWriteExt;

const POLICY: &str = r#"
[limits]
ttl = "1h"
principals = ["deploy", "weblogs", "alice", "root"]

[audit]
allow = '"security" in claims.groups'

[[role]]
name = "shell"
allow = '"sre" in claims.groups'
principals = ["deploy"]
extensions = ["pty", "port-forwarding"]
ttl = "1h"

[[role]]
name = "logs"
allow = '"sre" in claims.groups'
principals = ["weblogs"]
command = ["/usr/bin/journalctl", "--unit", "{unit}"]
params.unit = { pattern = "[a-z]{1,20}" }
source = ["10.0.0.0/8", "127.0.0.0/8"]
extensions = ["pty", "port-forwarding"]
ttl = "30m"

[[role]]
name = "own"
allow = 'true'
principals = ["{claims.login}"]
ttl = "5m"
"#;

fn logs() -> Ask {
    Ask {
        params: [("unit".to_owned(), "nginx".to_owned())].into(),
        ..ask("logs")
    }
}

fn attempt(env: &TestEnv, caller: &Caller, claims: Value, wanted: Ask) -> Attempt {
    let token = env.sign(claims);
    caller.attempt(env.api.server_name(), &token, wanted)
}

/// An ask of a good sre with one claim changed.
async fn issue_with(
    env: &TestEnv,
    claim: &str,
    value: Value,
    wanted: Ask,
) -> Result<Issued, Refusal> {
    let caller = Caller::new();
    let mut claims = env.claims(&caller, "alice", &["sre"]);
    claims[claim] = value;
    let attempt = attempt(env, &caller, claims, wanted);
    env.api.issue(&attempt).await
}

/// An honest sre's pass.
async fn issue(env: &TestEnv, wanted: Ask) -> Result<Issued, Refusal> {
    issue_with(env, "azp", json!("daypass"), wanted).await
}

async fn refused_for(env: &TestEnv, claim: &str, value: Value, wanted: Ask, reason: &str) {
    let case = value.to_string();
    let answer = issue_with(env, claim, value, wanted).await;
    let refusal = answer.expect_err(&case);
    assert_eq!(refusal.reason, reason, "{case}: {refusal:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2024_7594_no_principal_is_every_user() {
    let env = TestEnv::with_policy(POLICY).await;
    for empty in [json!([]), json!(""), json!([""]), json!(null)] {
        refused_for(&env, "login", empty, ask("own"), "PRINCIPAL").await;
    }
    let pass = issue(&env, ask("shell")).await.unwrap();
    let certificate = Certificate::from_openssh(&pass.certificate).unwrap();
    assert_eq!(certificate.valid_principals(), ["deploy"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2026_35414_a_comma_in_a_principal_is_two_of_them() {
    let env = TestEnv::with_policy(POLICY).await;
    for login in [
        json!("alice,root"),
        json!(["alice,root"]),
        json!("alice, root"),
    ] {
        refused_for(&env, "login", login, ask("own"), "PRINCIPAL").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ghsa_59w7_v8rr_pr4p_a_claim_with_separators_in_a_template() {
    let env = TestEnv::with_policy(POLICY).await;
    for login in [
        "alice\nroot",
        "alice root",
        "alice\troot",
        "alice;root",
        "alice@root",
        "alice\u{0}",
        "{claims.sub}",
    ] {
        refused_for(&env, "login", json!(login), ask("own"), "PRINCIPAL").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2025_49825_a_certificate_in_place_of_a_key() {
    let env = TestEnv::with_policy(POLICY).await;
    let caller = Caller::new();
    let claims = env.claims(&caller, "alice", &["sre"]);
    let mut attempt = attempt(&env, &caller, claims, ask("shell"));
    let pass = env.api.issue(&attempt).await.unwrap();
    attempt.public_key = pass.certificate.clone();
    let refusal = env.api.issue(&attempt).await.unwrap_err();
    assert_eq!(refusal.reason, "SUBJECT_KEY");
    // The same blob behind the name of a plain key.
    let blob = pass.certificate.split(' ').nth(1).unwrap();
    attempt.public_key = format!("ssh-ed25519 {blob}");
    let refusal = env.api.issue(&attempt).await.unwrap_err();
    assert_eq!(refusal.reason, "SUBJECT_KEY");
}

#[tokio::test(flavor = "multi_thread")]
async fn vault_10210_the_caller_replaces_a_mandated_force_command() {
    let env = TestEnv::with_policy(POLICY).await;
    let mandated = issue(&env, logs()).await.unwrap().force_command;
    let mut extension = logs();
    extension.extensions = vec!["force-command".to_owned()];
    let mut valued = logs();
    valued.extensions = vec!["force-command=/bin/sh".to_owned()];
    let mut parameter = logs();
    parameter
        .params
        .insert("force-command".to_owned(), "/bin/sh".to_owned());
    for wanted in [extension, valued, parameter] {
        assert!(issue(&env, wanted).await.is_err());
    }
    let pass = issue(&env, logs()).await.unwrap();
    let certificate = Certificate::from_openssh(&pass.certificate).unwrap();
    assert_eq!(certificate.cert_type(), CertType::User);
    assert_eq!(
        certificate.critical_options().get("force-command"),
        Some(&mandated)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2025_4658_a_crafted_jws_skips_the_signature() {
    let env = TestEnv::with_policy(POLICY).await;
    let caller = Caller::new();
    let good = env.sign(env.claims(&caller, "alice", &["sre"]));
    let parts: Vec<_> = good.split('.').collect();
    let crafted = [
        format!("{good}.{}", parts[1]),
        format!("{}..{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}:{}.{}", parts[0], parts[1], parts[1], parts[2]),
        json!({"payload": parts[1], "signatures": [{"protected": parts[0], "signature": parts[2]}]})
            .to_string(),
    ];
    for token in crafted {
        let refusal = env.api.issue(&env.attempt(&caller, &token)).await;
        let reason = refusal.expect_err(&token).reason;
        assert!(
            ["TOKEN_MALFORMED", "TOKEN_SIGNATURE"].contains(&reason.as_str()),
            "{reason}: {token}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2024_5798_an_audience_of_one_string_goes_unchecked() {
    let env = TestEnv::with_policy(POLICY).await;
    for audience in [
        json!("vault"),
        json!(["vault"]),
        json!(""),
        json!("Daypass"),
    ] {
        refused_for(&env, "aud", audience, ask("shell"), "TOKEN_AUDIENCE").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2026_22772_an_issuer_that_only_contains_ours() {
    let env = TestEnv::with_policy(POLICY).await;
    let ours = env.issuer().url().to_owned();
    for issuer in [
        format!("{ours}.evil.example"),
        format!("https://evil.example/{ours}"),
        format!("{ours}/x"),
        format!("{ours}#x"),
        format!("{ours}@evil.example"),
    ] {
        refused_for(&env, "iss", json!(issuer), ask("shell"), "TOKEN_ISSUER").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ghsa_f83f_xpx7_ffpw_a_malformed_token_takes_all_memory() {
    let env = TestEnv::with_policy(POLICY).await;
    let caller = Caller::new();
    for token in [
        ".".repeat(15_000),
        "..".to_owned(),
        "A".repeat(15_000),
        format!("{}.{}.", "A".repeat(7_000), "A".repeat(7_000)),
    ] {
        let refusal = env.api.issue(&env.attempt(&caller, &token)).await;
        assert_eq!(refusal.unwrap_err().reason, "TOKEN_MALFORMED");
    }
    env.assert_honest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2026_30836_an_unknown_kind_of_request_skips_authorization() {
    let env = TestEnv::with_policy(POLICY).await;
    let mut redeemed = ask("own");
    redeemed.request = u64::MAX;
    let mut emergency = ask("own");
    emergency.emergency = true;
    for wanted in [redeemed, emergency] {
        let answer = issue_with(&env, "login", json!("alice"), wanted).await;
        assert!(answer.is_err(), "{answer:?}");
    }
    let mut stranger = tonic::client::Grpc::new(env.api.channel());
    stranger.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/daypass.v1.Passes/Sign");
    let codec = tonic_prost::ProstCodec::<Ask, IssueResponse>::default();
    let status = stranger
        .unary(tonic::Request::new(ask("own")), path, codec)
        .await
        .unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unimplemented);
}

#[tokio::test(flavor = "multi_thread")]
async fn openbao_3666_an_approval_without_an_approver_passes() {
    for approval in [
        "{ count = 0, by = 'true', within = \"30m\" }",
        "{ by = 'true', count = -1, within = \"30m\" }",
        "{ count = 1, within = \"30m\" }",
    ] {
        let policy = format!(
            "{POLICY}\n[[role]]\nname = \"prod\"\nallow = 'true'\nprincipals = [\"root\"]\nttl = \"5m\"\napproval = {approval}\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            policy: Some(policy),
            without_sshd: true,
            ..Options::default()
        };
        assert!(
            World::start_with(folder.path(), options).await.is_err(),
            "loaded: {approval}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn teleport_14711_a_restriction_is_lost_where_two_meet() {
    let env = TestEnv::with_policy(POLICY).await;
    let mut wanted = logs();
    wanted.source_addresses = vec!["127.0.0.1/32".to_owned(), "10.1.0.0/16".to_owned()];
    wanted.extensions = vec!["pty".to_owned()];
    wanted.ttl_seconds = 60;
    let pass = issue(&env, wanted).await.unwrap();
    let certificate = Certificate::from_openssh(&pass.certificate).unwrap();
    let options = certificate.critical_options();
    assert_eq!(
        options.get("source-address").unwrap(),
        "10.1.0.0/16,127.0.0.1/32"
    );
    assert!(
        options
            .get("force-command")
            .unwrap()
            .ends_with("--unit nginx")
    );
    let extensions: Vec<_> = certificate.extensions().keys().collect();
    assert_eq!(extensions, ["permit-pty"]);
    assert_eq!(certificate.valid_principals(), ["weblogs"]);
    assert_eq!(
        pass.valid_before - pass.valid_after,
        60 + 60,
        "and backdated"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cve_2026_46405_a_credential_comes_with_the_error() {
    let env = TestEnv::with_policy(POLICY).await;
    let refusals = [
        issue(&env, ask("nothing")).await,
        issue_with(&env, "groups", json!([]), ask("shell")).await,
        issue_with(&env, "aud", json!("other"), ask("shell")).await,
    ];
    for refusal in refusals {
        let text = format!("{:?}", refusal.unwrap_err());
        for credential in ["cert-v01", "AAAA", "eyJ"] {
            assert!(!text.contains(credential), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rustsec_2025_0055_what_a_caller_sends_writes_the_log() {
    let env = TestEnv::new()
        .policy(POLICY)
        .configuration("[log]\nformat = \"json\"");
    let env = env.start_process().await;

    let evil = "x\n{\"level\":\"ERROR\"}\r\u{1b}[2J\u{2028}\u{2029}\u{85}\u{202e}";
    let fields: [fn(&mut Ask, &str); 6] = [
        |ask, evil| ask.role = evil.to_owned(),
        |ask, evil| ask.host = evil.to_owned(),
        |ask, evil| ask.reason = evil.to_owned(),
        |ask, evil| ask.extensions = vec![evil.to_owned()],
        |ask, evil| ask.source_addresses = vec![evil.to_owned()],
        |ask, evil| {
            ask.role = "logs".to_owned();
            ask.params = [(evil.to_owned(), evil.to_owned())].into();
        },
    ];
    for change in fields {
        let mut wanted = ask("shell");
        change(&mut wanted, evil);
        env.user("alice", &["sre"]).issue(wanted).await.unwrap_err();
    }
    let log = env.server.log();
    assert!(!log.contains(['\u{1b}', '\r', '\u{2028}', '\u{2029}', '\u{85}', '\u{202e}']));
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let calls = lines
        .iter()
        .filter(|line| line["method"] == "Passes/Issue")
        .count();
    assert_eq!(calls, fields.len(), "one line for one call:\n{log}");
    for secret in ["eyJ", "PRIVATE KEY", "SSH SIGNATURE"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rustsec_2024_0376_a_bad_connection_ends_the_accept_loop() {
    let env = TestEnv::with_policy(POLICY).await;
    let (url, _) = env.world().server();
    let address = url.replace("https://", "");
    for hello in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x16\x03\x01\xff\xff\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"",
    ] {
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        stream.write_all(hello).await.unwrap();
        stream.set_zero_linger().unwrap();
        drop(stream);
    }
    let (url, ca) = env.world().server();
    let other = crate::support::api::Api::open(&url, ca.as_bytes()).await;
    let caller = Caller::new();
    let claims = env.claims(&caller, "alice", &["sre"]);
    let attempt = attempt(&env, &caller, claims, ask("shell"));
    other.issue(&attempt).await.unwrap();
}
