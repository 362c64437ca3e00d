//! Bound on the log lines that callers cause whom the signer refuses: for each account one line in
//! a while, with the number of the calls that were left out.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Time between two lines about one caller.
const EVERY: Duration = Duration::from_secs(60);

/// Callers that are told apart at most. A system has far fewer accounts that try.
const MOST: usize = 256;

/// Whom a refused call is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Caller {
    /// An account of this machine.
    User(u32),
    /// An account that the system does not name, or one too many to be told apart.
    Unknown,
    /// A caller over TLS without a certificate that counts.
    Uncertified,
    /// A caller over TLS whose handshake took too long.
    Slow,
    /// A caller who found no room.
    Crowd,
}

/// The refused calls since the last line about each caller.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<BTreeMap<Caller, (Instant, u64)>>);

impl Refusals {
    /// Counts a call. Returns the number of calls that the line about it stands for, if there is
    /// to be one now.
    pub(super) fn count(&self, caller: Caller) -> Option<u64> {
        self.count_at(caller, Instant::now())
    }

    fn count_at(&self, caller: Caller, now: Instant) -> Option<u64> {
        let mut callers = self.0.lock();
        let is_known = callers.contains_key(&caller);
        let caller = match is_known || callers.len() < MOST {
            true => caller,
            false => Caller::Unknown,
        };
        match callers.get_mut(&caller) {
            Some((said, more)) if now.saturating_duration_since(*said) < EVERY => {
                *more = more.saturating_add(1);
                None
            }
            Some(last) => {
                let (_, more) = std::mem::replace(last, (now, 0));
                Some(more.saturating_add(1))
            }
            None => {
                callers.insert(caller, (now, 0));
                Some(1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_one_line_in_a_minute_with_the_number_of_the_rest() {
        let refusals = Refusals::default();
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let one = Caller::User(1000);
        assert_eq!(refusals.count_at(one, at(0)), Some(1));
        for call in 0..10_000 {
            assert_eq!(refusals.count_at(one, at(call % 60)), None);
        }
        assert_eq!(refusals.count_at(Caller::User(1001), at(59)), Some(1));
        assert_eq!(refusals.count_at(one, at(60)), Some(10_001));
        assert_eq!(refusals.count_at(one, at(61)), None);
    }

    #[test]
    fn more_accounts_than_are_told_apart_share_a_line() {
        let refusals = Refusals::default();
        let now = Instant::now();
        let lines =
            (0..100_000).filter(|user| refusals.count_at(Caller::User(*user), now).is_some());
        assert_eq!(lines.count(), MOST + 1);
    }
}
