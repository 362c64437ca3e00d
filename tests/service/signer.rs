//! The CA key behind `daypass signer`: the story up to a real sshd, its crashes, and a crowd that
//! meets a signer, an agent or a token that hangs.

mod certified;
mod hosts;
mod liar;
mod lies;
mod restored;
mod slow;

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    ca_keys::{KINDS, files, story, until, user},
    support::{
        agent::Agent,
        api::{Api, ask},
        command::must,
        handover::{hand_over_files, take_old_key_out},
        https,
        server::{Process, ServerFiles, signal},
        signer::{SignerFiles, verifier},
        softhsm::{PIN, SoftHsm},
        ssh,
        user::TestUser,
    },
};

/// What a signer of the tests' policy may sign.
fn ceilings() -> String {
    format!(
        "[[ceiling]]\nprincipals = [\"{}\"]\nttl = \"1h\"\n",
        ssh::login()
    )
}

pub(crate) const BEHIND: &str = "file = \"signer/ca_key.pub\"\nsigner = \"signer/socket\"";

/// Makes a key of a signer by `ssh-keygen` with these options.
fn new_key(signer: &SignerFiles, words: &[&str]) -> String {
    let path = signer.path("ca_key");
    let words = [&["-q", "-N", "", "-f", path.to_str().unwrap()], words].concat();
    must("ssh-keygen", &words, &[]);
    fs::read_to_string(signer.path("ca_key.pub")).unwrap()
}

/// The files of a signer with these lines of `[key]`.
pub(crate) fn prepare(files: &ServerFiles, key: &str) -> SignerFiles {
    SignerFiles::prepare(files.folder(), &verifier(files), key, &ceilings())
}

