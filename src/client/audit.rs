//! Reading the ledger: every entry is proven to be under the ledger's signed checkpoint.

use serde_json::Value;

use super::{
    Client, Error, Signed, credentials::authorized, proofs, server_info::ServerInfo, witness,
};
use crate::{
    ledger::{
        checkpoint::{Checkpoint, Verifier},
        tree::{self, Frontier},
        verify::{VerifyReport, verify_export},
    },
    proto::v1,
};

/// One entry of the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Its index, which is the serial if it issued a pass.
    pub index: u64,
    /// The event's bytes as they are stored: JSON on one line.
    pub leaf: Vec<u8>,
}

impl Entry {
    /// Reads a leaf. The event holds its index.
    fn read(leaf: Vec<u8>) -> Result<Self, Error> {
        #[derive(serde::Deserialize)]
        struct Head {
            index: u64,
        }
        let Head { index } = serde_json::from_slice(&leaf)
            .map_err(|_| Error::Untrusted("the ledger lists what is not an event".to_owned()))?;
        Ok(Self { index, leaf })
    }

    /// The event as JSON, for printing.
    ///
    /// # Errors
    /// Returns [`Error::Untrusted`] if it is not JSON.
    pub(crate) fn event(&self) -> Result<Value, Error> {
        serde_json::from_slice(&self.leaf)
            .map_err(|_| Error::Untrusted(format!("entry {} is not an event", self.index)))
    }
}

impl Signed {
    /// Up to `limit` entries: from index `from` on, or without it the newest first.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to read the ledger.
    pub(crate) async fn entries(&self, from: Option<u64>, limit: u32) -> Result<Vec<Entry>, Error> {
        let request = v1::ListRequest {
            from: from.unwrap_or(u64::MAX),
            limit,
            newest_first: from.is_none(),
        };
        let request = authorized(&self.login, request)?;
        let answer = self.server.ledger().list(request).await?.into_inner();
        answer.events.into_iter().map(Entry::read).collect()
    }

    /// The whole ledger as the server streams it, unverified.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to read the ledger.
    pub(crate) async fn export(&self) -> Result<Vec<u8>, Error> {
        let request = authorized(&self.login, v1::ExportRequest {})?;
        let mut stream = self.server.ledger().export(request).await?.into_inner();
        let mut export = Vec::new();
        while let Some(part) = stream.message().await? {
            export.extend_from_slice(&part.chunk);
        }
        Ok(export)
    }
}

impl Client {
    /// Fetches one entry, and proves that it is in the ledger under the returned checkpoint.
    ///
    /// # Errors
    /// Returns [`Error::Untrusted`] if the proof fails.
    pub(crate) async fn entry(&self, serial: u64) -> Result<(Entry, Checkpoint), Error> {
        let signed = self.signed_in().await?;
        let entry = signed.entries(Some(serial), 1).await?.into_iter().next();
        let entry = entry
            .filter(|entry| entry.index == serial)
            .ok_or_else(|| Error::other(format!("the ledger has no entry {serial}")))?;
        let checkpoint = witness::check(
            &self.state,
            &signed.server,
            &signed.login,
            &signed.server_info,
            |message| self.say(message),
        )
        .await?;
        let (server, login) = (&signed.server, &signed.login);
        let proof = proofs::inclusion(server, login, serial, checkpoint.size).await?;
        let leaf = tree::leaf_hash(&entry.leaf);
        if tree::verify_inclusion(&leaf, serial, checkpoint.size, &proof, &checkpoint.root) {
            return Ok((entry, checkpoint));
        }
        Err(Error::Untrusted(format!(
            "entry {serial} is not in the ledger that its checkpoint signs"
        )))
    }

    /// Downloads the whole ledger, verifies it, and compares it with the remembered checkpoint.
    ///
    /// # Errors
    /// Returns [`Error::Fork`] if it lacks entries that were seen before.
    pub(crate) async fn verified_export(&self) -> Result<(Vec<u8>, VerifyReport), Error> {
        let signed = self.signed_in().await?;
        let export = signed.export().await?;
        let verifier = signed.server_info.verifier()?;
        let report = verify(&export, &verifier)?;
        self.compare_with_remembered(&export, &report, &verifier)?;
        Ok((export, report))
    }

    /// Verifies an export offline, with the verifier key `key`, or without it the one that the
    /// server named last. If the remembered checkpoint is of the same ledger, the export must agree
    /// with it.
    ///
    /// # Errors
    /// Returns the error if the export does not verify, and [`Error::Usage`] if no key is known.
    pub(crate) fn verify_offline(
        &self,
        export: &[u8],
        key: Option<&str>,
    ) -> Result<VerifyReport, Error> {
        let verifier = match key {
            Some(key) => Verifier::parse(key)
                .map_err(|error| Error::Usage(format!("invalid verifier key in --key: {error}")))?,
            None => self.known_verifier()?,
        };
        let report = verify(export, &verifier)?;
        self.compare_with_remembered(export, &report, &verifier)?;
        Ok(report)
    }

    fn known_verifier(&self) -> Result<Verifier, Error> {
        let unknown = || {
            Error::Usage(
                "the ledger's verifier key is not known here: give it with --key 'NAME+HASH+KEY'"
                    .to_owned(),
            )
        };
        let address = self.address().map_err(|_| unknown())?;
        let server_info = ServerInfo::cached(&self.state, &address)?;
        server_info.ok_or_else(unknown)?.verifier()
    }

    /// Compares an export with the remembered checkpoint. Both are signed by the same key, so a
    /// contradiction is a fork.
    fn compare_with_remembered(
        &self,
        export: &[u8],
        report: &VerifyReport,
        verifier: &Verifier,
    ) -> Result<(), Error> {
        let Ok(address) = self.address() else {
            return Ok(());
        };
        // A checkpoint that this key did not sign is of another ledger.
        let Ok(Some(seen)) = witness::last(&self.state, &address, verifier) else {
            return Ok(());
        };
        if seen.size > report.checkpoint.size {
            self.say(&format!(
                "note: this export has {} entries; the server had {} before",
                report.checkpoint.size, seen.size
            ));
            return Ok(());
        }
        if root_at(export, seen.size) == seen.root {
            return Ok(());
        }
        Err(Error::Fork(format!(
            "the first {} entries are not those that were seen before; keep this export and {} as evidence",
            seen.size,
            self.state.folder().display()
        )))
    }
}

fn verify(export: &[u8], verifier: &Verifier) -> Result<VerifyReport, Error> {
    verify_export(export, verifier)
        .map_err(|error| Error::other(format!("the ledger does not verify: {error}")))
}

/// The root over an export's first `size` leaves.
fn root_at(export: &[u8], size: u64) -> tree::Hash {
    let mut frontier = Frontier::default();
    for line in export.split(|byte| *byte == b'\n') {
        if frontier.size() == size || line.is_empty() {
            break;
        }
        frontier.push(tree::leaf_hash(line));
    }
    frontier.root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_keeps_its_root() {
        let mut frontier = Frontier::default();
        frontier.push(tree::leaf_hash(b"a"));
        frontier.push(tree::leaf_hash(b"b"));
        assert_eq!(root_at(b"a\nb\nc\n\nnote\n", 2), frontier.root());
        assert_ne!(root_at(b"a\nx\nc\n\nnote\n", 2), frontier.root());
        assert_ne!(root_at(b"a\n\nnote\n", 2), frontier.root());
    }
}
