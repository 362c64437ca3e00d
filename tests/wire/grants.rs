//! Every row of the table of policies, grants and certificates through the real server.

use std::collections::BTreeMap;

use crate::support::issued::Issued;
use crate::support::{
    api::{Caller, Refusal, ask},
    env::TestEnv,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use daypass::proto::v1::Ask;
use serde_json::json;
use ssh_key::{Certificate, certificate::CertType};
use tonic::Code;

const POLICY: &str = r#"
[limits]
ttl = "1h"
principals = ["deploy", "debug", "weblogs", "alice", "root"]

[hosts]
web = ["web-*"]
db = ["db-*"]

[audit]
allow = '"security" in claims.groups'

[[role]]
name = "logs"
about = "Follow one unit's log"
allow = '"oncall" in claims.groups'
hosts = ["web"]
principals = ["weblogs"]
command = ["/usr/bin/journalctl", "--follow", "--unit", "{unit}"]
params.unit = { pattern = "[a-z-][a-z0-9@._-]{0,63}" }
pty = true
ttl = "30m"

[[role]]
name = "free"
allow = '"oncall" in claims.groups'
principals = ["debug"]
command = ["/bin/echo", "about {text}"]
params.text = { pattern = "(?s).{1,200}" }
ttl = "30m"

[[role]]
name = "shell"
allow = '"sre" in claims.groups'
principals = ["root", "deploy"]
extensions = ["pty", "port-forwarding"]
source = ["127.0.0.0/8", "10.0.0.0/8"]
ttl = "1h"

[[role]]
name = "own"
allow = 'true'
principals = ["{claims.login}"]
ttl = "5m"

[[role]]
name = "here"
allow = 'true'
principals = ["deploy"]
source = "caller"
ttl = "5m"

[[role]]
name = "change"
allow = 'true'
principals = ["deploy"]
reason = '(INC|CHG)-[0-9]+'
ttl = "5m"

[[role]]
name = "broken"
allow = 'claims.missing.deeper == 1'
principals = ["deploy"]
ttl = "5m"
"#;

async fn issue(
    env: &TestEnv,
    caller: &Caller,
    groups: &[&str],
    ask: Ask,
) -> Result<Issued, Refusal> {
    let token = env.sign(env.claims(caller, "alice", groups));
    env.api
        .issue(&caller.attempt(env.api.server_name(), &token, ask))
        .await
}

/// Refused with this code and reason, leaving exactly one event.
async fn expect_denied(
    env: &TestEnv,
    case: &str,
    ask: Ask,
    groups: &[&str],
    expected: (Code, &str),
) {
    let before = env.ledger_size().await;
    match issue(env, &Caller::new(), groups, ask).await {
        Ok(pass) => panic!("{case}: got a pass with serial {}", pass.serial),
        Err(refusal) => assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            expected,
            "{case}: {}",
            refusal.message
        ),
    }
    assert_eq!(
        env.ledger_size().await - before,
        1,
        "{case}: exactly one event"
    );
}

