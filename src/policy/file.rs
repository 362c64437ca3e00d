//! The policy file as written: TOML into raw values with their positions. Decides nothing.
//!
//! Unknown keys are refused.

use std::{collections::BTreeMap, ops::Range};

use serde::Deserialize;
use toml::Spanned;

use super::{Error, paging::timing::PageTiming};

/// Largest policy file, in bytes.
const MAX_FILE: usize = 1024 * 1024;

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) hosts: BTreeMap<Spanned<String>, Vec<Spanned<String>>>,
    pub(super) audit: Option<Allow>,
    pub(super) admin: Option<Allow>,
    #[serde(default, rename = "role")]
    pub(super) roles: Vec<Role>,
    #[serde(default, rename = "emergency_identity")]
    pub(super) emergency_identities: Vec<EmergencyIdentity>,
    #[serde(default, rename = "test")]
    pub(super) tests: Vec<Spanned<Test>>,
    #[serde(default, rename = "bastion")]
    pub(super) bastions: Vec<Bastion>,
}

/// `[limits]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) ttl: Option<Spanned<String>>,
    pub(super) principals: Option<Vec<Spanned<String>>>,
    pub(super) extensions: Option<Vec<Spanned<String>>>,
    pub(super) source: Option<Vec<Spanned<String>>>,
}

/// `[audit]` and `[admin]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Allow {
    pub(super) allow: Spanned<String>,
}

/// One `[[role]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Role {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    pub(super) about: Option<Spanned<String>>,
    pub(super) allow: Spanned<String>,
    #[serde(default)]
    pub(super) hosts: Vec<Spanned<String>>,
    pub(super) principals: Spanned<Vec<Spanned<String>>>,
    pub(super) command: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    pub(super) params: BTreeMap<Spanned<String>, Spanned<Parameter>>,
    pub(super) source: Option<Spanned<Source>>,
    #[serde(default)]
    pub(super) extensions: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) verify_required: bool,
    #[serde(default)]
    pub(super) pty: bool,
    pub(super) ttl: Option<Spanned<String>>,
    pub(super) reason: Option<Spanned<String>>,
    pub(super) approval: Option<Approval>,
    pub(super) emergency: Option<Emergency>,
    pub(super) hours: Option<Spanned<Hours>>,
    pub(super) require: Option<Spanned<Require>>,
}

/// `hours = { days = "mon-fri", from = "08:00", to = "18:00", zone = "Europe/Berlin" }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hours {
    pub(super) days: Option<Days>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) zone: String,
}

/// `days = "mon-fri"` or a list.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected days such as \"mon-fri\", or a list of them"
)]
pub(super) enum Days {
    /// One text with commas.
    Text(String),
    /// A list.
    List(Vec<String>),
}

/// `require = { auth_age = "15m", amr = ["hwk"], acr = ["phr"], bound = true }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Require {
    pub(super) auth_age: Option<String>,
    pub(super) amr: Option<Vec<String>>,
    pub(super) acr: Option<Vec<String>>,
    pub(super) bound: Option<bool>,
}

/// `approval = { count, by, within }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Approval {
    pub(super) count: Spanned<i64>,
    pub(super) by: Spanned<String>,
    pub(super) within: Spanned<String>,
}

/// `emergency = { allow, ttl, review, keys, page }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Emergency {
    pub(super) allow: Spanned<String>,
    pub(super) ttl: Spanned<String>,
    pub(super) review: Spanned<String>,
    pub(super) keys: Option<Spanned<i64>>,
    #[serde(default)]
    pub(super) page: PageTiming,
}

/// One `[[emergency_identity]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EmergencyIdentity {
    pub(super) issuer: Spanned<String>,
    pub(super) subject: Spanned<String>,
    pub(super) label: Spanned<String>,
    #[serde(default)]
    pub(super) claims: serde_json::Map<String, serde_json::Value>,
    pub(super) keys: Spanned<Vec<Spanned<String>>>,
}

/// `source = "caller"`, `"bastion"` or a list of networks.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"caller\", \"bastion\" or a list of networks"
)]
pub(super) enum Source {
    /// `"caller"` or `"bastion"`.
    Word(String),
    /// A list of networks.
    Networks(Vec<String>),
}

