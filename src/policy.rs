//! What a proven identity may have. Pure.

pub mod command;
pub mod condition;
pub mod extension;
pub mod grant;
pub mod parameter;
pub mod pattern;
pub mod principal;
#[cfg(test)]
mod sample;
pub mod source;
pub mod template;

pub use extension::Extension;
pub use grant::{Grant, Restriction};

use crate::identity::Identity;
use ipnet::IpNet;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};
use time::OffsetDateTime;

/// What the caller wants.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    pub role: String,
    pub host: Option<String>,
    pub params: BTreeMap<String, String>,
    pub reason: Option<String>,
    /// Wished; only ever shortens.
    pub ttl: Option<Duration>,
    /// Wished; only ever narrows. Empty: the role's own.
    pub source: Vec<IpNet>,
    /// Wished; only ever narrows. Empty: the role's own.
    pub extensions: BTreeSet<Extension>,
}

/// Whose claims are judged. No proof of anything: an [`Identity`] lends one to be explained,
/// and so do a file of claims, a `[[test]]` block and a past event.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// The `iss` claim.
    pub issuer: &'a str,
    /// The `sub` claim.
    pub subject: &'a str,
    /// The claims that conditions and templates see.
    pub claims: &'a serde_json::Map<String, serde_json::Value>,
}

impl<'a> From<&'a Identity> for Person<'a> {
    fn from(identity: &'a Identity) -> Self {
        Self {
            issuer: identity.issuer(),
            subject: identity.subject(),
            claims: identity.claims(),
        }
    }
}

/// What the server knows of the moment of asking.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    pub now: OffsetDateTime,
    pub caller: Option<IpAddr>,
}

/// The answer to an ask.
#[derive(Clone, Debug)]
pub enum Decision {
    Granted(Grant),
    Denied(Denial),
}

/// A refusal: a stable code and a sentence that says what would help.
#[derive(Clone, Debug, PartialEq)]
pub struct Denial {
    pub reason: Reason,
    pub detail: String,
}

impl Denial {
    /// A refusal with a sentence that says what would help.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

/// Stable reasons of denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    UnknownRole,
    NotAllowed,
    Condition,
    Parameter,
    ReasonMissing,
    Host,
    Principal,
    Source,
    Ttl,
    Extension,
    /// Two restrictions demand different force-commands.
    Command,
}

impl Reason {
    /// The stable code of the wire and the ledger.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownRole => "ROLE_UNKNOWN",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::Condition => "CONDITION_ERROR",
            Self::Parameter => "PARAMETER",
            Self::ReasonMissing => "REASON_REQUIRED",
            Self::Host => "HOST",
            Self::Principal => "PRINCIPAL",
            Self::Source => "SOURCE",
            Self::Ttl => "TTL",
            Self::Extension => "EXTENSION",
            Self::Command => "COMMAND",
        }
    }
    /// The word used in `[[test]] expect = "denied: parameter"`.
    pub fn word(self) -> &'static str {
        match self {
            Self::UnknownRole => "role",
            Self::NotAllowed => "allow",
            Self::Condition => "condition",
            Self::Parameter => "parameter",
            Self::ReasonMissing => "reason",
            Self::Host => "host",
            Self::Principal => "principal",
            Self::Source => "source",
            Self::Ttl => "ttl",
            Self::Extension => "extension",
            Self::Command => "command",
        }
    }
}

/// One loaded policy file.
pub struct Policy;

impl Policy {
    /// Reads a policy. `origin` is the file's name, for errors (`origin:line: ...`).
    pub fn parse(_text: &str, _origin: &str) -> Result<Self, Error> {
        todo!()
    }
    /// Hex SHA-256 of the file's bytes.
    pub fn hash(&self) -> &str {
        todo!()
    }
    /// The one way from an identity and an ask to a grant.
    pub fn decide(&self, _identity: &Identity, _ask: &Ask, _context: Context) -> Decision {
        todo!()
    }
    /// Why each role does or does not answer, over unproven claims (a file, a past event): never a grant.
    /// An ask without a role explains every role.
    pub fn explain(
        &self,
        _person: Person<'_>,
        _ask: &Ask,
        _context: Context,
    ) -> Vec<explain::Explanation> {
        todo!()
    }
    /// The roles open to this identity (allow holds), optionally on one host, in file order.
    pub fn roles_for(&self, _identity: &Identity, _host: Option<&str>) -> Vec<&role::Role> {
        todo!()
    }
    /// `[audit] allow`: who may read the ledger; nobody where it is absent.
    pub fn may_audit(&self, _identity: &Identity) -> bool {
        todo!()
    }
    /// All host-name patterns of `[hosts]`.
    pub fn host_patterns(&self) -> Vec<&str> {
        todo!()
    }
    /// `policy check`: what loads but is doubtful.
    pub fn warnings(&self) -> Vec<String> {
        todo!()
    }
    /// `policy test`: runs the `[[test]]` blocks.
    pub fn run_tests(&self, _now: OffsetDateTime) -> Vec<explain::TestOutcome> {
        todo!()
    }
}

/// Why a policy does not load.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{origin}:{line}: {message}")]
    Invalid {
        origin: String,
        line: usize,
        message: String,
    },
}

pub mod role {
    //! placeholder; move to policy/role.rs
    /// A named entry of the policy.
    pub struct Role {
        pub name: String,
        pub about: String,
        pub hosts: Vec<String>,
        pub command: Vec<String>,
        pub ttl: std::time::Duration,
        pub pty: bool,
    }
    impl Role {
        /// (name, pattern, one_of)
        pub fn params(&self) -> Vec<(&str, Option<&str>, &[String])> {
            todo!()
        }
        pub fn reason_pattern(&self) -> Option<&str> {
            todo!()
        }
        /// Literal and expanded login names for these claims, without host groups.
        pub fn logins(&self, _claims: &serde_json::Map<String, serde_json::Value>) -> Vec<String> {
            todo!()
        }
    }
}
pub mod explain {
    //! placeholder; move to policy/explain.rs
    #[derive(Clone, Debug, serde::Serialize)]
    pub struct Check {
        pub name: String,
        pub passed: bool,
        pub detail: String,
    }
    #[derive(Clone, Debug, serde::Serialize)]
    pub struct Explanation {
        pub role: String,
        pub granted: bool,
        pub summary: String,
        pub checks: Vec<Check>,
    }
    #[derive(Clone, Debug)]
    pub struct TestOutcome {
        pub line: usize,
        pub describe: String,
        pub expected: String,
        pub got: String,
        pub passed: bool,
    }
}
