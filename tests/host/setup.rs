//! `host setup`: all of it or nothing.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use super::{
    ca::Ca,
    fake_ca::{Answer, FakeCa, keys_signed},
    host::{Host, setup_arguments},
};

#[tokio::test(flavor = "multi_thread")]
async fn setup_writes_what_sshd_needs_and_doing_it_again_changes_nothing() {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    let report = host
        .set_up(&server, &["--group", "web", "--group", "all"])
        .await;
    assert_eq!(report["keys"][0]["fingerprint"], ca.fingerprint());
    assert_eq!(
        (&report["trusted_by"], &report["changed"]),
        (&"tls".into(), &true.into())
    );
    let drop_in = String::from_utf8(host.read("sshd_config.d/00-daypass.conf")).unwrap();
    assert!(drop_in.contains(r"AuthorizedPrincipalsCommand /usr/bin/printf %%s\n %u@web %u@all"));
    assert_eq!(host.read("daypass/ca.pub"), ca.line().into_bytes());
    for name in ["ca.pub", "revoked.krl", "host.json", "tls-ca.pem"] {
        let mode = fs::metadata(host.path("daypass").join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o644, "{name}");
    }

    let before = host.everything();
    let again = host
        .set_up(&server, &["--group", "web", "--group", "all"])
        .await;
    assert_eq!(again["changed"], false);
    assert_eq!(host.everything(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh_takes_the_first_revocation_list_and_it_revokes_no_pass() {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    host.set_up(&server, &[]).await;
    let (krl, key) = (
        host.path("daypass/revoked.krl"),
        host.path("daypass/ca.pub"),
    );
    assert!(fs::metadata(&krl).unwrap().len() > 0);
    let asked = Command::new("ssh-keygen")
        .arg("-Q")
        .arg("-f")
        .args([krl, key])
        .output();
    let asked = asked.expect("ssh-keygen is missing: apt-get install openssh-client");
    assert!(asked.status.success(), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_sshd_says_no_everything_is_as_it_was() {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    let roots = host.roots(&server);
    let include = format!("Include {}\n", host.path("sshd_config.d/*.conf").display());
    let cases = [
        (
            "a broken configuration",
            format!("{include}Nonsense yes\n"),
            "SSHD",
            "already before this set-up",
        ),
        (
            "no host key",
            format!("{include}HostKey /nonexistent\n"),
            "SSHD",
            "no hostkeys",
        ),
        (
            "no include",
            "UsePAM no\n".to_owned(),
            "USAGE",
            "put this line at its top",
        ),
        (
            "an include for some",
            format!("Match User x\n{include}"),
            "USAGE",
            "put this line",
        ),
    ];
    for (case, text, reason, said) in cases {
        fs::write(host.path("sshd_config"), text).unwrap();
        let before = host.everything();
        let failure = host.fails(&setup_arguments(&server.url, &roots, &[])).await;
        assert_eq!(failure.1, reason, "{case}: {failure:?}");
        assert!(failure.2.contains(said), "{case}: {failure:?}");
        assert_eq!(host.everything(), before, "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_another_file_speaks_first_setup_is_taken_back() {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    let roots = host.roots(&server);
    // sshd takes the first value of a keyword, but the last AuthorizedPrincipalsCommand (9.2).
    for (name, keyword, value) in [
        ("00-aaa.conf", "TrustedUserCAKeys", "/etc/ssh/other.pub"),
        ("00-aaa.conf", "RevokedKeys", "/etc/ssh/other.krl"),
        (
            "99-zzz.conf",
            "AuthorizedPrincipalsCommandUser nobody\nAuthorizedPrincipalsCommand",
            "/bin/true",
        ),
    ] {
        let other = host.path("sshd_config.d").join(name);
        fs::write(&other, format!("{keyword} {value}\n")).unwrap();
        let before = host.everything();
        let arguments = setup_arguments(&server.url, &roots, &["--group", "web"]);
        let failure = host.fails(&arguments).await;
        assert!(
            failure.2.contains(value) && failure.2.contains("undone"),
            "{failure:?}"
        );
        assert_eq!(host.everything(), before, "{keyword}");
        fs::remove_file(&other).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_key_must_be_there_or_have_signed_the_others() {
    let (ca, next, stranger) = (Ca::new(), Ca::new(), Ca::new());
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    let roots = host.roots(&server);
    let unsigned = Answer::Good((ca.line() + &next.line()).into_bytes(), None);
    for (case, keys, pin, expected) in [
        ("the key itself", keys_signed(&[&ca], &ca), &ca, true),
        ("another key", keys_signed(&[&ca], &ca), &stranger, false),
        (
            "two keys, signed",
            keys_signed(&[&ca, &next], &ca),
            &ca,
            true,
        ),
        (
            "two keys, signed by the other",
            keys_signed(&[&ca, &next], &next),
            &ca,
            false,
        ),
        ("two keys, unsigned", unsigned, &ca, false),
    ] {
        server.keys(keys);
        let pin = pin.fingerprint();
        let arguments = setup_arguments(&server.url, &roots, &["--ca-fingerprint", &pin]);
        if expected {
            assert_eq!(host.json(&arguments).await["trusted_by"], "pin", "{case}");
        } else {
            assert_eq!(host.fails(&arguments).await.1, "CA_PIN", "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_could_reach_sshds_configuration_are_checked() {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    let roots = host.roots(&server);
    let before = host.everything();
    for group in [
        "",
        "web db",
        "web\nPermitRootLogin yes",
        "%u",
        "web@db",
        "-x",
        "w,b",
        "wéb",
    ] {
        let group = format!("--group={group}");
        let failure = host
            .fails(&setup_arguments(&server.url, &roots, &[&group]))
            .await;
        assert_eq!((failure.0, &*failure.1), (2, "USAGE"), "{group}");
    }
    for user in ["", "nobody x", "no\nbody"] {
        let user = format!("--principals-user={user}");
        let failure = host
            .fails(&setup_arguments(&server.url, &roots, &[&user]))
            .await;
        assert_eq!((failure.0, &*failure.1), (2, "USAGE"), "{user}");
    }
    assert_eq!(host.everything(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_none_are_not_written() {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    let roots = host.roots(&server);
    let before = host.everything();
    for (case, keys, code, reason) in [
        ("nothing", Answer::Good(Vec::new(), None), 1, "CA_KEYS"),
        (
            "a page",
            Answer::Good(b"<html>".to_vec(), None),
            1,
            "CA_KEYS",
        ),
        ("not found", Answer::Status(404), 1, "STATUS"),
        ("a redirect", Answer::Redirect, 1, "STATUS"),
        ("down", Answer::Status(503), 6, "UNREACHABLE"),
        ("too much", Answer::Endless(1024 * 1024), 1, "TOO_LARGE"),
    ] {
        server.keys(keys);
        let failure = host.fails(&setup_arguments(&server.url, &roots, &[])).await;
        assert_eq!(
            (failure.0, &*failure.1),
            (code, reason),
            "{case}: {failure:?}"
        );
    }
    let stranger = FakeCa::start(&ca).await;
    let untrusted = host
        .fails(&setup_arguments(&stranger.url, &roots, &[]))
        .await;
    assert_eq!(untrusted.0, 6, "{untrusted:?}");
    assert!(untrusted.2.contains("--ca-file"), "{untrusted:?}");
    assert_eq!(host.everything(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn setting_up_again_keeps_who_is_revoked() {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    host.set_up(&server, &[]).await;
    server.krl(super::fake_ca::krl_signed(&ca, 9, &[7]));
    host.json(&["sync"]).await;
    let before = host.read("daypass/revoked.krl");
    host.set_up(&server, &["--group", "web"]).await;
    assert_eq!(host.read("daypass/revoked.krl"), before);
}
