//! Host certificates: the CA key that signs them, their draft, and signing.
//!
//! The same rule as for passes: a draft is linted, recorded, and signed by its receipt. The key is
//! another one than the user CA's, so that neither can make the other's certificates.

mod draft;
mod keys;
pub(super) mod lint;
mod sign;

pub use draft::HostDraft;
pub(crate) use draft::Subject;
pub use keys::HostCa;

#[cfg(test)]
mod tests;
