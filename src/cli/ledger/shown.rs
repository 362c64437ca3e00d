//! Events as people read them: a row of a list, and one event in lines.

use serde_json::Value;

use crate::cli::output::clean;

/// The cells of an event in the list.
pub(super) fn row(event: &Value) -> Vec<String> {
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
    vec![
        text("/index"),
        text("/at").chars().take(19).collect(),
        text("/type"),
        text("/who/label"),
        first(&["/ask/role", "/role"]),
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

/// `name: value` for every field. Inner objects are indented.
pub(super) fn lines(event: &Value) -> String {
    let mut out = Vec::new();
    write_lines(event, 0, &mut out);
    out.join("\n")
}

/// Levels of an event that are indented. Deeper ones, of a hostile event, are printed flat.
const DEEPEST: usize = 4;

fn write_lines(value: &Value, depth: usize, out: &mut Vec<String>) {
    let Value::Object(fields) = value else { return };
    let indent = "  ".repeat(depth);
    for (name, value) in fields {
        match value {
            Value::Object(_) if depth < DEEPEST => {
                out.push(format!("{indent}{}:", clean(name)));
                write_lines(value, depth + 1, out);
            }
            _ => out.push(format!("{indent}{}: {}", clean(name), clean(&plain(value)))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn counts_of_denials_read_as_a_sentence() {
        let golden = include_str!("../../../tests/golden/denials.jsonl").lines();
        let rows: Vec<_> = golden
            .map(|line| row(&serde_json::from_str(line).unwrap()))
            .collect();
        let count = "36 more denials: HOST 6, NOT_ALLOWED 30";
        assert_eq!(rows[1][2..], ["denials", "alice@example.com", "", count]);
        let count = "36 more denials of 20 identities: HOST 6, NOT_ALLOWED 30";
        assert_eq!(rows[2][2..], ["denials", "", "", count]);
    }
}
