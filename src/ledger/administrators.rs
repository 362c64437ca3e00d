//! The keys that a client or host knows as administrators': remembered from one good answer of the
//! server to the next. Pure.
//!
//! The keys of the first answer count at once. A key that is added later counts after
//! [`YOUNG`], so that a stolen server cannot name a key of its own and use it. A key that is
//! removed counts no more.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::unix_seconds::UnixSeconds;

/// Time after which a key that was added counts.
pub(crate) const YOUNG: Duration = Duration::from_secs(7 * 24 * 3600);

/// Keys of administrators at most.
pub(crate) const MOST: usize = 64;

/// The keys that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    keys: Vec<KnownKey>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KnownKey {
    /// Its fingerprint, `SHA256:...`.
    key: String,
    /// The time from which on it counts.
    counts_from: UnixSeconds,
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is an administrator's.
    Known,
    /// It was added a short time ago, and counts from this time on.
    Young(UnixSeconds),
    /// It is none, or it was removed.
    Unknown,
}

impl Known {
    /// The keys of the first answer.
    pub(crate) fn first(keys: &BTreeSet<String>) -> Self {
        Self::default().with(keys, UnixSeconds(0))
    }

    /// The keys after a later answer.
    pub(crate) fn then(&self, keys: &BTreeSet<String>, now: UnixSeconds) -> Self {
        self.with(keys, now.saturating_add(YOUNG))
    }

    fn with(&self, keys: &BTreeSet<String>, counts_from: UnixSeconds) -> Self {
        let known = |key: &String| self.keys.iter().find(|known| known.key == *key);
        let keys = keys.iter().take(MOST).map(|key| KnownKey {
            key: key.clone(),
            counts_from: known(key).map_or(counts_from, |known| known.counts_from),
        });
        Self {
            keys: keys.collect(),
        }
    }

    /// What is known of the key with this fingerprint.
    pub(crate) fn standing(&self, key: &str, now: UnixSeconds) -> Standing {
        match self.keys.iter().find(|known| known.key == key) {
            Some(known) if known.counts_from <= now => Standing::Known,
            Some(known) => Standing::Young(known.counts_from),
            None => Standing::Unknown,
        }
    }

    /// The number of keys.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

impl Standing {
    /// Why a statement by this key does not count; `None` if it does. `accept` is the command that
    /// accepts it by name.
    pub(crate) fn objection(self, key: &str, accept: &str) -> Option<String> {
        let why = match self {
            Self::Known => return None,
            Self::Young(from) => format!(
                "the server named that key as an administrator's a short time ago, and it counts from {} on",
                date(from)
            ),
            Self::Unknown => "that key was not known as an administrator's here before".to_owned(),
        };
        Some(format!(
            "there is one with the key {key}, but {why}. Ask the administrator for the \
             key's fingerprint, not by way of this server. If it is the same one, run: {accept} {key}"
        ))
    }
}

/// The day of this time (UTC), for people.
fn date(time: UnixSeconds) -> String {
    let seconds = i64::try_from(time.get()).unwrap_or(i64::MAX);
    let day = OffsetDateTime::from_unix_timestamp(seconds).map(|time| time.date().to_string());
    day.unwrap_or_else(|_| time.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(keys: &[&str]) -> BTreeSet<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    #[test]
    fn a_key_of_the_first_answer_counts_at_once_and_a_later_one_after_a_week() {
        let (day, week) = (UnixSeconds(86_400), YOUNG.as_secs());
        let known = Known::first(&set(&["a"])).then(&set(&["a", "b"]), day);
        let late = day.saturating_add(YOUNG);
        for (case, key, now, expected) in [
            ("the first", "a", day, Standing::Known),
            ("added", "b", day, Standing::Young(late)),
            ("added a week ago", "b", late, Standing::Known),
            ("never seen", "c", late, Standing::Unknown),
        ] {
            assert_eq!(known.standing(key, now), expected, "{case}");
        }
        let again = known.then(&set(&["a", "b"]), UnixSeconds(86_400 + week / 2));
        assert_eq!(again, known, "an answer that says the same changes nothing");
        let removed = known.then(&set(&["b"]), late);
        assert_eq!(removed.standing("a", late), Standing::Unknown, "removed");
        let back = removed.then(&set(&["a", "b"]), late);
        assert_eq!(
            back.standing("a", late),
            Standing::Young(late.saturating_add(YOUNG)),
            "removed and added again"
        );
        let none = known.then(&set(&[]), day).then(&set(&["c"]), day);
        assert_eq!(
            none.standing("c", day),
            Standing::Young(late),
            "an empty list is no new beginning"
        );
    }

    proptest! {
        #[test]
        fn no_order_of_answers_makes_a_new_key_count_before_a_week(
            answers in proptest::collection::vec((0u8..16, 0u64..2_000_000), 1..20)
        ) {
            let mut known = Known::first(&set(&["first"]));
            let mut now = 0;
            let mut since = None;
            for (keys, step) in answers {
                now += step;
                let names = ["a", "b", "c", "d"];
                let listed = names.iter().enumerate().filter(|(at, _)| keys >> at & 1 == 1);
                let listed: Vec<&str> = listed.map(|(_, name)| *name).collect();
                since = listed.contains(&"a").then(|| since.unwrap_or(now));
                known = known.then(&set(&listed), UnixSeconds(now));
                let counts = known.standing("a", UnixSeconds(now)) == Standing::Known;
                let is_old = since.is_some_and(|since| now - since >= YOUNG.as_secs());
                prop_assert_eq!(counts, is_old);
                prop_assert_eq!(known.standing("first", UnixSeconds(now)), Standing::Unknown);
            }
        }
    }
}
