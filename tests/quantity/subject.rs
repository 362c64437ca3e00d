//! The daemon that is flooded, its honest callers, and one flood's row of figures.

use std::{
    fmt, fs,
    io::{self, Write as _},
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use daypass::proto::v1::IssueRequest;
use http::Request;
use http_body_util::BodyExt;
use regex::Regex;

use crate::{
    Scale,
    flood::Flood,
    network::{Network, Part},
    support::{
        api::ask,
        env::{TestEnv, UNLIMITED},
        policy,
    },
};

/// An address that takes part in no flood.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// How long a newcomer waits: the machine is busy, and then as long as a person does.
const PATIENCE: Duration = Duration::from_secs(30);

/// The daemon in its process.
pub struct Subject {
    env: TestEnv,
    pub network: Network,
}

impl Subject {
    pub async fn start(scale: &Scale) -> Self {
        let limits = format!("connections = {}\n{UNLIMITED}", scale.connections);
        let env = TestEnv::new().policy(policy::SHELL).limits(limits);
        let env = env.start_process().await;
        Self {
            network: Network::new(&env.server.url(), &env.server.tls_ca()),
            env,
        }
    }

    /// What a flood does to it.
    pub async fn under(&self, scale: &Scale, mut flood: Flood) -> Row {
        self.settled().await;
        let quiet = self.median(scale.calls).await;
        let before = self.resident();
        flood.open(&self.network).await;
        let mut peak = self.resident();
        let started = Instant::now();
        let (mut served, mut same) = (0, 0);
        for _ in 0..scale.newcomers {
            served += usize::from(self.serves(ELSEWHERE).await);
            same += usize::from(self.serves(flood.address()).await);
            peak = peak.max(self.resident());
        }
        let under = self.median(scale.calls).await;
        while started.elapsed() < scale.lasts {
            peak = peak.max(self.resident());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let row = Row {
            name: flood.name(),
            before,
            peak: peak.max(self.resident()),
            served,
            same,
            newcomers: scale.newcomers,
            quiet,
            under,
        };
        row.print();
        row
    }

    /// Whether a newcomer from there gets the CA's keys on a connection of its own.
    async fn serves(&self, from: Ipv4Addr) -> bool {
        self.get(from, "/ca.pub").await.is_some()
    }

    /// What it answers to a newcomer from there; none if it does not, or with an error.
    async fn get(&self, from: Ipv4Addr, path: &str) -> Option<String> {
        let asked = async {
            let mut connection = self.network.http2(from, 65_535).await?;
            let url = format!("https://localhost{path}");
            let request = Request::get(url).body(Part::new(&[], true));
            let answer = connection.requests.send_request(request.unwrap()).await;
            let answer = answer.map_err(io::Error::other)?;
            let is_ok = answer.status().is_success();
            let body = answer.into_body().collect().await;
            let body = body.map_err(io::Error::other)?.to_bytes();
            let text = String::from_utf8_lossy(&body).into_owned();
            Ok::<_, io::Error>(is_ok.then_some(text))
        };
        let answer = tokio::time::timeout(PATIENCE, asked).await;
        answer.ok()?.ok()?
    }

    /// Waits until the last flood's connections are gone: those that end now would leave places
    /// free.
    async fn settled(&self) {
        let deadline = Instant::now() + Duration::from_secs(180);
        let open = Regex::new(r"(?m)^daypass_connections (\d+)$").unwrap();
        loop {
            let metrics = self.get(ELSEWHERE, "/metrics").await.unwrap_or_default();
            let found = open.captures(&metrics);
            let number = found.map(|it| it[1].parse::<usize>().unwrap());
            // The honest caller's, this one, and one that is just closed.
            if number.is_some_and(|number| number <= 3) {
                return;
            }
            assert!(Instant::now() < deadline, "{number:?} connections stay");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The median of an honest caller's passes, on a connection that is kept.
    async fn median(&self, calls: usize) -> Duration {
        let alice = self.env.user("alice", &["sre"]);
        let attempt = alice.attempt(ask("shell"));
        let mut took = Vec::new();
        for _ in 0..calls {
            let started = Instant::now();
            self.env
                .api
                .issue(&attempt)
                .await
                .expect("an honest caller");
            took.push(started.elapsed());
        }
        took.sort();
        took[took.len() / 2]
    }

    /// Calls for a pass without a token, one after the other on one connection.
    pub async fn refuse(&self, calls: usize) {
        let mut passes = self.env.api.passes();
        for _ in 0..calls {
            let refused = passes.issue(IssueRequest::default()).await;
            assert_eq!(refused.unwrap_err().code(), tonic::Code::Unauthenticated);
        }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.env.server.log()
    }

    /// Resident memory in KiB.
    fn resident(&self) -> u64 {
        let file = format!("/proc/{}/status", self.env.server.process_id());
        let text = fs::read_to_string(file).expect("the daemon goes on");
        let line = text.lines().find(|line| line.starts_with("VmRSS:"));
        line.unwrap()
            .split_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap()
    }
}

/// Prints a line past the capture of a test's output.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// One flood's figures.
pub struct Row {
    name: String,
    /// Resident memory in KiB.
    before: u64,
    peak: u64,
    /// Newcomers that were served, from an address without a part in the flood, and from one with.
    pub served: usize,
    pub same: usize,
    newcomers: usize,
    /// An honest caller's median without the flood, and under it.
    quiet: Duration,
    pub under: Duration,
}

impl Row {
    /// What the flood added to the daemon's memory, in KiB.
    pub fn growth(&self) -> u64 {
        self.peak.saturating_sub(self.before)
    }

    /// What the columns are.
    pub fn print_head() {
        say(&format!(
            "\n{:<44} {:>8} {:>8} {:>10} {:>10} {:>8} {:>8}",
            "flood", "RSS MB", "peak MB", "newcomers", "same addr", "p50 ms", "under ms"
        ));
    }

    fn print(&self) {
        say(&self.to_string());
    }
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratio = |number| format!("{number} / {}", self.newcomers);
        write!(
            formatter,
            "{:<44} {:>8.1} {:>8.1} {:>10} {:>10} {:>8.1} {:>8.1}",
            self.name,
            self.before as f64 / 1024.0,
            self.peak as f64 / 1024.0,
            ratio(self.served),
            ratio(self.same),
            self.quiet.as_secs_f64() * 1000.0,
            self.under.as_secs_f64() * 1000.0,
        )
    }
}
