//! A host's side: [`setup`] makes sshd trust the CA, [`sync`] keeps CA keys and revocations fresh,
//! [`doctor`] says which passes this host would refuse and why. All three are commands; there is no
//! agent, and sshd does the rest.
//!
//! Nothing from the server is used unchecked. A file that sshd reads is never missing, empty or
//! half-written: with a missing or broken `RevokedKeys` file sshd refuses every key, and with an
//! empty one it accepts revoked passes.

pub(crate) mod also_trust;
pub(crate) mod certificate;
pub(crate) mod doctor;
pub(crate) mod drop_in;
pub(crate) mod error;
pub(crate) mod failed_sync;
pub(crate) mod files;
pub(crate) mod host_keys;
pub(crate) mod join;
pub(crate) mod keys;
pub(crate) mod lock;
pub(crate) mod logins;
pub(crate) mod recovery;
pub(crate) mod reload;
pub(crate) mod remove;
pub(crate) mod report;
pub(crate) mod reporter;
pub(crate) mod running_sshd;
pub(crate) mod server;
pub(crate) mod settings;
pub(crate) mod setup;
pub(crate) mod sshd;
pub(crate) mod sshd_files;
pub(crate) mod sync;

pub(crate) use error::Error;
pub(crate) use settings::Settings;
