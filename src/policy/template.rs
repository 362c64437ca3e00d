//! Text with holes: `{claims.x}` in principals, `{name}` and `{claims.x}` in the words of a
//! command.
//!
//! `{{` and `}}` stand for braces. A claim may have filters: `{claims.email | local_part | lower}`.
//! The value that comes out is checked where it is used, never rewritten.

mod filter;

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::ssh::principal::{MAX_COUNT, is_name};
use filter::Filter;

/// The login that no claim gives: a role that grants it names it.
const ROOT: &str = "root";

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
    /// A claim of the identity.
    Claim(Claim),
}

/// A claim of the identity, and how its value is written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Claim {
    /// `claims.realm.team` without its first step.
    path: Vec<String>,
    /// In the order in which they apply.
    filters: Vec<Filter>,
}

impl Claim {
    /// Its path, with dots.
    pub(crate) fn name(&self) -> String {
        self.path.join(".")
    }

    /// Its value, without the filters.
    ///
    /// # Errors
    /// Returns a sentence if the claim is missing.
    pub(crate) fn lookup<'a>(&self, claims: &'a Map<String, Value>) -> Result<&'a Value, String> {
        lookup(claims, &self.path)
    }

    /// A value of it, filtered.
    ///
    /// # Errors
    /// Returns a sentence if a filter does not fit the value.
    pub(crate) fn filtered<'a>(&self, value: &'a str) -> Result<Cow<'a, str>, String> {
        let mut filters = self.filters.iter();
        filters
            .try_fold(Cow::Borrowed(value), |value, filter| filter.apply(value))
            .map_err(|problem| format!("claim `{}` {problem}", self.name()))
    }
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
    /// Returns the reason if the claim is missing, is neither a string nor a list of strings, is
    /// too long a list, or has a value that does not fit a filter.
    pub(crate) fn expand(&self, claims: &Map<String, Value>) -> Result<Vec<String>, String> {
        let claim = self.parts.iter().find_map(|part| match part {
            Part::Claim(claim) => Some(claim),
            Part::Text(_) | Part::Parameter(_) => None,
        });
        let Some(claim) = claim else {
            return Ok(vec![self.fill("")]);
        };
        let values = strings(&claim.path, claim.lookup(claims)?)?.into_iter();
        values
            .map(|value| Ok(self.fill(&claim.filtered(value)?)))
            .collect()
    }

    /// Whether this template may give the login. A claim never gives root, even if `[limits]` lists
    /// it for a role that names it.
    pub(crate) fn may_give(&self, login: &str) -> bool {
        self.holes() == 0 || login != ROOT
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

fn hole(source: &str, text: &str) -> Result<Part, String> {
    let mut words = text.split('|').map(|word| word.trim_matches(' '));
    let name = words.next().unwrap_or_default();
    let filters = words
        .map(|name| Filter::parse(name).map_err(|problem| format!("{source:?}: {problem}")))
        .collect::<Result<Vec<_>, _>>()?;
    if filters.len() > filter::LIMIT {
        let limit = filter::LIMIT;
        return Err(format!("{source:?} has more than {limit} filters"));
    }
    if let Some(path) = name.strip_prefix("claims.") {
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if path.iter().all(|step| is_name(step)) {
            return Ok(Part::Claim(Claim { path, filters }));
        }
    } else if is_name(text) && !text.contains('.') {
        return Ok(Part::Parameter(text.to_owned()));
    }
    Err(format!(
        "{source:?} has the hole {{{text}}}; write {{claims.NAME}}, {{claims.NAME | FILTER}} or \
         {{PARAMETER}}"
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
            "realm": { "user": "a.b" }, "email": "Alice@example.com", "many": vec!["x"; 257],
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
            ("{claims.email | local_part}", vec!["Alice"]),
            ("u-{claims.email|local_part|lower}", vec!["u-alice"]),
            ("{claims.email | lower | local_part}", vec!["alice"]),
            ("{claims.teams | lower}", vec!["web", "db"]),
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
            (
                "{claims.name | local_part}",
                "claim `name` is not an address",
            ),
            (
                "{claims.teams | local_part}",
                "claim `teams` is not an address",
            ),
        ] {
            let error = Template::parse(source)
                .unwrap()
                .expand(&claims())
                .unwrap_err();
            assert!(error.contains(why), "{source}: {error}");
        }
    }

    #[test]
    fn a_claim_never_gives_root() {
        for (source, may) in [
            ("root", true),
            ("{claims.name}", false),
            ("{claims.email | local_part}", false),
            ("ro{claims.name}", false),
        ] {
            assert_eq!(Template::parse(source).unwrap().may_give("root"), may);
            assert!(Template::parse(source).unwrap().may_give("alice"));
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
            "{claims.x |}",
            "{claims.x | upper}",
            "{claims.x | lower | lower | lower | lower | lower}",
            "{claims.x || lower}",
            "{| lower}",
            "{x | lower}",
            "{ x}",
            "{claims.x lower}",
            "caf\u{e9}",
            "nul\0",
        ] {
            assert!(Template::parse(source).is_err(), "{source:?}");
        }
    }
}
