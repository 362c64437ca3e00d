//! Known hosts: `host setup --join`, the reports and renewals of `host sync`, what `doctor` finds,
//! and what a newcomer's real ssh makes of a real sshd with these certificates.

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use ssh_key::certificate::CertType;
use tempfile::TempDir;

use super::{
    accepts::{reload, write_pid_file},
    again::keys,
    ca::Ca,
    fake_ca::{FakeCa, krl_signed},
    fake_hosts::CODE,
    host::{Host, setup_arguments},
    sshd::{Sshd, log},
    support::faketime,
};

/// A host with host keys of three types, and its server.
async fn world() -> (Ca, FakeCa, Host) {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    let mut more = String::new();
    for kind in ["ecdsa", "rsa"] {
        let file = host.path(kind);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-N", "", "-t", kind, "-f"])
            .arg(&file)
            .status();
        assert!(made.unwrap().success());
        more += &format!("HostKey {}\n", file.display());
    }
    host.configure(&more);
    write_pid_file(&host);
    (ca, server, host)
}

/// The same, joined and synced.
async fn joined() -> (Ca, FakeCa, Host) {
    let (ca, server, host) = world().await;
    host.set_up(&server, &["--join", CODE]).await;
    host.json(&["sync"]).await;
    (ca, server, host)
}

/// The serial and key of the certificate that is shown to an ssh that trusts the host CA alone, and
/// asks nothing; else what ssh says.
fn first_contact(
    server: &FakeCa,
    sshd: &Sshd,
    name: &str,
    more: &[&str],
) -> Result<String, String> {
    let output = contact(&server.hosts.cert_authority(), sshd, name, more);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // The newcomer has no key that logs in: that is asked after the host key.
    match said.contains("Permission denied (publickey)") {
        true => Ok(said
            .lines()
            .find_map(|line| line.strip_prefix("debug1: Server host certificate: "))
            .unwrap_or_default()
            .to_owned()),
        false => Err(said),
    }
}

fn contact(known_hosts: &str, sshd: &Sshd, name: &str, more: &[&str]) -> Output {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = folder.path().join("known_hosts");
    fs::write(&file, known_hosts).unwrap();
    Command::new("ssh")
        .args([
            "-v",
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentityAgent=none",
        ])
        .args(["-o", "StrictHostKeyChecking=yes", "-o", "IdentityFile=none"])
        .args([
            "-o",
            "GlobalKnownHostsFile=none",
            "-o",
            "HostName=127.0.0.1",
        ])
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", file.display()))
        .arg("-o")
        .arg(format!("HostKeyAlias={name}"))
        .args(["-p", &sshd.port().to_string()])
        .args(more)
        .args([name, "true"])
        .stdin(Stdio::null())
        .output()
        .expect("ssh is missing: apt-get install openssh-client")
}

async fn doctor(host: &Host) -> Vec<String> {
    let output = host.daypass(&["doctor", "--format", "json"]).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    let wrong = findings.filter(|finding| finding["level"] == "wrong");
    wrong
        .map(|it| it["message"].as_str().unwrap().to_owned())
        .collect()
}

