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

/// Bytes of a list at most: of a gRPC message.
const LARGEST: usize = 4 * 1024 * 1024;

/// Bytes of a list's file at most: base64 makes 4 bytes of 3.
const LARGEST_FILE: u64 = 6 * 1024 * 1024;

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
        // A server that signs no host certificates any more: none of its own is accepted.
        if !known.host_ca_keys.is_empty()
            && let Some((krl, bytes)) = self.newer_list(server, known).await?
        {
            let root = self.state.root();
            let _turn = root.lock_on_hosts(self.settings().say).await?;
            // Another command may have fetched a newer one meanwhile.
            let kept = of_server(&root, &server.address).unwrap_or_default();
            if kept.is_none_or(|kept| kept.version() < krl.version()) {
                let file = server_info::file(&server.address, OF_SERVER);
                root.write(file, STANDARD.encode(&bytes).as_bytes())?;
            }
        }
        self.write_revoked_hosts().await
    }

    /// The server's list, if it is newer than the one on disk.
    ///
    /// A server that publishes an older version may be one of several, behind the one that answered
    /// last. For the list it looks at the shared ledger, so the list decides.
    async fn newer_list(
        &self,
        server: &Server,
        known: &ServerInfo,
    ) -> Result<Option<(Krl, Vec<u8>)>, Error> {
        let kept = self.kept_list(&server.address);
        let kept = kept.as_ref().map_or(0, Krl::version);
        let published = known.host_revocations_version;
        if published == kept {
            return Ok(None);
        }
        let request = GetRevocationsRequest { hosts: true };
        let answer = server.trust_service().get_revocations(request).await?;
        let bytes = answer.into_inner().krl;
        if bytes.len() > LARGEST {
            return Err(Error::Untrusted(
                "its list of revoked host certificates is too large".to_owned(),
            ));
        }
        let krl = Krl::parse(&bytes).map_err(|error| Error::Untrusted(error.to_string()))?;
        if krl.version() < published.max(kept) {
            return Err(older(krl.version(), published.max(kept)));
        }
        if !is_own(&krl, &known.host_ca_keys) {
            return Err(Error::Untrusted(
                "its list of revoked host certificates names a key that is not its own: it \
                 could take the hosts of another server away"
                    .to_owned(),
            ));
        }
        Ok(Some((krl, bytes)).filter(|(krl, _)| krl.version() > kept))
    }

    /// The list of a server on disk. A file that cannot be read as one counts as none, and the user
    /// is told: if it were an error, no list would ever take its place.
    fn kept_list(&self, address: &Address) -> Option<Krl> {
        match of_server(&self.state.root(), address) {
            Ok(kept) => kept,
            Err(error) => {
                self.say(&format!(
                    "note: the list of revoked host certificates of {} counts as none until it is fetched again: {error}",
                    address.as_str()
                ));
                None
            }
        }
    }

    /// Writes the file for ssh from the lists of all servers, once there is a list. It is never
    /// removed: an ssh that was told of it may be about to read it. No network.
    async fn write_revoked_hosts(&self) -> Result<(), Error> {
        if self.change()?.is_none() && self.strict_change()?.is_none() {
            return Ok(());
        }
        let root = self.state.root();
        let turn = root.lock_on_hosts(self.settings().say).await?;
        // Another command may have written it meanwhile.
        if let Some(bytes) = self.change()? {
            root.write(FILE, &bytes)?;
        }
        self.write_strict(&turn)
    }

    /// What the file for ssh should hold, if it holds something else.
    fn change(&self) -> Result<Option<Vec<u8>>, Error> {
        let root = self.state.root();
        let mut revoked = Vec::new();
        let (mut version, mut made_at) = (0, UnixSeconds(0));
        let addresses = self.all_servers()?.into_iter().map(|it| it.address());
        for address in addresses.chain([self.address()]) {
            let Ok(Some(krl)) = of_server(&root, &address?) else {
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
            return Ok(None);
        }
        let bytes = list.publish();
        let bytes = bytes.map_err(|error| Error::other(error.to_string()))?;
        let is_there = std::fs::read(root.path(FILE)).ok().as_ref() == Some(&bytes);
        Ok((!is_there).then_some(bytes))
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

/// The last list of a server; none if it had none.
///
/// # Errors
/// Returns the error if its file cannot be read, or is damaged or too large.
fn of_server(root: &State, address: &Address) -> Result<Option<Krl>, Error> {
    let name = server_info::file(address, OF_SERVER);
    let Some(text) = root.read_within(&name, LARGEST_FILE)? else {
        return Ok(None);
    };
    let bytes = STANDARD.decode(text.trim()).ok();
    let krl = bytes.and_then(|bytes| Krl::parse(&bytes).ok());
    match krl {
        Some(krl) => Ok(Some(krl)),
        None => Err(Error::other(format!(
            "{} is damaged",
            root.path(name).display()
        ))),
    }
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

    fn client(folder: &Path) -> Client {
        Client::new(crate::client::Settings {
            server: Some("https://ca.example.com".to_owned()),
            state_dir: Some(folder.to_owned()),
            ca_file: None,
            say: |_| {},
        })
        .unwrap()
    }

    /// A list above 3 MiB was written, and was too large to be read again: it was an error before
    /// a smaller one could be fetched, for this server and all others.
    #[tokio::test]
    async fn the_largest_list_is_read_again_and_a_file_that_is_none_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let client = client(folder.path());
        let (root, address) = (client.state.root(), client.address().unwrap());
        let file = root.path(server_info::file(&address, OF_SERVER));
        let ca = key::parse(OWN).unwrap().to_bytes().unwrap();
        let serials = 1..=(LARGEST as u64 - 1024) / 8;
        let one = |serial| Revoked {
            serial,
            ca: ca.clone(),
        };
        let largest = Krl::new(9, UnixSeconds(1), serials.map(one));
        let bytes = largest.publish().unwrap();
        root.write(&file, STANDARD.encode(&bytes).as_bytes())
            .unwrap();
        assert_eq!(client.kept_list(&address), Some(largest));
        client.write_revoked_hosts().await.unwrap();
        assert_eq!(std::fs::read(root.path(FILE)).unwrap(), bytes);

        let too_large = "A".repeat(usize::try_from(LARGEST_FILE).unwrap() + 1);
        for damaged in [too_large.as_bytes(), b"AAAA", b"!", &[0xff]] {
            root.write(&file, damaged).unwrap();
            assert_eq!(client.kept_list(&address), None);
            client.write_revoked_hosts().await.unwrap();
        }
    }
}
