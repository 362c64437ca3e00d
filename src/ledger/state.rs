//! The ledger state: a state machine over the ledger's events, in their order. Pure.
//!
//! [`LedgerState::admit`] says whether an event may come next; [`LedgerState::apply`] takes it in.
//! The store's writer admits each event before it assigns an index, and `ledger::verify` does the
//! same over an export. So an event that these rules forbid is never recorded, and one that is
//! written into the database directly is found.
//!
//! Rules use the events' own time. What is forgotten depends on a time that no single clock decides
//! ([`LedgerState::agreed_time`]). Nothing here is stored as truth: it follows from the ledger.

mod admin_orders;
mod agreed;
mod ca_key_orders;
mod ca_keys;
mod challenges;
mod emergencies;
mod foreign;
mod foreign_admission;
mod hosting;
mod hosts;
mod invitations;
mod jumps;
mod keys;
mod ledger_keys;
mod locking;
mod locks;
mod machine;
mod on_behalf;
mod orders;
mod passes;
mod people;
mod policies;
mod rejection;
mod requests;
mod restored;
mod restoring;
mod revoking;
mod transitions;

pub(crate) use admin_orders::Preview;
pub(crate) use ca_key_orders::MOST_BEHIND;
pub(crate) use ca_keys::{CaKeyRecord, CaKeys};
pub(crate) use foreign::Room;
pub(crate) use hosting::MOST_REASONS;
#[cfg(test)]
pub(crate) use hosts::CertificateRecord;
pub(crate) use hosts::{HostRecord, Joined};
pub(crate) use invitations::{LONGEST_INVITATION, expect_invitation};
pub(crate) use locks::Lock;
pub use machine::LedgerState;
pub(crate) use passes::PassRecord;
pub(crate) use policies::NoPolicy;
pub(crate) use rejection::{Rejection, Rule};
pub use requests::{Decision, Request, State, Verb};

#[cfg(test)]
mod tests;
