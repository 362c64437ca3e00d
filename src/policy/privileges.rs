//! Privileges: reading the ledger (`[audit]`), and locking and revoking (`[admin]`). Pure.

use std::collections::BTreeSet;

use toml::Spanned;

use super::{
    Error,
    condition::{Condition, EvalContext},
    file,
    text::Text,
};
use crate::ssh::key::{self, fingerprint};

/// Keys of administrators at most.
const MOST_KEYS: usize = 64;

/// The conditions of both privileges. A missing one permits no identity.
#[derive(Default)]
pub(super) struct Privileges {
    pub(super) audit: Option<Condition>,
    pub(super) admin: Option<Condition>,
    /// Fingerprints of the keys that accept a restored ledger.
    pub(super) admin_keys: BTreeSet<String>,
}

impl Privileges {
    pub(super) fn load(text: Text<'_>, file: &file::File) -> Result<Self, Error> {
        let compile = |allow: Option<&Spanned<String>>| {
            let compiled = allow.map(|it| text.parse(it, |cel| Condition::compile(cel)));
            compiled.transpose()
        };
        Ok(Self {
            audit: compile(file.audit.as_ref().map(|it| &it.allow))?,
            admin: compile(file.admin.as_ref().map(|it| &it.allow))?,
            admin_keys: admin_keys(text, file)?,
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

/// Reads `[admin] keys`.
fn admin_keys(text: Text<'_>, file: &file::File) -> Result<BTreeSet<String>, Error> {
    let mut keys = BTreeSet::new();
    for line in file.admin.iter().flat_map(|admin| &admin.keys) {
        let key = text.parse(line, |line| {
            key::parse(line.trim()).map_err(|error| {
                format!("invalid administrator's key: {error}; write one line of a .pub file")
            })
        })?;
        keys.insert(fingerprint(&key));
        if keys.len() > MOST_KEYS {
            return Err(text.error(
                line.span(),
                format!("`keys` has more than {MOST_KEYS} keys; name those that would accept a restored ledger"),
            ));
        }
    }
    Ok(keys)
}
