//! Verbs of this CA: one file per verb, each over a proven identity, an ask and the time.
//!
//! Start with [`issuance`], the main job. What the caller's wire or command line looks like is
//! unknown here.
//!
//! | file | verbs |
//! |---|---|
//! | [`issuance`] | issue a pass; open and redeem a request |
//! | [`attempt`] | refuse what a proven identity attempted |
//! | [`requests`] | show requests, decide them, follow their changes |
//! | [`admin`] | lock, unlock, revoke |
//! | [`ca_keys`] | list, stage, activate and retire the CA's keys |
//! | [`hosts`] | known hosts: add, join, report, list |
//! | [`access`] | list the caller's passes; lock oneself |
//! | [`ledger_key`] | hand the ledger over to another key |
//! | [`audit`] | read, export and prove the ledger |
//! | [`roles`] | list and explain roles |
//! | [`trust`], [`published`] | what all clients and hosts may know: keys, checkpoint, KRL |
//! | [`overview`] | count what waits and what is in force |
//! | [`webhooks`] | list and retry deliveries |
//!
//! All of them work on one [`Authority`]: the CA's keys, the policy in force and the store.
//! `record` translates between their types and the ledger's events.

pub(crate) mod access;
pub(crate) mod admin;
pub(crate) mod attempt;
pub(crate) mod audit;
pub mod authority;
pub(crate) mod ca_keys;
mod documents;
mod error;
pub mod host_authority;
pub mod hosts;
pub mod issuance;
mod jump;
mod keyring;
pub(crate) mod ledger_key;
pub(crate) mod on_behalf;
pub(crate) mod overview;
mod page;
pub(crate) mod published;
mod record;
pub(crate) mod recovery;
pub(crate) mod requests;
pub(crate) mod roles;
pub(crate) mod search;
pub(crate) mod trust;
pub(crate) mod webhooks;

pub use authority::Authority;
pub use error::Error;
pub(crate) use keyring::{contradictions, has_successor};

#[cfg(test)]
mod tests;
