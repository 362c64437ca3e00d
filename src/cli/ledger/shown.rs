//! Events as people read them: a row of a list, and one event in lines.

use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::cli::{local::Zone, output::clean};

/// An event in the list.
pub(super) struct Row {
    /// One for each column. The time is in UTC.
    pub(super) cells: [String; 9],
    at: Option<OffsetDateTime>,
}

impl Row {
    pub(super) const COLUMNS: [&'static str; 9] = [
        "INDEX",
        "TIME",
        "EVENT",
        "WHO",
        "ROLE",
        "HOST",
        "REASON",
        "APPROVED BY",
        "WHAT",
    ];

    /// The first columns, which are never cut: index, time and kind.
    pub(super) const WHOLE: usize = 3;

    /// Columns that few events have.
    pub(super) const OPTIONAL: [&'static str; 3] = ["HOST", "REASON", "APPROVED BY"];

    pub(super) fn of(event: &Value) -> Self {
        Self {
            cells: cells(event),
            at: at(event),
        }
    }

    /// Changes the time to that of a zone.
    pub(super) fn set_zone(&mut self, zone: &Zone) {
        if let Some(time) = self.at.and_then(|at| zone.format(at)) {
            self.set("TIME", time);
        }
    }

    pub(super) fn set(&mut self, column: &str, text: String) {
        let cells = Self::COLUMNS.iter().zip(&mut self.cells);
        for (_, cell) in cells.filter(|(name, _)| **name == column) {
            text.clone_into(cell);
        }
    }
}

fn at(event: &Value) -> Option<OffsetDateTime> {
    let at = event.get("at")?.as_str()?;
    OffsetDateTime::parse(at, &Rfc3339).ok()
}

fn cells(event: &Value) -> [String; 9] {
    let text = |pointer: &str| {
        let value = event.pointer(pointer);
        value.map(plain).unwrap_or_default()
    };
    let first = |pointers: &[&str]| {
        let texts = pointers.iter().map(|pointer| text(pointer));
        texts
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    };
    let mut about = what(event).unwrap_or_else(|| {
        first(&[
            "/command",
            "/target/identity",
            "/target/key",
            "/target/role",
            "/target/serial",
            "/target/before",
            "/reason",
            "/principals",
            "/cause",
            "/policy",
            "/version",
            "/key",
        ])
    });
    if event.get("cut") == Some(&Value::Bool(true)) {
        about.push_str(" (ask cut)");
    }
    // The reason of a denial is a code, which is in the last column.
    let is_denial = text("/type") == "denied";
    let reason = if is_denial { "/ask/reason" } else { "/reason" };
    let signers = event.pointer("/emergency_proof/signatures");
    let signers = signers.and_then(Value::as_array).into_iter().flatten();
    let signers = signers.filter_map(|one| one.pointer("/who/label")?.as_str());
    let time: String = text("/at").chars().take(19).collect();
    [
        text("/index"),
        format!("{time}Z"),
        text("/type"),
        text("/who/label"),
        first(&["/ask/role", "/role", "/target/role"]),
        text("/ask/host"),
        first(&["/ask/reason", reason]),
        signers.collect::<Vec<_>>().join(", "),
        about,
    ]
}

/// The subject of an event, if it is not one field of it.
fn what(event: &Value) -> Option<String> {
    let text = |pointer: &str| event.pointer(pointer).map(plain);
    if let Some(request) = text("/request") {
        let words = text("/comment").map(|words| format!(": {words}"));
        return Some(format!("request {request}{}", words.unwrap_or_default()));
    }
    if text("/type").as_deref() == Some("denials") {
        return Some(more_denials(event));
    }
    if let Some(bastion) = text("/jump/bastion") {
        return Some(format!("jump through {bastion}"));
    }
    let is_emergency = event.pointer("/ask/emergency") == Some(&Value::Bool(true));
    let is_pass = text("/type").as_deref() == Some("issued");
    let redeemed = text("/ask/request").map(|id| format!("request {id}"));
    let why = is_emergency.then(|| "emergency".to_owned()).or(redeemed);
    let gives = text("/command").or_else(|| text("/principals"))?;
    Some(format!("{} ({})", gives, why.filter(|_| is_pass)?))
}

/// `36 more denials: NOT_ALLOWED 30, HOST 6`, with the number of identities if there are several.
fn more_denials(event: &Value) -> String {
    let number = |name: &str| event.get(name).and_then(Value::as_u64).unwrap_or_default();
    let of = match number("identities") {
        0 | 1 => String::new(),
        many => format!(" of {many} identities"),
    };
    let reasons = event.get("reasons").and_then(Value::as_object);
    let reasons = reasons.into_iter().flatten();
    let reasons: Vec<_> = reasons.map(|(code, n)| format!("{code} {n}")).collect();
    format!(
        "{} more denials{of}: {}",
        number("count"),
        reasons.join(", ")
    )
}

/// A value on one line. Strings have no quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
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

/// The fields that people read first: who, what, why, when. The others follow by name.
const ORDER: [&str; 14] = [
    "who",
    "type",
    "serial",
    "request",
    "target",
    "role",
    "ask",
    "principals",
    "command",
    "reason",
    "comment",
    "at",
    "valid_after",
    "valid_before",
];

/// Fields in Unix seconds.
const SECONDS: [&str; 5] = [
    "valid_after",
    "valid_before",
    "expires_at",
    "since",
    "until",
];

/// `name: value` for every field: who, what, why, when. Inner objects are indented. Times are in
/// the zone, or in UTC.
pub(super) fn lines(event: &Value, now: OffsetDateTime, zone: Option<&Zone>) -> String {
    let mut out = Vec::new();
    let all = event.as_object().into_iter().flatten();
    let first = ORDER
        .iter()
        .filter_map(|name| event.as_object()?.get_key_value(*name));
    let rest = all.filter(|(name, _)| !ORDER.contains(&name.as_str()));
    for (name, value) in first.chain(rest) {
        match for_people((name, value), now, zone) {
            Some(time) => out.push(format!("{name}: {}", clean(&time))),
            None => write_field((name, value), 0, &mut out),
        }
    }
    out.join("\n")
}

/// A time, and how long ago it was.
fn for_people(
    (name, value): (&str, &Value),
    now: OffsetDateTime,
    zone: Option<&Zone>,
) -> Option<String> {
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
    let text = zone.and_then(|zone| zone.format(time)).unwrap_or(text);
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

/// The events that this one names, oldest first.
pub(super) fn named(event: &Value) -> Vec<u64> {
    let one = |pointer: &str| event.pointer(pointer).and_then(Value::as_u64);
    let serials = event.get("serials").and_then(Value::as_array);
    let serials = serials.into_iter().flatten().filter_map(Value::as_u64);
    let pointers = ["/ask/request", "/request", "/jump/pass", "/target/serial"];
    let mut named: Vec<_> = pointers
        .into_iter()
        .filter_map(one)
        .chain(serials)
        .collect();
    named.sort_unstable();
    named.dedup();
    named
}

/// A related event on one line.
pub(super) fn related(event: &Value, zone: Option<&Zone>) -> String {
    let mut row = Row::of(event);
    if let Some(zone) = zone {
        row.set_zone(zone);
    }
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

fn write_field((name, value): (&String, &Value), depth: usize, out: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(_) if depth < DEEPEST => {
            out.push(format!("{indent}{}:", clean(name)));
            write_lines(value, depth + 1, out);
        }
        _ => out.push(format!("{indent}{}: {}", clean(name), clean(&plain(value)))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    fn shown(event: &Value) -> [String; 4] {
        let [_, _, kind, who, role, _, _, _, what] = cells(event);
        [kind, who, role, what]
    }

    #[test]
    fn counts_of_denials_read_as_a_sentence() {
        let golden = include_str!("../../../tests/golden/denials.jsonl").lines();
        let rows: Vec<_> = golden
            .map(|line| shown(&serde_json::from_str(line).unwrap()))
            .collect();
        let count = "36 more denials: HOST 6, NOT_ALLOWED 30";
        assert_eq!(rows[1], ["denials", "alice@example.com", "", count]);
        let count = "36 more denials of 20 identities: HOST 6, NOT_ALLOWED 30";
        assert_eq!(rows[2], ["denials", "", "", count]);
    }
}
