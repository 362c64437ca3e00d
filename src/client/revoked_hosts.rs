//! The host certificates that the servers of this user have revoked: a list for ssh's
//! `RevokedHostKeys`.
//!
//! It comes with what the server says of itself, so each fetch of a pass brings the newest one: a
//! list is at most as old as the newest pass. It is as trustworthy as the keys that sign host
//! certificates, which come the same way. ssh refuses every host if it cannot read the file that
//! the setting names, so the setting is only there if the file is, which then stays.

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    Client, Error,
    connect::{Address, Server},
    server_info::{self, ServerInfo},
    state::State,
};
use crate::{
    proto::v1::GetRevocationsRequest,
    ssh::{
        key,
        krl::{Krl, Revoked},
    },
    unix_seconds::UnixSeconds,
};

/// The file for ssh, in the state folder: the lists of all servers in one.
pub(super) const FILE: &str = "revoked_hosts";

/// The list of one server, in base64.
const OF_SERVER: &str = "revoked-hosts";

impl Client {
    /// Fetches the server's list if it is another one than is on disk, and writes the file for ssh.
    /// An older list than the one on disk is refused.
    ///
    /// # Errors
    /// Returns [`Error::Unreachable`] if the server does not answer, [`Error::Untrusted`] if its
    /// list is malformed or older, and [`Error::File`] if a file cannot be read or written.
    pub(super) async fn renew_revoked_hosts(
        &self,
        server: &Server,
        known: &ServerInfo,
    ) -> Result<(), Error> {
        let root = self.state.root();
        // A server that signs no host certificates any more: none of its own is accepted.
        if known.host_ca_keys.is_empty() {
            return self.write_revoked_hosts();
        }
        let kept = of_server(&root, &server.address)?;
        let kept_version = kept.as_ref().map_or(0, Krl::version);
        let published = known.host_revocations_version;
        // A smaller number proves nothing: another command may have fetched a newer list since the
        // server said it. The list decides.
        if published != kept_version {
            let request = GetRevocationsRequest { hosts: true };
            let answer = server.trust_service().get_revocations(request).await?;
            let bytes = answer.into_inner().krl;
            let krl = Krl::parse(&bytes).map_err(|error| Error::Untrusted(error.to_string()))?;
            let expected = published.max(kept_version);
            if krl.version() < expected {
                return Err(older(krl.version(), expected));
            }
            if !is_own(&krl, &known.host_ca_keys) {
                return Err(Error::Untrusted(
                    "its list of revoked host certificates names a key that is not its own: it \
                     could take the hosts of another server away"
                        .to_owned(),
                ));
            }
            // Another command may have written a newer one meanwhile.
            let written = of_server(&root, &server.address)?;
            if written.is_none_or(|it| it.version() < krl.version()) {
                let file = server_info::file(&server.address, OF_SERVER);
                root.write(file, STANDARD.encode(&bytes).as_bytes())?;
            }
        }
        self.write_revoked_hosts()
    }

    /// Writes the file for ssh from the lists of all servers, once there is a list. It is never
    /// removed: an ssh that was told of it may be about to read it. No network.
    fn write_revoked_hosts(&self) -> Result<(), Error> {
        let root = self.state.root();
        let mut revoked = Vec::new();
        let (mut version, mut made_at) = (0, UnixSeconds(0));
        let addresses = self.all_servers()?.into_iter().map(|it| it.address());
        for address in addresses.chain([self.address()]) {
            let Some(krl) = of_server(&root, &address?)? else {
                continue;
            };
            version = version.max(krl.version());
            made_at = made_at.max(krl.made_at());
            for (ca, serials) in krl.sections() {
                let one = |serial: &u64| Revoked {
                    serial: *serial,
                    ca: ca.to_vec(),
                };
                revoked.extend(serials.iter().map(one));
            }
        }
        let list = Krl::new(version, made_at, revoked);
        if list.is_empty() && file(root.folder()).is_none() {
            return Ok(());
        }
        let bytes = list.publish();
        let bytes = bytes.map_err(|error| Error::other(error.to_string()))?;
        if std::fs::read(root.path(FILE)).ok().as_ref() != Some(&bytes) {
            root.write(FILE, &bytes)?;
        }
        self.write_strict()
    }
}

/// Whether the list revokes certificates of these keys alone. One without a key revokes those of
/// every server.
fn is_own(list: &Krl, host_ca_keys: &[String]) -> bool {
    let keys = host_ca_keys.iter().filter_map(|it| key::parse(it).ok());
    let own: Vec<_> = keys.filter_map(|key| key.to_bytes().ok()).collect();
    list.sections()
        .all(|(ca, _)| own.iter().any(|own| own == ca))
}

/// The file of a state folder, if it is there.
pub(super) fn file(root: &Path) -> Option<PathBuf> {
    let file = root.join(FILE);
    file.is_file().then_some(file)
}

/// The last list of a server; none if it had none. A damaged file counts as none: it is fetched
/// again.
fn of_server(root: &State, address: &Address) -> Result<Option<Krl>, Error> {
    let text = root.read(server_info::file(address, OF_SERVER))?;
    let bytes = text.and_then(|text| STANDARD.decode(text.trim()).ok());
    Ok(bytes.and_then(|bytes| Krl::parse(&bytes).ok()))
}

fn older(sent: u64, kept: u64) -> Error {
    Error::Untrusted(format!(
        "its list of revoked host certificates has version {sent}, and version {kept} is known here: the newer list stays. If \
         the server's ledger was restored from a backup, this ends when an administrator has accepted that"
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const OWN: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIILvoiXWxhwDJCTLPsbfAlOaJOlzUoJi6CxjXXq7Zzwt";
    const OTHER: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    /// A server revoked the host certificates of another server of the same user.
    #[test]
    fn a_list_that_names_the_key_of_another_server_or_none_is_refused() {
        let list = |cas: &[Vec<u8>]| {
            let one = |ca: &Vec<u8>| Revoked {
                serial: 7,
                ca: ca.clone(),
            };
            Krl::new(1, UnixSeconds(1), cas.iter().map(one))
        };
        let blob = |key: &str| key::parse(key).unwrap().to_bytes().unwrap();
        let own = [OWN.to_owned()];
        assert!(is_own(&list(&[]), &own));
        assert!(is_own(&list(&[blob(OWN)]), &own));
        for others in [
            vec![blob(OTHER)],
            vec![Vec::new()],
            vec![blob(OWN), blob(OTHER)],
        ] {
            assert!(!is_own(&list(&others), &own), "{others:?}");
        }
    }
}
