//! `daypass ledger list`: events by person, role, host, kind, reason and time.

use serde_json::{Value, json};
use time::{Date, OffsetDateTime, format_description::well_known::Iso8601};

use super::shown::set_zone;
use crate::{
    cli::{
        Failure, Global,
        failure::Code,
        local::{self, Zone},
        output::{Format, clean, write_bytes},
        table::{fitted, table},
    },
    client::{Error, Signed, audit::Entry, search::SearchResult},
    ledger::{
        event::kinds::{EMERGENCY, KINDS},
        listed::{Row, csv, rows},
        moment::Moment,
        near::near,
    },
    proto::v1,
};

/// Options of the list. All conditions must hold.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Listing {
    /// List from this index on, oldest first.
    #[arg(long, conflicts_with_all = FILTERS)]
    from: Option<u64>,
    /// The most events to list.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Events by and about this person: a subject, an e-mail address or another label of theirs, or
    /// a key's fingerprint.
    #[arg(long, value_name = "NAME", help_heading = WHICH)]
    who: Option<String>,
    /// Events with this role.
    #[arg(long, help_heading = WHICH)]
    role: Option<String>,
    /// Events with this host, host group or bastion.
    #[arg(long, help_heading = WHICH)]
    host: Option<String>,
    /// Events of this kind, such as issued or policy_loaded; emergency: passes, denials and reviews
    /// of emergencies. Can be repeated.
    #[arg(long = "event", value_name = "KIND", value_parser = kind, help_heading = WHICH)]
    events: Vec<String>,
    /// Events with this text in the reason or comment, in any case.
    #[arg(long, value_name = "TEXT", help_heading = WHICH)]
    reason: Option<String>,
    /// Events at this time or later: 7d, 2026-01-05 or 2026-01-05T09:00:00Z. A day is of the zone
    /// in which times are shown.
    #[arg(long, value_name = "TIME", help_heading = WHICH)]
    since: Option<String>,
    /// Events before this time.
    #[arg(long, value_name = "TIME", help_heading = WHICH)]
    until: Option<String>,
    /// Passes that were valid on this day or at this time.
    #[arg(long, value_name = "TIME", help_heading = WHICH)]
    valid_on: Option<String>,
    /// Emergencies whose review is not closed.
    #[arg(long, help_heading = WHICH)]
    unreviewed: bool,
    /// Events below this index: the next page.
    #[arg(long, value_name = "INDEX", help_heading = WHICH)]
    before: Option<u64>,
    /// Show times in UTC and read days in UTC on a terminal too, as for pipes, JSON and CSV.
    #[arg(long)]
    utc: bool,
}

/// Entries that are asked for at once behind those that a restore skipped.
const PAGE: u32 = 1000;

/// The most such pages.
const MOST_PAGES: usize = 20;

const WHICH: &str = "Which events";

const FILTERS: [&str; 10] = [
    "who",
    "role",
    "host",
    "events",
    "reason",
    "since",
    "until",
    "valid_on",
    "unreviewed",
    "before",
];

fn kind(word: &str) -> Result<String, String> {
    let known = || KINDS.into_iter().chain([EMERGENCY]);
    if known().any(|kind| kind == word) {
        return Ok(word.to_owned());
    }
    let near = beside(&near(word, known()));
    let known: Vec<_> = known().collect();
    Err(format!(
        "unknown kind of event{near}; there are: {}",
        known.join(", ")
    ))
}

impl Listing {
    /// Prints the events.
    ///
    /// # Errors
    /// Returns code 2 for an invalid time, and 3 if the policy does not let you read the ledger.
    pub(super) async fn run(
        &self,
        global: &Global,
        signed: &Signed,
        now: OffsetDateTime,
    ) -> Result<(), Failure> {
        let zone = match self.utc {
            true => Zone::UTC,
            false => Zone::of(global.format),
        };
        let filter = self.filter(now, &zone)?;
        self.say_zone(global, &zone);
        let found = match (self.from, filter) {
            (None, Some(filter)) => {
                let from = match self.before {
                    None => u64::MAX - 1,
                    Some(before) => before.checked_sub(1).ok_or_else(|| {
                        usage("invalid --before 0: there is no event below the first one")
                    })?,
                };
                signed.search(filter, from, self.limit).await?
            }
            (None, None) if global.format == Format::Text => SearchResult {
                entries: self.newest(global, signed).await?,
                ..SearchResult::default()
            },
            (from, _) => SearchResult {
                entries: signed.entries(from, self.limit).await?,
                ..SearchResult::default()
            },
        };
        self.print(global, &found, &zone)
    }