/// A server whose key is behind a signer with a key file.
pub(crate) async fn site() -> (ServerFiles, SignerFiles, String) {
    let files = files().await;
    let key = "file = \"ca_key\"";
    let signer = SignerFiles::prepare(files.folder(), &verifier(&files), key, &ceilings());
    let public = new_key(&signer, &["-t", "ed25519"]);
    files.replace_ca_key(BEHIND);
    signer.must(&["accept", "--new"]);
    (files, signer, public)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_key_behind_a_signer_signs_what_sshd_takes() {
    for (words, algorithm) in &KINDS[..2] {
        let files = files().await;
        let key = "file = \"ca_key\"";
        let signer = SignerFiles::prepare(files.folder(), &verifier(&files), key, &ceilings());
        let public = new_key(&signer, words);
        files.replace_ca_key(BEHIND);
        let (is_good, said) = signer.run(&["--check"]);
        assert!(
            !is_good && said.contains("daypass signer accept --new"),
            "{said}"
        );
        signer.must(&["accept", "--new"]);
        let running = signer.spawn(&[]);
        let mut process = files.spawn(&[]);
        story(&files, &mut process, &public, algorithm).await;
        process.stop().await;
        let said = signer.must(&["--check"]);
        assert!(said.contains("Nothing is wrong."), "{said}");
        running.stop().await;
        assert!(!signer.socket().exists());
    }
}

/// The signer's own key may be in an agent: RSA works there.
#[tokio::test(flavor = "multi_thread")]
async fn a_signer_whose_key_is_in_an_agent_signs_what_sshd_takes() {
    let (words, algorithm) = KINDS[2];
    let files = files().await;
    let key = "file = \"ca_key.pub\"\nagent = \"agent\"";
    let signer = SignerFiles::prepare(files.folder(), &verifier(&files), key, &ceilings());
    let agent = Agent::start(&signer.path("")).await;
    agent.add_new(&signer.path("ca_key"), words);
    let public = fs::read_to_string(signer.path("ca_key.pub")).unwrap();
    files.replace_ca_key(BEHIND);
    signer.must(&["accept", "--new"]);
    let _running = signer.spawn(&[]);
    let mut process = files.spawn(&[]);
    story(&files, &mut process, &public, algorithm).await;

    // The signer answers and its key does not: the first pass is recorded and said to be unsigned,
    // the others are refused before they are recorded.
    let api = files.expect_api(&mut process).await;
    let alice = user(&files, &api, "alice");
    drop(agent);
    fs::remove_file(signer.path("agent")).ok();
    for _ in 0..3 {
        let refused = alice.issue(ask("shell")).await.unwrap_err();
        assert_eq!(refused.reason, "CA_UNAVAILABLE", "{refused:?}");
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
    assert_eq!(counted(&files, &api).await, (2, 1));
    let agent = Agent::start(&signer.path("")).await;
    agent.add(&signer.path("ca_key"));
    expect_pass(&alice).await;
    process.stop().await;
}

/// And in a token: the signer's process alone can reach it.
#[tokio::test(flavor = "multi_thread")]
async fn a_signer_whose_key_is_in_a_pkcs11_token_signs_what_sshd_takes() {
    let files = files().await;
    let token = SoftHsm::new(files.folder());
    let lines = token.lines("daypass-ca");
    let signer = SignerFiles::prepare(files.folder(), &verifier(&files), &lines, &ceilings());
    let words = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let public = token.import(files.folder(), &words);
    fs::rename(files.path("ca_key.pub"), signer.path("ca_key.pub")).unwrap();
    crate::support::files::write_secret(&signer.path("pin"), PIN);
    files.replace_ca_key(BEHIND);
    signer.must(&["accept", "--new"]);
    let running = signer.spawn(&["env", &token.variable()]);
    let mut process = files.spawn(&[]);
    story(&files, &mut process, &public, "ecdsa-sha2-nistp256").await;
    process.stop().await;
    running.stop().await;
    for log in [files.log(), signer.log()] {
        assert!(!log.contains(PIN), "the PIN is in the log");
    }
}

/// The number of recorded passes, and of those that were not signed.
pub(crate) async fn counted(files: &ServerFiles, api: &Api) -> (usize, usize) {
    let carol = user(files, api, "carol");
    let events = api.events(&carol.token, 0).await;
    let count = |kind: &str| events.iter().filter(|it| it["type"] == kind).count();
    (count("issued"), count("signing_failed"))
}

pub(crate) async fn expect_pass(alice: &TestUser) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        if alice.issue(ask("shell")).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no pass within a minute");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_signer_is_away_nothing_is_recorded_and_it_comes_back() {
    let (files, signer, _) = site().await;
    let mut process = files.spawn(&[]);
    let api = files.expect_api(&mut process).await;
    let alice = user(&files, &api, "alice");
    let refused = alice.issue(ask("shell")).await.unwrap_err();
    assert_eq!(refused.reason, "CA_UNAVAILABLE", "{refused:?}");
    assert_eq!(counted(&files, &api).await, (0, 0));
    let mut running = signer.spawn(&[]);
    expect_pass(&alice).await;
    // A signer that was started anew between two passes loses none.
    running.kill();
    let running = signer.spawn(&[]);
    alice.issue(ask("shell")).await.unwrap();
    assert_eq!(counted(&files, &api).await, (2, 0));
    running.stop().await;
    process.stop().await;
}

/// The moment between remembering and answering: the folder of the memory is on disk, and the
/// process is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_signer_killed_between_remembering_and_answering_goes_on() {
    let (files, signer, _) = site().await;
    // The server's first look is remembered by two calls, file and folder; the pass by the next.
    let inject = ["strace", "-f", "-o", "/dev/null", "-e", "trace=fsync", "-e"];
    let inject = [&inject[..], &["inject=fsync:signal=KILL:when=4"]].concat();
    let mut running = signer.spawn(&inject);
    let mut process = files.spawn(&[]);
    let api = files.expect_api(&mut process).await;
    let alice = user(&files, &api, "alice");
    let refused = alice.issue(ask("shell")).await.unwrap_err();
    assert_eq!(refused.reason, "CA_UNAVAILABLE", "{refused:?}");
    running.ended().await;
    assert_eq!(counted(&files, &api).await, (1, 1));
    // It remembers the checkpoint with the pass that it did not sign.
    let memory = fs::read_to_string(signer.path("state/checkpoint")).unwrap();
    let remembered: u64 = memory.lines().nth(1).unwrap().parse().unwrap();
    let carol = user(&files, &api, "carol");
    let events = api.events(&carol.token, 0).await;
    let issued = events.iter().find(|it| it["type"] == "issued").unwrap();
    assert!(issued["index"].as_u64().unwrap() < remembered, "{memory}");

    let running = signer.spawn(&[]);
    expect_pass(&alice).await;
    assert_eq!(counted(&files, &api).await, (2, 1));
    running.stop().await;
    process.stop().await;
}

