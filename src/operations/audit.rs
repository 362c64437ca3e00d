//! Reads the ledger: leaves for the auditors whom the policy's `[audit]` names, proofs for every
//! identity.
//!
//! Proofs show hashes, never events. With them every client checks that its pass is in the ledger.

use super::{authority::Authority, error::Error};
use crate::{
    identity::Identity,
    ledger::{state::NoPolicy, tree::Hash},
    store,
};

/// The most leaves in one answer, and the size of an export's pages.
pub(crate) const MAX_PAGE: u32 = 1000;

/// Leaves in an answer if the caller names no limit.
const DEFAULT_PAGE: u32 = 100;

/// The most bytes of leaves in one answer: gRPC clients take 4 MiB, and large claims make large
/// leaves.
pub(super) const MAX_PAGE_BYTES: usize = 2 * 1024 * 1024;

/// The leaves that a caller asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Range {
    /// The first index. Newest first: the highest index, or the ledger's last one if it is beyond
    /// that.
    pub from: u64,
    /// At most this many. 0: 100.
    pub limit: u32,
    /// Whether to go down from `from`.
    pub newest_first: bool,
}

/// Some of the ledger's leaves.
#[derive(Clone, Debug)]
pub(crate) struct LeafRange {
    /// Index and stored bytes, in the order asked for.
    pub entries: Vec<(u64, Vec<u8>)>,
    /// The ledger's size when this was read.
    pub size: u64,
}

/// The leaves of `range`: never more than [`MAX_PAGE`], fewer if they are large.
///
/// # Errors
/// Returns [`Error::AuditDenied`] if the policy's `[audit]` does not name this identity.
pub(crate) async fn list(
    authority: &Authority,
    identity: &Identity,
    range: Range,
) -> Result<LeafRange, Error> {
    check_may_audit(authority, identity)?;
    authority.store.follow().await?;
    let size = authority.store.size();
    let (from, count) = stretch(range, size);
    let mut entries = match count {
        0 => Vec::new(),
        count => authority.store.entries(from, count).await?,
    };
    if range.newest_first {
        entries.reverse();
    }
    bound(&mut entries);
    Ok(LeafRange { entries, size })
}

/// The index of the event with the text of the policy whose hash begins so; of the one in force if
/// `hash` is empty.
///
/// # Errors
/// Returns [`Error::AuditDenied`] if the policy's `[audit]` does not name this identity, and
/// [`Error::NotFound`] if there is no such text, or several.
pub(crate) fn find_policy(
    authority: &Authority,
    identity: &Identity,
    hash: &str,
) -> Result<u64, Error> {
    check_may_audit(authority, identity)?;
    let is_hash = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if hash.len() > 64 || !hash.chars().all(is_hash) {
        return Err(Error::NotFound(
            "a policy's hash is 64 digits of lower-case hex, and a beginning of it is enough"
                .to_owned(),
        ));
    }
    let found = authority.store.state(|state| state.policy_text(hash));
    found.map_err(|why| {
        Error::NotFound(match (why, hash) {
            (NoPolicy::Unknown, "") => "the ledger has no text of the policy in force".to_owned(),
            (NoPolicy::Unknown, _) => {
                format!("the ledger has no text of a policy whose hash begins with {hash}")
            }
            (NoPolicy::Several, _) => {
                format!("the hashes of several policies begin with {hash}: give more digits")
            }
        })
    })
}

/// Keeps the first leaf, and as many after it as one answer may hold.
fn bound(entries: &mut Vec<(u64, Vec<u8>)>) {
    let mut bytes = 0;
    let fits = |(_, event): &&(u64, Vec<u8>)| {
        bytes += event.len();
        bytes <= MAX_PAGE_BYTES
    };
    let count = entries.iter().take_while(fits).count();
    entries.truncate(count.max(1));
}

/// First index and count of the leaves that `range` means in a ledger of `size`.
fn stretch(range: Range, size: u64) -> (u64, u32) {
    let from = range.from;
    let limit = match range.limit {
        0 => DEFAULT_PAGE,
        limit => limit.min(MAX_PAGE),
    };
    let (from, end) = if range.newest_first {
        let end = from.saturating_add(1).min(size);
        (end.saturating_sub(u64::from(limit)), end)
    } else {
        let from = from.min(size);
        (from, from.saturating_add(u64::from(limit)).min(size))
    };
    (
        from,
        u32::try_from(end.saturating_sub(from)).unwrap_or(limit),
    )
}

