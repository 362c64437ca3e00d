//! `emergency = { ..., page = "before" }`: when an emergency is paged. Pure.
//!
//! Whether a page reaches a person is up to the webhooks.

pub(super) mod timing;

use super::{Ask, Error, PageTiming, Policy};

impl Policy {
    /// When this ask is paged; `None` if it is not an emergency.
    pub(crate) fn page(&self, ask: &Ask) -> Option<PageTiming> {
        let role = self.role(&ask.role).ok().filter(|_| ask.emergency)?;
        role.emergency.as_ref().map(|emergency| emergency.page)
    }

    /// Checks a policy for a server without a paging webhook.
    ///
    /// # Errors
    /// Returns the line of a role that demands a page before its emergencies, and a remedy.
    pub(crate) fn expect_no_page_before(&self) -> Result<(), Error> {
        let demands = |role: &&super::Role| {
            let page = role.emergency.as_ref().map(|emergency| emergency.page);
            page == Some(PageTiming::Before)
        };
        match self.roles.iter().find(demands) {
            None => Ok(()),
            Some(role) => Err(Error::Invalid {
                origin: self.origin.clone(),
                line: role.line,
                message: format!(
                    "role {:?} has page = \"before\", and no webhook takes \"emergency\": add a [[webhook]] with \
                     events = [\"emergency\"] to daypass.toml and restart, or write page = \"after\"",
                    role.name
                ),
            }),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn policy(page: &str) -> Result<Policy, Error> {
        let text = format!(
            r#"
[limits]
principals = ["root"]

[[role]]
name = "prod"
allow = '"oncall" in claims.groups'
principals = ["root"]
emergency = {{ allow = '"oncall" in claims.groups', ttl = "15m", review = '"security" in claims.groups'{page} }}

[[role]]
name = "plain"
allow = '"oncall" in claims.groups'
principals = ["root"]
"#
        );
        Policy::parse(&text, "policy.toml")
    }

    fn ask(role: &str, emergency: bool) -> Ask {
        Ask {
            role: role.to_owned(),
            emergency,
            ..Ask::default()
        }
    }

    #[test]
    fn the_page_is_the_emergencys_alone() {
        let after = policy("").unwrap();
        let before = policy(r#", page = "before""#).unwrap();
        for (case, policy, ask, expected) in [
            (
                "the default",
                &after,
                ask("prod", true),
                Some(PageTiming::After),
            ),
            (
                "as written",
                &before,
                ask("prod", true),
                Some(PageTiming::Before),
            ),
            ("no emergency", &before, ask("prod", false), None),
            ("none in the role", &before, ask("plain", true), None),
            ("no role", &before, ask("x", true), None),
        ] {
            assert_eq!(policy.page(&ask), expected, "{case}");
        }
        assert!(after.expect_no_page_before().is_ok());
    }

    #[test]
    fn a_page_without_a_webhook_is_refused_with_its_line() {
        let error = policy(r#", page = "before""#).unwrap();
        let error = error.expect_no_page_before().unwrap_err().to_string();
        assert!(
            error.starts_with("policy.toml:6: role \"prod\" has page = \"before\""),
            "{error}"
        );
        assert!(error.contains("add a [[webhook]]"), "{error}");
        let Err(error) = policy(r#", page = "never""#) else {
            unreachable!()
        };
        assert!(error.to_string().contains("policy.toml:9: "), "{error}");
    }
}
