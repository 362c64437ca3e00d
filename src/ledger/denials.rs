//! Rate limit of recorded denials. Pure: time is a parameter.
//!
//! A denial of a proven identity gets an event of its own while its identity, and all identities
//! together, stay within a rate. Beyond the rate, denials are counted, and [`DenialRate::due`]
//! turns the counts into [`Denials`] events once per [`WINDOW`].
//!
//! This bounds the ledger's growth. One identity causes at most [`BURST`] + 144 denials and 144
//! counts a day: 3 MiB at 12 KiB a denial and 6 KiB a count. All identities together cause at most
//! 1,024 + 14,400 denials and 144 times [`MOST_COUNTS`] + 1 counts a day: 240 MiB.
//!
//! Each server counts for itself: N servers of one ledger cause at most N times as much.
//!
//! The rate itself is not stored. Counts are recorded before the store closes; `kill -9` loses the
//! counts of one window.

use std::collections::{BTreeMap, btree_map::Entry as MapEntry};

use time::{Duration, OffsetDateTime};

use super::{
    bucket::Bucket,
    event::{Actor, Denials},
};
use crate::unix_seconds::UnixSeconds;

/// Burst per identity: denials recorded at once after a pause.
pub const BURST: u32 = 32;

/// Refill interval per identity.
const EVERY: Duration = Duration::minutes(10);

/// Burst of all identities together.
const BURST_OF_ALL: u32 = 1024;

/// Refill interval of all identities together.
const EVERY_OF_ALL: Duration = Duration::seconds(6);

/// Time from the first counted denial to the `denials` event that contains it.
pub(crate) const WINDOW: Duration = Duration::minutes(10);

/// Largest number of identities with a count of their own in one window: those with the most
/// denials. The others share one count.
pub(crate) const MOST_COUNTS: usize = 64;

/// Largest number of identities counted separately. Denials of further identities share one count
/// until the window ends.
const MOST_IDENTITIES: usize = 8192;

/// Decides which denials are recorded, and counts the others.
#[derive(Debug)]
pub(crate) struct DenialRate {
    all: Bucket,
    identities: BTreeMap<(String, String), Identity>,
    /// Count of identities beyond [`MOST_IDENTITIES`].
    others: Option<Denials>,
    /// Times of the first and the last counted denial that is not yet recorded.
    counted: Option<(OffsetDateTime, OffsetDateTime)>,
}

#[derive(Debug)]
struct Identity {
    bucket: Bucket,
    count: Option<Denials>,
}

impl Default for DenialRate {
    fn default() -> Self {
        Self {
            all: Bucket::new(BURST_OF_ALL, EVERY_OF_ALL),
            identities: BTreeMap::new(),
            others: None,
            counted: None,
        }
    }
}

impl DenialRate {
    /// Returns `true` if a denial of `who` at `now` gets an event of its own. Otherwise counts it.
    pub(crate) fn take(&mut self, who: &Actor, reason: &str, now: OffsetDateTime) -> bool {
        let is_full = self.identities.len() >= MOST_IDENTITIES;
        let identity = match self
            .identities
            .entry((who.issuer.clone(), who.subject.clone()))
        {
            MapEntry::Occupied(entry) => entry.into_mut(),
            MapEntry::Vacant(_) if is_full => {
                add(&mut self.others, one(None, reason, now));
                self.note(now);
                return false;
            }
            MapEntry::Vacant(entry) => entry.insert(Identity {
                bucket: Bucket::new(BURST, EVERY),
                count: None,
            }),
        };
        let (own, all) = (identity.bucket.has_room(now), self.all.has_room(now));
        if own && all {
            identity.bucket.fill(now);
            self.all.fill(now);
            return true;
        }
        let bare = Actor {
            claims: serde_json::Value::Object(serde_json::Map::new()).into(),
            ..who.clone()
        };
        add(&mut identity.count, one(Some(bare), reason, now));
        self.note(now);
        false
    }

    fn note(&mut self, now: OffsetDateTime) {
        let since = self.counted.map_or(now, |(since, _)| since);
        self.counted = Some((since, now));
    }

    /// Takes the counts that must be recorded now, if their window is over.
    ///
    /// The caller gives back what it could not record ([`DenialRate::give_back`]).
    pub(crate) fn due(&mut self, now: OffsetDateTime) -> Vec<Denials> {
        match self.counted {
            // The window also ends if the clock was set back.
            Some((since, _)) if now >= since + WINDOW || now < since => self.take_counts(now),
            _ => Vec::new(),
        }
    }

    /// Takes all counts and the time of the last one, for a store that is closing.
    pub(crate) fn rest(&mut self) -> Option<(OffsetDateTime, Vec<Denials>)> {
        let (_, last) = self.counted?;
        Some((last, self.take_counts(last)))
    }

    /// Takes back counts that could not be recorded, merged into one.
    pub(crate) fn give_back(&mut self, counts: Vec<Denials>, now: OffsetDateTime) {
        for count in counts {
            add(&mut self.others, count);
            self.note(now);
        }
    }

    fn take_counts(&mut self, now: OffsetDateTime) -> Vec<Denials> {
        self.counted = None;
        let counts = self.identities.values_mut();
        let mut counts: Vec<Denials> = counts.filter_map(|one| one.count.take()).collect();
        self.identities.retain(|_, one| !one.bucket.is_empty(now));
        counts.sort_by_key(|one| std::cmp::Reverse(one.count));
        let mut others = self.others.take();
        for count in counts.split_off(counts.len().min(MOST_COUNTS)) {
            add(&mut others, count);
        }
        counts.extend(others);
        counts
    }
}

