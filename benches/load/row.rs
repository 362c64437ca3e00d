//! One row: so many callers, each with its own key, take so many passes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use daypass::identity::issuer::Algorithm;
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    clock::cpu,
    support::{
        api::{Api, Attempt, Caller, ask},
        server::ServerFiles,
    },
};

/// The shape of a row.
#[derive(Clone, Copy)]
pub struct Shape {
    pub callers: usize,
    /// Kept connections, or a fresh one for each pass.
    pub is_kept: bool,
    /// A new token for each pass, or one per caller.
    pub is_new: bool,
    pub algorithm: Algorithm,
}

/// What was measured.
pub struct Row {
    pub passes: usize,
    pub wall: Duration,
    /// Sorted.
    pub latencies: Vec<Duration>,
    pub server_cpu: Duration,
}

impl Row {
    /// The latency that this share of the passes stayed within.
    pub fn latency(&self, share: f64) -> Duration {
        let last = self.latencies.len() - 1;
        self.latencies[((self.latencies.len() as f64 * share) as usize).min(last)]
    }

    pub fn passes_per_second(&self) -> f64 {
        self.passes as f64 / self.wall.as_secs_f64()
    }

    /// CPU time of the servers for one pass.
    pub fn per_pass(&self) -> Duration {
        self.server_cpu / u32::try_from(self.passes).unwrap()
    }
}

impl Shape {
    /// Takes `passes` passes from these servers, whose processes are `daemons`. Each caller stays
    /// with one server. Everything that the callers sign is signed before.
    pub async fn measure(self, servers: &[&ServerFiles], daemons: &[u32], passes: usize) -> Row {
        let each = passes.div_ceil(self.callers);
        let mut callers = Vec::new();
        for number in 0..self.callers {
            let server = servers[number % servers.len()];
            let attempts = self.attempts(server, each);
            let (url, ca) = (server.url(), server.tls_ca().to_owned());
            let mut api = Api::open(&url, ca.as_bytes()).await;
            if !self.is_new {
                api.issue(&attempts[0]).await.unwrap();
            }
            callers.push(async move {
                let mut latencies = Vec::new();
                for number in 0..each {
                    let start = Instant::now();
                    if !self.is_kept {
                        api = Api::open(&url, ca.as_bytes()).await;
                    }
                    let attempt = &attempts[number % attempts.len()];
                    let pass = api.issue(attempt).await;
                    pass.unwrap_or_else(|refusal| panic!("{refusal:?}"));
                    latencies.push(start.elapsed());
                }
                latencies
            });
        }
        let spent = || daemons.iter().map(|daemon| cpu(*daemon)).sum::<Duration>();
        let (before, start) = (spent(), Instant::now());
        let tasks: Vec<_> = callers.into_iter().map(tokio::spawn).collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await.unwrap());
        }
        let (wall, server_cpu) = (start.elapsed(), spent() - before);
        latencies.sort_unstable();
        Row {
            passes: latencies.len(),
            wall,
            latencies,
            server_cpu,
        }
    }

    fn attempts(self, server: &ServerFiles, passes: usize) -> Arc<Vec<Attempt>> {
        let (caller, now) = (Caller::new(), OffsetDateTime::now_utc().unix_timestamp());
        let count = if self.is_new { passes } else { 1 };
        let attempt = |number: usize| {
            let mut claims = caller.claims(server.issuer.url(), "alice", &["sre"], now);
            claims["jti"] = json!(number);
            let token = server.issuer.sign(self.algorithm, &claims);
            caller.attempt("localhost", &token, ask("shell"))
        };
        Arc::new((0..count).map(attempt).collect())
    }
}
