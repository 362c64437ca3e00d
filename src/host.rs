//! A host's side: [`setup`] makes sshd trust the CA, [`sync`] keeps CA keys and revocations fresh,
//! [`doctor`] says which passes this host would refuse and why. All three are commands; there is no
//! agent, and sshd does the rest.
//!
//! Nothing from the server is used unchecked. A file that sshd reads is never missing, empty or
//! half-written: with a missing or broken `RevokedKeys` file sshd refuses every key, and with an
//! empty one it accepts revoked passes.

pub mod doctor;
pub mod drop_in;
pub mod error;
pub mod files;
pub mod keys;
pub mod server;
pub mod settings;
pub mod setup;
pub mod sshd;
pub mod sync;

pub use error::Error;
pub use settings::Settings;
