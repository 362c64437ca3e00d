//! Known hosts over the wire: who joins, with which keys, and what a stranger, a thief of a code
//! and a replay get.

use std::{fs, process::Command};

use crate::support::{
    api::Refusal,
    env::TestEnv,
    files,
    hosts::{self, TestHost, join, joined, new_host, serials, sync},
    now, policy,
};
use daypass::{
    ledger::{event::NewHost, join_code},
    proto::v1::{GetTrustRequest, JoinHostResponse, host::State, trust_client::TrustClient},
    ssh::host_proof::HostVerb,
    unix_seconds::UnixSeconds,
};
use ssh_key::{Certificate, HashAlg};
use tonic::Code;

async fn start() -> TestEnv {
    let policy = format!("{}[hosts]\nweb = [\"web-*\"]\n", policy::SHELL);
    hosts::knowing(TestEnv::new().policy(policy))
        .start_process()
        .await
}

fn reason<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
    result.unwrap_err().reason
}

/// The fingerprints of the user CA's keys.
async fn ca_keys(env: &TestEnv) -> Vec<String> {
    let key = env.ca_public_key().await;
    let key = ssh_key::PublicKey::from_openssh(&key).unwrap();
    vec![key.fingerprint(HashAlg::Sha256).to_string()]
}

/// The same request some milliseconds later: no report is as old as the last one.
fn later(report: &mut daypass::proto::v1::HostReport, by: u64) {
    report.at += by;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_joins_with_its_code_and_openssh_reads_its_certificates() {
    let mut env = start().await;
    let carol = env.carol();
    let code = hosts::code();
    let host = NewHost {
        aliases: vec!["10.0.0.7".to_owned(), "www.example.com".to_owned()],
        ..new_host("web-1", &code)
    };
    let request = carol.add_host_request(host).await;
    carol.send_add_host(request).await.unwrap();
    let expected = carol.hosts(false).await.unwrap();
    assert_eq!(expected[0].state(), State::Expected);
    assert!(expected[0].invited_until > 0 && expected[0].joined_at == 0);

    let web = TestHost::new("web-1");
    let server = env.api.server_name().to_owned();
    // As a person types it.
    let typed = code.to_lowercase().replace('-', " ");
    let mut request = web.joining(&server, &code);
    request.code = typed;
    let answer = join(&env.api, request).await.unwrap();
    assert_eq!(answer.host.as_ref().unwrap().name, "web-1");
    assert_eq!(answer.certificates.len(), 2, "one for each key");
    let mut trust = TrustClient::new(env.api.channel());
    let trust = trust.get_trust(GetTrustRequest {}).await.unwrap();
    let trust = trust.into_inner();
    assert_eq!(
        trust.known_host_names,
        ["web-*", "*.example.com", "10.0.0.*"]
    );
    let ca = ssh_key::PublicKey::from_openssh(&trust.host_ca_keys[0]).unwrap();
    assert_ne!(ca.to_openssh().unwrap(), env.ca_public_key().await);
    for (key, text) in web.public().iter().zip(&answer.certificates) {
        let certificate = Certificate::from_openssh(text).unwrap();
        assert_eq!(certificate.public_key(), key.key_data());
        assert_eq!(certificate.signature_key(), ca.key_data());
        let file = env.folder().join("shown-cert.pub");
        fs::write(&file, text).unwrap();
        let shown = Command::new("ssh-keygen").arg("-Lf").arg(&file).output();
        let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
        for line in [
            "host certificate",
            "Key ID: \"host/web-1\"",
            "10.0.0.7\n                web-1\n                www.example.com\n",
            "Critical Options: (none)",
            "Extensions: (none)",
        ] {
            assert!(shown.contains(line), "{line}: {shown}");
        }
        let days = (certificate.valid_before() - certificate.valid_after()) / 86_400;
        assert_eq!(days, 14);
    }
    // Each serial is the index of its event, which was there first.
    let events = env.events(0).await;
    for serial in serials(&answer.certificates) {
        let event = &events[usize::try_from(serial).unwrap()];
        assert_eq!(event["type"], "host_certified", "{event}");
    }
    let kinds: Vec<&str> = events.iter().filter_map(|it| it["type"].as_str()).collect();
    assert!(kinds.ends_with(&[
        "host_added",
        "host_joined",
        "host_certified",
        "host_certified"
    ]));
    assert!(
        !serde_json::to_string(&events).unwrap().contains(&code),
        "the code is a secret"
    );
    let listed = carol.hosts(false).await.unwrap();
    assert_eq!(listed[0].state(), State::Joined);
    assert_eq!(listed[0].keys.len(), 2);
    env.assert_verifies().await;
    // The state is the same after a restart.
    env.restart().await;
    assert_eq!(env.carol().hosts(false).await.unwrap(), listed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_opens_one_join_of_one_machine() {
    let env = start().await;
    let carol = env.carol();
    let code = carol.add_host("web-1", false).await.unwrap();
    let server = env.api.server_name().to_owned();
    let (one, other) = (TestHost::new("web-1"), TestHost::new("web-1"));
    // Both at once.
    let (first, second) = tokio::join!(
        join(&env.api, one.joining(&server, &code)),
        join(&env.api, other.joining(&server, &code)),
    );
    let (winner, loser, refusal) = match (first, second) {
        (Ok(_), Err(refusal)) => (one, other, refusal),
        (Err(refusal), Ok(_)) => (other, one, refusal),
        both => panic!("{both:?}"),
    };
    assert_eq!(refusal.reason, "HOST_CODE_USED", "{refusal:?}");
    // A lost answer is given again; the other machine stays refused.
    let again = join(&env.api, winner.joining(&server, &code))
        .await
        .unwrap();
    assert_eq!(again.certificates.len(), 2);
    let stolen = join(&env.api, loser.joining(&server, &code)).await;
    assert_eq!(reason(stolen), "HOST_CODE_USED");
    let joins = env.events(0).await;
    let joins = joins
        .iter()
        .filter(|it| it["type"] == "host_joined")
        .count();
    assert_eq!(joins, 1);
    // It is not an endless source of events.
    let mut made = 2 + again.certificates.len();
    let refusal = loop {
        match join(&env.api, winner.joining(&server, &code)).await {
            Ok(answer) => made += answer.certificates.len(),
            Err(refusal) => break refusal,
        }
        assert!(made <= 32, "{made} certificates");
    };
    assert_eq!(refusal.reason, "TOO_MANY_REQUESTS");
    env.assert_verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessed_expired_and_withdrawn_codes_are_refused_alike() {
    let env = start().await;
    let carol = env.carol();
    let server = env.api.server_name().to_owned();
    let web = TestHost::new("web-1");
    let short = hosts::code();
    let host = NewHost {
        expires_at: UnixSeconds(u64::try_from(now()).unwrap() + 5),
        ..new_host("web-1", &short)
    };
    let request = carol.add_host_request(host).await;
    carol.send_add_host(request).await.unwrap();
    while now() < i64::try_from(carol.hosts(false).await.unwrap()[0].invited_until).unwrap() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let replaced = carol.add_host("web-1", false).await.unwrap();
    let removed = carol.add_host("web-2", false).await.unwrap();
    carol.add_host("web-1", false).await.unwrap();
    carol.remove_host("web-2").await.unwrap();
    let size = env.ledger_size().await;
    let mut messages = Vec::new();
    for code in [&short, &replaced, &removed, &hosts::code(), &"x".to_owned()] {
        let refusal = join(&env.api, web.joining(&server, code))
            .await
            .unwrap_err();
        assert_eq!(refusal.code, Code::PermissionDenied);
        assert_eq!(refusal.reason, "HOST_CODE_INVALID");
        messages.push(refusal.message);
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(env.ledger_size().await, size, "a guess leaves no event");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_did_not_sign_this_call_joins_nothing() {
    let env = start().await;
    let carol = env.carol();
    let code = carol.add_host("web-1", false).await.unwrap();
    let server = env.api.server_name().to_owned();
    let (web, other) = (TestHost::new("web-1"), TestHost::new("web-1"));
    let honest = web.joining(&server, &code);
    let digest = join_code::hash(&code).unwrap();
    let mut foreign = honest.clone();
    foreign.keys[0].signature = other.joining(&server, &code).keys[0].signature.clone();
    let mut elsewhere = honest.clone();
    elsewhere.keys = web.prove("ca.example.org", HostVerb::Join, &digest);
    let mut as_report = honest.clone();
    as_report.keys = web.prove(&server, HostVerb::Sync, &digest);
    let mut of_other_code = honest.clone();
    of_other_code.keys = web.prove(&server, HostVerb::Join, &[7; 32]);
    // The signatures name all keys of the call.
    let mut fewer = honest.clone();
    fewer.keys.pop();
    for (case, request) in [
        ("another key's signature", foreign),
        ("for another server", elsewhere),
        ("of a report", as_report),
        ("for another code", of_other_code),
        ("one key left out", fewer),
    ] {
        let refusal = join(&env.api, request).await.unwrap_err();
        assert_eq!(refusal.reason, "POSSESSION", "{case}");
        assert_eq!(refusal.code, Code::Unauthenticated, "{case}");
    }
    let mut twice = honest.clone();
    twice.keys.push(twice.keys[0].clone());
    let mut none = honest.clone();
    none.keys.clear();
    let mut cut = honest.clone();
    cut.keys[0].signature.truncate(40);
    for (case, request) in [
        ("a key twice", twice),
        ("no key", none),
        ("a cut signature", cut),
    ] {
        assert_eq!(
            reason(join(&env.api, request).await),
            "ASK_MALFORMED",
            "{case}"
        );
    }
    join(&env.api, honest).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_hosts_key_and_a_changed_key_are_refused_until_an_administrator_says_so() {
    let env = start().await;
    let carol = env.carol();
    let server = env.api.server_name().to_owned();
    let (web, old) = joined(&env, "web-1").await;
    // A clone of the machine.
    let code = carol.add_host("web-2", false).await.unwrap();
    let clone = TestHost {
        name: "web-2".to_owned(),
        ..web.clone()
    };
    let refusal = join(&env.api, clone.joining(&server, &code))
        .await
        .unwrap_err();
    assert_eq!(refusal.reason, "HOST_KEYS", "{refusal:?}");
    // A known host is not added again, and its report by other keys is refused.
    assert_eq!(reason(carol.add_host("web-1", false).await), "HOST_KNOWN");
    let new = TestHost::new("web-1");
    let report = new.report(&ca_keys(&env).await, &old);
    let refusal = sync(&env.api, new.reporting(&server, &report)).await;
    let refusal = refusal.unwrap_err();
    assert_eq!(refusal.reason, "HOST_KEY_CHANGED");
    assert!(
        refusal
            .message
            .contains("daypass admin hosts add web-1 --rekey")
    );
    // An unknown one cannot be let in again.
    assert_eq!(reason(carol.add_host("web-9", true).await), "NO_SUCH_HOST");
    let code = carol.add_host("web-1", true).await.unwrap();
    assert_eq!(
        carol.hosts(false).await.unwrap()[0].state(),
        State::Rekeying
    );
    // Until then the old keys still report.
    let report = web.report(&ca_keys(&env).await, &old);
    sync(&env.api, web.reporting(&server, &report))
        .await
        .unwrap();
    let answer = join(&env.api, new.joining(&server, &code)).await.unwrap();
    assert_eq!(answer.host.unwrap().group, "web", "it keeps its group");
    let mut report = web.report(&ca_keys(&env).await, &old);
    later(&mut report, 1000);
    let refusal = sync(&env.api, web.reporting(&server, &report)).await;
    assert_eq!(reason(refusal), "HOST_KEY_CHANGED", "the old keys are out");
    env.assert_verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_kept_once_and_old_ones_are_refused() {
    let env = start().await;
    let carol = env.carol();
    let server = env.api.server_name().to_owned();
    let (web, serials) = joined(&env, "web-1").await;
    let keys = ca_keys(&env).await;
    let report = web.report(&keys, &serials);
    let signed = web.reporting(&server, &report);
    let size = env.ledger_size().await;
    assert!(
        sync(&env.api, signed.clone()).await.unwrap().is_empty(),
        "nothing is due"
    );
    assert_eq!(env.ledger_size().await, size, "a report is no event");
    assert_eq!(
        reason(sync(&env.api, signed).await),
        "HOST_REPORT",
        "a replay"
    );
    let listed = carol.hosts(false).await.unwrap();
    assert_eq!(listed[0].report.as_ref(), Some(&report));
    assert!(listed[0].behind.is_empty(), "{:?}", listed[0].behind);
    for (case, by) in [("old", -400_000), ("of the future", 400_000)] {
        let mut wrong = report.clone();
        wrong.at = wrong.at.checked_add_signed(by).unwrap();
        let refused = sync(&env.api, web.reporting(&server, &wrong)).await;
        assert_eq!(reason(refused), "HOST_REPORT", "{case}");
    }
    // Changed after it was signed.
    let mut changed = web.reporting(&server, &report);
    changed.report.extend_from_slice(&[0x10, 0x01]);
    assert!(sync(&env.api, changed).await.is_err());
    // Of an unknown host, and of one that was removed.
    let stranger = TestHost::new("web-7");
    let refused = sync(
        &env.api,
        stranger.reporting(&server, &stranger.report(&keys, &[])),
    )
    .await;
    assert_eq!(reason(refused), "NO_SUCH_HOST");
    let still_valid = carol.remove_host("web-1").await.unwrap();
    assert_eq!(still_valid, serials);
    let mut next = report.clone();
    later(&mut next, 1000);
    assert_eq!(
        reason(sync(&env.api, web.reporting(&server, &next)).await),
        "NO_SUCH_HOST"
    );
    assert!(carol.hosts(false).await.unwrap().is_empty());
    env.assert_verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_says_why_a_host_is_behind_and_hostile_text_stays_out() {
    let env = start().await;
    let carol = env.carol();
    let server = env.api.server_name().to_owned();
    let (web, serials) = joined(&env, "web-1").await;
    let (current, _) = joined(&env, "web-2").await;
    let keys = ca_keys(&env).await;
    let good = current.report(&keys, &serials);
    sync(&env.api, current.reporting(&server, &good))
        .await
        .unwrap();
    let mut report = web.report(&[], &serials);
    report.faults = vec!["sshd does not read /etc/ssh/daypass.conf".to_owned()];
    report.krl_version = None;
    sync(&env.api, web.reporting(&server, &report))
        .await
        .unwrap();
    let behind = carol.hosts(true).await.unwrap();
    assert_eq!(behind.len(), 1);
    assert_eq!(
        behind[0].behind,
        [
            format!("it does not trust the active CA key {}", keys[0]),
            "it has no revocation list".to_owned(),
            "sshd does not read /etc/ssh/daypass.conf".to_owned(),
        ]
    );
    for (case, change) in [
        ("a newline", "x\nweb-9 is fine"),
        ("an escape", "\u{1b}[2J"),
        ("a direction", "\u{202e}x"),
        ("much text", &"x".repeat(257)),
    ] {
        let mut report = report.clone();
        later(&mut report, 1000);
        report.faults = vec![change.to_owned()];
        let refused = sync(&env.api, web.reporting(&server, &report)).await;
        assert_eq!(reason(refused), "ASK_MALFORMED", "{case}");
    }
    let mut many = report.clone();
    many.faults = vec!["x".to_owned(); 17];
    let refused = sync(&env.api, web.reporting(&server, &many)).await;
    assert_eq!(reason(refused), "ASK_MALFORMED");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_certificates_are_made_again_and_only_so_often() {
    let env = start().await;
    let server = env.api.server_name().to_owned();
    let (web, first) = joined(&env, "web-1").await;
    let keys = ca_keys(&env).await;
    let mut report = web.report(&keys, &[]);
    let again = sync(&env.api, web.reporting(&server, &report))
        .await
        .unwrap();
    assert_eq!(again.len(), 2, "it has none");
    assert_ne!(serials(&again), first);
    let mut made = 4;
    for _ in 0..40 {
        later(&mut report, 1);
        let answer = sync(&env.api, web.reporting(&server, &report)).await;
        made += answer.unwrap().len();
    }
    assert!(made <= 34, "{made} certificates");
    later(&mut report, 1);
    report.certificates = serials(&again);
    // The newest ones are others by now: what it has is old, and nothing more is made.
    assert!(
        sync(&env.api, web.reporting(&server, &report))
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_about_hosts_are_checked_in_each_part_and_count_once() {
    let env = start().await;
    let carol = env.carol();
    let code = hosts::code();
    let good = new_host("web-1", &code);
    let at = |seconds: u64| UnixSeconds(u64::try_from(now()).unwrap() + seconds);
    for (case, host, expected) in [
        (
            "a pattern",
            NewHost {
                name: "web-*".into(),
                ..good.clone()
            },
            "ASK_MALFORMED",
        ),
        (
            "a newline",
            NewHost {
                name: "web-1\nx".into(),
                ..good.clone()
            },
            "ASK_MALFORMED",
        ),
        (
            "upper case",
            NewHost {
                name: "Web-1".into(),
                ..good.clone()
            },
            "ASK_MALFORMED",
        ),
        (
            "outside of the names",
            NewHost {
                name: "db-1".into(),
                ..good.clone()
            },
            "ASK_MALFORMED",
        ),
        (
            "an alias outside of them",
            NewHost {
                aliases: vec!["github.com".into()],
                ..good.clone()
            },
            "ASK_MALFORMED",
        ),
        (
            "an alias that is a pattern",
            NewHost {
                aliases: vec!["*.example.com".into()],
                ..good.clone()
            },
            "ASK_MALFORMED",
        ),
        (
            "an alias twice",
            NewHost {
                aliases: vec!["web-2".into(), "web-2".into()],
                ..good.clone()
            },
            "HOST_ORDER",
        ),
        (
            "many aliases",
            NewHost {
                aliases: (0..17).map(|n| format!("web-a{n}")).collect(),
                ..good.clone()
            },
            "ASK_MALFORMED",
        ),
        (
            "no group",
            NewHost {
                group: String::new(),
                ..good.clone()
            },
            "HOST_ORDER",
        ),
        (
            "a group that the policy lacks",
            NewHost {
                group: "wbe".into(),
                ..good.clone()
            },
            "ASK_MALFORMED",
        ),
        (
            "a bad group",
            NewHost {
                group: "we b".into(),
                ..good.clone()
            },
            "ASK_MALFORMED",
        ),
        (
            "a long time",
            NewHost {
                expires_at: at(8 * 86_400),
                ..good.clone()
            },
            "ASK_MALFORMED",
        ),
        (
            "the past",
            NewHost {
                expires_at: at(0),
                ..good.clone()
            },
            "ASK_MALFORMED",
        ),
    ] {
        let request = carol.add_host_request(host).await;
        assert_eq!(
            reason(carol.send_add_host(request).await),
            expected,
            "{case}"
        );
    }
    let request = carol.add_host_request(good.clone()).await;
    // What was signed is what counts.
    for (case, changed) in [
        ("another host", {
            let mut it = request.clone();
            it.name = "web-2".to_owned();
            it
        }),
        ("another code", {
            let mut it = request.clone();
            it.code_sha256[0] ^= 1;
            it
        }),
        ("longer", {
            let mut it = request.clone();
            it.expires_at += 1;
            it
        }),
        ("an alias more", {
            let mut it = request.clone();
            it.aliases.push("web-3".to_owned());
            it
        }),
        ("another group", {
            let mut it = request.clone();
            it.group = "db".to_owned();
            it
        }),
    ] {
        assert_eq!(
            reason(carol.send_add_host(changed).await),
            "POSSESSION",
            "{case}"
        );
    }
    let eve = env.user("eve", &["oncall"]);
    let refused = eve
        .send_add_host(eve.add_host_request(good.clone()).await)
        .await;
    assert_eq!(reason(refused), "ADMIN_DENIED");
    assert_eq!(reason(eve.hosts(false).await), "ADMIN_DENIED");
    carol.send_add_host(request.clone()).await.unwrap();
    assert_eq!(
        reason(carol.send_add_host(request).await),
        "ORDER_STALE",
        "a replay"
    );
    // A name belongs to one host.
    let second = NewHost {
        aliases: vec!["web-1".to_owned()],
        ..new_host("web-2", &hosts::code())
    };
    let request = carol.add_host_request(second).await;
    assert_eq!(reason(carol.send_add_host(request).await), "HOST_NAME");
    // The same code does not open two hosts.
    let request = carol.add_host_request(new_host("web-2", &code)).await;
    assert_eq!(reason(carol.send_add_host(request).await), "HOST_ORDER");
    env.assert_verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_rsa_key_of_2048_bits_that_ssh_keygen_signs_with_joins() {
    let env = start().await;
    let carol = env.carol();
    let code = carol.add_host("web-1", false).await.unwrap();
    let server = env.api.server_name().to_owned();
    let folder = files::folder();
    let file = folder.path().join("rsa");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-C", "", "-f"])
        .arg(&file)
        .status();
    assert!(made.unwrap().success());
    let public = fs::read_to_string(file.with_extension("pub")).unwrap();
    let public = ssh_key::PublicKey::from_openssh(public.trim()).unwrap();
    let digest = join_code::hash(&code).unwrap();
    let keys = [public.clone()];
    let proof = daypass::ssh::host_proof::HostProof {
        server: &server,
        verb: HostVerb::Join,
        digest: &digest,
        keys: &keys,
    };
    let message = folder.path().join("message");
    fs::write(&message, proof.message().unwrap()).unwrap();
    let signed = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", "daypass-host@v1", "-f"])
        .arg(&file)
        .arg(&message)
        .status();
    assert!(signed.unwrap().success());
    let armored = fs::read_to_string(folder.path().join("message.sig")).unwrap();
    let armored: String = armored
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    use base64::Engine as _;
    let signature = base64::engine::general_purpose::STANDARD
        .decode(armored)
        .unwrap();
    let mut request = TestHost::new("web-1").joining(&server, &code);
    request.keys = vec![daypass::proto::v1::HostKeyProof {
        public_key: public.to_openssh().unwrap(),
        signature,
    }];
    let answer: JoinHostResponse = join(&env.api, request).await.unwrap();
    assert!(answer.certificates[0].starts_with("ssh-rsa-cert-v01@openssh.com "));
    env.assert_verifies().await;
}
