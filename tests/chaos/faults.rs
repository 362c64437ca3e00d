//! Injects the faults of a plan, and demands that the service returns by itself after each.

use std::{
    collections::BTreeMap,
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    clients::{Client, Shared},
    plan::{Damage, Fault, Plan, Reload},
    policies,
    world::{Daemon, Postgres, World, strace},
};

/// A run is prolonged by this at most, until it has its operations.
const MOST: Duration = Duration::from_secs(30);

/// A call that strace waits for comes within this time of the first pass, or the fault is over.
const TRACED: Duration = Duration::from_secs(4);

/// A daemon that is slow to start behind strace gets this time until its first pass.
const STARTED: Duration = Duration::from_secs(20);

/// What the injection did.
#[derive(Default)]
pub(crate) struct Injected {
    pub(crate) counts: BTreeMap<&'static str, usize>,
    pub(crate) policies: Vec<(String, u64)>,
    pub(crate) violations: Vec<String>,
    /// From the start of each fault until the service was back.
    pub(crate) disturbed: Vec<(Duration, Duration)>,
    /// The longest time from the end of a fault to a pass.
    pub(crate) slowest: Duration,
    generation: u64,
    /// A snapshot of the daemon's, put back later as a stale one.
    snapshot: Option<Vec<u8>>,
}

/// Works through the plan until the time is over.
pub(crate) async fn inject(
    world: &World,
    plan: &Plan,
    shared: &Arc<Shared>,
    until: Instant,
) -> Injected {
    let mut injected = Injected::default();
    // A client of its own, whose asks are judged as all others.
    let mut probe = Client::new(plan.clients, shared, plan.client(plan.clients));
    for (pause, faults) in &plan.steps {
        sleep(Duration::from_millis(*pause)).await;
        if Instant::now() > until {
            break;
        }
        let begun = shared.began.elapsed();
        for fault in faults {
            println!("{:7.3} {fault:?}", shared.began.elapsed().as_secs_f64());
            if injected.one(world, fault, &mut probe).await {
                *injected.counts.entry(fault.kind()).or_default() += 1;
            }
        }
        injected
            .expect_service(world, &mut probe, plan, faults)
            .await;
        injected.disturbed.push((begun, shared.began.elapsed()));
    }
    tokio::time::sleep_until(until.into()).await;
    while shared.log.lock().len() < plan.operations && until.elapsed() < MOST {
        sleep(Duration::from_millis(50)).await;
    }
    injected
}

impl Injected {
    /// Injects one fault to its end. Returns false if there was nothing to hit.
    async fn one(&mut self, world: &World, fault: &Fault, probe: &mut Client) -> bool {
        let issuer = &world.daemons[0].files.issuer;
        match fault {
            Fault::Kill { daemon } => world.daemons[*daemon].kill().await,
            Fault::KillAt { daemon, call, nth } => {
                let inject = format!("signal=KILL:when={nth}");
                return traced(&world.daemons[*daemon], call, &inject, true, probe).await;
            }
            Fault::FailAt {
                daemon,
                call,
                error,
                nth,
            } => {
                let inject = format!("error={error}:when={nth}");
                return traced(&world.daemons[*daemon], call, &inject, false, probe).await;
            }
            Fault::Stop { daemon, time } => {
                world.daemons[*daemon].signal("STOP").await;
                sleep(Duration::from_millis(*time)).await;
                world.daemons[*daemon].signal("CONT").await;
            }
            Fault::Terminate { daemon } => {
                if !world.daemons[*daemon].terminate().await {
                    self.violations
                        .push(format!("daemon {daemon} did not end in order by SIGTERM"));
                }
            }
            Fault::DiskFull { time } => {
                let filler = world.daemons[0].fill_disk();
                sleep(Duration::from_millis(*time)).await;
                fs::remove_file(filler).unwrap();
            }
            Fault::Clock {
                daemon,
                seconds,
                time,
            } => {
                world.daemons[*daemon].set_clock(*seconds);
                sleep(Duration::from_millis(*time)).await;
                world.daemons[*daemon].set_clock(0);
            }
            Fault::IssuerDown { time } => {
                issuer.stop().await;
                sleep(Duration::from_millis(*time)).await;
                issuer.resume().await.unwrap();
            }
            Fault::IssuerRotated => issuer.rotate().unwrap(),
            Fault::KrlCrash { daemon, delay } => {
                probe.honest(*daemon).await;
                probe.revoke_last(*daemon).await;
                let daemon_ = &world.daemons[*daemon];
                let crash = async {
                    sleep(Duration::from_millis(*delay)).await;
                    daemon_.kill().await;
                };
                tokio::join!(probe.revocations_of(*daemon), crash);
            }
            Fault::Policy(reload) => self.policy(world, *reload).await,
            Fault::Snapshot { daemon, damage } => {
                return self.snapshot(&world.daemons[*daemon], *damage).await;
            }
            Fault::CutAfterCommit { .. } | Fault::DatabaseRestart | Fault::Failover => {
                database(world.postgres.as_ref().unwrap(), fault).await;
            }
        }
        true
    }

