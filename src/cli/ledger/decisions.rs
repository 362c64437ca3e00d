//! `daypass ledger verify --decisions`: decides every issued pass again, by the policy that was in
//! force, and names each pass that this policy does not give.
//!
//! The ledger holds claims, ask and approvals of each pass, and the text of each policy. So this
//! shows that the server never issued beyond its policy, even if its keys were stolen.
//!
//! Requests and policies are followed in the order of the events. Then each pass is decided apart
//! from the others, on all cores.

use std::{io, sync::Arc};

use serde::Serialize;
use time::format_description::well_known::Rfc3339;

use crate::{
    cli::{
        policy::history::{Requests, past},
        table::table,
    },
    client::in_turn::InTurn,
    ledger::{Event, EventKind},
    policy::{
        Policy,
        replay::{Approved, RecordedAsk},
    },
};

/// Stack of a thread that evaluates policies: as that of `main`.
const STACK: usize = 32 * 1024 * 1024;

/// Findings that are named. The rest is counted.
const NAMED: usize = 1000;

/// The policy in force at some event.
#[derive(Default)]
enum InForce {
    /// No event had its text: the ledger was written by an earlier version.
    #[default]
    Unrecorded,
    /// Its text does not load in this version: the error.
    Unusable(String),
    Loaded(Box<Policy>),
}

/// Passes that were decided again so far.
pub(super) struct Decisions {
    hash: String,
    policy: Arc<InForce>,
    requests: Requests,
    deciders: InTurn<Batch, Decided>,
    result: Decided,
}

/// Passes of one policy, with the requests that they redeem.
struct Batch {
    policy: Arc<InForce>,
    passes: Vec<(Event, Redeemed)>,
}

type Redeemed = Result<Option<Approved>, String>;

/// The result.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Decided {
    /// Number of passes that their policies give exactly so.
    confirmed: u64,
    /// Number of passes from before policies' texts were recorded.
    without_text: u64,
    /// Number of passes that their policies do not give, or that cannot be decided.
    wrong: u64,
    /// The first of these.
    findings: Vec<Finding>,
}

/// A pass that its policy does not give so.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    serial: u64,
    at: String,
    who: String,
    role: String,
    why: String,
}

impl Decisions {
    /// Begins.
    ///
    /// # Errors
    /// Returns the system's error if it gives no thread.
    pub(super) fn begin() -> io::Result<Self> {
        Ok(Self {
            hash: String::new(),
            policy: Arc::default(),
            requests: Requests::default(),
            deciders: InTurn::start(STACK, |batch: Batch| Some(batch.decide()))?,
            result: Decided::default(),
        })
    }

    /// Takes in the next events of the ledger.
    pub(super) fn take(&mut self, events: Vec<Event>) {
        let mut passes = Vec::with_capacity(events.len());
        for event in events {
            self.requests.note(&event);
            match &event.what {
                EventKind::PolicyLoaded { policy, text } => {
                    self.decide(std::mem::take(&mut passes));
                    self.load(policy, text.as_deref());
                }
                EventKind::Issued(_) => {
                    let redeemed = self.requests.redeemed(&event);
                    passes.push((event, redeemed));
                }
                EventKind::Started { .. }
                | EventKind::SigningFailed { .. }
                | EventKind::Denied { .. }
                | EventKind::Denials(_)
                | EventKind::Requested(_)
                | EventKind::Approved(_)
                | EventKind::Refused(_)
                | EventKind::Cancelled(_)
                | EventKind::Reviewed(_)
                | EventKind::Revoked(_)
                | EventKind::Locked(_)
                | EventKind::Unlocked(_)
                | EventKind::Skipped
                | EventKind::KeyStaged { .. }
                | EventKind::KeyActivated { .. }
                | EventKind::KeyRetired { .. }
                | EventKind::LedgerKeyChanged(_)
                | EventKind::HostAdded(_)
                | EventKind::HostJoined(_)
                | EventKind::HostRemoved(_)
                | EventKind::CaKeyOrdered(_)
                | EventKind::HostCertified(_)
                | EventKind::HostBehind(_)
                | EventKind::HostCurrent { .. }
                | EventKind::ForeignLogin(_) => (),
            }
        }
        self.decide(passes);
    }

