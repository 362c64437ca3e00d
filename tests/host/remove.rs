//! `host remove`: everything that setup wrote, nothing else, and no login is lost on the way.

use std::fs;

use super::{
    accepts::{reload, write_pid_file},
    ca::Ca,
    fake_ca::FakeCa,
    host::Host,
    sshd::{Sshd, log, login, principals_user},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_as_it_was_before_and_the_running_sshd_loses_no_login() {
    let (ca, own) = (Ca::new(), Ca::new());
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    write_pid_file(&host);
    // What the host had before: another CA, behind ours.
    fs::write(host.path("own-ca.pub"), own.line()).unwrap();
    let line = format!("TrustedUserCAKeys {}\n", host.path("own-ca.pub").display());
    fs::write(host.path("sshd_config.d/50-own.conf"), line).unwrap();
    let before = host.everything();
    let user = principals_user();
    host.set_up(&server, &["--group", "web", "--principals-user", &user])
        .await;
    host.json(&["sync"]).await;
    let sshd = Sshd::start(&host);
    let pass = ca.pass(3, &[&format!("{}@web", login())]);
    let own = own.pass(3, &[&login()]);
    assert!(sshd.takes(&pass) && !sshd.takes(&own), "{}", log(&host));

    let first = host.json(&["remove"]).await;
    assert_eq!(first["step"], "configuration");
    // The running sshd still reads the list: without it, it would refuse every key.
    assert!(sshd.takes(&pass), "{}", log(&host));
    let refused = host.fails(&["remove"]).await;
    assert!(
        refused.1 == "SSHD" && refused.2.contains("systemctl reload ssh"),
        "{refused:?}"
    );
    assert!(sshd.takes(&pass), "{}", log(&host));

    reload(&sshd, &host);
    assert_eq!(host.json(&["remove"]).await["step"], "files");
    assert!(!sshd.takes(&pass) && sshd.takes(&own), "{}", log(&host));
    drop(sshd);
    for name in ["sshd.log", "sshd.pid", "passwd"] {
        let _ = fs::remove_file(host.path(name));
    }
    assert_eq!(host.everything(), before);

    assert_eq!(host.json(&["remove"]).await["step"], "nothing");
    let again = host.daypass(&["remove"]).await;
    assert_eq!(again.stdout, b"There is nothing to remove.\n");
    assert!(again.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_lines_and_files_stay() {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    host.set_up(&server, &[]).await;
    let ours = host.path("sshd_config.d/00-daypass.conf");
    let text = fs::read_to_string(&ours).unwrap() + "\nMaxSessions 3\n";
    fs::write(&ours, text).unwrap();
    fs::write(host.path("daypass/notes"), "mine").unwrap();
    let first = host.json(&["remove"]).await;
    assert_eq!(first["kept"], serde_json::json!(["MaxSessions 3"]));
    assert_eq!(fs::read_to_string(&ours).unwrap(), "MaxSessions 3\n");
    assert_eq!(host.json(&["remove"]).await["step"], "files");
    let left = fs::read_dir(host.path("daypass")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["notes"]);
    assert_eq!(host.json(&["remove"]).await["step"], "nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_elsewhere_that_names_our_files_stops_the_removal() {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    host.set_up(&server, &[]).await;
    let other = host.path("sshd_config.d/60-other.conf");
    let line = format!(
        "RevokedKeys {}\n",
        host.path("daypass/revoked.krl").display()
    );
    for text in [line.clone(), format!("Match User x\n{line}")] {
        fs::write(&other, text).unwrap();
        let before = host.everything();
        let refused = host.fails(&["remove"]).await;
        assert!(refused.2.contains("60-other.conf line"), "{refused:?}");
        assert_eq!(host.everything(), before);
    }
    fs::write(&other, "Nonsense yes\n").unwrap();
    let before = host.everything();
    assert_eq!(host.fails(&["remove"]).await.1, "SSHD");
    assert_eq!(host.everything(), before);
}