    /// The newest events, without those that only fill the ledger after a restore: a thousand of
    /// them would hide what happened.
    async fn newest(&self, global: &Global, signed: &Signed) -> Result<Vec<Entry>, Failure> {
        let limit = self.limit as usize;
        let (mut kept, mut left_out) = (Vec::new(), 0);
        let mut page = signed.entries(None, self.limit).await?;
        for _ in 0..MOST_PAGES {
            let Some(oldest) = page.last().map(|entry| entry.index) else {
                break;
            };
            for entry in page {
                if entry.event()?.get("type").and_then(Value::as_str) == Some("skipped") {
                    left_out += 1;
                } else if kept.len() < limit {
                    kept.push(entry);
                }
            }
            if left_out == 0 || kept.len() >= limit || oldest == 0 {
                break;
            }
            let before = oldest.saturating_sub(PAGE.into());
            let older = u32::try_from(oldest - before).unwrap_or(PAGE);
            page = signed.entries(Some(before), older).await?;
            // The server gave fewer, so these are not the ones before.
            if page.last().is_none_or(|last| last.index + 1 != oldest) {
                break;
            }
            page.reverse();
        }
        if left_out > 0 {
            global.say(&format!(
                "note: {left_out} entries are left out that a restore skipped; --event skipped lists them"
            ));
        }
        Ok(kept)
    }

    /// The conditions; none if there is no option.
    fn filter(&self, now: OffsetDateTime, zone: &Zone) -> Result<Option<v1::Filter>, Failure> {
        let text = |option: &Option<String>| option.clone().unwrap_or_default();
        let bound = |name: &str, option: &Option<String>| match option {
            None => Ok(0),
            Some(word) => moment(name, word, now, zone).map(|(start, _)| start),
        };
        let (since, until) = (
            bound("--since", &self.since)?,
            bound("--until", &self.until)?,
        );
        if until != 0 && since >= until {
            return Err(usage("invalid --until: it is not after --since"));
        }
        let (valid_from, valid_to) = match &self.valid_on {
            None => (0, 0),
            Some(word) => moment("--valid-on", word, now, zone)?,
        };
        let filter = v1::Filter {
            who: text(&self.who),
            role: text(&self.role),
            host: text(&self.host),
            kinds: self.events.clone(),
            reason: text(&self.reason),
            since,
            until,
            valid_from,
            valid_to,
            unreviewed: self.unreviewed,
            about: None,
        };
        let is_any = filter == v1::Filter::default() && self.before.is_none();
        Ok((!is_any).then_some(filter))
    }

    /// Says whose days were meant, if they are not those of UTC: an answer without events shows no
    /// zone.
    fn say_zone(&self, global: &Global, zone: &Zone) {
        let words = [&self.since, &self.until, &self.valid_on];
        let is_day = |word: &&String| Date::parse(word, &Iso8601::DATE).is_ok();
        let day = words.into_iter().flatten().find(is_day);
        if let Some((day, zone)) = day.zip(zone.name()) {
            global.say(&format!(
                "note: {day} is the day in {zone}; for UTC add --utc"
            ));
        }
    }

    /// Names what no event has and no policy, so that a slip of the finger is not read as "nothing
    /// happened".
    fn say_unknown(&self, global: &Global, found: &SearchResult) {
        if !found.entries.is_empty() {
            return;
        }
        let options = [
            ("--who", &self.who, &found.unknown_who),
            ("--role", &self.role, &found.unknown_role),
        ];
        for (option, name, near) in options {
            if let Some((name, near)) = name.as_ref().zip(near.as_ref()) {
                global.say(&unknown(option, name, near));
            }
        }
    }

