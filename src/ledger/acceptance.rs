//! An administrator's signed statement that a ledger restored from a backup goes on. Pure.
//!
//! Clients and hosts check it before they give up what they remember of the lost ledger: they can
//! no longer prove that the restored one contains it.

use super::{
    Event, EventKind,
    event::{Actor, RevokeTarget, Revoked},
    restore::{Copy, RestoreStatement},
};
use crate::unix_seconds::{UnixSeconds, moment};

/// A statement whose signature is valid.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Acceptance {
    /// The administrator, as the ledger names them.
    pub who: Actor,
    /// Fingerprint of the key that signed the statement.
    pub key: String,
    /// The administrator's reason.
    pub reason: String,
    /// Time of the statement.
    pub at: UnixSeconds,
    /// The restored copy that it is about.
    pub copy: Copy,
    /// The size up to which the lost ledger may have been known. The ledger goes on from it.
    pub through: u64,
}

impl Acceptance {
    /// Reads the statement for `server` from the leaf at `index`, and verifies its signature.
    ///
    /// # Errors
    /// Returns the fault, as a sentence about the event.
    pub(crate) fn verify(index: u64, leaf: &[u8], server: &str) -> Result<Self, String> {
        let event = Event::parse(leaf).map_err(|error| error.to_string())?;
        if event.index != index {
            return Err(format!("it is event {} and not {index}", event.index));
        }
        if let Some(order) = event.what.order() {
            order.check(server)?;
        }
        check_statement(&event.what, server)?;
        let at = UnixSeconds::from(event.at);
        let EventKind::Revoked(revoked) = event.what else {
            return Err("it is no administrator's order".to_owned());
        };
        let RevokeTarget::Through(through) = revoked.target else {
            return Err("it accepts no restored ledger".to_owned());
        };
        let restore = revoked.restore.as_ref().ok_or(UNSIGNED)?;
        Ok(Self {
            key: restore.fingerprint().ok_or(UNSIGNED)?,
            copy: restore.copy().ok_or(UNSIGNED)?,
            who: revoked.who,
            reason: revoked.reason.unwrap_or_default(),
            at,
            through,
        })
    }

    /// The sentence for users who go on by this statement.
    pub(crate) fn spoken(&self) -> String {
        let reason = match self.reason.as_str() {
            "" => String::new(),
            reason => format!(" Their reason: {reason}."),
        };
        format!(
            "{} accepted that with the key {} on {}.{reason}",
            self.who.label,
            self.key,
            moment(self.at.get())
        )
    }
}

const UNSIGNED: &str = "accepts a restored ledger without an administrator's statement";

/// Verifies the statement of an order that accepts a restored ledger. Every other event is valid if
/// it has none.
///
/// # Errors
/// Returns the fault, as a sentence about the event.
pub(super) fn check_statement(what: &EventKind, server: &str) -> Result<(), &'static str> {
    let EventKind::Revoked(revoked) = what else {
        return Ok(());
    };
    match (&revoked.target, &revoked.restore) {
        (RevokeTarget::Through(through), Some(restore)) => {
            let copy = restore.copy().ok_or(UNSIGNED)?;
            restore.check(&statement(revoked, server, copy, *through))
        }
        (RevokeTarget::Through(_), None) => Err(UNSIGNED),
        (_, Some(_)) => Err("has a statement about a restored ledger and accepts none"),
        (
            RevokeTarget::Serial(_)
            | RevokeTarget::Key(_)
            | RevokeTarget::Identity(_)
            | RevokeTarget::Before(_),
            None,
        ) => Ok(()),
    }
}

fn statement<'a>(
    revoked: &'a Revoked,
    server: &'a str,
    copy: Copy,
    through: u64,
) -> RestoreStatement<'a> {
    RestoreStatement {
        server,
        issuer: &revoked.who.issuer,
        subject: &revoked.who.subject,
        copy,
        through,
        reason: revoked.reason.as_deref().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_an_acceptance_is_said_for_people() {
        let acceptance = |reason: &str| Acceptance {
            who: Actor {
                issuer: "https://id.example.com".to_owned(),
                subject: "carol".to_owned(),
                label: "carol@example.com".to_owned(),
                claims: serde_json::Value::Null.into(),
            },
            key: "SHA256:abc".to_owned(),
            reason: reason.to_owned(),
            at: UnixSeconds(1_795_361_511),
            copy: Copy {
                size: 7,
                root: [0; 32],
            },
            through: 9,
        };
        for (reason, expected) in [
            (
                "",
                "carol@example.com accepted that with the key SHA256:abc on 2026-11-22 15:31:51 UTC.",
            ),
            (
                "the disk died",
                "carol@example.com accepted that with the key SHA256:abc on 2026-11-22 15:31:51 UTC. Their reason: the disk died.",
            ),
        ] {
            assert_eq!(acceptance(reason).spoken(), expected);
        }
    }
}
