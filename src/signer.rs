//! `daypass signer`: a CA key in a process of its own, which signs only what the ledger has
//! recorded.
//!
//! The rules are in [`crate::ca::signer`] and are pure. Here is what is around them: the memory on
//! disk ([`memory`]), and the callers with their bounds and deadlines ([`serve`]).

mod connection;
pub(crate) mod memory;
mod refused;
pub(crate) mod serve;
mod service;

pub(crate) use memory::Memory;
pub(crate) use serve::Listeners;
pub(crate) use service::Service;
