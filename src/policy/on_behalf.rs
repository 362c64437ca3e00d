//! Passes on behalf of a user: who may ask for them, and what is left of the user's grant. Pure.

use super::{
    Ask, AuthMethod, Context, Decision, Denial, Grant, Person, Policy, Reason, Restriction,
    source::Source,
};
use crate::identity::Identity;

impl Policy {
    /// Decides an ask of `by` on behalf of `user`. Never needs approval: such a role is denied.
    pub(crate) fn decide_on_behalf(
        &self,
        user: &Identity,
        by: &Identity,
        ask: &Ask,
        context: Context,
    ) -> Decision {
        match self.on_behalf(user.into(), by.into(), ask, context) {
            Ok(grant) => Decision::Granted(grant),
            Err(denial) => Decision::Denied(denial),
        }
    }

    /// The grant that the policy gives `user` for this ask, narrowed: it works from the address
    /// that asks, and there is no jump pass, because the one who asks is on the way already.
    pub(super) fn on_behalf(
        &self,
        user: Person<'_>,
        by: Person<'_>,
        ask: &Ask,
        context: Context,
    ) -> Result<Grant, Denial> {
        if [user.auth_method, by.auth_method] != [AuthMethod::Token; 2] {
            return Err(Denial::new(
                Reason::Unbound,
                "a pass on behalf of a user needs two tokens that are bound to keys: the user's, and that of the one who asks",
            ));
        }
        let role = self.role(&ask.role)?;
        let refuse = |detail: String| Err(Denial::new(Reason::OnBehalf, detail));
        let name = &role.name;
        match &role.on_behalf {
            None => {
                return refuse(format!(
                    "role {name:?} gives no pass on behalf of its users: let the user ask for it"
                ));
            }
            Some(rule) if !self.holds(&rule.by, by, ask) => {
                return refuse(format!(
                    "role {name:?} gives passes on behalf of its users to other identities than yours"
                ));
            }
            Some(_) => {}
        }
        if role.approval.is_some() || ask.request.is_some() {
            return refuse(format!(
                "role {name:?} needs approval, and a pass on behalf of a user does not wait for one: let the user ask for it \
                 with daypass request"
            ));
        }
        if ask.emergency {
            return refuse("an emergency is not asked for on behalf of a user".to_owned());
        }
        if ask.host.is_none() {
            return Err(Denial::new(
                Reason::Host,
                "a pass on behalf of a user is for one host: name it",
            ));
        }
        let grant = self.judge(user, ask, context)?;
        let source = Source::Caller.networks(context.caller);
        let pinned = Restriction {
            source: source.map_err(|error| Denial::new(Reason::Source, error))?,
            ..Restriction::default()
        };
        Ok(grant.narrow(&pinned)?.through(None))
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]
mod tests {
    use serde_json::json;
    use time::OffsetDateTime;

    use super::*;
    use crate::{
        policy::replay::{Approver, Outcome, RecordedAsk, Rights, Which},
        ssh::permissions::Permissions,
    };

    const POLICY: &str = r#"
[limits]
principals = ["deploy", "jump"]
[hosts]
db = ["db-*"]
[[bastion]]
name = "edge"
host = "bastion.example.com"
login = "jump"
addresses = ["192.0.2.8/29"]
hosts = ["db-*"]
[[role]]
name = "open"
allow = '"sre" in claims.groups'
hosts = ["db"]
principals = ["deploy"]
extensions = ["agent-forwarding", "pty"]
on_behalf = { by = '"edge" in claims.groups && ask.host != "db-9"' }
[[role]]
name = "behind"
allow = '"sre" in claims.groups'
hosts = ["db"]
principals = ["deploy"]
source = "bastion"
on_behalf = { by = '"edge" in claims.groups' }
[[role]]
name = "own"
allow = '"sre" in claims.groups'
principals = ["deploy"]
"#;

    fn policy() -> Policy {
        Policy::parse(POLICY, "policy.toml").unwrap()
    }

    fn person(group: &str) -> Identity {
        Identity::sample(json!({"sub": group, "groups": [group]}))
    }

    fn ask(role: &str) -> Ask {
        Ask {
            role: role.to_owned(),
            host: Some("db-1".to_owned()),
            ..Ask::default()
        }
    }

    fn context(caller: &str) -> Context {
        Context {
            now: OffsetDateTime::UNIX_EPOCH,
            caller: caller.parse().ok(),
        }
    }

