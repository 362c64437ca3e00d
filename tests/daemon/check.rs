//! `daypass serve --check`: every finding of one run, and the exit code.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    process::Output,
};

use daypass::dev::issuer::Issuer;
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use time::{Duration, OffsetDateTime};

use crate::process::{Home, succeed};

fn check(home: &Home, more: &[&str]) -> Output {
    let mut serve = home.serve();
    serve.arg("--check").args(more).output().unwrap()
}

/// The messages of a level, each with the name of its check.
fn of_level(output: &Output, level: &str) -> Vec<String> {
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert_eq!(report["healthy"], output.status.success());
    let findings = report["findings"].as_array().unwrap().iter();
    let findings = findings.filter(|it| it["level"] == level);
    let line = |it: &Value| {
        let text = |name: &str| it[name].as_str().unwrap().to_owned();
        format!("{}: {}", text("check"), text("message"))
    };
    findings.map(line).collect()
}

fn offline(home: &Home, level: &str) -> Vec<String> {
    of_level(&check(home, &["--offline", "--format", "json"]), level)
}

/// Puts a certificate for these names in place, which ends so many days from now.
fn certify(home: &Home, names: &[&str], from: i64, to: i64) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    let now = OffsetDateTime::now_utc();
    params.not_before = now + Duration::days(from);
    params.not_after = now + Duration::days(to) + Duration::hours(1);
    let certificate = params.self_signed(&key).unwrap();
    fs::write(home.path("tls.pem"), certificate.pem()).unwrap();
    fs::write(home.path("tls.key"), key.serialize_pem()).unwrap();
}

