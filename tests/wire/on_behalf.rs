//! Passes on behalf of a user, through the real server: what a bastion gets with the consent of a
//! user who is present, and all that is refused.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::support::{
    api::{Api, Caller, Refusal, with_token},
    env::TestEnv,
    issued::Issued,
    orders::identity,
    policy,
    ssh::{self, Host},
    user::TestUser,
};
use base64::prelude::*;
use daypass::{
    identity::proof::possession_message,
    ledger::consent::{Consent, presentation},
    proto::{
        ask_bytes,
        v1::{self, Ask, IssueForRequest, KeyProof, lock_target, revoke_request},
    },
    ssh::sshsig::Namespace,
    unix_seconds::UnixSeconds,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use ssh_key::{HashAlg, LineEnding, PrivateKey, PublicKey};
use tonic::Code;

/// The bastion's own address.
const BASTION: &str = "127.0.0.2";

const BY: &str = r#"on_behalf = { by = '"bastions" in claims.groups' }"#;

fn policy() -> String {
    let login = ssh::login();
    let role = |name: &str, more: &[&str]| policy::role(name, "sre", &login, more);
    let logs = [
        BY,
        r#"command = ["/bin/echo", "{unit}"]"#,
        r#"params.unit = { pattern = "[a-z]+" }"#,
        "ttl = \"30m\"",
    ];
    [
        &format!("[limits]\nttl = \"8h\"\nprincipals = [{login:?}]\n"),
        policy::AUDIT_AND_ADMIN,
        &role("shell", &[BY, "pty = true", "ttl = \"30m\""]),
        &role("logs", &logs),
        &role("lan", &[BY, r#"source = ["10.0.0.0/8"]"#]),
        &role("near", &[BY, r#"source = ["127.0.0.0/8"]"#]),
        &role("plain", &[]),
        &role("slow", &[BY, policy::APPROVAL]),
        &role("fresh", &[BY, r#"require = { auth_age = "1m" }"#]),
        &role("told", &[BY, "reason = 'INC-[0-9]+'"]),
    ]
    .concat()
}

struct Site {
    env: TestEnv,
    alice: TestUser,
    bastion: TestUser,
}

impl Site {
    async fn start() -> Self {
        let env = TestEnv::with_policy(&policy()).await;
        let alice = env.user("alice", &["sre"]);
        let api = from(&env, BASTION).await;
        let bastion = env.user("edge", &["bastions"]).over(&api);
        Self {
            env,
            alice,
            bastion,
        }
    }

    /// An honest call.
    fn parts(&self, role: &str) -> Parts {
        Parts::new(&self.alice, &self.bastion, ask(role))
    }

    async fn issue(&self, role: &str) -> Result<Issued, Refusal> {
        self.parts(role).send().await
    }

    async fn lock(&self, target: lock_target::Target) -> Vec<u64> {
        self.env.carol().lock(target).await.unwrap().serials
    }
}

async fn from(env: &TestEnv, address: &str) -> Api {
    let address: IpAddr = address.parse().unwrap();
    let ca = env.server.tls_ca();
    Api::open_from(address, env.server.port(), ca.as_bytes()).await
}

fn ask(role: &str) -> Ask {
    let params: &[(&str, &str)] = match role {
        "logs" => &[("unit", "nginx")],
        _ => &[],
    };
    let params = params.iter().map(|&(a, b)| (a.to_owned(), b.to_owned()));
    Ask {
        role: role.to_owned(),
        host: "web-1".to_owned(),
        params: params.collect(),
        ..Ask::default()
    }
}

/// A call in parts; a test changes one of them.
#[derive(Clone)]
struct Parts {
    // What the user signs.
    server: String,
    user_token: String,
    asked: Ask,
    by: (String, String),
    subject_key: PublicKey,
    until: u64,
    user_key: PrivateKey,
    consent_namespace: Namespace,
    // What the bastion signs and sends.
    user: TestUser,
    bastion: TestUser,
    sent: Ask,
    sent_until: u64,
    signer: PrivateKey,
    namespace: Namespace,
}

impl Parts {
    fn new(user: &TestUser, bastion: &TestUser, ask: Ask) -> Self {
        // Each consent is another one, even within a second.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let more = NEXT.fetch_add(1, Ordering::Relaxed) % 200;
        let until = u64::try_from(crate::support::now()).unwrap() + 300 + more;
        Self {
            server: bastion.api.server_name().to_owned(),
            user_token: user.token.clone(),
            asked: ask.clone(),
            by: {
                let claims = claims(&bastion.token);
                let text = |name: &str| claims[name].as_str().unwrap().to_owned();
                (text("iss"), text("sub"))
            },
            subject_key: bastion.caller.key.public_key().clone(),
            until,
            user_key: user.caller.key.clone(),
            consent_namespace: Namespace::Consent,
            user: user.clone(),
            bastion: bastion.clone(),
            sent: ask,
            sent_until: until,
            signer: bastion.caller.key.clone(),
            namespace: Namespace::OnBehalf,
        }
    }

    fn consent(&self) -> Vec<u8> {
        Consent {
            server: &self.server,
            token: &hash(&self.user_token),
            ask: &ask_bytes(&self.asked),
            issuer: &self.by.0,
            subject: &self.by.1,
            key: &self.subject_key.to_bytes().unwrap(),
            until: UnixSeconds(self.until),
        }
        .message()
    }

    fn message(&self) -> IssueForRequest {
        let consent = self.consent();
        let key = self.subject_key.to_bytes().unwrap();
        let presented = presentation(&self.server, &hash(&self.bastion.token), &key, &consent);
        IssueForRequest {
            ask: Some(self.sent.clone()),
            proof: Some(proof(
                &self.bastion,
                signed(&self.signer, self.namespace, &presented),
            )),
            consent: Some(v1::Consent {
                token: self.user.token.clone(),
                original_token: String::new(),
                proof: Some(proof(
                    &self.user,
                    signed(&self.user_key, self.consent_namespace, &consent),
                )),
                expires_at: self.sent_until,
            }),
        }
    }

    async fn send(&self) -> Result<Issued, Refusal> {
        send(&self.bastion, self.message()).await
    }
}

async fn send(bastion: &TestUser, message: IssueForRequest) -> Result<Issued, Refusal> {
    let request = with_token(message, &bastion.token);
    let answer = bastion.api.passes().issue_for(request).await?;
    Ok(answer.into_inner().into())
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn signed(key: &PrivateKey, namespace: Namespace, message: &[u8]) -> String {
    let signature = key.sign(namespace.as_str(), HashAlg::Sha512, message);
    signature.unwrap().to_pem(LineEnding::LF).unwrap()
}

fn proof(user: &TestUser, signature: String) -> KeyProof {
    KeyProof {
        public_key: user.caller.key.public_key().to_openssh().unwrap(),
        binding_secret: user.caller.secret.clone(),
        signature,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bastion_gets_the_users_pass_for_its_own_key_and_address_and_the_ledger_proves_both() {
    let site = Site::start().await;
    let pass = site.issue("shell").await.unwrap();
    assert_eq!(pass.key_id, "alice@example.com~via~edge@example.com/shell");
    assert_eq!(pass.source_addresses, ["127.0.0.2/32"]);
    assert_eq!(pass.extensions, ["pty"]);
    assert_eq!(pass.valid_before - pass.valid_after, 30 * 60 + 60);
    let certificate = ssh_key::Certificate::from_openssh(&pass.certificate).unwrap();
    assert_eq!(
        certificate.public_key(),
        site.bastion.caller.key.public_key().key_data(),
        "the pass is for the bastion's key"
    );
    let event = site.env.events(pass.serial).await.remove(0);
    assert_eq!(event["who"]["subject"], "alice");
    assert_eq!(event["on_behalf"]["by"]["subject"], "edge");
    assert_eq!(
        event["on_behalf"]["by"]["claims"]["groups"],
        json!(["bastions"])
    );
    assert_eq!(event["key"], json!(site.bastion.fingerprint()));
    let near = site.issue("near").await.unwrap();
    assert_eq!(
        near.source_addresses,
        ["127.0.0.2/32"],
        "within its networks"
    );
    let logs = site.issue("logs").await.unwrap();
    assert_eq!(logs.force_command, "/bin/echo nginx");
    site.env.assert_verifies().await;
    site.env.assert_no_secret_in_events().await;
}

type Lie = fn(&Site, &mut Parts);

#[tokio::test(flavor = "multi_thread")]
async fn no_lie_of_a_bastion_gets_a_pass() {
    let site = Site::start().await;
    let lies: [(&str, &str, Lie); 27] = [
        ("a consent to another bastion", "POSSESSION", |_, it| {
            it.by.1 = "other".into();
        }),
        ("to a bastion of another issuer", "POSSESSION", |_, it| {
            it.by.0.push('/');
        }),
        ("at another server", "POSSESSION", |_, it| {
            it.server = "other.example.com".into();
        }),
        ("to another key", "POSSESSION", |_, it| {
            it.subject_key = Caller::new().key.public_key().clone();
        }),
        ("to another role", "POSSESSION", |_, it| {
            it.sent.role = "near".into();
        }),
        ("to another host", "POSSESSION", |_, it| {
            it.sent.host = "web-2".into();
        }),
        ("to another parameter", "POSSESSION", |_, it| {
            it.asked = ask("logs");
            it.sent = ask("logs");
            it.sent.params.insert("unit".into(), "sshd".into());
        }),
        ("to another reason", "POSSESSION", |_, it| {
            it.sent.reason = "INC-9".into();
        }),
        ("to a shorter life", "POSSESSION", |_, it| {
            it.asked.ttl_seconds = 60;
        }),
        ("until later than signed", "POSSESSION", |_, it| {
            it.sent_until += 1;
        }),
        ("a consent that is void", "CONSENT", |site, it| {
            it.until = u64::try_from(site.env.now()).unwrap() - 5;
            it.sent_until = it.until;
        }),
        ("one that is good for an hour", "CONSENT", |_, it| {
            it.until += 3600;
            it.sent_until = it.until;
        }),
        ("one without end", "CONSENT", |_, it| {
            it.until = u64::MAX;
            it.sent_until = it.until;
        }),
        ("signed as a proof for Issue", "POSSESSION", |_, it| {
            it.consent_namespace = Namespace::Issue;
        }),
        ("signed as a decision", "POSSESSION", |_, it| {
            it.consent_namespace = Namespace::Approve;
        }),
        ("signed as the bastion signs", "POSSESSION", |_, it| {
            it.consent_namespace = Namespace::OnBehalf;
        }),
        ("signed by another key", "POSSESSION", |_, it| {
            it.user_key = Caller::new().key;
        }),
        (
            "with another token of the user",
            "POSSESSION",
            |site, it| {
                let claims = site.env.claims(&site.alice.caller, "alice", &["sre", "x"]);
                it.user.token = site.env.sign(claims);
            },
        ),
        (
            "the bastion's proof by another key",
            "POSSESSION",
            |_, it| {
                it.signer = Caller::new().key;
            },
        ),
        ("the bastion's proof for Issue", "POSSESSION", |_, it| {
            it.namespace = Namespace::Issue;
        }),
        ("a key that is not the bastion's", "KEY_BINDING", |_, it| {
            it.bastion.caller = Caller::new();
            it.subject_key = it.bastion.caller.key.public_key().clone();
            it.signer = it.bastion.caller.key.clone();
        }),
        ("a key that is not the user's", "KEY_BINDING", |_, it| {
            it.user.caller = Caller::new();
            it.user_key = it.user.caller.key.clone();
        }),
        ("tokens swapped", "KEY_BINDING", |_, it| {
            std::mem::swap(&mut it.user.token, &mut it.bastion.token);
        }),
        ("the bastion as its own user", "CONSENT", |_, it| {
            it.user = it.bastion.clone();
            it.user_token = it.user.token.clone();
        }),
        (
            "the user's own key as the subject key",
            "CONSENT",
            |site, it| {
                let claims = site.env.claims(&site.alice.caller, "edge", &["bastions"]);
                it.bastion.token = site.env.sign(claims);
                it.bastion.caller = site.alice.caller.clone();
                it.subject_key = it.bastion.caller.key.public_key().clone();
                it.signer = it.bastion.caller.key.clone();
            },
        ),
        (
            "an expired token of the user",
            "TOKEN_EXPIRED",
            |site, it| {
                let mut claims = site.env.claims(&site.alice.caller, "alice", &["sre"]);
                claims["exp"] = json!(site.env.now() - 60);
                claims["iat"] = json!(site.env.now() - 600);
                it.user.token = site.env.sign(claims);
                it.user_token = it.user.token.clone();
            },
        ),
        (
            "a token of the user that is bound to no key",
            "KEY_BINDING",
            |site, it| {
                let mut claims = site.env.claims(&site.alice.caller, "alice", &["sre"]);
                claims.as_object_mut().unwrap().remove("nonce");
                it.user.token = site.env.sign(claims);
                it.user_token = it.user.token.clone();
            },
        ),
    ];
    for (case, reason, lie) in lies {
        let mut parts = site.parts("shell");
        lie(&site, &mut parts);
        site.env.refused(case, reason, parts.send()).await;
        let size = site.env.ledger_size().await;
        let event = site.env.events(size - 1).await.remove(0);
        let bearer = claims(&parts.bastion.token)["sub"].clone();
        assert_eq!(event["who"]["subject"], bearer, "{case}: who called");
        assert!(event.get("by").is_none(), "{case}: no consent is proven");
    }
    assert!(site.issue("shell").await.is_ok(), "the truth");
    site.env.assert_verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_policy_refuses_on_behalf_is_the_users_denial_and_names_the_bastion() {
    let site = Site::start().await;
    let env = &site.env;
    let mallory = env.user("mallory", &["sre"]).over(&site.bastion.api);
    let bob = env.user("bob", &[]);
    let none = |change: fn(&mut Ask)| {
        let mut wanted = ask("shell");
        change(&mut wanted);
        Parts::new(&site.alice, &site.bastion, wanted)
    };
    let cases = [
        (
            "a role that has no on_behalf",
            "ON_BEHALF",
            site.parts("plain"),
        ),
        (
            "a bastion that the policy does not name",
            "ON_BEHALF",
            Parts::new(&site.alice, &mallory, ask("shell")),
        ),
        ("a role with approval", "ON_BEHALF", site.parts("slow")),
        ("an emergency", "ON_BEHALF", none(|it| it.emergency = true)),
        ("a request", "ON_BEHALF", none(|it| it.request = 3)),
        ("no host", "HOST", none(|it| it.host.clear())),
        (
            "an unknown role",
            "ROLE_UNKNOWN",
            none(|it| it.role = "x".into()),
        ),
        (
            "a user without the role",
            "NOT_ALLOWED",
            Parts::new(&bob, &site.bastion, ask("shell")),
        ),
        ("a role for other networks", "SOURCE", site.parts("lan")),
        ("an old sign-in", "STEP_UP_REQUIRED", site.parts("fresh")),
        ("no reason", "REASON_REQUIRED", site.parts("told")),
        (
            "an extension beyond the role",
            "EXTENSION",
            none(|it| it.extensions = vec!["agent-forwarding".into()]),
        ),
    ];
    for (case, reason, parts) in cases {
        env.refused(case, reason, parts.send()).await;
        let event = env.events(env.ledger_size().await - 1).await.remove(0);
        let user = if case.contains("without the role") {
            "bob"
        } else {
            "alice"
        };
        assert_eq!(event["who"]["subject"], user, "{case}");
        assert_ne!(event["by"]["subject"], user, "{case}");
        assert!(event["by"]["claims"].is_object(), "{case}");
    }
    let mut wanted = ask("shell");
    wanted.ttl_seconds = 60;
    wanted.extensions = Vec::new();
    let short = Parts::new(&site.alice, &site.bastion, wanted).send().await;
    let short = short.unwrap();
    assert_eq!(short.valid_before - short.valid_after, 60 + 60);
    env.assert_verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_parts_garbage_and_what_is_too_large_are_refused_in_words() {
    let site = Site::start().await;
    type Change = fn(&mut IssueForRequest);
    fn consent(message: &mut IssueForRequest) -> &mut v1::Consent {
        message.consent.as_mut().unwrap()
    }
    fn users(message: &mut IssueForRequest) -> &mut KeyProof {
        consent(message).proof.as_mut().unwrap()
    }
    let cases: [(&str, &str, Change); 12] = [
        ("no consent", "POSSESSION", |it| it.consent = None),
        ("no ask", "ASK_MALFORMED", |it| it.ask = None),
        ("no proof of the bastion", "SUBJECT_KEY", |it| {
            it.proof = None
        }),
        ("no proof of the user", "CONSENT", |it| {
            consent(it).proof = None
        }),
        ("a CA key as the user's", "CONSENT", |it| {
            users(it).public_key = "ssh-rsa AAAA".into();
        }),
        ("a token of garbage", "TOKEN_MALFORMED", |it| {
            consent(it).token = "\u{1b}[2J.x.y".into();
        }),
        ("no token", "TOKEN_MALFORMED", |it| {
            consent(it).token.clear()
        }),
        ("a token of 40 KB", "TOKEN_TOO_LARGE", |it| {
            consent(it).token = "a".repeat(40_000);
        }),
        ("a second token of garbage", "SESSION_OVER", |it| {
            consent(it).original_token = "a.b.c".into();
        }),
        ("a signature of 20 KB", "POSSESSION", |it| {
            users(it).signature = "A".repeat(20_000);
        }),
        ("a signature of garbage", "POSSESSION", |it| {
            users(it).signature = "\0".into();
        }),
        ("a secret of 5 KB", "KEY_BINDING", |it| {
            users(it).binding_secret = vec![0; 5000];
        }),
    ];
    for (case, reason, change) in cases {
        let mut message = site.parts("shell").message();
        change(&mut message);
        let sent = send(&site.bastion, message);
        site.env.refused(case, reason, sent).await;
    }
    let mut huge = site.parts("shell").message();
    consent(&mut huge).token = "a".repeat(70_000);
    let refused = send(&site.bastion, huge).await.unwrap_err();
    assert_eq!(refused.code, Code::OutOfRange, "{refused:?}");
    let tokenless = TestUser {
        token: String::new(),
        ..site.bastion.clone()
    };
    let refused = send(&tokenless, site.parts("shell").message()).await;
    assert_eq!(refused.unwrap_err().code, Code::Unauthenticated);
    assert!(site.issue("shell").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_gives_one_pass_even_at_once_and_after_a_restart() {
    let mut site = Site::start().await;
    let parts = site.parts("shell");
    let before = site.env.ledger_size().await;
    let mut sent = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let parts = parts.clone();
        sent.spawn(async move { parts.send().await });
    }
    let answers = sent.join_all().await;
    assert_eq!(answers.iter().filter(|it| it.is_ok()).count(), 1);
    for refusal in answers.into_iter().filter_map(Result::err) {
        assert_eq!(refusal.reason, "CONSENT_USED");
    }
    assert_eq!(site.env.issued(before).await.len(), 1);
    // The same consent under another proof of the bastion: it is the consent that counts once.
    let mut other = parts.clone();
    let claims = site
        .env
        .claims(&site.bastion.caller, "edge", &["bastions", "x"]);
    other.bastion.token = site.env.sign(claims);
    site.env
        .refused("renewed", "CONSENT_USED", other.send())
        .await;
    site.env.restart().await;
    let api = from(&site.env, BASTION).await;
    let mut again = parts.clone();
    again.bastion = again.bastion.over(&api);
    site.env
        .refused("restarted", "CONSENT_USED", again.send())
        .await;
    site.env.assert_verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_counts_as_no_proof_for_issue_and_no_proof_for_issue_as_a_consent() {
    let site = Site::start().await;
    let parts = site.parts("shell");
    let mut plain = site.alice.attempt(ask("shell"));
    plain.possession = signed(&site.alice.caller.key, Namespace::Consent, &parts.consent());
    site.env
        .refused(
            "a consent for Issue",
            "POSSESSION",
            site.alice.api.issue(&plain),
        )
        .await;
    // What the user signs for Issue, for the bastion's key.
    let possession = possession_message(
        &parts.server,
        &hash(&site.alice.token),
        &parts.subject_key,
        &ask_bytes(&parts.sent),
    );
    for namespace in [Namespace::Issue, Namespace::Consent] {
        let mut message = parts.message();
        let consent = message.consent.as_mut().unwrap();
        consent.proof.as_mut().unwrap().signature = signed(
            &site.alice.caller.key,
            namespace,
            possession.as_ref().unwrap(),
        );
        let sent = send(&site.bastion, message);
        site.env
            .refused("Issue's message", "POSSESSION", sent)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_on_either_identity_either_key_or_the_role_refuses_and_revokes() {
    let site = Site::start().await;
    let user_key = lock_target::Target::Key(site.alice.fingerprint());
    let key = lock_target::Target::Key(site.bastion.fingerprint());
    let role = lock_target::Target::Role("shell".to_owned());
    for (case, target) in [
        ("the user", identity("alice")),
        ("the user by mail", identity("alice@example.com")),
        ("the bastion", identity("edge")),
        ("the bastion by mail", identity("edge@example.com")),
        ("the user's key", user_key),
        ("the subject key", key),
        ("the role", role),
    ] {
        let pass = site.issue("shell").await.unwrap();
        let revoked = site.lock(target.clone()).await;
        assert!(revoked.contains(&pass.serial), "{case}: {revoked:?}");
        let refused = site.parts("shell");
        site.env.refused(case, "LOCKED", refused.send()).await;
        site.env.carol().unlock(target).await.unwrap();
    }
    let pass = site.issue("shell").await.unwrap();
    let carol = site.env.carol();
    let target = revoke_request::Target::Identity("edge".to_owned());
    assert_eq!(carol.revoke(target).await.unwrap(), [pass.serial]);
    site.env.assert_verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sshd_takes_the_pass_from_the_bastions_address_and_from_no_other() {
    let site = Site::start().await;
    let pass = site.issue("shell").await.unwrap();
    let files = site.bastion.write_pass(&pass);
    let host = Host::start(&site.env.ca_public_key().await).await;
    let login = async |address: &'static str| {
        let options = ["-b", address];
        host.login_with(&files, &options, &["echo", "in"]).await
    };
    let taken = login(BASTION).await;
    assert_eq!(
        (taken.status, &*taken.stdout),
        (Some(0), "in\n"),
        "{taken:?}"
    );
    for address in ["127.0.0.1", "127.0.0.3"] {
        let refused = login(address).await;
        assert_eq!(refused.status, Some(255), "{address}: {refused:?}");
        assert!(refused.stderr.contains("Permission denied"), "{refused:?}");
    }
    assert!(
        host.log()
            .contains("alice@example.com~via~edge@example.com/shell"),
        "the host's log names both"
    );
    // The same consent from another address of the bastion gives a pass for that one.
    let api = from(&site.env, "127.0.0.3").await;
    let mut moved = site.parts("near");
    moved.bastion = moved.bastion.over(&api);
    let pass = moved.send().await.unwrap();
    assert_eq!(pass.source_addresses, ["127.0.0.3/32"]);
}