    pub(super) fn finish(mut self) -> Decided {
        while let Some((decided, _)) = self.deciders.next() {
            self.result.add(decided);
        }
        self.result
    }

    fn load(&mut self, hash: &str, text: Option<&str>) {
        let is_same = self.hash == hash;
        let in_force = match text {
            Some(text) => match Policy::parse(text, "the policy in the ledger") {
                Ok(policy) => InForce::Loaded(Box::new(policy)),
                Err(error) => InForce::Unusable(error.to_string()),
            },
            None if is_same => return,
            None => InForce::Unrecorded,
        };
        self.policy = Arc::new(in_force);
        hash.clone_into(&mut self.hash);
    }

    fn decide(&mut self, passes: Vec<(Event, Redeemed)>) {
        if passes.is_empty() {
            return;
        }
        let policy = Arc::clone(&self.policy);
        if let Some((decided, _)) = self.deciders.hand_in(Batch { policy, passes }) {
            self.result.add(decided);
        }
    }
}

impl Batch {
    fn decide(self) -> Decided {
        let mut decided = Decided::default();
        for (event, redeemed) in self.passes {
            decided.decide(&self.policy, event, redeemed);
        }
        decided
    }
}

impl Decided {
    fn decide(&mut self, policy: &InForce, event: Event, redeemed: Redeemed) {
        let EventKind::Issued(issued) = &event.what else {
            return;
        };
        let (serial, at) = (event.index, event.at);
        let (who, role) = (issued.who.label.clone(), issued.ask.role.clone());
        let why = match policy {
            InForce::Unrecorded => {
                self.without_text += 1;
                return;
            }
            InForce::Unusable(error) => Some(format!("its policy does not load here: {error}")),
            InForce::Loaded(policy) if policy.hash() != issued.policy => Some(format!(
                "it names the policy {}, which was not in force",
                issued.policy
            )),
            InForce::Loaded(policy) => again(policy, past(event, redeemed)),
        };
        let Some(why) = why else {
            self.confirmed += 1;
            return;
        };
        self.wrong += 1;
        if self.findings.len() < NAMED {
            self.findings.push(Finding {
                serial,
                at: at.format(&Rfc3339).unwrap_or_default(),
                who,
                role,
                why,
            });
        }
    }

    /// Adds the result of the passes that follow.
    fn add(&mut self, next: Self) {
        self.confirmed += next.confirmed;
        self.without_text += next.without_text;
        self.wrong += next.wrong;
        let room = NAMED.saturating_sub(self.findings.len());
        self.findings.extend(next.findings.into_iter().take(room));
    }
}

/// The reason why `policy` does not give this pass; none if it does.
fn again(policy: &Policy, past: Option<Result<RecordedAsk, String>>) -> Option<String> {
    match past {
        None => None,
        Some(Err(why)) => Some(format!("it cannot be decided: {why}")),
        Some(Ok(past)) => {
            let change = policy.replay(&past)?;
            let (was, would_be) = (change.was, change.would_be);
            Some(format!(
                "recorded: {was}; its policy gives: {would_be} ({})",
                change.why
            ))
        }
    }
}

impl Decided {
    /// Whether a pass was found that its policy does not give.
    pub(super) fn wrong(&self) -> u64 {
        self.wrong
    }

    /// For people: a table of the findings, and a sentence.
    pub(super) fn text(&self) -> String {
        let mut lines = Vec::new();
        if !self.findings.is_empty() {
            let head = ["SERIAL", "AT", "WHO", "ROLE", "WHY"];
            let mut rows = vec![head.map(str::to_owned).to_vec()];
            rows.extend(self.findings.iter().map(|finding| {
                vec![
                    finding.serial.to_string(),
                    finding.at.chars().take(19).collect(),
                    finding.who.clone(),
                    finding.role.clone(),
                    finding.why.clone(),
                ]
            }));
            lines.push(table(&rows));
        }
        let named = self.findings.len() as u64;
        if self.wrong > named {
            lines.push(format!("and {} more", self.wrong - named));
        }
        lines.push(format!(
            "Passes decided again: {} confirmed, {} wrong.",
            self.confirmed, self.wrong
        ));
        if self.without_text > 0 {
            lines.push(format!(
                "Passes from before the ledger held policies' texts, not decided: {}.",
                self.without_text
            ));
        }
        lines.join("\n")
    }
}
