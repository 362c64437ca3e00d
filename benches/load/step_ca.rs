//! Daypass beside step-ca, each on one core, by turns in the same minutes.
//!
//! step-ca is built from Debian's golang-go and golang-github-smallstep-certificates-dev by
//! `GO111MODULE=off GOPATH=/usr/share/gocode go build -o PROGRAM stepca.go`, and this is
//! `stepca.go`:
//!
//! ```go
//! package main
//!
//! import (
//!     "log"
//!     "os"
//!
//!     "github.com/smallstep/certificates/authority/config"
//!     "github.com/smallstep/certificates/ca"
//! )
//!
//! func main() {
//!     loaded, err := config.LoadConfiguration(os.Args[1])
//!     if err != nil {
//!         log.Fatal(err)
//!     }
//!     started, err := ca.New(loaded)
//!     if err != nil {
//!         log.Fatal(err)
//!     }
//!     log.Fatal(started.Run())
//! }
//! ```
//!
//! Its configuration is made here: one OIDC provisioner for the issuer that Daypass trusts too,
//! Ed25519 keys, and the database that step-ca's own set-up writes. Its callers do what its client
//! does: an ID token to `/1.0/ssh/sign` over a kept TLS connection. step-ca takes each token once,
//! so it has no row for known tokens.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use daypass::{dev::issuer::Issuer, identity::issuer::Algorithm};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer as Signer, KeyPair, KeyUsagePurpose,
};
use reqwest::{Certificate, Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::{
    CORE,
    clock::cpu,
    row::{Row, Shape},
    support::{
        api::Caller,
        env::TestEnv,
        files, ports,
        server::{Process, ServerFiles},
    },
};

/// Turns of each row.
const TURNS: usize = 3;

/// Passes of one turn.
const PASSES: usize = 3200;

/// Prints passes per second and the server's CPU time of both programs, and their ratio.
pub async fn print(policy: &str, program: &str, daypass: &Path) {
    let served = TestEnv::new().policy(policy).prepare().await;
    let mut daypass = served.spawn_program(daypass, &CORE, &[]);
    served.expect_api(&mut daypass).await;
    let other = StepCa::start(program, &served.issuer).await;
    println!("passes per second on one core, kept connections, RS256, median of {TURNS} turns");
    println!("callers  step-ca new  daypass new  ratio  daypass known  ratio");
    for callers in [16, 128] {
        let shape = |is_new| Shape {
            callers,
            is_kept: true,
            is_new,
            algorithm: Algorithm::RS256,
        };
        let mut rates: [Vec<f64>; 3] = Default::default();
        for _ in 0..TURNS {
            let measured = [
                other.measure(callers, &served.issuer).await,
                ours(shape(true), &served, &daypass).await,
                ours(shape(false), &served, &daypass).await,
            ];
            for (rates, row) in rates.iter_mut().zip(measured) {
                rates.push(row.passes_per_second());
            }
        }
        let [theirs, new, known] = rates.map(|mut rates| {
            rates.sort_by(f64::total_cmp);
            rates[TURNS / 2]
        });
        println!(
            "{callers:>7}  {theirs:>11.0}  {new:>11.0}  {:>5.2}  {known:>13.0}  {:>5.2}",
            new / theirs,
            known / theirs
        );
    }
    daypass.stop().await;
}

async fn ours(shape: Shape, served: &ServerFiles, process: &Process) -> Row {
    shape.measure(&[served], &[process.0.id()], PASSES).await
}

/// A running step-ca.
struct StepCa {
    url: String,
    root: String,
    process: Process,
    _folder: TempDir,
}

impl StepCa {
    async fn start(program: &str, issuer: &Issuer) -> Self {
        let (folder, port) = (files::folder(), ports::free_port());
        let root = configure(folder.path(), port, issuer.url());
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(CORE[0])
            .args(&CORE[1..])
            .args([program, "config.json"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let started = Self {
            url: format!("https://localhost:{port}"),
            root,
            process: Process(child),
            _folder: folder,
        };
        started.wait().await;
        started
    }

    /// Waits until it answers, and until a second later: it refuses tokens of the time before its
    /// start.
    async fn wait(&self) {
        let (client, deadline) = (self.client(), Instant::now() + Duration::from_secs(30));
        let health = format!("{}/health", self.url);
        while client.get(&health).send().await.is_err() {
            let log = fs::read_to_string(self._folder.path().join("log"));
            assert!(Instant::now() < deadline, "step-ca: {log:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    fn client(&self) -> Client {
        let root = Certificate::from_pem(self.root.as_bytes()).unwrap();
        Client::builder().tls_certs_only([root]).build().unwrap()
    }

    async fn measure(&self, callers: usize, issuer: &Issuer) -> Row {
        let each = PASSES.div_ceil(callers);
        let mut tasks = Vec::new();
        for _ in 0..callers {
            let client = self.client();
            // The connection is opened before the measurement, as it is for Daypass.
            let health = format!("{}/health", self.url);
            client.get(health).send().await.unwrap();
            let asks = asks(each, issuer);
            let url = format!("{}/1.0/ssh/sign", self.url);
            tasks.push(async move {
                let mut latencies = Vec::new();
                for ask in asks {
                    let start = Instant::now();
                    let answer = client.post(&url).json(&ask).send().await.unwrap();
                    let (status, text) = (answer.status(), answer.text().await.unwrap());
                    assert_eq!(status, StatusCode::CREATED, "{text}");
                    latencies.push(start.elapsed());
                }
                latencies
            });
        }
        let daemon = self.process.0.id();
        let (before, start) = (cpu(daemon), Instant::now());
        let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await.unwrap());
        }
        Row {
            passes: latencies.len(),
            wall: start.elapsed(),
            latencies,
            server_cpu: cpu(daemon) - before,
        }
    }
}

/// Requests of one caller, each with a token of its own. step-ca knows a token by its nonce if it
/// has one, so these have none.
fn asks(count: usize, issuer: &Issuer) -> Vec<Value> {
    let (caller, now) = (Caller::new(), OffsetDateTime::now_utc().unix_timestamp());
    let key = STANDARD.encode(caller.key.public_key().to_bytes().unwrap());
    let ask = |number: usize| {
        let mut claims = caller.claims(issuer.url(), "alice", &["sre"], now);
        claims.as_object_mut().unwrap().remove("nonce");
        claims["jti"] = json!(format!("{}-{number}", caller.commitment()));
        json!({
            "publicKey": key,
            "ott": issuer.sign(Algorithm::RS256, &claims),
            "certType": "user",
            "keyID": "alice@example.com",
            "principals": ["alice"],
        })
    };
    (0..count).map(ask).collect()
}

/// Writes the configuration and its keys. Returns the root that clients trust (PEM).
fn configure(folder: &Path, port: u16, issuer: &str) -> String {
    let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let root_params = authority("root");
    let root = root_params.self_signed(&root_key).unwrap().pem();
    let signer = Signer::new(root_params, root_key);
    let intermediate = authority("intermediate").signed_by(&key, &signer).unwrap();
    fs::write(folder.join("root.pem"), &root).unwrap();
    fs::write(folder.join("intermediate.pem"), intermediate.pem()).unwrap();
    files::write_secret(&folder.join("intermediate.key"), &key.serialize_pem());
    files::write_key(&folder.join("host_key"), &files::new_key());
    files::write_key(&folder.join("user_key"), &files::new_key());
    let config = json!({
        "root": "root.pem",
        "crt": "intermediate.pem",
        "key": "intermediate.key",
        "address": format!("127.0.0.1:{port}"),
        "dnsNames": ["localhost"],
        "ssh": { "hostKey": "host_key", "userKey": "user_key" },
        "db": { "type": "badgerv2", "dataSource": "db" },
        "logger": { "format": "text" },
        "authority": { "provisioners": [{
            "type": "OIDC",
            "name": "dev",
            "clientID": "daypass",
            "configurationEndpoint": format!("{issuer}/.well-known/openid-configuration"),
            "claims": { "enableSSHCA": true },
        }] },
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    root
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}
