//! Events as lists show them: a row with the columns of a table or of CSV, and the events that one
//! names. Reads the stored JSON, so that a list also shows events that this version does not know.
//! Pure.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{approval, event::LoginFinding};
use crate::unix_seconds::UnixSeconds;

/// The rows of events. `approvals` are events, newest first.
pub(crate) fn rows(events: &[Value], approvals: &[Value]) -> Vec<Row> {
    let approvers = approvers(approvals);
    let row = |event: &Value| {
        let mut row = Row::of(event);
        // A denial of a request was not approved.
        let is_pass = event.pointer("/type").and_then(Value::as_str) == Some("issued");
        let request = event.pointer("/ask/request").and_then(Value::as_u64);
        let request = request.filter(|_| is_pass);
        if let Some(labels) = request.and_then(|request| approvers.get(&request)) {
            row.set("APPROVED BY", labels.join(", "));
        }
        row
    };
    events.iter().map(row).collect()
}

/// Labels of approvers by request, oldest first.
fn approvers(approvals: &[Value]) -> BTreeMap<u64, Vec<String>> {
    let mut approvers: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for event in approvals.iter().rev() {
        let request = event.pointer("/request").and_then(Value::as_u64);
        let label = event.pointer("/who/label").and_then(Value::as_str);
        if let Some((request, label)) = request.zip(label) {
            let labels = approvers.entry(request).or_default();
            if !labels.iter().any(|one| one == label) {
                labels.push(label.to_owned());
            }
        }
    }
    approvers
}

/// An event in the list.
pub(crate) struct Row {
    /// One for each column. The time is in UTC.
    pub(crate) cells: [String; 9],
    /// The time of the event.
    pub(crate) at: Option<OffsetDateTime>,
}

