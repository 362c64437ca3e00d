//! One event: who, what, why and when, what belongs to it, and the place where the browser says
//! whether it is proven.
//!
//! Each value of the event stands in an element with its path. The script compares them with the
//! proven bytes, so that the page shows nothing else and leaves nothing out.

use axum::response::Html;
use maud::{Markup, html};
use serde_json::Value;

use super::frame::{Frame, needs_script};
use crate::{
    ledger::listed::{BEFORE, Row},
    unix_seconds::{UnixSeconds, moment},
    web::{
        sessions::Session,
        view::{duration, lines, plain, short},
    },
};

/// An event, as the ledger has it.
pub(in crate::web) struct EventView {
    pub(in crate::web) index: u64,
    /// The stored bytes.
    pub(in crate::web) leaf: String,
    pub(in crate::web) event: Value,
    /// Events that belong to it, oldest first.
    pub(in crate::web) related: Vec<Row>,
}

/// One value of an event.
struct Field {
    /// A JSON pointer (RFC 6901).
    path: String,
    value: Value,
}

/// The parts of the page, in their order.
const PARTS: [(&str, &[&str]); 4] = [
    ("Who", &["/who/label", "/who/subject", "/who/issuer"]),
    (
        "What",
        &[
            "/type",
            "/request",
            "/target",
            "/role",
            "/ask/role",
            "/ask/host",
            "/host",
            "/group",
            "/aliases",
            "/ask/params",
            "/ask/request",
            "/ask/emergency",
            "/principals",
            "/command",
            "/source_addresses",
            "/extensions",
            "/serials",
            "/covers",
            "/needed",
            "/jump",
            "/through",
            "/count",
            LINES,
            "/reasons",
            "/identities",
        ],
    ),
    (
        "Why",
        &[
            "/ask/reason",
            "/reason",
            "/comment",
            "/detail",
            "/cause",
            "/why",
        ],
    ),
    (
        "When",
        &[
            "/at",
            "/valid_after",
            "/valid_before",
            "/expires_at",
            "/since",
            "/until",
            "/ttl_seconds",
            "/ask/ttl_seconds",
        ],
    ),
];

/// Path of a text of many lines: a policy.
const LINES: &str = "/text";

/// Paths of times in Unix seconds.
const SECONDS: [&str; 6] = [
    BEFORE,
    "/valid_after",
    "/valid_before",
    "/expires_at",
    "/since",
    "/until",
];

/// The page of an event.
pub(in crate::web) fn event(session: &Session, view: &EventView, now: UnixSeconds) -> Html<String> {
    let kind = view.event.get("type").and_then(Value::as_str);
    let title = format!("Event {}", view.index);
    let mut rest = Vec::new();
    flatten(&view.event, String::new(), 0, &mut rest);
    let mut parts = Vec::new();
    for (name, paths) in PARTS {
        let mut fields = Vec::new();
        for path in paths {
            let (found, other) = rest
                .into_iter()
                .partition(|it: &Field| is_below(&it.path, path));
            fields.extend::<Vec<Field>>(found);
            rest = other;
        }
        parts.push((name, fields));
    }
    Frame::new(&title, Some(session))
        .script("/web/proof.js")
        .page(&html! {
            p class="back" { a href="/web/audit" { "Audit" } }
            (needs_script())
            h1 { (title) ": " (short(kind.unwrap_or("unknown"), 40)) }
            p id="proof" class="proof" role="status" data-index=(view.index) {
                "Not verified yet: your browser does it with JavaScript. On a command line: "
                code { "daypass ledger show " (view.index) }
            }
            div id="fields" {
                @for (name, fields) in &parts {
                    @if !fields.is_empty() {
                        h2 { (name) }
                        dl { @for field in fields { (self::field(field, now)) } }
                    }
                }
                details {
                    summary { "Claims, keys and signatures" }
                    dl { @for field in &rest { (self::field(field, now)) } }
                }
            }
            (related(view))
            details {
                summary { "The event's bytes in the ledger" }
                pre id="event" tabindex="0" { (view.leaf) }
            }
        })
}

