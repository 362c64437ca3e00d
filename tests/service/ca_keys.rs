//! A CA key in an ssh-agent and in a PKCS#11 token (SoftHSM): the same story on each, up to a real
//! sshd; and what is said while the key is away.

use std::{fs, time::Duration};

use daypass::proto::v1;

use crate::support::{
    agent::Agent,
    api::{Caller, ask, with_token},
    command::{DAYPASS, must, run},
    env::TestEnv,
    files::{folder, write_secret},
    https,
    server::{Process, ServerFiles},
    softhsm::{PIN, SoftHsm},
    ssh::{self, Host},
    user::TestUser,
};

const POLICY: &str = r#"
[limits]
ttl = "1h"
principals = ["USER"]

[[role]]
name = "shell"
about = "Anything"
allow = '"sre" in claims.groups'
principals = ["USER"]
ttl = "1h"

[audit]
allow = 'claims.sub == "carol"'
"#;

/// A site whose CA key is not decided yet.
pub(crate) async fn files() -> ServerFiles {
    let policy = POLICY.replace("USER", &ssh::login());
    TestEnv::new().policy(policy).prepare().await
}

pub(crate) fn user(files: &ServerFiles, api: &crate::support::api::Api, name: &str) -> TestUser {
    let caller = Caller::new();
    let token = files.token(&caller, name, &["sre"]);
    TestUser {
        name: name.to_owned(),
        caller,
        token,
        api: api.clone(),
    }
}

/// Gets a pass, logs in with it at a host that trusts this key, and reads what hosts fetch.
pub(crate) async fn story(
    files: &ServerFiles,
    process: &mut Process,
    public: &str,
    algorithm: &str,
) {
    let api = files.expect_api(process).await;
    let alice = user(files, &api, "alice");
    let mut issued = alice.issue(ask("shell")).await;
    for _ in 0..300 {
        // The key may not have answered yet.
        if issued.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        issued = alice.issue(ask("shell")).await;
    }
    let issued = issued.unwrap_or_else(|refusal| panic!("{refusal:?}\n{}", files.log()));
    let host = Host::start(public).await;
    let login = host
        .login(&alice.write_pass(&issued), &["echo", "in"])
        .await;
    assert_eq!(
        login.stdout,
        "in\n",
        "{algorithm}: {login:?}\n{}",
        host.log()
    );

    let folder = folder();
    let certificate = folder.path().join("cert.pub");
    fs::write(&certificate, &issued.certificate).unwrap();
    let words = ["-L", "-f", certificate.to_str().unwrap()];
    let shown = must("ssh-keygen", &words, &[]);
    assert!(shown.contains(&format!("(using {algorithm})")), "{shown}");

    let (url, ca) = (files.url(), files.tls_ca());
    let client = https::client(ca);
    let get = async |path: &str| {
        let answer = client.get(format!("{url}{path}")).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.text().await.unwrap_or_default())
    };
    let (status, keys) = get("/ca.pub").await;
    let blob = public.split_whitespace().nth(1).unwrap();
    assert!(status == 200 && keys.contains(blob), "{status} {keys}");
    assert_eq!(get("/krl").await.0, 200);
    assert_eq!(get("/readyz").await.0, 200);
}

/// The lines of the agent's key; its private half is in the file `made` too, which nothing reads.
const AGENT: &str = "file = \"made.pub\"\nagent = \"agent\"";

