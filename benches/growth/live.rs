//! What lives at once costs a daemon: revoked passes, requests that wait, and watches.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use daypass::{
    proto::v1::{
        Ask, ListRequestsRequest, Request, WatchRequest, requests_client::RequestsClient,
        revoke_request,
    },
    ssh::krl::Krl,
};
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tonic::Streaming;

use crate::{
    PASSES, events, passes_of,
    support::{
        api::{Api, Caller, ask, with_token},
        env::{TestEnv, UNLIMITED},
        https,
        server::{Process, ServerFiles},
        user::TestUser,
    },
    verifying::memory,
};

/// The longest wait for what must come.
const SOON: Duration = Duration::from_secs(60);

/// Watches of one connection.
const STREAMS: u64 = 50;

/// Prints a table of a daemon with so many revoked passes that are still valid.
pub async fn revocations() {
    println!(
        "\n{:<20}{:>10}{:>16}{:>12}{:>12}{:>14}{:>12}",
        "live revocations",
        "KRL, KB",
        "revoke+KRL, ms",
        "fetch, ms",
        "start, ms",
        "pass p50, ms",
        "memory, MB"
    );
    for count in [0, 1_000, 10_000, 50_000] {
        let served = with_live_passes(count).await;
        let mut process = served.spawn(&[]);
        let api = served.expect_api(&mut process).await;
        let lead = user(&served, &api, "lead", &["security"]);
        let now = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap();
        let all = lead.revoke_request(revoke_request::Target::Before(now + 1), 0);
        let revoked = lead.send_revoke(all).await.unwrap().len() as u64;
        assert_eq!(revoked, count);
        // One more pass, and its revocation: the whole list is made and published again.
        let attempt = user(&served, &api, "alice", &["sre"]).attempt(logs());
        let serial = api.issue(&attempt).await.unwrap().serial;
        let begun = Instant::now();
        let one = lead.revoke_request(revoke_request::Target::Serial(serial), 0);
        lead.send_revoke(one).await.unwrap();
        let client = https::client(served.tls_ca());
        let fetched = loop {
            let answer = client.get(format!("{}/krl", served.url())).send().await;
            let bytes = answer.unwrap().bytes().await.unwrap();
            if Krl::parse(&bytes).unwrap().len() as u64 == count + 1 {
                break bytes;
            }
            assert!(begun.elapsed() < SOON, "the KRL lacks {serial}");
        };
        let published = begun.elapsed();
        let mut fetches = Vec::new();
        for _ in 0..PASSES {
            let begun = Instant::now();
            let answer = client.get(format!("{}/krl", served.url())).send().await;
            answer.unwrap().bytes().await.unwrap();
            fetches.push(begun.elapsed());
        }
        process.kill();
        let begun = Instant::now();
        let mut process = served.spawn(&[]);
        let api = served.expect_api(&mut process).await;
        let pass = passes_of(&served, &process, api, begun).await;
        println!(
            "{count:<20}{:>10.1}{:>16.1}{:>12.1}{:>12.0}{:>14.1}{:>12}",
            fetched.len() as f64 / 1e3,
            milliseconds(published),
            milliseconds(median(&mut fetches)),
            pass.first,
            pass.median,
            memory(process.0.id()),
        );
        process.kill();
    }
}