fn is_below(path: &str, part: &str) -> bool {
    let rest = path.strip_prefix(part);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The deepest level of an event that is taken apart: more than the reader of JSON takes.
const DEEPEST: usize = 128;

/// Takes a value apart into texts, numbers and the like.
fn flatten(value: &Value, path: String, depth: usize, fields: &mut Vec<Field>) {
    match value {
        Value::Object(all) if !all.is_empty() && depth < DEEPEST => {
            for (name, value) in all {
                let name = name.replace('~', "~0").replace('/', "~1");
                flatten(value, format!("{path}/{name}"), depth + 1, fields);
            }
        }
        Value::Array(all) if !all.is_empty() && depth < DEEPEST => {
            for (at, value) in all.iter().enumerate() {
                flatten(value, format!("{path}/{at}"), depth + 1, fields);
            }
        }
        Value::Object(_)
        | Value::Array(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_) => fields.push(Field {
            path,
            value: value.clone(),
        }),
    }
}

fn field(field: &Field, now: UnixSeconds) -> Markup {
    let text = match &field.value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let name = field.path.trim_start_matches('/').replace('/', " ");
    html! {
        div {
            dt { bdi { (short(&name, 120)) } }
            dd {
                @if field.path == LINES {
                    // A parser of HTML leaves out a line break at the beginning.
                    pre data-field=(field.path) tabindex="0" { "\n" (lines(&text)) }
                } @else {
                    bdi data-field=(field.path) { (plain(&text)) }
                }
                @if let Some(seconds) = seconds(field) {
                    span class="small" { (moment(seconds)) ", " (distance(seconds, now)) }
                }
                @if let Some(index) = link(field) {
                    " " a href={ "/web/audit/" (index) } { "event " (index) }
                }
                @if field.path == "/who/label" {
                    " " a href={ "/web/audit/timeline?" (who(&text)) } { "Timeline" }
                }
            }
        }
    }
}

fn who(label: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("who", label).finish()
}

fn seconds(field: &Field) -> Option<u64> {
    let is_seconds = SECONDS.contains(&field.path.as_str());
    field.value.as_u64().filter(|_| is_seconds)
}

/// How far away a time is.
fn distance(seconds: u64, now: UnixSeconds) -> String {
    let time = UnixSeconds(seconds);
    match time > now {
        true => format!("in {}", duration(time.seconds_since(now))),
        false => format!("{} ago", duration(now.seconds_since(time))),
    }
}

/// The event that a field names.
fn link(field: &Field) -> Option<u64> {
    let path = field.path.as_str();
    let names = ["/ask/request", "/request", "/jump/pass", "/target/serial"];
    let is_serial = path.starts_with("/serials/");
    field
        .value
        .as_u64()
        .filter(|_| is_serial || names.contains(&path))
}

fn related(view: &EventView) -> Markup {
    html! {
        @if !view.related.is_empty() {
            h2 { "What belongs to it" }
            ul class="decisions" {
                @for row in &view.related {
                    li {
                        @let [index, time, kind, who, role, ..] = &row.cells;
                        a href={ "/web/audit/" (index) } { "Event " (index) ": " bdi { (short(kind, 40)) } }
                        " by " bdi { (short(who, 160)) }
                        @if !role.is_empty() { " (" bdi { (short(role, 100)) } ")" }
                        span class="small" { (short(time, 40)) }
                    }
                }
            }
            p class="small" { "As the server lists them. The page of each proves it." }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn flat(value: &Value) -> Vec<Field> {
        let mut fields = Vec::new();
        flatten(value, String::new(), 0, &mut fields);
        fields
    }

    #[test]
    fn each_value_is_found_at_its_path() {
        let event = json!({"a": {"b/c": [1, "x", {}], "~": null}, "d": [], "e": true});
        let fields = flat(&event);
        let paths: Vec<&str> = fields.iter().map(|field| field.path.as_str()).collect();
        assert_eq!(
            paths,
            ["/a/b~1c/0", "/a/b~1c/1", "/a/b~1c/2", "/a/~0", "/d", "/e"]
        );
        for field in &fields {
            assert_eq!(event.pointer(&field.path), Some(&field.value));
        }
        assert!(is_below("/who/label", "/who") && !is_below("/whose", "/who"));
    }

    proptest! {
        #[test]
        fn no_nesting_is_lost(levels in 0_usize..120) {
            let mut value = json!("x");
            for _ in 0..levels {
                value = json!({ "a": value });
            }
            let fields = flat(&value);
            prop_assert_eq!(fields.len(), 1);
            prop_assert_eq!(fields.first().unwrap().path.matches('/').count(), levels);
        }
    }
}
