//! What of the past still decides: a state machine over the ledger's events, in their order. Pure.
//!
//! [`Standing::admit`] says whether an event may come next, [`Standing::apply`] takes one in. The store's writer admits each
//! event before it gives it an index; `ledger::verify` does the same over an export. So whatever the rules here forbid can
//! neither be recorded nor, by somebody with the database in hands, be slipped in unseen.
//!
//! Time is the events' own. Nothing here is stored: it follows from the ledger.

mod passes;

pub use passes::{MARGIN, Pass};

use super::{Event, What};

/// What stands after some number of events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    passes: passes::Passes,
}

impl Standing {
    /// Whether `event` may come next.
    ///
    /// # Errors
    /// The rule that is against it.
    pub fn admit(&self, event: &Event) -> Result<(), Objection> {
        match &event.what {
            What::Started { .. }
            | What::PolicyLoaded { .. }
            | What::Issued(_)
            | What::SigningFailed { .. }
            | What::Denied { .. }
            | What::KeyStaged { .. }
            | What::KeyActivated { .. }
            | What::KeyRetired { .. } => Ok(()),
        }
    }

    /// Takes in the next event of the ledger, and forgets what its time has ended.
    pub fn apply(&mut self, event: &Event) {
        self.passes.forget_before(event.at);
        match &event.what {
            What::Issued(issued) => self.passes.add(Pass::of(event, issued)),
            What::SigningFailed { serial, .. } => self.passes.remove(*serial),
            What::Started { .. }
            | What::PolicyLoaded { .. }
            | What::Denied { .. }
            | What::KeyStaged { .. }
            | What::KeyActivated { .. }
            | What::KeyRetired { .. } => (),
        }
    }

    /// The passes that may still be good somewhere, by serial: those that ended less than [`MARGIN`] ago too.
    pub fn passes(&self) -> impl Iterator<Item = &Pass> {
        self.passes.iter()
    }
}

/// Why an event may not come next: the rule, and a sentence for whoever wanted it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Objection {
    /// The rule that is against it.
    pub rule: Rule,
    /// One line for the caller.
    pub detail: String,
}

impl Objection {
    /// An objection with a sentence that says what would help.
    pub fn new(rule: Rule, detail: impl Into<String>) -> Self {
        Self {
            rule,
            detail: detail.into(),
        }
    }
}

/// Stable rules of objection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The identity, key or role is locked.
    Locked,
}

impl Rule {
    /// The stable code of the wire and the ledger.
    pub fn code(self) -> &'static str {
        match self {
            Self::Locked => "LOCKED",
        }
    }
}

#[cfg(test)]
mod tests;
