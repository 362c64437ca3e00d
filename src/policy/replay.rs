//! Replays past asks against another policy and reports decisions that would change. Grants
//! nothing.
//!
//! Each ask is decided with the data of its own event: claims, ask, caller's address and time. The
//! redemption of a request is decided with those of its approvers who may still approve.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{
    Ask, AuthMethod, Context, Decision, Denial, Grant, Pending, Person, Policy, Reason,
    Restriction, hours,
};
use crate::ssh::permissions::Permissions;

/// A past ask, as its event recorded it.
#[derive(Clone, Debug)]
pub(crate) struct RecordedAsk {
    /// The event's index, which is the serial of a pass.
    pub index: u64,
    /// Time of the ask.
    pub at: OffsetDateTime,
    /// The `iss` claim.
    pub issuer: String,
    /// The `sub` claim.
    pub subject: String,
    /// The display name.
    pub label: String,
    /// The evaluated claims.
    pub claims: Map<String, Value>,
    /// The ask.
    pub ask: Ask,
    /// The caller's address.
    pub caller: Option<IpAddr>,
    /// The recorded decision.
    pub was: Outcome,
    /// The pass of the ask that this is about.
    pub pass: Which,
    /// The approved content, if the ask redeemed a request.
    pub approved: Option<Approved>,
    /// The people whose registered keys signed, if there was no token. The first is the one who
    /// asked.
    pub signers: Vec<Approver>,
    /// Whether the token was bound to no key.
    pub is_unbound: bool,
    /// The identity that asked, if it was not the holder.
    pub by: Option<Approver>,
}

/// The passes of one ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The pass for the host.
    Main,
    /// The jump pass for the bastion.
    Jump,
}

/// A request at the time of its redemption.
#[derive(Clone, Debug, Default)]
pub(crate) struct Approved {
    /// The approved content.
    pub rights: Restriction,
    /// The approvers.
    pub by: Vec<Approver>,
}

/// A person who approved, or an identity that asked on behalf of another.
#[derive(Clone, Debug)]
pub(crate) struct Approver {
    /// The `iss` claim.
    pub issuer: String,
    /// The `sub` claim.
    pub subject: String,
    /// The claims at the time of approval.
    pub claims: Map<String, Value>,
    /// The passkey or security key that showed the approver's presence, in OpenSSH form.
    pub presence: Option<String>,
}

/// The decision of an ask.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// A pass at once.
    Granted(Rights),
    /// A request with this content, and what it waited for.
    Waits(Rights, Wait),
    /// A pass after approval.
    Approved(Rights),
    /// A denial with this stable code.
    Denied(String),
}

/// The approval that a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// Required number of approvals.
    pub count: u32,
    /// Time until it expires, in seconds.
    pub within: u64,
}

/// The content of a pass.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rights {
    /// Permissions of its certificate.
    pub permissions: Permissions,
    /// Its lifetime in seconds.
    pub ttl: u64,
}

/// A decision that would change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Change {
    /// The event's index, which is the serial of a pass.
    pub index: u64,
    /// Time of the ask (RFC 3339).
    pub at: String,
    /// The `iss` claim.
    pub issuer: String,
    /// The `sub` claim.
    pub subject: String,
    /// The display name.
    pub who: String,
    /// The role.
    pub role: String,
    /// The recorded decision.
    pub was: String,
    /// The new decision.
    pub would_be: String,
    /// The difference.
    pub why: String,
}

