//! A sign-in that a person has completed, in a browser or for a device.

use super::wanted::Authentication;

/// A completed sign-in, with the nonce for the token.
#[derive(Clone)]
pub(super) struct SignedIn {
    pub(super) name: &'static str,
    pub(super) nonce: Option<String>,
    /// The token's `auth_time`, `amr` and `acr`.
    pub(super) how: Authentication,
    /// The redirect URI; none: a device.
    pub(super) redirect: Option<String>,
    /// Whether it gets a refresh token.
    pub(super) refreshes: bool,
    /// Whether a refresh token renewed it.
    pub(super) is_renewed: bool,
}
