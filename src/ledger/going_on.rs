//! Decides whether a client or host goes on with a server whose ledger was restored: only by the
//! statement of an administrator whose key it knew before. Pure.

use super::{acceptance::Acceptance, administrators::Known, recovery::Recovery};
use crate::unix_seconds::UnixSeconds;

/// A side that remembers what the server's ledger was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    /// A user's client.
    Client,
    /// A host.
    Host,
    /// A program that follows the server's checkpoints.
    Witness,
}

impl Party {
    /// The command that accepts an administrator's key by name.
    fn accept_command(self) -> &'static str {
        match self {
            Self::Client => "daypass ledger accept",
            Self::Host => "daypass host sync --accept-key",
            Self::Witness => "daypass ledger witness --accept",
        }
    }

    /// The name of this side, and what it does until it goes on.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Client => ("client", "nothing of the server is used"),
            Self::Host => ("host", "its files stay"),
            Self::Witness => ("witness", "its record stays"),
        }
    }
}

/// What a client or host knew before the server's answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prior<'a> {
    pub(crate) party: Party,
    /// The size of the lost ledger, at least.
    pub(crate) size: u64,
    /// The administrators' keys.
    pub(crate) administrators: &'a Known,
    /// Fingerprint of an administrator's key that is accepted by name.
    pub(crate) accept: Option<&'a str>,
    pub(crate) now: UnixSeconds,
}

/// Reason why a client or host does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// The statement is invalid, or about another copy: the fault.
    Invalid(String),
    /// No statement counts yet: a sentence that says what to do.
    Waiting(String),
}

