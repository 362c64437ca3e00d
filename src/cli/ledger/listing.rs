//! `daypass ledger list`: events by person, role, host, kind, reason and time.

mod notes;

use serde_json::{Value, json};
use time::OffsetDateTime;

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
    proto::{
        search::{HOST_BYTES, REASON_BYTES, ROLE_BYTES, WHO_BYTES, problem},
        v1,
    },
};
use notes::{beside, notes, unknown};

/// Options of the list. All conditions must hold.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Listing {
    /// List from this index on, oldest first.
    #[arg(long, conflicts_with_all = FILTERS)]
    from: Option<u64>,
    /// The most events to list.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Events by and about this person, and about their passes and requests: a subject, an e-mail
    /// address or another label of theirs, or a key's fingerprint.
    #[arg(long, value_name = "NAME", help_heading = WHICH)]
    who: Option<String>,
    /// Events with this role.
    #[arg(long, help_heading = WHICH)]
    role: Option<String>,
    /// Events with this host, host group or bastion, and passes that hold there: by a login of a
    /// host's group, or asked for a host of the group.
    #[arg(long, help_heading = WHICH)]
    host: Option<String>,
    /// With --host: also passes with plain logins (root), which hold on each host that was set up
    /// without a host group.
    #[arg(long, requires = "host", help_heading = WHICH)]
    plain_logins: bool,
    /// Events of this kind, such as issued or policy_loaded; emergency: passes, denials and reviews
    /// of emergencies. Can be repeated.
    #[arg(long = "event", value_name = "KIND", value_parser = kind, help_heading = WHICH)]
    events: Vec<String>,
    /// Events with this text in the reason or comment, in any case.
    #[arg(long, value_name = "TEXT", help_heading = WHICH)]
    reason: Option<String>,
    /// Events at this time or later: 7d, today, 2026-01-05 or 2026-01-05T09:00:00Z. A day is of the
    /// zone in which times are shown.
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

const FILTERS: [&str; 11] = [
    "who",
    "role",
    "host",
    "plain_logins",
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
        self.say_zone(global, now, &zone);
        let is_any = filter == v1::Filter::default() && self.before.is_none();
        let found = match self.from {
            Some(from) => signed.upwards(from, self.limit).await?,
            None if is_any && global.format == Format::Text => self.newest(global, signed).await?,
            None => signed.search(filter, self.highest()?, self.limit).await?,
        };
        self.print(global, &found, &zone)
    }

    /// The highest index that is searched.
    fn highest(&self) -> Result<u64, Failure> {
        let Some(before) = self.before else {
            return Ok(u64::MAX - 1);
        };
        let highest = before.checked_sub(1);
        highest.ok_or_else(|| usage("invalid --before 0: there is no event below the first one"))
    }

    /// The newest events, without those that only fill the ledger after a restore: a thousand of
    /// them would hide what happened.
    async fn newest(&self, global: &Global, signed: &Signed) -> Result<SearchResult, Failure> {
        let (limit, any) = (self.limit as usize, v1::Filter::default);
        let mut found = signed.search(any(), u64::MAX - 1, self.limit).await?;
        let mut left_out = leave_out_skipped(&mut found)?;
        for _ in 0..MOST_PAGES {
            let Some(from) = found.searched_from.checked_sub(1) else {
                break;
            };
            if left_out == 0 || found.entries.len() >= limit {
                break;
            }
            let mut more = signed.search(any(), from, PAGE).await?;
            left_out += leave_out_skipped(&mut more)?;
            found.entries.append(&mut more.entries);
            found.approvals.append(&mut more.approvals);
            found.approvals_missing |= more.approvals_missing;
            found.searched_from = more.searched_from;
        }
        if found.entries.len() > limit {
            found.entries.truncate(limit);
            let lowest = found.entries.last().map(|entry| entry.index);
            found.searched_from = lowest.unwrap_or(found.searched_from);
        }
        if left_out > 0 {
            global.say(&format!(
                "note: {left_out} entries are left out that a restore skipped; --event skipped lists them"
            ));
        }
        Ok(found)
    }

    /// The conditions.
    fn filter(&self, now: OffsetDateTime, zone: &Zone) -> Result<v1::Filter, Failure> {
        let bound = |name: &str, option: &Option<String>| match option {
            None => Ok((0, 0)),
            Some(word) => exact(name, word, now, zone),
        };
        let (since, until) = (
            bound("--since", &self.since)?,
            bound("--until", &self.until)?,
        );
        if until.0 != 0 && since >= until {
            return Err(usage("invalid --until: it is not after --since"));
        }
        let (valid_from, valid_to) = match &self.valid_on {
            None => (0, 0),
            Some(word) => moment("--valid-on", word, now, zone)?,
        };
        Ok(v1::Filter {
            who: condition("--who", &self.who, ("name a person", WHO_BYTES))?,
            role: condition("--role", &self.role, ("name a role", ROLE_BYTES))?,
            host: condition(
                "--host",
                &self.host,
                ("name a host or host group", HOST_BYTES),
            )?,
            kinds: self.events.clone(),
            reason: condition(
                "--reason",
                &self.reason,
                ("write a part of it", REASON_BYTES),
            )?,
            since: since.0,
            until: until.0,
            since_nanos: since.1,
            until_nanos: until.1,
            valid_from,
            valid_to,
            unreviewed: self.unreviewed,
            about: None,
            plain_logins: self.plain_logins,
        })
    }

    /// Says whose days were meant, if they are not those of UTC: an answer without events shows no
    /// zone.
    fn say_zone(&self, global: &Global, now: OffsetDateTime, zone: &Zone) {
        let words = [&self.since, &self.until, &self.valid_on];
        let read = |word: &str| Moment::parse(word, now, |day| zone.day(day));
        let is_day = |word: &&String| matches!(read(word), Ok(Moment::Day(..)));
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
            ("--host", &self.host, &found.unknown_host),
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
            let mut all = json!({ "events": events });
            for (name, index) in [("before", before), ("from", found.next)] {
                if let Some((index, all)) = index.zip(all.as_object_mut()) {
                    all.insert(name.to_owned(), index.into());
                }
            }
            global.print(&all, |_| text(rows, zone))?;
        }
        self.say_unknown(global, found);
        notes(found).iter().for_each(|note| global.say(note));
        if let Some(next) = found.next {
            global.say(&format!("more: add --from {next}"));
        }
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

