//! `host sync` against the real daemon, and what a real sshd makes of what it brought.

use daypass::proto::v1::{lock_target::Target, revoke_request};
use ssh_key::Certificate;

use super::{
    ca::Pass,
    host::Host,
    sshd::{Sshd, log},
    support::{api::ask, env::TestEnv, user::TestUser},
};
use crate::support::issued::Issued;

/// An environment, its administrator, and a host that was set up for it.
pub(crate) struct Site {
    pub(crate) env: TestEnv,
    pub(crate) carol: TestUser,
    pub(crate) host: Host,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let (env, host) = (TestEnv::start().await, Host::new().await);
        let (url, roots) = env.world().server();
        host.set_up_at(&url, &roots, &[]).await;
        let carol = env.carol();
        Self { env, carol, host }
    }

    async fn issue(&self, person: &TestUser) -> (u64, Pass) {
        issue(person).await
    }

    async fn revoke(&self, serial: u64) {
        let target = revoke_request::Target::Serial(serial);
        let revoked = self.carol.revoke(target).await.unwrap();
        assert_eq!(revoked, [serial]);
    }
}

/// A pass of this person, and its serial.
pub(crate) async fn issue(person: &TestUser) -> (u64, Pass) {
    let issued = person.issue(ask("shell")).await.unwrap();
    (issued.serial, pass(person, &issued))
}

fn pass(person: &TestUser, issued: &Issued) -> Pass {
    Pass {
        key: person.key_text(),
        certificate: Certificate::from_openssh(&issued.certificate).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sync_after_a_lock_sshd_refuses_the_locked_user_and_takes_the_others() {
    let site = Site::start().await;
    let (alice, bob) = (
        site.env.user("alice", &["sre"]),
        site.env.user("bob", &["sre"]),
    );
    let ((_, alices), (serial, bobs)) = (site.issue(&alice).await, site.issue(&bob).await);
    site.host.json(&["sync"]).await;
    let sshd = Sshd::start(&site.host);
    assert!(
        sshd.takes(&bobs) && sshd.takes(&alices),
        "{}",
        log(&site.host)
    );

    let locked = Target::Identity("bob".into());
    let answer = site.carol.lock(locked).await.unwrap();
    assert_eq!(answer.serials, [serial]);
    assert!(sshd.takes(&bobs), "a host hears of it at its next sync");
    let report = site.host.json(&["sync"]).await;
    assert_eq!(
        (&report["changed"], &report["revoked"]),
        (&true.into(), &1.into())
    );
    assert!(!sshd.takes(&bobs), "{}", log(&site.host));
    assert!(sshd.takes(&alices), "{}", log(&site.host));
    let said = log(&site.host);
    assert!(said.contains("revoked"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_list_is_not_sent_again_and_a_newer_one_is() {
    let site = Site::start().await;
    let alice = site.env.user("alice", &["sre"]);
    let ((one, _), (other, _)) = (site.issue(&alice).await, site.issue(&alice).await);
    site.revoke(one).await;
    let first = site.host.json(&["sync"]).await;
    assert_eq!(first["synced_before"], serde_json::Value::Null);
    let list = site.host.read("daypass/revoked.krl");
    let again = site.host.json(&["sync"]).await;
    assert_eq!(again["changed"], false);
    assert!(again["synced_before"].as_u64().is_some());
    for field in ["krl_version", "krl_made_at", "revoked"] {
        assert_eq!(again[field], first[field], "{field}");
    }
    assert_eq!(site.host.read("daypass/revoked.krl"), list);

    site.revoke(other).await;
    let newer = site.host.json(&["sync"]).await;
    assert_eq!(
        (&newer["changed"], &newer["revoked"]),
        (&true.into(), &2.into())
    );
    assert!(newer["krl_version"].as_u64() > first["krl_version"].as_u64());

    // The next sync repairs a damaged file.
    let good = site.host.read("daypass/revoked.krl");
    for damage in [&b""[..], &list[..], &good[..good.len() - 1]] {
        std::fs::write(site.host.path("daypass/revoked.krl"), damage).unwrap();
        assert_eq!(site.host.json(&["sync"]).await["changed"], true);
        assert_eq!(site.host.read("daypass/revoked.krl"), good);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemons_keys_carry_a_version_that_grows_with_each_start() {
    let mut site = Site::start().await;
    let version = |host: &Host| {
        let text = String::from_utf8(host.read("daypass/ca.pub")).unwrap();
        let line = text.lines().next().unwrap().to_owned();
        let number = line.strip_prefix("# daypass CA keys, version ").unwrap();
        number.parse::<u64>().unwrap()
    };
    site.host.json(&["sync"]).await;
    let before = version(&site.host);
    site.env.restart().await;
    site.host.json(&["sync"]).await;
    assert!(version(&site.host) > before);
    let sshd = Sshd::start(&site.host);
    let alice = site.env.user("alice", &["sre"]);
    let (_, pass) = site.issue(&alice).await;
    assert!(
        sshd.takes(&pass),
        "sshd reads past the version: {}",
        log(&site.host)
    );
}
