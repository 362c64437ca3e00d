//! What runs on a host: [`setup`] makes sshd trust the CA, [`sync`] keeps its keys and revocations fresh, [`doctor`] says
//! which passes this host would refuse and why. No agent: all three are commands, and sshd does the rest.
//!
//! Nothing of the server is believed unchecked, and nothing that sshd reads is ever missing, empty or half written: a
//! missing or broken `RevokedKeys` file locks everybody out, and an empty one revokes nobody.

pub mod doctor;
pub mod drop_in;
pub mod error;
pub mod files;
pub mod keys;
pub mod server;
pub mod setup;
pub mod sshd;
pub mod sync;

pub use error::Error;

use serde::{Deserialize, Serialize};

use files::{Layout, read};

/// What `setup` was told and the others go by: `host.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `https://HOST:PORT` of the CA.
    pub server: String,
    /// The host groups this host belongs to; none: plain login names.
    pub groups: Vec<String>,
    /// The user sshd runs the principals command as.
    pub principals_user: String,
    /// Whether [`Layout::tls_ca`] holds the only roots for the server's TLS; else the operating system's are used.
    pub own_tls_ca: bool,
}

impl Settings {
    /// Reads what `setup` wrote.
    ///
    /// # Errors
    /// [`Error::NotSetUp`] where it never ran; [`Error::Usage`] where the file is broken.
    pub fn load(layout: &Layout) -> Result<Self, Error> {
        let path = layout.settings();
        let text = read(&path)?.ok_or(Error::NotSetUp)?;
        serde_json::from_slice(&text).map_err(|error| {
            Error::Usage(format!(
                "{} is broken ({error}); run `daypass host setup` again",
                path.display()
            ))
        })
    }

    /// PEM roots for the server's TLS; none: the operating system's.
    ///
    /// # Errors
    /// Where the file that should be there is not.
    pub fn roots(&self, layout: &Layout) -> Result<Option<Vec<u8>>, Error> {
        if !self.own_tls_ca {
            return Ok(None);
        }
        let path = layout.tls_ca();
        let pem = read(&path)?.ok_or_else(|| {
            Error::Usage(format!(
                "{} is gone; run `daypass host setup` again with --ca-file",
                path.display()
            ))
        })?;
        Ok(Some(pem))
    }
}