/// A copy of the server's own state is a fork of what the signer remembers.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_an_older_copy_of_its_ledger_gets_nothing_until_an_operator_acts() {
    let (files, signer, _) = site().await;
    let mut running = signer.spawn(&[]);
    let mut process = files.spawn(&[]);
    let api = files.expect_api(&mut process).await;
    let alice = user(&files, &api, "alice");
    expect_pass(&alice).await;
    process.stop().await;
    let (state, copy) = (files.path("state"), files.path("copy"));
    must(
        "cp",
        &["-a", state.to_str().unwrap(), copy.to_str().unwrap()],
        &[],
    );
    let mut process = files.spawn(&[]);
    let api = files.expect_api(&mut process).await;
    for _ in 0..3 {
        expect_pass(&user(&files, &api, "alice")).await;
    }
    process.stop().await;
    fs::remove_dir_all(&state).unwrap();
    fs::rename(&copy, &state).unwrap();

    let mut process = files.spawn(&[]);
    let api = files.expect_api(&mut process).await;
    let alice = user(&files, &api, "alice");
    let refused = alice.issue(ask("shell")).await.unwrap_err();
    assert_eq!(refused.reason, "CA_UNAVAILABLE", "{refused:?}");
    let (is_good, said) = signer.run(&["--check"]);
    assert!(
        !is_good && said.contains("Nothing is signed until"),
        "{said}"
    );
    let client = https::client(files.tls_ca());
    let ready = client.get(format!("{}/readyz", files.url())).send().await;
    assert_eq!(ready.unwrap().status().as_u16(), 503);
    assert!(
        files.log().contains("the signer refuses: "),
        "{}",
        files.log()
    );

    // The operator has looked, and takes the older copy for the ledger.
    running.kill();
    let checkpoint = client
        .get(format!("{}/checkpoint", files.url()))
        .send()
        .await;
    let checkpoint = checkpoint.unwrap().text().await.unwrap();
    fs::write(signer.path("checkpoint"), checkpoint).unwrap();
    signer.must(&["accept", signer.path("checkpoint").to_str().unwrap()]);
    let running = signer.spawn(&[]);
    until(async || alice.issue(ask("shell")).await.is_ok()).await;
    running.stop().await;
    process.stop().await;
}

/// A pass above the ceiling is recorded, not signed, and harms no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_beyond_the_ceiling_gets_no_signature() {
    let (files, signer, _) = site().await;
    let configuration = signer.path("signer.toml");
    let text = fs::read_to_string(&configuration).unwrap();
    fs::write(
        &configuration,
        text.replace("ttl = \"1h\"", "ttl = \"59m\""),
    )
    .unwrap();
    let running = signer.spawn(&[]);
    let mut process = files.spawn(&[]);
    let api = files.expect_api(&mut process).await;
    let alice = user(&files, &api, "alice");
    let refused = alice.issue(ask("shell")).await.unwrap_err();
    assert_eq!(refused.reason, "NOT_ISSUABLE", "{refused:?}");
    assert!(
        refused.message.contains("the signer's ceiling"),
        "{refused:?}"
    );
    let mut short = ask("shell");
    short.ttl_seconds = 600;
    alice.issue(short).await.unwrap();
    assert_eq!(counted(&files, &api).await, (2, 1));
    running.stop().await;
    process.stop().await;
}

