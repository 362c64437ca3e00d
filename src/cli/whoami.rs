//! `daypass whoami`: the caller as the server sees them.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    Failure, Global,
    output::{bold, clean, one_line},
    target::{Target, left, moment},
};
use crate::client::{now, server_info::Binding, who_am_i::WhoAmI};

/// Show who you are to the server: identity, groups and other claims, and the open roles.
///
/// Role conditions read the claims that are listed here. If a group is missing, the identity
/// provider did not send it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 4 if you are not signed in.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let signed = self.target.client()?.signed_in().await?;
        let seen = signed.who_am_i().await?;
        global.print(&seen, text)?;
        if let Some(note) = seen.clock_note() {
            global.say(&format!("daypass: note: {note}"));
        }
        Ok(())
    }
}

fn text(seen: &WhoAmI) -> String {
    let mut lines = vec![
        bold(&one_line(&seen.label)).into_owned(),
        row("issuer", &format!("{} ({})", seen.issuer, seen.issuer_name)),
        row("subject", &seen.subject),
        row("binding", binding(seen.binding)),
    ];
    if let Some(time) = seen.claims.get("auth_time").and_then(Value::as_u64) {
        let age = humantime::format_duration(Duration::from_secs(now().saturating_sub(time)));
        lines.push(row("signed in", &format!("{age} ago ({})", moment(time))));
    }
    let ends = format!("{} ({})", left(now(), seen.expires), moment(seen.expires));
    lines.push(row("ends in", &ends));
    let roles = match seen.roles.as_slice() {
        [] => "none".to_owned(),
        roles => roles.join(", "),
    };
    lines.push(row("roles", &roles));
    lines.extend(claims(&seen.claims));
    lines.join("\n")
}

fn row(name: &str, value: &str) -> String {
    format!("  {name:<9}  {}", clean(value))
}

fn binding(binding: Binding) -> &'static str {
    match binding {
        Binding::Nonce => "nonce (the sign-in is useless with another key)",
        Binding::Audience => "audience (the token is useless with another key)",
        Binding::None => "none (a device code, or an issuer that binds nothing)",
    }
}

/// Claims that have a row of their own, or that only the protocol needs.
const SHOWN: [&str; 7] = ["iss", "sub", "aud", "azp", "exp", "iat", "auth_time"];

/// Rows of claims at most; `--format json` has them all.
const ROWS: usize = 40;

fn claims(claims: &Map<String, Value>) -> Vec<String> {
    let others = claims
        .iter()
        .filter(|(name, _)| !SHOWN.contains(&name.as_str()));
    let mut lines: Vec<_> = others
        .map(|(name, value)| format!("  {}  {}", clean(name), shortened(&words(value))))
        .collect();
    if lines.len() > ROWS {
        let rest = lines.split_off(ROWS).len();
        lines.push(format!("  and {rest} more: daypass whoami --format json"));
    }
    if !lines.is_empty() {
        lines.insert(0, "claims".to_owned());
    }
    lines
}

/// A list of texts with commas, a text as it is, everything else as JSON.
fn words(value: &Value) -> String {
    let texts = |items: &[Value]| -> Option<Vec<String>> {
        items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect()
    };
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => texts(items).map_or_else(|| value.to_string(), |it| it.join(", ")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// Characters of a claim at most.
const LONGEST: usize = 400;

fn shortened(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return clean(text).into_owned();
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!(
        "{} ... (all of it: daypass whoami --format json)",
        clean(&start)
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(value: Value) -> Vec<String> {
        claims(value.as_object().unwrap())
    }

    #[test]
    fn claims_are_one_line_each_and_cannot_drive_the_terminal() {
        let shown = rows(json!({
            "sub": "alice", "exp": 1, "groups": ["sre", "on\ncall"], "level": 3, "name": "a\u{1b}[2Jb",
        }));
        assert_eq!(
            shown,
            [
                "claims",
                "  groups  sre, on\\u{a}call",
                "  level  3",
                "  name  a\\u{1b}[2Jb"
            ]
        );
        assert!(rows(json!({"sub": "alice"})).is_empty());
    }

    #[test]
    fn many_or_long_claims_are_cut_in_the_text_only() {
        let many: Map<String, Value> = (0..100).map(|i| (format!("c{i}"), json!(i))).collect();
        let shown = claims(&many);
        assert_eq!(shown.len(), ROWS + 2);
        assert!(shown.last().unwrap().contains("and 60 more"));
        let long = rows(json!({"a": "x".repeat(5000)}));
        assert!(long.last().unwrap().len() < 500);
    }
}
