//! Demands on the sign-in: how recent, by which methods, at which level.
//!
//! If they are not met, the denial carries what a client needs to sign in again: `max_age`, `amr`,
//! `acr_values`, and which of the three were `unmet` (OpenID Connect Core, 2 and 3.1.2.1).

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;
use time::OffsetDateTime;

use crate::identity::Identity;

use super::{AuthMethod, Denial, Person, Reason, file, limits};

/// Largest number of names in a list.
const MAX_NAMES: usize = 16;
const MAX_NAME: usize = 128;

/// The sign-in of a person, according to the issuer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Authentication<'a>(Person<'a>);

impl<'a> Person<'a> {
    /// The sign-in of this person.
    pub(crate) fn authentication(self) -> Authentication<'a> {
        Authentication(self)
    }
}

impl<'a> Authentication<'a> {
    /// `auth_time`: the last time at which the person actively signed in.
    pub(crate) fn at(self) -> Option<OffsetDateTime> {
        let seconds = self.0.claims.get("auth_time")?.as_i64()?;
        OffsetDateTime::from_unix_timestamp(seconds).ok()
    }

    /// `amr`: the methods of the sign-in (RFC 8176).
    pub(crate) fn methods(self) -> BTreeSet<&'a str> {
        let methods = self.0.claims.get("amr").and_then(Value::as_array);
        methods
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    /// `acr`: the level of the sign-in.
    pub(crate) fn level(self) -> Option<&'a str> {
        self.0.claims.get("acr")?.as_str()
    }
}

/// `require = { auth_age, amr, acr, bound }`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Require {
    /// Largest age of the sign-in.
    auth_age: Option<Duration>,
    /// Required methods, all of them.
    amr: Vec<String>,
    /// Accepted levels, the preferred one first.
    acr: Vec<String>,
    /// Whether the token must be bound to the caller's key.
    bound: bool,
}

impl Require {
    /// Parses `require`.
    ///
    /// # Errors
    /// Returns a sentence for the policy's author if nothing is demanded, the age is invalid, or a
    /// name cannot be sent to an issuer.
    pub(super) fn load(raw: &file::Require) -> Result<Self, String> {
        let auth_age = match raw.auth_age.as_deref() {
            None => None,
            Some(age) => {
                Some(limits::lifetime(age).map_err(|error| format!("`auth_age`: {error}"))?)
            }
        };
        let loaded = Self {
            auth_age,
            amr: names("amr", raw.amr.as_deref())?,
            acr: names("acr", raw.acr.as_deref())?,
            bound: raw.bound.unwrap_or_default(),
        };
        if raw.bound == Some(false) {
            return Err("`bound` is true or left out; remove it to demand none".to_owned());
        }
        let is_for_nothing = loaded.auth_age.is_none()
            && loaded.amr.is_empty()
            && loaded.acr.is_empty()
            && !loaded.bound;
        if is_for_nothing {
            return Err(
                "`require` demands nothing; name `auth_age`, `amr`, `acr` or `bound`, or remove it"
                    .to_owned(),
            );
        }
        Ok(loaded)
    }

    /// Largest age of the sign-in.
    pub(crate) fn auth_age(&self) -> Option<Duration> {
        self.auth_age
    }

    /// Checks the sign-in for `role`.
    ///
    /// # Errors
    /// Returns [`Reason::StepUp`] with what would meet the demand.
    pub(super) fn check(
        &self,
        role: &str,
        person: Person<'_>,
        now: OffsetDateTime,
    ) -> Result<(), Denial> {
        let authentication = person.authentication();
        let unmet: Vec<(&str, String)> = [
            ("auth_age", self.age(authentication, now)),
            ("amr", self.methods(authentication)),
            ("acr", self.level(authentication)),
            ("bound", self.binding(person.auth_method)),
        ]
        .into_iter()
        .filter_map(|(name, fault)| Some((name, fault?)))
        .collect();
        if unmet.is_empty() {
            return Ok(());
        }
        let faults: Vec<_> = unmet.iter().map(|(_, fault)| fault.as_str()).collect();
        let names: Vec<_> = unmet.iter().map(|(name, _)| *name).collect();
        let denial = Denial::new(
            Reason::StepUp,
            format!(
                "role {role:?} needs a stronger or newer sign-in: {}",
                faults.join("; ")
            ),
        );
        Err(self.metadata().fold(
            denial.with("unmet", names.join(" ")),
            |denial, (name, value)| denial.with(name, value),
        ))
    }

