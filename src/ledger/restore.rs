//! The statement that an administrator signs about one restored copy of the ledger, and the
//! signature as an event records it. Pure.
//!
//! It names the copy by its size and root, with the event of its first start, so that it counts for
//! this restore alone: another copy, and another start on the same copy, have another root.

use serde::{Deserialize, Serialize};

use super::{approval, tree::Hash};
use crate::ssh::{sshsig::Namespace, wire};

/// Longest public key line and signature in a recorded statement, in bytes.
const LONGEST: usize = 16 * 1024;

/// The statement that a restored ledger goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RestoreStatement<'a> {
    /// The server's name.
    pub server: &'a str,
    /// The administrator's `iss` claim.
    pub issuer: &'a str,
    /// The administrator's `sub` claim.
    pub subject: &'a str,
    /// The restored copy.
    pub copy: Copy,
    /// The size that the lost ledger had at most. The restored one goes on from it.
    pub through: u64,
    /// The administrator's reason; empty if none was given.
    pub reason: &'a str,
}

/// A restored copy: the ledger up to the event that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Copy {
    /// The number of its events.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Copy {
    /// A copy of this size, whose root is 32 bytes of lower-case hex. `None` if it is not.
    pub(super) fn of(size: u64, root: &str) -> Option<Self> {
        let root = base16ct::lower::decode_vec(root).ok()?.try_into().ok()?;
        Some(Self { size, root })
    }
}

impl RestoreStatement<'_> {
    /// The signed bytes, as length-prefixed strings (RFC 4251, 5): domain, server name, `iss`,
    /// `sub`, size of the copy, its root, `through`, reason. Numbers are big-endian u64.
    pub(crate) fn message(&self) -> Vec<u8> {
        wire::strings(&[
            Namespace::Restore.as_bytes(),
            self.server.as_bytes(),
            self.issuer.as_bytes(),
            self.subject.as_bytes(),
            &self.copy.size.to_be_bytes(),
            &self.copy.root,
            &self.through.to_be_bytes(),
            self.reason.as_bytes(),
        ])
    }
}

/// The copy and the signature, as the event of the order records them. The rest of the statement is
/// in the order itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRestore {
    /// The number of events in the restored copy.
    pub size: u64,
    /// Its root, in hex.
    pub root: String,
    /// The administrator's public key in OpenSSH form.
    pub key: String,
    /// The SSHSIG over [`RestoreStatement::message`] in base64, on one line.
    pub signature: String,
}

impl SignedRestore {
    /// The restored copy; `None` if the root is not 32 bytes of lower-case hex.
    pub(crate) fn copy(&self) -> Option<Copy> {
        Copy::of(self.size, &self.root)
    }

    /// Verifies the signature over `statement`, whose copy must be the recorded one.
    ///
    /// # Errors
    /// Returns the fault, as a sentence about the event.
    pub(crate) fn check(&self, statement: &RestoreStatement<'_>) -> Result<(), &'static str> {
        if self.copy() != Some(statement.copy) {
            return Err("accepts a restored ledger without naming its root");
        }
        if self.key.len() > LONGEST || self.signature.len() > LONGEST {
            return Err("accepts a restored ledger by a signature that is too long");
        }
        let message = statement.message();
        match approval::is_signed_for(Namespace::Restore, &self.key, &message, &self.signature) {
            true => Ok(()),
            false => Err("accepts a restored ledger by an invalid signature"),
        }
    }

    /// The key's fingerprint (`SHA256:...`); `None` if it does not parse.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        approval::fingerprint(&self.key)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use ssh_key::{HashAlg, LineEnding};

    use super::*;
    use crate::{ledger::order::tests::key, ssh::sshsig};

    const COPY: Copy = Copy {
        size: 258,
        root: [7; 32],
    };

    fn sample() -> RestoreStatement<'static> {
        RestoreStatement {
            server: "a",
            issuer: "i",
            subject: "s",
            copy: COPY,
            through: 1258,
            reason: "INC-1",
        }
    }

