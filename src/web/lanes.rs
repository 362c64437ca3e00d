//! Bars of a timeline, in lanes in which none covers another. Pure.

use std::collections::BTreeMap;

/// A pass in a timeline. Times are Unix seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) serial: u64,
    /// When it was issued.
    pub(super) start: u64,
    /// When it ended, or ends.
    pub(super) end: u64,
    /// When it would have ended by itself.
    pub(super) planned_end: u64,
    pub(super) who: String,
    pub(super) role: String,
    /// Empty: none was named.
    pub(super) host: String,
    pub(super) logins: String,
    /// Empty: any command.
    pub(super) command: String,
    pub(super) reason: String,
    pub(super) is_emergency: bool,
    /// The event that revoked it.
    pub(super) ended_by: Option<u64>,
}

/// The bars of one person and role, in lanes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group<'a> {
    pub(super) who: &'a str,
    pub(super) role: &'a str,
    pub(super) lanes: Vec<Vec<&'a Bar>>,
}

/// Groups bars by person and role, each in as few lanes as its bars need.
pub(super) fn groups(bars: &[Bar]) -> Vec<Group<'_>> {
    let mut by_name: BTreeMap<(&str, &str), Vec<&Bar>> = BTreeMap::new();
    for bar in bars {
        by_name.entry((&bar.who, &bar.role)).or_default().push(bar);
    }
    let groups = by_name.into_iter();
    groups
        .map(|((who, role), bars)| Group {
            who,
            role,
            lanes: lanes(bars),
        })
        .collect()
}

fn lanes(mut bars: Vec<&Bar>) -> Vec<Vec<&Bar>> {
    bars.sort_by_key(|bar| (bar.start, bar.serial));
    let mut lanes: Vec<Vec<&Bar>> = Vec::new();
    for bar in bars {
        // The dashed rest of a revoked pass takes room, too.
        let is_free = |lane: &&mut Vec<&Bar>| {
            let last = lane.last();
            last.is_none_or(|last| last.planned_end.max(last.end) <= bar.start)
        };
        match lanes.iter_mut().find(is_free) {
            Some(lane) => lane.push(bar),
            None => lanes.push(vec![bar]),
        }
    }
    lanes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bar(who: &str, start: u64, end: u64) -> Bar {
        Bar {
            who: who.to_owned(),
            start,
            end,
            planned_end: end,
            ..Bar::default()
        }
    }

    #[test]
    fn bars_that_overlap_are_in_lanes_of_their_own() {
        let bars = [
            bar("bob", 0, 10),
            bar("bob", 5, 15),
            bar("bob", 10, 20),
            bar("ada", 0, 1),
        ];
        let groups = groups(&bars);
        assert_eq!((groups[0].who, groups[1].who), ("ada", "bob"));
        assert_eq!(groups[1].lanes, [vec![&bars[0], &bars[2]], vec![&bars[1]]]);
    }

    proptest! {
        #[test]
        fn no_bar_is_lost_and_none_covers_another(
            times in proptest::collection::vec((0_u64..1000, 0_u64..100, 0_u8..3), 0..80)
        ) {
            let bars: Vec<Bar> = times
                .iter()
                .map(|(start, length, who)| bar(&who.to_string(), *start, start + length))
                .collect();
            let groups = groups(&bars);
            let shown: usize = groups.iter().flat_map(|it| &it.lanes).map(Vec::len).sum();
            prop_assert_eq!(shown, bars.len());
            for lane in groups.iter().flat_map(|group| &group.lanes) {
                for pair in lane.windows(2) {
                    prop_assert!(pair[0].end <= pair[1].start);
                }
            }
        }
    }
}