pub(crate) const KINDS: [(&[&str], &str); 3] = [
    (&["-t", "ed25519"], "ssh-ed25519"),
    (&["-t", "ecdsa", "-b", "256"], "ecdsa-sha2-nistp256"),
    (&["-t", "rsa", "-b", "3072"], "rsa-sha2-512"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_key_in_an_ssh_agent_signs_what_sshd_takes() {
    for (words, algorithm) in KINDS {
        let files = files().await;
        let agent = Agent::start(files.folder()).await;
        agent.add_new(&files.path("made"), words);
        let public = fs::read_to_string(files.path("made.pub")).unwrap();
        fs::remove_file(files.path("made")).unwrap();
        files.replace_ca_key(AGENT);
        let mut process = files.spawn(&[]);
        story(&files, &mut process, &public, algorithm).await;
        process.stop().await;
    }
}

/// An agent that has ended leaves no trace of passes that were never signed: what is known not to
/// work is refused before it is recorded.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_agent_is_away_nothing_is_issued_and_each_side_says_so() {
    let files = files().await;
    let agent = Agent::start(files.folder()).await;
    agent.add_new(&files.path("made"), &["-t", "ed25519"]);
    files.replace_ca_key(AGENT);
    drop(agent);
    fs::remove_file(files.path("agent")).ok();

    // It starts without the agent, and says that it is not ready.
    let mut process = files.spawn(&[]);
    let client = https::client(files.tls_ca());
    let ready = async || {
        let answer = client.get(format!("{}/readyz", files.url())).send();
        let answer = answer.await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let api = files.expect_api(&mut process).await;
    let (status, notes) = ready().await;
    assert!(
        status == 503 && notes.contains("CA key SHA256:"),
        "{status} {notes}"
    );
    let alice = user(&files, &api, "alice");
    let refused = alice.issue(ask("shell")).await.unwrap_err();
    assert_eq!(refused.reason, "CA_UNAVAILABLE", "{refused:?}");
    // Each command begins with this, and locks must not wait for the key.
    let asked = with_token(v1::GetCheckpointRequest {}, &alice.token);
    let mut ledger = v1::ledger_client::LedgerClient::new(api.channel());
    ledger.get_checkpoint(asked).await.unwrap();
    let check = || {
        run(
            DAYPASS,
            &[
                "serve",
                "--check",
                "--offline",
                "--config",
                files.configuration().to_str().unwrap(),
            ],
            &[],
        )
    };
    let (is_good, said) = check();
    assert!(!is_good && said.contains("ssh-agent"), "{said}");

    // The agent comes with another key first, then with the right one.
    let agent = Agent::start(files.folder()).await;
    let (is_good, said) = check();
    assert!(!is_good && said.contains("does not have it"), "{said}");
    agent.add(&files.path("made"));
    until(async || ready().await.0 == 200).await;
    let (is_good, said) = check();
    assert!(is_good, "{said}");
    alice.issue(ask("shell")).await.unwrap();

    // It goes away in the middle: one pass is recorded and then said to be unsigned, the others
    // are refused before they are recorded.
    drop(agent);
    for _ in 0..3 {
        let refused = alice.issue(ask("shell")).await.unwrap_err();
        assert_eq!(refused.reason, "CA_UNAVAILABLE", "{refused:?}");
    }
    let carol = user(&files, &api, "carol");
    let events = api.events(&carol.token, 0).await;
    let count = |kind: &str| events.iter().filter(|it| it["type"] == kind).count();
    assert_eq!(
        (count("issued"), count("signing_failed")),
        (2, 1),
        "{events:#?}"
    );
    assert_eq!(ready().await.0, 503);
    process.stop().await;
}

pub(crate) async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not within a minute");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_key_in_a_pkcs11_token_signs_what_sshd_takes() {
    let kinds: [(&[&str], &str); 3] = [
        (&["-algorithm", "ED25519"], "ssh-ed25519"),
        (
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            "ecdsa-sha2-nistp256",
        ),
        (
            &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
            "rsa-sha2-512",
        ),
    ];
    for (words, algorithm) in kinds {
        let files = files().await;
        let token = SoftHsm::new(files.folder());
        let public = token.import(files.folder(), words);
        write_secret(&files.path("pin"), PIN);
        files.replace_ca_key(&token.lines("daypass-ca"));
        let mut process = files.spawn(&["env", &token.variable()]);
        story(&files, &mut process, &public, algorithm).await;
        process.stop().await;
        assert!(!files.log().contains(PIN), "the PIN is in the log");
    }
}

/// A key that was made in the token, and wants the PIN for each signature.
fn make_guarded(files: &ServerFiles, token: &SoftHsm) {
    let module = token.module.to_str().unwrap();
    let variables = [("SOFTHSM2_CONF", token.configuration.as_path())];
    let words = [
        "--module",
        module,
        "--login",
        "--pin",
        PIN,
        "--token-label",
        "daypass-ca",
        "--keypairgen",
        "--key-type",
        "rsa:3072",
        "--label",
        "ca",
        "--id",
        "A1",
        "--always-auth",
    ];
    must("pkcs11-tool", &words, &variables);
    let shown = must("ssh-keygen", &["-D", module], &variables);
    let public = shown.lines().next().unwrap();
    fs::write(files.path("ca_key.pub"), format!("{public}\n")).unwrap();
}

/// Such a key signed nothing: the PIN was given once a session.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_wants_the_pin_for_each_signature_gets_it() {
    let files = files().await;
    let token = SoftHsm::new(files.folder());
    make_guarded(&files, &token);
    let public = fs::read_to_string(files.path("ca_key.pub")).unwrap();
    write_secret(&files.path("pin"), PIN);
    files.replace_ca_key(&token.lines("daypass-ca"));
    let mut process = files.spawn(&["env", &token.variable()]);
    story(&files, &mut process, public.trim(), "rsa-sha2-512").await;
    process.stop().await;
    assert!(!files.log().contains(PIN), "the PIN is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_pin_is_tried_once_and_other_faults_of_a_token_are_named() {
    let files = files().await;
    let token = SoftHsm::new(files.folder());
    let words = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    token.import(files.folder(), &words);
    let another = must("openssl", &["rand", "-hex", "8"], &[]);
    let cases = [
        (PIN, "another-token", "no token", ""),
        (
            PIN,
            "daypass-ca",
            "no key pair with this public half",
            "other key",
        ),
        (another.trim(), "daypass-ca", "PinIncorrect", ""),
    ];
    let right = fs::read_to_string(files.path("ca_key.pub")).unwrap();
    files.replace_ca_key("CA-KEY");
    let template = fs::read_to_string(files.configuration()).unwrap();
    for (pin, label, says, other) in cases {
        write_secret(&files.path("pin"), pin);
        let lines = template.replace("CA-KEY", &token.lines(label));
        fs::write(files.configuration(), lines).unwrap();
        fs::write(files.path("ca_key.pub"), &right).unwrap();
        if !other.is_empty() {
            let key = files.path("other");
            let words = ["-q", "-t", "ecdsa", "-N", "", "-f", key.to_str().unwrap()];
            must("ssh-keygen", &words, &[]);
            fs::copy(key.with_extension("pub"), files.path("ca_key.pub")).unwrap();
        }
        let _ = fs::remove_file(files.path("daemon.log"));
        let mut process = files.spawn(&["env", &token.variable()]);
        let api = files.expect_api(&mut process).await;
        until(async || files.log().contains(says)).await;
        let alice = user(&files, &api, "alice");
        let refused = alice.issue(ask("shell")).await.unwrap_err();
        assert_eq!(refused.reason, "CA_UNAVAILABLE", "{refused:?}");
        if says == "PinIncorrect" {
            until(async || files.log().contains("not tried again")).await;
            // Searches go on, the PIN does not.
            tokio::time::sleep(Duration::from_millis(2500)).await;
            write_secret(&files.path("pin"), PIN);
        }
        process.stop().await;
        assert!(!files.log().contains(pin), "the PIN is in the log");
    }
}
