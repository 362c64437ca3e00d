//! Reading the ledger, and believing only what its signed checkpoint proves.

use serde_json::Value;

use super::{Client, Error, Signed, connect::authorized, server_info::ServerInfo, witness};
use crate::{
    ledger::{
        checkpoint::{Checkpoint, Verifier},
        tree::{self, Frontier},
        verify::{VerifyReport, verify_export},
    },
    proto::v1,
};

/// One leaf.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its index; a pass's serial.
    pub index: u64,
    /// The event as it is stored: JSON on one line.
    pub leaf: Vec<u8>,
}

impl Entry {
    /// The event, for printing.
    ///
    /// # Errors
    /// Where it is no JSON.
    pub fn event(&self) -> Result<Value, Error> {
        serde_json::from_slice(&self.leaf)
            .map_err(|_| Error::Untrusted(format!("entry {} is no event", self.index)))
    }
}

impl Signed {
    /// Up to `limit` entries, newest first, or from `from` on.
    ///
    /// # Errors
    /// [`Error::Denied`] where the policy does not let this identity read the ledger.
    pub async fn entries(&self, from: Option<u64>, limit: u32) -> Result<Vec<Entry>, Error> {
        let request = v1::ListRequest {
            from: from.unwrap_or(u64::MAX),
            limit,
            newest_first: from.is_none(),
        };
        let request = authorized(&self.login.token, request)?;
        let answer = self.server.ledger().list(request).await?.into_inner();
        let entries = answer.entries.into_iter().map(|entry| Entry {
            index: entry.index,
            leaf: entry.event,
        });
        Ok(entries.collect())
    }

    /// The export, as the server streams it.
    ///
    /// # Errors
    /// [`Error::Denied`] where the policy does not let this identity read the ledger.
    pub async fn export(&self) -> Result<Vec<u8>, Error> {
        let request = authorized(&self.login.token, v1::ExportRequest {})?;
        let mut stream = self.server.ledger().export(request).await?.into_inner();
        let mut export = Vec::new();
        while let Some(part) = stream.message().await? {
            export.extend_from_slice(&part.chunk);
        }
        Ok(export)
    }

    async fn inclusion(&self, index: u64, size: u64) -> Result<Vec<tree::Hash>, Error> {
        use v1::prove_request::{Inclusion, Proof};
        let request = v1::ProveRequest {
            proof: Some(Proof::Inclusion(Inclusion { index, size })),
        };
        let request = authorized(&self.login.token, request)?;
        let answer = self.server.ledger().prove(request).await?.into_inner();
        witness::hashes(answer.hashes)
    }
}

impl Client {
    /// One entry that is proven to be in the ledger under a verified checkpoint.
    ///
    /// # Errors
    /// [`Error::Untrusted`] where the proof does not hold.
    pub async fn entry(&self, serial: u64) -> Result<(Entry, Checkpoint), Error> {
        let signed = self.signed_in().await?;
        let entry = signed.entries(Some(serial), 1).await?.into_iter().next();
        let entry = entry
            .filter(|entry| entry.index == serial)
            .ok_or_else(|| Error::other(format!("the ledger has no entry {serial}")))?;
        let checkpoint = witness::check(
            &self.state,
            &signed.server,
            &signed.login.token,
            &signed.server_info,
        )
        .await?;
        let proof = signed.inclusion(serial, checkpoint.size).await?;
        let leaf = tree::leaf_hash(&entry.leaf);
        if tree::verify_inclusion(&leaf, serial, checkpoint.size, &proof, &checkpoint.root) {
            return Ok((entry, checkpoint));
        }
        Err(Error::Untrusted(format!(
            "entry {serial} is not in the ledger that its checkpoint signs"
        )))
    }

    /// Downloads the whole ledger and verifies it, against the remembered checkpoint too.
    ///
    /// # Errors
    /// [`Error::Fork`] where it does not contain what was seen before.
    pub async fn verified_export(&self) -> Result<(Vec<u8>, VerifyReport), Error> {
        let signed = self.signed_in().await?;
        let export = signed.export().await?;
        let verifier = signed.server_info.verifier()?;
        let report = verify(&export, &verifier)?;
        self.against_remembered(&export, &report, &verifier)?;
        Ok((export, report))
    }

    /// Verifies an export offline: with the verifier key `key`, or the one the server named last. Where the checkpoint
    /// that was seen last is of the same ledger, the export must agree with it as far as both reach.
    ///
    /// # Errors
    /// Where the export is wrong, or no key is known.
    pub fn verify_offline(&self, export: &[u8], key: Option<&str>) -> Result<VerifyReport, Error> {
        let verifier = match key {
            Some(key) => Verifier::parse(key)
                .map_err(|error| Error::Usage(format!("--key is no verifier key: {error}")))?,
            None => self.known_verifier()?,
        };
        let report = verify(export, &verifier)?;
        self.against_remembered(export, &report, &verifier)?;
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

    /// Both are signed by the same key, so where they contradict each other the ledger was forked.
    fn against_remembered(
        &self,
        export: &[u8],
        report: &VerifyReport,
        verifier: &Verifier,
    ) -> Result<(), Error> {
        let Ok(address) = self.address() else {
            return Ok(());
        };
        // Another server's checkpoint says nothing about this ledger.
        let Ok(Some(seen)) = witness::last(&self.state, &address, verifier) else {
            return Ok(());
        };
        if seen.size > report.checkpoint.size {
            self.say(&format!(
                "note: this ends at {} entries; {} have been seen at the server",
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
    fn a_prefix_has_the_root_it_had() {
        let mut frontier = Frontier::default();
        frontier.push(tree::leaf_hash(b"a"));
        frontier.push(tree::leaf_hash(b"b"));
        assert_eq!(root_at(b"a\nb\nc\n\nnote\n", 2), frontier.root());
        assert_ne!(root_at(b"a\nx\nc\n\nnote\n", 2), frontier.root());
        assert_ne!(root_at(b"a\n\nnote\n", 2), frontier.root());
    }
}
