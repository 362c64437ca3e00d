//! One `[[test]]` block.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use toml::Spanned;

use crate::policy::{
    Ask, AuthMethod, Denial, Error, Grant, Person, Reason, bastion::Bastions, file, limits,
    role::Role, source, text::Text,
};

/// The default address of tests (RFC 5737, TEST-NET-1).
const CALLER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// One `[[test]]`, loaded.
pub(in crate::policy) struct Test {
    pub(super) line: usize,
    pub(super) name: Option<String>,
    pub(super) person: TestPerson,
    /// The identity that asks on behalf of the person.
    pub(super) by: Option<TestPerson>,
    pub(super) caller: IpAddr,
    pub(super) at: Option<OffsetDateTime>,
    pub(super) ask: Ask,
    expected: Expected,
    pub(super) principals: Option<BTreeSet<String>>,
    pub(super) command: Option<String>,
    pub(super) bastion: Option<String>,
}

/// An identity of a test.
pub(super) struct TestPerson {
    issuer: String,
    subject: String,
    claims: Map<String, Value>,
    auth_age: Option<Duration>,
    auth_method: AuthMethod,
}

impl TestPerson {
    fn load(text: Text<'_>, raw: file::TestPerson) -> Result<Self, Error> {
        let issuer = raw.issuer;
        Ok(Self {
            issuer: issuer.unwrap_or_else(|| "https://issuer.example".to_owned()),
            subject: raw.subject.unwrap_or_else(|| "test".to_owned()),
            claims: claims(raw.claims, raw.amr, raw.acr),
            auth_age: match &raw.auth_age {
                None => None,
                Some(age) => Some(text.parse(age, |age| duration(age))?),
            },
            auth_method: match raw.bound {
                Some(true) | None => AuthMethod::Token,
                Some(false) => AuthMethod::UnboundToken,
            },
        })
    }

    /// The claims of a token of `now`.
    pub(super) fn claims(&self, now: OffsetDateTime) -> Map<String, Value> {
        let mut claims = self.claims.clone();
        if let Some(age) = self.auth_age {
            claims.insert("auth_time".to_owned(), json!((now - age).unix_timestamp()));
        }
        claims
    }

    /// The person, with these claims.
    pub(super) fn with<'a>(&'a self, claims: &'a Map<String, Value>) -> Person<'a> {
        Person {
            issuer: &self.issuer,
            subject: &self.subject,
            claims,
            auth_method: self.auth_method,
        }
    }
}

/// The expected decision.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    Granted,
    Denied(Option<Reason>),
}

impl Test {
    /// The line of a test for `role` without a time.
    pub(in crate::policy) fn undated(&self, role: &str) -> Option<usize> {
        (self.ask.role == role && self.at.is_none()).then_some(self.line)
    }

    pub(super) fn passes(&self, decision: &Result<Grant, Denial>) -> bool {
        match (self.expected, decision) {
            (Expected::Granted, Ok(grant)) => {
                self.principals
                    .as_ref()
                    .is_none_or(|expected| expected == grant.principals())
                    && self
                        .command
                        .as_ref()
                        .is_none_or(|expected| Some(expected.as_str()) == grant.command())
                    && self
                        .bastion
                        .as_ref()
                        .is_none_or(|expected| Some(expected.as_str()) == through(grant))
            }
            (Expected::Denied(reason), Err(denial)) => {
                reason.is_none_or(|reason| reason == denial.reason)
            }
            (Expected::Granted, Err(_)) | (Expected::Denied(_), Ok(_)) => false,
        }
    }

    pub(super) fn describe(&self) -> String {
        self.name.clone().unwrap_or_else(|| {
            let params = self
                .ask
                .params
                .iter()
                .map(|(name, value)| format!(" {name}={value:?}"));
            format!("{}{}", self.ask.role, params.collect::<String>())
        })
    }

    pub(super) fn expected(&self) -> String {
        match self.expected {
            Expected::Granted => {
                let principals = self.principals.as_ref();
                details(principals, self.command.as_deref(), self.bastion.as_deref())
            }
            Expected::Denied(None) => "denied".to_owned(),
            Expected::Denied(Some(reason)) => format!("denied: {}", reason.as_str()),
        }
    }
}

pub(super) fn got(decision: &Result<Grant, Denial>, test: &Test) -> String {
    match decision {
        Ok(grant) => details(
            test.principals.as_ref().map(|_| grant.principals()),
            test.command.as_ref().and(grant.command()),
            test.bastion.as_ref().and(through(grant)),
        ),
        Err(denial) => format!("denied: {}: {}", denial.reason.as_str(), denial.detail),
    }
}

fn through(grant: &Grant) -> Option<&str> {
    grant
        .jump_host()
        .map(|jump_host| jump_host.bastion.as_str())
}

