//! Reads a past ask from a ledger event: the ask, the decision, and the request that it redeemed.

use std::collections::BTreeMap;

use time::{Duration, OffsetDateTime};

use crate::{
    cli::policy::explain,
    ledger::event::{Actor, Event, EventKind, Issued, RequestDetails, Requested, bounds},
    operations::requests::rights,
    policy::{
        Reason,
        replay::{Approved, Approver, Outcome, RecordedAsk, Rights, Wait, Which},
    },
    ssh::options::Extension,
    unix_seconds::UnixSeconds,
};

/// Time after which an expired request is forgotten: longer than clocks jump back.
const MARGIN: Duration = Duration::days(30);

/// Number of requests that is never scanned for expired ones.
const FEW: usize = 1024;

/// The requests of an export that can be redeemed yet, with their approvers.
#[derive(Default)]
pub(in crate::cli) struct Requests {
    noted: BTreeMap<u64, Noted>,
    /// Number of requests at which expired ones are forgotten.
    limit: usize,
}

struct Noted {
    expires_at: UnixSeconds,
    issuer: String,
    subject: String,
    approved: Approved,
}

impl Requests {
    /// Adds the next event.
    pub(in crate::cli) fn note(&mut self, event: &Event) {
        match &event.what {
            EventKind::Requested(asked) => {
                let noted = Noted {
                    expires_at: asked.expires_at,
                    issuer: asked.who.issuer.clone(),
                    subject: asked.who.subject.clone(),
                    approved: Approved {
                        rights: rights(asked),
                        by: Vec::new(),
                    },
                };
                self.noted.insert(event.index, noted);
                self.forget_before(event.at - MARGIN);
            }
            EventKind::Approved(decided) => {
                if let Some(noted) = self.noted.get_mut(&decided.request) {
                    noted.approved.by.push(Approver {
                        presence: decided.presence.as_ref().map(|it| it.key.clone()),
                        ..person(&decided.who)
                    });
                }
            }
            EventKind::Issued(_)
            | EventKind::Denied { .. }
            | EventKind::Denials(_)
            | EventKind::Started { .. }
            | EventKind::PolicyLoaded { .. }
            | EventKind::SigningFailed { .. }
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
            | EventKind::ForeignLogin(_) => {}
        }
    }

    /// Forgets the requests that expired before then. Scans only after their number has doubled.
    fn forget_before(&mut self, time: OffsetDateTime) {
        if self.noted.len() <= self.limit.max(FEW) {
            return;
        }
        let time = UnixSeconds::from(time);
        self.noted.retain(|_, noted| noted.expires_at >= time);
        self.limit = self.noted.len() * 2;
    }

    /// The approved request that the ask of an event redeems. None if it redeems none.
    ///
    /// # Errors
    /// Returns why the request is unknown.
    pub(in crate::cli) fn redeemed(&self, event: &Event) -> Result<Option<Approved>, String> {
        let Some((who, ask)) = asked(&event.what) else {
            return Ok(None);
        };
        let Some(id) = ask.request else {
            return Ok(None);
        };
        match self.noted.get(&id) {
            None => Err(format!("the export does not hold request {id}")),
            Some(noted) if (&noted.issuer, &noted.subject) != (&who.issuer, &who.subject) => {
                Err(format!("it is about request {id} of another identity"))
            }
            Some(noted) => Ok(Some(noted.approved.clone())),
        }
    }
}

fn person(who: &Actor) -> Approver {
    Approver {
        issuer: who.issuer.clone(),
        subject: who.subject.clone(),
        claims: who.claims.members().cloned().unwrap_or_default(),
        presence: None,
    }
}

/// The person and the ask of an event that has one.
fn asked(what: &EventKind) -> Option<(&Actor, &RequestDetails)> {
    match what {
        EventKind::Issued(issued) => Some((&issued.who, &issued.ask)),
        EventKind::Requested(asked) => Some((&asked.who, &asked.ask)),
        EventKind::Denied { who, ask, .. } => Some((who, ask)),
        EventKind::Denials(_)
        | EventKind::Approved(_)
        | EventKind::Started { .. }
        | EventKind::PolicyLoaded { .. }
        | EventKind::SigningFailed { .. }
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
        | EventKind::ForeignLogin(_) => None,
    }
}

/// Returns the ask of an event with what it redeemed ([`Requests::redeemed`]), or the reason if it
/// cannot be decided again. None if the event has no ask.
pub(in crate::cli) fn past(
    event: Event,
    redeemed: Result<Option<Approved>, String>,
) -> Option<Result<RecordedAsk, String>> {
    let (index, at) = (event.index, event.at);
    let recorded = match recorded(event)? {
        Ok(recorded) => recorded,
        Err(why) => return Some(Err(why)),
    };
    let Recorded { who, ask, was, .. } = recorded;
    let approved = match redeemed {
        Ok(approved) => approved,
        Err(why) => return Some(Err(why)),
    };
    let recalled = recalled(index, at, who, &ask, was);
    Some(recalled.map(|past| RecordedAsk {
        approved,
        pass: recorded.pass,
        signers: recorded.signers,
        is_unbound: recorded.is_unbound,
        by: recorded.by,
        ..past
    }))
}

/// Parts of an event that has an ask.
struct Recorded {
    who: Actor,
    ask: RequestDetails,
    was: Outcome,
    pass: Which,
    signers: Vec<Approver>,
    is_unbound: bool,
    by: Option<Approver>,
}

