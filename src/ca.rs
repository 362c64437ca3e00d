//! The certificate authority: `sign(Draft, Receipt)`.
//!
//! Input has been decided by the policy and recorded by the store; output has been linted and
//! verified with the configured key. It reads nothing but its keys and asks no clock.
//!
//! Signing takes a draft and a receipt by value:
//!
//! ```
//! use daypass::{
//!     ca::{Ca, Draft},
//!     identity::KeyHolder,
//!     ledger::Receipt,
//!     policy::Grant,
//! };
//!
//! fn once(ca: &Ca, draft: Draft, receipt: Receipt) {
//!     let certificate = ca.sign(draft.clone(), receipt);
//! }
//! fn stages(_: &KeyHolder, _: &Grant) {}
//! ```
//!
//! Skipping a stage does not compile (the names are those of the example above, so each of these
//! fails for its own reason only). Only a proof of possession makes a key holder:
//!
//! ```compile_fail,E0451
//! fn holder(other: daypass::identity::KeyHolder) -> daypass::identity::KeyHolder {
//!     daypass::identity::KeyHolder { ..other }
//! }
//! ```
//!
//! Only the policy makes a grant:
//!
//! ```compile_fail,E0451
//! fn grant(other: daypass::policy::Grant) -> daypass::policy::Grant {
//!     daypass::policy::Grant { ..other }
//! }
//! ```
//!
//! Only [`Draft::new`] makes a draft:
//!
//! ```compile_fail,E0451
//! fn draft(other: daypass::ca::Draft) -> daypass::ca::Draft {
//!     daypass::ca::Draft { ..other }
//! }
//! ```
//!
//! Only the store makes a receipt:
//!
//! ```compile_fail,E0624
//! let receipt = daypass::ledger::Receipt::committed(1, [0; 32]);
//! ```
//!
//! Each receipt is spent once:
//!
//! ```compile_fail,E0382
//! fn twice(ca: &daypass::ca::Ca, draft: daypass::ca::Draft, receipt: daypass::ledger::Receipt) {
//!     let first = ca.sign(draft.clone(), receipt);
//!     let second = ca.sign(draft, receipt);
//! }
//! ```

pub mod document;
pub mod draft;
mod error;
pub mod host;
pub mod key;
mod keys;
pub(crate) mod lint;
mod sign;
pub(crate) mod signer;
pub mod to_sign;

pub use draft::Draft;
pub(crate) use error::Error;
pub use host::{HostCa, HostDraft};
pub use keys::{Ca, KeyState};

#[cfg(test)]
mod tests;
