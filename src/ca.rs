//! The certificate authority: `sign(Draft, Receipt)`.
//!
//! What comes in has been decided by policy and recorded by the store; what goes out has been
//! linted and verified with the configured key. It reads nothing but its keys and asks no clock.
//!
//! Skipping a stage does not compile. There is no holder but the one who proved to hold a key:
//!
//! ```compile_fail,E0451
//! fn holder(other: daypass::identity::Holder) -> daypass::identity::Holder {
//!     daypass::identity::Holder { ..other }
//! }
//! ```
//!
//! no grant but the policy's:
//!
//! ```compile_fail,E0451
//! fn grant(other: daypass::policy::Grant) -> daypass::policy::Grant {
//!     daypass::policy::Grant { ..other }
//! }
//! ```
//!
//! no draft but [`Draft::new`]'s:
//!
//! ```compile_fail,E0451
//! fn draft(other: daypass::ca::Draft) -> daypass::ca::Draft {
//!     daypass::ca::Draft { ..other }
//! }
//! ```
//!
//! no receipt but the store's:
//!
//! ```compile_fail,E0624
//! let receipt = daypass::ledger::Receipt::committed(1, [0; 32]);
//! ```
//!
//! and each is spent once:
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
pub mod key;
mod keys;
pub(crate) mod lint;
mod sign;

pub use draft::Draft;
pub(crate) use error::Error;
pub use keys::{Ca, KeyState};

#[cfg(test)]
mod tests;