/// Takes an event apart. Returns the reason if it cannot be decided again, and none if it has no
/// ask.
fn recorded(event: Event) -> Option<Result<Recorded, String>> {
    let at = event.at;
    Some(match event.what {
        EventKind::Issued(issued) => Ok(issued_ask(*issued, at)),
        EventKind::Requested(asked) => {
            let (given, wait) = (wished(&asked), wait(&asked, at));
            Ok(Recorded::new(
                asked.who,
                asked.ask,
                Outcome::Waits(given, wait),
            ))
        }
        EventKind::Denied { cut: true, .. } => {
            Err("the record has only a part of the ask or its claims".to_owned())
        }
        EventKind::Denied {
            who,
            ask,
            reason,
            unbound,
            by,
            ..
        } => denied(reason).map(|was| Recorded {
            is_unbound: unbound,
            by: by.map(|by| person(&by)),
            ..Recorded::new(who, ask, was)
        }),
        EventKind::Denials(it) => Err(format!(
            "{} denials were counted without their asks",
            it.count
        )),
        EventKind::Approved(_)
        | EventKind::Started { .. }
        | EventKind::PolicyLoaded { .. }
        | EventKind::SigningFailed { .. }
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
        | EventKind::ForeignLogin(_) => return None,
    })
}

impl Recorded {
    fn new(who: Actor, ask: RequestDetails, was: Outcome) -> Self {
        Self {
            who,
            ask,
            was,
            pass: Which::Main,
            signers: Vec::new(),
            is_unbound: false,
            by: None,
        }
    }
}

fn issued_ask(issued: Issued, at: OffsetDateTime) -> Recorded {
    let given = given(&issued, at);
    let was = match issued.ask.request {
        Some(_) => Outcome::Approved(given),
        None => Outcome::Granted(given),
    };
    let pass = match issued.jump {
        Some(_) => Which::Jump,
        None => Which::Main,
    };
    Recorded {
        pass,
        signers: issued.signatures().map(|one| person(&one.who)).collect(),
        is_unbound: issued.binding == "none",
        by: issued.on_behalf.as_ref().map(|it| person(&it.by)),
        ..Recorded::new(issued.who, issued.ask, was)
    }
}

/// Returns the outcome of a recorded denial.
///
/// # Errors
/// If the policy did not refuse it, or if the record lacks the signers on which it depends.
fn denied(reason: String) -> Result<Outcome, String> {
    let is_policys = |known: &&Reason| known.code() == reason && **known != Reason::Unbound;
    if !Reason::ALL.iter().any(|known| is_policys(&known)) {
        return Err(format!("it was refused apart from the policy ({reason})"));
    }
    // Asks by registered keys. A denial does not record the keys' holders.
    let by_keys = [Reason::Quorum, Reason::EmergencyOnly];
    if by_keys.iter().any(|known| known.code() == reason) {
        return Err("the record does not say who signed".to_owned());
    }
    Ok(Outcome::Denied(reason))
}

fn recalled(
    index: u64,
    at: OffsetDateTime,
    who: Actor,
    ask: &RequestDetails,
    was: Outcome,
) -> Result<RecordedAsk, String> {
    if let Some(word) = ask
        .extensions
        .iter()
        .find(|word| Extension::from_word(word).is_none())
    {
        return Err(format!(
            "it asked for {word:?}, which this version does not know"
        ));
    }
    if is_cut(ask) {
        return Err("the record has only the beginning of the ask".to_owned());
    }
    let label = who.label.clone();
    let subject = explain::past(who, ask).map_err(|failure| failure.message)?;
    Ok(RecordedAsk {
        index,
        at,
        label,
        issuer: subject.issuer,
        subject: subject.name,
        claims: subject.claims,
        ask: subject.ask,
        caller: subject.caller,
        was,
        approved: None,
        pass: Which::Main,
        signers: Vec::new(),
        is_unbound: false,
        by: None,
    })
}

/// Whether an event of version 0.1.0 has only a part of the ask. That version cut texts
/// ([`bounds::beginning`]) and lists after 64 items. Later versions record `cut`.
fn is_cut(ask: &RequestDetails) -> bool {
    let params = ask.params.iter().flat_map(|(name, value)| [name, value]);
    let texts = params
        .chain([&ask.role])
        .chain(&ask.host)
        .chain(&ask.reason);
    let mut texts = texts.chain(&ask.source_addresses);
    let lists = [
        ask.params.len(),
        ask.source_addresses.len(),
        ask.extensions.len(),
    ];
    texts.any(|text| bounds::beginning(text).is_some())
        || lists.into_iter().any(|items| items >= 64)
}

fn given(issued: &Issued, at: OffsetDateTime) -> Rights {
    Rights {
        permissions: issued.permissions.clone(),
        ttl: issued.valid_before.seconds_since(at.into()),
    }
}

/// The rights of the pass that a request asks for.
fn wished(asked: &Requested) -> Rights {
    Rights {
        permissions: asked.permissions.clone(),
        ttl: asked.ttl_seconds,
    }
}

fn wait(asked: &Requested, at: OffsetDateTime) -> Wait {
    Wait {
        count: asked.needed,
        within: asked.expires_at.seconds_since(at.into()),
    }
}
