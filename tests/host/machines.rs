//! `host setup --join-token-file` against the real daemon: a machine joins with an ID token of its
//! own, from an issuer for machines.

use std::fs;

use daypass::{dev::issuer::Issuer, identity::issuer::Algorithm};
use serde_json::{Value, json};

use super::{
    host::Host,
    support::{env::TestEnv, hosts, now, policy},
};

/// Machines of the pool `web` join by the name of their instance.
const MACHINES: &str = r#"
[hosts]
web = ["web-*"]
[[host]]
allow = 'claims.pool == "web"'
names = ["{claims.instance}.example.com", "elsewhere.test"]
group = "web"
"#;

/// The name that the policy gives to the machine of these tests.
const NAME: &str = "i-17.example.com";

/// A server that knows hosts, with an issuer for machines beside that of people, and a host.
struct Site {
    env: TestEnv,
    machines: Issuer,
    host: Host,
    url: String,
    roots: String,
}

impl Site {
    async fn start() -> Self {
        let machines = Issuer::start().await.unwrap();
        let issuer = format!(
            "[[issuer]]\nname = \"cloud\"\nurl = \"{}\"\nclient_id = \"hosts\"\nalgorithms = [\"ES256\"]\n\
             binding = \"audience\"\ninteractive = false\n",
            machines.url()
        );
        let options = TestEnv::new().policy(format!("{}{MACHINES}", policy::SHELL));
        let sections = format!("{issuer}{}", hosts::SECTION);
        let options = hosts::knowing(options).configuration(sections);
        let (env, host) = (options.start_process().await, Host::new().await);
        let (url, roots) = (env.server.url(), host.keep_roots(&env.server.tls_ca()));
        Self {
            env,
            machines,
            host,
            url,
            roots,
        }
    }

