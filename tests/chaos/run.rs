//! One run: the world, the clients, the faults, and the evidence at the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use daypass::ledger::{checkpoint::Verifier, tree::leaf_hash, verify::verify_export};
use daypass::proto::v1::{ExportRequest, ledger_client::LedgerClient};
use parking_lot::Mutex;

use super::{
    checker,
    clients::{Client, Laptop, Rack, Shared},
    faults::{self, Injected},
    history::{Evidence, Listed, Operation, Outcome, Published, Revocations, What},
    keys,
    plan::Plan,
    policies,
    support::{
        api::{Caller, with_token},
        command::Terminal,
        https,
        ledger::trust,
    },
    world::{Daemon, World},
};

/// Racks of hosts, which share the names of hosts.
const RACKS: usize = 2;

/// The longest wait for the answer of a server that should be well.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest time until all daemons publish the same, on a busy machine.
const PUBLISHED: Duration = Duration::from_secs(60);

/// What a run found and did.
pub(crate) struct Report {
    pub(crate) violations: Vec<String>,
    pub(crate) summary: String,
    pub(crate) kept: Option<PathBuf>,
}

pub(crate) async fn run(plan: &Plan, seconds: u64, program: &Path, bug: &str) -> Report {
    let mut world = World::start(plan, program, bug).await;
    let shared = Arc::new(Shared {
        daemons: world.daemons.clone(),
        began: Instant::now(),
        log: Mutex::default(),
        is_over: AtomicBool::new(false),
        strange: AtomicU64::new(0),
    });
    let clients: Vec<_> = (0..plan.clients)
        .map(|number| tokio::spawn(Client::new(number, &shared, plan.client(number)).run()))
        .collect();
    let laptop = tokio::spawn(Laptop::new(&shared, plan.client(usize::MAX)).run());
    let others = (plan.clients + 1..).take(2 + RACKS).enumerate();
    let others = others.map(|(at, number)| {
        let client = Client::new(number, &shared, plan.client(number));
        match at {
            0 => tokio::spawn(client.run_rotation()),
            1 => tokio::spawn(client.run_edge()),
            _ => tokio::spawn(Rack::new(client).run()),
        }
    });
    let others: Vec<_> = others.collect();
    let until = Instant::now() + Duration::from_secs(seconds);
    let injected = faults::inject(&world, plan, &shared, until).await;
    shared.is_over.store(true, Ordering::SeqCst);
    let mut evidence = Evidence {
        disturbed: injected.disturbed.clone(),
        faults: injected.violations.clone(),
        ..Evidence::default()
    };
    for client in clients.into_iter().chain([laptop]).chain(others) {
        if let Err(error) = client.await {
            evidence.faults.push(format!("a client failed: {error}"));
        }
    }
    evidence.costs = world.costs();
    evidence.strange = shared.strange.load(Ordering::SeqCst);
    evidence.policies = injected.policies.clone();
    evidence.policies.push(policies::first_known());
    let gathered = gather(&world, &shared, &mut evidence).await;
    evidence.faults.extend(gathered.err());
    let violations = checker::violations(&evidence);
    let summary = summary(plan, &evidence, &injected);
    world.end().await;
    let kept = (!violations.is_empty()).then(|| {
        let name = format!(
            "chaos-{}-{}{}",
            plan.engine,
            plan.seed,
            if bug.is_empty() { "" } else { "-bug" }
        );
        let history: Vec<String> = evidence
            .operations
            .iter()
            .map(|it| format!("{it:?}"))
            .collect();
        world.keep(&name, &format!("{plan:#?}\n{}\n", history.join("\n")))
    });
    drop(shared);
    Report {
        violations,
        summary,
        kept,
    }
}