    fn print(&self, global: &Global, found: &SearchResult, zone: &Zone) -> Result<(), Failure> {
        let events = found.entries.iter().map(Entry::event);
        let events: Vec<Value> = events.collect::<Result<_, Error>>()?;
        let approvals = found.approvals.iter().map(Entry::event);
        let approvals: Vec<Value> = approvals.collect::<Result<_, Error>>()?;
        let rows = rows(&events, &approvals);
        if global.format == Format::Csv {
            write_bytes(csv(&rows, clean).as_bytes())?;
        } else {
            let before = Some(found.searched_from).filter(|from| *from > 0);
            let all = match before {
                None => json!({ "events": events }),
                Some(before) => json!({ "events": events, "before": before }),
            };
            global.print(&all, |_| text(rows, zone))?;
        }
        self.say_unknown(global, found);
        let is_full = events.len() >= self.limit as usize;
        match (found.searched_from, is_full) {
            (0, _) => (),
            (from, true) => global.say(&format!("more: add --before {from}")),
            (from, false) => global.say(&format!(
                "only the events from index {from} on were searched; go on with --before {from}"
            )),
        }
        Ok(())
    }
}

fn unknown(option: &str, name: &str, near: &[String]) -> String {
    format!("note: {option} {name:?} is unknown here{}", beside(near))
}

/// Names with a similar spelling, in brackets; nothing if there are none.
fn beside(near: &[String]) -> String {
    if near.is_empty() {
        return String::new();
    }
    let near: Vec<_> = near.iter().map(|name| clean(name)).collect();
    format!(" (near: {})", near.join(", "))
}

/// The table. On a terminal, it fits.
fn text(mut rows: Vec<Row>, zone: &Zone) -> String {
    rows.iter_mut().for_each(|row| set_zone(row, zone));
    let shown = shown(&rows);
    match local::width() {
        None => table(&shown),
        Some(width) => fitted(&shown, Row::WHOLE, width),
    }
}

/// The columns, without those that are empty in each row and may be left out.
fn shown(rows: &[Row]) -> Vec<Vec<String>> {
    let is_empty = |column: usize| {
        let mut cells = rows.iter().filter_map(|row| row.cells.get(column));
        cells.all(String::is_empty)
    };
    let is_shown: Vec<bool> = Row::COLUMNS
        .iter()
        .enumerate()
        .map(|(at, name)| !Row::OPTIONAL.contains(name) || !is_empty(at))
        .collect();
    let line = |cells: Vec<String>| -> Vec<String> {
        let cells = cells.into_iter().zip(&is_shown);
        cells
            .filter_map(|(cell, is_shown)| is_shown.then_some(cell))
            .collect()
    };
    let heads = line(Row::COLUMNS.map(str::to_owned).to_vec());
    let rows = rows.iter().map(|row| line(row.cells.to_vec()));
    std::iter::once(heads).chain(rows).collect()
}

/// Beginning and end of a time, in Unix seconds: a day of this zone, or one second. A duration
/// means so long ago.
fn moment(name: &str, word: &str, now: OffsetDateTime, zone: &Zone) -> Result<(u64, u64), Failure> {
    let times = Moment::parse(word, now, |day| zone.day(day)).and_then(Moment::seconds);
    times.ok_or_else(|| {
        usage(&format!(
            "invalid {name} {word:?}: use 7d, 2026-01-05 or 2026-01-05T09:00:00Z"
        ))
    })
}

fn usage(message: &str) -> Failure {
    Failure::new(Code::Usage, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_are_days_moments_and_durations() {
        let now = datetime!(2026-11-29 12:00 UTC);
        let day = datetime!(2026-11-22 0:00 UTC).unix_timestamp();
        let day = u64::try_from(day).unwrap();
        for (word, expected) in [
            ("2026-11-22", (day, day + 86_400)),
            ("2026-11-22T00:00:00Z", (day, day + 1)),
            ("2026-11-22T01:00:00+01:00", (day, day + 1)),
            ("7d", (day + 43_200, day + 43_201)),
        ] {
            assert_eq!(
                moment("--since", word, now, &Zone::UTC).unwrap(),
                expected,
                "{word}"
            );
        }
        for word in [
            "",
            "yesterday",
            "2026-13-01",
            "1960-01-01",
            "9999999999y",
            "-1d",
            "\u{0662}d",
        ] {
            let refused = moment("--since", word, now, &Zone::UTC).unwrap_err();
            assert!(refused.message.starts_with("invalid --since"), "{word}");
        }
    }
}