fn details(
    principals: Option<&BTreeSet<String>>,
    command: Option<&str>,
    bastion: Option<&str>,
) -> String {
    let mut text = "granted".to_owned();
    if let Some(principals) = principals {
        let principals: Vec<_> = principals.iter().map(String::as_str).collect();
        text.push_str(&format!(", principals {}", principals.join(" ")));
    }
    if let Some(command) = command {
        text.push_str(&format!(", command {command}"));
    }
    if let Some(bastion) = bastion {
        text.push_str(&format!(", through bastion {bastion}"));
    }
    text
}

/// Parses the `[[test]]` blocks. `roles` and `bastions` are those of the file.
pub(in crate::policy) fn load(
    text: Text<'_>,
    tests: Vec<Spanned<file::Test>>,
    roles: &[Role],
    bastions: &Bastions,
) -> Result<Vec<Test>, Error> {
    tests
        .into_iter()
        .map(|test| load_one(text, test, roles, bastions))
        .collect()
}

fn load_one(
    text: Text<'_>,
    spanned: Spanned<file::Test>,
    roles: &[Role],
    bastions: &Bastions,
) -> Result<Test, Error> {
    let span = spanned.span();
    let raw = spanned.into_inner();
    let expected = text.parse(&raw.expect, |expect| expectation(expect))?;
    let is_known = roles.iter().any(|role| role.name == raw.ask.role);
    if !is_known && expected != Expected::Denied(Some(Reason::UnknownRole)) {
        return Err(text.error(
            span,
            format!(
                "the test asks for role {:?}, which is not in this file; name one that is",
                raw.ask.role
            ),
        ));
    }
    let by = raw.by.as_ref();
    let address = by.map_or(&raw.person, |by| by).address.as_ref();
    let caller = match address {
        None => CALLER,
        Some(address) => text.parse(address, |address| {
            address.parse().map_err(|_| {
                format!("{address:?} is not an address; write one such as \"192.0.2.1\"")
            })
        })?,
    };
    Ok(Test {
        line: text.line(&span),
        name: raw.name,
        person: TestPerson::load(text, raw.person)?,
        by: raw.by.map(|by| TestPerson::load(text, by)).transpose()?,
        caller,
        at: match &raw.at {
            None => None,
            Some(at) => Some(text.parse(at, |at| moment(at))?),
        },
        ask: ask(text, raw.ask)?,
        expected,
        principals: raw.principals.map(BTreeSet::from_iter),
        command: raw.command,
        bastion: match &raw.bastion {
            None => None,
            Some(bastion) => Some(text.parse(bastion, |name| known(name, bastions))?),
        },
    })
}

fn known(name: &str, bastions: &Bastions) -> Result<String, String> {
    match bastions.has(name) {
        true => Ok(name.to_owned()),
        false => Err(format!(
            "the test goes through bastion {name:?}, which is not in this file; name one that is"
        )),
    }
}

fn ask(text: Text<'_>, raw: file::Ask) -> Result<Ask, Error> {
    Ok(Ask {
        ttl: match &raw.ttl {
            None => None,
            Some(ttl) => Some(text.parse(ttl, |ttl| duration(ttl))?),
        },
        source: text.parse_all(&raw.source, |network| source::parse(network))?,
        extensions: text.parse_all(&raw.extensions, |word| limits::extension(word))?,
        role: raw.role,
        host: raw.host,
        params: raw.params,
        reason: raw.reason,
        request: None,
        emergency: raw.emergency,
    })
}

/// The claims, with `amr` and `acr` added.
fn claims(
    mut claims: Map<String, Value>,
    amr: Option<Vec<String>>,
    acr: Option<String>,
) -> Map<String, Value> {
    claims.extend(amr.map(|amr| ("amr".to_owned(), json!(amr))));
    claims.extend(acr.map(|acr| ("acr".to_owned(), json!(acr))));
    claims
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| format!("{text:?} is not a time; write one such as \"2026-01-05T09:00:00Z\""))
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| format!("{text:?} is not a duration; write one such as \"30m\""))
}

fn expectation(text: &str) -> Result<Expected, String> {
    let denied = |word: &str| {
        let mut reasons = Reason::ALL.into_iter();
        reasons.find(|reason| reason.as_str() == word.trim())
    };
    match text.split_once(':') {
        None if text == "granted" => Ok(Expected::Granted),
        None if text == "denied" => Ok(Expected::Denied(None)),
        Some(("denied", word)) if denied(word).is_some() => Ok(Expected::Denied(denied(word))),
        _ => Err(format!(
            "{text:?} is not an expectation; write \"granted\", \"denied\" or \"denied: WORD\" with one of {}",
            Reason::ALL.map(Reason::as_str).join(", ")
        )),
    }
}
