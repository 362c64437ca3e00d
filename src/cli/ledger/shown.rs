//! One event in lines, as people read it.

use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    cli::{local::Zone, output::clean},
    ledger::listed::{ORDER, Row, SECONDS, plain},
};

/// Changes the time of a row to that of a zone.
pub(super) fn set_zone(row: &mut Row, zone: &Zone) {
    if let Some(time) = row.at.and_then(|at| zone.format(at)) {
        row.set("TIME", time);
    }
}

/// For people, a policy's text is a command.
pub(super) fn refer_to_text(event: &mut Value) {
    let is_load = event.pointer("/type").and_then(Value::as_str) == Some("policy_loaded");
    let hash = event.pointer("/policy").map(plain).unwrap_or_default();
    if let Some(text) = event.get_mut("text").filter(|_| is_load) {
        *text = Value::from(format!("daypass ledger policy {hash:.12}"));
    }
}

/// `name: value` for every field: who, what, why, when. Inner objects are indented.
pub(super) fn lines(event: &Value, now: OffsetDateTime, zone: &Zone) -> String {
    let mut out = Vec::new();
    let all = event.as_object().into_iter().flatten();
    let first = ORDER
        .iter()
        .filter_map(|name| event.as_object()?.get_key_value(*name));
    let rest = all.filter(|(name, _)| !ORDER.contains(&name.as_str()));
    for (name, value) in first.chain(rest) {
        match for_people((name, value), now, zone) {
            Some(time) => out.push(format!("{name}: {}", clean(&time))),
            None if name == "target" => {
                let target = with_time(value, now, zone);
                write_field((name, &target), 0, &mut out);
            }
            None => write_field((name, value), 0, &mut out),
        }
    }
    out.join("\n")
}

/// The target of a revocation, with its time as people read it.
fn with_time(target: &Value, now: OffsetDateTime, zone: &Zone) -> Value {
    let mut target = target.clone();
    if let Some(before) = target.get_mut("before") {
        let time = for_people(("until", before), now, zone);
        *before = time.map_or_else(|| before.clone(), Value::from);
    }
    target
}

/// A time, and how long ago it was.
fn for_people((name, value): (&str, &Value), now: OffsetDateTime, zone: &Zone) -> Option<String> {
    let (text, time) = if name == "at" {
        let text = value.as_str()?;
        (text.to_owned(), OffsetDateTime::parse(text, &Rfc3339).ok()?)
    } else if SECONDS.contains(&name) {
        let seconds = i64::try_from(value.as_u64()?).ok()?;
        let time = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
        (time.format(&Rfc3339).ok()?, time)
    } else {
        return None;
    };
    let text = zone.format(time).unwrap_or(text);
    let distance = (now - time).whole_seconds();
    let length = span(distance.unsigned_abs());
    Some(match distance {
        ..0 => format!("{text} (in {length})"),
        0.. => format!("{text} ({length} ago)"),
    })
}

/// The largest unit of a length of time.
fn span(seconds: u64) -> String {
    for (unit, name) in [(86_400, "d"), (3600, "h"), (60, "min")] {
        if seconds >= unit {
            return format!("{} {name}", seconds / unit);
        }
    }
    format!("{seconds} s")
}

/// A related event on one line.
pub(super) fn related(event: &Value, zone: &Zone) -> String {
    let mut row = Row::of(event);
    set_zone(&mut row, zone);
    let [index, time, kind, who, role, ..] = row.cells;
    let line = format!("  {index}  {time}  {kind}  {who}  {role}");
    clean(line.trim_end()).into_owned()
}

/// Levels of an event that are indented. Deeper ones, of a hostile event, are printed flat.
const DEEPEST: usize = 4;

fn write_lines(value: &Value, depth: usize, out: &mut Vec<String>) {
    let Value::Object(fields) = value else { return };
    for field in fields {
        write_field(field, depth, out);
    }
}

/// `issuer: https://id.example.com, subject: u-bob`
fn on_one_line(value: &Value) -> String {
    let Value::Object(fields) = value else {
        return plain(value);
    };
    let fields = fields.iter();
    let fields = fields.map(|(name, value)| format!("{name}: {}", plain(value)));
    fields.collect::<Vec<_>>().join(", ")
}

fn write_field((name, value): (&String, &Value), depth: usize, out: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(_) if depth < DEEPEST => {
            out.push(format!("{indent}{}:", clean(name)));
            write_lines(value, depth + 1, out);
        }
        Value::Array(all) if all.iter().any(Value::is_object) => {
            out.push(format!("{indent}{}:", clean(name)));
            for one in all {
                out.push(format!("{indent}  {}", clean(&on_one_line(one))));
            }
        }
        _ => out.push(format!("{indent}{}: {}", clean(name), clean(&plain(value)))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    /// The time was bare Unix seconds, and the identities were JSON.
    #[test]
    fn a_revocation_has_its_time_and_the_covered_in_words() {
        let event = json!({
            "type": "revoked",
            "target": { "before": 1_796_067_001 },
            "covers": [
                { "issuer": "https://id.example.com", "subject": "u-1", "label": "alice" },
                { "issuer": "https://id.example.com", "subject": "u-2", "label": "alice" },
            ],
            "serials": [3, 4],
        });
        let now = datetime!(2026-11-30 19:32:01 UTC);
        let expected = [
            "type: revoked",
            "target:",
            "  before: 2026-11-30T19:30:01Z (2 min ago)",
            "covers:",
            "  issuer: https://id.example.com, label: alice, subject: u-1",
            "  issuer: https://id.example.com, label: alice, subject: u-2",
            "serials: 3,4",
        ];
        let shown = lines(&event, now, &Zone::UTC);
        assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
    }
}
