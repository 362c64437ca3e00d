//! Explanations: why an identity has or lacks a role, and what would help.
//!
//! # Example
//! ```
//! use daypass::policy::{Ask, AuthMethod, Context, Person, Policy};
//!
//! let policy = Policy::parse(
//!     r#"
//! [limits]
//! principals = ["weblogs"]
//!
//! [[role]]
//! name        = "web-logs"
//! allow       = '"oncall" in claims.groups'
//! principals  = ["weblogs"]
//! command     = ["/usr/bin/journalctl", "--unit", "{unit}"]
//! params.unit = { pattern = "[a-z]+" }
//! ttl         = "30m"
//! "#,
//!     "policy.toml",
//! )?;
//!
//! let claims = [("groups".to_owned(), serde_json::json!(["oncall"]))].into_iter().collect();
//! let alice = Person {
//!     issuer: "https://id.example.com",
//!     subject: "alice",
//!     claims: &claims,
//!     auth_method: AuthMethod::Token,
//! };
//! let mut ask = Ask {
//!     role: "web-logs".to_owned(),
//!     params: [("unit".to_owned(), "nginx".to_owned())].into(),
//!     ..Ask::default()
//! };
//! let context = Context { now: time::OffsetDateTime::UNIX_EPOCH, caller: None };
//! let explanation = &policy.explain(alice, &ask, context)[0];
//! assert_eq!(explanation.summary, "granted: weblogs for 30m");
//!
//! ask.params.insert("unit".to_owned(), "nginx; reboot".to_owned());
//! let explanation = &policy.explain(alice, &ask, context)[0];
//! assert!(explanation.summary.starts_with("denied: parameter: "));
//! # Ok::<(), daypass::policy::Error>(())
//! ```

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    Ask, Context, Denial, Person, Policy, Reason,
    ask::NOTHING,
    bastion::JumpHost,
    checks::{self, list},
    condition::{Condition, EvalContext, Join},
    decision::{Evaluation, shorten},
    role::Role,
    template,
};

/// One check of a role, with its result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// The check's name, as in [`super::Reason::as_str`].
    pub name: String,
    /// Whether the ask passes it.
    pub passed: bool,
    /// The check, and if it failed, what would help.
    pub detail: String,
}

/// The explanation of one role.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The role's name.
    pub role: String,
    /// Whether the ask would be granted.
    pub granted: bool,
    /// One sentence that says what to do.
    pub summary: String,
    /// All checks in order, including those after a failed one.
    pub checks: Vec<Check>,
}

impl Policy {
    /// Explains each role's decision over unproven claims (a file, a past event). Never a grant. An
    /// ask without a role explains every role.
    pub fn explain(&self, person: Person<'_>, ask: &Ask, context: Context) -> Vec<Explanation> {
        if ask.role.is_empty() {
            let asks = self.roles.iter().map(|role| Ask {
                role: role.name.clone(),
                ..ask.clone()
            });
            let asks: Vec<_> = asks.collect();
            let mut explanations = Vec::new();
            // Convert the claims once for all roles.
            let mut eval_context = EvalContext::new(person, &NOTHING, &self.patterns);
            for ask in &asks {
                if let Ok(eval_context) = &mut eval_context {
                    eval_context.ask(ask);
                }
                explanations.push(self.explain_one(person, ask, context, &eval_context));
            }
            return explanations;
        }
        let eval_context = EvalContext::new(person, ask, &self.patterns);
        vec![self.explain_one(person, ask, context, &eval_context)]
    }

