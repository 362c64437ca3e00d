//! `host doctor`: it finds what it should, and agrees with a real sshd about passes.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::Value;

use super::support::files::chmod;
use super::{
    ca::{Ca, Pass, now},
    fake_ca::{Answer, FakeCa, keys_signed, krl_signed},
    host::Host,
    sshd::{principals_user, user},
};

/// A host of group web that has synced, with serial 7 revoked.
async fn world() -> (Ca, FakeCa, Host) {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    let as_user = principals_user();
    let arguments = ["--group", "web", "--principals-user", &as_user];
    host.set_up(&server, &arguments).await;
    server.krl(krl_signed(&ca, 5, &[7]));
    host.json(&["sync"]).await;
    (ca, server, host)
}

/// The report, and whether the exit code says the same.
async fn examine(host: &Host, arguments: &[&str]) -> Value {
    let arguments = [&["doctor", "--format", "json"], arguments].concat();
    let output = host.daypass(&arguments).await;
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"));
    let healthy = report["healthy"].as_bool().unwrap();
    assert_eq!(output.status.code(), Some(if healthy { 0 } else { 1 }));
    report
}

fn wrong(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    let wrong = findings.filter(|finding| finding["level"] == "wrong");
    let line = |it: &Value| {
        format!(
            "{}: {}",
            it["check"].as_str().unwrap(),
            it["message"].as_str().unwrap()
        )
    };
    wrong.map(line).collect()
}

