//! Hosts and their administrator: they join by code, report, are removed and come back.

mod calls;

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use daypass::ledger::{event::NewHost, join_code};
use rand::{Rng, seq::SliceRandom};
use ssh_key::{HashAlg, PublicKey};

use super::Client;
use crate::{
    history::{Expected, HostCall, HostVerb, Outcome},
    support::{
        files,
        hosts::{self, TestHost},
    },
};

/// Names of hosts at the same time. Racks share them.
const NAMES: u64 = 5;

/// Steps after which hosts get other names: one name gets few certificates at once.
const RENAMED: u64 = 60;

/// Hosts of a rack at the same time.
const MACHINES: usize = 8;

/// A machine with its keys.
#[derive(Clone)]
struct Machine {
    host: TestHost,
    /// The code with which it joined.
    code: String,
    /// Serials of its certificates.
    serials: Vec<u64>,
}

/// Some machines and their administrator.
pub(crate) struct Rack {
    client: Client,
    machines: Vec<Machine>,
    steps: u64,
}

impl Rack {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            machines: Vec::new(),
            steps: 0,
        }
    }

    /// Goes on until the run is over.
    pub(crate) async fn run(mut self) {
        while !self.client.shared.is_over.load(Ordering::SeqCst) {
            self.steps += 1;
            self.step().await;
            let pause = self.client.chance.gen_range(0..150);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn step(&mut self) {
        if self.steps.is_multiple_of(RENAMED) {
            self.retire_names().await;
        }
        let machine = self.pick();
        match (self.client.chance.gen_range(0..100), machine) {
            (0..=24, _) | (_, None) => self.newcomer().await,
            (25..=64, Some(machine)) => self.report(machine).await,
            (65..=79, Some(machine)) => self.removal(machine).await,
            (80..=87, Some(machine)) => self.other_keys(machine).await,
            (88..=91, Some(machine)) => self.copied(machine).await,
            _ => {
                let daemon = self.client.daemon();
                self.client.host_revocations_of(daemon).await;
            }
        }
    }

    fn pick(&mut self) -> Option<Machine> {
        self.machines.choose(&mut self.client.chance).cloned()
    }

    fn keep(&mut self, machine: Machine) {
        self.machines.retain(|it| it.host.name != machine.host.name);
        if self.machines.len() >= MACHINES {
            self.machines.remove(0);
        }
        self.machines.push(machine);
    }

    /// An administrator adds a host, and it joins; or two machines join by its code.
    async fn newcomer(&mut self) {
        let chance = &mut self.client.chance;
        let number = chance.gen_range(0..NAMES);
        let (way, with_alias) = (chance.gen_range(0..10), chance.gen_ratio(1, 3));
        let (daemon, other) = (self.client.daemon(), self.client.daemon());
        let name = format!("web-{number}-{}", self.steps / RENAMED);
        // Sometimes the alias is the name of another host.
        let alias = format!("web-{}-{}", number + 1, self.steps / RENAMED);
        let code = hosts::code();
        let lifetime = if way == 0 { 1 } else { 3600 };
        let expires = self.client.shared.daemons[daemon].now() + lifetime;
        let mut new = hosts::new_host(&name, &code);
        new.expires_at.0 = u64::try_from(expires).unwrap();
        if with_alias {
            new.aliases.push(alias);
        }
        let added = self.client.add_host(daemon, new).await;
        let machine = machine(&name, &code);
        if let Outcome::Refused(_) = added {
            // The code of an order that does not count opens nothing.
            if way < 3 {
                self.join(other, machine, Expected::Denial).await;
            }
            return;
        }
        match way {
            0 => {
                tokio::time::sleep(Duration::from_millis(1500)).await;
                self.join(other, machine, Expected::Anything).await;
            }
            1 => {
                let guess = Machine {
                    code: hosts::code(),
                    ..machine
                };
                self.join(other, guess, Expected::Denial).await;
            }
            2..=4 => self.two_machines((daemon, other), machine).await,
            5 => {
                // The first answer may be lost: the same call is answered again.
                let again = machine.clone();
                let (one, _) = tokio::join!(
                    self.client.join(daemon, &machine, Expected::Anything),
                    self.client.join(other, &again, Expected::Anything),
                );
                let mut machine = machine;
                if machine.take(&one) {
                    self.keep(machine);
                }
            }
            _ => self.join(other, machine, Expected::Anything).await,
        }
    }

    /// Another machine joins by the same code at the same time.
    async fn two_machines(&mut self, (daemon, other): (usize, usize), machine: Machine) {
        let thief = self::machine(&machine.host.name, &machine.code);
        let (one, two) = tokio::join!(
            self.client.join(daemon, &machine, Expected::Anything),
            self.client.join(other, &thief, Expected::Anything),
        );
        for (mut machine, outcome) in [(machine, one), (thief, two)] {
            if machine.take(&outcome) {
                self.keep(machine);
            }
        }
    }

    /// Removes all hosts, so that none that reports no more holds up an activation.
    async fn retire_names(&mut self) {
        let daemon = self.client.daemon();
        for number in 0..NAMES {
            let name = format!("web-{number}-{}", self.steps / RENAMED - 1);
            self.client.remove_host(daemon, &name).await;
        }
        self.machines.clear();
    }

    async fn join(&mut self, daemon: usize, mut machine: Machine, expected: Expected) {
        let outcome = self.client.join(daemon, &machine, expected).await;
        // It may have joined although the answer was lost.
        if machine.take(&outcome) || matches!(outcome, Outcome::Unknown(_)) {
            self.keep(machine);
        }
    }

    /// A report; sometimes by other keys, or the same one twice.
    async fn report(&mut self, mut machine: Machine) {
        let (daemon, other) = (self.client.daemon(), self.client.daemon());
        match self.client.chance.gen_range(0..10) {
            0 => {
                machine.host.keys = TestHost::new(&machine.host.name).keys;
                let denied = Expected::Denial;
                self.client.report(daemon, None, &machine, denied).await;
            }
            1 => {
                self.client
                    .report(daemon, Some(other), &machine, Expected::Anything)
                    .await;
            }
            way => {
                if way < 4 {
                    // It lost its certificates.
                    machine.serials.clear();
                }
                let expected = Expected::Anything;
                let outcome = self.client.report(daemon, None, &machine, expected).await;
                if machine.take(&outcome) {
                    self.keep(machine);
                }
            }
        }
    }

    /// The host is removed. It gets nothing from then on, and may come back with a new code.
    async fn removal(&mut self, machine: Machine) {
        let (daemon, other) = (self.client.daemon(), self.client.daemon());
        let name = machine.host.name.clone();
        let outcome = self.client.remove_host(daemon, &name).await;
        let expected = match outcome {
            // Only this machine has its keys.
            Outcome::Ordered { .. } => Expected::Denial,
            _ => Expected::Anything,
        };
        match self.client.chance.gen_range(0..4) {
            0 => {
                self.client.report(other, None, &machine, expected).await;
            }
            1 => {
                self.client.join(other, &machine, expected).await;
            }
            2 => self.client.host_revocations_of(other).await,
            _ => {
                let code = hosts::code();
                let new = hosts::new_host(&name, &code);
                self.client.add_host(daemon, new).await;
                let serials = Vec::new();
                let back = Machine {
                    code,
                    serials,
                    ..machine
                };
                return self.join(other, back, Expected::Anything).await;
            }
        }
        if expected == Expected::Denial {
            self.machines.retain(|it| it.host.name != name);
        }
    }

    /// The host joins again with other keys, and its old ones get nothing more.
    async fn other_keys(&mut self, machine: Machine) {
        let (daemon, other) = (self.client.daemon(), self.client.daemon());
        let (name, code) = (machine.host.name.clone(), hosts::code());
        let new = NewHost {
            rekey: true,
            group: String::new(),
            ..hosts::new_host(&name, &code)
        };
        self.client.add_host(daemon, new).await;
        let mut rekeyed = self::machine(&name, &code);
        let expected = Expected::Anything;
        let outcome = self.client.join(other, &rekeyed, expected).await;
        if rekeyed.take(&outcome) {
            self.keep(rekeyed);
            let denied = Expected::Denial;
            self.client.report(daemon, None, &machine, denied).await;
        }
    }

    /// Another host with the keys of this one.
    async fn copied(&mut self, machine: Machine) {
        let (daemon, other) = (self.client.daemon(), self.client.daemon());
        let (name, code) = (format!("web-copy-{}", self.steps), hosts::code());
        let new = hosts::new_host(&name, &code);
        self.client.add_host(daemon, new).await;
        let copy = Machine {
            host: TestHost {
                name,
                keys: machine.host.keys,
            },
            code,
            serials: Vec::new(),
        };
        self.client.join(other, &copy, Expected::Anything).await;
    }
}

fn machine(name: &str, code: &str) -> Machine {
    Machine {
        host: TestHost {
            name: name.to_owned(),
            keys: vec![files::new_key()],
        },
        code: code.to_owned(),
        serials: Vec::new(),
    }
}

impl Machine {
    /// Takes its new certificates in. Returns false if it got none.
    fn take(&mut self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Certified(certificates) if !certificates.is_empty() => {
                self.serials = certificates.iter().map(|it| it.serial).collect();
                true
            }
            _ => false,
        }
    }

    fn call(&self, verb: HostVerb, expected: Expected) -> HostCall {
        HostCall {
            verb,
            name: self.host.name.clone(),
            tag: String::new(),
            code: match verb {
                HostVerb::Join => hash(&self.code),
                HostVerb::Add | HostVerb::Remove | HostVerb::Sync => String::new(),
            },
            keys: self.host.public().iter().map(fingerprint).collect(),
            trusted: BTreeSet::new(),
            expected,
        }
    }
}

fn hash(code: &str) -> String {
    base16ct::lower::encode_string(&join_code::hash(code).unwrap())
}

fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}