    fn decide(user: &Identity, by: &Identity, ask: &Ask, caller: &str) -> Result<Grant, Reason> {
        match policy().decide_on_behalf(user, by, ask, context(caller)) {
            Decision::Granted(grant) => Ok(grant),
            Decision::Denied(denial) => Err(denial.reason),
            Decision::NeedsApproval(_) => panic!("it never waits"),
        }
    }

    #[test]
    fn the_grant_is_the_users_own_from_one_address() {
        let own = match policy().decide(&person("sre"), &ask("open"), context("192.0.2.9")) {
            Decision::Granted(grant) => grant,
            other => panic!("{other:?}"),
        };
        let grant = decide(&person("sre"), &person("edge"), &ask("open"), "192.0.2.9").unwrap();
        let expected = Permissions {
            source_addresses: Some(["192.0.2.9/32".parse().unwrap()].into()),
            ..own.permissions().clone()
        };
        assert_eq!(grant.permissions(), &expected);
        assert_eq!(grant.ttl(), own.ttl());
        let mapped = decide(
            &person("sre"),
            &person("edge"),
            &ask("open"),
            "::ffff:192.0.2.9",
        );
        assert_eq!(mapped.unwrap().permissions(), &expected);
    }

    #[test]
    fn behind_a_bastion_only_the_bastion_gets_a_pass_and_no_jump_pass() {
        let by = |caller| decide(&person("sre"), &person("edge"), &ask("behind"), caller);
        let grant = by("192.0.2.9").unwrap();
        assert!(grant.jump().is_none());
        assert_eq!(
            grant.source(),
            Some(&["192.0.2.9/32".parse().unwrap()].into())
        );
        for other in ["192.0.2.16", "2001:db8::1", "nowhere"] {
            assert_eq!(by(other).unwrap_err(), Reason::Source, "{other}");
        }
    }

    #[test]
    fn a_party_that_lacks_a_part_is_denied() {
        let unbound = |group: &str| {
            Identity::sample(json!({"sub": group, "groups": [group], "unbound": true}))
        };
        let (sre, edge) = (person("sre"), person("edge"));
        let elsewhere = Ask {
            host: Some("db-9".to_owned()),
            ..ask("open")
        };
        for (case, user, by, ask, reason) in [
            (
                "a user without the role",
                &edge,
                &edge,
                ask("open"),
                Reason::NotAllowed,
            ),
            ("another bastion", &sre, &sre, ask("open"), Reason::OnBehalf),
            (
                "a role without it",
                &sre,
                &edge,
                ask("own"),
                Reason::OnBehalf,
            ),
            ("another host", &sre, &edge, elsewhere, Reason::OnBehalf),
            (
                "an unbound user",
                &unbound("sre"),
                &edge,
                ask("open"),
                Reason::Unbound,
            ),
            (
                "an unbound bastion",
                &sre,
                &unbound("edge"),
                ask("open"),
                Reason::Unbound,
            ),
            ("no such role", &sre, &edge, ask("x"), Reason::UnknownRole),
        ] {
            let decided = decide(user, by, &ask, "192.0.2.9");
            assert_eq!(decided.unwrap_err(), reason, "{case}");
        }
    }

    #[test]
    fn an_explanation_says_what_each_of_the_two_lacks() {
        let policy = policy();
        let (sre, edge) = (person("sre"), person("edge"));
        let explained = |user: &Identity, by: &Identity, ask: &Ask| {
            let all = policy.explain_on_behalf(user.into(), by.into(), ask, context("192.0.2.9"));
            all.into_iter().next().unwrap()
        };
        let good = explained(&sre, &edge, &ask("open"));
        assert!(good.granted, "{good:?}");
        assert!(good.summary.contains("on behalf") && good.summary.contains("192.0.2.9"));
        assert_eq!(good.checks[0].detail, "edge may ask on behalf of sre");
        for (case, user, by, role, summary, failing) in [
            (
                "the asker",
                &sre,
                &sre,
                "open",
                "denied: on_behalf",
                "on_behalf",
            ),
            ("the user", &edge, &edge, "open", "denied: allow", "allow"),
            (
                "the role",
                &sre,
                &edge,
                "own",
                "denied: on_behalf",
                "on_behalf",
            ),
        ] {
            let bad = explained(user, by, &ask(role));
            assert!(
                !bad.granted && bad.summary.starts_with(summary),
                "{case}: {bad:?}"
            );
            let first = bad.checks.iter().find(|check| !check.passed).unwrap();
            assert_eq!(first.name, failing, "{case}: {bad:?}");
        }
    }

