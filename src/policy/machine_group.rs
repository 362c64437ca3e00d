//! Which host a machine may join as. Pure.

use std::sync::Arc;

use super::{Ask, Policy, condition::EvalContext};
use crate::{identity::Identity, ssh::host_name::is_host_name};

impl Policy {
    /// The group that the machine `identity` may join as the host `wanted`; `None` if no `[[host]]`
    /// gives it that name. A condition or name that has no result for these claims gives none.
    pub(crate) fn machine_group(&self, identity: &Identity, wanted: &str) -> Option<&str> {
        if !is_host_name(wanted) {
            return None;
        }
        let ask = Ask::default();
        let context = EvalContext::new(identity.into(), &ask, &Arc::clone(&self.patterns)).ok()?;
        let mut machines = self.machines.iter();
        let found = machines.find(|it| it.gives(identity, &context, wanted));
        found.map(|machines| machines.group())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    const POLICY: &str = r#"
        [hosts]
        web = ["*.internal"]
        db = ["db-*"]
        [[host]]
        allow = 'issuer == "https://cloud.example.com" && claims.pool == "web"'
        names = ["{claims.instance}.internal", "www.internal"]
        group = "web"
        [[host]]
        allow = '"db" in claims.pools'
        names = ["{claims.names}"]
        group = "db"
    "#;

    #[test]
    fn a_machine_joins_under_the_names_that_its_claims_give_and_no_other() {
        let policy = Policy::parse(POLICY, "policy.toml").unwrap();
        let web = json!({"iss": "https://cloud.example.com", "pool": "web", "instance": "i-1"});
        let of = |change: serde_json::Value| {
            let mut claims = web.clone();
            let fields = claims.as_object_mut().unwrap();
            fields.extend(change.as_object().unwrap().clone());
            claims
        };
        let db = json!({"pools": ["db"], "names": ["db-1", "db-2"]});
        for (case, claims, wanted, expected) in [
            ("its own", web.clone(), "i-1.internal", Some("web")),
            ("a fixed one", web.clone(), "www.internal", Some("web")),
            ("another one's", web.clone(), "i-2.internal", None),
            ("none", web.clone(), "", None),
            (
                "a pattern",
                of(json!({"instance": "*"})),
                "*.internal",
                None,
            ),
            (
                "two lines",
                of(json!({"instance": "a\nb"})),
                "a\nb.internal",
                None,
            ),
            (
                "upper case",
                of(json!({"instance": "I-1"})),
                "I-1.internal",
                None,
            ),
            (
                "another issuer",
                of(json!({"iss": "https://evil"})),
                "i-1.internal",
                None,
            ),
            (
                "another pool",
                of(json!({"pool": "x"})),
                "i-1.internal",
                None,
            ),
            ("no such claim", json!({}), "i-1.internal", None),
            ("one of a list", db.clone(), "db-2", Some("db")),
            ("none of a list", db, "db-3", None),
        ] {
            let identity = Identity::sample(claims);
            assert_eq!(policy.machine_group(&identity, wanted), expected, "{case}");
        }
    }

    #[test]
    fn one_name_needs_no_list() {
        let text = POLICY.replacen("[\"{claims.names}\"]", "\"{claims.names}\"", 1);
        assert_ne!(text, POLICY);
        let policy = Policy::parse(&text, "policy.toml").unwrap();
        let identity = Identity::sample(json!({"pools": ["db"], "names": ["db-1"]}));
        assert_eq!(policy.machine_group(&identity, "db-1"), Some("db"));
        let wrong = text.replacen("\"{claims.names}\"", "\"{name}\"", 1);
        let line = text.lines().position(|it| it.contains("claims.names"));
        let said = Policy::parse(&wrong, "policy.toml")
            .err()
            .unwrap()
            .to_string();
        assert!(
            said.contains(&format!(":{}: ", line.unwrap() + 1)),
            "{said}"
        );
    }

    #[test]
    fn a_section_that_could_not_work_does_not_load() {
        for (case, from, to) in [
            ("an unknown group", "group = \"db\"", "group = \"x\""),
            ("no name", "[\"{claims.names}\"]", "[]"),
            ("a parameter", "{claims.names}", "{name}"),
            ("two holes", "{claims.names}", "{claims.a}-{claims.b}"),
            ("a pattern", "\"www.internal\"", "\"*.internal\""),
            ("a bad condition", "'\"db\" in claims.pools'", "'claims.'"),
            (
                "an unknown key",
                "group = \"db\"",
                "group = \"db\"\nname = 1",
            ),
        ] {
            let text = POLICY.replacen(from, to, 1);
            assert_ne!(text, POLICY, "{case}");
            assert!(Policy::parse(&text, "policy.toml").is_err(), "{case}");
        }
    }
}
