//! What this CA does: one file per verb, each over a proven identity, an ask and the time.
//!
//! Start with [`issuance`]: the main job. Everything here is reached through [`Authority`]; what wire or command line asked is
//! unknown to it.

pub mod admin;
pub mod audit;
mod authority;
mod documents;
mod error;
pub mod issuance;
mod jump;
pub mod page;
pub mod published;
mod record;
pub mod requests;
pub mod roles;
pub mod trust;
pub mod webhooks;

pub use authority::Authority;
pub use error::Error;

#[cfg(test)]
mod tests;