fn logs(host: &str, unit: &str) -> Ask {
    Ask {
        host: host.to_owned(),
        params: [("unit".to_owned(), unit.to_owned())].into(),
        ..ask("logs")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_do_not_fit_are_denied_once_each() {
    let env = TestEnv::with_policy(POLICY).await;
    let values = [
        ("a second command", "nginx; reboot"),
        ("a substitution", "$(reboot)"),
        ("backquotes", "`reboot`"),
        ("a single quote", "nginx'"),
        ("a double quote", "nginx\""),
        ("a newline", "nginx\nreboot"),
        ("a newline at the end", "nginx\n"),
        ("a tab", "nginx\tx"),
        ("a no-break space", "nginx\u{a0}x"),
        ("an ideographic space", "nginx\u{3000}x"),
        ("a fullwidth letter", "ｎginx"),
        ("nothing", ""),
        ("an option", "-n1"),
        ("a long option", "--output=cat"),
        ("too much", &"a".repeat(65)),
    ];
    for (case, value) in values {
        expect_denied(
            &env,
            case,
            logs("web-1", value),
            &["oncall"],
            (Code::PermissionDenied, "PARAMETER"),
        )
        .await;
    }
    let mut unknown = logs("web-1", "nginx");
    unknown.params.insert("other".to_owned(), "x".to_owned());
    expect_denied(
        &env,
        "an unknown name",
        unknown,
        &["oncall"],
        (Code::PermissionDenied, "PARAMETER"),
    )
    .await;
    let mut missing = logs("web-1", "nginx");
    missing.params = BTreeMap::new().into_iter().collect();
    expect_denied(
        &env,
        "a missing name",
        missing,
        &["oncall"],
        (Code::PermissionDenied, "PARAMETER"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_with_a_nul_or_a_megabyte_never_reach_the_policy() {
    let env = TestEnv::with_policy(POLICY).await;
    let nul = issue(&env, &Caller::new(), &["oncall"], logs("web-1", "a\0b"))
        .await
        .unwrap_err();
    assert!(
        ["PARAMETER", "ASK_MALFORMED"].contains(&nul.reason.as_str()),
        "{nul:?}"
    );
    let huge = issue(
        &env,
        &Caller::new(),
        &["oncall"],
        logs("web-1", &"a".repeat(1 << 20)),
    )
    .await
    .unwrap_err();
    assert!(
        matches!(
            huge.code,
            Code::OutOfRange | Code::ResourceExhausted | Code::InvalidArgument
        ),
        "{huge:?}"
    );
    env.assert_honest_ask(logs("web-1", "nginx"), &["oncall"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asks_outside_the_policy_are_denied_with_their_reason() {
    let env = TestEnv::with_policy(POLICY).await;
    let with = |role: &str, change: fn(&mut Ask)| {
        let mut wanted = ask(role);
        change(&mut wanted);
        wanted
    };
    let denied = Code::PermissionDenied;
    let cases = [
        (
            "a role that is not there",
            ask("nothing"),
            &["sre"][..],
            (denied, "ROLE_UNKNOWN"),
        ),
        (
            "a role for others",
            ask("shell"),
            &["oncall"],
            (denied, "NOT_ALLOWED"),
        ),
        (
            "a role in other letters",
            ask("Shell"),
            &["sre"],
            (denied, "ROLE_UNKNOWN"),
        ),
        (
            "a condition that errors",
            ask("broken"),
            &["sre"],
            (denied, "CONDITION_ERROR"),
        ),
        (
            "a reason that is missing",
            ask("change"),
            &["sre"],
            (denied, "REASON_REQUIRED"),
        ),
        (
            "a reason that only holds the pattern",
            with("change", |a| a.reason = "see INC-1 ok".into()),
            &["sre"],
            (denied, "REASON_REQUIRED"),
        ),
        (
            "a host outside the groups",
            logs("db-1", "nginx"),
            &["oncall"],
            (denied, "HOST"),
        ),
        (
            "a source outside the role's",
            with("shell", |a| {
                a.source_addresses = vec!["192.0.2.0/24".into()]
            }),
            &["sre"],
            (denied, "SOURCE"),
        ),
        (
            "an extension the role lacks",
            with("shell", |a| a.extensions = vec!["agent-forwarding".into()]),
            &["sre"],
            (denied, "EXTENSION"),
        ),
    ];
    for (case, wanted, groups, expected) in cases {
        expect_denied(&env, case, wanted, groups, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn principals_from_claims_are_refused_never_rewritten() {
    let env = TestEnv::with_policy(POLICY).await;
    let cases = [
        (
            "a comma (CVE-2026-35414, GHSA-59w7-v8rr-pr4p)",
            json!("alice,root"),
        ),
        ("a space", json!("alice root")),
        ("a newline", json!("alice\nroot")),
        ("a NUL", json!("root\u{0}")),
        ("a quote", json!("alice'")),
        ("a star", json!("*")),
        ("a number sign", json!("#alice")),
        ("a leading hyphen", json!("-alice")),
        ("a look-alike", json!("аlice")),
        ("nothing (CVE-2024-7594)", json!("")),
        ("a list of nothing", json!([])),
        ("too long", json!("a".repeat(300))),
        ("a name outside the limits", json!("bob")),
        ("a host group of its own making", json!("alice@web")),
        ("an object", json!({"a": "alice"})),
        ("a boolean", json!(true)),
    ];
    for (case, login) in cases {
        let caller = Caller::new();
        let mut claims = env.claims(&caller, "alice", &[]);
        claims["login"] = login;
        let token = env.sign(claims);
        let before = env.ledger_size().await;
        let answer = env
            .api
            .issue(&caller.attempt(env.api.server_name(), &token, ask("own")))
            .await;
        match answer {
            Ok(pass) => panic!("{case}: principals {:?}", pass.principals),
            Err(refusal) => assert_eq!(
                (refusal.code, refusal.reason.as_str()),
                (Code::PermissionDenied, "PRINCIPAL"),
                "{case}"
            ),
        }
        assert_eq!(env.ledger_size().await - before, 1, "{case}");
    }
    let missing = issue(&env, &Caller::new(), &[], ask("own"))
        .await
        .unwrap_err();
    assert_eq!(
        missing.reason, "PRINCIPAL",
        "a template over a missing claim"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_narrows_and_never_widens() {
    let env = TestEnv::with_policy(POLICY).await;
    let whole = issue(&env, &Caller::new(), &["sre"], ask("shell"))
        .await
        .unwrap();
    assert_eq!(whole.principals, ["deploy", "root"]);
    assert_eq!(whole.source_addresses, ["10.0.0.0/8", "127.0.0.0/8"]);
    assert_eq!(whole.extensions, ["port-forwarding", "pty"]);

    let mut wish = ask("shell");
    wish.ttl_seconds = 60;
    wish.source_addresses = vec!["127.0.0.1/32".into()];
    wish.extensions = vec!["pty".into()];
    let narrow = issue(&env, &Caller::new(), &["sre"], wish).await.unwrap();
    assert_eq!(narrow.source_addresses, ["127.0.0.1/32"]);
    assert_eq!(narrow.extensions, ["pty"]);
    assert!(
        narrow.valid_before - narrow.valid_after <= 60 + 60,
        "a minute, and the minute it is backdated by"
    );

    let mut greedy = ask("shell");
    greedy.ttl_seconds = u64::MAX;
    match issue(&env, &Caller::new(), &["sre"], greedy).await {
        Ok(pass) => assert!(
            pass.valid_before - pass.valid_after <= 3_600 + 60,
            "never longer than the role"
        ),
        Err(refusal) => assert!(
            ["TTL", "ASK_MALFORMED"].contains(&refusal.reason.as_str()),
            "{refusal:?}"
        ),
    }
    let mut wide = ask("shell");
    wide.source_addresses = vec!["0.0.0.0/0".into()];
    match issue(&env, &Caller::new(), &["sre"], wide).await {
        Ok(pass) => assert_eq!(pass.source_addresses, whole.source_addresses),
        Err(refusal) => assert_eq!(refusal.reason, "SOURCE"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mandated_force_command_is_not_changed_by_what_the_caller_sends() {
    let env = TestEnv::with_policy(POLICY).await;
    let pass = issue(&env, &Caller::new(), &["oncall"], logs("web-1", "nginx"))
        .await
        .unwrap();
    assert_eq!(pass.principals, ["weblogs@web"]);
    let certificate = Certificate::from_openssh(&pass.certificate).unwrap();
    assert_eq!(certificate.cert_type(), CertType::User);
    let command = certificate.critical_options().get("force-command").unwrap();
    assert_eq!(command, &pass.force_command);
    assert!(
        command.ends_with("nginx") || command.ends_with("'nginx'"),
        "{command} (vault#10210)"
    );
    assert!(
        !certificate
            .extensions()
            .iter()
            .any(|(name, _)| name == "force-command")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_characters_reach_the_command_byte_exact() {
    let env = TestEnv::with_policy(POLICY).await;
    for text in [
        "a'b\"c",
        "$(reboot) `id`",
        "\\ \\\\ end",
        "%s {x} ~ * ? [a] !",
        "; | & < >",
        "ünï\u{3000}cödé",
    ] {
        let mut wanted = ask("free");
        wanted.params.insert("text".to_owned(), text.to_owned());
        let pass = issue(&env, &Caller::new(), &["oncall"], wanted)
            .await
            .unwrap();
        let printed = pass.force_command.replacen("/bin/echo", "printf '[%s]'", 1);
        let printed = printed.replacen("'/bin/echo'", "printf '[%s]'", 1);
        let output = std::process::Command::new("/bin/sh")
            .args(["-c", &printed])
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            format!("[about {text}]"),
            "{}",
            pass.force_command
        );
    }
}

/// A public key's line over fields that no tool would write.
fn key_line(algorithm: &str, fields: &[&[u8]]) -> String {
    let mut blob = Vec::new();
    for field in [&[algorithm.as_bytes()], fields].concat() {
        blob.extend((field.len() as u32).to_be_bytes());
        blob.extend(field);
    }
    format!("{algorithm} {}", STANDARD.encode(blob))
}

fn rsa_line(exponent: &[u8], modulus: &[u8]) -> String {
    key_line("ssh-rsa", &[exponent, modulus])
}

#[tokio::test(flavor = "multi_thread")]
async fn subject_keys_no_pass_is_for_are_refused_and_recorded() {
    let env = TestEnv::with_policy(POLICY).await;
    let caller = Caller::new();
    let pass = issue(&env, &caller, &["sre"], ask("shell")).await.unwrap();
    let ca = env.ca_public_key().await;
    let short_rsa = ssh_key::PrivateKey::new(
        ssh_key::private::RsaKeypair::random(&mut ssh_key::rand_core::OsRng, 2048)
            .unwrap()
            .into(),
        "",
    )
    .unwrap();
    let cases = [
        (
            "an RSA key of 2048 bits",
            short_rsa.public_key().to_openssh().unwrap(),
        ),
        ("a DSA key", format!("ssh-dss {}", "AAAAB3NzaC1kc3MAAACBAP")),
        ("a certificate (CVE-2025-49825)", pass.certificate),
        ("the CA's own key", ca),
        (
            "an unknown algorithm",
            "ssh-unknown AAAAC3NzaC1lZDI1NTE5AAAAIA".to_owned(),
        ),
        (
            "an RSA key of 16,384 bits",
            rsa_line(&[1, 0, 1], &[&[0x00, 0x80][..], &[0x01; 2047]].concat()),
        ),
        (
            "an RSA key with the exponent 3",
            rsa_line(&[3], &[&[0x00, 0x80][..], &[0x01; 383]].concat()),
        ),
        (
            "an RSA key with an even exponent",
            rsa_line(&[1, 0, 0], &[&[0x00, 0x80][..], &[0x01; 383]].concat()),
        ),
        (
            "an RSA key with an even modulus",
            rsa_line(&[1, 0, 1], &[&[0x00, 0x80][..], &[0x02; 383]].concat()),
        ),
        (
            "a key that every party can sign for",
            key_line("ssh-ed25519", &[&[0; 32]]),
        ),
        (
            "a key with bytes behind it",
            key_line("ssh-ed25519", &[&[9; 32], b"more"]),
        ),
        (
            "a key of another algorithm than it says",
            key_line("ecdsa-sha2-nistp256", &[b"nistp384", &[4; 97]]),
        ),
        (
            "a point at infinity",
            key_line("ecdsa-sha2-nistp256", &[b"nistp256", &[0]]),
        ),
        ("garbage", "not a key at all".to_owned()),
        ("nothing", String::new()),
        (
            "a megabyte of key",
            format!("ssh-rsa {}", "A".repeat(40_000)),
        ),
    ];
    for (case, public_key) in cases {
        let token = env.sign(env.claims(&caller, "alice", &["sre"]));
        let mut attempt = caller.attempt(env.api.server_name(), &token, ask("shell"));
        attempt.public_key = public_key;
        let before = env.ledger_size().await;
        let refusal = env.api.issue(&attempt).await.unwrap_err();
        let expected = if case == "the CA's own key" {
            ["KEY_BINDING", "SUBJECT_KEY"]
        } else {
            ["SUBJECT_KEY", "SUBJECT_KEY"]
        };
        assert!(
            expected.contains(&refusal.reason.as_str()),
            "{case}: {refusal:?}"
        );
        assert_eq!(env.ledger_size().await - before, 1, "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_id_is_printable_for_every_subject() {
    let env = TestEnv::with_policy(POLICY).await;
    for subject in [
        "a\nb",
        "a\u{1b}[31mb",
        "a\u{0}b",
        "аlice",
        "a b",
        &"x".repeat(2_000),
    ] {
        let caller = Caller::new();
        let mut claims = env.claims(&caller, "alice", &["sre"]);
        claims["sub"] = json!(subject);
        claims["email_verified"] = json!(false);
        let token = env.sign(claims);
        match env
            .api
            .issue(&caller.attempt(env.api.server_name(), &token, ask("shell")))
            .await
        {
            Ok(pass) => {
                assert!(
                    pass.key_id.len() <= 256
                        && pass.key_id.bytes().all(|byte| byte.is_ascii_graphic()),
                    "{:?}",
                    pass.key_id
                );
                let certificate = Certificate::from_openssh(&pass.certificate).unwrap();
                assert_eq!(certificate.key_id(), pass.key_id);
            }
            Err(refusal) => assert_eq!(refusal.reason, "TOKEN_CLAIMS", "{subject:?}: {refusal:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_pinned_to_its_caller_names_the_address_the_server_saw() {
    let env = TestEnv::with_policy(POLICY).await;
    let pass = issue(&env, &Caller::new(), &[], ask("here")).await.unwrap();
    assert!(
        ["127.0.0.1/32", "::1/128"].contains(&pass.source_addresses[0].as_str()),
        "{:?}",
        pass.source_addresses
    );
    assert_eq!(pass.source_addresses.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pass_is_the_ledger_entry_of_its_serial() {
    let env = TestEnv::with_policy(POLICY).await;
    let first = env.ledger_size().await;
    let callers: Vec<_> = (0..24).map(|_| Caller::new()).collect();
    let passes = futures(
        callers
            .iter()
            .map(|caller| issue(&env, caller, &["sre"], ask("shell"))),
    )
    .await;
    let mut serials: Vec<_> = passes
        .into_iter()
        .map(|pass| pass.unwrap().serial)
        .collect();
    serials.sort_unstable();
    assert_eq!(serials, (first..first + 24).collect::<Vec<_>>());
    let events = env.events(first).await;
    assert!(events.iter().all(|event| event["type"] == "issued"));
}

/// Runs the futures at once and keeps their order.
async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = all.map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = pending.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, output) in pending.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *output = Some(value);
            }
        }
        if outputs.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
