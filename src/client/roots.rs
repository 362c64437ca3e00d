//! The roots for a server's TLS that count beside the operating system's: the file that the user
//! names or named at the last login, and the certificate that a fingerprint has recognized.

use std::{fs, path::PathBuf};

use super::{
    Client, Error,
    connect::{self, Address, Roots},
    server_info,
    session::Session,
};
use crate::outbound::{CertificateFingerprint, parse_roots};

/// The recognized certificate, in the folder of its server.
const RECOGNIZED: &str = "tls-ca.pem";

impl Client {
    /// Recognizes the server's certificate by its fingerprint, and remembers it for this server.
    ///
    /// # Errors
    /// Returns [`Error::Untrusted`] if the server has another certificate; nothing is remembered
    /// then.
    pub(crate) async fn recognize(&self, fingerprint: CertificateFingerprint) -> Result<(), Error> {
        let address = self.address()?;
        let pem = connect::recognize(&address, fingerprint).await?;
        let file = server_info::file(&address, RECOGNIZED);
        self.state.root().write(file, pem.as_bytes())
    }

    /// Roots for this server beside the operating system's. A file that the user names now must be
    /// good; one that is only remembered and no longer good is reported and left out.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if the named file is not a PEM file of certificates.
    pub(super) fn roots(&self, address: &Address, session: &Session) -> Result<Roots, Error> {
        let mut roots = Vec::new();
        if let Some(path) = &self.settings().ca_file {
            roots = read(path).map_err(|why| {
                Error::Usage(format!(
                    "{} (--ca-file, DAYPASS_CA_FILE) cannot be used: {why}",
                    path.display()
                ))
            })?;
        }
        let recognized = self
            .state
            .root()
            .path(server_info::file(address, RECOGNIZED));
        let recognized = recognized.exists().then_some(recognized);
        let remembered = session.ca_file.clone();
        let remembered = remembered.filter(|_| self.settings().ca_file.is_none());
        for path in [remembered, recognized].into_iter().flatten() {
            match read(&path) {
                Ok(more) => roots.extend(more),
                Err(why) => self.say(&format!(
                    "note: the remembered CA file {} cannot be used ({why}); going on with the system's roots. \
                     `daypass login` forgets it, and `daypass login --ca-file FILE` remembers another",
                    path.display()
                )),
            }
        }
        Ok(roots)
    }

    /// The CA file to remember with a login: the one that is named, else the one of the last login
    /// if it can still be used.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the current folder is unknown.
    pub(super) fn ca_file_to_remember(&self, session: &Session) -> Result<Option<PathBuf>, Error> {
        match &self.settings().ca_file {
            Some(path) => std::path::absolute(path)
                .map(Some)
                .map_err(Error::file(path)),
            None => Ok(session.ca_file.clone().filter(|path| read(path).is_ok())),
        }
    }
}

fn read(path: &PathBuf) -> Result<Roots, String> {
    let pem = fs::read(path).map_err(|error| error.to_string())?;
    parse_roots(&pem).map_err(|error| error.to_string())
}
