//! Past asks against another policy: which decisions would change. Grants nothing.
//!
//! Each ask is decided with the facts of its own event: the claims, the ask, the caller's address and the time. The
//! redemption of a request is decided by those who had approved it, as far as they still may.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{
    Ask, AuthMethod, Context, Decision, Denial, Grant, Pending, Person, Policy, Reason,
    Restriction, hours,
};

/// A past ask, as its event holds it.
#[derive(Clone, Debug)]
pub struct RecordedAsk {
    /// The event's index; a pass's serial.
    pub index: u64,
    /// When it was asked.
    pub at: OffsetDateTime,
    /// The `iss` claim.
    pub issuer: String,
    /// The `sub` claim.
    pub subject: String,
    /// A name for people.
    pub label: String,
    /// The claims it was decided over.
    pub claims: Map<String, Value>,
    /// What was asked.
    pub ask: Ask,
    /// From where.
    pub caller: Option<IpAddr>,
    /// How it was decided.
    pub was: Outcome,
    /// Which of the passes that an ask gives this is about.
    pub pass: Which,
    /// What had been approved, where it was to redeem a request.
    pub approved: Option<Approved>,
    /// The people whose registered keys signed, where no token was shown; the first is the one who asked.
    pub signers: Vec<Approver>,
    /// Whether the token that was shown was bound to no key.
    pub is_unbound: bool,
}

/// One of the passes that an ask gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one for the host.
    Main,
    /// The one for the bastion before it.
    Jump,
}

/// A request as it stood when it was to be redeemed.
#[derive(Clone, Debug, Default)]
pub struct Approved {
    /// What its pass would be.
    pub rights: Restriction,
    /// Who had approved it.
    pub by: Vec<Approver>,
}

/// Somebody who approved.
#[derive(Clone, Debug)]
pub struct Approver {
    /// The `iss` claim.
    pub issuer: String,
    /// The `sub` claim.
    pub subject: String,
    /// The claims they approved with.
    pub claims: Map<String, Value>,
}

/// How an ask was decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A pass at once.
    Granted(Rights),
    /// A request, for as many approvals.
    Waits(Rights, Wait),
    /// A pass after others approved it.
    Approved(Rights),
    /// None, and the stable code that says why.
    Denied(String),
}

/// What a request waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// How many approvals.
    pub count: u32,
    /// For how many seconds at most.
    pub within: u64,
}

/// What a pass gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Rights {
    /// Its principals.
    pub principals: BTreeSet<String>,
    /// Its force-command.
    pub command: Option<String>,
    /// Its source addresses; none: any.
    pub source: Option<BTreeSet<String>>,
    /// Its extensions.
    pub extensions: BTreeSet<String>,
    /// Its lifetime in seconds.
    pub ttl: u64,
}

/// A decision that would be another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The event's index; a pass's serial.
    pub index: u64,
    /// When it was asked (RFC 3339).
    pub at: String,
    /// The `iss` claim.
    pub issuer: String,
    /// The `sub` claim.
    pub subject: String,
    /// A name for people.
    pub who: String,
    /// The role.
    pub role: String,
    /// What was decided.
    pub was: String,
    /// What would be.
    pub would_be: String,
    /// What makes the difference.
    pub why: String,
}

impl Policy {
    /// How this policy would decide a past ask otherwise; none where it would decide the same.
    ///
    /// A denial for another reason is the same decision. A pass with other rights is another, and so is one that needs
    /// others' approval now, or none any more.
    pub fn replay(&self, past: &RecordedAsk) -> Option<Change> {
        let (would_be, why) = match self.again(past) {
            Err(_) if matches!(past.was, Outcome::Denied(_)) => return None,
            Err(denial) => (
                Outcome::Denied(denial.reason.code().to_owned()),
                because(&denial),
            ),
            Ok(would_be) => {
                let why = difference(&past.was, &would_be)?;
                (would_be, why)
            }
        };
        let words = |outcome: &Outcome| words(outcome, past.ask.emergency);
        Some(Change {
            index: past.index,
            at: hours::rfc3339(past.at),
            issuer: past.issuer.clone(),
            subject: past.subject.clone(),
            who: past.label.clone(),
            role: past.ask.role.clone(),
            was: words(&past.was),
            would_be: words(&would_be),
            why,
        })
    }

    /// The decision by this policy. A redemption is within what was approved, as [`crate::policy`] narrows everything.
    fn again(&self, past: &RecordedAsk) -> Result<Outcome, Denial> {
        let person = Person {
            issuer: &past.issuer,
            subject: &past.subject,
            claims: &past.claims,
            auth_method: match (past.signers.is_empty(), past.is_unbound) {
                (true, false) => AuthMethod::Token,
                (true, true) => AuthMethod::UnboundToken,
                (false, _) => AuthMethod::RegisteredKey,
            },
        };
        let context = Context {
            now: past.at,
            caller: past.caller,
        };
        let approved = past.approved.as_ref();
        if let Some((role, rules)) = self.emergency_of(&past.ask)
            && !past.signers.is_empty()
        {
            let people = past.signers.iter().map(Approver::by_key);
            self.quorum(role, rules, people, &past.ask)?;
        }
        match (self.consider(person, &past.ask, context), approved) {
            (Decision::Denied(denial), _) => Err(denial),
            (Decision::Granted(grant), None) => past
                .pass
                .of(grant)
                .map(|grant| Outcome::Granted(given(&grant))),
            (Decision::Granted(grant), Some(approved)) => {
                let grant = past.pass.of(grant.narrow(&approved.rights)?)?;
                Ok(Outcome::Granted(given(&grant)))
            }
            (Decision::NeedsApproval(pending), None) => {
                let wait = wait(&pending);
                Ok(Outcome::Waits(given(&pending.grant), wait))
            }
            (Decision::NeedsApproval(pending), Some(approved)) => {
                let count = self.approvers(&past.ask, &approved.by);
                let grant = past.pass.of(pending.approved(count, &approved.rights)?)?;
                Ok(Outcome::Approved(given(&grant)))
            }
        }
    }

