//! Passes on disk: their paths, the files that may be replaced, and whether a pass is still usable.
//!
//! ```text
//! hosts/HOST/pass         the pass for a host if the user names no login, and its ssh_config
//! hosts/HOST/login-LOGIN/pass     the pass for a login that the user named, and its ssh_config
//! passes/ROLE/pass        the pass for a role; with a digest if the ask says more than the role
//! .../pass.pub, pass-cert.pub
//! .../jump, jump.pub, jump-cert.pub, jump.json     the jump pass, if it is used through a bastion
//! ```
//!
//! Nothing here uses the network.

mod files;
#[cfg(test)]
pub(super) mod fixture;
mod marks;
mod store;

pub(crate) use files::PassFiles;
pub(super) use files::{HOSTS, LOGIN, REQUESTED};
pub(super) use store::jump_hosts;
pub(crate) use store::{all, clear};
