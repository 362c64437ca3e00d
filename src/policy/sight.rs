//! Requests that a person may see, as far as the policy decides it. Pure.
//!
//! The server asks this for every change of every request, so it is decided once per person and
//! policy: a condition that does not read `ask` has one result for all asks.

use std::collections::BTreeSet;

use super::{Ask, Person, Policy, condition::Condition, condition::EvalContext};

/// The requests that a person may see besides their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sight {
    /// Whether they may see all requests, because they may read the ledger.
    pub all: bool,
    /// Roles whose requests they may all see, because they may approve or review them.
    pub roles: BTreeSet<String>,
    /// Roles whose requests they may see in part: a condition reads the ask.
    pub perhaps: BTreeSet<String>,
}

impl Policy {
    /// The requests that this person may see.
    pub(crate) fn sight(&self, person: Person<'_>) -> Sight {
        let nothing = Ask::default();
        let Ok(eval_context) = EvalContext::new(person, &nothing, &self.patterns) else {
            return Sight::default();
        };
        let mut sight = Sight {
            all: self.privileges.may_audit(&eval_context),
            ..Sight::default()
        };
        for role in &self.roles {
            let by = role.approval.iter().map(|approval| &approval.by);
            let review = role.emergency.iter().map(|emergency| &emergency.review);
            let conditions: Vec<&Condition> = by.chain(review).collect();
            let (reads, fixed): (Vec<_>, Vec<_>) =
                conditions.into_iter().partition(|it| it.reads_ask());
            if fixed
                .iter()
                .any(|it| it.evaluate(&eval_context) == Ok(true))
            {
                sight.roles.insert(role.name.clone());
            } else if !reads.is_empty() {
                sight.perhaps.insert(role.name.clone());
            }
        }
        sight
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::AuthMethod;

    const POLICY: &str = r#"
[limits]
principals = ["deploy"]
[audit]
allow = '"security" in claims.groups'
[[role]]
name = "plain"
allow = "true"
principals = ["deploy"]
[[role]]
name = "prod"
allow = "true"
principals = ["deploy"]
approval = { count = 1, by = '"lead" in claims.groups', within = "30m" }
emergency = { allow = "true", ttl = "15m", review = '"security" in claims.groups' }
[[role]]
name = "teams"
allow = "true"
principals = ["deploy"]
approval = { count = 1, by = 'ask.host in claims.hosts', within = "30m" }
[[role]]
name = "loops"
allow = "true"
principals = ["deploy"]
approval = { count = 1, by = 'claims.hosts.exists(h, has(ask.host) && h == ask.host)', within = "30m" }
"#;

    fn sight(claims: serde_json::Value) -> Sight {
        let policy = Policy::parse(POLICY, "policy.toml").unwrap();
        policy.sight(Person {
            issuer: "https://id.example.com",
            subject: "u-1",
            claims: claims.as_object().unwrap(),
            auth_method: AuthMethod::Token,
        })
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn roles_are_seen_by_those_who_may_decide_and_asks_decide_the_rest() {
        let perhaps = set(&["teams", "loops"]);
        let none = Sight {
            perhaps: perhaps.clone(),
            ..Sight::default()
        };
        assert_eq!(sight(json!({"groups": ["oncall"]})), none);
        assert_eq!(sight(json!({})), none, "a condition without an answer");
        let lead = Sight {
            roles: set(&["prod"]),
            ..none.clone()
        };
        assert_eq!(sight(json!({"groups": ["lead"]})), lead);
        assert_eq!(
            sight(json!({"groups": ["security"]})),
            Sight { all: true, ..lead }
        );
        let many = vec!["g"; 1000];
        assert_eq!(sight(json!({"groups": many})), Sight::default());
    }
}
