//! A real sshd takes our passes and nothing else: every login here goes the whole way, from an ID
//! token of a real loopback issuer through policy, ledger and CA to `ssh`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use daypass::{
    policy::{Ask, Policy},
    ssh::krl::{Krl, Revoked},
    unix_seconds::UnixSeconds,
};
use ssh_key::{
    Algorithm, LineEnding, PrivateKey,
    certificate::{Builder, CertType},
    rand_core::OsRng,
};
use support::{
    authority::TestCa,
    security_key::{self, SecurityKey},
    ssh::{self, Host},
};
use time::{Duration, OffsetDateTime};

/// Roles over the one login name the host takes, which replaces `USER`.
const POLICY: &str = r#"
[limits]
ttl = "8h"
principals = ["USER", "other"]

[[role]]
name = "shell"
about = "Anything"
allow = '"sre" in claims.groups'
principals = ["USER"]
ttl = "1h"

[[role]]
name = "verified"
about = "Anything, with a PIN each time"
allow = '"sre" in claims.groups'
principals = ["USER"]
verify_required = true
ttl = "1h"

[[role]]
name = "terminal"
about = "Anything, with a terminal"
allow = '"sre" in claims.groups'
principals = ["USER"]
pty = true
ttl = "1h"

[[role]]
name = "logs"
about = "One unit's logs"
allow = '"oncall" in claims.groups'
principals = ["USER"]
command = ["/usr/bin/printf", "<%s>", "logs of", "{unit}"]
params.unit = { pattern = ".*" }
ttl = "30m"

[[role]]
name = "other-login"
about = "Another login name"
allow = '"sre" in claims.groups'
principals = ["other"]
ttl = "1h"

[[role]]
name = "from-here"
about = "From the loopback only"
allow = '"sre" in claims.groups'
principals = ["USER"]
source = ["127.0.0.0/8"]
ttl = "1h"

[[role]]
name = "from-elsewhere"
about = "From where we are not"
allow = '"sre" in claims.groups'
principals = ["USER"]
source = ["192.0.2.0/24", "2001:db8::/32"]
ttl = "1h"
"#;

fn ask(role: &str) -> Ask {
    Ask {
        role: role.to_owned(),
        ..Ask::default()
    }
}

fn logs(unit: &str) -> Ask {
    Ask {
        params: BTreeMap::from([("unit".to_owned(), unit.to_owned())]),
        ..ask("logs")
    }
}