    /// Explains the decision of an ask of `by` on behalf of `user`: what `by` may do, and then the
    /// checks of the user's own grant.
    pub(crate) fn explain_on_behalf(
        &self,
        user: Person<'_>,
        by: Person<'_>,
        ask: &Ask,
        context: Context,
    ) -> Vec<Explanation> {
        let mut explanations = self.explain(user, ask, context);
        let decision = self.on_behalf(user, by, ask, context);
        for explanation in &mut explanations {
            let own = explanation.granted;
            let (passed, detail) = match &decision {
                Ok(_) => (
                    true,
                    format!("{} may ask on behalf of {}", by.subject, user.subject),
                ),
                // The user's own checks say it.
                Err(denial) if !own && denial.reason != Reason::OnBehalf => continue,
                Err(denial) => (false, denial.detail.clone()),
            };
            let name = match &decision {
                Err(denial) => denial.reason.as_str(),
                Ok(_) => Reason::OnBehalf.as_str(),
            };
            let check = Check {
                name: name.to_owned(),
                passed,
                detail,
            };
            explanation.checks.insert(0, check);
            explanation.granted = passed;
            explanation.summary = match &decision {
                Ok(grant) => format!(
                    "granted on behalf: {} for {}, from {}",
                    list(grant.principals()),
                    humantime::format_duration(grant.ttl()),
                    context
                        .caller
                        .map_or("nowhere".to_owned(), |it| it.to_string())
                ),
                Err(denial) => format!("denied: {}: {}", denial.reason.as_str(), denial.detail),
            };
        }
        explanations
    }

    fn explain_one<'a>(
        &'a self,
        person: Person<'a>,
        ask: &'a Ask,
        context: Context,
        eval_context: &'a Result<EvalContext<'a>, String>,
    ) -> Explanation {
        let role = match self.role(&ask.role) {
            Ok(role) => role,
            Err(denial) => return unknown(&ask.role, &denial, &self.roles),
        };
        let case = self.case(role, person, ask, context, eval_context);
        let mut rows = Vec::new();
        let decision = checks::explain(&case, |check, findings, outcome| {
            rows.extend(row(&case, check, findings, outcome));
        });
        let summary = match &decision {
            Ok(grant) => format!(
                "{}: {} for {}{}",
                granted(role, ask),
                list(grant.principals()),
                humantime::format_duration(grant.ttl()),
                grant.jump_host().map(through).unwrap_or_default()
            ),
            Err(denial) => format!("denied: {}: {}", denial.reason.as_str(), denial.detail),
        };
        Explanation {
            role: role.name.clone(),
            granted: decision.is_ok(),
            summary,
            checks: rows,
        }
    }
}

/// The summary of a grant: whether it needs approval.
fn granted(role: &Role, ask: &Ask) -> String {
    match &role.approval {
        Some(approval) if !ask.emergency => {
            let by = shorten(approval.by.source(), 256);
            let how = match approval.presence {
                true => ", each with a passkey or security key",
                false => "",
            };
            format!("granted once {} others approve{how} ({by})", approval.count)
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

/// A check with its result; `None` if the summary says it.
fn row(
    case: &Evaluation<'_>,
    check: &checks::Check,
    findings: &checks::Findings<'_>,
    outcome: &Result<(), Denial>,
) -> Option<Check> {
    let (name, detail) = match (outcome, case.eval_context) {
        (Ok(()), _) => (check.name, (check.passed)(case, findings)?),
        (Err(denial), eval_context) if check.name == "allow" => {
            let detail = match (case.condition(), eval_context) {
                (Ok(condition), Ok(eval_context)) => {
                    near_miss(condition, eval_context, case.person.claims)
                }
                (Err(_), _) | (_, Err(_)) => denial.detail.clone(),
            };
            (check.name, detail)
        }
        (Err(denial), _) => (denial.reason.as_str(), denial.detail.clone()),
    };
    Some(Check {
        name: name.to_owned(),
        passed: outcome.is_ok(),
        detail,
    })
}

/// The jump host as `login at bastion`.
fn through(jump_host: &JumpHost) -> String {
    format!(
        ", through bastion {} as {}",
        jump_host.bastion,
        list(jump_host.principals())
    )
}

fn near_miss(
    condition: &Condition,
    eval_context: &EvalContext<'_>,
    claims: &Map<String, Value>,
) -> String {
    let (join, branches) = condition.branches();
    let failing: Vec<_> = branches
        .iter()
        .map(|branch| (branch, branch.evaluate(eval_context)))
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

/// The claims that a condition names, with their values.
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
