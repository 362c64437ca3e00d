//! `host doctor` and a real sshd agree about what that sshd accepts. Each configuration is given to
//! both: sshd refuses the pass if and only if the doctor says so.

use std::{fs, process::Command, time::Duration};

use serde_json::Value;
use ssh_key::{Algorithm, EcdsaCurve, PrivateKey, rand_core::OsRng};

use super::{
    ca::{Ca, Pass},
    fake_ca::{FakeCa, krl_signed},
    host::Host,
    sshd::{Sshd, enter, log, login},
};

/// How long a reload of sshd may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// A host without groups that has synced.
async fn world(ca: &Ca) -> (FakeCa, Host) {
    let (server, host) = (FakeCa::start(ca).await, Host::new().await);
    host.set_up(&server, &[]).await;
    server.krl(krl_signed(ca, 5, &[7]));
    host.json(&["sync"]).await;
    (server, host)
}

/// Makes sshd write its `PidFile`.
pub(crate) fn write_pid_file(host: &Host) {
    let text = String::from_utf8(host.read("sshd_config")).unwrap();
    let line = format!("PidFile {}", host.path("sshd.pid").display());
    fs::write(
        host.path("sshd_config"),
        text.replace("PidFile none", &line),
    )
    .unwrap();
}

/// Reloads an sshd that writes its `PidFile`.
pub(crate) fn reload(sshd: &Sshd, host: &Host) {
    let written = || {
        let metadata = fs::metadata(host.path("sshd.pid"));
        metadata.and_then(|it| it.modified()).ok()
    };
    let before = written();
    let reloaded = Command::new("kill")
        .args(["-HUP", &sshd.id().to_string()])
        .status();
    assert!(reloaded.unwrap().success());
    let deadline = std::time::Instant::now() + PATIENCE;
    while written().is_none() || written() == before {
        assert!(std::time::Instant::now() < deadline, "{}", log(host));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Puts lines above all others: sshd uses the first value of a keyword.
fn first(host: &Host, lines: &str) {
    fs::write(host.path("sshd_config.d/00-aaa.conf"), lines).unwrap();
}

/// The doctor's report, with the host's own accounts.
async fn report(host: &Host, arguments: &[&str]) -> Value {
    let arguments = [&["doctor", "--format", "json"], arguments].concat();
    let output = host.daypass_in(&enter(host), &arguments).await;
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn of_level(report: &Value, level: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    let findings = findings.filter(|finding| finding["level"] == level);
    let line = |it: &Value| {
        let text = |name: &str| it[name].as_str().unwrap().to_owned();
        format!("{}: {}", text("check"), text("message"))
    };
    findings.map(line).collect()
}

/// Whether the doctor accepts the pass, and its reasons.
async fn judged(host: &Host, pass: &Pass) -> (bool, String) {
    let path = host.root.join("pass-cert.pub");
    fs::write(&path, pass.certificate.to_openssh().unwrap()).unwrap();
    let name = login();
    let arguments = ["--pass", path.to_str().unwrap(), "--user", &name];
    let arguments = [&arguments[..], &["--address", "127.0.0.1"]].concat();
    let report = report(host, &arguments).await;
    let verdict = &report["pass"];
    (
        verdict["accepted"].as_bool().unwrap() && of_level(&report, "wrong").is_empty(),
        format!(
            "{} {}",
            verdict["refusals"],
            of_level(&report, "wrong").join("\n")
        ),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sshd_that_lists_no_certificates_refuses_every_pass_and_the_doctor_says_so() {
    let ca = Ca::new();
    let (_server, host) = world(&ca).await;
    first(&host, "PubkeyAcceptedAlgorithms ssh-ed25519,rsa-sha2-512\n");
    let sshd = Sshd::start(&host);
    assert!(!sshd.takes(&ca.pass(3, &[&login()])));
    let wrong = of_level(&report(&host, &[]).await, "wrong");
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(
        wrong[0].contains("does not list ssh-ed25519-cert-v01@openssh.com: every pass"),
        "{wrong:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_and_sshd_agree_about_every_setting_that_refuses_passes() {
    let ca = Ca::new();
    let (_server, host) = world(&ca).await;
    let (name, pass) = (login(), ca.pass(3, &[&login()]));
    for (lines, is_accepted, check) in [
        (String::new(), true, ""),
        (
            "PubkeyAcceptedAlgorithms ssh-ed25519-cert*".to_owned(),
            true,
            "",
        ),
        (
            "PubkeyAcceptedAlgorithms -ssh-ed25519-cert*".to_owned(),
            false,
            "pubkeyaccepted",
        ),
        (
            "CASignatureAlgorithms rsa-sha2-512".to_owned(),
            false,
            "casignature",
        ),
        (
            "PubkeyAuthentication no".to_owned(),
            false,
            "pubkeyauthentication",
        ),
        ("RequiredRSASize 8192".to_owned(), true, ""),
        (
            "PasswordAuthentication yes\nAuthenticationMethods password".to_owned(),
            false,
            "authenticationmethods",
        ),
        (
            "PasswordAuthentication yes\nAuthenticationMethods publickey,password publickey"
                .to_owned(),
            true,
            "",
        ),
        ("MaxAuthTries 0".to_owned(), false, "maxauthtries"),
        ("MaxAuthTries 1".to_owned(), true, ""),
        (format!("AllowUsers other {name}"), true, ""),
        (format!("AllowUsers {name}@127.0.0.*"), true, ""),
        (
            format!("AllowUsers {name}@192.0.2.0/24"),
            false,
            "allowusers",
        ),
        ("AllowUsers other".to_owned(), false, "allowusers"),
        (format!("DenyUsers {name}"), false, "denyusers"),
        (format!("DenyUsers {}*", &name[..2]), false, "denyusers"),
        (format!("DenyUsers {name}@192.0.2.0/24"), true, ""),
        (
            format!("Match User {name} Address 127.0.0.0/8\nPubkeyAuthentication no"),
            false,
            "pubkeyauthentication",
        ),
        (
            format!("Match User {name} Address 192.0.2.0/24\nPubkeyAuthentication no"),
            true,
            "",
        ),
        (
            format!("Match User {name}\nTrustedUserCAKeys none"),
            false,
            "trustedusercakeys",
        ),
        (
            format!("Match User {name}\nRevokedKeys /nonexistent"),
            false,
            "revokedkeys",
        ),
    ] {
        first(&host, &format!("{lines}\n"));
        let sshd = Sshd::start(&host);
        let (said, reasons) = judged(&host, &pass).await;
        assert_eq!(
            sshd.takes(&pass),
            is_accepted,
            "sshd: {lines}: {}",
            log(&host)
        );
        assert_eq!(said, is_accepted, "doctor: {lines}: {reasons}");
        assert!(reasons.contains(check), "{lines}: {reasons}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_and_sshd_agree_about_other_kinds_of_keys() {
    let curve = Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    };
    let (ca, other) = (Ca::new(), Ca::with(curve.clone()));
    let name = login();
    let key = |algorithm: Algorithm| PrivateKey::random(&mut OsRng, algorithm).unwrap();
    for (case, ca, lines, algorithm, is_accepted) in [
        ("P-256", &ca, "", curve.clone(), true),
        (
            "P-256, where only Ed25519 is listed",
            &ca,
            "PubkeyAcceptedAlgorithms ssh-ed25519-cert*",
            curve.clone(),
            false,
        ),
        ("by a P-256 CA", &other, "", Algorithm::Ed25519, true),
        (
            "by a P-256 CA, whose signatures are not listed",
            &other,
            "CASignatureAlgorithms ssh-ed25519",
            Algorithm::Ed25519,
            false,
        ),
    ] {
        let (_server, host) = world(ca).await;
        first(&host, &format!("{lines}\n"));
        let pass = ca.pass_for(key(algorithm), 3, &[&name], |_| ());
        let sshd = Sshd::start(&host);
        let (said, reasons) = judged(&host, &pass).await;
        assert_eq!(
            sshd.takes(&pass),
            is_accepted,
            "sshd: {case}: {}",
            log(&host)
        );
        assert_eq!(said, is_accepted, "doctor: {case}: {reasons}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_match_block_for_other_logins_is_a_note_that_names_it() {
    let ca = Ca::new();
    let (_server, host) = world(&ca).await;
    let blocks = "Match User backup\nPubkeyAuthentication no\n\
        Match Address 10.0.0.0/8\nPubkeyAcceptedAlgorithms ssh-ed25519\n\
        Match Group no-such-group\nForceCommand /bin/false\n\
        Match User git\nPermitTTY no\n";
    first(&host, blocks);
    let report = report(&host, &[]).await;
    assert_eq!(report["healthy"], true, "{report}");
    let notes = of_level(&report, "note").join("\n");
    for said in [
        "`Match user backup`",
        "00-aaa.conf line 1): pubkeyauthentication is no",
        "`Match address 10.0.0.0/8`",
        "does not list ssh-ed25519-cert-v01@openssh.com",
        "`Match group no-such-group`",
    ] {
        assert!(notes.contains(said), "{said}: {notes}");
    }
    assert!(!notes.contains("Match user git"), "{notes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_the_running_sshd_has_not_read_is_found_until_it_is_reloaded() {
    let ca = Ca::new();
    let (_server, host) = world(&ca).await;
    write_pid_file(&host);
    let running = |report: &Value, level: &str| {
        let found = of_level(report, level).into_iter();
        found
            .filter(|line| line.starts_with("running: "))
            .collect::<Vec<_>>()
    };

    let before = report(&host, &[]).await;
    assert!(running(&before, "note")[0].contains("unknown"), "{before}");

    let pass = ca.pass(3, &[&login()]);
    let sshd = Sshd::start(&host);
    assert_eq!(running(&report(&host, &[]).await, "good").len(), 1);

    first(&host, "PubkeyAuthentication no\n");
    assert!(sshd.takes(&pass), "it goes on with what it had");
    let wrong = running(&report(&host, &[]).await, "wrong");
    assert!(
        wrong[0].contains("00-aaa.conf since it changed"),
        "{wrong:?}"
    );

    reload(&sshd, &host);
    assert_eq!(running(&report(&host, &[]).await, "good").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_principals_user_that_does_not_exist_is_found() {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    host.set_up(&server, &["--group", "web", "--principals-user", "gone"])
        .await;
    host.json(&["sync"]).await;
    let sshd = Sshd::start(&host);
    assert!(!sshd.takes(&ca.pass(3, &[&format!("{}@web", login())])));
    let wrong = of_level(&report(&host, &[]).await, "wrong").join("\n");
    assert!(
        wrong.contains("authorizedprincipalscommanduser is gone"),
        "{wrong}"
    );
}
