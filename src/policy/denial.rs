//! Denials: stable codes for programs, sentences for people.

use std::collections::BTreeMap;

use crate::reason;

/// A denial: a stable code, and a sentence that says what would help.
#[derive(Clone, Debug, PartialEq)]
pub struct Denial {
    /// The check that failed.
    pub reason: Reason,
    /// One line for the caller.
    pub detail: String,
    /// Facts for programs (`max_age`, `opens`, ...), by stable names. Never a secret.
    pub metadata: BTreeMap<&'static str, String>,
}

impl Denial {
    /// Creates a denial. The sentence says what would help.
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            metadata: BTreeMap::new(),
        }
    }

    /// Adds a fact for programs.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.metadata.insert(name, value.into());
        self
    }
}

/// Stable reasons of denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The role does not exist.
    UnknownRole,
    /// The role's condition is false.
    NotAllowed,
    /// The role's condition has no result.
    Condition,
    /// A parameter is missing, unknown or outside its rule.
    Parameter,
    /// The reason is missing or does not match the role's pattern.
    Unexplained,
    /// The role does not cover the host.
    Host,
    /// There is no principal, or one is outside the grammar or the limits.
    Principal,
    /// No address is left, or one is malformed.
    Source,
    /// No time is left.
    Ttl,
    /// The role does not give an extension that was asked for.
    Extension,
    /// Two restrictions demand different force-commands.
    Command,
    /// The role is closed now.
    Hours,
    /// The sign-in is too old, or too weak.
    StepUp,
    /// The identity may not decide the request, or the request has too few approvals.
    Approval,
    /// The approval lacks the signature of a passkey or security key that the role demands.
    Presence,
    /// A registered key asks without an emergency.
    EmergencyOnly,
    /// Too few registered people signed.
    Quorum,
    /// The token is bound to no key, and a decision or an administrator's call needs one that is
    /// bound.
    Unbound,
    /// The role gives no pass on behalf of its user to this identity, or not for such an ask.
    OnBehalf,
}

impl Reason {
    /// Every reason.
    pub(crate) const ALL: [Self; 19] = [
        Self::UnknownRole,
        Self::NotAllowed,
        Self::Condition,
        Self::Parameter,
        Self::Unexplained,
        Self::Host,
        Self::Principal,
        Self::Source,
        Self::Ttl,
        Self::Extension,
        Self::Command,
        Self::Hours,
        Self::StepUp,
        Self::Approval,
        Self::Presence,
        Self::EmergencyOnly,
        Self::Quorum,
        Self::Unbound,
        Self::OnBehalf,
    ];

    /// The stable code in the API and the ledger.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::UnknownRole => reason::ROLE_UNKNOWN,
            Self::NotAllowed => reason::NOT_ALLOWED,
            Self::Condition => reason::CONDITION_ERROR,
            Self::Parameter => reason::PARAMETER,
            Self::Unexplained => reason::REASON_REQUIRED,
            Self::Host => reason::HOST,
            Self::Principal => reason::PRINCIPAL,
            Self::Source => reason::SOURCE,
            Self::Ttl => reason::TTL,
            Self::Extension => reason::EXTENSION,
            Self::Command => reason::COMMAND,
            Self::Hours => reason::HOURS,
            Self::StepUp => reason::STEP_UP_REQUIRED,
            Self::Approval => reason::APPROVAL,
            Self::Presence => reason::PRESENCE_REQUIRED,
            Self::EmergencyOnly => reason::EMERGENCY_ONLY,
            Self::Quorum => reason::QUORUM,
            Self::Unbound => reason::UNBOUND_TOKEN,
            Self::OnBehalf => reason::ON_BEHALF,
        }
    }

    /// The name in `[[test]] expect = "denied: parameter"`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::UnknownRole => "role",
            Self::NotAllowed => "allow",
            Self::Condition => "condition",
            Self::Parameter => "parameter",
            Self::Unexplained => "reason",
            Self::Host => "host",
            Self::Principal => "principal",
            Self::Source => "source",
            Self::Ttl => "ttl",
            Self::Extension => "extension",
            Self::Command => "command",
            Self::Hours => "hours",
            Self::StepUp => "require",
            Self::Approval => "approval",
            Self::Presence => "presence",
            Self::EmergencyOnly => "emergency",
            Self::Quorum => "keys",
            Self::Unbound => "bound",
            Self::OnBehalf => "on_behalf",
        }
    }
}
