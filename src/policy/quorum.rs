//! The quorum of emergencies by registered keys: which keys count, and how many are needed. Pure.

use super::{
    Ask, AuthMethod, Denial, Error, Person, Policy, Reason, approval::Emergency,
    registered::NamedIssuer,
};
use crate::identity::{Identity, emergency::Registry};

impl Policy {
    /// The keys that are registered for emergencies.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Refuses registered people of an issuer that the server does not know.
    ///
    /// `(issuer, subject)` is the identity. If the issuer is spelled differently than in tokens, a
    /// person with a registered key counts as another person than the one who signs in, and could
    /// review their own emergency.
    ///
    /// # Errors
    /// Returns the line of the first such table, with the configured issuers.
    pub(crate) fn expect_issuers(&self, configured: &[&str]) -> Result<(), Error> {
        let is_unknown = |named: &&NamedIssuer| !configured.contains(&named.issuer.as_str());
        let Some(named) = self.named_issuers.iter().find(is_unknown) else {
            return Ok(());
        };
        let bare = |url: &str| url.trim_end_matches('/').to_ascii_lowercase();
        let meant = configured
            .iter()
            .find(|url| bare(url) == bare(&named.issuer));
        let advice = match meant {
            Some(url) => format!("write {url:?}"),
            None => format!("write one of {}", configured.join(", ")),
        };
        Err(Error::Invalid {
            origin: self.origin.clone(),
            line: named.line,
            message: format!(
                "issuer {:?} is not the url of an [[issuer]] in daypass.toml: {advice}, exactly",
                named.issuer
            ),
        })
    }

    /// Refuses an ask by registered keys that is not an emergency.
    pub(super) fn expect_emergency(&self, identity: &Identity, ask: &Ask) -> Result<(), Denial> {
        match identity.emergency().is_none() || ask.emergency {
            true => Ok(()),
            false => Err(Denial::new(
                Reason::EmergencyOnly,
                "registered keys can only use a role's `emergency`; ask with --emergency, or sign in",
            )),
        }
    }

    /// Checks that enough registered people signed, each of whom satisfies the role's
    /// `emergency.allow`.
    pub(super) fn expect_quorum(&self, identity: &Identity, ask: &Ask) -> Result<(), Denial> {
        let (Some(proof), Some((role, rules))) = (identity.emergency(), self.emergency_of(ask))
        else {
            return Ok(());
        };
        let people = proof.signers().iter().map(|signer| Person {
            issuer: &signer.person.issuer,
            subject: &signer.person.subject,
            claims: &signer.person.claims,
            auth_method: AuthMethod::RegisteredKey,
        });
        self.quorum(role, rules, people, ask)
    }

    /// The emergency rules of the ask's role, if it has any.
    pub(super) fn emergency_of(&self, ask: &Ask) -> Option<(&str, &Emergency)> {
        let role = self.role(&ask.role).ok()?;
        Some((&role.name, role.emergency.as_ref()?))
    }

    /// Checks that enough of these distinct people count.
    pub(super) fn quorum<'a>(
        &self,
        role: &str,
        rules: &Emergency,
        people: impl Iterator<Item = Person<'a>>,
        ask: &'a Ask,
    ) -> Result<(), Denial> {
        let counting = people.filter(|person| self.holds(&rules.allow, *person, ask));
        let count = u32::try_from(counting.count()).unwrap_or(u32::MAX);
        if count >= rules.keys {
            return Ok(());
        }
        let wanted = rules.keys;
        let detail = format!(
            "an emergency of role {role:?} needs the registered keys of {wanted} people who may have it, and {count} signed; \
             `daypass emergency prepare` collects them"
        );
        Err(Denial::new(Reason::Quorum, detail)
            .with("keys", wanted.to_string())
            .with("signed", count.to_string()))
    }
}
