//! The pages that a sign-in may lead to. Pure.
//!
//! The set is closed, so a link to the sign-in never leads to another site.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A page to show after a sign-in. Its text is the path below `/web/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) enum Target {
    /// The list of requests.
    #[default]
    Requests,
    /// One request.
    Request(u64),
    Access,
    Passkey,
    /// The search in the ledger, without its conditions.
    Audit,
    Timeline,
    Hosts,
    /// One event of the ledger.
    Event(u64),
}

/// There is no such page, or no sign-in leads there.
#[derive(Debug, thiserror::Error)]
#[error("no sign-in leads there")]
pub(super) struct NoTarget;

impl Target {
    /// The page at a path below `/web/`.
    ///
    /// # Errors
    /// Returns [`NoTarget`] for every other path, and for another spelling of a number.
    pub(super) fn parse(path: &str) -> Result<Self, NoTarget> {
        let target = match path {
            "requests" => Self::Requests,
            "access" => Self::Access,
            "passkey" => Self::Passkey,
            "audit" => Self::Audit,
            "audit/timeline" => Self::Timeline,
            "audit/hosts" => Self::Hosts,
            path => {
                let (kind, number) = path.split_once('/').ok_or(NoTarget)?;
                let number = number.parse().map_err(|_| NoTarget)?;
                match kind {
                    "requests" => Self::Request(number),
                    "audit" => Self::Event(number),
                    _ => return Err(NoTarget),
                }
            }
        };
        match target.to_string() == path {
            true => Ok(target),
            false => Err(NoTarget),
        }
    }

    /// The path of the page.
    pub(super) fn path(self) -> String {
        format!("/web/{self}")
    }

    /// The path of the sign-in that leads there.
    pub(super) fn sign_in(self) -> String {
        match self {
            Self::Requests => "/web/sign-in".to_owned(),
            target => format!("/web/sign-in?to={target}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests => f.write_str("requests"),
            Self::Request(id) => write!(f, "requests/{id}"),
            Self::Access => f.write_str("access"),
            Self::Passkey => f.write_str("passkey"),
            Self::Audit => f.write_str("audit"),
            Self::Timeline => f.write_str("audit/timeline"),
            Self::Hosts => f.write_str("audit/hosts"),
            Self::Event(index) => write!(f, "audit/{index}"),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = NoTarget;

    fn try_from(path: String) -> Result<Self, NoTarget> {
        Self::parse(&path)
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_page_has_one_path_and_no_other_path_is_one() {
        for target in [
            Target::Requests,
            Target::Request(0),
            Target::Request(u64::MAX),
            Target::Access,
            Target::Passkey,
            Target::Audit,
            Target::Timeline,
            Target::Hosts,
            Target::Event(3),
        ] {
            let parsed = Target::parse(&target.to_string());
            assert_eq!(parsed.ok(), Some(target), "{target}");
        }
        for path in [
            "",
            "/",
            "//evil.example",
            "https://evil.example",
            "requests/",
            "requests/+3",
            "requests/03",
            "requests/-1",
            "requests/3/approve",
            "audit/3/proof",
            "audit/3?x",
            "audit/../sign-out",
            "sign-out",
            "\\evil.example",
            "Audit",
            "requests/99999999999999999999",
        ] {
            assert!(Target::parse(path).is_err(), "{path:?}");
        }
        assert_eq!(Target::Event(3).path(), "/web/audit/3");
        assert_eq!(Target::Event(3).sign_in(), "/web/sign-in?to=audit/3");
        assert_eq!(Target::default().sign_in(), "/web/sign-in");
    }

    proptest! {
        #[test]
        fn what_parses_is_written_the_same(path in "[a-z]{0,8}/?[0-9+.]{0,4}") {
            if let Ok(target) = Target::parse(&path) {
                prop_assert_eq!(target.to_string(), path);
            }
        }
    }
}
