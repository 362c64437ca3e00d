//! How a checkpoint stands to those that were seen before. No I/O.

use serde::Serialize;

use super::evidence::AlarmKind;
use crate::ledger::checkpoint::Checkpoint;

/// A checkpoint that does not contradict the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sighting {
    /// The first one of this ledger.
    First,
    /// The one that this server showed before.
    Unchanged,
    /// It continues the largest one.
    Continues,
    /// The largest one continues it: this server is behind another one.
    Behind,
    /// It is of a restored ledger that an administrator accepted.
    Restored,
}

/// The judgement, as far as no proof is needed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Consistent(Sighting),
    /// So, if the second checkpoint continues the first.
    ToProve(Sighting, Checkpoint, Checkpoint),
    Contradiction(AlarmKind, String),
}

/// Judges a checkpoint by the largest one that any server showed, and the last one that this server
/// showed. Two servers of a ledger may be at different sizes; one server never shrinks.
pub(super) fn judge(
    head: Option<&Checkpoint>,
    here: Option<&Checkpoint>,
    new: &Checkpoint,
) -> Judged {
    let Some(head) = head else {
        return Judged::Consistent(Sighting::First);
    };
    if let Some(here) = here {
        if new.size < here.size {
            let why = format!(
                "this server showed {} entries and now shows {}",
                here.size, new.size
            );
            return Judged::Contradiction(AlarmKind::Shrunk, why);
        }
        if new == here {
            return Judged::Consistent(Sighting::Unchanged);
        }
    }
    for known in [Some(head), here].into_iter().flatten() {
        if new.size == known.size && new.root != known.root {
            let why = format!("it has two different histories of {} entries", new.size);
            return Judged::Contradiction(AlarmKind::Fork, why);
        }
    }
    if new.size == head.size {
        return Judged::Consistent(Sighting::Continues);
    }
    match new.size > head.size {
        true => Judged::ToProve(Sighting::Continues, head.clone(), new.clone()),
        false => Judged::ToProve(Sighting::Behind, new.clone(), head.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(size: u64, root: u8) -> Checkpoint {
        Checkpoint {
            origin: "x/ledger".into(),
            size,
            root: [root; 32],
        }
    }

    #[test]
    fn a_server_never_shrinks_and_equal_sizes_have_equal_roots() {
        let prove = |sighting, old, new| Judged::ToProve(sighting, old, new);
        for (case, head, here, new, expected) in [
            (
                "the first one",
                None,
                None,
                checkpoint(3, 1),
                Ok(Judged::Consistent(Sighting::First)),
            ),
            (
                "nothing happened",
                Some(checkpoint(3, 1)),
                Some(checkpoint(3, 1)),
                checkpoint(3, 1),
                Ok(Judged::Consistent(Sighting::Unchanged)),
            ),
            (
                "it grew",
                Some(checkpoint(3, 1)),
                Some(checkpoint(3, 1)),
                checkpoint(5, 2),
                Ok(prove(
                    Sighting::Continues,
                    checkpoint(3, 1),
                    checkpoint(5, 2),
                )),
            ),
            (
                "a second server is as far",
                Some(checkpoint(3, 1)),
                None,
                checkpoint(3, 1),
                Ok(Judged::Consistent(Sighting::Continues)),
            ),
            (
                "a second server is behind",
                Some(checkpoint(5, 2)),
                Some(checkpoint(2, 1)),
                checkpoint(3, 1),
                Ok(prove(Sighting::Behind, checkpoint(3, 1), checkpoint(5, 2))),
            ),
            (
                "a server shrank, to what another one shows",
                Some(checkpoint(5, 2)),
                Some(checkpoint(5, 2)),
                checkpoint(3, 1),
                Err(AlarmKind::Shrunk),
            ),
            (
                "it was rewritten",
                Some(checkpoint(3, 1)),
                Some(checkpoint(3, 1)),
                checkpoint(3, 2),
                Err(AlarmKind::Fork),
            ),
            (
                "two servers contradict each other",
                Some(checkpoint(3, 1)),
                None,
                checkpoint(3, 2),
                Err(AlarmKind::Fork),
            ),
            (
                "a server behind rewrites what it showed",
                Some(checkpoint(5, 2)),
                Some(checkpoint(3, 1)),
                checkpoint(3, 2),
                Err(AlarmKind::Fork),
            ),
        ] {
            let judged = judge(head.as_ref(), here.as_ref(), &new);
            let judged = match judged {
                Judged::Contradiction(kind, _) => Err(kind),
                Judged::Consistent(_) | Judged::ToProve(..) => Ok(judged),
            };
            assert_eq!(judged, expected, "{case}");
        }
    }
}
