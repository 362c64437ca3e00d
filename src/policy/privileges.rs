//! Who may do what is not for everyone: read the ledger (`[audit]`), lock and revoke (`[admin]`). Pure.

use super::{
    Error,
    condition::{Condition, EvalContext},
    file::{self, Text},
};

/// The conditions of the two; nobody where one is absent.
#[derive(Default)]
pub(super) struct Privileges {
    pub(super) audit: Option<Condition>,
    pub(super) admin: Option<Condition>,
}

impl Privileges {
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
    pub(super) fn may_audit(&self, eval_context: &EvalContext<'_>) -> bool {
        let audit = self.audit.as_ref();
        audit.is_some_and(|allow| allow.evaluate(eval_context) == Ok(true))
    }

    /// For the patterns that they use.
    pub(super) fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.audit.iter().chain(&self.admin)
    }
}
