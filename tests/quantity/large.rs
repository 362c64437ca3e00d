//! A large ledger: a daemon that was killed starts as fast over it as over a small one, and in as
//! much memory.

use std::{
    fs,
    time::{Duration, Instant},
};

use daypass::proto::v1;

use crate::{
    Scale,
    events::{self, POLICY},
    subject::say,
    support::{
        api::{Caller, ask},
        env::TestEnv,
        server::{Process, ServerFiles},
    },
};

/// Events of the small ledger.
const FEW: u64 = 1_000;

/// A start over the large ledger may take so much longer: tens of milliseconds are measured, and a
/// test build on a busy machine is slow. To read a million events takes minutes here.
const SLOWER: Duration = Duration::from_secs(5);

/// The daemon may hold so many more KiB of a large ledger: its state has live passes and known
/// people, and the search index is being filled.
const LARGER: u64 = 96 * 1024;

/// A start after `kill -9`.
struct Start {
    /// Time to the first pass.
    first_pass: Duration,
    /// The most memory in KiB.
    memory: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_after_a_kill_does_not_grow_with_the_ledger() {
    let many = Scale::chosen().events;
    let (small, large) = (start_over(FEW).await, start_over(many).await);
    for (events, start) in [(FEW, &small), (many, &large)] {
        say(&format!(
            "{events:>9} events: first pass after kill -9 in {:.0?}, {} MB",
            start.first_pass,
            start.memory / 1024
        ));
    }
    assert!(large.first_pass < small.first_pass + SLOWER);
    assert!(large.memory < small.memory + LARGER);
}

/// Kills a daemon over a ledger of so many events, and starts it again: three times, of which the
/// quickest counts, for the machine may be busy with other tests.
async fn start_over(events: u64) -> Start {
    let served = TestEnv::new().policy(&*POLICY).prepare().await;
    let folder = served.folder().to_owned();
    let fill = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(events::fill(&folder, events));
    };
    tokio::task::spawn_blocking(fill).await.unwrap();
    let mut process = served.spawn(&[]);
    first_pass(&served, &mut process).await;
    let (mut quickest, mut memory) = (Duration::MAX, 0);
    for _ in 0..3 {
        process.kill();
        let begun = Instant::now();
        process = served.spawn(&[]);
        first_pass(&served, &mut process).await;
        quickest = quickest.min(begun.elapsed());
        memory = most_memory(process.0.id()).max(memory);
    }
    process.kill();
    Start {
        first_pass: quickest,
        memory,
    }
}

async fn first_pass(served: &ServerFiles, process: &mut Process) {
    let (caller, api) = (Caller::new(), served.expect_api(process).await);
    let token = served.token(&caller, "alice", &["sre"]);
    let asked = v1::Ask {
        host: "web-0.example.com".to_owned(),
        ..ask("role0")
    };
    let attempt = caller.attempt(events::SERVER, &token, asked);
    api.issue(&attempt).await.unwrap();
}

/// The largest memory of a process so far, in KiB.
fn most_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
    kilobytes.parse().unwrap()
}