async fn judge(host: &Host, pass: &Pass, more: &[&str]) -> Value {
    let path = host.root.join("pass-cert.pub");
    fs::write(&path, pass.certificate.to_openssh().unwrap()).unwrap();
    let arguments = [&["--pass", path.to_str().unwrap()], more].concat();
    examine(host, &arguments).await["pass"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_well_has_nothing_wrong() {
    let (_, _, host) = world().await;
    let report = examine(&host, &[]).await;
    assert_eq!(wrong(&report), Vec::<String>::new());
    assert_eq!(
        (&report["healthy"], &report["krl_version"]),
        (&true.into(), &5.into())
    );
    let output = host.daypass(&["doctor"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with("Nothing is wrong.\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_refuses_or_takes_passes_wrongly_is_found_in_sshds_configuration() {
    let (_, _, host) = world().await;
    // sshd takes the first value of a keyword, but the last AuthorizedPrincipalsCommand (9.2).
    let (first, last) = ("sshd_config.d/00-aaa.conf", "sshd_config.d/99-zzz.conf");
    for (line, check) in [
        ("TrustedUserCAKeys /etc/ssh/other.pub", "trustedusercakeys"),
        ("RevokedKeys /etc/ssh/other.krl", "revokedkeys"),
        (
            "AuthorizedPrincipalsCommand /bin/true\nAuthorizedPrincipalsCommandUser nobody",
            "authorizedprincipalscommand",
        ),
        (
            "CASignatureAlgorithms rsa-sha2-512",
            "casignaturealgorithms",
        ),
        ("PubkeyAuthentication no", "pubkeyauthentication"),
        ("ForceCommand /bin/false", "forcecommand"),
        ("Nonsense yes", "sshd"),
    ] {
        for name in [first, last] {
            fs::write(host.path(name), format!("{line}\n")).unwrap();
        }
        if check == "sshd" {
            assert_eq!(host.fails(&["doctor"]).await.1, "SSHD", "{line}");
        } else {
            let said = wrong(&examine(&host, &[]).await);
            assert!(
                said.len() == 1 && said[0].starts_with(check),
                "{line}: {said:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn match_blocks_count_for_the_user_that_is_asked_about() {
    let (_, _, host) = world().await;
    let name = user();
    host.configure(&format!(
        "Match User {name} LocalPort 22 Address 198.51.100.0/24\nForceCommand /bin/false\n"
    ));
    assert!(wrong(&examine(&host, &[]).await).is_empty());
    let asked = ["--user", &name, "--address", "198.51.100.7"];
    let said = wrong(&examine(&host, &asked).await);
    assert!(
        said.iter().any(|line| line.starts_with("forcecommand")),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_gone_empty_broken_or_old_is_found() {
    let (_, _, host) = world().await;
    let (krl, last) = (
        host.path("daypass/revoked.krl"),
        host.path("daypass/sync.json"),
    );
    let (good, synced) = (fs::read(&krl).unwrap(), fs::read(&last).unwrap());
    for (case, bytes, said) in [
        ("gone", None, "refuses every key"),
        ("empty", Some(&b""[..]), "revoked passes are accepted"),
        ("broken", Some(b"SSHKRL\n\0"), "is broken"),
    ] {
        match bytes {
            None => fs::remove_file(&krl).unwrap(),
            Some(bytes) => fs::write(&krl, bytes).unwrap(),
        }
        let found = wrong(&examine(&host, &[]).await);
        assert!(
            found.len() == 1 && found[0].contains(said),
            "{case}: {found:?}"
        );
    }
    fs::write(&krl, good).unwrap();
    let old = format!("{{\"synced\":{},\"krl_version\":5}}", now() - 3600);
    for (case, bytes, arguments, expected) in [
        ("an hour old", Some(old.clone()), &[][..], 1),
        (
            "an hour old, which is allowed",
            Some(old),
            &["--max-age", "2h"],
            0,
        ),
        ("never synced", None, &[], 1),
        ("just now", Some(String::from_utf8(synced).unwrap()), &[], 0),
    ] {
        match bytes {
            None => fs::remove_file(&last).unwrap(),
            Some(text) => fs::write(&last, text).unwrap(),
        }
        let found = wrong(&examine(&host, arguments).await);
        assert_eq!(found.len(), expected, "{case}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_others_can_write_are_found() {
    let (_, _, host) = world().await;
    for name in [
        "daypass",
        "daypass/ca.pub",
        "daypass/revoked.krl",
        "sshd_config.d/00-daypass.conf",
    ] {
        let path = host.path(name);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        chmod(&path, mode | 0o002);
        let found = wrong(&examine(&host, &[]).await);
        assert!(
            found.len() == 1 && found[0].starts_with("permissions"),
            "{name}: {found:?}"
        );
        chmod(&path, mode);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_the_server_has_and_the_host_lacks_are_found_and_silence_is_no_fault() {
    let (ca, server, host) = world().await;
    let next = Ca::new();
    server.keys(keys_signed(&[&ca, &next], &ca));
    let found = wrong(&examine(&host, &[]).await);
    assert!(
        found.len() == 1 && found[0].contains(&next.fingerprint()),
        "{found:?}"
    );
    server.keys(Answer::Status(503));
    assert!(wrong(&examine(&host, &[]).await).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_account_is_found() {
    let (_, _, host) = world().await;
    let found = wrong(&examine(&host, &["--user", "no-such-account"]).await);
    // If accounts may come from a directory, the answer is unknown.
    let only_files = !found.is_empty();
    assert!(!only_files || found[0].starts_with("login"), "{found:?}");
    let failure = host.fails(&["doctor", "--user", "a,host=b"]).await;
    assert_eq!(failure.0, 2, "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_is_judged_and_the_reason_is_named() {
    let (ca, _, host) = world().await;
    let name = user();
    let (web, db) = (format!("{name}@web"), format!("{name}@db"));
    let stranger = Ca::new();
    for (case, pass, said) in [
        ("a good one", ca.pass(3, &[&web]), None),
        ("another group's", ca.pass(3, &[&db]), Some("asks for")),
        ("a plain login's", ca.pass(3, &[&name]), Some("asks for")),
        (
            "a revoked one",
            ca.pass(7, &[&web]),
            Some("serial 7 is revoked"),
        ),
        (
            "a stranger's",
            stranger.pass(3, &[&web]),
            Some("not trusted here"),
        ),
        (
            "one with an unknown option",
            ca.pass_with(3, &[&web], |builder| {
                builder.critical_option("x@example.com", "").unwrap();
            }),
            Some("does not know"),
        ),
    ] {
        for arguments in [&[][..], &["--user", &name]] {
            let verdict = judge(&host, &pass, arguments).await;
            assert_eq!(verdict["accepted"], said.is_none(), "{case}: {verdict}");
            let reasons = verdict["refusals"].to_string();
            assert!(
                reasons.contains(said.unwrap_or_default()),
                "{case}: {reasons}"
            );
        }
    }
    let good = judge(&host, &ca.pass(3, &[&web]), &[]).await;
    assert_eq!(good["logins"], serde_json::json!([name]));
    let other = judge(&host, &ca.pass(3, &[&web]), &["--user", "daemon"]).await;
    assert_eq!(other["accepted"], false, "{other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_of_a_host_that_was_never_set_up_says_so() {
    let host = Host::new().await;
    let failure = host.fails(&["doctor"]).await;
    assert_eq!((failure.0, &*failure.1), (1, "NOT_SET_UP"), "{failure:?}");
}
