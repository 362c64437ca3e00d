//! Privileges: reading the ledger (`[audit]`), and locking and revoking (`[admin]`). Pure.

use super::{
    Error,
    condition::{Condition, EvalContext},
    file,
    text::Text,
};

/// The conditions of both privileges. A missing one permits no identity.
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

    /// Whether `[audit] allow` holds.
    pub(super) fn may_audit(&self, eval_context: &EvalContext<'_>) -> bool {
        let audit = self.audit.as_ref();
        audit.is_some_and(|allow| allow.evaluate(eval_context) == Ok(true))
    }

    /// The conditions, for their patterns.
    pub(super) fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.audit.iter().chain(&self.admin)
    }
}