fn notes(report: &Value) -> String {
    report["notes"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomers_ssh_asks_nothing_for_any_name_and_key_type_of_a_host_that_joined() {
    let (_, server, host) = world().await;
    let report = host
        .set_up(&server, &["--join", &CODE.to_lowercase()])
        .await;
    assert_eq!(report["host"]["name"], "web-1");
    assert_eq!(report["host"]["certificates"].as_array().unwrap().len(), 3);
    // The group is the one that the administrator gave it.
    assert_eq!(report["groups"], serde_json::json!(["web"]));
    let sshd = Sshd::start(&host);
    for name in ["web-1", "www"] {
        for algorithm in ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512"] {
            let wanted = format!("HostKeyAlgorithms={algorithm}-cert-v01@openssh.com");
            let shown = first_contact(&server, &sshd, name, &["-o", &wanted]);
            assert!(shown.unwrap().contains("host/web-1"), "{name} {algorithm}");
        }
    }
    // A name that is not this host's is not proven by its certificate.
    let said = first_contact(&server, &sshd, "db-1", &[]).unwrap_err();
    assert!(said.contains("name is not a listed principal"), "{said}");
    // To a stranger to the CA it is a host as any other.
    let key = String::from_utf8(host.read("host_key.pub")).unwrap();
    let output = contact(&format!("web-1 {key}"), &sshd, "web-1", &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("Permission denied (publickey)"), "{said}");
    let healthy = doctor(&host).await;
    assert!(
        healthy.iter().all(|it| it.contains("fetched")),
        "{healthy:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_code_again_changes_nothing_and_asks_nothing_and_without_it_a_host_stays_joined() {
    let (_, server, host) = joined().await;
    let before = host.everything();
    let again = host.set_up(&server, &["--join", CODE]).await;
    assert_eq!(again["changed"], false);
    assert_eq!(again["host"]["name"], "web-1");
    assert_eq!(host.everything(), before);
    assert_eq!(server.hosts.0.lock().joins, 1);
    let without = host.set_up(&server, &["--group", "web"]).await;
    assert_eq!(
        (&without["changed"], &without["host"]["name"]),
        (&false.into(), &"web-1".into())
    );
    assert_eq!(host.everything(), before);
    // The answer was lost: the server gives it again.
    fs::remove_file(host.path("daypass/host-rsa-cert.pub")).unwrap();
    let again = host.set_up(&server, &["--join", CODE]).await;
    assert_eq!(again["changed"], true);
    assert!(host.path("daypass/host-rsa-cert.pub").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_machine_with_the_code_and_every_other_refusal_reads_what_to_do() {
    let (_, server, _first) = joined().await;
    let other = Host::new().await;
    let roots = other.roots(&server);
    let before = other.everything();
    let join = |code: &'static str| setup_arguments(&server.url, &roots, &["--join", code]);
    let used = other.fails(&join(CODE)).await;
    assert_eq!((used.0, &*used.1), (1, "HOST_CODE_USED"));
    for words in ["another machine", "a code is for one machine", "--rekey"] {
        assert!(used.2.contains(words), "{used:?}");
    }
    let unknown = other.fails(&join("0000-0000-0000-0000")).await;
    assert_eq!((unknown.0, &*unknown.1), (1, "HOST_CODE_INVALID"));
    assert!(
        unknown
            .2
            .contains("daypass admin hosts add NAME --group GROUP"),
        "{unknown:?}"
    );
    let malformed = other.fails(&join("7KQ2-M9XP")).await;
    assert_eq!((malformed.0, &*malformed.1), (2, "USAGE"));
    for (reason, code, shown, words) in [
        ("HOST_KEY_CHANGED", 1, "HOST_KEY_CHANGED", "--rekey"),
        ("HOST_KEYS", 1, "HOST_KEYS", "ssh-keygen -A"),
        ("SOMETHING_NEW", 1, "DECLINED", "SOMETHING_NEW"),
        ("UNIMPLEMENTED", 1, "NO_HOSTS", "does not know hosts"),
        ("UNAVAILABLE", 6, "UNREACHABLE", "later"),
    ] {
        server.hosts.0.lock().refuse = Some(reason);
        let failed = other.fails(&join(CODE)).await;
        assert_eq!((failed.0, &*failed.1), (code, shown), "{failed:?}");
        assert!(failed.2.contains(words), "{failed:?}");
    }
    assert_eq!(other.everything(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_users_would_refuse_is_not_written() {
    let (ca, server, host) = world().await;
    let roots = host.roots(&server);
    let arguments = setup_arguments(&server.url, &roots, &["--join", CODE]);
    let before = host.everything();
    let hosts = &server.hosts.0;
    let user_ca = ca.line().trim().to_owned();
    let published = hosts.lock().published.clone();
    type Lie = Box<dyn Fn(&mut super::fake_hosts::State)>;
    let lies: [(&str, Lie, &str); 7] = [
        (
            "a pass",
            Box::new(|it| it.kind = CertType::User),
            "a user's certificate",
        ),
        (
            "one name more",
            Box::new(|it| {
                it.change = |builder| {
                    builder.valid_principal("db-1").unwrap();
                }
            }),
            "db-1",
        ),
        (
            "expired",
            Box::new(|it| it.validity = (-600, -300)),
            "the clock",
        ),
        (
            "not valid yet",
            Box::new(|it| it.validity = (300, 600)),
            "the clock",
        ),
        (
            "by a key that is not published",
            Box::new(|it| it.published = vec![Ca::new().line()]),
            "no host CA key",
        ),
        (
            "no host CA at all",
            Box::new(|it| it.published = Vec::new()),
            "no host CA key",
        ),
        (
            "by the CA of passes",
            Box::new(move |it| {
                it.published = vec![user_ca.clone(), it.ca.line()];
                it.ca = Ca::new();
            }),
            "no host CA key",
        ),
    ];
    for (case, lie, words) in lies {
        lie(&mut hosts.lock());
        let failed = host.fails(&arguments).await;
        assert!(failed.2.contains(words), "{case}: {failed:?}");
        assert_eq!(host.everything(), before, "{case}");
        let mut state = hosts.lock();
        state.kind = CertType::Host;
        state.change = |_| ();
        state.validity = (-300, 86400);
        state.published.clone_from(&published);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_file_for_the_same_key_undoes_the_set_up() {
    let (_, server, host) = world().await;
    let key = String::from_utf8(host.read("host_key.pub")).unwrap();
    let key = ssh_key::PublicKey::from_openssh(&key).unwrap();
    let own = Ca::new().certify_host(&key, (1, (-5, 3600)), &["web-1"], |_| ());
    fs::write(host.path("own-cert.pub"), own).unwrap();
    let line = format!("HostCertificate {}\n", host.path("own-cert.pub").display());
    fs::write(host.path("sshd_config.d/50-own.conf"), &line).unwrap();
    let before = host.everything();
    let roots = host.roots(&server);
    let arguments = setup_arguments(&server.url, &roots, &["--join", CODE]);
    let failed = host.fails(&arguments).await;
    assert!(
        failed.2.contains("own-cert.pub") && failed.2.contains("undone"),
        "{failed:?}"
    );
    assert_eq!(host.everything(), before);
    // Later, it is found.
    fs::remove_file(host.path("sshd_config.d/50-own.conf")).unwrap();
    host.json(&arguments).await;
    fs::write(host.path("sshd_config.d/50-own.conf"), &line).unwrap();
    let wrong = doctor(&host).await;
    assert!(
        wrong.iter().any(|it| it.contains("own-cert.pub")),
        "{wrong:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_reaches_users_under_the_running_sshd_and_nothing_else_reloads_it() {
    let (_, server, host) = joined().await;
    let sshd = Sshd::start(&host);
    let shown = first_contact(&server, &sshd, "web-1", &[]).unwrap();
    assert!(shown.contains("serial 40 "), "{shown}");
    let pid_file = || {
        fs::metadata(host.path("sshd.pid"))
            .unwrap()
            .modified()
            .unwrap()
    };
    let started = pid_file();
    let report = host.json(&["sync"]).await;
    let state = report["host"].clone();
    assert_eq!(
        (&state["reported"], &state["renewed"], &state["reloaded"]),
        (&true.into(), &false.into(), &false.into())
    );
    assert_eq!(pid_file(), started, "no reload without a renewal");
    {
        let state = server.hosts.0.lock();
        let report = state.reports.last().unwrap();
        assert_eq!(report.certificates, [40, 41, 42]);
        assert_eq!(report.host, "web-1");
        assert!(report.sshd_version.starts_with("OpenSSH_"), "{report:?}");
        assert_eq!(
            (report.trusted_ca_keys.len(), report.krl_version),
            (1, Some(1))
        );
        assert_eq!(report.faults, Vec::<String>::new());
    }
    server.hosts.0.lock().is_due = true;
    let state = host.json(&["sync"]).await["host"].clone();
    assert_eq!(
        (&state["renewed"], &state["reloaded"]),
        (&true.into(), &true.into()),
        "{state}"
    );
    let shown = first_contact(&server, &sshd, "web-1", &[]).unwrap();
    assert!(shown.contains("serial 50 "), "{shown}: {}", log(&host));
    assert_eq!(doctor(&host).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sshd_whose_configuration_was_broken_is_not_reloaded_until_it_is_whole_again() {
    let (_, server, host) = joined().await;
    let sshd = Sshd::start(&host);
    server.hosts.0.lock().is_due = true;
    fs::write(host.path("sshd_config.d/50-typo.conf"), "Nonsense yes\n").unwrap();
    let report = host.json(&["sync"]).await;
    assert_eq!(
        (&report["host"]["renewed"], &report["host"]["reloaded"]),
        (&true.into(), &false.into())
    );
    assert!(notes(&report).contains("Nonsense"), "{report}");
    {
        // The server hears of it.
        let state = server.hosts.0.lock();
        let faults = &state.reports.last().unwrap().faults;
        assert!(
            faults.iter().any(|it| it.contains("Nonsense")),
            "{faults:?}"
        );
    }
    // The running sshd lives. Before OpenSSH 9.8, its process for a connection reads the new file.
    first_contact(&server, &sshd, "web-1", &[]).unwrap();
    fs::remove_file(host.path("sshd_config.d/50-typo.conf")).unwrap();
    let wrong = doctor(&host).await;
    assert!(
        wrong.iter().any(|it| it.contains("old host certificates")),
        "{wrong:?}"
    );
    let report = host.json(&["sync"]).await;
    assert_eq!(report["host"]["reloaded"], true, "{report}");
    let shown = first_contact(&server, &sshd, "web-1", &[]).unwrap();
    assert!(shown.contains("serial 50 "), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_the_server_forgot_still_syncs_and_says_so() {
    let (ca, server, host) = joined().await;
    server.hosts.0.lock().refuse = Some("NO_SUCH_HOST");
    server.krl(krl_signed(&ca, 9, &[7]));
    let report = host.json(&["sync"]).await;
    assert_eq!(
        (&report["krl_version"], &report["revoked"]),
        (&9.into(), &1.into())
    );
    assert_eq!(report["host"]["reported"], false);
    assert!(
        notes(&report).contains("does not know this host"),
        "{report}"
    );
    let wrong = doctor(&host).await;
    assert!(
        wrong
            .iter()
            .any(|it| it.contains("does not know this host")),
        "{wrong:?}"
    );
    // It is known again.
    server.hosts.0.lock().refuse = None;
    let report = host.json(&["sync"]).await;
    assert_eq!(
        (&report["host"]["reported"], notes(&report).as_str()),
        (&true.into(), "[]")
    );
    assert_eq!(
        server.hosts.0.lock().reports.last().unwrap().faults,
        Vec::<String>::new()
    );
    // An older server, without the service.
    server.hosts.0.lock().refuse = Some("UNIMPLEMENTED");
    let report = host.json(&["sync"]).await;
    assert!(notes(&report).contains("does not know hosts"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_host_key_is_said_by_sync_and_doctor_and_refused_by_users() {
    let (ca, server, host) = joined().await;
    let next = Ca::new();
    host.replace_key();
    let reports = server.hosts.0.lock().reports.len();
    // The timer stayed green while users' ssh refused the host. All else is done all the same.
    server.keys(keys(8, &[&ca, &next], &ca));
    let report = host.finds(&["sync"]).await;
    let said = notes(&report);
    assert!(
        said.contains("--rekey") && said.contains("host_key"),
        "{said}"
    );
    assert_eq!(report["host"]["keys_replaced"], true, "{report}");
    assert_eq!(report["added_keys"][0], next.fingerprint(), "{report}");
    assert_eq!(server.hosts.0.lock().reports.len(), reports);
    let wrong = doctor(&host).await;
    assert!(wrong.iter().any(|it| it.contains("--rekey")), "{wrong:?}");
    let sshd = Sshd::start(&host);
    let only = [
        "-o",
        "HostKeyAlgorithms=ssh-ed25519-cert-v01@openssh.com,ssh-ed25519",
    ];
    let said = first_contact(&server, &sshd, "web-1", &only).unwrap_err();
    assert!(said.contains("Host key verification failed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn renewed_certificates_for_other_names_or_times_are_refused_and_the_old_ones_stay() {
    let (_, server, host) = joined().await;
    let before = host.read("daypass/host-ed25519-cert.pub");
    server.hosts.0.lock().is_due = true;
    server.hosts.0.lock().names = vec!["web-1"];
    let report = host.json(&["sync"]).await;
    assert!(notes(&report).contains("this host is"), "{report}");
    server.hosts.0.lock().names = vec!["web-1", "www"];
    server.hosts.0.lock().is_due = true;
    // A host whose clock is a month ahead.
    let variables = [&faketime::variables()[..], &[("FAKETIME", "+30d")]].concat();
    let output = host
        .daypass_with(&["sync", "--format", "json"], &variables)
        .await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(notes(&report).contains("clock of this host"), "{report}");
    assert_eq!(host.read("daypass/host-ed25519-cert.pub"), before);
    let output = host.daypass_with(&["doctor"], &variables).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("-cert.pub expired"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_leaves_the_old_certificates_and_the_running_sshd() {
    let (_, server, host) = joined().await;
    let folder = host.path("daypass");
    server.hosts.0.lock().is_due = true;
    // Our folder, with all that is in it, on a file system that has no byte left.
    let script = format!(
        "set -e; cp -a {0} {0}.copy; mount -t tmpfs -o size=64k tmpfs {0}; cp -a {0}.copy/. {0}; \
         (cat /dev/zero >{0}/filler) 2>/dev/null || true; \"$@\" || true; \
         cmp {0}/host-ed25519-cert.pub {0}.copy/host-ed25519-cert.pub",
        folder.display()
    );
    let enter = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        &script,
        "sh",
    ];
    let enter = enter.map(str::to_owned);
    let output = host.daypass_in(&enter, &["sync"]).await;
    assert!(output.status.success(), "{output:?}");
    // The sync fails, or, if its own files fit, asks for no certificates.
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("No space left on device"), "{said}");
    assert!(!said.contains("renewed its"), "{said}");
    let sshd = Sshd::start(&host);
    assert!(
        first_contact(&server, &sshd, "web-1", &[]).is_ok(),
        "{}",
        log(&host)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn remove_takes_the_certificates_away_and_users_are_asked_again() {
    let (_, server, host) = joined().await;
    let sshd = Sshd::start(&host);
    assert!(first_contact(&server, &sshd, "web-1", &[]).is_ok());
    assert_eq!(host.json(&["remove"]).await["step"], "configuration");
    reload(&sshd, &host);
    assert!(first_contact(&server, &sshd, "web-1", &[]).is_err());
    assert_eq!(host.json(&["remove"]).await["step"], "files");
    assert!(!host.path("daypass").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_shows_no_certificate_to_anyone_is_found() {
    let (_, _server, host) = joined().await;
    let first = host.path("sshd_config.d/00-aaa.conf");
    fs::write(&first, "HostKeyAlgorithms ssh-ed25519\n").unwrap();
    let wrong = doctor(&host).await;
    assert!(
        wrong.iter().any(|it| it.contains("to no user")),
        "{wrong:?}"
    );
    fs::remove_file(&first).unwrap();
    fs::write(host.path("daypass/host-rsa-cert.pub"), "garbage").unwrap();
    let wrong = doctor(&host).await;
    assert!(
        wrong.iter().any(|it| it.contains("missing or broken")),
        "{wrong:?}"
    );
}

/// At each sync, a full or read-only file system would cost the server certificates that are lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_cannot_write_asks_for_no_certificates_and_says_so() {
    let (_, server, host) = joined().await;
    server.hosts.0.lock().is_due = true;
    let serial = server.hosts.0.lock().serial;
    let folder = host.path("daypass");
    let script = format!(
        "mount --bind {0} {0} && mount -o remount,bind,ro {0} && exec \"$@\"",
        folder.display()
    );
    let namespace = ["unshare", "--mount", "sh", "-c", &script, "sh"].map(str::to_owned);
    let before = host.everything();
    let output = host.daypass_in(&namespace, &["sync"]).await;
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(host.everything(), before);
    let report = server.hosts.0.lock().reports.pop().unwrap();
    assert!(report.keeps_certificates, "{report:?}");
    let told = &report.faults[0];
    assert!(told.contains("cannot be written (Read-only"), "{told}");
    assert_eq!(server.hosts.0.lock().serial, serial);
    let report = host.json(&["sync"]).await;
    assert_eq!(report["host"]["renewed"], true, "{report}");
    let reports = server.hosts.0.lock().reports.clone();
    assert!(reports.last().is_some_and(|it| !it.keeps_certificates));
}