/// Reads the final ledger, lists and checkpoints from every daemon, after an orderly restart.
async fn gather(
    world: &World,
    shared: &Arc<Shared>,
    evidence: &mut Evidence,
) -> Result<(), String> {
    let mut last = Client::new(usize::MAX, shared, rand::SeedableRng::seed_from_u64(0));
    let mut exports = Vec::new();
    for daemon in &world.daemons {
        daemon.set_clock(0);
        daemon.terminate().await;
    }
    for daemon in &world.daemons {
        let began = Instant::now();
        while !last.honest(daemon.number).await {
            if began.elapsed() > PATIENCE {
                return Err(format!(
                    "daemon {} issues nothing after the run",
                    daemon.number
                ));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    for daemon in &world.daemons {
        last.checkpoint().await;
        last.revocations_of(daemon.number).await;
        last.host_revocations_of(daemon.number).await;
    }
    for daemon in &world.daemons {
        exports.push(export(daemon).await?);
    }
    let longest = exports.iter().max_by_key(|export| export.len()).unwrap();
    read(longest, evidence);
    evidence.operations = std::mem::take(&mut shared.log.lock());
    let keys = keys::public(world.daemons[0].files.folder());
    evidence.first_ca = keys[0].0.clone();
    lists(evidence, &keys, world.daemons.len());
    signatures(&world.daemons[0], evidence).await;
    evidence.published = published(world).await;
    for (daemon, export) in world.daemons.iter().zip(&exports) {
        evidence
            .verification
            .extend(verify(daemon, export).await.err());
    }
    by_keygen(&world.daemons[0], evidence);
    Ok(())
}

/// Verifies every checkpoint that was shown.
async fn signatures(daemon: &Daemon, evidence: &mut Evidence) {
    let key = trust(&daemon.api).await.ledger_verifier_key;
    let verifier = Verifier::parse(&key).unwrap();
    for operation in &mut evidence.operations {
        if let Outcome::Checkpoint(head) = &mut operation.outcome {
            let verified = verifier.verify(&head.note);
            head.is_signed = verified.is_ok_and(|it| it.size == head.size && it.root == head.root);
        }
    }
}

/// The documents of every daemon. A daemon hears of the last events within a moment.
async fn published(world: &World) -> Vec<Published> {
    let began = Instant::now();
    loop {
        let mut all = Vec::new();
        for path in ["/krl", "/ca.pub"] {
            let mut bodies = Vec::new();
            for daemon in &world.daemons {
                let client = https::client(daemon.files.tls_ca());
                let url = format!("{}{path}", daemon.files.url());
                bodies.push(match client.get(url).send().await {
                    Ok(answer) => answer.bytes().await.unwrap_or_default().to_vec(),
                    Err(_) => Vec::new(),
                });
            }
            all.push(Published { path, bodies });
        }
        let is_same = |one: &Published| one.bodies.iter().all(|body| *body == one.bodies[0]);
        if all.iter().all(is_same) || began.elapsed() > PUBLISHED {
            return all;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn export(daemon: &Daemon) -> Result<Vec<u8>, String> {
    let caller = Caller::new();
    let auditor = daemon.files.token(&caller, "carol", &["security"]);
    let read = async {
        let mut client = LedgerClient::new(daemon.api.channel());
        let mut chunks = client
            .export(with_token(ExportRequest {}, &auditor))
            .await?
            .into_inner();
        let mut export = Vec::new();
        while let Some(chunk) = chunks.message().await? {
            export.extend(chunk.chunk);
        }
        Ok::<_, tonic::Status>(export)
    };
    let read = tokio::time::timeout(PATIENCE, read).await;
    let read = read.map_err(|_| "no export in time".to_owned())?;
    read.map_err(|error| format!("no export: {error}"))
}

fn read(export: &[u8], evidence: &mut Evidence) {
    let leaves = export
        .split(|byte| *byte == b'\n')
        .take_while(|line| !line.is_empty());
    for leaf in leaves {
        evidence.leaves.push(leaf_hash(leaf));
        evidence
            .events
            .push(serde_json::from_slice(leaf).unwrap_or_default());
    }
}

/// As an auditor does: the export, its rules, and every decision again.
async fn verify(daemon: &Daemon, export: &[u8]) -> Result<(), String> {
    let key = trust(&daemon.api).await.ledger_verifier_key;
    let verifier = Verifier::parse(&key).unwrap();
    verify_export(export, &verifier).map_err(|error| format!("ledger verify: {error}"))?;
    let file = daemon.files.path("export");
    fs::write(&file, export).unwrap();
    let home = daemon.files.folder().to_owned();
    let terminal = Terminal {
        state: home.join("terminal"),
        home,
        variables: Vec::new(),
    };
    let words = [
        "ledger",
        "verify",
        file.to_str().unwrap(),
        "--decisions",
        "--key",
        &key,
    ];
    let done = terminal.run_json(&words).await;
    let said = if done.code == 0 {
        done.json()
    } else {
        return Err(format!("ledger verify --decisions: {}", done.stderr));
    };
    let decisions = &said["decisions"];
    match decisions["wrong"] == 0 && decisions["without_text"] == 0 {
        true => Ok(()),
        false => Err(format!("ledger verify --decisions: {decisions}")),
    }
}

/// Reads the serials of every list that was fetched.
fn lists(evidence: &mut Evidence, keys: &[(String, Vec<u8>)], daemons: usize) {
    let blob = |event: &serde_json::Value| {
        let known = keys.iter().find(|(key, _)| event["ca"] == key.as_str());
        known.map(|(_, blob)| blob.clone()).unwrap_or_default()
    };
    let of_type = |kind: &str| -> Vec<(u64, Vec<u8>)> {
        let events = evidence.events.iter().filter(|it| it["type"] == kind);
        let serials = events.filter_map(|it| Some((it["index"].as_u64()?, blob(it))));
        serials.collect()
    };
    let (issued, certified) = (of_type("issued"), of_type("host_certified"));
    let read = |list: &Revocations, serials: &[(u64, Vec<u8>)]| {
        let krl = daypass::ssh::krl::Krl::parse(&list.bytes).unwrap();
        let listed = serials.iter().filter(|(it, ca)| krl.revokes(ca, *it));
        listed.map(|(serial, _)| *serial).collect::<BTreeSet<u64>>()
    };
    let mut known: BTreeMap<(bool, Vec<u8>), BTreeSet<u64>> = BTreeMap::new();
    for operation in &mut evidence.operations {
        let (list, serials, of_hosts) = match &mut operation.outcome {
            Outcome::Revocations(list) => (list, &issued, false),
            Outcome::HostRevocations(list) => (list, &certified, true),
            _ => continue,
        };
        let listed = known.entry((of_hosts, list.bytes.clone()));
        list.serials = listed.or_insert_with(|| read(list, serials)).clone();
    }
    for daemon in 0..daemons {
        let of_it = |it: &&Operation| it.daemon == daemon;
        let mut operations = evidence.operations.iter().rev().filter(of_it);
        let last = operations.find_map(|it| match &it.outcome {
            Outcome::Revocations(list) => Some(list.clone()),
            _ => None,
        });
        evidence.last_lists.extend(last);
        let mut operations = evidence.operations.iter().rev().filter(of_it);
        let last = operations.find_map(|it| match &it.outcome {
            Outcome::HostRevocations(list) => Some(list.clone()),
            _ => None,
        });
        evidence.last_host_lists.extend(last);
    }
}

/// Every pass as `ssh-keygen -L` reads it, and as `ssh-keygen -Q` judges it by the last list.
fn by_keygen(daemon: &Daemon, evidence: &mut Evidence) {
    let (file, krl) = (daemon.files.path("passes"), daemon.files.path("krl"));
    let folder = daemon.files.path("passes.d");
    fs::create_dir_all(&folder).unwrap();
    let mut lines = String::new();
    let mut names = Vec::new();
    for (number, (_, pass)) in evidence.passes().enumerate() {
        lines += &format!("{}\n", pass.text);
        let name = folder.join(format!("{number}-cert.pub"));
        fs::write(&name, &pass.text).unwrap();
        names.push((pass.serial, name));
    }
    fs::write(&file, lines).unwrap();
    let listed = Command::new("ssh-keygen")
        .arg("-L")
        .arg("-f")
        .arg(&file)
        .output()
        .unwrap();
    evidence.by_keygen = keygen_lines(&String::from_utf8_lossy(&listed.stdout));
    let Some(list) = evidence.last_lists.first() else {
        return;
    };
    fs::write(&krl, &list.bytes).unwrap();
    let mut refused = BTreeSet::new();
    for names in names.chunks(500) {
        let asked = Command::new("ssh-keygen")
            .arg("-Q")
            .arg("-f")
            .arg(&krl)
            .args(names.iter().map(|(_, name)| name))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&asked.stdout).into_owned();
        for (line, (serial, _)) in said.lines().zip(names) {
            if line.ends_with("REVOKED") {
                refused.insert(*serial);
            }
        }
    }
    evidence.refused_by_keygen = Some(refused);
}

fn keygen_lines(text: &str) -> Vec<Listed> {
    let mut passes: Vec<Listed> = Vec::new();
    let mut section = "";
    for line in text.lines() {
        if !line.starts_with(char::is_whitespace) {
            // The place of the next one: `FILE:7:`.
            section = "";
            continue;
        }
        let line = line.trim();
        if let Some(kind) = line.strip_prefix("Type: ") {
            passes.push(Listed {
                kind: kind.to_owned(),
                ..Listed::default()
            });
        }
        let Some(pass) = passes.last_mut() else {
            continue;
        };
        if let Some(heading) = SECTIONS.iter().find(|heading| line.starts_with(**heading)) {
            section = heading;
        } else if let Some(key) = line.strip_prefix("Public key: ") {
            pass.key = key.to_owned();
        } else if let Some(ca) = line.strip_prefix("Signing CA: ") {
            pass.ca = ca.to_owned();
        } else if let Some(serial) = line.strip_prefix("Serial: ") {
            pass.serial = serial.parse().unwrap_or_default();
        } else if section == SECTIONS[0] {
            pass.principals.insert(line.to_owned());
        } else if section == SECTIONS[1] {
            pass.options.insert(line.to_owned());
        } else if section == SECTIONS[2] {
            let name = line.trim_start_matches("permit-");
            pass.extensions.insert(name.to_owned());
        }
    }
    passes
}

/// Headings of lists. `(none)` stands behind one without lines.
const SECTIONS: [&str; 3] = ["Principals:", "Critical Options:", "Extensions:"];

fn summary(plan: &Plan, evidence: &Evidence, injected: &Injected) -> String {
    let operations = &evidence.operations;
    let count = |is: fn(&Outcome) -> bool| operations.iter().filter(|it| is(&it.outcome)).count();
    let asks = operations
        .iter()
        .filter(|it| matches!(it.what, What::Ask(_)))
        .count();
    let mut text = format!(
        "seed {} on {}: {} clients, {} operations ({asks} asks), {} passes, {} by the program, {} refused, {} unknown, {} events; slowest return {:.1} s\n",
        plan.seed,
        plan.engine,
        plan.clients,
        operations.len(),
        count(|it| matches!(it, Outcome::Pass(_))),
        count(|it| matches!(it, Outcome::Used(_))),
        count(|it| matches!(it, Outcome::Refused(_))),
        count(|it| matches!(it, Outcome::Unknown(_))),
        evidence.events.len(),
        injected.slowest.as_secs_f64(),
    );
    let kinds = [
        "host_joined",
        "host_certified",
        "host_removed",
        "ca_key_ordered",
    ];
    let events = |kind: &str| {
        evidence
            .events
            .iter()
            .filter(|it| it["type"] == kind)
            .count()
    };
    text += &format!("  {:?}\n", kinds.map(|kind| (kind, events(kind))));
    for (kind, count) in &injected.counts {
        text += &format!("  {count:4} x {kind}\n");
    }
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for operation in operations {
        if let Outcome::Refused(reason) = &operation.outcome {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    for cost in &evidence.costs {
        text += &format!(
            "  daemon {}: {} KiB at most, {} bytes of log; {} calls of strangers\n",
            cost.daemon, cost.peak_kib, cost.logged, evidence.strange
        );
    }
    text + &format!("  refusals: {reasons:?}\n")
}
