//! The caller's identity, proven.
//!
//! [`Issuers::verify`] turns an ID token into an [`Identity`], [`Issuers::verify_refreshed`] does
//! so with the two tokens of a renewed sign-in, and [`emergency::Registry::verify`] with signatures
//! by registered keys. [`Identity::prove_possession`] makes an identity and a key into a
//! [`KeyHolder`]. Neither type has another constructor: a caller with a [`KeyHolder`] has passed
//! every check. No token text reaches an error, a log line or a `Debug` output.

mod algorithm;
mod binding;
mod claims;
pub(crate) mod code_flow;
pub(crate) mod emergency;
mod error;
mod fetch;
pub mod issuer;
mod json;
mod jwk;
mod jwks;
mod key_set;
mod known;
mod lists;
pub(crate) mod on_behalf;
mod possession;
pub mod proof;
mod proven;
mod refreshed;
mod settings;
pub(crate) mod sign_in;
mod token;
pub(crate) mod web_url;

pub use algorithm::Algorithm;
pub use binding::Binding;
pub(crate) use error::Error;
pub use issuer::Issuers;
pub use proven::{Identity, KeyHolder};
pub use settings::{Settings, SettingsError, check as check_settings};
pub use sign_in::{RedirectHost, SignIn};

#[cfg(test)]
mod tests;