    /// Writes the policy for every daemon and has it loaded. An invalid file is mended afterwards,
    /// because a start would refuse it.
    async fn policy(&mut self, world: &World, reload: Reload) {
        self.generation += 1;
        let (text, shell) = policies::of(reload, self.generation);
        if let Some(shell) = shell {
            self.policies.push(policies::known(&text, shell));
        }
        for daemon in &world.daemons {
            let path = daemon.files.path("policy.toml");
            let running = fs::read_to_string(&path).unwrap();
            replace(&path, &text);
            daemon.signal("HUP").await;
            if shell.is_none() {
                sleep(Duration::from_millis(200)).await;
                replace(&path, &running);
            }
        }
    }

    async fn snapshot(&mut self, daemon: &Daemon, damage: Damage) -> bool {
        let path = daemon.files.path("state").join("snapshot");
        let Ok(found) = fs::read(&path) else {
            return false;
        };
        let stale = self
            .snapshot
            .replace(found.clone())
            .unwrap_or_else(|| found.clone());
        let harm = || match damage {
            Damage::Cut => fs::write(&path, &found[..found.len() / 2]).unwrap(),
            Damage::Stale => fs::write(&path, &stale).unwrap(),
            Damage::Removed => fs::remove_file(&path).unwrap(),
        };
        daemon.restart(&[], harm).await;
        true
    }

    async fn expect_service(
        &mut self,
        world: &World,
        probe: &mut Client,
        plan: &Plan,
        faults: &[Fault],
    ) {
        let deadline = plan.deadline;
        let began = Instant::now();
        for daemon in &world.daemons {
            while !probe.honest(daemon.number).await {
                if began.elapsed() > deadline {
                    self.violations.push(format!(
                        "daemon {} issues nothing {deadline:?} after {faults:?}",
                        daemon.number
                    ));
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
        self.slowest = self.slowest.max(began.elapsed());
    }
}

fn replace(path: &std::path::Path, text: &str) {
    let aside = path.with_extension("new");
    fs::write(&aside, text).unwrap();
    fs::rename(aside, path).unwrap();
}

/// Runs the daemon behind strace until the call came. Returns whether it surely came.
async fn traced(
    daemon: &Daemon,
    call: &str,
    inject: &str,
    is_kill: bool,
    probe: &mut Client,
) -> bool {
    let words = strace(call, inject);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    daemon.restart(&words, || ()).await;
    let (starts, restarted) = (daemon.starts(), Instant::now());
    while daemon.starts() == starts
        && restarted.elapsed() < STARTED
        && !probe.honest(daemon.number).await
    {
        sleep(Duration::from_millis(20)).await;
    }
    let began = Instant::now();
    // Ended by the call, and started again.
    while began.elapsed() < TRACED {
        sleep(Duration::from_millis(20)).await;
        if daemon.starts() > starts {
            return true;
        }
    }
    // Without strace it is faster.
    daemon.kill().await;
    !is_kill
}

async fn database(postgres: &Postgres, fault: &Fault) {
    let primary = postgres.primary.lock().await.clone();
    match fault {
        Fault::CutAfterCommit { daemon } => {
            postgres.proxies[*daemon].cut_after_commit();
            let began = Instant::now();
            while !postgres.proxies[*daemon].has_cut() && began.elapsed() < TRACED {
                sleep(Duration::from_millis(5)).await;
            }
        }
        Fault::DatabaseRestart => {
            primary.crash();
            tokio::task::spawn_blocking(move || primary.resume())
                .await
                .unwrap();
        }
        _ => {
            let mut standby = postgres.standby.lock().await;
            let next = standby.take().unwrap();
            primary.crash();
            next.promote().await;
            for proxy in &postgres.proxies {
                proxy.lead_to(next.socket());
            }
            // The next failover needs a standby, too.
            *standby = Some(next.standby().await);
            *postgres.primary.lock().await = Arc::new(next);
        }
    }
}
