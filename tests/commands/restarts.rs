//! The daemon restarts while commands run: no command fails, and what waits goes on.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use crate::support::{
    command::{DAYPASS, Done, Terminal},
    env::TestEnv,
    running::Running,
    server::{Process, TestServer},
};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

/// Long enough for a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// Runs the commands in turn, and reports each, until the reports are not wanted any more. Each
/// command must succeed.
async fn busy(terminal: Terminal, done: mpsc::UnboundedSender<()>) {
    let lines = ["pass --role shell", "roles", "requests", "whoami"];
    for line in lines.iter().cycle() {
        let words: Vec<&str> = line.split(' ').collect();
        terminal.run(&words).await.exits(line, 0);
        if done.send(()).is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_fails_while_the_daemon_restarts() {
    let mut env = TestEnv::new().signed_in(&["alice"]).start().await;
    let (done, mut ended) = mpsc::unbounded_channel();
    let mut load = JoinSet::new();
    for _ in 0..3 {
        load.spawn(busy(env.terminal("alice"), done.clone()));
    }
    for _ in 0..6 {
        env.restart().await;
        for _ in 0..4 {
            let command = timeout(SOON, ended.recv()).await;
            command.expect("commands end").unwrap();
        }
    }
    drop(ended);
    load.join_all().await;
    env.close().await;
}

/// A `daypass serve` over the files of a dev world, whose provider goes on.
fn serve(config: &Path) -> Process {
    let mut command = Command::new(DAYPASS);
    command.args(["serve", "--config"]).arg(config);
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    Process(command.spawn().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_fails_while_a_process_ends_by_sigterm_and_the_next_one_starts() {
    let mut env = TestEnv::new().signed_in(&["alice"]).start().await;
    let TestServer::InProcess(world, _) = &mut env.server else {
        panic!("the server is in this process");
    };
    world.stop_daemon().await.unwrap();
    let config = world.files().dir().join("daypass.toml");
    let mut process = serve(&config);
    let (done, mut ended) = mpsc::unbounded_channel();
    let mut load = JoinSet::new();
    for _ in 0..3 {
        load.spawn(busy(env.terminal("alice"), done.clone()));
    }
    for _ in 0..6 {
        for _ in 0..4 {
            let command = timeout(SOON, ended.recv()).await;
            command.expect("commands end").unwrap();
        }
        process.stop().await;
        process = serve(&config);
    }
    drop(ended);
    load.join_all().await;
    process.stop().await;
    env.close().await;
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
    let approve = format!("requests approve {}", first["id"]);
    env.daypass("carol", &approve)
        .await
        .exits("carol approves", 0);
    let ended = timeout(SOON, wait.child.wait())
        .await
        .expect("bob's wait ends");
    assert_eq!(ended.unwrap().code(), Some(0));
    assert_eq!(wait.prints().await["role"], "prod");

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
