//! The person whose claims the policy evaluates.

use serde_json::{Map, Value};

use crate::identity::{Binding, Identity};

/// A person whose claims are evaluated. It proves nothing: it comes from an [`Identity`], a file of
/// claims, a `[[test]]` block or a past event.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// The `iss` claim.
    pub issuer: &'a str,
    /// The `sub` claim.
    pub subject: &'a str,
    /// The claims that conditions and templates see.
    pub claims: &'a Map<String, Value>,
    /// Method by which the claims were proven.
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

/// Method by which an identity was proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthMethod {
    /// By an ID token that is bound to the person's key, or as if by one.
    #[default]
    Token,
    /// By an ID token that is bound to no key (device flow, `binding = "none"`). A thief of the
    /// token can use it too.
    UnboundToken,
    /// By a registered key, without a token.
    RegisteredKey,
}

impl AuthMethod {
    /// The method of an identity.
    pub(crate) fn of(identity: &Identity) -> Self {
        match (identity.emergency(), identity.binding()) {
            (Some(_), _) => Self::RegisteredKey,
            (None, Binding::Nonce | Binding::Audience) => Self::Token,
            (None, Binding::None) => Self::UnboundToken,
        }
    }
}
