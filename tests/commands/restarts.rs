//! The daemon restarts while commands run: no command fails, and what waits goes on.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::support::{
    command::{DAYPASS, Done, Terminal},
    env::TestEnv,
    running::Running,
    server::{Process, TestServer},
};
use serde_json::Value;
use tokio::{
    net::TcpStream,
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};

/// Long enough for a busy machine.
const SOON: Duration = Duration::from_secs(120);

/// A gap that every command bridges: a client tries a server that refuses connections for six
/// seconds, from its first attempt on.
const BRIDGED: Duration = Duration::from_secs(5);
/// The restarts with such a gap that a test wants.
const ROUNDS: usize = 6;
/// The restarts after which a machine is too slow for this test.
const MOST: usize = 60;

/// A command that ended.
struct Ran {
    line: &'static str,
    began: Instant,
    ended: Instant,
    done: Done,
}

/// Runs the commands in turn, and reports each, until the test is over.
async fn busy(terminal: Terminal, ran: mpsc::UnboundedSender<Ran>, is_over: Arc<AtomicBool>) {
    let lines = ["pass --role shell", "roles", "requests", "whoami"];
    for line in lines.into_iter().cycle() {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let words: Vec<&str> = line.split(' ').collect();
        let began = Instant::now();
        let done = terminal.run(&words).await;
        let ended = Instant::now();
        let one = Ran {
            line,
            began,
            ended,
            done,
        };
        ran.send(one).unwrap();
    }
}

