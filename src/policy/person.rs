//! Whose claims the policy judges.

use serde_json::{Map, Value};

use crate::identity::{Binding, Identity};

/// Whose claims are judged. No proof of anything: an [`Identity`] lends one to be explained,
/// and so do a file of claims, a `[[test]]` block and a past event.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// The `iss` claim.
    pub issuer: &'a str,
    /// The `sub` claim.
    pub subject: &'a str,
    /// The claims that conditions and templates see.
    pub claims: &'a Map<String, Value>,
    /// How they were proven.
    pub auth_method: AuthMethod,
}

impl<'a> From<&'a Identity> for Person<'a> {
    fn from(identity: &'a Identity) -> Self {
        Self {
            issuer: identity.issuer(),
            subject: identity.subject(),
            claims: identity.claims(),
            auth_method: AuthMethod::of(identity),
        }
    }
}

/// How a person was proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthMethod {
    /// By an ID token that is bound to their key, or as if by one.
    #[default]
    Token,
    /// By an ID token that is bound to no key (device flow, `binding = "none"`): with a stolen one
    /// another person signs in as well.
    UnboundToken,
    /// By a registered key, without a token.
    RegisteredKey,
}

impl AuthMethod {
    /// That of an identity.
    pub fn of(identity: &Identity) -> Self {
        match (identity.emergency(), identity.binding()) {
            (Some(_), _) => Self::RegisteredKey,
            (None, Binding::Nonce | Binding::Audience) => Self::Token,
            (None, Binding::None) => Self::UnboundToken,
        }
    }
}