/// Takes out the entries that a restore skipped. Returns their number.
fn leave_out_skipped(found: &mut SearchResult) -> Result<usize, Failure> {
    let mut kept = Vec::new();
    let entries = std::mem::take(&mut found.entries);
    let all = entries.len();
    for entry in entries {
        if entry.event()?.get("type").and_then(Value::as_str) != Some("skipped") {
            kept.push(entry);
        }
    }
    found.entries = kept;
    Ok(all - found.entries.len())
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

/// The text of an option, which empty text on the wire would leave out: a variable that is not set
/// must not list everything.
///
/// # Errors
/// Returns code 2 for an empty text, or one that the server would refuse.
fn condition(
    option: &str,
    value: &Option<String>,
    (instead, most): (&str, usize),
) -> Result<String, Failure> {
    let Some(value) = value else {
        return Ok(String::new());
    };
    if value.trim().is_empty() {
        return Err(usage(&format!("invalid {option} {value:?}: {instead}")));
    }
    match problem(value, most) {
        Some(problem) => Err(usage(&format!("invalid {option}: it {problem}"))),
        None => Ok(value.clone()),
    }
}

/// Beginning and end of a time, in Unix seconds: a day of this zone, or one second. A duration
/// means so long ago.
fn moment(name: &str, word: &str, now: OffsetDateTime, zone: &Zone) -> Result<(u64, u64), Failure> {
    let times = Moment::parse(word, now, |day| zone.day(day)).and_then(Moment::seconds);
    times.map_err(|instead| usage(&format!("invalid {name} {word:?}: {instead}")))
}

/// A time, in Unix seconds and nanoseconds after them.
fn exact(name: &str, word: &str, now: OffsetDateTime, zone: &Zone) -> Result<(u64, u32), Failure> {
    let time = Moment::parse(word, now, |day| zone.day(day)).and_then(Moment::exact);
    time.map_err(|instead| usage(&format!("invalid {name} {word:?}: {instead}")))
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
    fn an_invalid_time_names_its_option_and_the_form() {
        let now = datetime!(2026-11-29 12:00 UTC);
        for (word, instead) in [
            ("soon", "use 7d, today, 2026-01-05 or 2026-01-05T09:00:00Z"),
            (
                "2026-11-30T23:00:00",
                "a time of day needs seconds and an offset, as in 2026-01-05T09:00:00Z or 2026-01-05T09:00:00+01:00",
            ),
            ("9999-12-31", "use a time from 1970-01-02 to 9999-12-30"),
        ] {
            let refused = moment("--since", word, now, &Zone::UTC).unwrap_err();
            let expected = format!("invalid --since {word:?}: {instead}");
            assert_eq!(refused.message, expected, "{word}");
        }
    }
}
