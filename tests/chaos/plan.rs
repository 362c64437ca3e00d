//! The plan of a run: everything that chance decides, from the seed alone. Pure.

use std::{fmt, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        })
    }
}

/// A fault. `daemon` is the one that it hits; times are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Kill {
        daemon: usize,
    },
    /// kill -9 at the n-th system call of this name.
    KillAt {
        daemon: usize,
        call: &'static str,
        nth: u32,
    },
    /// The n-th system call of this name fails.
    FailAt {
        daemon: usize,
        call: &'static str,
        error: &'static str,
        nth: u32,
    },
    Stop {
        daemon: usize,
        time: u64,
    },
    Terminate {
        daemon: usize,
    },
    DiskFull {
        time: u64,
    },
    Clock {
        daemon: usize,
        seconds: i64,
        time: u64,
    },
    IssuerDown {
        time: u64,
    },
    IssuerRotated,
    /// A revocation, and kill -9 while the list is fetched.
    KrlCrash {
        daemon: usize,
        delay: u64,
    },
    Policy(Reload),
    /// The daemon is killed, its snapshot is damaged, and it starts again.
    Snapshot {
        daemon: usize,
        damage: Damage,
    },
    CutAfterCommit {
        daemon: usize,
    },
    DatabaseRestart,
    Failover,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reload {
    Invalid,
    Narrow,
    Good,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    Cut,
    Stale,
    Removed,
}

impl Fault {
    /// The kind, for counts.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill -9",
            Self::KillAt { .. } => "kill -9 at a system call",
            Self::FailAt { error, .. } if *error == "EIO" => "fsync EIO",
            Self::FailAt { .. } => "write ENOSPC",
            Self::Stop { .. } => "SIGSTOP",
            Self::Terminate { .. } => "SIGTERM",
            Self::DiskFull { .. } => "disk full",
            Self::Clock { .. } => "clock jump",
            Self::IssuerDown { .. } => "issuer down",
            Self::IssuerRotated => "issuer keys rotated",
            Self::KrlCrash { .. } => "crash while the KRL is published",
            Self::Policy(_) => "policy reload",
            Self::Snapshot { .. } => "snapshot damaged",
            Self::CutAfterCommit { .. } => "connection cut after COMMIT",
            Self::DatabaseRestart => "database crash and restart",
            Self::Failover => "failover",
        }
    }
}

/// The seed's plan.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) engine: Engine,
    pub(crate) clients: usize,
    /// Whether the ledger is long enough for snapshots before the run.
    pub(crate) is_aged: bool,
    /// The run goes on until so many operations have ended.
    pub(crate) operations: usize,
    /// An honest client gets a pass again within this time after a fault.
    pub(crate) deadline: Duration,
    /// Pause in milliseconds, then the faults that begin together.
    pub(crate) steps: Vec<(u64, Vec<Fault>)>,
}

/// A start of the debug build on a busy machine, and the cool-down of fetches of the issuer's keys
/// (10 s).
const DEADLINE: Duration = Duration::from_secs(60);

/// More than any run has time for.
const STEPS: usize = 400;

impl Plan {
    pub(crate) fn new(seed: u64, engine: Engine) -> Self {
        let mut chance = StdRng::seed_from_u64(seed);
        let clients = chance.gen_range(8..=16);
        // Every kind comes once, in the seed's order, before any comes again.
        let mut steps = Vec::new();
        while steps.len() < STEPS {
            let mut round = kinds(&mut chance, engine);
            round.shuffle(&mut chance);
            for fault in round {
                let mut together = vec![fault];
                if chance.gen_ratio(1, 6) {
                    together.push(companion(&mut chance));
                }
                steps.push((chance.gen_range(100..900), together));
            }
        }
        Self {
            seed,
            engine,
            clients,
            is_aged: seed.is_multiple_of(4),
            operations: 0,
            deadline: DEADLINE,
            steps,
        }
    }

    /// The seed's clients, with these faults only.
    pub(crate) fn only(seed: u64, engine: Engine, faults: Vec<Fault>) -> Self {
        let steps = faults.into_iter().map(|fault| (500, vec![fault])).collect();
        let deadline = Duration::from_secs(5);
        Self {
            is_aged: false,
            operations: 110,
            deadline,
            steps,
            ..Self::new(seed, engine)
        }
    }

    /// The choices of one client.
    pub(crate) fn client(&self, number: usize) -> StdRng {
        StdRng::seed_from_u64(
            self.seed
                .wrapping_mul(1_000_003)
                .wrapping_add(number as u64),
        )
    }
}

/// One fault of each kind.
fn kinds(chance: &mut StdRng, engine: Engine) -> Vec<Fault> {
    let daemons = match engine {
        Engine::Sqlite => 1,
        Engine::Postgres => 2,
    };
    let mut daemon = {
        let mut own = StdRng::seed_from_u64(chance.r#gen());
        move || own.gen_range(0..daemons)
    };
    let jump = *[-3600, 3600].choose(chance).unwrap_or(&3600);
    let reload = *[Reload::Invalid, Reload::Narrow, Reload::Good]
        .choose(chance)
        .unwrap_or(&Reload::Invalid);
    let damage = *[Damage::Cut, Damage::Stale, Damage::Removed]
        .choose(chance)
        .unwrap_or(&Damage::Cut);
    let mut faults = vec![
        Fault::Kill { daemon: daemon() },
        Fault::Stop {
            daemon: daemon(),
            time: chance.gen_range(200..3000),
        },
        Fault::Terminate { daemon: daemon() },
        Fault::Clock {
            daemon: daemon(),
            seconds: jump,
            time: chance.gen_range(1500..3000),
        },
        Fault::IssuerDown {
            time: chance.gen_range(500..3000),
        },
        Fault::IssuerRotated,
        Fault::KrlCrash {
            daemon: daemon(),
            delay: chance.gen_range(0..30),
        },
        Fault::Policy(Reload::Invalid),
        Fault::Policy(reload),
        Fault::Snapshot {
            daemon: daemon(),
            damage,
        },
    ];
    match engine {
        Engine::Sqlite => faults.extend([
            Fault::KillAt {
                daemon: 0,
                call: "pwrite64",
                nth: chance.gen_range(20..150),
            },
            Fault::KillAt {
                daemon: 0,
                call: "fsync,fdatasync",
                nth: chance.gen_range(3..30),
            },
            Fault::FailAt {
                daemon: 0,
                call: "fsync,fdatasync",
                error: "EIO",
                nth: chance.gen_range(3..30),
            },
            Fault::FailAt {
                daemon: 0,
                call: "pwrite64",
                error: "ENOSPC",
                nth: chance.gen_range(20..150),
            },
            Fault::DiskFull {
                time: chance.gen_range(500..2000),
            },
        ]),
        Engine::Postgres => faults.extend([
            Fault::CutAfterCommit { daemon: daemon() },
            Fault::CutAfterCommit { daemon: daemon() },
            Fault::DatabaseRestart,
            Fault::Failover,
            Fault::Kill { daemon: daemon() },
        ]),
    }
    faults
}

/// A fault that may begin together with any other.
fn companion(chance: &mut StdRng) -> Fault {
    match chance.gen_range(0..3) {
        0 => Fault::IssuerDown {
            time: chance.gen_range(500..2000),
        },
        1 => Fault::Policy(Reload::Invalid),
        _ => Fault::IssuerRotated,
    }
}
