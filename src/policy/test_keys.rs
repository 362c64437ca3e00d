//! The `[[test]]` blocks of the policy file as written. Decides nothing.

use std::collections::BTreeMap;

use toml::Spanned;

use crate::reference::keys;

keys! {
    /// `daypass policy test` runs these.
    struct Test {
        /// what to call it.
        name: Option<String>,
        /// who asks.
        #[serde(default)]
        person as "as": TestPerson,
        /// the identity that asks on behalf of that person (`on_behalf`), with the keys of `as`.
        /// The ask comes from its address.
        by: Option<TestPerson>,
        /// when, as an RFC 3339 time. Default: now.
        at: Option<Spanned<String>>,
        /// what is asked.
        ask: Ask,
        /// `"granted"`, `"denied"`, or `"denied: WHY"` with one of `role`, `allow`, `condition`,
        /// `parameter`, `reason`, `host`, `principal`, `source`, `ttl`, `extension`, `command`,
        /// `hours`, `require`, `approval`, `presence`, `emergency`, `keys`, `bound` and
        /// `on_behalf`.
        expect: Spanned<String>,
        /// the exact principals of the pass.
        principals: Option<Vec<String>>,
        /// its exact force-command.
        command: Option<String>,
        /// the bastion that it goes through.
        bastion: Option<Spanned<String>>,
    }
}

keys! {
    /// The person of a test.
    #[derive(Default)]
    struct TestPerson {
        /// the claims of the ID token.
        #[serde(default)]
        claims: serde_json::Map<String, serde_json::Value>,
        /// its issuer.
        issuer: Option<String>,
        /// its subject.
        subject: Option<String>,
        /// the address that the person asks from.
        address: Option<Spanned<String>>,
        /// how long ago they signed in.
        auth_age: Option<Spanned<String>>,
        /// the methods of the sign-in.
        amr: Option<Vec<String>>,
        /// its level.
        acr: Option<String>,
        /// `false` for a token that is bound to no key.
        bound: Option<bool>,
    }
}

keys! {
    /// What the person of a test asks for.
    struct Ask {
        /// the role.
        role: String,
        /// the host.
        host: Option<String>,
        /// the values of parameters.
        #[serde(default)]
        params: BTreeMap<String, String>,
        /// the reason.
        reason: Option<String>,
        /// `true` for an emergency.
        #[serde(default)]
        emergency: bool,
        /// a shorter lifetime.
        ttl: Option<Spanned<String>>,
        /// fewer networks.
        #[serde(default)]
        source: Vec<Spanned<String>>,
        /// fewer extensions.
        #[serde(default)]
        extensions: Vec<Spanned<String>>,
    }
}
