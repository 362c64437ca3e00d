//! Why an identity does or does not get a role, and what would have been needed.

use std::collections::BTreeSet;

use ipnet::IpNet;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    Ask, Context, Denial, NOTHING, Person, Policy,
    bastion::Way,
    condition::{Condition, Facts, Join},
    decision::{Case, shorten},
    role::Role,
    template,
};

/// One check of a role and how it came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// Its word, as in [`super::Reason::word`].
    pub name: String,
    /// Whether the ask passes it.
    pub passed: bool,
    /// What it looked at, and what would help where it failed.
    pub detail: String,
}

/// One role and whether it answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The role's name.
    pub role: String,
    /// Whether the ask would be granted.
    pub granted: bool,
    /// One sentence a person can act on.
    pub summary: String,
    /// All checks in their order; later ones are shown though an earlier one failed.
    pub checks: Vec<Check>,
}

impl Policy {
    /// Why each role does or does not answer, over unproven claims (a file, a past event): never a grant.
    /// An ask without a role explains every role.
    pub fn explain(&self, person: Person<'_>, ask: &Ask, context: Context) -> Vec<Explanation> {
        if ask.role.is_empty() {
            let asks = self.roles.iter().map(|role| Ask {
                role: role.name.clone(),
                ..ask.clone()
            });
            let asks: Vec<_> = asks.collect();
            let mut explanations = Vec::new();
            // The claims are converted once for all roles.
            let mut facts = Facts::new(person, &NOTHING, &self.patterns);
            for ask in &asks {
                if let Ok(facts) = &mut facts {
                    facts.ask(ask);
                }
                explanations.push(self.explain_one(person, ask, context, &facts));
            }
            return explanations;
        }
        let facts = Facts::new(person, ask, &self.patterns);
        vec![self.explain_one(person, ask, context, &facts)]
    }

    fn explain_one<'a>(
        &'a self,
        person: Person<'a>,
        ask: &'a Ask,
        context: Context,
        facts: &'a Result<Facts<'a>, String>,
    ) -> Explanation {
        let role = match self.role(&ask.role) {
            Ok(role) => role,
            Err(denial) => return unknown(&ask.role, &denial, &self.roles),
        };
        let case = self.case(role, person, ask, context, facts);
        let decision = case.decide();
        let checks = checks(&case, facts);
        let summary = match &decision {
            Ok(grant) => format!(
                "{}: {} for {}{}",
                granted(role, ask),
                list(grant.principals()),
                humantime::format_duration(grant.ttl()),
                grant.way().map(through).unwrap_or_default()
            ),
            Err(denial) => format!("denied: {}: {}", denial.reason.word(), denial.detail),
        };
        Explanation {
            role: role.name.clone(),
            granted: decision.is_ok(),
            summary,
            checks,
        }
    }
}

/// Whether others have to say yes first.
fn granted(role: &Role, ask: &Ask) -> String {
    match &role.approval {
        Some(approval) if !ask.emergency => {
            let by = shorten(approval.by.source(), 256);
            format!("granted once {} others approve ({by})", approval.count)
        }
        _ => "granted".to_owned(),
    }
}

fn unknown(name: &str, denial: &Denial, roles: &[Role]) -> Explanation {
    let known: Vec<_> = roles.iter().map(|role| role.name.as_str()).collect();
    Explanation {
        role: name.to_owned(),
        granted: false,
        summary: format!("denied: role: {}", denial.detail),
        checks: vec![Check {
            name: "role".to_owned(),
            passed: false,
            detail: format!("the policy has {}", known.join(", ")),
        }],
    }
}

fn checks(case: &Case<'_>, facts: &Result<Facts<'_>, String>) -> Vec<Check> {
    let groups = case.groups();
    let covered = groups.as_ref().map(Vec::as_slice).unwrap_or_default();
    vec![
        allow(case, facts),
        outcome("host", &groups, |groups| match groups.as_slice() {
            [] => "any host".to_owned(),
            groups => format!("hosts of {}", groups.join(", ")),
        }),
        outcome("parameter", &case.command(), |command| {
            command.clone().unwrap_or_else(|| "no command".to_owned())
        }),
        outcome("reason", &case.reason(), |()| {
            let pattern = case.role.reason_pattern();
            pattern.map_or("none demanded".to_owned(), |pattern| {
                format!("matches {pattern}")
            })
        }),
        outcome("wishes", &case.wishes(), |_| {
            format!("up to {}", humantime::format_duration(case.role.ttl))
        }),
        outcome("source", &case.source(), |source| from_where(case, source)),
        outcome("principal", &case.principals(covered), list),
        outcome("hours", &case.open(), |_| {
            demanded(case.role.hours.as_ref(), "any time")
        }),
        outcome("require", &case.signed_in_well(), |()| {
            demanded(case.role.require.as_ref(), "any sign-in")
        }),
    ]
}