#[test]
fn every_fault_is_said_in_one_run() {
    let home = Home::new();
    fs::write(home.path("ca_key"), "nonsense").unwrap();
    fs::write(home.path("ledger_key"), "nonsense").unwrap();
    fs::write(home.path("tls.pem"), "nonsense").unwrap();
    fs::remove_file(home.path("state/checkpoint")).unwrap();
    home.edit("policy.toml", "[limits]", "[limits");
    let output = check(&home, &["--offline"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = [
        "ca_key",
        "ledger_key",
        "policy.toml:6: ",
        "tls.pem",
        "no signed head",
    ];
    for name in expected {
        assert!(said.contains(name), "{name}: {said}");
    }
    assert_eq!(said.lines().count(), expected.len(), "{said}");
}

#[test]
fn a_certificate_is_judged_by_its_name_and_its_end() {
    let home = Home::new();
    for (names, from, to, level, said) in [
        (&["localhost"][..], -10, 90, "good", "until "),
        (
            &["ca.example.com", "*.example.com"],
            -10,
            90,
            "wrong",
            "clients refuse it",
        ),
        (&["localhost"], -90, -1, "wrong", "expired on"),
        (&["localhost"], 1, 90, "wrong", "not valid before"),
        (&["localhost"], -70, 20, "warning", "in 20 days"),
        // A certificate of a week is not reported all week.
        (&["localhost"], -1, 6, "good", "until "),
        (&["localhost"], -6, 1, "warning", "in 1 days"),
    ] {
        certify(&home, names, from, to);
        let found = offline(&home, level);
        let found: Vec<_> = found.iter().filter(|it| it.starts_with("tls: ")).collect();
        assert!(
            found.len() == 1 && found[0].contains(said),
            "{names:?} {from} {to}: {found:?}"
        );
    }
}

#[test]
fn a_certificate_of_another_key_is_wrong() {
    let home = Home::new();
    fs::write(
        home.path("tls.key"),
        KeyPair::generate().unwrap().serialize_pem(),
    )
    .unwrap();
    let wrong = offline(&home, "wrong");
    assert!(
        wrong.len() == 1 && wrong[0].starts_with("tls: "),
        "{wrong:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_asked_unless_offline_is_said() {
    let issuer = Issuer::start().await.unwrap();
    let url = issuer.url().to_owned();
    let home = Home::with_issuer(&url);
    let ask = |home: &Home, level: &str| {
        let output = check(home, &["--format", "json"]);
        let found = of_level(&output, level);
        found
            .into_iter()
            .filter(|it| it.starts_with("issuer: "))
            .collect::<Vec<_>>()
    };
    let good = tokio::task::block_in_place(|| ask(&home, "good"));
    assert!(
        good.len() == 1 && good[0].contains("usable key"),
        "{good:?}"
    );

    let home = Home::with_issuer(&format!("{url}/"));
    let wrong = tokio::task::block_in_place(|| ask(&home, "wrong"));
    assert!(
        wrong.len() == 1 && wrong[0].contains("issuer is not the configured one"),
        "{wrong:?}"
    );

    let home = Home::with_issuer("http://127.0.0.1:1");
    let wrong = tokio::task::block_in_place(|| ask(&home, "wrong"));
    assert!(
        wrong.len() == 1 && wrong[0].contains("failed to request the discovery"),
        "{wrong:?}"
    );
    succeed(check(&home, &["--offline"]));
}

#[test]
fn keys_that_the_servers_account_cannot_read_are_found_by_root() {
    let home = Home::new();
    let state = home.path("state");
    fs::set_permissions(home.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    if !is_root() {
        // Another account's folder cannot be made; its own is fine.
        assert_eq!(offline(&home, "wrong"), Vec::<String>::new());
        return;
    }
    let daemon = 1;
    chown(&state, Some(daemon), Some(daemon)).unwrap();
    let wrong = offline(&home, "wrong");
    for name in ["ca_key", "ledger_key", "tls.key"] {
        let line = format!("chown daemon: {}", home.path(name).display());
        assert!(
            wrong.iter().any(|it| it.contains(&line)),
            "{name}: {wrong:?}"
        );
        chown(home.path(name), Some(daemon), None).unwrap();
    }
    // What root has put into the folder by hand.
    let line = format!("chown -R --reference={}", state.display());
    assert!(wrong.iter().any(|it| it.contains(&line)), "{wrong:?}");
    chown(state.join("checkpoint"), Some(daemon), Some(daemon)).unwrap();
    assert_eq!(wrong.len(), 4, "{wrong:?}");
    assert_eq!(offline(&home, "wrong"), Vec::<String>::new());

    fs::set_permissions(home.path(""), fs::Permissions::from_mode(0o700)).unwrap();
    let wrong = offline(&home, "wrong");
    assert!(
        wrong.iter().all(|it| it.contains("cannot enter")),
        "{wrong:?}"
    );
}

#[test]
fn a_policy_without_administrators_keys_is_a_warning_that_says_how_to_make_one() {
    let home = Home::new();
    let warnings = offline(&home, "warning");
    let about = |list: &[String]| {
        let found = list.iter().find(|it| it.starts_with("administrators: "));
        found.cloned().unwrap_or_default()
    };
    for part in ["ssh-keygen -t ed25519", "[admin]", "after a restore"] {
        assert!(about(&warnings).contains(part), "{warnings:?}");
    }
    let key =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDtAHNHBojgnVQ/1rftAHY8PUg+NA1nMvmk2xvpjEHKn carol";
    home.edit(
        "policy.toml",
        "[admin]\n",
        &format!("[admin]\nkeys = [\"{key}\"]\n"),
    );
    assert_eq!(about(&offline(&home, "warning")), "");
    let good = offline(&home, "good");
    assert!(about(&good).contains("1 administrator's key"), "{good:?}");
}

#[test]
fn a_server_that_runs_is_named_and_left_alone() {
    let home = Home::new();
    let daemon = home.start();
    let good = offline(&home, "good");
    let line = format!("lock: process {} serves from", daemon.id());
    assert!(good.iter().any(|it| it.starts_with(&line)), "{good:?}");
    assert!(daemon.stop().success());
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(Path::new("/proc/self")).unwrap().uid() == 0
}