/// 200 callers at once, over connections of their own; returns the longest wait.
async fn crowd(files: &ServerFiles, api: &Api) -> Duration {
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..8 {
        let name = format!("caller{number}");
        let api = Api::open(&files.url(), files.tls_ca().as_bytes()).await;
        for _ in 0..25 {
            let alice = user(files, &api, &name);
            callers.spawn(async move {
                let begun = Instant::now();
                let refused = alice.issue(ask("shell")).await.unwrap_err();
                assert_eq!(refused.reason, "CA_UNAVAILABLE", "{refused:?}");
                begun.elapsed()
            });
        }
    }
    let waits = callers.join_all().await;
    assert_eq!(waits.len(), 200);
    let (issued, failed) = counted(files, api).await;
    // The one pass before the crowd was signed.
    assert_eq!(
        issued,
        failed + 1,
        "each recorded pass is said to be unsigned"
    );
    waits.into_iter().max().unwrap()
}

/// A deadline of five seconds, and what a machine under load adds. One after the other, the callers
/// would wait for minutes.
const LONGEST: Duration = Duration::from_secs(60);

async fn wedged(files: &ServerFiles, process: &mut Process, wedge: impl Fn(bool)) {
    let api = files.expect_api(process).await;
    let alice = user(files, &api, "alice");
    expect_pass(&alice).await;
    wedge(true);
    let longest = crowd(files, &api).await;
    assert!(longest < LONGEST, "{longest:?}");
    wedge(false);
    expect_pass(&alice).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_at_a_signer_that_hangs_is_refused_within_the_deadline() {
    let (files, signer, _) = site().await;
    let running = signer.spawn(&[]);
    let mut process = files.spawn(&[]);
    wedged(&files, &mut process, |is_stopped| {
        signal(running.0.id(), if is_stopped { "STOP" } else { "CONT" });
    })
    .await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_at_an_agent_that_hangs_is_refused_within_the_deadline() {
    let files = files().await;
    let agent = Agent::start(files.folder()).await;
    agent.add_new(&files.path("made"), &["-t", "ed25519"]);
    files.replace_ca_key("file = \"made.pub\"\nagent = \"agent\"");
    let mut process = files.spawn(&[]);
    wedged(&files, &mut process, |is_stopped| {
        signal(agent.process.id(), if is_stopped { "STOP" } else { "CONT" });
    })
    .await;
    process.stop().await;
}

/// SoftHSM's module, whose `C_Sign` waits while a file is there. The function is the 44th of
/// `CK_FUNCTION_LIST`, behind the version (PKCS#11 v2.40, pkcs11f.h).
const HANGING: &str = r#"
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>
typedef unsigned long rv;
struct list { unsigned char version[2]; void *functions[68]; };
static struct list ours;
static rv (*sign)(rv, void *, rv, void *, rv *);
static rv hang(rv session, void *data, rv length, void *signature, rv *out) {
    while (access(HANG, F_OK) == 0) usleep(10000);
    return sign(session, data, length, signature, out);
}
rv C_GetFunctionList(struct list **out) {
    struct list *theirs;
    void *module = dlopen(MODULE, RTLD_NOW);
    rv (*get)(struct list **) = (rv (*)(struct list **))dlsym(module, "C_GetFunctionList");
    rv result = get(&theirs);
    if (result) return result;
    memcpy(&ours, theirs, sizeof ours);
    sign = (rv (*)(rv, void *, rv, void *, rv *))ours.functions[43];
    ours.functions[43] = (void *)hang;
    *out = &ours;
    return 0;
}
"#;

/// Builds a module of this text before SoftHSM's, which looks for the file `hang`.
pub(crate) fn module_of(text: &str, files: &ServerFiles, module: &Path, hang: &Path) -> String {
    let (source, made) = (files.path("hang.c"), files.path("hang.so"));
    fs::write(&source, text).unwrap();
    let defined = |name: &str, path: &Path| format!("-D{name}=\"{}\"", path.display());
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&made)
        .args([defined("MODULE", module), defined("HANG", hang)])
        .arg(&source)
        .status();
    assert!(built.expect("cc is missing: apt-get install gcc").success());
    made.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_at_a_token_that_hangs_is_refused_within_the_deadline() {
    let files = files().await;
    let token = SoftHsm::new(files.folder());
    token.import(files.folder(), &["-algorithm", "ED25519"]);
    crate::support::files::write_secret(&files.path("pin"), PIN);
    let hang = files.path("hang");
    let module = module_of(HANGING, &files, &token.module, &hang);
    let lines = token.lines("daypass-ca");
    let softhsm = token.module.display().to_string();
    files.replace_ca_key(&lines.replace(&softhsm, &module));
    let mut process = files.spawn(&["env", &token.variable()]);
    wedged(&files, &mut process, |is_hanging| match is_hanging {
        true => fs::write(&hang, "").unwrap(),
        false => fs::remove_file(&hang).unwrap(),
    })
    .await;
    process.stop().await;
}

/// Passes of 64 callers, four each, over four connections.
async fn load(files: &ServerFiles) -> usize {
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let api = Api::open(&files.url(), files.tls_ca().as_bytes()).await;
        for _ in 0..16 {
            let alice = user(files, &api, "alice");
            callers.spawn(async move {
                for _ in 0..4 {
                    alice.issue(ask("shell")).await.unwrap();
                }
            });
        }
    }
    callers.join_all().await.len() * 4
}

/// CPU time of a process, in milliseconds (proc(5): utime and stime, in ticks of 10 ms).
fn cpu(process: &Process) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/stat", process.0.id())).unwrap();
    let (_, fields) = text.rsplit_once(") ").unwrap();
    let times = fields.split(' ').skip(11).take(2);
    times.map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum()
}

