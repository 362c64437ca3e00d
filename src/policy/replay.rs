//! Past asks against another policy: which decisions would change. Grants nothing.
//!
//! Each ask is decided with the facts of its own event: the claims, the ask, the caller's address and the time.

use std::{collections::BTreeSet, net::IpAddr};

use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{Ask, Context, Denial, Grant, Means, Person, Policy, hours};

/// A past ask, as its event holds it.
#[derive(Clone, Debug)]
pub struct Past {
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
}

/// One of the passes that an ask gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one for the host.
    Main,
    /// The one for the bastion before it.
    Jump,
}

/// How an ask was decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A pass.
    Granted(Given),
    /// None, and the stable code that says why.
    Denied(String),
}

/// What a pass gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
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
    /// A denial for another reason is the same decision. A pass with other rights is another.
    pub fn replay(&self, past: &Past) -> Option<Change> {
        let person = Person {
            issuer: &past.issuer,
            subject: &past.subject,
            claims: &past.claims,
            means: Means::Token,
        };
        let context = Context {
            now: past.at,
            caller: past.caller,
        };
        let (would_be, why) = match (&past.was, self.judge(person, &past.ask, context)) {
            (Outcome::Denied(_), Err(_)) => return None,
            (Outcome::Denied(code), Ok(grant)) => (
                granted(&given(&grant)),
                format!("nothing refuses it any more ({code})"),
            ),
            (Outcome::Granted(_), Err(denial)) => (denied(denial.reason.code()), because(&denial)),
            (Outcome::Granted(was), Ok(grant)) => match past.pass.of(grant) {
                Some(grant) => {
                    let now = given(&grant);
                    (granted(&now), differences(was, &now)?)
                }
                None => (
                    "no jump pass".to_owned(),
                    "the way goes through no bastion any more".to_owned(),
                ),
            },
        };
        Some(Change {
            index: past.index,
            at: hours::rfc3339(past.at),
            issuer: past.issuer.clone(),
            subject: past.subject.clone(),
            who: past.label.clone(),
            role: past.ask.role.clone(),
            was: match &past.was {
                Outcome::Granted(given) => granted(given),
                Outcome::Denied(code) => denied(code),
            },
            would_be,
            why,
        })
    }
}

impl Which {
    fn of(self, grant: Grant) -> Option<Grant> {
        match self {
            Self::Main => Some(grant),
            Self::Jump => grant.jump().map(|(_, jump)| jump),
        }
    }
}

fn granted(given: &Given) -> String {
    format!("granted {}", list(&given.principals))
}

fn denied(code: &str) -> String {
    format!("denied {code}")
}

fn because(denial: &Denial) -> String {
    format!("{}: {}", denial.reason.word(), denial.detail)
}

fn given(grant: &Grant) -> Given {
    let words = grant.extensions().iter();
    let source = grant.source();
    Given {
        principals: grant.principals().clone(),
        command: grant.command().map(str::to_owned),
        source: source.map(|networks| networks.iter().map(ToString::to_string).collect()),
        extensions: words.map(|extension| extension.word().to_owned()).collect(),
        ttl: grant.ttl().as_secs(),
    }
}

/// Each right that is not the same; none where all are.
fn differences(was: &Given, now: &Given) -> Option<String> {
    let any = |source: &Option<BTreeSet<String>>| source.as_ref().map_or("any".to_owned(), list);
    let command = |given: &Given| given.command.clone().unwrap_or_else(|| "none".to_owned());
    let time = |given: &Given| {
        humantime::format_duration(std::time::Duration::from_secs(given.ttl)).to_string()
    };
    let differences: Vec<String> = [
        ("principals", list(&was.principals), list(&now.principals)),
        ("command", command(was), command(now)),
        ("source", any(&was.source), any(&now.source)),
        ("extensions", list(&was.extensions), list(&now.extensions)),
        ("lifetime", time(was), time(now)),
    ]
    .into_iter()
    .filter(|(_, was, now)| was != now)
    .map(|(name, was, now)| format!("{name} {was} -> {now}"))
    .collect();
    (!differences.is_empty()).then(|| differences.join("; "))
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
