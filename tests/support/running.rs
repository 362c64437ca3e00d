//! A command that goes on for a while, and what it prints line by line.

use std::{process::Stdio, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdout, Command},
    time::{sleep, timeout},
};

use super::server::signal;

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Running {
    pub child: Child,
    pub out: Lines<BufReader<ChildStdout>>,
    pub err: Lines<BufReader<ChildStderr>>,
}

impl Running {
    /// Starts it without a stdin.
    pub fn start(mut command: Command) -> Self {
        Self::of(command.stdin(Stdio::null()).spawn().unwrap())
    }

    pub fn of(mut child: Child) -> Self {
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let err = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, out, err }
    }

    /// The next line of stdout, which is JSON.
    pub async fn prints(&mut self) -> Value {
        let line = timeout(PATIENCE, self.out.next_line()).await;
        match line.expect("a line comes").unwrap() {
            Some(line) => serde_json::from_str(&line).unwrap(),
            None => panic!("it ended: {:?}", self.err.next_line().await),
        }
    }

    /// Waits for a line of stderr with this text.
    pub async fn says(&mut self, text: &str) {
        let said = async {
            while let Some(line) = self.err.next_line().await.unwrap() {
                if line.contains(text) {
                    return;
                }
            }
            panic!("it ended before it said {text:?}");
        };
        timeout(PATIENCE, said).await.expect("it says so");
    }

    /// Sends SIGINT once it listens for that. Returns the exit code, and the rest of stderr.
    pub async fn interrupted(self) -> (Option<i32>, String) {
        self.ended_by(&["INT"]).await
    }

    /// Sends these signals once it listens for the last one. Returns the exit code, and the rest of
    /// stderr.
    pub async fn ended_by(mut self, signals: &[&str]) -> (Option<i32>, String) {
        let id = self.child.id().unwrap();
        let last = signals.last().unwrap();
        let listening = async {
            while !catches(id, last) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, listening).await.expect("it listens");
        for name in signals {
            signal(id, name);
        }
        let status = timeout(PATIENCE, self.child.wait()).await;
        let code = status.expect("it ends").unwrap().code();
        let mut said = String::new();
        while let Some(line) = self.err.next_line().await.unwrap() {
            said.push_str(&line);
        }
        (code, said)
    }
}

/// Whether the process has a handler of this signal, by the mask of caught signals.
fn catches(process: u32, signal: &str) -> bool {
    let number = match signal {
        "HUP" => 1,
        "INT" => 2,
        "TERM" => 15,
        other => panic!("SIG{other}"),
    };
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = u64::from_str_radix(mask.unwrap().trim(), 16).unwrap();
    mask & (1 << (number - 1)) != 0
}
