//! The document by which clients and hosts learn administrators' keys, and whether and by whose
//! statement a restored ledger goes on. JSON; hosts get it signed by the CA. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{acceptance::Acceptance, administrators, restore::Copy};

/// Names what this file is.
const FORMAT: &str = "daypass recovery v1";

/// Bytes of a document at most.
pub(crate) const LONGEST: usize = 256 * 1024;

/// Bytes of a fingerprint (`SHA256:` and 43 characters of base64).
const FINGERPRINT: usize = 50;

/// The content of the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recovery {
    format: String,
    /// The server's name.
    pub server: String,
    /// Grows with the ledger: an older document is not believed.
    pub version: u64,
    /// Fingerprints of the administrators' keys.
    pub administrators: BTreeSet<String>,
    /// The copy that was restored last; none if nothing was restored.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub restored: Option<Restored>,
    /// The event by which an administrator accepted a restored copy last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub accepted: Option<Accepted>,
}

/// A restored copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Restored {
    /// The number of its events, with that of its first start.
    pub size: u64,
    /// Its root, in hex.
    pub root: String,
    /// Whether no administrator has accepted it yet.
    pub is_pending: bool,
}

/// An event as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Accepted {
    /// Its index.
    pub index: u64,
    /// Its stored bytes.
    pub leaf: String,
}

/// Reason why bytes are not such a document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidRecovery {
    #[error("it is not a document about administrators' keys ({0})")]
    Json(#[from] serde_json::Error),
    #[error("it is of another form than {FORMAT}: update daypass")]
    Format,
    #[error("it has more than {LONGEST} bytes")]
    TooLong,
    #[error("it has more than {} administrators' keys", administrators::MOST)]
    TooMany,
    #[error("it has an invalid fingerprint")]
    Fingerprint,
    #[error("it has an invalid server name")]
    Server,
    #[error("it has an invalid root")]
    Root,
}

impl Recovery {
    /// A document about a ledger of which nothing was restored.
    pub(crate) fn new(server: String, version: u64, administrators: BTreeSet<String>) -> Self {
        Self {
            format: FORMAT.to_owned(),
            server,
            version,
            administrators,
            restored: None,
            accepted: None,
        }
    }

    /// Parses a document.
    ///
    /// # Errors
    /// Returns the fault.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, InvalidRecovery> {
        if bytes.len() > LONGEST {
            return Err(InvalidRecovery::TooLong);
        }
        let recovery: Self = serde_json::from_slice(bytes)?;
        if recovery.format != FORMAT {
            return Err(InvalidRecovery::Format);
        }
        let is_name = |name: &str| (1..=255).contains(&name.len()) && name.is_ascii();
        if !is_name(&recovery.server) || recovery.server.chars().any(char::is_control) {
            return Err(InvalidRecovery::Server);
        }
        if recovery.administrators.len() > administrators::MOST {
            return Err(InvalidRecovery::TooMany);
        }
        if !recovery
            .administrators
            .iter()
            .all(|key| is_fingerprint(key))
        {
            return Err(InvalidRecovery::Fingerprint);
        }
        match recovery
            .restored
            .as_ref()
            .is_none_or(|it| it.copy().is_some())
        {
            true => Ok(recovery),
            false => Err(InvalidRecovery::Root),
        }
    }

    /// Encodes the document.
    ///
    /// # Errors
    /// Returns the error if it cannot be encoded, which it always can.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// The statement by which the restored copy goes on; `None` if there is none about this copy
    /// yet.
    ///
    /// # Errors
    /// Returns the fault of a statement that is invalid, or about another copy.
    pub(crate) fn acceptance(&self) -> Result<Option<Acceptance>, String> {
        let Some(restored) = self.restored.as_ref().filter(|it| !it.is_pending) else {
            return Ok(None);
        };
        let Some(Accepted { index, leaf }) = &self.accepted else {
            return Ok(None);
        };
        let acceptance = Acceptance::verify(*index, leaf.as_bytes(), &self.server)?;
        match restored.copy() == Some(acceptance.copy) {
            true => Ok(Some(acceptance)),
            false => Err("it is about another restored copy".to_owned()),
        }
    }
}