impl Row {
    /// The columns, in their order.
    pub(crate) const COLUMNS: [&'static str; 9] = [
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
    pub(crate) const WHOLE: usize = 3;

    /// Columns that few events have.
    pub(crate) const OPTIONAL: [&'static str; 3] = ["HOST", "REASON", "APPROVED BY"];

    /// The row of an event in JSON.
    pub(crate) fn of(event: &Value) -> Self {
        Self {
            cells: cells(event),
            at: at(event),
        }
    }

    /// Changes the cell of a column.
    pub(crate) fn set(&mut self, column: &str, text: String) {
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
    let who = match first(&["/on_behalf/by/label", "/by/label"]) {
        by if by.is_empty() => text("/who/label"),
        by => format!("{} via {by}", text("/who/label")),
    };
    let time: String = text("/at").chars().take(19).collect();
    [
        text("/index"),
        format!("{time}Z"),
        text("/type"),
        who,
        first(&["/ask/role", "/role", "/target/role"]),
        first(&["/ask/host", "/host"]),
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
    if text("/type").as_deref() == Some("foreign_login") {
        return Some(foreign_login(event));
    }
    if let Some(why) = text("/why") {
        return Some(why);
    }
    if let Some(before) = event.pointer(BEFORE) {
        return Some(format!("before {}", time_of(before)));
    }
    if text("/type").as_deref() == Some("host_joined") {
        return text("/group").map(|group| format!("joined {group}"));
    }
    if text("/type").as_deref() == Some("ca_key_ordered") {
        let anyway = event.pointer("/anyway") == Some(&Value::Bool(true));
        let anyway = if anyway { " (without waiting)" } else { "" };
        return Some(format!("{} {}{anyway}", text("/step")?, ca_key(event)));
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

/// `root from 192.0.2.7 (serial 42): not issued`.
fn foreign_login(event: &Value) -> String {
    let text = |name: &str| event.get(name).map(plain).unwrap_or_default();
    let serial = event.get("serial").map(plain);
    let serial = serial.map_or_else(String::new, |serial| format!(" (serial {serial})"));
    let finding = text("finding");
    let mut known = LoginFinding::ALL.into_iter();
    let known = known.find(|it| it.as_str() == finding);
    let finding = known.map_or(finding, |it| it.word().to_owned());
    let (login, from) = (text("login"), text("from"));
    format!("{login} from {from}{serial}: {finding}")
}

/// The fingerprint of the CA key of an order.
fn ca_key(event: &Value) -> String {
    let key = event.get("key").and_then(Value::as_str);
    let key = key.unwrap_or_default();
    approval::fingerprint(key).unwrap_or_else(|| key.to_owned())
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
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// The fields that people read first: who, what, why, when. The others follow by name.
pub(crate) const ORDER: [&str; 14] = [
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
pub(crate) const SECONDS: [&str; 6] = [
    "valid_after",
    "valid_before",
    "expires_at",
    "since",
    "until",
    "logged_at",
];

/// The time of a revocation of all passes before it, in Unix seconds.
pub(crate) const BEFORE: &str = "/target/before";

/// Unix seconds as RFC 3339 in UTC. The number beyond the years up to 9999.
fn time_of(seconds: &Value) -> String {
    let time = seconds.as_u64().and_then(|it| UnixSeconds(it).rfc3339());
    time.unwrap_or_else(|| plain(seconds))
}

/// The events that this one names, oldest first.
pub(crate) fn named(event: &Value) -> Vec<u64> {
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

/// RFC 4180, with every column. `clean` escapes characters that are not seen.
pub(crate) fn csv(rows: &[Row], clean: fn(&str) -> Cow<'_, str>) -> String {
    let heads = Row::COLUMNS.map(|head| head.to_lowercase().replace(' ', "_"));
    let mut out = format!("{}\r\n", heads.join(","));
    for row in rows {
        let cells: Vec<_> = row.cells.iter().map(|cell| quoted(&clean(cell))).collect();
        out.push_str(&format!("{}\r\n", cells.join(",")));
    }
    out
}

/// A field. A spreadsheet runs a cell that begins like a formula, so an apostrophe is put before
/// it; JSON has the text as it is.
fn quoted(cell: &str) -> String {
    let is_formula = cell.starts_with([
        '=', '+', '-', '@', '\t', '\r', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
    ]);
    let guard = if is_formula { "'" } else { "" };
    let cell = format!("{guard}{cell}");
    match cell.contains(['"', ',', '\r', '\n', ' ']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
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
        let golden = include_str!("../../tests/golden/denials.jsonl").lines();
        let rows: Vec<_> = golden
            .map(|line| shown(&serde_json::from_str(line).unwrap()))
            .collect();
        let count = "36 more denials: HOST 6, NOT_ALLOWED 30";
        assert_eq!(rows[1], ["denials", "alice@example.com", "", count]);
        let count = "36 more denials of 20 identities: HOST 6, NOT_ALLOWED 30";
        assert_eq!(rows[2], ["denials", "", "", count]);
    }

    /// The bare seconds looked like a serial.
    #[test]
    fn a_revocation_of_all_before_a_time_names_the_time() {
        for (before, what) in [
            (1_796_069_401_u64, "before 2026-11-30T20:10:01Z"),
            (u64::MAX, "before 18446744073709551615"),
        ] {
            let event = serde_json::json!({
                "type": "revoked", "target": { "before": before }, "reason": "INC-7",
            });
            assert_eq!(shown(&event)[3], what);
        }
    }

    #[test]
    fn a_pass_was_approved_and_a_denial_of_its_request_was_not() {
        let event = |kind| serde_json::json!({ "type": kind, "ask": { "request": 5 } });
        let approval = serde_json::json!({ "request": 5, "who": { "label": "carol" } });
        let rows = rows(&[event("issued"), event("denied")], &[approval]);
        let approvers = rows.iter().map(|row| row.cells[7].as_str());
        assert_eq!(approvers.collect::<Vec<_>>(), ["carol", ""]);
    }

    #[test]
    fn fields_follow_rfc_4180_and_run_no_formula() {
        for (case, cell, expected) in [
            ("plain", "web-1", "web-1"),
            ("a comma", "a,b", "\"a,b\""),
            ("quotes", "say \"x\"", "\"say \"\"x\"\"\""),
            (
                "a formula",
                "=HYPERLINK(\"http://x\")",
                "\"'=HYPERLINK(\"\"http://x\"\")\"",
            ),
            ("a sum", "+1", "'+1"),
            ("a difference", "-1", "'-1"),
            ("a function", "@SUM(1)", "'@SUM(1)"),
            ("a wide formula", "\u{ff1d}1", "'\u{ff1d}1"),
            ("a line", "a\nb", "\"a\nb\""),
        ] {
            assert_eq!(quoted(cell), expected, "{case}");
        }
    }
}