fn one(who: Option<Actor>, reason: &str, now: OffsetDateTime) -> Denials {
    let now = UnixSeconds::from(now);
    Denials {
        who,
        identities: 1,
        count: 1,
        reasons: BTreeMap::from([(reason.to_owned(), 1)]),
        since: now,
        until: now,
    }
}

/// Adds `more` to `count`. If `count` is of one identity, `more` must be of the same one.
fn add(count: &mut Option<Denials>, more: Denials) {
    let Some(sum) = count else {
        *count = Some(more);
        return;
    };
    let (who, identities) = (sum.who.take(), sum.identities);
    let is_same = who.is_some() && who == more.who;
    sum.merge(more);
    if is_same {
        (sum.who, sum.identities) = (who, identities);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-22 15:32:51 UTC);

    fn who(subject: &str) -> Actor {
        Actor {
            issuer: "https://id.example.com".to_owned(),
            subject: subject.to_owned(),
            label: subject.to_owned(),
            claims: json!({"groups": ["oncall"]}).into(),
        }
    }

    /// Asks `count` times at `now`. Returns the number of denials that get an event.
    fn refuse(rate: &mut DenialRate, subject: &str, count: u32, now: OffsetDateTime) -> u32 {
        let recorded = (0..count).filter(|_| rate.take(&who(subject), "NOT_ALLOWED", now));
        u32::try_from(recorded.count()).unwrap()
    }

    #[test]
    fn a_flood_of_denials_is_a_burst_and_then_one_count() {
        let mut rate = DenialRate::default();
        assert_eq!(refuse(&mut rate, "mallory", 10_000, NOW), BURST);
        assert_eq!(refuse(&mut rate, "alice", 1, NOW), 1, "another identity");
        assert_eq!(rate.due(NOW + WINDOW - Duration::SECOND), []);
        let counts = rate.due(NOW + WINDOW);
        let [count] = &counts[..] else {
            panic!("{counts:?}")
        };
        assert_eq!(
            (count.count, count.identities),
            (u64::from(10_000 - BURST), 1)
        );
        assert_eq!(count.who.as_ref().unwrap().subject, "mallory");
        assert_eq!(count.who.as_ref().unwrap().claims, json!({}).into());
        assert!(count.is_valid());
        assert_eq!(rate.due(NOW + WINDOW * 2), [], "told once");
    }

    #[test]
    fn one_identity_writes_no_more_than_the_stated_number_a_day() {
        let (mut rate, mut recorded, mut counts) = (DenialRate::default(), 0, 0);
        for second in 0..24 * 3600 {
            let now = NOW + Duration::seconds(second);
            recorded += refuse(&mut rate, "mallory", 1, now);
            counts += rate.due(now).len();
        }
        assert!((150..=BURST + 144).contains(&recorded), "{recorded}");
        assert!((100..=144).contains(&counts), "{counts}");
    }

    #[test]
    fn any_number_of_identities_share_a_rate_and_few_counts() {
        let mut rate = DenialRate::default();
        let mut recorded = 0;
        for n in 0..20_000 {
            recorded += refuse(&mut rate, &format!("u-{n}"), 1, NOW);
        }
        assert_eq!(recorded, BURST_OF_ALL);
        assert!(rate.identities.len() <= MOST_IDENTITIES);
        let counts = rate.due(NOW + WINDOW);
        assert_eq!(counts.len(), MOST_COUNTS + 1);
        assert!(counts.iter().all(Denials::is_valid));
        let sum: u64 = counts.iter().map(|count| count.count).sum();
        assert_eq!(sum, 20_000 - u64::from(BURST_OF_ALL));
    }

    #[test]
    fn identities_that_rest_are_forgotten() {
        let mut rate = DenialRate::default();
        refuse(&mut rate, "mallory", BURST + 1, NOW);
        refuse(&mut rate, "alice", 1, NOW);
        rate.due(NOW + WINDOW);
        assert_eq!(rate.identities.len(), 1, "alice's bucket is empty again");
        refuse(&mut rate, "bob", BURST + 1, NOW + Duration::days(1));
        rate.due(NOW + Duration::days(2));
        assert_eq!(rate.identities.len(), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_neither_stops_recording_for_long_nor_loses_counts() {
        let mut rate = DenialRate::default();
        refuse(&mut rate, "mallory", BURST + 5, NOW);
        let past = NOW - Duration::days(365);
        assert_eq!(rate.due(past).len(), 1);
        assert_eq!(refuse(&mut rate, "mallory", 1, past), 0);
        assert_eq!(refuse(&mut rate, "mallory", 1, past + EVERY), 1);
    }

    #[test]
    fn what_could_not_be_recorded_is_counted_again() {
        let mut rate = DenialRate::default();
        refuse(&mut rate, "mallory", BURST + 5, NOW);
        let counts = rate.due(NOW + WINDOW);
        rate.give_back(counts, NOW + WINDOW);
        let (last, counts) = rate.rest().unwrap();
        assert_eq!((last, counts.len()), (NOW + WINDOW, 1));
        assert_eq!(counts.first().unwrap().count, 5);
        assert_eq!(rate.rest(), None);
    }
}