/// Prints a table of a daemon with so many requests that wait, and watches that are told of each
/// change.
pub async fn requests() {
    println!(
        "\n{:<10}{:<10}{:>14}{:>16}{:>14}{:>12}{:>14}",
        "requests",
        "watches",
        "list all, ms",
        "last told, ms",
        "pass p50, ms",
        "memory, MB",
        "KB per watch"
    );
    for (waiting, watching) in [(0, 0), (1_000, 0), (100, 100), (100, 1_000), (10, 10_000)] {
        let served = TestEnv::new()
            .policy(&*events::POLICY)
            .limits(format!("connections = 1000\nwatches = 20000\n{UNLIMITED}"))
            .prepare()
            .await;
        let mut process = served.spawn(&[]);
        let api = served.expect_api(&mut process).await;
        for person in 0..waiting {
            let name = format!("user{person}");
            user(&served, &api, &name, &["sre"]).request(prod()).await;
        }
        let lead = user(&served, &api, "lead", &["security"]);
        let begun = Instant::now();
        let listed = list_all(&lead).await;
        let list = begun.elapsed();
        assert_eq!(listed, waiting);
        let before = resident(&process);
        // Each sees every change.
        let (mut watches, mut connection) = (Vec::new(), api.clone());
        for person in 0..watching {
            if person % STREAMS == 0 {
                connection = Api::open(&served.url(), served.tls_ca().as_bytes()).await;
            }
            let auditor = user(
                &served,
                &connection,
                &format!("lead{person}"),
                &["security"],
            );
            let mut watch = watch(&auditor).await;
            for _ in 0..waiting {
                watch
                    .message()
                    .await
                    .unwrap()
                    .expect("a request that waits");
            }
            watches.push(watch);
        }
        let per_watch = (resident(&process).saturating_sub(before)) as f64 / watching.max(1) as f64;
        let told = told(&served, &api, watches).await;
        let pass = passes_of(&served, &process, api, Instant::now()).await;
        println!(
            "{waiting:<10}{watching:<10}{:>14.1}{:>16.1}{:>14.1}{:>12}{:>14.1}",
            milliseconds(list),
            milliseconds(told),
            pass.median,
            memory(process.0.id()),
            per_watch,
        );
        process.kill();
    }
}

/// The time from the ask for one more request until the last of these watches is told of it.
async fn told(served: &ServerFiles, api: &Api, watches: Vec<Streaming<Request>>) -> Duration {
    let begun = Instant::now();
    let request = user(served, api, "newcomer", &["sre"])
        .request(prod())
        .await;
    let mut all = JoinSet::new();
    for mut watch in watches {
        all.spawn(async move {
            while let Some(change) = watch.message().await.unwrap() {
                if change.id == request.id {
                    return;
                }
            }
            panic!("a watch ended");
        });
    }
    let all = tokio::time::timeout(SOON, all.join_all()).await;
    all.expect("every watch is told");
    begun.elapsed()
}

async fn watch(auditor: &TestUser) -> Streaming<Request> {
    let message = with_token(
        WatchRequest {
            id: 0,
            beats: false,
        },
        &auditor.token,
    );
    let watch = RequestsClient::new(auditor.api.channel())
        .watch(message)
        .await;
    watch.unwrap().into_inner()
}

/// A ledger of so many passes that are all valid.
async fn with_live_passes(count: u64) -> ServerFiles {
    let served = TestEnv::new()
        .policy(&*events::POLICY)
        .limits(UNLIMITED.to_owned())
        .prepare()
        .await;
    if count > 0 {
        // The start of the daemon and its policy are no passes.
        let size = (count + 2).to_string();
        let made = Command::new(std::env::current_exe().unwrap())
            .args(["live", served.folder().to_str().unwrap(), &size])
            .status();
        assert!(made.unwrap().success());
    }
    served
}

fn user(served: &ServerFiles, api: &Api, name: &str, groups: &[&str]) -> TestUser {
    let caller = Caller::new();
    TestUser {
        name: name.to_owned(),
        token: served.token(&caller, name, groups),
        caller,
        api: api.clone(),
    }
}

fn logs() -> Ask {
    Ask {
        host: "web-0.example.com".to_owned(),
        ..ask("role0")
    }
}

fn prod() -> Ask {
    Ask {
        host: "web-0.example.com".to_owned(),
        ..ask("prod")
    }
}

/// The number of requests that wait, page by page.
async fn list_all(lead: &TestUser) -> u64 {
    let (mut count, mut page_token) = (0, String::new());
    loop {
        let request = ListRequestsRequest {
            page_token,
            ..ListRequestsRequest::default()
        };
        let request = with_token(request, &lead.token);
        let page = lead
            .api
            .requests()
            .list(request)
            .await
            .unwrap()
            .into_inner();
        count += page.requests.len() as u64;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return count;
        }
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Resident memory in KB.
fn resident(process: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.0.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
    kilobytes.parse().unwrap()
}
