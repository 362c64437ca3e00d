//! One daemon over SQLite beside one and two over PostgreSQL, by turns in the same minutes. All
//! daemons have the same core, and PostgreSQL runs beside the callers. Both databases wait for the
//! same disk at every commit.

use std::{path::Path, sync::Arc};

use daypass::identity::issuer::Algorithm;

use crate::{
    CORE,
    cluster::Cluster,
    micros,
    row::{Row, Shape},
    support::{
        env::TestEnv,
        files, https,
        server::{Process, ServerFiles},
    },
};

/// Turns of each row, of which the one in the middle counts.
const TURNS: usize = 5;

/// Daemons over PostgreSQL; none stands for one over SQLite.
const ROWS: [Option<usize>; 3] = [None, Some(1), Some(2)];

/// Prints passes per second of each, and their ratio to those of SQLite.
pub async fn print(policy: &str, is_quick: bool, program: &Path) {
    let cluster = Arc::new(Cluster::durable());
    let turns = if is_quick { 1 } else { TURNS };
    println!("128 callers on kept connections, every pass durable, all daemons on one core");
    println!(
        "database    daemons  token  passes/s  p50 ms  p99 ms  CPU/pass  passes/commit  to SQLite"
    );
    for is_new in [true, false] {
        let shape = Shape {
            callers: 128,
            is_kept: true,
            is_new,
            algorithm: Algorithm::RS256,
        };
        let mut rows: [Vec<(Row, f64)>; 3] = Default::default();
        for _ in 0..turns {
            for (rows, count) in rows.iter_mut().zip(ROWS) {
                let site = Site::start(policy, &cluster, count, program).await;
                rows.push(site.measure(shape).await);
            }
        }
        let rows = rows.map(middle);
        let sqlite = rows[0].0.passes_per_second();
        for ((row, batch), count) in rows.iter().zip(ROWS) {
            line(row, *batch, count, (is_new, sqlite));
        }
    }
}

fn line(row: &Row, batch: f64, daemons: Option<usize>, (is_new, sqlite): (bool, f64)) {
    println!(
        "{:<10}  {:>7}  {:<5}  {:>8.0}  {:>6.0}  {:>6.0}  {:>8}  {:>13.1}  {:>9.2}",
        daemons.map_or("SQLite", |_| "PostgreSQL"),
        daemons.unwrap_or(1),
        if is_new { "new" } else { "known" },
        row.passes_per_second(),
        row.latency(0.5).as_secs_f64() * 1e3,
        row.latency(0.99).as_secs_f64() * 1e3,
        micros(row.per_pass()),
        batch,
        row.passes_per_second() / sqlite,
    );
}

/// The row in the middle by passes per second.
fn middle(mut rows: Vec<(Row, f64)>) -> (Row, f64) {
    rows.sort_by_key(|(row, _)| row.wall);
    rows.swap_remove(rows.len() / 2)
}

/// Daemons of one ledger.
struct Site {
    servers: Vec<ServerFiles>,
    processes: Vec<Process>,
}

impl Site {
    async fn start(
        policy: &str,
        cluster: &Arc<Cluster>,
        count: Option<usize>,
        program: &Path,
    ) -> Self {
        let mut env = TestEnv::new().policy(policy);
        let mut address = None;
        if count.is_some() {
            env = env.configuration("[store]\npostgres_file = \"postgres\"");
            let database = cluster.database().await.address();
            files::write_secret(&env.folder().join("postgres"), &database);
            address = Some(database);
        }
        let mut servers = vec![env.prepare().await];
        for _ in 1..count.unwrap_or(1) {
            servers.push(servers[0].replica());
        }
        let mut processes = Vec::new();
        for server in &servers {
            if let Some(address) = &address {
                files::write_secret(&server.path("postgres"), address);
            }
            let mut process = server.spawn_program(program, &CORE, &[]);
            server.expect_api(&mut process).await;
            processes.push(process);
        }
        Self { servers, processes }
    }

    /// The row, and the number of passes of one commit.
    async fn measure(self, shape: Shape) -> (Row, f64) {
        let servers: Vec<&ServerFiles> = self.servers.iter().collect();
        let daemons: Vec<u32> = self.processes.iter().map(|it| it.0.id()).collect();
        let before = self.commits().await;
        let row = shape.measure(&servers, &daemons, PASSES).await;
        let commits = self.commits().await - before;
        for process in self.processes {
            process.stop().await;
        }
        let batch = row.passes as f64 / commits;
        (row, batch)
    }

    /// Commits of all daemons until now.
    async fn commits(&self) -> f64 {
        let mut all = 0.0;
        for server in &self.servers {
            let url = format!("{}/metrics", server.url());
            let answer = https::client(server.tls_ca())
                .get(url)
                .send()
                .await
                .unwrap();
            let text = answer.text().await.unwrap();
            let mut lines = text.lines();
            let name = "daypass_ledger_commits_total ";
            let value = lines.find_map(|line| line.strip_prefix(name)).unwrap();
            all += value.parse::<f64>().unwrap();
        }
        all
    }
}

/// Passes of one row.
const PASSES: usize = 6400;
