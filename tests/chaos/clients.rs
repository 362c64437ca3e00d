//! Clients with good and bad asks, as their own seeds choose. They record what they were told.

mod asks;
mod edge;
mod hosts;
mod laptop;
mod orders;
mod parsed;
mod reads;
mod registered;
mod rotation;
mod stranger;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use daypass::{identity::issuer::Algorithm, proto::v1::Ask};
use parking_lot::Mutex;
use rand::{Rng, rngs::StdRng};

use super::{
    history::{Asked, Expected, Operation, Outcome, What},
    support::{
        api::{Caller, Refusal},
        user::TestUser,
    },
    world::Daemon,
};

pub(crate) use hosts::Rack;
pub(crate) use laptop::{Laptop, NAME as LAPTOP};

/// A client gives up on an answer after this time. The outcome is then unknown.
const PATIENCE: Duration = Duration::from_secs(10);

/// What all clients share.
pub(crate) struct Shared {
    pub(crate) daemons: Vec<Arc<Daemon>>,
    pub(crate) began: Instant,
    pub(crate) log: Mutex<Vec<Operation>>,
    pub(crate) is_over: AtomicBool,
    /// Calls of callers without an identity.
    pub(crate) strange: AtomicU64,
}

pub(crate) struct Client {
    number: usize,
    shared: Arc<Shared>,
    chance: StdRng,
    key: Caller,
    /// The key of decisions: a key decides no request that it opened.
    lead: Caller,
    tags: u64,
    /// Serials of the last passes, to revoke.
    serials: Vec<u64>,
}

impl Client {
    pub(crate) fn new(number: usize, shared: &Arc<Shared>, chance: StdRng) -> Self {
        let (shared, key, lead) = (shared.clone(), Caller::new(), Caller::new());
        Self {
            number,
            shared,
            chance,
            key,
            lead,
            tags: 0,
            serials: Vec::new(),
        }
    }

    /// Asks until the run is over.
    pub(crate) async fn run(mut self) {
        while !self.shared.is_over.load(Ordering::SeqCst) {
            self.step().await;
            let pause = self.chance.gen_range(0..30);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn step(&mut self) {
        match self.chance.gen_range(0..100) {
            0..=31 => self.shell().await,
            32..=34 => self.registered().await,
            35..=41 => self.logs().await,
            42..=46 => self.own("deploy").await,
            47..=50 => self.own("root").await,
            51..=54 => self.wrong_role().await,
            55..=57 => self.stolen_token().await,
            58..=60 => self.other_possession().await,
            61..=67 => self.approval().await,
            68..=69 => self.withdrawal().await,
            70..=73 => self.emergency().await,
            74..=81 => self.lock().await,
            82..=86 => self.revoke().await,
            87..=90 => self.revocations().await,
            91..=94 => self.checkpoint().await,
            95..=96 => self.list().await,
            97 => self.strange().await,
            _ => self.watch().await,
        }
    }

    /// A pass for the honest user of this client, on this daemon.
    pub(crate) async fn honest(&mut self, daemon: usize) -> bool {
        let user = self.user_on(
            daemon,
            &format!("user-{}", self.number),
            &["sre"],
            self.key.clone(),
        );
        let ask = self.ask("shell");
        self.issue(daemon, &user, ask, Expected::Anything)
            .await
            .is_pass()
    }

    fn daemon(&mut self) -> usize {
        self.chance.gen_range(0..self.shared.daemons.len())
    }

    fn user_on(&self, daemon: usize, name: &str, groups: &[&str], caller: Caller) -> TestUser {
        self.user_with(daemon, name, groups, (caller, "deploy"))
    }

    fn user_with(
        &self,
        daemon: usize,
        name: &str,
        groups: &[&str],
        (caller, login): (Caller, &str),
    ) -> TestUser {
        let daemon = &self.shared.daemons[daemon];
        let issuer = &daemon.files.issuer;
        let mut claims = caller.claims(issuer.url(), name, groups, daemon.now());
        claims["login"] = login.into();
        let token = issuer.sign(Algorithm::ES256, &claims);
        TestUser {
            name: name.to_owned(),
            caller,
            token,
            api: daemon.api.clone(),
        }
    }

    /// An ask with a tag of its own.
    fn ask(&mut self, role: &'static str) -> Ask {
        self.tags += 1;
        let lifetimes = [0, 0, 600, 1200];
        Ask {
            role: role.to_owned(),
            reason: format!("op-{}-{}", self.number, self.tags),
            ttl_seconds: lifetimes[self.chance.gen_range(0..lifetimes.len())],
            ..Ask::default()
        }
    }

    /// Sends an ask of a proven user and records its end.
    async fn issue(
        &mut self,
        daemon: usize,
        user: &TestUser,
        ask: Ask,
        expected: Expected,
    ) -> Outcome {
        let asked = asked(user, &ask, expected);
        let attempt = user.attempt(ask);
        let answer = async { Ok(parsed::issued(&user.api.issue(&attempt).await?)) };
        let outcome = self.record(daemon, What::Ask(asked), answer).await;
        if let Outcome::Pass(pass) = &outcome {
            self.serials.push(pass.serial);
        }
        outcome
    }

    async fn record(
        &self,
        daemon: usize,
        what: What,
        answer: impl Future<Output = Result<Outcome, Refusal>>,
    ) -> Outcome {
        let shared = &self.shared;
        let begun = shared.began.elapsed();
        let outcome = match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(refusal)) => refused(refusal),
            Err(_) => Outcome::Unknown("no answer in time".to_owned()),
        };
        let (client, ended) = (self.number, shared.began.elapsed());
        let operation = Operation {
            client,
            daemon,
            what,
            begun,
            ended,
            outcome: outcome.clone(),
        };
        shared.log.lock().push(operation);
        outcome
    }
}

impl Outcome {
    fn is_pass(&self) -> bool {
        matches!(self, Self::Pass(_))
    }
}

fn asked(user: &TestUser, ask: &Ask, expected: Expected) -> Asked {
    let roles = ["shell", "own", "logs", "prod", "down", "via"];
    Asked {
        tag: ask.reason.clone(),
        subject: user.name.clone(),
        key: user.fingerprint(),
        role: roles.into_iter().find(|role| *role == ask.role).unwrap(),
        ttl_seconds: ask.ttl_seconds,
        request: (ask.request != 0).then_some(ask.request),
        emergency: ask.emergency,
        by: None,
        expected,
    }
}

/// A refusal with a reason is the server's own; anything else leaves open what happened.
fn refused(refusal: Refusal) -> Outcome {
    let is_open = [
        "",
        "STORE_UNAVAILABLE",
        "CA_UNAVAILABLE",
        "TIMEOUT",
        "INTERNAL",
    ];
    match is_open.contains(&&*refusal.reason) {
        true => Outcome::Unknown(format!(
            "{:?} {}: {}",
            refusal.code, refusal.reason, refusal.message
        )),
        false => Outcome::Refused(refusal.reason),
    }
}
