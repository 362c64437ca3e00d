//! `daypass policy explain`: says why an identity does or does not get a role. The identity comes
//! from a file of claims or from a past event.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use serde::Serialize;
use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::file::{load, read};
use crate::{
    cli::{Failure, Global, failure::Code, output::clean, values::duration},
    ledger::event::{Actor, Event, EventKind, RequestDetails},
    policy::{Ask, AuthMethod, Context, Person, explain::Explanation, source},
    ssh::options::Extension,
};

/// The policy, and the ask to explain.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy file.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// A JSON file with the claims of an ID token.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "event",
        conflicts_with = "event"
    )]
    claims: Option<PathBuf>,
    /// A past ask, by its index in the ledger (the serial of a pass).
    #[arg(long, value_name = "INDEX", requires = "export")]
    event: Option<u64>,
    /// The export of the ledger that has the event (`daypass ledger export`).
    #[arg(long, value_name = "FILE", requires = "event")]
    export: Option<PathBuf>,
    /// The role. By default all roles.
    #[arg(long, help_heading = "The ask")]
    role: Option<String>,
    /// A parameter of the role's command.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter, help_heading = "The ask")]
    params: Vec<(String, String)>,
    /// The host the pass is for.
    #[arg(long, help_heading = "The ask")]
    host: Option<String>,
    /// Why access is needed.
    #[arg(long, help_heading = "The ask")]
    reason: Option<String>,
    /// The lifetime asked for.
    #[arg(long, value_parser = duration, help_heading = "The ask")]
    ttl: Option<Duration>,
    /// The address the ask comes from.
    #[arg(long, value_name = "IP", help_heading = "The ask")]
    source_address: Option<IpAddr>,
    /// The time of the ask (RFC 3339). By default now, or the time of the event.
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = "The ask")]
    at: Option<OffsetDateTime>,
    /// Explain for a token that is bound to no key (device flow). For a past ask, the ledger says.
    #[arg(long)]
    unbound: bool,
}

/// The person, the ask and the address.
pub(super) struct Subject {
    pub(super) issuer: String,
    pub(super) name: String,
    pub(super) claims: Map<String, Value>,
    pub(super) ask: Ask,
    pub(super) caller: Option<IpAddr>,
    /// The time of the ask, if it is known.
    at: Option<OffsetDateTime>,
    /// Whether the token was bound to no key.
    is_unbound: bool,
    /// The identity that asked on behalf of the person, if it was another.
    by: Option<By>,
}

/// An identity that asks on behalf of another.
pub(super) struct By {
    issuer: String,
    subject: String,
    claims: Map<String, Value>,
}

impl By {
    fn of(who: Actor) -> Result<Self, Failure> {
        let Value::Object(claims) = who.claims.into_value() else {
            return Err(usage("the event has no claims of the identity that asked"));
        };
        Ok(Self {
            issuer: who.issuer,
            subject: who.subject,
            claims,
        })
    }

    /// Its token was bound: others ask on behalf of no one.
    fn person(&self) -> Person<'_> {
        Person {
            issuer: &self.issuer,
            subject: &self.subject,
            claims: &self.claims,
            auth_method: AuthMethod::Token,
        }
    }
}

#[derive(Serialize)]
struct Explained {
    issuer: String,
    subject: String,
    /// The subject of the identity that asked on behalf of that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    roles: Vec<Explanation>,
}

impl Args {
    pub(super) fn run(self, global: &Global, now: OffsetDateTime) -> Result<(), Failure> {
        let policy = load(&self.policy)?;
        let subject = self.subject()?;
        let person = Person {
            issuer: &subject.issuer,
            subject: &subject.name,
            claims: &subject.claims,
            auth_method: match subject.is_unbound || self.unbound {
                true => AuthMethod::UnboundToken,
                false => AuthMethod::Token,
            },
        };
        let context = Context {
            now: self.at.or(subject.at).unwrap_or(now),
            caller: subject.caller,
        };
        let explained = Explained {
            roles: match &subject.by {
                None => policy.explain(person, &subject.ask, context),
                Some(by) => policy.explain_on_behalf(person, by.person(), &subject.ask, context),
            },
            by: subject.by.as_ref().map(|by| by.subject.clone()),
            issuer: subject.issuer.clone(),
            subject: subject.name.clone(),
        };
        global.print(&explained, text)
    }

    fn subject(&self) -> Result<Subject, Failure> {
        let mut subject = match (&self.claims, self.event) {
            (Some(claims), _) => from_claims(&read(claims)?)?,
            (None, Some(index)) => {
                let export = self.export.clone().unwrap_or_default();
                from_event(event_at(&read(&export)?, index)?)?
            }
            (None, None) => {
                return Err(usage(
                    "name --claims FILE, or --event INDEX with --export FILE",
                ));
            }
        };
        self.change(&mut subject);
        Ok(subject)
    }

