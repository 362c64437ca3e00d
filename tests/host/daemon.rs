//! `host sync` against the real daemon, and what a real sshd makes of what it brought.

use daypass::proto::v1::{IssueResponse, lock_target::Target, revoke_request};
use ssh_key::{Certificate, LineEnding};

use super::{
    ca::Pass,
    host::Host,
    sshd::{Sshd, log},
    support::{api::ask, env::TestEnv, user::TestUser},
};

/// A daemon, who may lock in it, and a host that was set up for it.
pub(crate) struct Town {
    pub(crate) scene: TestEnv,
    pub(crate) carol: TestUser,
    pub(crate) host: Host,
}

impl Town {
    pub(crate) async fn start() -> Self {
        let (scene, host) = (TestEnv::start().await, Host::new().await);
        let (url, roots) = scene.world.server();
        host.set_up_at(&url, &roots, &[]).await;
        let carol = TestUser::new(&scene, "carol", &["security"]);
        Self { scene, carol, host }
    }

    async fn issue(&self, person: &TestUser) -> (u64, Pass) {
        let issued = person.issue(&self.scene, ask("shell")).await.unwrap();
        (issued.serial, pass(person, &issued))
    }

    async fn revoke(&self, serial: u64) {
        let target = revoke_request::Target::Serial(serial);
        let revoked = self.carol.revoke(&self.scene, target).await.unwrap();
        assert_eq!(revoked, [serial]);
    }
}

fn pass(person: &TestUser, issued: &IssueResponse) -> Pass {
    Pass {
        key: person
            .caller
            .key
            .to_openssh(LineEnding::LF)
            .unwrap()
            .to_string(),
        certificate: Certificate::from_openssh(&issued.certificate).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sync_after_a_lock_sshd_refuses_the_locked_one_and_takes_everybody_else() {
    let town = Town::start().await;
    let (alice, bob) = (
        TestUser::new(&town.scene, "alice", &["sre"]),
        TestUser::new(&town.scene, "bob", &["sre"]),
    );
    let ((_, alices), (serial, bobs)) = (town.issue(&alice).await, town.issue(&bob).await);
    town.host.json(&["sync"]).await;
    let sshd = Sshd::start(&town.host);
    assert!(
        sshd.takes(&bobs) && sshd.takes(&alices),
        "{}",
        log(&town.host)
    );

    let locked = Target::Identity("bob".into());
    let answer = town.carol.lock(&town.scene, locked).await.unwrap();
    assert_eq!(answer.serials, [serial]);
    assert!(sshd.takes(&bobs), "a host hears of it at its next sync");
    let report = town.host.json(&["sync"]).await;
    assert_eq!(
        (&report["changed"], &report["revoked"]),
        (&true.into(), &1.into())
    );
    assert!(!sshd.takes(&bobs), "{}", log(&town.host));
    assert!(sshd.takes(&alices), "{}", log(&town.host));
    let said = log(&town.host);
    assert!(said.contains("revoked"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_list_is_not_sent_again_and_a_newer_one_is() {
    let town = Town::start().await;
    let alice = TestUser::new(&town.scene, "alice", &["sre"]);
    let ((one, _), (other, _)) = (town.issue(&alice).await, town.issue(&alice).await);
    town.revoke(one).await;
    let first = town.host.json(&["sync"]).await;
    assert_eq!(first["synced_before"], serde_json::Value::Null);
    let list = town.host.read("daypass/revoked.krl");
    let again = town.host.json(&["sync"]).await;
    assert_eq!(again["changed"], false);
    assert!(again["synced_before"].as_u64().is_some());
    for field in ["krl_version", "krl_made_at", "revoked"] {
        assert_eq!(again[field], first[field], "{field}");
    }
    assert_eq!(town.host.read("daypass/revoked.krl"), list);

    town.revoke(other).await;
    let newer = town.host.json(&["sync"]).await;
    assert_eq!(
        (&newer["changed"], &newer["revoked"]),
        (&true.into(), &2.into())
    );
    assert!(newer["krl_version"].as_u64() > first["krl_version"].as_u64());

    // Whatever becomes of the file, the next sync puts it right.
    let good = town.host.read("daypass/revoked.krl");
    for damage in [&b""[..], &list[..], &good[..good.len() - 1]] {
        std::fs::write(town.host.path("daypass/revoked.krl"), damage).unwrap();
        assert_eq!(town.host.json(&["sync"]).await["changed"], true);
        assert_eq!(town.host.read("daypass/revoked.krl"), good);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemons_keys_carry_a_version_that_grows_with_each_start() {
    let mut town = Town::start().await;
    let version = |host: &Host| {
        let text = String::from_utf8(host.read("daypass/ca.pub")).unwrap();
        let line = text.lines().next().unwrap().to_owned();
        let number = line.strip_prefix("# daypass CA keys, version ").unwrap();
        number.parse::<u64>().unwrap()
    };
    town.host.json(&["sync"]).await;
    let before = version(&town.host);
    town.scene.world.restart_daemon().await.unwrap();
    town.host.json(&["sync"]).await;
    assert!(version(&town.host) > before);
    let sshd = Sshd::start(&town.host);
    let (url, roots) = town.scene.world.server();
    town.scene.door = super::support::api::Api::open(&url, roots.as_bytes()).await;
    let alice = TestUser::new(&town.scene, "alice", &["sre"]);
    let (_, pass) = town.issue(&alice).await;
    assert!(
        sshd.takes(&pass),
        "sshd reads past the version: {}",
        log(&town.host)
    );
}
