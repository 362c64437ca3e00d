//! kill -9 of the daemon at each durable write of a handover of the ledger's key: after the next
//! start the ledger verifies, exactly one key counts, and the same order ends well.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use daypass::{
    ledger::order::{Target, Verb},
    proto::v1::{ChangeLedgerKeyRequest, preview_request},
};

use super::{
    SIGKILL,
    support::{
        api::{Api, Caller, Refusal, ask, with_token},
        env::TestEnv,
        files,
        ledger::{assert_verifies, trust},
        policy,
        server::{Process, ServerFiles},
        signer::verifier,
        user::TestUser,
    },
};

/// A server that has the next key, and has issued a pass.
async fn site() -> ServerFiles {
    let server = TestEnv::new().policy(policy::SHELL).prepare().await;
    files::write_key(&server.path("ledger_key_2"), &files::new_key());
    let (from, to) = (
        "key = \"ledger_key\"",
        "key = \"ledger_key\"\nnext_key = \"ledger_key_2\"",
    );
    files::edit(&server.configuration(), from, to);
    let mut process = server.spawn(&[]);
    let api = server.expect_api(&mut process).await;
    issue(&server, &api).await;
    process.stop().await;
    server
}

fn user(server: &ServerFiles, api: &Api, name: &str, group: &str) -> TestUser {
    let caller = Caller::new();
    TestUser {
        name: name.to_owned(),
        token: server.token(&caller, name, &[group]),
        caller,
        api: api.clone(),
    }
}

async fn issue(server: &ServerFiles, api: &Api) {
    let alice = user(server, api, "alice", "sre");
    alice.issue(ask("shell")).await.unwrap();
}

/// The verifier key that the ledger can be handed over to.
fn next_key(server: &ServerFiles) -> String {
    let output = Command::new(super::support::command::DAYPASS)
        .args(["serve", "--check", "--offline", "--config"])
        .arg(server.configuration())
        .output();
    let said = String::from_utf8(output.unwrap().stdout).unwrap();
    let (_, rest) = said
        .split_once("can be handed over to is")
        .unwrap_or_else(|| panic!("{said}"));
    rest.split_whitespace().next().unwrap().to_owned()
}

/// The administrator's order.
async fn hand_over(server: &ServerFiles, api: &Api, new: &str) -> Result<u64, Refusal> {
    let carol = user(server, api, "carol", "security");
    let about = preview_request::Target::LedgerKey(new.to_owned());
    let after = carol.preview(about).await?.after;
    let target = Target::LedgerKey(new.to_owned());
    let request = ChangeLedgerKeyRequest {
        new_key: new.to_owned(),
        order: carol.order((Verb::ChangeLedgerKey, &target, "", after)),
    };
    let request = with_token(request, &carol.token);
    let answer = api.admin().change_ledger_key(request).await?;
    Ok(answer.into_inner().event)
}

/// Kills the process at its n-th write to the disk from now on. Returns once that is in force.
fn kill_at(process: &Process, calls: &str, point: usize, server: &ServerFiles) -> Child {
    let attached = server.path(&format!("attached-{point}"));
    let mut strace = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "-p", &process.0.id().to_string()])
        .args(["-e", &format!("trace={calls}"), "-e"])
        .arg(format!("inject={calls}:signal=KILL:when={point}"))
        .stdin(Stdio::null())
        .stderr(fs::File::create(&attached).unwrap())
        .spawn()
        .expect("strace is missing: apt-get install strace");
    let deadline = Instant::now() + Duration::from_secs(120);
    while !fs::read_to_string(&attached).unwrap().contains("attached") {
        assert!(strace.try_wait().unwrap().is_none(), "strace ended");
        assert!(Instant::now() < deadline, "strace does not attach");
        std::thread::sleep(Duration::from_millis(10));
    }
    strace
}

/// Starts the daemon again. Returns whether the new key counts.
async fn check(server: &ServerFiles, (old, new): (&str, &str)) -> bool {
    let mut process = server.spawn(&[]);
    let api = server.expect_api(&mut process).await;
    let carol = user(server, &api, "carol", "security");
    let before = api.events(&carol.token, 0).await;
    let is_handover = |event: &&serde_json::Value| event["type"] == "ledger_key_changed";
    let handovers = before.iter().filter(is_handover).count();
    let counts = trust(&api).await.ledger_verifier_key;
    let expected = if handovers == 0 { old } else { new };
    assert_eq!((counts.as_str(), handovers < 2), (expected, true));
    assert_verifies(&api, &carol.token).await;
    // The administrator, who had no answer, gives the same order.
    match (handovers, hand_over(server, &api, new).await) {
        (0, Ok(_)) => {}
        (1, Err(refused)) => {
            assert_eq!(refused.reason, "LEDGER_KEY", "{refused:?}");
            let done = format!("the ledger has the key {new} already");
            assert!(refused.message.contains(&done), "{refused:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(trust(&api).await.ledger_verifier_key, new);
    issue(server, &api).await;
    assert_verifies(&api, &carol.token).await;
    process.stop().await;
    handovers == 1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_each_write_of_a_handover_leaves_one_key_that_counts() {
    let site = Arc::new(site().await);
    // strace counts the calls of each kind for themselves.
    let kinds =
        ["pwrite64", "fdatasync"].map(|calls| tokio::spawn(kill_at_each(site.clone(), calls)));
    let [writes, syncs] = kinds;
    let ((lost, _), (_, kept)) = (writes.await.unwrap(), syncs.await.unwrap());
    assert!(lost > 0 && kept > 0, "{lost} {kept}");
}

/// The numbers of handovers that were lost and kept, each on a copy of the site.
async fn kill_at_each(site: Arc<ServerFiles>, calls: &str) -> (usize, usize) {
    let (mut lost, mut kept) = (0, 0);
    for point in 1..60 {
        let server = site.copy();
        let (old, new) = (verifier(&server), next_key(&server));
        let mut process = server.spawn(&[]);
        let api = server.expect_api(&mut process).await;
        let mut strace = kill_at(&process, calls, point, &server);
        let answer = hand_over(&server, &api, &new).await;
        if answer.is_ok() {
            process.kill();
            let _ = strace.wait();
            assert!(check(&server, (&old, &new)).await, "an answer is durable");
            println!("{calls}: {lost} handovers lost, {kept} kept");
            return (lost, kept);
        }
        let status = process.ended().await;
        assert_eq!(status.signal(), Some(SIGKILL), "{}", server.log());
        let _ = strace.wait();
        match check(&server, (&old, &new)).await {
            true => kept += 1,
            false => lost += 1,
        }
    }
    panic!("a handover has fewer writes");
}
