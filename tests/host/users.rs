//! Known hosts with the real daemon, a host that joined, its real sshd, and a newcomer's laptop
//! with the real ssh.

use std::fs;

use serde_json::Value;

use super::{
    host::{Host, setup_arguments},
    sshd::{Sshd, log},
    support::{
        api::ask, command::Done, env::TestEnv, hosts::SECTION, laptop::Laptop, user::TestUser,
    },
};

const POLICY: &str = r#"
[limits]
principals = ["deploy", "root"]

[hosts]
web = ["web-*"]

[admin]
allow = '"security" in claims.groups'

[audit]
allow = '"security" in claims.groups'

[[role]]
name = "shell"
allow = '"sre" in claims.groups'
hosts = ["web"]
principals = ["deploy"]
pty = true
ttl = "1h"
"#;

/// A server that knows hosts, and its administrator.
pub(crate) struct Site {
    pub(crate) env: TestEnv,
    carol: TestUser,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let options = TestEnv::new().policy(POLICY).with_sshd();
        let key = super::support::files::new_key();
        super::support::files::write_key(&options.folder().join("host_ca_key"), &key);
        let section = SECTION.replace("\"host_ca_key\"", "\"../host_ca_key\"");
        let env = options.configuration(section).start().await;
        let carol = env.carol();
        Self { env, carol }
    }

    /// A host that joins by this name.
    pub(crate) async fn host(&self, name: &str) -> Host {
        let code = self.carol.add_host(name, false).await.unwrap();
        let host = Host::new().await;
        let (url, roots) = self.env.world().server();
        host.set_up_at(&url, &roots, &["--join", &code]).await;
        // As its timer does: users are told that it has a certificate once it has reported so.
        host.json(&["sync"]).await;
        host
    }

    /// A laptop of a user who has signed in, and whose own files know no host.
    pub(crate) async fn laptop(&self, sshd: &Sshd, config: &str) -> Laptop {
        let laptop = Laptop::new(self.env.world());
        laptop.put(".ssh/known_hosts", "");
        laptop.put(
            ".ssh/config",
            &format!("{config}Host web-*\n    Port {}\n", sshd.port()),
        );
        laptop.says("daypass login --as alice").await;
        laptop
    }
}

