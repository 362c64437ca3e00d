//! Quantity as an attack: floods from other loopback addresses against a daemon in a process of its
//! own. Each flood's row says what the daemon's memory did, how many newcomers were served, and
//! what became of an honest caller's calls. It is printed, and asserted with wide margins; what is
//! measured here, a busy machine measures too.
//!
//! A large ledger too: a start must not grow with it.
//!
//! `cargo test --test quantity` runs the short form. `DAYPASS_QUANTITY=long` opens as many
//! connections as the defaults of `[limits]` allow to four addresses, keeps them for longer, and
//! makes a ledger of 1,000,000 events instead of 100,000: that takes many minutes in a test build,
//! and 2 GB of disk. `cargo bench --bench growth` makes that and more by the same code, in less.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "tests"
)]

#[path = "../../benches/growth/events.rs"]
mod events;
mod flood;
mod large;
mod network;
mod subject;
#[path = "../support/mod.rs"]
mod support;

use std::{net::Ipv4Addr, time::Duration};

use flood::{Flood, Kind};
use regex::Regex;
use subject::{Row, Subject, say};
use tokio::time::Instant;

/// How much of each there is.
pub struct Scale {
    /// `connections` of `[limits]`; each flood but the first opens more, from four addresses.
    connections: usize,
    /// How long a flood lasts once it is up.
    lasts: Duration,
    newcomers: usize,
    calls: usize,
    /// Events of the large ledger.
    events: u64,
}

impl Scale {
    fn chosen() -> Self {
        match std::env::var("DAYPASS_QUANTITY").as_deref() {
            Ok("long") => Self {
                connections: 1000,
                lasts: Duration::from_secs(30),
                newcomers: 50,
                calls: 200,
                events: 1_000_000,
            },
            Ok(other) => panic!("DAYPASS_QUANTITY={other}: write long, or leave it out"),
            Err(_) => Self {
                connections: 300,
                lasts: Duration::from_secs(2),
                newcomers: 10,
                calls: 20,
                events: 100_000,
            },
        }
    }
}

/// The daemon's resident memory may grow by this much in any one flood, in KiB: three times what is
/// promised, for a test build on a busy machine holds more. Without the budget of `[limits]` it
/// grew by 1,250 MB.
const GROWTH: u64 = 150 * 1024;

/// An honest caller's median under attack: seconds mean that calls starve; milliseconds are the
/// machine's.
const MEDIAN: Duration = Duration::from_secs(3);

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_without_a_token_cost_their_owners_alone() {
    let scale = Scale::chosen();
    let four = [address(2), address(3), address(4), address(5)];
    let subject = Subject::start(&scale).await;
    let mut rows = Vec::new();
    Row::print_head();
    let kind = Kind::UnfinishedMessages;
    // As many as the defaults of [limits] allow to one address.
    let one = Flood::new(kind, vec![address(2)], 256, kind.streams());
    rows.push(subject.under(&scale, one).await);
    for kind in [
        Kind::HealthWatches,
        Kind::ReflectionStreams,
        Kind::UnreadAnswers,
    ] {
        // More than there are places: without eviction none is left for a newcomer.
        let connections = scale.connections + scale.connections / 5;
        let flood = Flood::new(kind, four.to_vec(), connections, kind.streams());
        rows.push(subject.under(&scale, flood).await);
    }
    for row in &rows {
        assert!(row.growth() < GROWTH, "memory: {row}");
        assert_eq!(row.served, scale.newcomers, "newcomers: {row}");
        assert!(row.same >= scale.newcomers / 2, "the same address: {row}");
        assert!(row.under < MEDIAN, "an honest caller: {row}");
    }
}

/// Lines about refused calls, and how many more calls the other lines count.
fn told(log: &str) -> (usize, usize) {
    let refused = |line: &&str| line.contains("TOKEN_MISSING");
    let more = Regex::new(r"not logged one by one.* calls=(\d+)").unwrap();
    let (mut lines, mut calls) = (0, 0);
    for line in log.lines().filter(refused) {
        match more.captures(line) {
            Some(found) => calls += found[1].parse::<usize>().unwrap(),
            None => lines += 1,
        }
    }
    (lines, calls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_calls_are_counted_and_not_logged_one_by_one() {
    const CALLS: usize = 3_000;
    let subject = Subject::start(&Scale::chosen()).await;
    let started = Instant::now();
    subject.refuse(CALLS).await;
    let took = started.elapsed();
    let deadline = Instant::now() + Duration::from_secs(120);
    let (mut lines, mut more) = told(&subject.log());
    while lines + more < CALLS {
        assert!(Instant::now() < deadline, "{lines} lines, and {more} calls");
        tokio::time::sleep(Duration::from_millis(50)).await;
        (lines, more) = told(&subject.log());
    }
    say(&format!(
        "{CALLS} refused calls in {took:.1?}: {lines} lines, {more} calls in sums"
    ));
    assert_eq!(lines + more, CALLS);
    let seconds = usize::try_from(took.as_secs()).unwrap() + 2;
    assert!(lines <= 10 * seconds, "{lines} lines in {took:?}");
}
