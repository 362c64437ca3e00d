//! `daypass ledger verify --decisions`: decides every issued pass again, by the policy that was in
//! force, and names each pass that this policy does not give.
//!
//! The ledger holds claims, ask and approvals of each pass, and the text of each policy. So this
//! shows that the server never issued beyond its policy, even if its keys were stolen.

use serde::Serialize;
use time::format_description::well_known::Rfc3339;

use crate::{
    cli::{
        policy::history::{Requests, past},
        table::table,
    },
    ledger::{Event, EventKind},
    policy::{Policy, replay::RecordedAsk},
};

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
#[derive(Default)]
pub(super) struct Decisions {
    hash: String,
    policy: InForce,
    requests: Requests,
    result: Decided,
}

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
    /// Takes in the next event of the ledger.
    pub(super) fn take(&mut self, event: Event) {
        self.requests.note(&event);
        match &event.what {
            EventKind::PolicyLoaded { policy, text } => self.load(policy, text.as_deref()),
            EventKind::Issued(_) => self.decide(event),
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
            | EventKind::KeyRetired { .. } => (),
        }
    }

    pub(super) fn finish(self) -> Decided {
        self.result
    }

    fn load(&mut self, hash: &str, text: Option<&str>) {
        let is_same = self.hash == hash;
        self.policy = match text {
            Some(text) => match Policy::parse(text, "the policy in the ledger") {
                Ok(policy) => InForce::Loaded(Box::new(policy)),
                Err(error) => InForce::Unusable(error.to_string()),
            },
            None if is_same => return,
            None => InForce::Unrecorded,
        };
        hash.clone_into(&mut self.hash);
    }

    fn decide(&mut self, event: Event) {
        let EventKind::Issued(issued) = &event.what else {
            return;
        };
        let (serial, at) = (event.index, event.at);
        let (who, role) = (issued.who.label.clone(), issued.ask.role.clone());
        let why = match &self.policy {
            InForce::Unrecorded => {
                self.result.without_text += 1;
                return;
            }
            InForce::Unusable(error) => Some(format!("its policy does not load here: {error}")),
            InForce::Loaded(policy) if policy.hash() != issued.policy => Some(format!(
                "it names the policy {}, which was not in force",
                issued.policy
            )),
            InForce::Loaded(policy) => again(policy, past(event, &self.requests)),
        };
        let Some(why) = why else {
            self.result.confirmed += 1;
            return;
        };
        self.result.wrong += 1;
        if self.result.findings.len() < NAMED {
            self.result.findings.push(Finding {
                serial,
                at: at.format(&Rfc3339).unwrap_or_default(),
                who,
                role,
                why,
            });
        }
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