    fn arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        super::host::setup_arguments(&self.url, &self.roots, more)
    }

    async fn audience(&self, host: &Host) -> String {
        let printed = host.json(&self.arguments(&["--print-audience"])).await;
        assert_eq!(printed["issuer"], "cloud");
        printed["audience"].as_str().unwrap().to_owned()
    }

    /// A file with a token for this audience, whose claims were changed.
    fn token(&self, audience: &str, change: fn(&mut Value)) -> String {
        let mut claims = json!({
            "iss": self.machines.url(), "aud": audience, "sub": "instance/17",
            "iat": now() - 10, "exp": now() + 300, "pool": "web", "instance": "i-17",
        });
        change(&mut claims);
        let token = self.machines.sign(Algorithm::ES256, &claims);
        let file = self.host.root.with_file_name("token");
        fs::write(&file, token + "\n").unwrap();
        file.to_str().unwrap().to_owned()
    }

    async fn events(&self, kind: &str) -> usize {
        let events = self.env.events(0).await;
        events.iter().filter(|it| it["type"] == kind).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_joins_with_its_token_and_needs_none_to_renew() {
    let site = Site::start().await;
    let host = &site.host;
    let audience = site.audience(host).await;
    assert!(audience.starts_with("hosts#"), "{audience}");
    assert_eq!(site.audience(host).await, audience, "it is the same again");
    assert!(!host.path("daypass").exists(), "nothing is written");
    let file = site.token(&audience, |_| ());
    let join = site.arguments(&[
        "--join-token-file",
        &file,
        "--join-name",
        "I-17.example.com",
    ]);
    let report = host.json(&join).await;
    assert_eq!(report["host"]["name"], NAME);
    assert_eq!(report["groups"], json!(["web"]));
    let token = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    for (path, _, content) in host.everything() {
        let content = String::from_utf8_lossy(&content).into_owned();
        assert!(!content.contains(token.trim()), "{}", path.display());
    }
    // Without the token, by the host keys alone.
    let certificate = host.path("daypass/host-ed25519-cert.pub");
    let first = fs::read(&certificate).unwrap();
    fs::remove_file(&certificate).unwrap();
    let synced = host.json(&["sync"]).await;
    assert_eq!(synced["host"]["renewed"], true, "{synced}");
    assert_ne!(fs::read(&certificate).unwrap(), first);
    assert_eq!(site.events("host_joined").await, 1);
    site.env.assert_verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_another_key_audience_time_or_name_joins_nothing_and_says_what_helps() {
    let site = Site::start().await;
    let (host, other) = (&site.host, Host::new().await);
    let (own, foreign) = (site.audience(host).await, site.audience(&other).await);
    assert_ne!(own, foreign);
    let same = |_: &mut Value| ();
    let expired = |it: &mut Value| it["exp"] = json!(now() - 60);
    let pool = |it: &mut Value| it["pool"] = json!("db");
    let audience = "--print-audience";
    type Case<'a> = (&'a str, String, fn(&mut Value), &'a str, &'a str, &'a str);
    let cases: [Case; 7] = [
        (
            "another audience",
            format!("x{own}"),
            same,
            NAME,
            "TOKEN_AUDIENCE",
            audience,
        ),
        (
            "no key",
            "hosts".to_owned(),
            same,
            NAME,
            "KEY_BINDING",
            audience,
        ),
        (
            "another host's key",
            foreign,
            same,
            NAME,
            "KEY_BINDING",
            audience,
        ),
        (
            "expired",
            own.clone(),
            expired,
            NAME,
            "TOKEN_EXPIRED",
            audience,
        ),
        (
            "another pool",
            own.clone(),
            pool,
            NAME,
            "NOT_ALLOWED",
            "[[host]]",
        ),
        (
            "another's name",
            own.clone(),
            same,
            "i-18.example.com",
            "NOT_ALLOWED",
            "--join-name",
        ),
        (
            "a name that no user trusts",
            own.clone(),
            same,
            "elsewhere.test",
            "DECLINED",
            "[hosts]",
        ),
    ];
    for (case, audience, change, name, reason, words) in cases {
        let file = site.token(&audience, change);
        let join = site.arguments(&["--join-token-file", &file, "--join-name", name]);
        let (code, said, message) = host.fails(&join).await;
        assert_eq!((code, said.as_str()), (1, reason), "{case}: {message}");
        assert!(message.contains(words), "{case}: {message}");
        assert!(!host.path("daypass").exists(), "{case}");
    }
    let file = site.token(&own, same);
    for (case, content, name, words) in [
        ("empty", "\n", NAME, "empty"),
        ("two lines", "a.b.c\nd.e.f", NAME, "one line"),
        ("no name", "a.b.c", "i_17!", "--join-name"),
    ] {
        fs::write(&file, content).unwrap();
        let join = site.arguments(&["--join-token-file", &file, "--join-name", name]);
        let (code, _, message) = host.fails(&join).await;
        assert_eq!(code, 2, "{case}: {message}");
        assert!(message.contains(words), "{case}: {message}");
    }
    assert_eq!(site.events("host_joined").await, 0);
    // Each name that was denied is in the ledger.
    assert_eq!(site.events("denied").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_machine_again_changes_nothing_until_it_was_removed_and_another_one_is_refused() {
    let site = Site::start().await;
    let host = &site.host;
    let audience = site.audience(host).await;
    let file = site.token(&audience, |_| ());
    let join = site.arguments(&["--join-token-file", &file, "--join-name", NAME]);
    host.json(&join).await;
    let before = host.everything();
    site.token(&audience, |it| it["jti"] = json!("another"));
    let again = host.json(&join).await;
    assert_eq!(again["changed"], false);
    assert_eq!(host.everything(), before);
    assert_eq!(site.events("host_certified").await, 1);
    // Another machine that the policy gives the same name.
    let other = Host::new().await;
    site.token(&site.audience(&other).await, |_| ());
    let (_, reason, message) = other.fails(&join).await;
    assert_eq!(reason, "HOST_KEY_CHANGED", "{message}");
    // Forgotten by an administrator: it joins again, with the token on standard input.
    site.env.carol().remove_host(NAME).await.unwrap();
    host.daypass(&["sync"]).await;
    site.token(&audience, |_| ());
    let piped = ["/bin/sh", "-c", &format!("exec \"$@\" <{file}"), "sh"].map(str::to_owned);
    let again = site.arguments(&["--join-token-file", "-", "--join-name", NAME]);
    let output = host.daypass_in(&piped, &again).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(site.events("host_joined").await, 2);
    site.env.assert_verifies().await;
}
