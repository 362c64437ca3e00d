//! A keeper of the CA key that dies while no pass is asked for: the server says that it is not
//! ready before a pass is recorded that would never be signed. It said so only afterwards, so a
//! load balancer led each next user to a server without a key.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::{
    ca_keys::{files, until, user},
    signer::{counted, expect_pass, site},
    support::{
        agent::Agent,
        api::ask,
        files::write_secret,
        https,
        server::{Process, ServerFiles, signal},
        softhsm::{PIN, SoftHsm},
    },
};

/// The status of `/readyz`, and the metric.
async fn readiness(files: &ServerFiles) -> (u16, bool) {
    let client = https::client(files.tls_ca());
    let get = async |path: &str| {
        let answer = client.get(format!("{}{path}", files.url())).send().await;
        let answer = answer.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, _) = get("/readyz").await;
    let (_, metrics) = get("/metrics").await;
    let answers = metrics
        .lines()
        .find_map(|line| line.strip_prefix("daypass_ca_key_answers "));
    (status, answers.unwrap() == "1")
}

/// Kills the keeper and brings it back. No pass is asked for but one in between, which leaves no
/// trace in the ledger.
async fn story(
    files: &ServerFiles,
    mut process: Process,
    kill: impl AsyncFnOnce(),
    start: impl AsyncFnOnce(),
) {
    let api = files.expect_api(&mut process).await;
    let alice = user(files, &api, "alice");
    expect_pass(&alice).await;
    let before = counted(files, &api).await;
    until(async || readiness(files).await == (200, true)).await;
    // Looks of some seconds find it well.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        let turn = Instant::now();
        let (status, _) = readiness(files).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        if turn.elapsed() < Duration::from_secs(1) {
            assert_eq!(status, 200, "{}", files.log());
        } else {
            // The machine stood still, and a look in that moment was late.
            until(async || readiness(files).await == (200, true)).await;
        }
    }
    kill().await;
    until(async || readiness(files).await == (503, false)).await;
    let refused = alice.issue(ask("shell")).await.unwrap_err();
    assert_eq!(refused.reason, "CA_UNAVAILABLE", "{refused:?}");
    assert_eq!(counted(files, &api).await, before, "nothing is recorded");
    start().await;
    until(async || readiness(files).await == (200, true)).await;
    alice.issue(ask("shell")).await.unwrap();
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_that_dies_or_hangs_is_missed_before_a_pass_is_asked_for() {
    let (files, signer, _) = site().await;
    let mut running = signer.spawn(&[]);
    let process = files.spawn(&[]);
    let mut again = None;
    story(
        &files,
        process,
        async || running.kill(),
        async || again = Some(signer.spawn(&[])),
    )
    .await;
    let running = again.unwrap();
    let process = files.spawn(&[]);
    let stop = async |name| signal(running.0.id(), name);
    story(
        &files,
        process,
        async || stop("STOP").await,
        async || stop("CONT").await,
    )
    .await;
    running.stop().await;
}

/// The signer answers, and the agent behind it does not.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_dies_is_missed_by_its_server_and_by_its_signer() {
    for is_behind_signer in [false, true] {
        let files = files().await;
        let key = "file = \"made.pub\"\nagent = \"agent\"";
        let (signer, folder) = match is_behind_signer {
            false => (None, files.folder().to_owned()),
            true => {
                let signer = crate::signer::prepare(&files, key);
                let folder = signer.path("");
                (Some(signer), folder)
            }
        };
        let mut agent = Agent::start(&folder).await;
        let key_file = folder.join("made");
        agent.add_new(&key_file, &["-t", "ed25519"]);
        let running = match &signer {
            None => {
                files.replace_ca_key(key);
                None
            }
            Some(signer) => {
                let behind = crate::signer::BEHIND.replace("ca_key.pub", "made.pub");
                files.replace_ca_key(&behind);
                signer.must(&["accept", "--new"]);
                Some(signer.spawn(&[]))
            }
        };
        let process = files.spawn(&[]);
        let socket = agent.socket.clone();
        let mut again = None;
        story(
            &files,
            process,
            async || {
                agent.process.kill().unwrap();
                agent.process.wait().unwrap();
                fs::remove_file(&socket).unwrap();
            },
            async || {
                let agent = Agent::start(&folder).await;
                agent.add(&key_file);
                again = Some(agent);
            },
        )
        .await;
        if let Some(running) = running {
            running.stop().await;
        }
    }
}

/// SoftHSM's module, whose token is gone while a file is there: each signature and each look at an
/// object says CKR_DEVICE_REMOVED. The functions are the 44th and the 25th of `CK_FUNCTION_LIST`
/// (PKCS#11 v2.40, pkcs11f.h).
const REMOVABLE: &str = r#"
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>
typedef unsigned long rv;
struct list { unsigned char version[2]; void *functions[68]; };
static struct list ours;
static rv (*sign)(rv, void *, rv, void *, rv *);
static rv (*look)(rv, rv, void *, rv);
static rv sign_or_gone(rv session, void *data, rv length, void *signature, rv *out) {
    return access(HANG, F_OK) == 0 ? 0x32 : sign(session, data, length, signature, out);
}
static rv look_or_gone(rv session, rv object, void *template, rv count) {
    return access(HANG, F_OK) == 0 ? 0x32 : look(session, object, template, count);
}
rv C_GetFunctionList(struct list **out) {
    struct list *theirs;
    void *module = dlopen(MODULE, RTLD_NOW);
    rv (*get)(struct list **) = (rv (*)(struct list **))dlsym(module, "C_GetFunctionList");
    rv result = get(&theirs);
    if (result) return result;
    memcpy(&ours, theirs, sizeof ours);
    sign = (rv (*)(rv, void *, rv, void *, rv *))ours.functions[43];
    look = (rv (*)(rv, rv, void *, rv))ours.functions[24];
    ours.functions[43] = (void *)sign_or_gone;
    ours.functions[24] = (void *)look_or_gone;
    *out = &ours;
    return 0;
}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_taken_out_is_missed_before_a_pass_is_asked_for() {
    let files = files().await;
    let token = SoftHsm::new(files.folder());
    token.import(files.folder(), &["-algorithm", "ED25519"]);
    write_secret(&files.path("pin"), PIN);
    let gone = files.path("gone");
    let module = crate::signer::module_of(REMOVABLE, &files, &token.module, &gone);
    let lines = token.lines("daypass-ca");
    let softhsm = token.module.display().to_string();
    files.replace_ca_key(&lines.replace(&softhsm, &module));
    let process = files.spawn(&["env", &token.variable()]);
    story(
        &files,
        process,
        async || fs::write(&gone, "").unwrap(),
        async || fs::remove_file(&gone).unwrap(),
    )
    .await;
}