/// Restarts the daemon while three users run commands. Each must succeed, unless a slow machine
/// kept the daemon away for longer than a client waits.
async fn assert_none_fails(terminal: Terminal, mut restart: impl AsyncFnMut()) {
    let is_over = Arc::new(AtomicBool::new(false));
    let (ran, mut ended) = mpsc::unbounded_channel();
    let mut load = JoinSet::new();
    for _ in 0..3 {
        load.spawn(busy(terminal.clone(), ran.clone(), is_over.clone()));
    }
    drop(ran);
    let (mut gaps, mut all, mut bridged) = (Vec::new(), Vec::new(), 0);
    while bridged < ROUNDS {
        assert!(gaps.len() < MOST, "{gaps:?}");
        for _ in 0..4 {
            let one = timeout(SOON, ended.recv()).await;
            all.push(one.expect("commands end").unwrap());
        }
        let from = Instant::now();
        restart().await;
        let to = Instant::now();
        bridged += usize::from(to - from < BRIDGED);
        gaps.push((from, to));
    }
    is_over.store(true, Ordering::Relaxed);
    load.join_all().await;
    while let Some(one) = ended.recv().await {
        all.push(one);
    }
    gaps.retain(|(from, to)| *to - *from >= BRIDGED);
    for one in all {
        let mut gaps = gaps.iter();
        if !gaps.any(|(from, to)| one.began < *to && *from < one.ended) {
            one.done.exits(one.line, 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_fails_while_the_daemon_restarts() {
    let mut env = TestEnv::new().signed_in(&["alice"]).start().await;
    let terminal = env.terminal("alice");
    assert_none_fails(terminal, async || env.restart().await).await;
    env.close().await;
}

/// A `daypass serve` over the files of a dev world, whose provider goes on. It listens.
async fn serve(config: &Path, port: u16) -> Process {
    let mut command = Command::new(DAYPASS);
    command.args(["serve", "--config"]).arg(config);
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = Process(command.spawn().unwrap());
    let listening = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(process.0.try_wait().unwrap().is_none(), "the daemon ended");
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, listening).await.expect("the daemon listens");
    process
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_fails_while_a_process_ends_by_sigterm_and_the_next_one_starts() {
    let mut env = TestEnv::new().signed_in(&["alice"]).start().await;
    let TestServer::InProcess(world, _) = &mut env.server else {
        panic!("the server is in this process");
    };
    world.stop_daemon().await.unwrap();
    let config = world.files().dir().join("daypass.toml");
    let port = env.server.port();
    let mut process = Some(serve(&config, port).await);
    let terminal = env.terminal("alice");
    assert_none_fails(terminal, async || {
        process.take().unwrap().stop().await;
        process = Some(serve(&config, port).await);
    })
    .await;
    process.unwrap().stop().await;
    env.close().await;
}

/// Carol approves, and bob's wait ends with his pass.
async fn expect_end(env: &TestEnv, wait: &mut Running, request: &str) {
    let approve = format!("requests approve {request}");
    env.daypass("carol", &approve)
        .await
        .exits("carol approves", 0);
    let ended = timeout(SOON, wait.child.wait())
        .await
        .expect("bob's wait ends");
    assert_eq!(ended.unwrap().code(), Some(0));
    assert_eq!(wait.prints().await["role"], "prod");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_and_a_watch_go_on_after_the_daemon_restarted() {
    let mut env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let mut watch = Running::start(env.command("carol", "requests watch", &[]));
    let asked = "pass --role prod --reason INC-7 --wait 10m";
    let mut wait = Running::start(env.command("bob", asked, &[]));
    wait.says("waiting for approval").await;
    let first = watch.prints().await;
    assert_eq!(first["state"], "pending");

    env.restart().await;
    env.restart().await;
    expect_end(&env, &mut wait, &first["id"].to_string()).await;

    // Only what is new: each state once, also those that came while no watch was open.
    let mut states = vec![];
    while states.last().is_none_or(|state| state != "redeemed") {
        states.push(watch.prints().await["state"].as_str().unwrap().to_owned());
    }
    let expected: [&[&str]; 2] = [&["approved", "redeemed"], &["redeemed"]];
    assert!(expected.iter().any(|it| states == **it), "{states:?}");
    watch.child.kill().await.unwrap();
    env.close().await;
}

/// After that a wait once gave up, also if its user had named a longer limit.
const AWAY: Duration = Duration::from_secs(45);

/// `--wait 10m` ended with an error after 42 s of a server that was away, and did not say that the
/// request stays open.
#[tokio::test(flavor = "multi_thread")]
async fn a_wait_outlasts_a_server_that_is_away_as_long_as_its_user_said() {
    let mut env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let asked = "pass --role prod --reason INC-7 --wait 10m";
    let mut wait = Running::start(env.command("bob", asked, &[]));
    wait.says("waiting for approval").await;
    let asked = "request prod --reason INC-8 --wait 20s";
    let mut short = Running::start(env.command("bob", asked, &[]));
    short.says("waiting for approval").await;
    let listed = env.daypass("carol", "requests").await.json();
    let listed = listed["requests"].as_array().unwrap().clone();
    let of = |reason: &str| {
        let is_it = |it: &&Value| it["reason"] == reason;
        listed.iter().find(is_it).unwrap()["id"].to_string()
    };

    env.server.world_mut().stop_daemon().await.unwrap();
    let begun = Instant::now();
    short
        .says(&format!("request {} waits for another", of("INC-8")))
        .await;
    let ended = timeout(SOON, short.child.wait()).await.unwrap();
    assert_eq!(ended.unwrap().code(), Some(5));
    sleep(AWAY.saturating_sub(begun.elapsed())).await;
    assert!(wait.child.try_wait().unwrap().is_none(), "it waits");
    env.restart().await;
    expect_end(&env, &mut wait, &of("INC-7")).await;
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stays_away_is_unreachable_within_seconds() {
    let mut env = TestEnv::new().signed_in(&["alice"]).start().await;
    env.server.world_mut().stop_daemon().await.unwrap();
    let words = ["pass", "--role", "shell"];
    let done = timeout(SOON, Done::of(env.terminal("alice").command(&words)));
    let done = done.await.unwrap().exits("nothing listens", 6);
    assert!(done.stderr.contains("failed to reach"), "{}", done.stderr);
    env.close().await;
}
