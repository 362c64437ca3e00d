//! Conversion of the caller's own identity for the wire. Pure.

use time::OffsetDateTime;

use crate::{
    identity::{Binding, Identity},
    policy::open_roles::OpenRole,
    proto::v1,
    unix_seconds::UnixSeconds,
};

/// Converts the caller's identity, for the caller. The claims are those that the policy sees: they
/// are no longer than the token that the caller sent.
pub(in crate::server) fn who_am_i(
    identity: &Identity,
    issuer_name: &str,
    open: &[OpenRole<'_>],
    now: OffsetDateTime,
) -> v1::WhoAmIResponse {
    let claims = serde_json::Value::Object(identity.claims().clone());
    v1::WhoAmIResponse {
        issuer: identity.issuer().to_owned(),
        issuer_name: issuer_name.to_owned(),
        subject: identity.subject().to_owned(),
        label: identity.label().to_owned(),
        binding: binding(identity.binding()).into(),
        claims: claims.to_string(),
        expires_at: UnixSeconds::from(identity.expires()).get(),
        server_time: UnixSeconds::from(now).get(),
        roles: open.iter().map(|open| open.role.name.clone()).collect(),
    }
}

/// Converts a binding.
pub(super) fn binding(binding: Binding) -> v1::Binding {
    match binding {
        Binding::Nonce => v1::Binding::Nonce,
        Binding::Audience => v1::Binding::Audience,
        Binding::None => v1::Binding::None,
    }
}