/// An export under way: one line per leaf, an empty line, then the signed checkpoint over exactly
/// these leaves. [`crate::ledger::verify`] reads it. At most one page of leaves is in memory.
pub(crate) struct Export {
    next: u64,
    size: u64,
    /// `None` once it was handed out.
    checkpoint: Option<String>,
}

impl Export {
    /// Begins an export of the whole ledger as it is now.
    ///
    /// # Errors
    /// Returns [`Error::AuditDenied`] if the policy's `[audit]` does not name this identity.
    pub(crate) async fn open(authority: &Authority, identity: &Identity) -> Result<Self, Error> {
        check_may_audit(authority, identity)?;
        let checkpoint = authority.store.checkpoint().await?;
        let verifier = authority.store.verifier();
        let head = verifier
            .verify(&checkpoint)
            .map_err(|error| Error::Store(store::Error::Tampered(error.to_string())))?;
        Ok(Self {
            next: 0,
            size: head.size,
            checkpoint: Some(checkpoint),
        })
    }

    /// The next piece, of at most [`MAX_PAGE`] leaves. `None`: the export is complete.
    ///
    /// # Errors
    /// Returns [`Error::Store`] if the ledger cannot be read. The export is then incomplete and
    /// does not verify.
    pub(crate) async fn next(&mut self, authority: &Authority) -> Result<Option<Vec<u8>>, Error> {
        if self.next >= self.size {
            let end = self.checkpoint.take();
            return Ok(end.map(|checkpoint| format!("\n{checkpoint}").into_bytes()));
        }
        let left = self.size.saturating_sub(self.next);
        let count = u32::try_from(left).unwrap_or(MAX_PAGE).min(MAX_PAGE);
        let mut entries = authority.store.entries(self.next, count).await?;
        bound(&mut entries);
        let Some((last, _)) = entries.last() else {
            let cause = format!("leaf {} is missing", self.next);
            return Err(Error::Store(store::Error::Unavailable(cause)));
        };
        self.next = last.saturating_add(1);
        Ok(Some(lines(&entries)))
    }
}

fn lines(entries: &[(u64, Vec<u8>)]) -> Vec<u8> {
    entries
        .iter()
        .flat_map(|(_, event)| event.iter().copied().chain([b'\n']))
        .collect()
}

/// Proves that the leaf at `index` is in the tree of `size` leaves (RFC 6962 section 2.1.1).
///
/// # Errors
/// Returns [`Error::NotFound`] if an argument lies outside the ledger.
pub(crate) async fn prove_inclusion(
    authority: &Authority,
    _: &Identity,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, Error> {
    Ok(authority.store.inclusion_proof(index, size).await?)
}

/// Proves that the tree of `old` leaves is the beginning of the tree of `new` leaves (RFC 6962
/// section 2.1.2).
///
/// # Errors
/// Returns [`Error::NotFound`] if an argument lies outside the ledger.
pub(crate) async fn prove_consistency(
    authority: &Authority,
    _: &Identity,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, Error> {
    Ok(authority.store.consistency_proof(old, new).await?)
}

pub(super) fn check_may_audit(authority: &Authority, identity: &Identity) -> Result<(), Error> {
    if authority.policy().may_audit(identity) {
        Ok(())
    } else {
        Err(Error::AuditDenied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_stay_within_the_ledger() {
        let cases = [
            (
                "a hundred if no limit is named",
                (0, 0, false),
                1000,
                (0, 100),
            ),
            ("from an index on", (990, 50, false), 1000, (990, 10)),
            (
                "no more than a page",
                (0, u32::MAX, false),
                5000,
                (0, MAX_PAGE),
            ),
            ("beyond the end", (u64::MAX, 5, false), 10, (10, 0)),
            ("from the head down", (u64::MAX, 3, true), 10, (7, 3)),
            ("from an index down", (4, 3, true), 10, (2, 3)),
            ("down to the first", (1, 100, true), 10, (0, 2)),
            ("an empty ledger", (u64::MAX, 0, true), 0, (0, 0)),
        ];
        for (case, (from, limit, newest_first), size, expected) in cases {
            let range = Range {
                from,
                limit,
                newest_first,
            };
            assert_eq!(stretch(range, size), expected, "{case}");
        }
    }
}
