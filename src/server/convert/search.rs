//! Conversion of a ledger filter and of what it finds. Pure.

use time::OffsetDateTime;

use super::bounds::{HOST_BYTES, Malformed, REASON_BYTES, ROLE_BYTES, malformed, text};
use crate::{
    ledger::event::kinds::{EMERGENCY, KINDS},
    operations::search::{Filter, Page},
    proto::{search::WHO_BYTES, v1},
};

/// Converts the conditions of a search.
pub(in crate::server) fn filter(wire: v1::Filter) -> Result<Filter, Malformed> {
    if wire.kinds.len() > KINDS.len() + 1 {
        return Err(malformed("filter.kinds", "holds too many kinds"));
    }
    for kind in &wire.kinds {
        if !KINDS.contains(&kind.as_str()) && kind != EMERGENCY {
            let known = KINDS.join(", ");
            return Err(malformed(
                "filter.kinds",
                format!("has an unknown kind; there are: {known}, {EMERGENCY}"),
            ));
        }
    }
    let (since, until) = (
        exact("filter.since", (wire.since, wire.since_nanos))?,
        exact("filter.until", (wire.until, wire.until_nanos))?,
    );
    if since
        .zip(until)
        .is_some_and(|(since, until)| since >= until)
    {
        return Err(malformed("filter.until", "is not after `since`"));
    }
    time("filter.valid_to", wire.valid_to)?;
    let valid = match (wire.valid_from, wire.valid_to) {
        (0, 0) => None,
        (from, to) if from < to => Some((from, to)),
        _ => return Err(malformed("filter.valid_to", "is not after `valid_from`")),
    };
    Ok(Filter {
        who: text("filter.who", &wire.who, WHO_BYTES)?,
        role: text("filter.role", &wire.role, ROLE_BYTES)?,
        host: text("filter.host", &wire.host, HOST_BYTES)?,
        kinds: wire.kinds,
        reason: text("filter.reason", &wire.reason, REASON_BYTES)?,
        since,
        until,
        valid,
        unreviewed: wire.unreviewed,
        about: wire.about,
        plain_logins: wire.plain_logins,
    })
}

/// Converts a time in Unix seconds and nanoseconds after them. 0 seconds means none.
fn exact(
    field: &'static str,
    (seconds, nanos): (u64, u32),
) -> Result<Option<OffsetDateTime>, Malformed> {
    let Some(time) = time(field, seconds)? else {
        return Ok(None);
    };
    let exact = time.replace_nanosecond(nanos);
    let exact = exact.map_err(|_| malformed(field, "has more nanoseconds than a second"))?;
    Ok(Some(exact))
}

/// Converts a time in Unix seconds. 0 means none.
fn time(field: &'static str, seconds: u64) -> Result<Option<OffsetDateTime>, Malformed> {
    if seconds == 0 {
        return Ok(None);
    }
    let seconds = i64::try_from(seconds).ok();
    let time = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.map(Some)
        .ok_or_else(|| malformed(field, "is not within the years up to 9999"))
}

/// Converts what was found.
pub(in crate::server) fn found(page: Page) -> v1::ListResponse {
    v1::ListResponse {
        events: page.entries.into_iter().map(|(_, leaf)| leaf).collect(),
        size: page.size,
        searched_from: Some(page.searched_from),
        approvals: page.approvals,
        unknown_who: page.unknown_who.map(names),
        unknown_role: page.unknown_role.map(names),
        unknown_host: page.unknown_host.map(names),
        approvals_missing: page.approvals_missing,
        ends_missing: page.ends_missing,
        names_left_out: page.names_left_out,
        plain_passes: page.plain_passes.0,
        plain_passes_more: page.plain_passes.1,
    }
}

fn names(near: Vec<String>) -> v1::list_response::Unknown {
    v1::list_response::Unknown { near }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(change: impl FnOnce(&mut v1::Filter)) -> String {
        let mut wire = v1::Filter::default();
        change(&mut wire);
        filter(wire).unwrap_err().to_string()
    }

    #[test]
    fn a_filter_out_of_bounds_is_refused() {
        for (case, refused, expected) in [
            (
                "a long name",
                refusal(|it| it.who = "x".repeat(513)),
                "filter.who is longer than 512 bytes",
            ),
            (
                "control characters",
                refusal(|it| it.host = "a\u{1b}[2J".to_owned()),
                "filter.host holds control characters",
            ),
            (
                "many kinds",
                refusal(|it| it.kinds = vec!["issued".to_owned(); KINDS.len() + 2]),
                "filter.kinds holds too many kinds",
            ),
            (
                "since after until",
                refusal(|it| (it.since, it.until) = (2, 1)),
                "filter.until is not after `since`",
            ),
            (
                "since after until within a second",
                refusal(|it| (it.since, it.since_nanos, it.until) = (2, 1, 2)),
                "filter.until is not after `since`",
            ),
            (
                "nanoseconds of more than a second",
                refusal(|it| (it.until, it.until_nanos) = (2, 1_000_000_000)),
                "filter.until has more nanoseconds than a second",
            ),
            (
                "no time",
                refusal(|it| it.since = u64::MAX),
                "filter.since is not within the years up to 9999",
            ),
            (
                "an empty validity",
                refusal(|it| (it.valid_from, it.valid_to) = (5, 5)),
                "filter.valid_to is not after `valid_from`",
            ),
        ] {
            assert_eq!(refused, expected, "{case}");
        }
        let unknown = refusal(|it| it.kinds = vec!["'; DROP TABLE posting".to_owned()]);
        assert!(unknown.contains("issued, key_activated"), "{unknown}");
    }

    proptest! {
        #[test]
        fn any_filter_is_converted_or_refused(
            texts in prop::array::uniform4("(?s).{0,600}"),
            kinds in prop::collection::vec("(issued|denied|.{0,9})", 0..25),
            numbers: [u64; 4],
            nanos: [u32; 2],
        ) {
            let [who, role, host, reason] = texts;
            let [since, until, valid_from, valid_to] = numbers;
            let [since_nanos, until_nanos] = nanos;
            let wire = v1::Filter {
                since_nanos, until_nanos,
                who, role, host, kinds, reason, since, until, valid_from, valid_to,
                unreviewed: true,
                about: Some(since),
                plain_logins: true,
            };
            if let Ok(filter) = filter(wire) {
                prop_assert!(filter.kinds.len() <= KINDS.len() + 1);
            }
        }
    }
}