/// Whose login at which bastion.
fn through(way: &Way) -> String {
    format!(
        ", through bastion {} as {}",
        way.bastion,
        list(way.principals())
    )
}

fn from_where(case: &Case<'_>, source: &Option<BTreeSet<IpNet>>) -> String {
    let networks = source.as_ref().map_or("any address".to_owned(), list);
    match case.bastion() {
        Ok(Some(bastion)) => format!("{networks}, which is bastion {}", bastion.name),
        _ => networks,
    }
}

fn demanded<T: ToString>(demand: Option<&T>, otherwise: &str) -> String {
    demand.map_or(otherwise.to_owned(), T::to_string)
}

fn outcome<T>(name: &str, result: &Result<T, Denial>, passed: impl FnOnce(&T) -> String) -> Check {
    Check {
        name: result
            .as_ref()
            .err()
            .map_or(name, |denial| denial.reason.word())
            .to_owned(),
        passed: result.is_ok(),
        detail: match result {
            Ok(value) => passed(value),
            Err(denial) => denial.detail.clone(),
        },
    }
}

/// The condition, and where it fails the parts that failed beside the claims they read.
fn allow(case: &Case<'_>, facts: &Result<Facts<'_>, String>) -> Check {
    let condition = case.role.allow();
    let result = case.allowed();
    let detail = match (&result, facts) {
        (Ok(()), _) => format!("{} holds", shorten(condition.source(), 256)),
        (Err(_), Ok(facts)) => near_miss(condition, facts, case.person.claims),
        (Err(denial), Err(_)) => denial.detail.clone(),
    };
    Check {
        name: "allow".to_owned(),
        passed: result.is_ok(),
        detail,
    }
}

fn near_miss(condition: &Condition, facts: &Facts<'_>, claims: &Map<String, Value>) -> String {
    let (join, branches) = condition.branches();
    let failing: Vec<_> = branches
        .iter()
        .map(|branch| (branch, branch.evaluate(facts)))
        .filter(|(_, outcome)| *outcome != Ok(true))
        .map(|(branch, outcome)| match outcome {
            Err(error) => format!("{} ({})", branch.source(), shorten(&error, 128)),
            Ok(_) => branch.source().to_owned(),
        })
        .collect();
    let needed = match (join, failing.len()) {
        (_, 0) => format!("needs {}", condition.source()),
        (Join::Any, 2..) => format!("needs one of: {}", failing.join("; ")),
        _ => format!("needs {}", failing.join("; ")),
    };
    let has = read_claims(condition.source(), claims);
    if has.is_empty() {
        return shorten(&needed, 1024);
    }
    shorten(&format!("{needed} -- here {}", has.join(", ")), 1024)
}

/// The claims that a condition names, each with its value here.
fn read_claims(source: &str, claims: &Map<String, Value>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    for (at, _) in source.match_indices("claims.") {
        let rest = source.get(at + "claims.".len()..).unwrap_or_default();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.')));
        let path = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let mut path: Vec<String> = path.split('.').map(str::to_owned).collect();
        // The last step may be a method (`claims.groups.exists(...)`).
        while path.len() > 1 && template::lookup(claims, &path).is_err() {
            path.pop();
        }
        seen.insert(path);
    }
    let shown = seen.into_iter().map(|path| {
        let name = path.join(".");
        match template::lookup(claims, &path) {
            Ok(value) => format!("claims.{name} is {}", shorten(&value.to_string(), 200)),
            Err(_) => format!("claims.{name} is absent"),
        }
    });
    shown.collect()
}

fn list<T: ToString>(values: &BTreeSet<T>) -> String {
    let values: Vec<_> = values.iter().map(T::to_string).collect();
    values.join(", ")
}
