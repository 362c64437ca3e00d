//! The people of a dev world.

use serde_json::{Value, json};

/// A person who can sign in at the dev issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// The login name, which is also the `sub` claim.
    pub name: &'static str,
    /// The `groups` claim.
    pub groups: &'static [&'static str],
}

/// All of them. `mallory` is in no group, so that a denial can be seen.
pub(crate) const PEOPLE: [Account; 5] = [
    Account {
        name: "alice",
        groups: &["sre", "oncall"],
    },
    Account {
        name: "bob",
        groups: &["oncall"],
    },
    Account {
        name: "carol",
        groups: &["sre-lead", "security"],
    },
    Account {
        name: "dave",
        groups: &["sre-lead"],
    },
    Account {
        name: "mallory",
        groups: &[],
    },
];

/// The account of that name.
pub(super) fn find(name: &str) -> Option<&'static Account> {
    PEOPLE.iter().find(|account| account.name == name)
}

impl Account {
    /// The claims about this person, without the protocol's own (`iss`, `aud`, `exp`, ...).
    pub(crate) fn claims(&self) -> Value {
        json!({
            "sub": self.name,
            "name": self.name,
            "email": format!("{}@example.com", self.name),
            "email_verified": true,
            "groups": self.groups,
            "amr": ["pwd"],
        })
    }
}
