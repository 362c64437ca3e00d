//! `[[presence_identity]]`: passkeys and security keys of approvers, for roles with
//! `approval.presence`. Pure.
//!
//! A key is registered by the administrators who write the policy, never by a session alone: a
//! thief of a session cannot register a key. The policy's text is in the ledger, so the keys of
//! each decision's time are too.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{Error, file, registered, text::Text};
use crate::ssh::{
    key::fingerprint,
    presence::{self, Kind},
};

/// Most keys of one person.
const MOST: usize = 8;

/// Beginning of the comment of a passkey's line: its credential id follows, by which the browser
/// finds the passkey.
const CREDENTIAL: &str = "passkey:";

/// Bytes of a credential id (WebAuthn, section 4).
const CREDENTIAL_BYTES: std::ops::RangeInclusive<usize> = 16..=1023;

/// The registered keys, by person.
#[derive(Debug, Default)]
pub(super) struct PresenceKeys(BTreeMap<(String, String), Vec<PresenceKey>>);

/// A registered key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PresenceKey {
    /// Fingerprint, `SHA256:...`.
    pub(crate) fingerprint: String,
    /// The line as the policy has it.
    pub(crate) line: String,
}

impl PresenceKeys {
    /// Loads the `[[presence_identity]]` tables.
    ///
    /// # Errors
    /// Returns the line of a person or key that is there twice, of a key that shows no presence,
    /// and of a role that wants presence if no key is registered.
    pub(super) fn load(text: Text<'_>, file: &file::File) -> Result<Self, Error> {
        let (mut people, mut known) = (BTreeMap::new(), BTreeSet::new());
        for raw in &file.presence_identities {
            let person = registered::named(text, &raw.issuer, &raw.subject)?;
            let lines = raw.keys.get_ref();
            if !(1..=MOST).contains(&lines.len()) {
                let many = format!("write 1 to {MOST} `keys` of a person");
                return Err(text.error(raw.keys.span(), many));
            }
            let mut keys = Vec::with_capacity(lines.len());
            for line in lines {
                let key = text.parse(line, |line| key(line))?;
                if !known.insert(key.fingerprint.clone()) {
                    let twice =
                        "this key is already registered; register each key once, for one person";
                    return Err(text.error(line.span(), twice));
                }
                keys.push(key);
            }
            if people.insert(person, keys).is_some() {
                let twice = "this person has a table already; write all keys of a person into one";
                return Err(text.error(raw.subject.span(), twice));
            }
        }
        let approvals = file.roles.iter().filter_map(|role| role.approval.as_ref());
        let mut wanting = approvals
            .filter_map(|approval| approval.presence.as_ref())
            .filter(|presence| *presence.get_ref());
        if let (true, Some(presence)) = (people.is_empty(), wanting.next()) {
            return Err(text.error(
                presence.span(),
                "no key is registered, so no one could approve; add a [[presence_identity]]",
            ));
        }
        Ok(Self(people))
    }
}

/// Reads a line of `keys`.
fn key(line: &str) -> Result<PresenceKey, String> {
    let line = line.trim();
    let (key, kind, comment) = presence::parse(line).ok_or(
        "not a key that shows presence; write the .pub line of a security key (ssh-keygen -t \
         ed25519-sk), or the line that the page prints at /web/passkey",
    )?;
    if kind == Kind::Passkey && !has_credential(comment) {
        return Err(format!(
            "the line of a passkey goes on with {CREDENTIAL} and its id; write it whole, as the page \
             prints it at /web/passkey"
        ));
    }
    Ok(PresenceKey {
        fingerprint: fingerprint(&key),
        line: line.to_owned(),
    })
}

/// Whether the comment of a passkey's line begins with a credential id in base64url.
fn has_credential(comment: &str) -> bool {
    let id = comment.strip_prefix(CREDENTIAL);
    let id = id.and_then(|id| id.split(' ').next());
    let bytes = id.and_then(|id| URL_SAFE_NO_PAD.decode(id).ok());
    bytes.is_some_and(|bytes| CREDENTIAL_BYTES.contains(&bytes.len()))
}

impl PresenceKeys {
    /// The keys of a person.
    pub(super) fn of(&self, issuer: &str, subject: &str) -> &[PresenceKey] {
        let person = (issuer.to_owned(), subject.to_owned());
        self.0.get(&person).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests;
