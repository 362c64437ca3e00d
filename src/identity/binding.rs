//! Binding of tokens to keys.

use serde::{Deserialize, Serialize};

/// The way in which a login commits to its SSH key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binding {
    /// The ID token's `nonce` is [`super::proof::commitment`].
    Nonce,
    /// The one audience is `<audience>#<commitment>`.
    Audience,
    /// The token names no key (issuers that cannot carry a commitment, and the device flow).
    None,
}

/// The commitment that a verified token carries.
#[derive(Clone)]
pub(super) enum Commitment {
    /// In the `nonce`.
    Nonce(String),
    /// Behind the audience.
    Audience(String),
    /// The token has none, and the issuer's configuration allows that.
    Absent,
}