impl Prior<'_> {
    /// The statement by which this side goes on with the ledger that was restored. `reached` is the
    /// size of the restored one by now, at least.
    ///
    /// # Errors
    /// Returns the reason why it does not go on.
    pub(crate) fn go_on(&self, recovery: &Recovery, reached: u64) -> Result<Acceptance, Stopped> {
        let acceptance = recovery.acceptance().map_err(Stopped::Invalid)?;
        let acceptance = acceptance
            .ok_or_else(|| self.asks("no administrator has accepted the restored one yet"))?;
        let through = acceptance.through;
        if through < self.size {
            return Err(self.asks(&format!(
                "an administrator accepted the loss of {through} at most"
            )));
        }
        if reached < through {
            return Err(self.waits("the restored one is still being filled: try again in a minute"));
        }
        if self.accept == Some(&*acceptance.key) {
            return Ok(acceptance);
        }
        let standing = self.administrators.standing(&acceptance.key, self.now);
        match standing.objection(&acceptance.key, self.party.accept_command()) {
            None => Ok(acceptance),
            Some(why) => Err(self.waits(&why)),
        }
    }

    fn asks(&self, why: &str) -> Stopped {
        self.waits(&format!(
            "{why}. Ask an administrator to run: daypass admin accept-restore --past {}",
            self.size
        ))
    }

    fn waits(&self, why: &str) -> Stopped {
        let (side, until) = self.party.words();
        Stopped::Waiting(format!(
            "the server's ledger was restored from a backup, this {side} knows {} entries of the lost one, and {until} until \
             it goes on by an administrator's statement: {why}",
            self.size
        ))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use ssh_key::{HashAlg, LineEnding};
    use time::OffsetDateTime;

    use super::*;
    use crate::{
        ledger::{
            Event, EventKind,
            administrators::YOUNG,
            event::{Actor, RevokeTarget, Revoked},
            order::tests::{SERVER, key, signed},
            recovery::{Accepted, Restored},
            restore::{Copy, RestoreStatement, SignedRestore},
        },
        ssh::sshsig::{self, Namespace},
    };

    const COPY: Copy = Copy {
        size: 7,
        root: [3; 32],
    };
    /// The size that the statement accepts the loss of.
    const THROUGH: u64 = 100;
    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    /// The leaf of an administrator's acceptance, by the key of seed 1.
    fn leaf() -> String {
        let who = Actor {
            issuer: "https://id.example.com".to_owned(),
            subject: "dave".to_owned(),
            label: "dave@example.com".to_owned(),
            claims: serde_json::Value::Null.into(),
        };
        let statement = RestoreStatement {
            server: SERVER,
            issuer: &who.issuer,
            subject: &who.subject,
            copy: COPY,
            through: THROUGH,
            reason: "",
        };
        let by = key(1);
        let signature = by
            .sign(
                Namespace::Restore.as_str(),
                HashAlg::Sha512,
                &statement.message(),
            )
            .unwrap();
        let restore = SignedRestore {
            size: COPY.size,
            root: base16ct::lower::encode_string(&COPY.root),
            key: by.public_key().to_openssh().unwrap(),
            signature: sshsig::compact(&signature.to_pem(LineEnding::LF).unwrap()),
        };
        let what = EventKind::Revoked(Box::new(Revoked {
            who,
            target: RevokeTarget::Through(THROUGH),
            reason: None,
            serials: Vec::new(),
            covers: Vec::new(),
            proof: None,
            restore: Some(restore),
        }));
        let event = Event {
            index: 8,
            at: OffsetDateTime::UNIX_EPOCH,
            what: signed(what, SERVER, 1, 0),
        };
        String::from_utf8(event.to_bytes().unwrap()).unwrap()
    }

    fn fingerprint(seed: u8) -> String {
        key(seed)
            .public_key()
            .fingerprint(HashAlg::Sha256)
            .to_string()
    }

    fn set(seeds: &[u8]) -> BTreeSet<String> {
        seeds.iter().map(|&seed| fingerprint(seed)).collect()
    }

    /// A server that goes on with [`COPY`] by the statement of the key of seed 1.
    fn recovery() -> Recovery {
        let mut recovery = Recovery::new(SERVER.to_owned(), THROUGH, set(&[1, 2]));
        recovery.restored = Some(Restored {
            size: COPY.size,
            root: base16ct::lower::encode_string(&COPY.root),
            is_pending: false,
        });
        recovery.accepted = Some(Accepted {
            index: 8,
            leaf: leaf(),
        });
        recovery
    }

    /// One difference from a party that goes on.
    struct Case {
        known: Known,
        accept: Option<String>,
        size: u64,
        reached: u64,
        recovery: Recovery,
    }

    impl Case {
        fn good() -> Self {
            Self {
                known: Known::first(&set(&[1])),
                accept: None,
                size: THROUGH,
                reached: THROUGH,
                recovery: recovery(),
            }
        }

        fn run(&self, party: Party) -> Result<Acceptance, Stopped> {
            let prior = Prior {
                party,
                size: self.size,
                administrators: &self.known,
                accept: self.accept.as_deref(),
                now: NOW,
            };
            prior.go_on(&self.recovery, self.reached)
        }
    }

    type Change = fn(&mut Case);

    /// Cases with the words that the refusal must have; none if the party goes on.
    fn cases() -> Vec<(&'static str, Change, Option<&'static str>)> {
        vec![
            ("a known administrator's statement", |_| {}, None),
            (
                "nothing accepted yet",
                |it| it.recovery.accepted = None,
                Some(
                    "no administrator has accepted the restored one yet. Ask an administrator to run: daypass admin accept-restore --past 100",
                ),
            ),
            (
                "restored again, and that is not accepted yet",
                |it| it.recovery.restored.as_mut().unwrap().is_pending = true,
                Some("no administrator has accepted the restored one yet"),
            ),
            (
                "a statement about less than this side knows",
                |it| it.size = THROUGH + 1,
                Some(
                    "accepted the loss of 100 at most. Ask an administrator to run: daypass admin accept-restore --past 101",
                ),
            ),
            (
                "a ledger that has not reached the size yet",
                |it| it.reached = THROUGH - 1,
                Some("still being filled"),
            ),
            (
                "a key that was never known",
                |it| it.known = Known::first(&set(&[2])),
                Some("that key was not known as an administrator's here before"),
            ),
            (
                "no keys known",
                |it| it.known = Known::default(),
                Some("that key was not known as an administrator's here before"),
            ),
            (
                "a key that was added a moment ago",
                |it| it.known = Known::first(&set(&[2])).then(&set(&[1, 2]), NOW),
                Some("named that key as an administrator's a short time ago"),
            ),
            (
                "a key that was added a week ago",
                |it| {
                    let then = NOW.saturating_sub(YOUNG);
                    it.known = Known::first(&set(&[2])).then(&set(&[1, 2]), then);
                },
                None,
            ),
            (
                "a key that is accepted by name",
                |it| {
                    it.known = Known::default();
                    it.accept = Some(fingerprint(1));
                },
                None,
            ),
            (
                "another key is accepted by name",
                |it| {
                    it.known = Known::default();
                    it.accept = Some(fingerprint(2));
                },
                Some("that key was not known as an administrator's here before"),
            ),
        ]
    }

    #[test]
    fn only_a_known_administrators_statement_about_all_that_was_known_counts() {
        for (case, change, expected) in cases() {
            for party in [Party::Client, Party::Host] {
                let mut it = Case::good();
                change(&mut it);
                match (it.run(party), expected) {
                    (Ok(acceptance), None) => assert_eq!(acceptance.key, fingerprint(1), "{case}"),
                    (Err(Stopped::Waiting(why)), Some(words)) => {
                        assert!(why.contains(words), "{case}: {why}");
                        let (side, until) = party.words();
                        assert!(why.contains(&format!("this {side} knows")), "{case}: {why}");
                        assert!(why.contains(until), "{case}: {why}");
                    }
                    (other, _) => panic!("{case}, {party:?}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn an_invalid_statement_is_told_apart_from_a_missing_one() {
        let changes: [(&str, Change); 3] = [
            ("of another server", |it| {
                it.recovery.server = "other.example.com".to_owned();
            }),
            ("about another copy", |it| {
                it.recovery.restored.as_mut().unwrap().root = "04".repeat(32);
            }),
            ("with a changed size", |it| {
                let accepted = it.recovery.accepted.as_mut().unwrap();
                accepted.leaf = accepted.leaf.replace("100", "999");
            }),
        ];
        for (case, change) in changes {
            let mut it = Case::good();
            change(&mut it);
            let done = it.run(Party::Client);
            assert!(matches!(done, Err(Stopped::Invalid(_))), "{case}: {done:?}");
        }
    }

    #[test]
    fn each_party_is_told_its_own_command() {
        for (party, command) in [
            (Party::Client, "daypass ledger accept SHA256:"),
            (Party::Host, "daypass host sync --accept-key SHA256:"),
        ] {
            let mut it = Case::good();
            it.known = Known::default();
            let Err(Stopped::Waiting(why)) = it.run(party) else {
                panic!("{party:?} goes on");
            };
            assert!(why.contains(command), "{why}");
        }
    }

    /// A clock that was set back makes a key younger, never older.
    #[test]
    fn a_week_is_measured_from_the_answer_that_named_the_key() {
        let mut it = Case::good();
        let later = NOW.saturating_add(Duration::from_secs(3600));
        it.known = Known::first(&set(&[2])).then(&set(&[1, 2]), later);
        assert!(matches!(it.run(Party::Host), Err(Stopped::Waiting(_))));
    }
}