    /// How many of them may still approve such an ask.
    fn approvers(&self, ask: &Ask, by: &[Approver]) -> usize {
        let may = |approver: &&Approver| {
            let person = Person {
                issuer: &approver.issuer,
                subject: &approver.subject,
                claims: &approver.claims,
                auth_method: AuthMethod::Token,
            };
            self.approves(person, ask)
        };
        by.iter().filter(may).count()
    }
}

impl Approver {
    fn by_key(&self) -> Person<'_> {
        Person {
            issuer: &self.issuer,
            subject: &self.subject,
            claims: &self.claims,
            auth_method: AuthMethod::RegisteredKey,
        }
    }
}

impl Which {
    /// The one of the two that it is about.
    fn of(self, grant: Grant) -> Result<Grant, Denial> {
        match self {
            Self::Main => Ok(grant),
            Self::Jump => grant.jump().map(|(_, jump)| jump).ok_or_else(|| {
                Denial::new(
                    Reason::Source,
                    "the way goes through no bastion any more, so there is no jump pass",
                )
            }),
        }
    }
}

fn wait(pending: &Pending) -> Wait {
    Wait {
        count: pending.count(),
        within: pending.within().as_secs(),
    }
}

/// What an outcome is called in the table.
fn words(outcome: &Outcome, emergency: bool) -> String {
    match outcome {
        Outcome::Granted(given) if emergency => format!("emergency {}", list(&given.principals)),
        Outcome::Granted(given) => format!("granted {}", list(&given.principals)),
        Outcome::Approved(given) => format!("approved {}", list(&given.principals)),
        Outcome::Waits(_, wait) => format!("needs {}", approvals(wait.count)),
        Outcome::Denied(code) => format!("denied {code}"),
    }
}

fn approvals(count: u32) -> String {
    match count {
        1 => "1 approval".to_owned(),
        more => format!("{more} approvals"),
    }
}

fn because(denial: &Denial) -> String {
    format!("{}: {}", denial.reason.as_str(), denial.detail)
}

/// Why an ask that is not denied is decided otherwise; none where it is not.
fn difference(was: &Outcome, now: &Outcome) -> Option<String> {
    use Outcome::{Approved, Denied, Granted, Waits};
    let (mut changes, before, after) = match (was, now) {
        // It is denied before it is compared.
        (_, Denied(_)) => return None,
        (Denied(code), _) => return Some(format!("nothing refuses it any more ({code})")),
        (Granted(was), Granted(now)) | (Approved(was), Approved(now)) => (Vec::new(), was, now),
        (Waits(was, before), Waits(now, after)) => (waits(*before, *after), was, now),
        (Granted(was), Waits(now, _) | Approved(now)) => {
            (vec!["others must approve it now".to_owned()], was, now)
        }
        (Waits(was, _) | Approved(was), Granted(now)) => {
            (vec!["nobody must approve it any more".to_owned()], was, now)
        }
        (Waits(was, _), Approved(now)) | (Approved(was), Waits(now, _)) => (Vec::new(), was, now),
    };
    changes.extend(differences(before, after));
    (!changes.is_empty()).then(|| changes.join("; "))
}

fn waits(was: Wait, now: Wait) -> Vec<String> {
    changed([
        ("approvals", was.count.to_string(), now.count.to_string()),
        ("waits for", spoken(was.within), spoken(now.within)),
    ])
}

fn given(grant: &Grant) -> Rights {
    let words = grant.extensions().iter();
    let source = grant.source();
    Rights {
        principals: grant.principals().clone(),
        command: grant.command().map(str::to_owned),
        source: source.map(|networks| networks.iter().map(ToString::to_string).collect()),
        extensions: words
            .map(|extension| extension.as_str().to_owned())
            .collect(),
        ttl: grant.ttl().as_secs(),
    }
}

/// Each right that is not the same.
fn differences(was: &Rights, now: &Rights) -> Vec<String> {
    let any = |source: &Option<BTreeSet<String>>| source.as_ref().map_or("any".to_owned(), list);
    let command = |given: &Rights| given.command.clone().unwrap_or_else(|| "none".to_owned());
    changed([
        ("principals", list(&was.principals), list(&now.principals)),
        ("command", command(was), command(now)),
        ("source", any(&was.source), any(&now.source)),
        ("extensions", list(&was.extensions), list(&now.extensions)),
        ("lifetime", spoken(was.ttl), spoken(now.ttl)),
    ])
}

/// A name, what it was and what it would be: those that are not the same.
fn changed<const N: usize>(values: [(&str, String, String); N]) -> Vec<String> {
    let others = values.into_iter().filter(|(_, was, now)| was != now);
    others
        .map(|(name, was, now)| format!("{name} {was} -> {now}"))
        .collect()
}

fn spoken(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

fn list(words: &BTreeSet<String>) -> String {
    if words.is_empty() {
        return "none".to_owned();
    }
    words
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(",")
}
