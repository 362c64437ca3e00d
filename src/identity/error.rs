//! Errors of authentication: one variant per cause, one stable code for the wire.
//!
//! No variant carries text of a token. A parser's error is kept as its kind and its position only.

use std::{borrow::Cow, sync::Arc};

use openidconnect::SignatureVerificationError;
use reqwest::StatusCode;

use crate::{reason, ssh::sshsig};

/// Reason why a caller is not authenticated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The call carried no token.
    #[error(
        "read the token: the call carries none; it belongs into the header Authorization: Bearer TOKEN"
    )]
    Missing,
    /// The token, or a list within it, is over its bound.
    #[error("read the token: {0} is too large")]
    TooLarge(&'static str),
    /// The token is not three canonical base64url parts with a dot between them.
    #[error("read the token: {0}")]
    Shape(&'static str),
    /// A part of the token is not canonical base64url.
    #[error("read the token: a part is not canonical base64url")]
    Base64(#[source] base64::DecodeError),
    /// A part of the token is not the strict JSON that `identity::json` reads.
    #[error("read the token: {part} is not a plain JSON object")]
    Json {
        /// The part's name.
        part: &'static str,
        /// Kind and position.
        #[source]
        source: serde_json::Error,
    },
    /// A header parameter is missing, forbidden, or of the wrong type.
    #[error("read the token's header: `{name}` {problem}")]
    Header {
        /// The parameter.
        name: &'static str,
        /// The fault, as the rest of a sentence.
        problem: &'static str,
    },
    /// The header has no `kid`, and the issuer's configuration demands one: after a rotation, the
    /// key would be a guess.
    #[error(
        "read the token's header: `kid` is missing; if the issuer has a single key without one, its \
         operator sets key_without_id = true in [[issuer]]"
    )]
    NoKeyId,
    /// The header's `alg` is not one that the issuer's configuration and the key both name.
    #[error("check the token's algorithm: it is not one configured for this issuer and key")]
    Algorithm,
    /// The token is not an ID token.
    #[error("check the token's type: {0}")]
    Type(&'static str),
    /// No issuer of the configuration has exactly this `iss`.
    #[error("check the token's issuer: it is not a configured one")]
    Issuer,
    /// The token is for another client, or for several.
    #[error("check the token's audience: {0}")]
    Audience(&'static str),
    /// `exp` has passed.
    #[error("check the token's times: it has expired")]
    Expired,
    /// `nbf` or `iat` is in the future.
    #[error("check the token's times: `{0}` is in the future")]
    NotYetValid(&'static str),
    /// A claim is missing, of the wrong type or out of its bounds.
    #[error("check the token's claims: `{name}` {problem}")]
    Claim {
        /// The claim.
        name: &'static str,
        /// The fault, as the rest of a sentence.
        problem: &'static str,
    },
    /// The issuer left the groups out, and names a URL to fetch them from.
    #[error(
        "check the token's groups: the issuer left them out because they are too many (`{0}`; Entra \
         ID writes at most 200 into a token): have it send only the groups that are assigned to \
         this application, or app roles"
    )]
    GroupsOverage(&'static str),
    /// A list in the claims has too many entries.
    #[error(
        "check the token's claims: {claim} has {count} entries, more than {limit}: have the issuer \
         send only those that the policy reads, such as the groups that are assigned to this \
         application, or app roles"
    )]
    LongList {
        /// The claim, if it is a common one.
        claim: &'static str,
        /// Number of entries.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// The issuer has no usable key of this `kid`.
    #[error("find the token's key: the issuer publishes no such signing key")]
    UnknownKey,
    /// The signature is not by that key.
    #[error("verify the token's signature")]
    Signature(#[source] SignatureVerificationError),
    /// `openidconnect` refuses a token that our own checks accepted. Its message may quote claims,
    /// so it is not kept.
    #[error("verify the token: its claims are not those of an ID token")]
    Protocol,
    /// The issuer binds tokens to keys and this one carries no commitment.
    #[error("check the token's key binding: it has none")]
    Unbound,
    /// The token commits to another key or secret.
    #[error("check the token's key binding: it is for another key")]
    OtherKey,
    /// The sign-in is older than the issuer's `session`.
    #[error("check the sign-in's age: it is older than a session may be, so sign in again")]
    SessionOver,
    /// Two tokens of an issuer whose configuration does not allow it.
    #[error(
        "check the renewed token: this issuer's sign-ins are not renewed (refresh in [[issuer]]), \
         so sign in again"
    )]
    NoRefresh,
    /// The fresh token and the original are not of one sign-in.
    #[error("check the renewed token against the one of the sign-in: {0}")]
    OtherSignIn(&'static str),
    /// The challenge is not one of this server, or has expired.
    #[error("the challenge is refused: {0}")]
    Challenge(&'static str),
    /// A key is not registered for emergencies, or did not sign.
    #[error("the emergency keys are refused: {0}")]
    EmergencyKey(&'static str),
    /// The user's consent is void, or cannot be one for this pass.
    #[error("check the user's consent: {0}")]
    Consent(Cow<'static, str>),
    /// A token or proof of the user on whose behalf a pass is asked for, not of the caller.
    #[error("{about}{0}", about = reason::OF_USER)]
    OfUser(#[source] Box<Self>),
    /// The subject key has no encoding.
    #[error("read the subject key")]
    KeyMalformed(#[source] ssh_key::Error),
    /// The call carries no proof of possession.
    #[error("check the proof of possession: the call carries none")]
    ProofMissing,
    /// The proof is not a valid signature by the subject key over this message.
    #[error("check the proof of possession: {0}")]
    Proof(#[from] sshsig::Error),
    /// The issuer's keys cannot be fetched, and none are cached or the cached ones are too old.
    #[error("fetch the keys of issuer `{issuer}`")]
    IssuerUnavailable {
        /// The configured name.
        issuer: String,
        /// The last failure.
        #[source]
        source: Arc<FetchError>,
    },
}

impl Error {
    /// The stable code for the wire.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Missing => reason::TOKEN_MISSING,
            Self::TooLarge(_) | Self::LongList { .. } => reason::TOKEN_TOO_LARGE,
            Self::Shape(_)
            | Self::Base64(_)
            | Self::Json { .. }
            | Self::Header { .. }
            | Self::NoKeyId => reason::TOKEN_MALFORMED,
            Self::Algorithm => reason::TOKEN_ALGORITHM,
            Self::Type(_) => reason::TOKEN_TYPE,
            Self::Issuer => reason::TOKEN_ISSUER,
            Self::Audience(_) => reason::TOKEN_AUDIENCE,
            Self::Expired => reason::TOKEN_EXPIRED,
            Self::NotYetValid(_) => reason::TOKEN_NOT_YET_VALID,
            Self::Claim { .. } | Self::Protocol => reason::TOKEN_CLAIMS,
            Self::GroupsOverage(_) => reason::TOKEN_OVERAGE,
            Self::UnknownKey => reason::TOKEN_KEY,
            Self::Signature(_) => reason::TOKEN_SIGNATURE,
            Self::SessionOver | Self::NoRefresh => reason::SESSION_OVER,
            Self::Unbound | Self::OtherKey | Self::OtherSignIn(_) => reason::KEY_BINDING,
            Self::Challenge(_) => reason::CHALLENGE,
            Self::EmergencyKey(_) => reason::EMERGENCY_KEY,
            Self::Consent(_) => reason::CONSENT,
            Self::OfUser(error) => error.code(),
            Self::KeyMalformed(_) | Self::ProofMissing | Self::Proof(_) => reason::POSSESSION,
            Self::IssuerUnavailable { .. } => reason::ISSUER_UNAVAILABLE,
        }
    }

    /// Whether the issuer is at fault, not the caller. The wire says `UNAVAILABLE`.
    pub(crate) fn is_unavailable(&self) -> bool {
        match self {
            Self::OfUser(error) => error.is_unavailable(),
            _ => matches!(self, Self::IssuerUnavailable { .. }),
        }
    }
}

/// Reason why an issuer's keys could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer, or not a whole one in time.
    #[error("request the {what}")]
    Request {
        /// The document's name, and the proxy that is between.
        what: String,
        /// The HTTP client's error.
        #[source]
        source: reqwest::Error,
    },
    /// Another answer than 200, redirects included.
    #[error("request the {what}: the answer is {status}")]
    Status {
        /// The document's name.
        what: &'static str,
        /// The HTTP status.
        status: StatusCode,
    },
    /// More than 256 KiB.
    #[error("read the {what}: it is too large")]
    TooLarge {
        /// The document's name.
        what: &'static str,
    },
    /// Not a JSON object, or one that has a member twice.
    #[error("read the {what}")]
    Json {
        /// The document's name.
        what: &'static str,
        /// Kind and position.
        #[source]
        source: serde_json::Error,
    },
    /// The discovery document is another issuer's (OpenID Connect Discovery, 4.3).
    #[error("check the discovery document: its issuer is not the configured one")]
    OtherIssuer,
    /// The discovery document has no valid URL by this name.
    #[error("check the discovery document: {0} {1}")]
    Endpoint(&'static str, &'static str),
    /// The key set has no `keys`, or far too many.
    #[error("check the key set: {0}")]
    KeySet(&'static str),
}
