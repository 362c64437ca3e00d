//! The user's side: sign in, get passes, keep them, verify the ledger. Owns the user's files and
//! talks to the agent.
//!
//! A command is a method of [`Client`]; `cli` prints its result. Nothing here decides about access,
//! and nothing that the server says is used unchecked: [`pass`] checks a pass before it is written,
//! [`witness`] the ledger's checkpoint.
//!
//! The map:
//!
//! | files | for |
//! |---|---|
//! | [`context`] | [`Client`] and [`Signed`]: settings, state folder, connection |
//! | [`connect`], [`server_info`], [`witness`] | the server: TLS, its description, its checkpoint |
//! | [`login`], [`session`], [`key`], [`agent`] | the login and its key |
//! | [`obtain`], [`choose`], [`pass`], [`cache`] | a pass: which role, the check, the files |
//! | [`ssh`], [`jump`], [`host_config`], [`ssh_config`] | `ssh` with a pass |
//! | [`requests`], [`emergency`] | approval by others |
//! | [`admin`], [`audit`], [`inspect`] | locks, the ledger, one certificate |
//! | [`state`], `writable`, `words`, `logins` | files, and what may stand on a command line |

pub mod admin;
pub mod agent;
pub mod audit;
pub mod cache;
pub mod choose;
mod clock;
pub mod connect;
pub mod context;
pub mod emergency;
pub mod error;
pub mod host_config;
pub mod inspect;
pub mod jump;
pub mod jump_host;
pub mod key;
mod key_text;
pub mod login;
pub mod logins;
pub mod obtain;
pub mod pass;
pub mod requests;
pub mod server_info;
pub mod session;
pub mod ssh;
pub mod ssh_config;
pub mod state;
pub mod step_up;
pub mod witness;
pub mod words;
mod writable;

pub use clock::now;
pub use context::{Client, Say, Settings, Signed};
pub use error::Error;