    fn signed(statement: &RestoreStatement<'_>, namespace: Namespace) -> SignedRestore {
        let key = key(1);
        let signature = key
            .sign(namespace.as_str(), HashAlg::Sha512, &statement.message())
            .unwrap();
        SignedRestore {
            size: statement.copy.size,
            root: base16ct::lower::encode_string(&statement.copy.root),
            key: key.public_key().to_openssh().unwrap(),
            signature: sshsig::compact(&signature.to_pem(LineEnding::LF).unwrap()),
        }
    }

    #[test]
    fn the_encoding_is_the_documented_one() {
        let expected = [
            b"\0\0\0\x12daypass-restore@v1\0\0\0\x01a\0\0\0\x01i\0\0\0\x01s\0\0\0\x08".as_slice(),
            &258_u64.to_be_bytes(),
            b"\0\0\0\x20",
            &[7; 32],
            b"\0\0\0\x08",
            &1258_u64.to_be_bytes(),
            b"\0\0\0\x05INC-1",
        ]
        .concat();
        assert_eq!(sample().message(), expected);
    }

    /// Statements that each differ from [`sample`] in one fact.
    fn others() -> [RestoreStatement<'static>; 8] {
        let base = sample();
        [
            RestoreStatement {
                server: "b",
                ..base
            },
            RestoreStatement {
                issuer: "is",
                subject: "",
                ..base
            },
            RestoreStatement {
                subject: "t",
                ..base
            },
            RestoreStatement {
                copy: Copy { size: 259, ..COPY },
                ..base
            },
            RestoreStatement {
                copy: Copy {
                    root: [8; 32],
                    ..COPY
                },
                ..base
            },
            RestoreStatement {
                through: 1259,
                ..base
            },
            RestoreStatement { reason: "", ..base },
            RestoreStatement {
                reason: "INC-2",
                ..base
            },
        ]
    }

    #[test]
    fn a_statement_counts_for_its_server_copy_size_and_reason_alone() {
        let good = signed(&sample(), Namespace::Restore);
        assert_eq!(good.check(&sample()), Ok(()));
        for other in others() {
            assert!(good.check(&other).is_err(), "{other:?}");
        }
        let for_another_purpose = signed(&sample(), Namespace::Admin);
        assert!(for_another_purpose.check(&sample()).is_err());
        let by_another = SignedRestore {
            key: key(2).public_key().to_openssh().unwrap(),
            ..good.clone()
        };
        assert!(by_another.check(&sample()).is_err());
        let too_long = SignedRestore {
            signature: "A".repeat(LONGEST + 1),
            ..good
        };
        assert!(too_long.check(&sample()).is_err());
    }

    #[test]
    fn statements_that_differ_anywhere_differ_in_bytes() {
        let mut messages: BTreeSet<_> = others().iter().map(RestoreStatement::message).collect();
        messages.insert(sample().message());
        assert_eq!(messages.len(), 9);
    }

    proptest! {
        #[test]
        fn any_recorded_statement_is_read_or_refused(
            size: u64, root in ".{0,80}", key in ".{0,200}", signature in ".{0,200}"
        ) {
            let recorded = SignedRestore { size, root, key, signature };
            let _ = recorded.fingerprint();
            if let Some(copy) = recorded.copy() {
                prop_assert_eq!(base16ct::lower::encode_string(&copy.root), &*recorded.root);
            }
            prop_assert!(recorded.check(&sample()).is_err());
        }

        #[test]
        fn a_changed_signature_is_refused(at in 0usize..300, byte in "[A-Za-z0-9+/=]") {
            let mut changed = signed(&sample(), Namespace::Restore);
            let at = at.min(changed.signature.len() - 1);
            let good = changed.signature.clone();
            changed.signature.replace_range(at..=at, &byte);
            prop_assert_eq!(changed.check(&sample()).is_ok(), changed.signature == good);
        }
    }
}
