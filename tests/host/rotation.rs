//! Rotation of the CA key over three hosts with real sshds, one of them behind: it waits, names
//! that host and goes on, and users log in at every moment.

use std::{
    process::Stdio,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use daypass::dev::receiver::Delivery;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{
    host::Host,
    sshd::{Sshd, log},
    support::{command::Done, env::TestEnv, files, laptop::Laptop},
    users::Site,
};

const NAMES: [&str; 3] = ["web-1", "web-2", "web-3"];

/// How long a step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// Logs in to a host with a new pass.
pub(crate) async fn log_in(laptop: &Laptop, name: &str, host: &Host) {
    let done = laptop
        .sh(&format!("daypass ssh --fresh {name} -- id -un"))
        .await;
    assert_eq!(done.stdout, "deploy\n", "{name}: {done:?} {}", log(host));
}

/// Waits until so many more logins have worked.
async fn more_logins(count: &AtomicUsize, more: usize) {
    let (wanted, deadline) = (
        count.load(Ordering::SeqCst) + more,
        Instant::now() + PATIENCE,
    );
    while count.load(Ordering::SeqCst) < wanted {
        assert!(Instant::now() < deadline, "no login works any more");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// `daypass admin keys ...` as the administrator.
pub(crate) async fn keys(env: &TestEnv, words: &str) -> Done {
    env.daypass("carol", format!("admin keys {words}")).await
}

/// The fingerprint of the key in this state.
pub(crate) fn in_state(listed: &Value, state: &str) -> String {
    let keys = listed["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["state"] == state);
    let key = key.unwrap_or_else(|| panic!("none is {state}: {listed}"));
    key["fingerprint"].as_str().unwrap().to_owned()
}

/// Three hosts, each with its sshd.
async fn hosts(site: &Site) -> (Vec<Host>, Vec<Sshd>) {
    let (mut hosts, mut sshds) = (Vec::new(), Vec::new());
    for name in NAMES {
        let host = site.host(name).await;
        sshds.push(Sshd::start(&host));
        hosts.push(host);
    }
    (hosts, sshds)
}

/// A laptop whose own file says where the hosts are.
async fn laptop(site: &Site, sshds: &[Sshd]) -> Laptop {
    let lines = NAMES.iter().zip(sshds).map(|(name, sshd)| {
        let port = sshd.port();
        format!("Host {name}\n    HostName 127.0.0.1\n    HostKeyAlias {name}\n    Port {port}\n")
    });
    site.laptop(&sshds[0], &lines.collect::<String>()).await
}

/// The steps of the rotation, up to the key that is retiring.
async fn rotate(site: &Site, hosts: &[Host], count: &AtomicUsize, (old, new): (&str, &str)) {
    let env = &site.env;
    keys(env, &format!("stage {new}")).await.success();
    more_logins(count, 3).await;
    for host in &hosts[..2] {
        let report = host.json(&["sync"]).await;
        assert_eq!(report["added_keys"][0], *new, "{report}");
    }
    // web-3 is behind: the command that does not wait says so, and the other one waits.
    let refused = keys(env, &format!("activate {new} --no-wait")).await;
    let error = refused.exits("web-3 is behind", 5).error();
    assert_eq!(error["reason"], "CA_KEY_UNTRUSTED");
    let said = error["message"].as_str().unwrap();
    assert!(
        said.contains("1 known host:") && said.contains("web-3 (reported "),
        "{said}"
    );
    let mut waiting = env.command("carol", &format!("admin keys activate {new}"), &[]);
    let mut waiting = waiting.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(waiting.stderr.take().unwrap()).lines();
    let named = async {
        loop {
            let line = said.next_line().await.unwrap().expect("it still waits");
            assert!(!line.contains("web-1") && !line.contains("web-2"), "{line}");
            if line.contains("web-3") {
                return line;
            }
        }
    };
    let named = tokio::time::timeout(PATIENCE, named).await.unwrap();
    assert!(named.contains("it does not trust the key yet"), "{named}");
    more_logins(count, 3).await;
    let listed = keys(env, "").await.success();
    assert_eq!(in_state(&listed, "active"), old, "it waits");
    // It goes on by itself once web-3 has fetched the key.
    hosts[2].json(&["sync"]).await;
    let ended = tokio::time::timeout(PATIENCE, waiting.wait())
        .await
        .unwrap();
    assert!(ended.unwrap().success());
    let listed = keys(env, "").await.success();
    assert_eq!(in_state(&listed, "active"), new);
    assert_eq!(in_state(&listed, "retiring"), old);
    more_logins(count, 4).await;
    // Hosts take the list that the new key signs.
    for host in hosts {
        host.json(&["sync"]).await;
    }
    more_logins(count, 4).await;
    let refused = keys(env, &format!("retire {old} --no-wait")).await;
    let error = refused.exits("passes are valid", 5).error();
    assert_eq!(error["reason"], "CA_KEY_IN_USE");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("is valid until 20"),
        "{error}"
    );
}

/// Gives the server another key, which it does not publish yet. Returns its fingerprint. Once
/// orders decide, the state in the file does not matter.
async fn add_key(env: &mut TestEnv, file: &str) -> String {
    let key = files::new_key();
    files::write_key(&env.folder().join(file), &key);
    let before = "[ledger]\n";
    let more = format!("{}{before}", section(file));
    env.edit("daypass.toml", before, &more);
    env.restart().await;
    key.fingerprint(ssh_key::HashAlg::Sha256).to_string()
}

fn section(file: &str) -> String {
    format!("[[ca.key]]\nfile = \"../{file}\"\nstate = \"staged\"\n\n")
}

/// A key is activated although web-3 trusts only the one before it; then it is lost, and replaced.
async fn not_waited_for(env: &mut TestEnv, hosts: &[Host], laptop: &Laptop) {
    let third = add_key(env, "third_key").await;
    keys(env, &format!("stage {third}")).await.success();
    for host in &hosts[..2] {
        host.json(&["sync"]).await;
    }
    let anyway = format!("activate {third} --anyway --reason urgent");
    let answer = keys(env, &anyway).await.success();
    assert_eq!(answer["untrusting"], 1, "web-3: {answer}");
    // The key before it signs the list for web-3, too.
    let report = hosts[2].json(&["sync"]).await;
    assert_eq!(report["added_keys"][0], third, "{report}");
    log_in(laptop, NAMES[2], &hosts[2]).await;

    env.edit("daypass.toml", &section("third_key"), "");
    let fourth = add_key(env, "fourth_key").await;
    let none = laptop.sh("daypass ssh --fresh web-1 -- id -un").await;
    assert_ne!(
        none.stdout, "deploy\n",
        "the key that signs is lost: {none:?}"
    );
    keys(env, &format!("stage {fourth}")).await.success();
    let anyway = format!("activate {fourth} --anyway --reason lost");
    keys(env, &anyway).await.success();
    for (name, host) in NAMES.into_iter().zip(hosts) {
        host.json(&["sync"]).await;
        log_in(laptop, name, host).await;
    }
}

/// The webhook was told of each order, in its order.
async fn assert_told(site: &Site, (old, new): (&str, &str)) {
    let told = |all: &[Delivery]| -> Vec<Value> {
        let all = all.iter().filter(|it| it.kind() == "ca_key_ordered");
        let mut data: Vec<Value> = all.map(|it| it.json["data"].clone()).collect();
        data.sort_by_key(|it| it["index"].as_u64());
        data.dedup();
        data
    };
    let receiver = site.env.world().receiver();
    let all = receiver.until(|all| told(all).len() >= 7);
    let all = told(&tokio::time::timeout(PATIENCE, all).await.unwrap());
    let first: Vec<_> = all[..3]
        .iter()
        .map(|it| (it["step"].as_str().unwrap(), it["key"].as_str().unwrap()))
        .collect();
    assert_eq!(
        first,
        [("stage", new), ("activate", new), ("retire", old)],
        "{all:?}"
    );
    for it in &all {
        assert_eq!(it["who"]["label"], "carol@example.com", "{it}");
    }
    assert!(!all[1]["anyway"].as_bool().unwrap() && all[1]["behind"].is_null());
    let anyway = &all[4];
    assert_eq!(anyway["step"], "activate");
    assert_eq!(
        (&anyway["anyway"], &anyway["reason"]),
        (&true.into(), &"urgent".into())
    );
    assert_eq!(anyway["behind"], serde_json::json!(["web-3"]));
}

/// No view said which hosts still trust a key that is retired: its thief could log in there, and
/// administrators were not told. A host is not called behind before it had time to forget the key.
async fn assert_still_trusted(env: &TestEnv, retired: &str, names: &[&str]) {
    let listed = keys(env, "").await.success();
    let keys = listed["keys"].as_array().unwrap();
    let key = keys.iter().find(|it| it["fingerprint"] == retired).unwrap();
    assert_eq!(key["still_trusted_by"], names.len(), "{key}");
    let named = key["still_trusting"].as_array();
    let named = named.map_or_else(Vec::new, |it| {
        it.iter().map(|it| it.as_str().unwrap()).collect()
    });
    assert_eq!(named, names, "{key}");
    let table = env.daypass("carol", "admin keys --format text").await;
    let count = format!("{} of 3", names.len());
    let row = table.stdout.lines().find(|line| line.contains(retired));
    assert!(row.is_some_and(|it| it.ends_with(&count)), "{table:?}");
    for name in names {
        assert!(
            table.stdout.contains(&format!("\n  {name}\n")),
            "{name}: {table:?}"
        );
    }
    let behind = env.daypass("carol", "hosts --behind").await.success();
    assert_eq!(behind["hosts"], serde_json::json!([]), "{behind}");
}

/// The check went by `daypass.toml`, and found nothing wrong with keys that a start refuses.
async fn check_goes_by_the_orders(env: &TestEnv) {
    let folder = env.world().files().dir().display().to_string();
    let check = async |file: &str| {
        let words = format!("serve --check --offline --format json --config {folder}/{file}");
        let report = env.daypass("carol", words).await.json();
        let active = report["ca_key"].as_str().unwrap().to_owned();
        let findings = report["findings"].as_array().unwrap().iter();
        let findings = findings.filter(|it| it["check"] == "ca-key-orders");
        let (mut levels, mut said) = (Vec::new(), String::new());
        for finding in findings {
            levels.push(finding["level"].to_string());
            said.push_str(finding["message"].as_str().unwrap());
        }
        (active, levels, said)
    };
    let active = in_state(&keys(env, "").await.success(), "active");
    let (signs, levels, _) = check("daypass.toml").await;
    assert_eq!(signs, active);
    assert_eq!(levels[0], "\"good\"", "{levels:?}");
    assert_eq!(
        levels[1], "\"warning\"",
        "its file names another: {levels:?}"
    );

    let text = std::fs::read_to_string(format!("{folder}/daypass.toml")).unwrap();
    let without = text.replace(&section("fourth_key"), "");
    assert_ne!(text, without);
    std::fs::write(format!("{folder}/without.toml"), without).unwrap();
    let (signs, levels, said) = check("without.toml").await;
    assert!(
        said.contains("the server starts and issues no pass"),
        "{said}"
    );
    assert_eq!((signs, &*levels[0]), (active, "\"wrong\""), "{levels:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_waits_for_the_host_that_is_behind_and_names_it_and_logins_work_at_every_moment()
{
    let mut site = Site::start().await;
    let (hosts, sshds) = hosts(&site).await;
    site.env.terminal("carol").sign_in("carol").await;
    let laptop = laptop(&site, &sshds).await;
    let old = in_state(&keys(&site.env, "").await.success(), "active");
    let refused = keys(&site.env, "stage SHA256:unknown").await;
    refused.exits("the server has no such key", 1);

    // The server gets the key. Once orders decide, its state in the file does not matter.
    let new = add_key(&mut site.env, "next_key").await;

    let (stop, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let logins = async {
        while !stop.load(Ordering::SeqCst) {
            for (name, host) in NAMES.into_iter().zip(&hosts) {
                log_in(&laptop, name, host).await;
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let steps = async {
        rotate(&site, &hosts, &count, (&old, &new)).await;
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(steps, logins);

    // The end of the last pass by the old key is brought about by a revocation.
    let revoke = site.env.daypass("carol", "admin revoke --before now").await;
    revoke.success();
    keys(&site.env, &format!("retire {old} --no-wait"))
        .await
        .success();
    for (at, (name, host)) in NAMES.into_iter().zip(&hosts).enumerate() {
        assert_still_trusted(&site.env, &old, &NAMES[at..]).await;
        let report = host.json(&["sync"]).await;
        assert_eq!(report["removed_keys"][0], old, "{report}");
        log_in(&laptop, name, host).await;
    }
    assert_still_trusted(&site.env, &old, &[]).await;
    not_waited_for(&mut site.env, &hosts, &laptop).await;
    assert_told(&site, (&old, &new)).await;
    // The server starts again with the new key, although its file says that the old one is active.
    site.env.restart().await;
    log_in(&laptop, NAMES[0], &hosts[0]).await;
    check_goes_by_the_orders(&site.env).await;
    let listed = keys(&site.env, "").await.success();
    let states = listed["keys"].as_array().unwrap().iter();
    let mut states = states.map(|key| (&key["fingerprint"], &key["state"]));
    assert!(
        states.any(|(key, state)| *key == *old && state == "retired"),
        "{listed}"
    );
    assert_eq!(listed["known_hosts"], 3);
    site.env.assert_verifies().await;
    drop(sshds);
    site.env.close().await;
}