impl Restored {
    /// The copy; `None` if its root is invalid or it is empty.
    pub(crate) fn copy(&self) -> Option<Copy> {
        Copy::of(self.size, &self.root).filter(|copy| copy.size > 0)
    }

    /// Whether a client or host that knows the lost ledger up to `size` knows more than the copy
    /// had.
    pub(crate) fn lacks(&self, size: u64) -> bool {
        size >= self.size
    }
}

/// Whether the text is a fingerprint (`SHA256:...`).
fn is_fingerprint(text: &str) -> bool {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/".contains(c);
    text.len() == FINGERPRINT
        && text
            .strip_prefix("SHA256:")
            .is_some_and(|hash| hash.chars().all(is_base64))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Recovery {
        Recovery {
            restored: Some(Restored {
                size: 7,
                root: "00".repeat(32),
                is_pending: true,
            }),
            accepted: Some(Accepted {
                index: 3,
                leaf: "{}".to_owned(),
            }),
            ..Recovery::new(
                "daypass.example.com".to_owned(),
                9,
                BTreeSet::from([format!("SHA256:{}", "a".repeat(43))]),
            )
        }
    }

    type Change = fn(&mut Recovery);

    #[test]
    fn only_a_whole_document_is_read() {
        let cases: [(&str, Change, bool); 9] = [
            ("the usual", |_| {}, true),
            ("another form", |it| it.format.push('2'), false),
            ("no server", |it| it.server.clear(), false),
            ("a server with a newline", |it| it.server.push('\n'), false),
            ("no keys", |it| it.administrators.clear(), true),
            (
                "a key that is no fingerprint",
                |it| it.administrators.extend(["SHA256:x".to_owned()]),
                false,
            ),
            (
                "too many keys",
                |it| {
                    let keys = 0..=administrators::MOST;
                    it.administrators = keys.map(|at| format!("SHA256:{at:0>43}")).collect();
                },
                false,
            ),
            (
                "half a root",
                |it| it.restored.as_mut().unwrap().root.truncate(32),
                false,
            ),
            (
                "an empty copy",
                |it| it.restored.as_mut().unwrap().size = 0,
                false,
            ),
        ];
        for (case, change, expected) in cases {
            let mut recovery = sample();
            change(&mut recovery);
            let parsed = Recovery::parse(&recovery.to_bytes().unwrap());
            assert_eq!(parsed.is_ok(), expected, "{case}: {parsed:?}");
        }
        let long = vec![b' '; LONGEST + 1];
        assert!(matches!(
            Recovery::parse(&long),
            Err(InvalidRecovery::TooLong)
        ));
        let twice = br#"{"format":"daypass recovery v1","server":"a","version":1,"version":2,"administrators":[]}"#;
        assert!(Recovery::parse(twice).is_err(), "a field twice");
    }

    #[test]
    fn a_copy_lacks_what_was_known_past_its_last_event() {
        let restored = sample().restored.unwrap();
        // Its last event, at index 6, is the start: the lost ledger had another one there.
        for (size, expected) in [(0, false), (6, false), (7, true), (8, true)] {
            assert_eq!(restored.lacks(size), expected, "{size}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Recovery::parse(&bytes);
        }

        #[test]
        fn a_cut_or_changed_document_does_not_panic(at in 0usize..400, byte: u8, cut: bool) {
            let mut bytes = sample().to_bytes().unwrap();
            let at = at.min(bytes.len() - 1);
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
            if let Ok(parsed) = Recovery::parse(&bytes) {
                prop_assert!(!cut);
                let again = Recovery::parse(&parsed.to_bytes().unwrap()).unwrap();
                prop_assert_eq!(again, parsed.clone());
                prop_assert!(parsed.acceptance().is_err() || parsed.acceptance() == Ok(None));
            }
        }
    }
}
