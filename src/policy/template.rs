//! Text with holes: `{claims.x}` in principals, `{name}` and `{claims.x}` in the words of a
//! command.
//!
//! `{{` and `}}` stand for braces. The value of a hole is checked where it is used, never
//! rewritten.

use serde_json::{Map, Value};

use crate::ssh::principal::{MAX_COUNT, is_name};

/// Literal text with holes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template {
    source: String,
    parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    /// Literal text.
    Text(String),
    /// A parameter of the ask.
    Parameter(String),
    /// A claim of the identity, by its path (`claims.realm.team`).
    Claim(Vec<String>),
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// Returns a sentence for the policy's author if a brace is open, a name is empty or invalid,
    /// or a character is not printable.
    pub(crate) fn parse(source: &str) -> Result<Self, String> {
        if let Some(odd) = source.chars().find(|c| !matches!(c, ' '..='~')) {
            return Err(format!(
                "{source:?} holds {odd:?}; use printable ASCII only"
            ));
        }
        Ok(Self {
            source: source.to_owned(),
            parts: parts(source)?,
        })
    }

    /// The source text, as in the policy file.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Texts and holes in order. Two texts are never neighbours.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The names of its parameter holes.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Parameter(name) => Some(name.as_str()),
            Part::Text(_) | Part::Claim(_) => None,
        })
    }

    /// Number of holes.
    pub(crate) fn holes(&self) -> usize {
        self.parts
            .iter()
            .filter(|part| !matches!(part, Part::Text(_)))
            .count()
    }

    /// The text of a template without holes; otherwise `None`.
    pub(crate) fn literal(&self) -> Option<String> {
        (self.holes() == 0).then(|| self.fill(""))
    }

    /// The values of the template: one for a string claim, one per string of a list claim (none for
    /// an empty list). For templates with at most one hole.
    ///
    /// # Errors
    /// Returns the reason if the claim is missing, is neither a string nor a list of strings, or is
    /// too long a list.
    pub(crate) fn expand(&self, claims: &Map<String, Value>) -> Result<Vec<String>, String> {
        let claim = self.parts.iter().find_map(|part| match part {
            Part::Claim(path) => Some(path),
            Part::Text(_) | Part::Parameter(_) => None,
        });
        match claim {
            None => Ok(vec![self.fill("")]),
            Some(path) => {
                let values = strings(path, lookup(claims, path)?)?;
                Ok(values.into_iter().map(|value| self.fill(value)).collect())
            }
        }
    }

    fn fill(&self, value: &str) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Parameter(_) | Part::Claim(_) => value,
            })
            .collect()
    }
}

/// The claim at `path`.
///
/// # Errors
/// Returns a sentence if the claim is missing.
pub(crate) fn lookup<'a>(
    claims: &'a Map<String, Value>,
    path: &[String],
) -> Result<&'a Value, String> {
    let mut steps = path.iter();
    let first = steps.next().and_then(|name| claims.get(name));
    steps
        .fold(first, |value, name| value.and_then(|value| value.get(name)))
        .ok_or_else(|| format!("the identity has no claim `{}`", path.join(".")))
}

fn strings<'a>(path: &[String], value: &'a Value) -> Result<Vec<&'a str>, String> {
    let values = match value {
        Value::Array(values) if values.len() > MAX_COUNT => {
            return Err(format!(
                "claim `{}` has {} values, and a pass holds at most {MAX_COUNT}",
                path.join("."),
                values.len()
            ));
        }
        Value::Array(values) => values.iter().map(Value::as_str).collect::<Option<_>>(),
        other => other.as_str().map(|text| vec![text]),
    };
    values.ok_or_else(|| {
        format!(
            "claim `{}` is neither a string nor a list of strings",
            path.join(".")
        )
    })
}

fn parts(source: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = source;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        if let Some(after) = from.strip_prefix("{{") {
            text.push('{');
            rest = after;
        } else if let Some(after) = from.strip_prefix("}}") {
            text.push('}');
            rest = after;
        } else {
            let (name, after) = from
                .strip_prefix('{')
                .and_then(|inside| inside.split_once('}'))
                .ok_or_else(|| {
                    format!("{source:?} has a lone brace; write {{{{ or }}}} for the brace itself")
                })?;
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(hole(source, name)?);
            rest = after;
        }
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

fn hole(source: &str, name: &str) -> Result<Part, String> {
    if let Some(path) = name.strip_prefix("claims.") {
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if path.iter().all(|step| is_name(step)) {
            return Ok(Part::Claim(path));
        }
    } else if is_name(name) && !name.contains('.') {
        return Ok(Part::Parameter(name.to_owned()));
    }
    Err(format!(
        "{source:?} has the hole {{{name}}}; write {{claims.NAME}} or {{PARAMETER}}"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    fn claims() -> Map<String, Value> {
        json!({
            "name": "alice", "teams": ["web", "db"], "none": [], "uid": 1000, "mixed": ["a", 1],
            "realm": { "user": "a.b" }, "many": vec!["x"; 257],
        })
        .as_object()
        .unwrap()
        .clone()
    }

    #[test]
    fn claims_expand_to_every_text_they_stand_for() {
        for (source, expected) in [
            ("deploy", vec!["deploy"]),
            ("{claims.name}", vec!["alice"]),
            ("adm-{claims.name}", vec!["adm-alice"]),
            ("{claims.teams}-ops", vec!["web-ops", "db-ops"]),
            ("{claims.realm.user}", vec!["a.b"]),
            ("{claims.none}", vec![]),
            ("{{x}}", vec!["{x}"]),
        ] {
            let texts = Template::parse(source).unwrap().expand(&claims()).unwrap();
            assert_eq!(texts, expected, "{source}");
        }
    }

    #[test]
    fn claims_that_are_no_strings_do_not_expand() {
        for (source, why) in [
            ("{claims.missing}", "no claim `missing`"),
            ("{claims.name.first}", "no claim `name.first`"),
            ("{claims.realm}", "neither"),
            ("{claims.uid}", "neither"),
            ("{claims.mixed}", "neither"),
            ("{claims.many}", "at most 256"),
        ] {
            let error = Template::parse(source)
                .unwrap()
                .expand(&claims())
                .unwrap_err();
            assert!(error.contains(why), "{source}: {error}");
        }
    }

    #[test]
    fn odd_templates_do_not_load() {
        for source in [
            "{",
            "}",
            "{}",
            "{claims}x{",
            "{claims.}",
            "{claims..x}",
            "{claims.x",
            "{a b}",
            "{a.b}",
            "{claims.x;y}",
            "{-x}",
            "tab\t",
            "caf\u{e9}",
            "nul\0",
        ] {
            assert!(Template::parse(source).is_err(), "{source:?}");
        }
    }
}
