//! A key file beside the same key behind `daypass signer`, by turns in the same minutes. The CPU
//! time of the signer counts with the daemon's.

use daypass::identity::issuer::Algorithm;

use crate::{
    CORE, micros,
    row::{Row, Shape},
    support::{
        env::TestEnv,
        files::{edit, new_key, write_key},
        server::{Process, ServerFiles},
        signer::{SignerFiles, verifier},
    },
};

/// Turns of each row, of which the one in the middle counts.
const TURNS: usize = 5;

const CEILINGS: &str =
    "[[ceiling]]\nprincipals = [\"root\"]\nttl = \"1h\"\nextensions = [\"pty\"]\n";

/// Prints the costs of a pass, and their ratio.
pub async fn print(policy: &str, is_quick: bool) {
    let (turns, passes) = if is_quick { (1, 1280) } else { (TURNS, 6400) };
    println!("kept connections, every pass durable, daemon and signer on one core");
    println!("key     callers  passes/s  p50 ms  p99 ms  CPU/pass  to a key file");
    for callers in [1, 16, 128] {
        let shape = Shape {
            callers,
            is_kept: true,
            is_new: false,
            algorithm: Algorithm::RS256,
        };
        let passes = if callers == 1 { passes / 10 } else { passes };
        let mut rows: [Vec<Row>; 2] = Default::default();
        for _ in 0..turns {
            for (rows, is_behind) in rows.iter_mut().zip([false, true]) {
                let site = Site::start(policy, is_behind).await;
                rows.push(
                    shape
                        .measure(&[&site.server], &site.processes(), passes)
                        .await,
                );
            }
        }
        let rows = rows.map(crate::median);
        let plain = rows[0].per_pass().as_secs_f64();
        for (row, name) in rows.iter().zip(["file", "signer"]) {
            println!(
                "{name:<6}  {callers:>7}  {:>8.0}  {:>6.2}  {:>6.2}  {:>8}  {:>13.2}",
                row.passes_per_second(),
                row.latency(0.5).as_secs_f64() * 1e3,
                row.latency(0.99).as_secs_f64() * 1e3,
                micros(row.per_pass()),
                row.per_pass().as_secs_f64() / plain,
            );
        }
    }
}

/// A daemon, and its signer if it has one.
struct Site {
    server: ServerFiles,
    daemon: Process,
    signer: Option<Process>,
}

impl Site {
    async fn start(policy: &str, is_behind: bool) -> Self {
        let server = TestEnv::new().policy(policy).prepare().await;
        let signer = is_behind.then(|| {
            let (ledger, key) = (verifier(&server), "file = \"../ca_key\"");
            let signer = SignerFiles::prepare(server.folder(), &ledger, key, CEILINGS);
            let private = new_key();
            write_key(&server.path("ca_key"), &private);
            let public = private.public_key().to_openssh().unwrap();
            std::fs::write(server.path("ca_key.pub"), public).unwrap();
            let lines = "\"ca_key.pub\"\nsigner = \"signer/socket\"";
            edit(&server.configuration(), "\"ca_key\"", lines);
            signer.must(&["accept", "--new"]);
            signer.spawn(&CORE)
        });
        let mut daemon = server.spawn(&CORE);
        server.expect_api(&mut daemon).await;
        Self {
            server,
            daemon,
            signer,
        }
    }

    fn processes(&self) -> Vec<u32> {
        let signer = self.signer.iter().map(|process| process.0.id());
        std::iter::once(self.daemon.0.id()).chain(signer).collect()
    }
}