/// A CA, and a host that trusts it.
async fn world() -> (TestCa, Host) {
    let world = TestCa::start(&POLICY.replace("USER", &ssh::login())).await;
    let host = Host::start(&world.ca_key()).await;
    (world, host)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_lets_in_and_the_hosts_log_names_person_role_and_serial() {
    let (world, host) = world().await;
    let pass = world.pass("alice", &ask("shell")).await;
    let login = host.login(&pass, &["echo", "in"]).await;
    assert_eq!(
        (login.status, &*login.stdout),
        (Some(0), "in\n"),
        "{login:?}"
    );
    let log = host.log();
    let line = format!("ID alice@example.com/shell (serial {})", pass.serial());
    assert!(log.contains(&line), "{line} in {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_subject_key_logs_in_under_every_kind_of_ca_key() {
    for ca in ["ed25519", "ecdsa"] {
        let policy = POLICY.replace("USER", &ssh::login());
        let world = TestCa::start_with(&policy, ca).await;
        let host = Host::start(&world.ca_key()).await;
        for kind in [
            &["ed25519"][..],
            &["ecdsa", "-b", "256"],
            &["ecdsa", "-b", "384"],
            &["ecdsa", "-b", "521"],
            &["rsa", "-b", "3072"],
        ] {
            let pass = world.pass_for("alice", &ask("shell"), kind).await;
            let login = host.login(&pass, &["true"]).await;
            assert_eq!(login.status, Some(0), "{ca} {kind:?}: {login:?}");
        }
    }
}

/// The agent is ours and so is the key; certificate, `ssh` and sshd are real.
#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_demands_verification_wants_the_pin_at_each_login() {
    let (world, host) = world().await;
    let (key, folder) = (SecurityKey::new(), tempfile::tempdir().unwrap());
    let touched = key.agent(folder.path(), security_key::TOUCHED);
    let verified = key.agent(folder.path(), security_key::VERIFIED);
    for (role, agent, expected) in [
        ("shell", &touched, Some(0)),
        ("shell", &verified, Some(0)),
        ("verified", &touched, Some(255)),
        ("verified", &verified, Some(0)),
    ] {
        let ask = ask(role);
        let pass = world.pass_for_security_key("alice", &ask, &key);
        let pass = pass.await.unwrap();
        let login = host.login_by_agent(&pass, &agent.socket, &["true"]).await;
        assert_eq!(login.status, expected, "{role}: {login:?}\n{}", host.log());
    }
    let log = host.log();
    assert!(log.contains("user verification"), "{log}");
    assert!(
        world.refuses("alice", &ask("verified")).await,
        "another kind of key"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_force_command_runs_instead_of_the_command_that_was_asked_for() {
    let (world, host) = world().await;
    let pass = world.pass("bob", &logs("nginx")).await;
    for command in [&[][..], &["id"], &["sh", "-c", "id"], &["internal-sftp"]] {
        let login = host.login(&pass, command).await;
        assert_eq!(login.stdout, "<logs of><nginx>", "{command:?}: {login:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_arrives_at_the_command_byte_for_byte() {
    let (world, host) = world().await;
    for unit in [
        "nginx; reboot",
        "$(id)",
        "`id`",
        "it's",
        "\"quoted\"",
        "a\\b",
        "*",
        "~",
        "$HOME",
        "a && b || c > d < e | f",
        "!!",
        "#no",
        "\u{e9}t\u{e9}",
        "two  spaces",
    ] {
        let pass = world.pass("bob", &logs(unit)).await;
        let login = host.login(&pass, &[]).await;
        assert_eq!(login.stdout, format!("<logs of><{unit}>"), "{login:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_for_another_login_name_is_refused() {
    let (world, host) = world().await;
    let pass = world.pass("alice", &ask("other-login")).await;
    let log = host.refuses(&pass).await;
    assert!(log.contains("name is not a listed principal"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_outside_its_time_is_refused() {
    let (world, host) = world().await;
    let cases = [
        ("expired an hour ago", -Duration::hours(2), "expired"),
        ("valid in an hour", Duration::hours(1), "not yet valid"),
    ];
    for (case, shift, expected) in cases {
        let pass = world.pass_at("alice", &ask("shell"), shift).await;
        let log = host.refuses(&pass).await;
        assert!(log.contains(expected), "{case}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_of_another_ca_is_refused() {
    let (_, host) = world().await;
    let stranger = TestCa::start(&POLICY.replace("USER", &ssh::login())).await;
    let pass = stranger.pass("alice", &ask("shell")).await;
    host.refuses(&pass).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_is_good_from_its_addresses_only() {
    let (world, host) = world().await;
    let here = world.pass("alice", &ask("from-here")).await;
    let login = host.login(&here, &["true"]).await;
    assert_eq!(login.status, Some(0), "{login:?}");
    let elsewhere = world.pass("alice", &ask("from-elsewhere")).await;
    let log = host.refuses(&elsewhere).await;
    assert!(log.contains("not from a permitted source address"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_is_of_no_use_with_another_key() {
    let (world, host) = world().await;
    let (one, other) = (
        world.pass("alice", &ask("shell")).await,
        world.pass("alice", &ask("shell")).await,
    );
    host.refuses(&one.with_key_of(&other)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_with_one_bit_changed_is_refused() {
    let (world, host) = world().await;
    let pass = world.pass("alice", &ask("shell")).await;
    for from_the_end in [1, 70, 200, 300] {
        host.refuses(&pass.with_changed_bit(from_the_end)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_had_only_where_the_role_says_so() {
    let (world, host) = world().await;
    for (role, expected) in [("shell", false), ("terminal", true)] {
        let pass = world.pass("alice", &ask(role)).await;
        let login = host.login_with(&pass, &["-tt"], &["tty"]).await;
        let has_terminal = login.stdout.contains("/dev/");
        assert_eq!(has_terminal, expected, "{role}: {login:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_20_000_revoked_serials_in_awkward_sequences_sshd_refuses_exactly_those() {
    let ca = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
    let blob = ca.public_key().to_bytes().unwrap();
    let host = Host::start(&ca.public_key().to_openssh().unwrap()).await;
    let revoked = awkward_serials();
    assert_eq!(revoked.len(), 20_000);
    let now = OffsetDateTime::now_utc().unix_timestamp().unsigned_abs();
    let passes = revoked.iter().map(|serial| Revoked {
        serial: *serial,
        ca: blob.clone(),
    });
    host.revoke(&Krl::new(1, UnixSeconds(now), passes).publish().unwrap());
    let edges = [32, 63].map(|bits| 1_u64 << bits);
    let near = edges
        .into_iter()
        .flat_map(|edge| [edge - 2, edge, edge + 2]);
    let chosen = [
        1,
        5_000,
        5_001,
        9_999,
        10_000,
        10_001,
        19_998,
        20_000,
        99_999,
        100_000,
        u64::MAX,
    ];
    for serial in chosen.into_iter().chain(near) {
        let pass = by_hand(&ca, serial, now);
        match revoked.contains(&serial) {
            true => {
                let log = host.refuses(&pass).await;
                assert!(log.contains("revoked by file"), "{serial}: {log}");
            }
            false => {
                let login = host.login(&pass, &["true"]).await;
                assert_eq!(login.status, Some(0), "{serial}: {login:?}");
            }
        }
    }
}

/// Runs, every second one, steps around a bitmap's widths, and the edges of 32 and 63 bits.
fn awkward_serials() -> BTreeSet<u64> {
    let run = 1..=5_000;
    let alternate = (10_000..20_000).step_by(2);
    let edges = [32, 63].into_iter().flat_map(|bits| {
        let edge = 1_u64 << bits;
        [edge - 1, edge, edge + 1, u64::MAX]
    });
    let mut serials: BTreeSet<u64> = run.chain(alternate).chain(edges).collect();
    let steps = (0_u64..).map(|step| 100_000 + step * 16_384 + (step % 3));
    for serial in steps {
        if serials.len() == 20_000 {
            break;
        }
        serials.insert(serial);
    }
    serials
}

/// A certificate of any serial, which our own CA would not make.
fn by_hand(ca: &PrivateKey, serial: u64, now: u64) -> ssh::Pass {
    let folder = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
    key.write_openssh_file(&folder.path().join("pass"), LineEnding::LF)
        .unwrap();
    let mut builder = Builder::new(vec![1; 32], key.public_key(), now - 60, now + 600).unwrap();
    builder.cert_type(CertType::User).unwrap();
    builder.serial(serial).unwrap();
    builder.key_id("by-hand").unwrap();
    builder.valid_principal(ssh::login()).unwrap();
    ssh::Pass::new(folder, builder.sign(ca).unwrap())
}

/// A certificate made by hand that runs `command`.
fn forced(ca: &PrivateKey, command: &str) -> ssh::Pass {
    let now = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
    key.write_openssh_file(&folder.path().join("pass"), LineEnding::LF)
        .unwrap();
    let mut builder = Builder::new(vec![1; 32], key.public_key(), now - 60, now + 600).unwrap();
    builder.cert_type(CertType::User).unwrap();
    builder.valid_principal(ssh::login()).unwrap();
    builder.critical_option("force-command", command).unwrap();
    ssh::Pass::new(folder, builder.sign(ca).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_with_blanks_does_not_send_internal_sftp_elsewhere() {
    // What sshd does with such a line, which is why none is issued: it splits at blanks and forgets
    // what comes late.
    let ca = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
    let host = Host::start(&ca.public_key().to_openssh().unwrap()).await;
    for (line, lands_in_etc) in [
        ("internal-sftp -d /etc", true),
        ("internal-sftp -d 'x -d /etc -u 000 y'", true),
        ("internal-sftp -u 027 -l INFO -f AUTH -d /etc", true),
        ("internal-sftp -R -u 027 -l INFO -f AUTH -e -d /etc", false),
    ] {
        let login = host.sftp(&forced(&ca, line), "pwd\n").await;
        assert_eq!(login.status, Some(0), "{line}: {login:?}");
        let lands = login.stdout.contains("directory: /etc\n");
        assert_eq!(lands, lands_in_etc, "{line}: {login:?}");
    }

    const UPLOAD: &str = r#"
[limits]
principals = ["USER"]
[[role]]
name = "upload"
allow = 'true'
principals = ["USER"]
command = ["internal-sftp", "-d", "DIR"]
params.dir = { pattern = "PATTERN" }
"#;
    let policy = |dir: &str, pattern: &str| {
        let policy = UPLOAD.replace("USER", &ssh::login());
        policy.replace("DIR", dir).replace("PATTERN", pattern)
    };
    for (dir, pattern) in [
        ("{dir}", ".+"),
        ("{dir}", "[a-z ]+"),
        ("/srv/{dir} x", "[a-z]+"),
    ] {
        let error = Policy::parse(&policy(dir, pattern), "policy.toml").err();
        let error = error.expect("it does not load").to_string();
        assert!(error.contains("internal-sftp"), "{error}");
    }
    let world = TestCa::start(&policy("{dir}", "[A-Za-z0-9/._-]+")).await;
    let host = Host::start(&world.ca_key()).await;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let dir = folder.path().display().to_string();
    let upload = |dir: &str| Ask {
        params: BTreeMap::from([("dir".to_owned(), dir.to_owned())]),
        ..ask("upload")
    };
    let pass = world.pass("alice", &upload(&dir)).await;
    let login = host.sftp(&pass, "pwd\n").await;
    assert!(
        login.stdout.contains(&format!("directory: {dir}\n")),
        "{login:?}"
    );
    assert!(
        world.refuses("alice", &upload("x -d /etc -u 000 y")).await,
        "no pass for another folder"
    );
}