/// `params.NAME`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameter {
    pub(super) pattern: Option<String>,
    pub(super) one_of: Option<Vec<String>>,
    #[serde(default)]
    pub(super) option: bool,
}

/// One `[[test]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Test {
    pub(super) name: Option<String>,
    #[serde(rename = "as", default)]
    pub(super) person: TestPerson,
    /// Time of the ask (RFC 3339); absent for the time of the test run.
    pub(super) at: Option<Spanned<String>>,
    pub(super) ask: Ask,
    pub(super) expect: Spanned<String>,
    pub(super) principals: Option<Vec<String>>,
    pub(super) command: Option<String>,
    pub(super) bastion: Option<Spanned<String>>,
}

/// `as = { claims = { ... } }`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestPerson {
    #[serde(default)]
    pub(super) claims: serde_json::Map<String, serde_json::Value>,
    pub(super) issuer: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) address: Option<Spanned<String>>,
    /// Time between sign-in and ask.
    pub(super) auth_age: Option<Spanned<String>>,
    pub(super) amr: Option<Vec<String>>,
    pub(super) acr: Option<String>,
    /// Whether the token is bound to the person's key; `true` if absent.
    pub(super) bound: Option<bool>,
}

/// `ask = { role = "...", ... }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    pub(super) role: String,
    pub(super) host: Option<String>,
    #[serde(default)]
    pub(super) params: BTreeMap<String, String>,
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) emergency: bool,
    pub(super) ttl: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) source: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) extensions: Vec<Spanned<String>>,
}

/// One `[[bastion]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bastion {
    pub(super) name: Spanned<String>,
    pub(super) host: Spanned<String>,
    pub(super) port: Option<Spanned<i64>>,
    pub(super) login: Spanned<String>,
    pub(super) group: Option<Spanned<String>>,
    pub(super) addresses: Spanned<Vec<Spanned<String>>>,
    pub(super) hosts: Spanned<Vec<Spanned<String>>>,
    pub(super) source: Option<Spanned<Source>>,
}

/// The file's text, for errors with a line.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    text: &'a str,
    origin: &'a str,
}

impl<'a> Text<'a> {
    pub(super) fn new(text: &'a str, origin: &'a str) -> Self {
        Self { text, origin }
    }

    /// Reads the file.
    pub(super) fn read(self) -> Result<File, Error> {
        if self.text.len() > MAX_FILE {
            return Err(self.error(
                0..0,
                format!("the file is larger than {MAX_FILE} bytes; split it up"),
            ));
        }
        let document = toml::Deserializer::parse(self.text).map_err(|error| {
            self.error(error.span().unwrap_or_default(), one_line(error.message()))
        })?;
        let file: File = serde_path_to_error::deserialize(document).map_err(|error| {
            let path = error.path().to_string();
            let inner = error.into_inner();
            let message = one_line(inner.message());
            let span = inner.span().unwrap_or_default();
            self.error(
                span,
                if path == "." {
                    message
                } else {
                    format!("{path}: {message}")
                },
            )
        })?;
        Ok(file)
    }

    /// An error about the value at `span`.
    pub(super) fn error(self, span: Range<usize>, message: impl Into<String>) -> Error {
        Error::Invalid {
            origin: self.origin.to_owned(),
            line: self.line(&span),
            message: message.into(),
        }
    }

    /// The line of a span, counted from 1.
    pub(super) fn line(self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().iter().take(span.start);
        before.filter(|byte| **byte == b'\n').count() + 1
    }

    /// Parses a value. Errors get the value's line.
    pub(super) fn parse<T, R>(
        self,
        value: &Spanned<T>,
        read: impl FnOnce(&T) -> Result<R, String>,
    ) -> Result<R, Error> {
        read(value.get_ref()).map_err(|message| self.error(value.span(), message))
    }

    /// [`Text::parse`] for each value of a list.
    pub(super) fn parse_all<T, R, C: FromIterator<R>>(
        self,
        values: &[Spanned<T>],
        read: impl Fn(&T) -> Result<R, String>,
    ) -> Result<C, Error> {
        values
            .iter()
            .map(|value| self.parse(value, &read))
            .collect()
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