impl Policy {
    /// Compares this policy's decision with the recorded one. Returns `None` if it is the same.
    ///
    /// A denial for another reason counts as the same decision. A pass with another content counts
    /// as a change, and so does one that now needs approval or no longer needs it.
    pub(crate) fn replay(&self, past: &RecordedAsk) -> Option<Change> {
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

    /// This policy's decision. A redemption is narrowed by what was approved.
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
        if let Some(by) = &past.by {
            let by = by.by_token();
            let grant = self.on_behalf(person, by, &past.ask, context)?;
            return Ok(Outcome::Granted(given(&grant)));
        }
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

    /// The number of approvers who may still approve this ask.
    fn approvers(&self, ask: &Ask, by: &[Approver]) -> usize {
        let may = |approver: &&Approver| {
            self.counts(approver.by_token(), ask, approver.presence.as_deref())
        };
        by.iter().filter(may).count()
    }
}

impl Approver {
    fn by_token(&self) -> Person<'_> {
        Person {
            auth_method: AuthMethod::Token,
            ..self.by_key()
        }
    }

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
    /// Selects this pass of the grant.
    fn of(self, grant: Grant) -> Result<Grant, Denial> {
        match self {
            Self::Main => Ok(grant),
            Self::Jump => grant.jump().map(|(_, jump)| jump).ok_or_else(|| {
                Denial::new(
                    Reason::Source,
                    "the pass no longer goes through a bastion, so there is no jump pass",
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

/// The outcome's name in the table.
fn words(outcome: &Outcome, emergency: bool) -> String {
    match outcome {
        Outcome::Granted(given) if emergency => {
            format!("emergency {}", list(&given.permissions.principals))
        }
        Outcome::Granted(given) => format!("granted {}", list(&given.permissions.principals)),
        Outcome::Approved(given) => format!("approved {}", list(&given.permissions.principals)),
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

/// The difference between two decisions that both grant; `None` if they are equal.
fn difference(was: &Outcome, now: &Outcome) -> Option<String> {
    use Outcome::{Approved, Denied, Granted, Waits};
    let (mut changes, before, after) = match (was, now) {
        // A denial is handled before the comparison.
        (_, Denied(_)) => return None,
        (Denied(code), _) => return Some(format!("no check denies it any more ({code})")),
        (Granted(was), Granted(now)) | (Approved(was), Approved(now)) => (Vec::new(), was, now),
        (Waits(was, before), Waits(now, after)) => (waits(*before, *after), was, now),
        (Granted(was), Waits(now, _) | Approved(now)) => {
            (vec!["it needs approval now".to_owned()], was, now)
        }
        (Waits(was, _) | Approved(was), Granted(now)) => {
            (vec!["no approval is needed any more".to_owned()], was, now)
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
    Rights {
        permissions: grant.permissions().clone(),
        ttl: grant.ttl().as_secs(),
    }
}

/// The differences between the contents of two passes.
fn differences(was: &Rights, now: &Rights) -> Vec<String> {
    let mut values: Vec<_> = described(&was.permissions)
        .into_iter()
        .zip(described(&now.permissions))
        .map(|((name, was), (_, now))| (name, was, now))
        .collect();
    values.push(("lifetime", spoken(was.ttl), spoken(now.ttl)));
    changed(values)
}

/// Each permission with its value in words.
fn described(permissions: &Permissions) -> Vec<(&'static str, String)> {
    let source = permissions.source_addresses.as_ref();
    let command = permissions.force_command.clone();
    let verified = match permissions.verify_required {
        true => "required",
        false => "not required",
    };
    vec![
        ("principals", list(&permissions.principals)),
        ("command", command.unwrap_or_else(|| "none".to_owned())),
        ("source", source.map_or("any".to_owned(), list)),
        ("extensions", list(&permissions.extensions)),
        ("user verification", verified.to_owned()),
    ]
}

/// A name, what it was and what it would be: those that are not the same.
fn changed<'a>(values: impl IntoIterator<Item = (&'a str, String, String)>) -> Vec<String> {
    let others = values.into_iter().filter(|(_, was, now)| was != now);
    others
        .map(|(name, was, now)| format!("{name} {was} -> {now}"))
        .collect()
}

fn spoken(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

fn list<T: ToString>(words: &BTreeSet<T>) -> String {
    if words.is_empty() {
        return "none".to_owned();
    }
    words.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}
