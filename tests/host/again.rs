//! `host setup` on a host that is set up: beside a `sync` of the timer, and of a server that shows
//! other keys.

use std::{fs, os::unix::fs::MetadataExt, sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use super::{
    ca::Ca,
    fake_ca::{Answer, FakeCa},
    fake_hosts::CODE,
    host::{Host, setup_arguments},
};

/// How long a busy machine may take to get so far.
const PATIENCE: Duration = Duration::from_secs(60);

/// `/ca.pub` of this version, signed by one of the keys.
pub(crate) fn keys(version: u64, keys: &[&Ca], by: &Ca) -> Answer {
    let lines: String = keys.iter().map(|ca| ca.line()).collect();
    let body = format!("# daypass CA keys, version {version}\n{lines}");
    let signature = by.sign("daypass-ca@v1", body.as_bytes());
    Answer::Good(body.into_bytes(), Some(signature))
}

async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_undoes_nothing_that_a_sync_fetches_while_it_runs() {
    let (ca, stolen) = (Ca::new(), Ca::new());
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    server.keys(keys(4, &[&ca, &stolen], &ca));
    host.set_up(&server, &[]).await;
    host.json(&["sync"]).await;
    let gate = Arc::new(Semaphore::new(0));
    server.hosts.0.lock().gate = Some(gate.clone());
    let roots = host.roots(&server);
    let join = setup_arguments(&server.url, &roots, &["--join", CODE]);
    let others = async {
        // The set-up has read the keys. One of them is withdrawn.
        until(|| server.hosts.0.lock().joins > 0).await;
        server.keys(keys(9, &[&ca], &ca));
        let sync = host.json(&["sync"]);
        tokio::pin!(sync);
        let inode = fs::metadata(host.path("daypass/lock")).unwrap().ino();
        let waits = || {
            let locks = fs::read_to_string("/proc/locks").unwrap();
            let inode = format!(":{inode} ");
            let mut lines = locks.lines();
            lines.any(|line| line.contains(" -> ") && line.contains(&inode))
        };
        // It waits for the set-up, or it does not, and is done before it.
        let done = tokio::select! {
            report = &mut sync => Some(report),
            () = until(waits) => None,
        };
        gate.add_permits(1);
        match done {
            Some(report) => report,
            None => sync.await,
        }
    };
    let (_, report) = tokio::join!(host.json(&join), others);
    let kept = String::from_utf8(host.read("daypass/ca.pub")).unwrap();
    assert!(
        kept.starts_with("# daypass CA keys, version 9\n") && !kept.contains(stolen.line().trim()),
        "{kept}"
    );
    assert_eq!(report["removed_keys"][0], stolen.fingerprint());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_of_the_same_server_takes_no_keys_that_a_sync_refuses() {
    let (ca, next, stranger) = (Ca::new(), Ca::new(), Ca::new());
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    server.keys(keys(9, &[&ca], &ca));
    assert_eq!(host.set_up(&server, &[]).await["trusted_by"], "tls");
    let roots = host.roots(&server);
    let before = host.everything();
    let pin = ca.fingerprint();
    let usual = setup_arguments(&server.url, &roots, &[]);
    let pinned = setup_arguments(&server.url, &roots, &["--ca-fingerprint", &pin]);
    let fingerprint = server.fingerprint();
    let recognized = [&usual[..3], &["--server-fingerprint", &fingerprint]].concat();
    let unsigned = Answer::Good(ca.line().into_bytes(), None);
    for (case, answer, arguments, reason) in [
        (
            "others",
            keys(10, &[&stranger], &stranger),
            &usual[..],
            "SIGNATURE",
        ),
        (
            "others, no server",
            keys(10, &[&stranger], &stranger),
            &["setup"],
            "SIGNATURE",
        ),
        (
            "others, TLS",
            keys(10, &[&stranger], &stranger),
            &recognized,
            "SIGNATURE",
        ),
        (
            "one more",
            keys(10, &[&ca, &stranger], &stranger),
            &usual,
            "SIGNATURE",
        ),
        ("unsigned", unsigned, &usual, "UNSIGNED"),
        (
            "older",
            keys(4, &[&ca, &stranger], &ca),
            &usual,
            "CA_KEYS_OLDER",
        ),
        (
            "older, no server",
            keys(4, &[&ca, &stranger], &ca),
            &["setup"],
            "CA_KEYS_OLDER",
        ),
        (
            "older, pinned",
            keys(4, &[&ca, &stranger], &ca),
            &pinned,
            "CA_KEYS_OLDER",
        ),
    ] {
        server.keys(answer);
        let failure = host.fails(arguments).await;
        assert_eq!((failure.0, &*failure.1), (1, reason), "{case}: {failure:?}");
        let help = match reason {
            "CA_KEYS_OLDER" => "daypass host remove",
            _ => "--ca-fingerprint",
        };
        assert!(failure.2.contains(help), "{case}: {failure:?}");
        assert_eq!(host.everything(), before, "{case}");
    }
    // What a sync takes.
    server.keys(keys(10, &[&ca, &next], &ca));
    let report = host.json(&usual).await;
    assert_eq!(
        (&report["trusted_by"], &report["changed"]),
        (&"known_key".into(), &true.into())
    );
    server.keys(keys(11, &[&next], &next));
    assert_eq!(host.json(&["setup"]).await["trusted_by"], "known_key");
}

/// The manual's chapter "The active key is lost".
#[tokio::test(flavor = "multi_thread")]
async fn a_fingerprint_of_another_key_replaces_the_keys_of_a_host_but_by_no_older_list() {
    let (ca, new) = (Ca::new(), Ca::new());
    let (server, host) = (FakeCa::start(&ca).await, Host::new().await);
    server.keys(keys(9, &[&ca], &ca));
    host.set_up(&server, &[]).await;
    let (roots, pin) = (host.roots(&server), new.fingerprint());
    let pinned = setup_arguments(&server.url, &roots, &["--ca-fingerprint", &pin]);
    server.keys(keys(8, &[&new], &new));
    assert_eq!(host.fails(&pinned).await.1, "CA_KEYS_OLDER");
    server.keys(keys(10, &[&new], &new));
    assert_eq!(host.json(&pinned).await["trusted_by"], "pin");
    let kept = String::from_utf8(host.read("daypass/ca.pub")).unwrap();
    assert!(kept.contains(new.line().trim()) && !kept.contains(ca.line().trim()));
    // Another server decides for itself, and so does this one if the keys are gone.
    fs::remove_file(host.path("daypass/ca.pub")).unwrap();
    let failure = host.fails(&["setup"]).await;
    assert!(failure.2.contains("--ca-fingerprint"), "{failure:?}");
    server.keys(keys(3, &[&ca], &ca));
    host.json(&setup_arguments(&server.url, &roots, &[])).await;
    let other = FakeCa::start(&new).await;
    assert_eq!(host.set_up(&other, &[]).await["trusted_by"], "tls");
}