async fn fails(laptop: &Laptop, line: &str) -> String {
    let Done { code, stderr, .. } = laptop.sh(line).await;
    assert_eq!(code, 255, "{line}: {stderr}");
    stderr
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_is_asked_nothing_and_a_replaced_host_key_is_refused_with_what_to_do() {
    let site = Site::start().await;
    let host = site.host("web-1").await;
    let sshd = Sshd::start(&host);
    let laptop = site.laptop(&sshd, "").await;
    let done = laptop.sh("daypass ssh web-1 -- id -un").await;
    assert_eq!(done.stdout, "deploy\n", "{done:?} {}", log(&host));
    assert!(!done.stderr.contains("authenticity"), "{done:?}");
    laptop.says("daypass ssh-config install").await;
    assert_eq!(laptop.says("ssh web-1 id -un").await, "deploy");
    assert_eq!(laptop.says("ssh WEB-1 id -un").await, "deploy");
    assert_eq!(
        laptop.says("cat .ssh/known_hosts").await,
        "",
        "no line of ours"
    );

    // Another machine answers under this name, or the host was installed anew.
    drop(sshd);
    host.replace_key();
    let sshd = Sshd::start(&host);
    laptop
        .says(&format!(
            "sed -i 's/Port .*/Port {}/' .ssh/config",
            sshd.port()
        ))
        .await;
    let said = fails(&laptop, "ssh web-1 id").await;
    assert!(
        said.contains("you have requested strict checking"),
        "{said}"
    );
    for line in ["daypass ssh web-1 -- id", "daypass ssh --fresh web-1 -- id"] {
        let said = fails(&laptop, line).await;
        for words in [
            "web-1 did not show the host certificate",
            "daypass admin hosts add web-1 --rekey",
            "daypass host setup --join CODE",
        ] {
            assert!(said.contains(words), "{line}: {said}");
        }
    }
    assert_eq!(laptop.says("cat .ssh/known_hosts").await, "");

    // The words are true: it joins again, and users are asked nothing.
    let report = host.finds(&["sync"]).await;
    assert!(report["notes"].to_string().contains("--rekey"), "{report}");
    let code = site.carol.add_host("web-1", true).await.unwrap();
    host.json(&["setup", "--join", &code]).await;
    assert_eq!(laptop.says("ssh web-1 id -un").await, "deploy");
    site.env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_an_old_line_reads_what_to_do_and_needs_no_change_after_the_host_joined_again()
{
    let site = Site::start().await;
    let host = site.host("web-1").await;
    let old = String::from_utf8(host.read("host_key.pub")).unwrap();
    host.replace_key();
    let sshd = Sshd::start(&host);
    let laptop = site.laptop(&sshd, "").await;
    let line = format!("[web-1]:{} {old}", sshd.port());
    laptop.put(".ssh/known_hosts", &line);
    laptop
        .says("ssh-keygen -q -H -f .ssh/known_hosts 2>/dev/null")
        .await;
    let hashed = laptop.says("cat .ssh/known_hosts").await;
    let said = fails(&laptop, "daypass ssh web-1 -- id").await;
    assert!(
        said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED"),
        "{said}"
    );
    assert!(said.contains("Do not remove the line"), "{said}");
    let (url, _) = site.env.world().server();
    let roots = host.path("daypass/tls-ca.pem").display().to_string();
    let code = site.carol.add_host("web-1", true).await.unwrap();
    host.json(&setup_arguments(&url, &roots, &["--join", &code]))
        .await;
    assert_eq!(laptop.says("daypass ssh web-1 -- id -un").await, "deploy");
    assert_eq!(laptop.says("cat .ssh/known_hosts").await, hashed);
    site.env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_has_not_joined_behaves_as_before() {
    let site = Site::start().await;
    let joined = site.host("web-1").await;
    let (url, roots) = site.env.world().server();
    let host = Host::new().await;
    host.set_up_at(&url, &roots, &["--group", "web"]).await;
    let sshd = Sshd::start(&host);
    let laptop = site
        .laptop(
            &sshd,
            "Host web-2\n    HostName localhost\n    HostKeyAlias web-2\n",
        )
        .await;
    laptop.says("daypass ssh-config install").await;
    let said = fails(&laptop, "ssh web-2 id").await;
    assert!(said.contains("Host key verification failed"), "{said}");
    assert!(
        !said.contains("strict checking"),
        "ssh would ask at a terminal: {said}"
    );
    let said = fails(&laptop, "daypass ssh web-2 -- id").await;
    assert!(said.contains("has no host certificate"), "{said}");
    let accepted = "ssh -o StrictHostKeyChecking=accept-new web-2 id -un";
    assert_eq!(laptop.says(accepted).await, "deploy");
    // The line is in the user's own file, and counts from now on.
    laptop.says("ssh-keygen -F web-2 -f .ssh/known_hosts").await;
    assert_eq!(laptop.says("ssh web-2 id -un").await, "deploy");
    assert_eq!(laptop.says("daypass ssh web-2 -- id -un").await, "deploy");
    drop(joined);
    site.env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_setting_of_the_users_is_weakened() {
    let site = Site::start().await;
    let host = site.host("web-1").await;
    let sshd = Sshd::start(&host);
    let laptop = site.laptop(&sshd, "").await;
    laptop.says("daypass ssh-config install").await;
    laptop.says("daypass ssh web-1 -- true").await;
    let own = laptop.says("cat .ssh/config").await;
    let (include, rest) = own.split_once('\n').unwrap();
    // Lines of the user's below ours, and whether the host certificate still counts.
    for (lines, counts) in [
        ("StrictHostKeyChecking yes", true),
        ("StrictHostKeyChecking accept-new", true),
        ("HashKnownHosts yes", true),
        ("UserKnownHostsFile /dev/null", true),
        ("UserKnownHostsFile none", true),
        ("UpdateHostKeys yes", true),
        ("CheckHostIP yes", true),
        (
            "CanonicalizeHostname yes\nCanonicalDomains localdomain",
            true,
        ),
        ("HostName 127.0.0.1\nHostKeyAlias web-1", true),
        ("HostKeyAlias another", false),
        ("HostName 127.0.0.1", false),
        ("HostKeyAlgorithms ssh-ed25519", false),
    ] {
        let lines = lines.replace('\n', "\n    ");
        laptop.put(
            ".ssh/config",
            &format!("{include}\nHost web-*\n    {lines}\n{rest}\n"),
        );
        laptop.put(".ssh/known_hosts", "");
        for (line, name) in [
            ("ssh web-1 id -un", "ssh"),
            ("daypass ssh web-1 -- id -un", "daypass"),
        ] {
            let done = laptop.sh(line).await;
            assert_eq!(done.code == 0, counts, "{name}, {lines}: {done:?}");
        }
        assert_eq!(laptop.says("cat .ssh/known_hosts").await, "", "{lines}");
    }
    // A company's own file of known hosts: it stays the one that plain ssh reads. daypass ssh reads
    // ours beside it.
    laptop.put("company", "");
    let lines = format!(
        "GlobalKnownHostsFile {}/company",
        super::support::laptop::HOME
    );
    laptop.put(".ssh/config", &format!("{include}\n{lines}\n{rest}\n"));
    let settings = laptop.says("ssh -G web-1").await;
    assert!(
        settings.contains("globalknownhostsfile /mnt/ada/company\n"),
        "{settings}"
    );
    assert_eq!(laptop.says("daypass ssh web-1 -- id -un").await, "deploy");
    // A user who accepts any key has said so.
    laptop.put(
        ".ssh/config",
        &format!("{include}\nStrictHostKeyChecking no\n{rest}\n"),
    );
    let settings = laptop.says("ssh -G web-1").await;
    assert!(
        settings.contains("stricthostkeychecking false\n"),
        "{settings}"
    );
    // Other hosts have nothing of ours.
    let settings = laptop.says("ssh -G elsewhere").await;
    assert!(
        settings
            .contains("globalknownhostsfile /etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2\n")
    );
    site.env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_host_is_accepted_without_a_question_until_a_command_and_then_refused_with_words()
{
    let site = Site::start().await;
    let (host, other) = (site.host("web-1").await, site.host("web-2").await);
    let sshd = Sshd::start(&host);
    let laptop = site.laptop(&sshd, "").await;
    laptop.says("daypass ssh-config install").await;
    assert_eq!(laptop.says("ssh web-1 id -un").await, "deploy");
    let list = ".local/state/daypass/revoked_hosts";
    laptop.says(&format!("test ! -e {list}")).await;
    let revoked = site.carol.remove_host("web-1").await.unwrap();
    assert_eq!(revoked.len(), 1);

    laptop.says("daypass roles").await;
    // OpenSSH reads the list as it is meant: one certificate, and none of another host.
    for (name, host, code) in [("gone", &host, 1), ("kept", &other, 0)] {
        let certificate = fs::read_to_string(host.path("daypass/host-ed25519-cert.pub"));
        laptop.put(name, &certificate.unwrap());
        let done = laptop.sh(&format!("ssh-keygen -Q -f {list} {name}")).await;
        assert_eq!(done.code, code, "{done:?}");
    }
    for line in [
        "ssh web-1 id",
        "daypass ssh web-1 -- id",
        "daypass ssh --fresh web-1 -- id",
    ] {
        let said = fails(&laptop, line).await;
        assert!(said.contains("revoked by file"), "{line}: {said}");
        let has_words = said.contains("an administrator removed the host");
        assert_eq!(has_words, line.starts_with("daypass"), "{line}: {said}");
    }

    // An older list, as of a server that lost its ledger, does not replace it.
    let state = laptop.home().join(".local/state/daypass/servers");
    let folder = fs::read_dir(state).unwrap().next().unwrap().unwrap().path();
    let kept = fs::read_to_string(folder.join("revoked-hosts")).unwrap();
    let newer = daypass::ssh::krl::Krl::new(
        1_000_000,
        daypass::unix_seconds::UnixSeconds(1),
        [daypass::ssh::krl::Revoked {
            serial: revoked[0],
            ca: Vec::new(),
        }],
    );
    use base64::Engine as _;
    let newer = base64::engine::general_purpose::STANDARD.encode(newer.publish().unwrap());
    fs::write(folder.join("revoked-hosts"), &newer).unwrap();
    let done = laptop.sh("daypass roles").await;
    assert!(
        done.stderr.contains("version 1000000 is known here"),
        "{done:?}"
    );
    assert_eq!(
        fs::read_to_string(folder.join("revoked-hosts")).unwrap(),
        newer
    );
    fs::write(folder.join("revoked-hosts"), kept).unwrap();

    // The words are true: it joins again with the same keys, and its new certificate counts.
    let code = site.carol.add_host("web-1", false).await.unwrap();
    host.json(&["setup", "--join", &code]).await;
    drop(sshd);
    let sshd = Sshd::start(&host);
    let port = format!("sed -i 's/Port .*/Port {}/' .ssh/config", sshd.port());
    laptop.says(&port).await;
    assert_eq!(laptop.says("ssh web-1 id -un").await, "deploy");
    assert_eq!(laptop.says("daypass ssh web-1 -- id -un").await, "deploy");
    site.env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_key_that_the_server_publishes_no_more_leaves_the_file() {
    let mut site = Site::start().await;
    let host = site.host("web-1").await;
    let sshd = Sshd::start(&host);
    let laptop = site.laptop(&sshd, "").await;
    let known = || laptop.says("cat .local/state/daypass/known_hosts 2>/dev/null || true");
    let before = known().await;
    assert_eq!(
        before.matches("@cert-authority web-*,[web-*]:*,").count(),
        1,
        "{before}"
    );
    let key = super::support::files::new_key();
    super::support::files::write_key(&site.env.folder().join("host_ca_key"), &key);
    site.env.restart().await;
    let done = laptop.sh("daypass roles").await;
    assert_eq!(done.code, 0, "{done:?}");
    let after = known().await;
    assert!(!after.contains(before.lines().last().unwrap()), "{after}");
    assert_eq!(after.matches("@cert-authority").count(), 1, "{after}");
    site.env.edit(
        "daypass.toml",
        SECTION
            .replace("\"host_ca_key\"", "\"../host_ca_key\"")
            .as_str(),
        "",
    );
    site.env.restart().await;
    laptop.says("daypass roles").await;
    assert_eq!(known().await, "");
    site.env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_renews_what_is_missing_and_forgets_a_removed_host() {
    let site = Site::start().await;
    let host = site.host("web-1").await;
    let report = host.json(&["sync"]).await;
    assert_eq!(
        (&report["host"]["reported"], &report["host"]["renewed"]),
        (&true.into(), &false.into()),
        "{report}"
    );
    let hosts = site.carol.hosts(false).await.unwrap();
    let shown = hosts.first().unwrap();
    let sent = shown.report.as_ref().unwrap();
    assert!(sent.sshd_version.starts_with("OpenSSH_"), "{sent:?}");
    assert_eq!(sent.faults, Vec::<String>::new());
    assert_eq!(shown.behind, Vec::<String>::new());
    fs::remove_file(host.path("daypass/host-ed25519-cert.pub")).unwrap();
    let report = host.json(&["sync"]).await;
    assert_eq!(report["host"]["renewed"], true, "{report}");
    assert!(host.path("daypass/host-ed25519-cert.pub").exists());

    // Of a second machine, with its own keys.
    let other = Host::new().await;
    let (url, roots) = site.env.world().server();
    let roots_file = host.path("daypass/tls-ca.pem").display().to_string();
    let code = site.carol.add_host("web-2", false).await.unwrap();
    other.set_up_at(&url, &roots, &["--join", &code]).await;
    let third = Host::new().await;
    let refused = third
        .fails(&setup_arguments(&url, &roots_file, &["--join", &code]))
        .await;
    assert_eq!(refused.1, "HOST_CODE_USED", "{refused:?}");
    let refused = third
        .fails(&setup_arguments(
            &url,
            &roots_file,
            &["--join", "0000-0000-0000-0000"],
        ))
        .await;
    assert_eq!(refused.1, "HOST_CODE_INVALID", "{refused:?}");

    site.carol.remove_host("web-1").await.unwrap();
    let report = host.json(&["sync"]).await;
    let notes = report["notes"].to_string();
    assert!(notes.contains("does not know this host"), "{report}");
    assert!(report["krl_version"].as_u64().is_some());
    let alice = site.env.user("alice", &["sre"]);
    let mut wanted = ask("shell");
    wanted.host = "web-2".to_owned();
    alice.issue(wanted).await.unwrap();
    let doctor = host.daypass(&["doctor", "--format", "json"]).await;
    let doctor: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    assert!(
        doctor.to_string().contains("does not know this host"),
        "{doctor}"
    );
    site.env.close().await;
}
