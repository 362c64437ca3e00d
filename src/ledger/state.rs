//! What of the past still decides: a state machine over the ledger's events, in their order. Pure.
//!
//! [`LedgerState::admit`] says whether an event may come next, [`LedgerState::apply`] takes one in. The store's writer admits each
//! event before it gives it an index; `ledger::verify` does the same over an export. So whatever the rules here forbid can
//! neither be recorded nor, by somebody with the database in hands, be slipped in unseen.
//!
//! Rules go by the events' own time; what is forgotten, by a time that no single clock decides ([`LedgerState::agreed_time`]).
//! Nothing here is stored: it follows from the ledger.

mod admin_orders;
mod agreed;
mod challenges;
mod emergencies;
mod jumps;
mod locking;
mod locks;
mod machine;
mod orders;
mod passes;
mod people;
mod policies;
mod rejection;
mod requests;
mod revoking;
mod transitions;

pub use admin_orders::Preview;
pub use locks::Lock;
pub use machine::LedgerState;
pub use passes::{MARGIN, PassRecord, Signer};
pub use rejection::{Rejection, Rule};
pub use requests::{Decision, Request, State, Verb};

#[cfg(test)]
mod tests;