    /// The parameters with which a client must sign in again.
    fn metadata(&self) -> impl Iterator<Item = (&'static str, String)> {
        let age = self
            .auth_age
            .map(|age| ("max_age", age.as_secs().to_string()));
        let list = |name, list: &[String]| (!list.is_empty()).then(|| (name, list.join(" ")));
        let bound = self.bound.then(|| ("bound", "true".to_owned()));
        [
            age,
            list("amr", &self.amr),
            list("acr_values", &self.acr),
            bound,
        ]
        .into_iter()
        .flatten()
    }

    fn age(&self, authentication: Authentication<'_>, now: OffsetDateTime) -> Option<String> {
        let most = self.auth_age?;
        let Some(at) = authentication.at() else {
            return Some(format!(
                "at most {} old, and the token does not say how old this one is (auth_time)",
                humantime::format_duration(most)
            ));
        };
        let age = now - at;
        (age > most).then(|| {
            format!(
                "at most {} old, and this one is {}",
                humantime::format_duration(most),
                humantime::format_duration(Duration::from_secs(age.whole_seconds().unsigned_abs()))
            )
        })
    }

    fn methods(&self, authentication: Authentication<'_>) -> Option<String> {
        let used = authentication.methods();
        let missing: Vec<_> = self
            .amr
            .iter()
            .map(String::as_str)
            .filter(|method| !used.contains(method))
            .collect();
        (!missing.is_empty()).then(|| format!("with {} (amr)", missing.join(" and ")))
    }

    fn level(&self, authentication: Authentication<'_>) -> Option<String> {
        let level = authentication.level();
        let met = self.acr.is_empty() || self.acr.iter().any(|one| Some(one.as_str()) == level);
        (!met).then(|| format!("at {} (acr)", self.acr.join(" or ")))
    }

    fn binding(&self, auth_method: AuthMethod) -> Option<String> {
        let is_unbound = auth_method == AuthMethod::UnboundToken;
        (self.bound && is_unbound).then(|| UNBOUND.to_owned())
    }
}

/// The demand as an author would write it: `at most 15m old, with hwk, at phr, bound to the key`.
impl std::fmt::Display for Require {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let age = self
            .auth_age
            .map(|age| format!("at most {} old", humantime::format_duration(age)));
        let amr = (!self.amr.is_empty()).then(|| format!("with {}", self.amr.join(" and ")));
        let acr = (!self.acr.is_empty()).then(|| format!("at {}", self.acr.join(" or ")));
        let bound = self.bound.then(|| "bound to the key".to_owned());
        let parts: Vec<_> = [age, amr, acr, bound].into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

/// The fault of a token that is bound to no key, and the remedy.
const UNBOUND: &str = "with a token that is bound to your key: sign in in a browser \
    (`daypass login` without --device), at an issuer whose binding is not \"none\"";

/// Refuses an identity whose token is bound to no key. Such a token can be stolen, so it cannot
/// decide requests or administer.
///
/// # Errors
/// Returns [`Reason::Unbound`].
pub(crate) fn expect_bound(identity: &Identity) -> Result<(), Denial> {
    match AuthMethod::of(identity) {
        AuthMethod::Token | AuthMethod::RegisteredKey => Ok(()),
        AuthMethod::UnboundToken => Err(Denial::new(
            Reason::Unbound,
            format!("deciding and administration are only possible {UNBOUND}"),
        )),
    }
}

/// Checks a list of names. They are sent in a list separated by spaces, and on a command line.
fn names(key: &str, raw: Option<&[String]>) -> Result<Vec<String>, String> {
    let Some(names) = raw else {
        return Ok(Vec::new());
    };
    let good = |name: &String| {
        (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if !(1..=MAX_NAMES).contains(&names.len()) || !names.iter().all(good) {
        return Err(format!(
            "`{key}` needs 1 to {MAX_NAMES} names of printable ASCII without spaces; remove it to demand none"
        ));
    }
    Ok(names.to_vec())
}

#[cfg(test)]
mod tests;
