//! Why an ask is refused: stable codes for programs, sentences for people.

use std::collections::BTreeMap;

use crate::reason;

/// A refusal: a stable code and a sentence that says what would help.
#[derive(Clone, Debug, PartialEq)]
pub struct Denial {
    /// The check that failed.
    pub reason: Reason,
    /// One line for the caller.
    pub detail: String,
    /// What a program needs to meet it (`max_age`, `opens`, ...), by stable names; never a secret.
    pub eval_context: BTreeMap<&'static str, String>,
}

impl Denial {
    /// A refusal with a sentence that says what would help.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            eval_context: BTreeMap::new(),
        }
    }

    /// The same refusal with a fact for programs.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.eval_context.insert(name, value.into());
        self
    }
}

/// Stable reasons of denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is no such role.
    UnknownRole,
    /// The role's condition is false.
    NotAllowed,
    /// The role's condition has no answer.
    Condition,
    /// A parameter is missing, unknown or outside its rule.
    Parameter,
    /// The reason is missing or not of the demanded form.
    ReasonMissing,
    /// The role does not cover the host.
    Host,
    /// No principal, or one outside the grammar or the limits.
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
    /// The identity may not decide the request, or too few have.
    Approval,
    /// A registered key asks for something else than an emergency.
    EmergencyOnly,
    /// Too few registered people signed.
    Quorum,
    /// The token is bound to no key, and a decision or an administrator's call needs one that is.
    Unbound,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 17] = [
        Self::UnknownRole,
        Self::NotAllowed,
        Self::Condition,
        Self::Parameter,
        Self::ReasonMissing,
        Self::Host,
        Self::Principal,
        Self::Source,
        Self::Ttl,
        Self::Extension,
        Self::Command,
        Self::Hours,
        Self::StepUp,
        Self::Approval,
        Self::EmergencyOnly,
        Self::Quorum,
        Self::Unbound,
    ];

    /// The stable code of the wire and the ledger.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownRole => reason::ROLE_UNKNOWN,
            Self::NotAllowed => reason::NOT_ALLOWED,
            Self::Condition => reason::CONDITION_ERROR,
            Self::Parameter => reason::PARAMETER,
            Self::ReasonMissing => reason::REASON_REQUIRED,
            Self::Host => reason::HOST,
            Self::Principal => reason::PRINCIPAL,
            Self::Source => reason::SOURCE,
            Self::Ttl => reason::TTL,
            Self::Extension => reason::EXTENSION,
            Self::Command => reason::COMMAND,
            Self::Hours => reason::HOURS,
            Self::StepUp => reason::STEP_UP_REQUIRED,
            Self::Approval => reason::APPROVAL,
            Self::EmergencyOnly => reason::EMERGENCY_ONLY,
            Self::Quorum => reason::QUORUM,
            Self::Unbound => reason::UNBOUND_TOKEN,
        }
    }

    /// The word used in `[[test]] expect = "denied: parameter"`.
    pub fn as_str(self) -> &'static str {
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
            Self::Hours => "hours",
            Self::StepUp => "require",
            Self::Approval => "approval",
            Self::EmergencyOnly => "emergency",
            Self::Quorum => "keys",
            Self::Unbound => "bound",
        }
    }
}