    #[test]
    fn a_test_of_the_policy_names_the_identity_that_asks() {
        let tests = r#"
[[test]]
as = { claims = { groups = ["sre"] } }
by = { claims = { groups = ["edge"] }, address = "192.0.2.9" }
ask = { role = "behind", host = "db-1" }
expect = "granted"
principals = ["deploy@db"]
[[test]]
as = { claims = { groups = ["sre"] }, address = "192.0.2.9" }
by = { claims = { groups = ["edge"] } }
ask = { role = "behind", host = "db-1" }
expect = "denied: source"
[[test]]
as = { claims = { groups = ["sre"] } }
by = { claims = { groups = ["sre"] } }
ask = { role = "open", host = "db-1" }
expect = "denied: on_behalf"
[[test]]
as = { claims = { groups = ["sre"] } }
by = { claims = { groups = ["edge"] }, bound = false }
ask = { role = "open", host = "db-1" }
expect = "denied: bound"
"#;
        let policy = Policy::parse(&format!("{POLICY}{tests}"), "policy.toml").unwrap();
        let outcomes = policy.run_tests(OffsetDateTime::UNIX_EPOCH);
        assert_eq!(outcomes.len(), 4);
        assert!(outcomes.iter().all(|it| it.passed), "{outcomes:?}");
    }

    /// `verify --decisions` decides recorded passes again with the claims of both.
    #[test]
    fn a_recorded_pass_is_decided_again_with_both_identities() {
        let grant = decide(&person("sre"), &person("edge"), &ask("open"), "192.0.2.9").unwrap();
        let claims = |group: &str| person(group).claims().clone();
        let by = |group: &str| Approver {
            issuer: "https://id.example.com".to_owned(),
            subject: group.to_owned(),
            claims: claims(group),
            presence: None,
        };
        let honest = RecordedAsk {
            index: 7,
            at: OffsetDateTime::UNIX_EPOCH,
            issuer: "https://id.example.com".to_owned(),
            subject: "sre".to_owned(),
            label: "sre".to_owned(),
            claims: claims("sre"),
            ask: ask("open"),
            caller: "192.0.2.9".parse().ok(),
            was: Outcome::Granted(Rights {
                permissions: grant.permissions().clone(),
                ttl: grant.ttl().as_secs(),
            }),
            pass: Which::Main,
            approved: None,
            signers: Vec::new(),
            is_unbound: false,
            by: Some(by("edge")),
        };
        assert_eq!(policy().replay(&honest), None);
        let mut wider = honest.clone();
        if let Outcome::Granted(rights) = &mut wider.was {
            rights.permissions.source_addresses = None;
        }
        let others = [
            (
                "another bastion",
                RecordedAsk {
                    by: Some(by("sre")),
                    ..honest.clone()
                },
                "ON_BEHALF",
            ),
            (
                "no bastion",
                RecordedAsk {
                    by: None,
                    ..honest.clone()
                },
                "source",
            ),
            ("any address", wider, "source any"),
            (
                "an unbound user",
                RecordedAsk {
                    is_unbound: true,
                    ..honest.clone()
                },
                "UNBOUND",
            ),
            (
                "another user",
                RecordedAsk {
                    claims: claims("x"),
                    ..honest
                },
                "NOT_ALLOWED",
            ),
        ];
        for (case, past, words) in others {
            let change = policy().replay(&past).unwrap_or_else(|| panic!("{case}"));
            let said = format!("{} {}", change.would_be, change.why);
            assert!(said.contains(words), "{case}: {said}");
        }
    }

    #[test]
    fn rules_that_let_everyone_ask_or_never_count_are_warned_of() {
        let rule = r#"on_behalf = { by = '"edge" in claims.groups' }"#;
        let warnings = |to: &str| {
            let policy = Policy::parse(&POLICY.replace(rule, to), "policy.toml").unwrap();
            policy.warnings().join("\n")
        };
        assert!(!warnings(rule).contains("on behalf"), "{}", warnings(rule));
        let open = warnings("on_behalf = { by = 'true' }");
        assert!(open.contains("lets every identity ask on behalf"), "{open}");
        let approval = r#"approval = { count = 1, by = '"lead" in claims.groups', within = "5m" }"#;
        let never = warnings(&format!("{rule}\n{approval}"));
        assert!(never.contains("gives no pass on behalf"), "{never}");
    }

    #[test]
    fn a_rule_that_no_identity_meets_does_not_load() {
        for (by, words) in [
            ("'false'", "no identity satisfies it"),
            ("'claims.'", "policy.toml:"),
            ("7", "policy.toml:"),
        ] {
            let from = r#"by = '"edge" in claims.groups'"#;
            let text = POLICY.replace(from, &format!("by = {by}"));
            let error = Policy::parse(&text, "policy.toml").err().unwrap();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
