//! What stands after which events.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure"
)]

use time::{Duration, OffsetDateTime};

use super::*;
use crate::ledger::event::tests::issued;

const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

/// An event so many seconds after the start.
fn event(index: u64, second: i64, what: What) -> Event {
    let at = START + Duration::seconds(second);
    Event { index, at, what }
}

fn pass(index: u64, second: i64, valid_before: u64) -> Event {
    let issued = crate::ledger::event::Issued {
        valid_before,
        ..issued()
    };
    event(index, second, What::Issued(Box::new(issued)))
}

fn serials(standing: &Standing) -> Vec<u64> {
    standing.passes().map(|pass| pass.serial).collect()
}

#[test]
fn passes_stand_until_an_hour_after_their_end() {
    let mut standing = Standing::default();
    standing.apply(&pass(1, 0, 600));
    standing.apply(&pass(2, 0, 60));
    assert_eq!(serials(&standing), [1, 2]);
    for (second, expected) in [
        (59, vec![1, 2]),
        (3659, vec![1, 2]),
        (3660, vec![1]),
        (4199, vec![1]),
        (4200, vec![]),
    ] {
        let key = "SHA256:x".to_owned();
        standing.apply(&event(3, second, What::KeyStaged { key }));
        assert_eq!(serials(&standing), expected, "after {second} s");
    }
}

#[test]
fn a_pass_that_was_not_signed_does_not_stand() {
    let mut standing = Standing::default();
    standing.apply(&pass(1, 0, 600));
    let cause = "the key is gone".to_owned();
    standing.apply(&event(2, 0, What::SigningFailed { serial: 1, cause }));
    assert_eq!(serials(&standing), Vec::<u64>::new());
    assert_eq!(standing.passes, passes::Passes::default());
    assert_eq!(standing.requests().count(), 0);
}
