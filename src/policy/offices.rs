//! Who may do what is not for everyone: read the ledger (`[audit]`), lock and revoke (`[admin]`). Pure.

use super::{
    Ask, Error, Policy,
    condition::{Condition, Facts},
    file::{self, Text},
};
use crate::identity::Identity;

/// The conditions of the two; nobody where one is absent.
#[derive(Default)]
pub(super) struct Offices {
    audit: Option<Condition>,
    admin: Option<Condition>,
}

impl Offices {
    pub(super) fn load(text: Text<'_>, file: &file::File) -> Result<Self, Error> {
        let compile = |allow: &Option<file::Allow>| {
            let compiled = allow
                .as_ref()
                .map(|it| text.parse(&it.allow, |cel| Condition::compile(cel)));
            compiled.transpose()
        };
        Ok(Self {
            audit: compile(&file.audit)?,
            admin: compile(&file.admin)?,
        })
    }

    /// Whether `[audit] allow` holds for these facts.
    pub(super) fn may_audit(&self, facts: &Facts<'_>) -> bool {
        let audit = self.audit.as_ref();
        audit.is_some_and(|allow| allow.evaluate(facts) == Ok(true))
    }

    /// For the patterns that they use.
    pub(super) fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.audit.iter().chain(&self.admin)
    }
}

impl Policy {
    /// `[audit] allow`: who may read the ledger; nobody where it is absent.
    pub fn may_audit(&self, identity: &Identity) -> bool {
        self.has_office(self.offices.audit.as_ref(), identity)
    }

    /// `[admin] allow`: who may lock, unlock and revoke; nobody where it is absent.
    pub fn may_administer(&self, identity: &Identity) -> bool {
        self.has_office(self.offices.admin.as_ref(), identity)
    }

    fn has_office(&self, office: Option<&Condition>, identity: &Identity) -> bool {
        let ask = Ask::default();
        let facts = Facts::new(identity.into(), &ask, &self.patterns);
        match (office, facts) {
            (Some(allow), Ok(facts)) => allow.evaluate(&facts) == Ok(true),
            (None, _) | (_, Err(_)) => false,
        }
    }
}