    /// Applies the options, which override what the event says.
    fn change(&self, subject: &mut Subject) {
        let ask = &mut subject.ask;
        if let Some(role) = &self.role {
            ask.role.clone_from(role);
        }
        ask.params.extend(self.params.iter().cloned());
        ask.host = self.host.clone().or_else(|| ask.host.take());
        ask.reason = self.reason.clone().or_else(|| ask.reason.take());
        ask.ttl = self.ttl.or(ask.ttl);
        subject.caller = self.source_address.or(subject.caller);
    }
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| format!("invalid time {text:?}: write one such as 2026-01-05T09:00:00Z"))
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("invalid parameter {text:?}: write NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn from_claims(text: &str) -> Result<Subject, Failure> {
    let claims: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| usage(format!("the claims are not a JSON object: {error}")))?;
    let text = |name: &str| {
        claims
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Ok(Subject {
        issuer: text("iss"),
        name: text("sub"),
        claims: usable(claims),
        ask: Ask::default(),
        caller: None,
        at: None,
        is_unbound: false,
        by: None,
    })
}

/// The claims as the policy sees them. As on the server, an e-mail address counts only if the
/// issuer says that it is verified.
fn usable(mut claims: Map<String, Value>) -> Map<String, Value> {
    if claims.get("email_verified") != Some(&Value::Bool(true)) {
        claims.remove("email");
    }
    claims
}

/// Finds an event in an export.
fn event_at(export: &str, index: u64) -> Result<Event, Failure> {
    let events = export.lines().take_while(|line| !line.is_empty());
    let line = usize::try_from(index)
        .ok()
        .and_then(|index| events.into_iter().nth(index));
    let line = line.ok_or_else(|| usage(format!("the export has no event {index}")))?;
    let event: Event = serde_json::from_str(line).map_err(|error| {
        usage(format!(
            "event {index} of the export does not parse: {error}"
        ))
    })?;
    if event.index != index {
        return Err(usage(format!(
            "line {} of the export holds event {}; it is cut or reordered (see `daypass ledger verify`)",
            index + 1,
            event.index
        )));
    }
    Ok(event)
}

fn from_event(event: Event) -> Result<Subject, Failure> {
    let (subject, is_unbound, by) = match event.what {
        EventKind::Issued(issued) => (
            past(issued.who, &issued.ask)?,
            issued.binding == "none",
            issued.on_behalf.map(|it| it.by),
        ),
        EventKind::Denied { cut: true, .. } => {
            return Err(usage(format!(
                "event {} holds only a part of its ask or claims, so it cannot be explained",
                event.index
            )));
        }
        EventKind::Denied {
            who,
            ask,
            unbound,
            by,
            ..
        } => (past(who, &ask)?, unbound, by.map(|by| *by)),
        EventKind::Denials(_)
        | EventKind::Requested(_)
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
        | EventKind::ForeignLogin(_) => {
            return Err(usage(format!(
                "event {} is not an ask: name one that was issued or denied",
                event.index
            )));
        }
    };
    Ok(Subject {
        at: Some(event.at),
        is_unbound,
        by: by.map(By::of).transpose()?,
        ..subject
    })
}

/// The person and the ask of an event.
pub(super) fn past(who: Actor, asked: &RequestDetails) -> Result<Subject, Failure> {
    let Value::Object(claims) = who.claims.into_value() else {
        return Err(usage("the event has no claims"));
    };
    let networks: Result<Vec<IpNet>, String> = asked
        .source_addresses
        .iter()
        .map(|text| source::parse(text))
        .collect();
    Ok(Subject {
        issuer: who.issuer,
        name: who.subject,
        claims,
        ask: Ask {
            role: asked.role.clone(),
            host: asked.host.clone(),
            params: asked.params.clone(),
            reason: asked.reason.clone(),
            ttl: asked.ttl_seconds.map(Duration::from_secs),
            source: networks.map_err(usage)?,
            extensions: asked
                .extensions
                .iter()
                .filter_map(|word| Extension::from_word(word))
                .collect(),
            request: asked.request,
            emergency: asked.emergency,
        },
        caller: asked
            .caller
            .as_deref()
            .and_then(|caller| caller.parse().ok()),
        at: None,
        is_unbound: false,
        by: None,
    })
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Code::Usage, message)
}

fn text(explained: &Explained) -> String {
    let mut lines = Vec::new();
    for role in &explained.roles {
        let word = if role.granted { "yes" } else { "no " };
        lines.push(format!(
            "{word}  {}  {}",
            clean(&role.role),
            clean(&role.summary)
        ));
        for check in &role.checks {
            let mark = if check.passed { "ok  " } else { "FAIL" };
            lines.push(format!(
                "     {mark} {:<10} {}",
                check.name,
                clean(&check.detail)
            ));
        }
    }
    lines.join("\n")
}