/// Passes that are committed together share a call and a proof. Prints what a pass costs behind a
/// signer and with a key file.
#[tokio::test(flavor = "multi_thread")]
async fn many_passes_share_a_call_and_a_proof() {
    let plain = files().await;
    let mut process = plain.spawn(&[]);
    plain.expect_api(&mut process).await;
    let (before, begun) = (cpu(&process), Instant::now());
    let count = load(&plain).await;
    let (file, file_time) = (cpu(&process) - before, begun.elapsed());
    process.stop().await;

    let (files, signer, _) = site().await;
    let running = signer.spawn(&[]);
    let mut process = files.spawn(&[]);
    let api = files.expect_api(&mut process).await;
    expect_pass(&user(&files, &api, "alice")).await;
    let (before, begun) = ([cpu(&process), cpu(&running)], Instant::now());
    assert_eq!(load(&files).await, count);
    let time = begun.elapsed();
    let [server, signing] = [cpu(&process) - before[0], cpu(&running) - before[1]];
    assert_eq!(counted(&files, &api).await, (count + 1, 0));
    let client = https::client(files.tls_ca());
    let metrics = client.get(format!("{}/metrics", files.url())).send().await;
    let metrics = metrics.unwrap().text().await.unwrap();
    let calls = metrics
        .lines()
        .find_map(|line| line.strip_prefix("daypass_signer_calls_total "))
        .unwrap_or_else(|| panic!("{metrics}"));
    let calls: usize = calls.parse().unwrap();
    println!(
        "{count} passes: with a key file {file} ms of CPU in {file_time:?}; behind a signer {server} ms, and \
         {signing} ms of the signer, in {time:?}, by {calls} calls"
    );
    assert!(calls < count / 2, "{calls} calls for {count} passes");
    running.stop().await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_follows_the_ledger_to_its_next_key() {
    let (files, signer, _) = site().await;
    let running = signer.spawn(&[]);
    let mut process = files.spawn(&[]);
    let api = files.expect_api(&mut process).await;
    expect_pass(&user(&files, &api, "alice")).await;
    process.stop().await;
    hand_over_files(&files).await;
    let mut process = files.spawn(&[]);
    let api = files.expect_api(&mut process).await;
    expect_pass(&user(&files, &api, "alice")).await;
    assert!(signer.log().contains("followed"), "{}", signer.log());
    process.stop().await;
    // The new key alone, for a signer that was started anew and whose configuration has the old.
    take_old_key_out(&files);
    running.stop().await;
    let running = signer.spawn(&[]);
    let mut process = files.spawn(&[]);
    let api = files.expect_api(&mut process).await;
    expect_pass(&user(&files, &api, "alice")).await;
    process.stop().await;
    running.stop().await;
    signer.must(&["--check"]);
}
