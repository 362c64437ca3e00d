//! `host sync`: sshd keeps a good list for every answer of the server.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use tokio::net::TcpSocket;

use super::{
    ca::Ca,
    fake_ca::{Answer, FakeCa, keys_signed, krl_signed, recovery_signed, signed},
    host::Host,
};

/// A host that has synced version 5, which revokes serial 7.
async fn world() -> (Ca, FakeCa, Host) {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    host.set_up(&server, &[]).await;
    server.krl(krl_signed(&ca, 5, &[7]));
    let report = host.json(&["sync"]).await;
    assert_eq!(
        (&report["krl_version"], &report["revoked"]),
        (&5.into(), &1.into())
    );
    (ca, server, host)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_list_replaces_and_the_same_one_is_up_to_date() {
    let (ca, server, host) = world().await;
    assert_eq!(host.json(&["sync"]).await["changed"], false);
    server.krl(krl_signed(&ca, 6, &[7, 8]));
    let report = host.json(&["sync"]).await;
    assert_eq!(
        (&report["changed"], &report["krl_version"]),
        (&true.into(), &6.into())
    );
    assert_eq!(
        host.read("daypass/revoked.krl").len(),
        ca.krl(6, &[7, 8]).len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_list_is_refused_and_the_last_good_one_stays() {
    let (ca, server, host) = world().await;
    let stranger = Ca::new();
    let newer = ca.krl(6, &[7]);
    let signature = |body: &[u8]| Some(ca.sign("daypass-krl@v1", body));
    let unsigned = Answer::Good(newer.clone(), None);
    let by_a_stranger = Answer::Good(newer.clone(), Some(stranger.sign("daypass-krl@v1", &newer)));
    let for_keys = Answer::Good(newer.clone(), Some(ca.sign("daypass-ca@v1", &newer)));
    let other_bytes = Answer::Good(newer.clone(), signature(b"other"));
    let no_signature = Answer::Good(newer.clone(), Some("AAAA".to_owned()));
    let truncated = newer[..newer.len() - 1].to_vec();
    let cut = Answer::Cut(newer.clone(), signature(&newer).unwrap());
    for (case, krl, code, reason) in [
        ("empty", signed(&ca, Vec::new()), 1, "KRL_EMPTY"),
        (
            "truncated, and signed so",
            signed(&ca, truncated.clone()),
            1,
            "KRL_MALFORMED",
        ),
        (
            "truncated on the way",
            Answer::Good(truncated, signature(&newer)),
            1,
            "SIGNATURE",
        ),
        (
            "garbage, and signed so",
            signed(&ca, vec![7; 500]),
            1,
            "KRL_MALFORMED",
        ),
        (
            "garbage",
            Answer::Good(vec![7; 500], signature(&newer)),
            1,
            "SIGNATURE",
        ),
        ("older", krl_signed(&ca, 4, &[]), 1, "KRL_OLDER"),
        ("unsigned", unsigned, 1, "UNSIGNED"),
        ("signed by a stranger", by_a_stranger, 1, "SIGNATURE"),
        ("signed for another purpose", for_keys, 1, "SIGNATURE"),
        ("a signature over other bytes", other_bytes, 1, "SIGNATURE"),
        ("a signature that is none", no_signature, 1, "SIGNATURE"),
        (
            "over 16 MiB",
            Answer::Endless(17 * 1024 * 1024),
            1,
            "TOO_LARGE",
        ),
        ("50 MB", Answer::Announced(50_000_000), 1, "TOO_LARGE"),
        ("a page of HTML", Answer::Html, 1, "UNSIGNED"),
        ("a redirect to the right one", Answer::Redirect, 1, "STATUS"),
        ("not found", Answer::Status(404), 1, "STATUS"),
        ("down", Answer::Status(503), 6, "UNREACHABLE"),
        ("a connection that breaks", cut, 6, "UNREACHABLE"),
        ("a server that hangs", Answer::Hang, 6, "UNREACHABLE"),
        ("a byte now and then", Answer::Drip, 6, "UNREACHABLE"),
    ] {
        let before = host.everything();
        let timeout = patience(&krl);
        server.krl(krl);
        let failure = host.fails(&["sync", "--timeout", timeout]).await;
        assert_eq!(
            (failure.0, &*failure.1),
            (code, reason),
            "{case}: {failure:?}"
        );
        assert!(
            failure.2.contains(reason_words(reason)),
            "{case}: {failure:?}"
        );
        assert_eq!(
            but_the_lock(&host.everything()),
            but_the_lock(&before),
            "{case}"
        );
    }
    server.krl(krl_signed(&ca, 6, &[7]));
    host.json(&["sync"]).await;
}

/// The command's `--timeout`: short only if nothing else ends it.
fn patience(answer: &Answer) -> &'static str {
    match answer {
        Answer::Hang | Answer::Drip => "1s",
        _ => "30s",
    }
}

/// A file with its mode and bytes.
type Kept = (std::path::PathBuf, u32, Vec<u8>);

fn but_the_lock(all: &[Kept]) -> Vec<Kept> {
    let others = all
        .iter()
        .filter(|(path, ..)| !path.ends_with("daypass/lock"));
    others.cloned().collect()
}

/// What a person is told, besides the code.
fn reason_words(reason: &str) -> &'static str {
    match reason {
        "UNREACHABLE" => "failed to reach https://localhost:",
        _ => "refused the server's answer: /",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_keys_are_refused_and_the_last_good_ones_stay() {
    let (ca, server, host) = world().await;
    server.krl(krl_signed(&ca, 6, &[7, 8]));
    let signed = |body: &[u8]| Answer::Good(body.to_vec(), Some(ca.sign("daypass-ca@v1", body)));
    let line = ca.line();
    let cut = Answer::Cut(
        line.clone().into_bytes(),
        ca.sign("daypass-ca@v1", line.as_bytes()),
    );
    for (case, keys, code, reason) in [
        ("empty", signed(b""), 1, "CA_KEYS"),
        ("half a key", signed(&line.as_bytes()[..40]), 1, "CA_KEYS"),
        ("garbage", signed(&[0xff; 90]), 1, "CA_KEYS"),
        ("a page of HTML", Answer::Html, 1, "CA_KEYS"),
        ("over 64 KiB", Answer::Endless(65 * 1024), 1, "TOO_LARGE"),
        ("50 MB", Answer::Announced(50_000_000), 1, "TOO_LARGE"),
        ("a redirect", Answer::Redirect, 1, "STATUS"),
        (
            "nothing new, though not asked so",
            Answer::Status(304),
            1,
            "STATUS",
        ),
        ("a connection that breaks", cut, 6, "UNREACHABLE"),
        ("a server that hangs", Answer::Hang, 6, "UNREACHABLE"),
        ("a byte now and then", Answer::Drip, 6, "UNREACHABLE"),
    ] {
        let before = host.everything();
        let timeout = patience(&keys);
        server.keys(keys);
        let failure = host.fails(&["sync", "--timeout", timeout]).await;
        assert_eq!(
            (failure.0, &*failure.1),
            (code, reason),
            "{case}: {failure:?}"
        );
        assert_eq!(
            but_the_lock(&host.everything()),
            but_the_lock(&before),
            "{case}"
        );
    }
    server.keys(keys_signed(&[&ca], &ca));
    assert_eq!(host.json(&["sync"]).await["revoked"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_keys_that_was_good_once_does_not_come_back() {
    let (ca, server, host) = world().await;
    let stolen = Ca::new();
    let list = |version: u64, keys: &[&Ca]| {
        let lines: String = keys.iter().map(|ca| ca.line()).collect();
        let body = format!("# daypass CA keys, version {version}\n{lines}").into_bytes();
        let signature = ca.sign("daypass-ca@v1", &body);
        Answer::Good(body, Some(signature))
    };
    server.keys(list(4, &[&ca, &stolen]));
    let report = host.json(&["sync"]).await;
    assert_eq!(report["added_keys"][0], stolen.fingerprint());
    server.keys(list(9, &[&ca]));
    let report = host.json(&["sync"]).await;
    assert_eq!(report["removed_keys"][0], stolen.fingerprint());
    for (case, keys) in [
        ("the older list", list(4, &[&ca, &stolen])),
        ("one of no version", keys_signed(&[&ca, &stolen], &ca)),
    ] {
        server.keys(keys);
        let failure = host.fails(&["sync"]).await;
        assert_eq!(
            (failure.0, &*failure.1),
            (1, "CA_KEYS_OLDER"),
            "{case}: {failure:?}"
        );
    }
    // Another daemon of the same CA started earlier, and has the same keys.
    server.keys(list(7, &[&ca]));
    assert_eq!(host.json(&["sync"]).await["changed"], false);
    let kept = String::from_utf8(host.read("daypass/ca.pub")).unwrap();
    assert!(kept.starts_with("# daypass CA keys, version 9\n"), "{kept}");
    server.keys(list(8, &[&ca, &stolen]));
    assert_eq!(host.fails(&["sync"]).await.1, "CA_KEYS_OLDER");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_reads_how_old_the_list_is() {
    let (_ca, _server, host) = world().await;
    let said = host.daypass(&["sync"]).await;
    let text = String::from_utf8(said.stdout).unwrap();
    let start = "up to date: 1 revoked (version 5, made ";
    assert!(text.starts_with(start), "{text}");
    assert!(text.contains("\nthe sync before was "), "{text}");
    let doctor = host.json(&["doctor"]).await;
    assert!(doctor["krl_made_at"].as_u64() > Some(0) && doctor["synced_ago"].as_u64() < Some(60));
}

/// A stopped command that had the lock made each sync wait past its time limit, without a word, and
/// `doctor` did not know why the revocations aged.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_another_command_keeps_is_said_and_ends_a_sync_in_time() {
    let (ca, server, host) = world().await;
    server.krl(krl_signed(&ca, 6, &[7, 8]));
    let lock = host.path("daypass/lock");
    let held = File::open(&lock).unwrap();
    held.lock().unwrap();
    // As a command that runs leaves it; this one is no daypass, but has this id.
    let id = std::process::id();
    fs::write(&lock, format!("pid {id}, since 2026-11-30 12:00:00 UTC")).unwrap();
    let holder = format!("another daypass command (pid {id}, since 2026-11-30 12:00:00 UTC)");
    let begun = Instant::now();
    let output = host.daypass(&["sync", "--timeout", "4s"]).await;
    // Without a limit it would wait for the whole minute of the helper.
    assert!(begun.elapsed() < Duration::from_secs(40));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = stderr.lines().collect();
    let [told, error] = lines[..] else {
        panic!("{stderr}");
    };
    let at = lock.display();
    let expected = format!("note: {holder} has {at}; waiting for it, 2 s at most");
    assert_eq!((told, output.status.code()), (&*expected, Some(1)));
    let expected = format!("{holder} has had {at} for 4 s: ");
    assert!(
        error.starts_with(&format!("daypass: {expected}")),
        "{error}"
    );
    let doctor = host.daypass(&["doctor"]).await;
    let doctor = String::from_utf8(doctor.stdout).unwrap();
    assert!(doctor.contains(&expected), "{doctor}");
    drop(held);
    assert_eq!(host.json(&["sync"]).await["krl_version"], 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_is_unreachable() {
    let (_, server, host) = world().await;
    drop(server);
    let failure = host.fails(&["sync", "--timeout", "15s"]).await;
    assert_eq!((failure.0, &*failure.1), (6, "UNREACHABLE"), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_goes_on_at_another_address_of_its_server() {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    // One address swallows every packet, and at one nothing listens.
    let hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = |address: SocketAddr| format!("https://localhost:{}", address.port());
    let (hole, closed) = (
        url(hole.local_addr().unwrap()),
        url(closed.local_addr().unwrap()),
    );
    let all = format!("{hole},{closed},{}", server.url);
    let report = host.set_up_at(&all, &server.roots, &[]).await;
    assert_eq!(report["server"], all);
    server.krl(krl_signed(&ca, 5, &[7]));
    let report = host.json(&["sync"]).await;
    assert_eq!(
        (&report["server"], &report["revoked"]),
        (&all.into(), &1.into())
    );
    let healthy = host.json(&["doctor"]).await;
    assert!(
        !healthy.to_string().contains("failed to reach"),
        "{healthy}"
    );
    drop(server);
    let (code, _, message) = host.fails(&["sync", "--timeout", "15s"]).await;
    assert_eq!(code, 6, "{message}");
    for address in [hole, closed] {
        assert!(message.contains(&address), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_ca_keys_come_only_from_a_key_that_is_trusted() {
    let (ca, server, host) = world().await;
    let next = Ca::new();
    let unsigned = Answer::Good((ca.line() + &next.line()).into_bytes(), None);
    for (case, keys, reason) in [
        (
            "signed by itself",
            keys_signed(&[&ca, &next], &next),
            "SIGNATURE",
        ),
        ("unsigned", unsigned, "UNSIGNED"),
        (
            "no keys",
            Answer::Good(Vec::new(), Some(ca.sign("daypass-ca@v1", b""))),
            "CA_KEYS",
        ),
    ] {
        server.keys(keys);
        assert_eq!(host.fails(&["sync"]).await.1, reason, "{case}");
        assert_eq!(
            host.read("daypass/ca.pub"),
            ca.line().into_bytes(),
            "{case}"
        );
    }
    server.keys(keys_signed(&[&ca, &next], &ca));
    let report = host.json(&["sync"]).await;
    assert_eq!(report["added_keys"][0], next.fingerprint());
    // The new key signs from now on, and the old one goes.
    server.keys(keys_signed(&[&next], &next));
    server.krl(krl_signed(&next, 6, &[]));
    let report = host.json(&["sync"]).await;
    assert_eq!(report["removed_keys"][0], ca.fingerprint());
    assert_eq!(host.read("daypass/ca.pub"), next.line().into_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_was_damaged_on_disk_is_replaced_but_never_by_an_older_one() {
    let (ca, server, host) = world().await;
    for damage in [&b""[..], b"SSHKRL\n\0"] {
        std::fs::write(host.path("daypass/revoked.krl"), damage).unwrap();
        server.krl(krl_signed(&ca, 4, &[]));
        assert_eq!(host.fails(&["sync"]).await.1, "KRL_OLDER");
        server.krl(krl_signed(&ca, 5, &[7]));
        assert_eq!(host.json(&["sync"]).await["changed"], true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_never_set_up_says_so() {
    let host = Host::new().await;
    let failure = host.fails(&["sync"]).await;
    assert_eq!((failure.0, &*failure.1), (1, "NOT_SET_UP"), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_the_recovery_document_is_told_from_one_that_lost_it() {
    let ca = Ca::new();
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    host.set_up(&server, &[]).await;
    host.json(&["sync"]).await;
    // It never had one: an older version, which is fine.
    let named = recovery_signed(&ca, 5, &[&format!("SHA256:{}", "a".repeat(43))]);
    server.recovery(named.clone());
    host.json(&["sync"]).await;
    server.recovery(Answer::Status(404));
    let (_, reason, words) = host.fails(&["sync"]).await;
    assert_eq!(reason, "RECOVERY");
    for part in [
        "404",
        "(1)",
        "older daypass",
        "daypass --version",
        "proxy",
        "curl -i https://",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    server.recovery(named);
    host.json(&["sync"]).await;
}
