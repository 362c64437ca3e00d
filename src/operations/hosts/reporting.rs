//! A host reports, and gets new certificates if its old ones are due.

use std::time::Duration;

use sha2::{Digest, Sha256};
use ssh_key::{Certificate, PublicKey};
use time::OffsetDateTime;

use super::{
    Authority, Error, ShownKeys,
    certifying::certify,
    known,
    report::{KeptReport, Report, SignedReport},
};
use crate::{
    ledger::{
        LedgerState,
        event::HostKey,
        state::{HostRecord, Joined, Rejection, Rule},
    },
    ssh::{certificate::HOST_BACKDATE, host_proof::HostVerb, key::fingerprint},
    store::StoredReport,
    unix_seconds::UnixSeconds,
};

/// The largest difference between a report's time and the server's clock.
pub(super) const CLOCKS_APART: Duration = Duration::from_secs(5 * 60);

/// A report as it came, with the keys that claim to have signed it.
pub(crate) struct Sync {
    /// What it says.
    pub report: Report,
    /// Its bytes, which the host signed.
    pub bytes: Vec<u8>,
    /// The host's keys. Nothing about them is verified.
    pub shown: ShownKeys,
}

/// A report whose signatures were verified.
pub(crate) struct ProvenSync {
    host: HostRecord,
    joined: Joined,
    report: Report,
    signed: SignedReport,
    keys: Vec<PublicKey>,
}

fn stale(detail: &str) -> Error {
    Error::Rejection(Rejection::new(Rule::HostReport, detail))
}

impl Sync {
    /// Verifies that the report is by the keys with which the host joined, and of now.
    ///
    /// # Errors
    /// Returns [`Error::Rejection`] if there is no such host, its keys are others or the report's
    /// time is wrong, and [`Error::HostProof`] if a key did not sign.
    pub(crate) async fn prove(
        self,
        authority: &Authority,
        now: OffsetDateTime,
    ) -> Result<ProvenSync, Error> {
        let claim = Claim {
            host: &self.report.host,
            at: self.report.at,
            shown: &self.shown,
        };
        let digest = Sha256::digest(&self.bytes).into();
        let signed = (HostVerb::Sync, &digest);
        let (host, joined, proven) = claim.prove(authority, signed, now).await?;
        Ok(ProvenSync {
            host,
            joined,
            report: self.report,
            signed: SignedReport::new(&self.bytes, proven),
            keys: self.shown.keys().to_vec(),
        })
    }
}

impl ProvenSync {
    /// A report that needs no proof.
    #[cfg(test)]
    pub(crate) fn sample(
        host: HostRecord,
        joined: Joined,
        report: Report,
        keys: Vec<PublicKey>,
    ) -> Self {
        Self {
            host,
            joined,
            signed: SignedReport::new(&[], Vec::new()),
            report,
            keys,
        }
    }

    /// The host's name.
    pub(crate) fn host(&self) -> &str {
        &self.host.name
    }

    /// Keeps the report in place of the last one. Makes new certificates if one is missing, or has
    /// passed two thirds of its lifetime; none otherwise. Returns why a host that is due gets none,
    /// too.
    ///
    /// # Errors
    /// Returns [`Error::Rejection`] if a report as new was kept before (a replay), and the errors
    /// of making a certificate.
    pub(crate) async fn keep(
        self,
        authority: &Authority,
        nonce: [u8; 32],
        now: OffsetDateTime,
    ) -> Result<(Vec<Certificate>, Option<String>), Error> {
        let content = serde_json::to_vec(&KeptReport {
            report: self.report.clone(),
            signed: Some(self.signed.clone()),
        });
        let stored = StoredReport {
            host: self.host.name.clone(),
            joined: self.joined.index,
            made: self.report.at,
            received: now.into(),
            content: content.map_err(|error| Error::Invalid(error.to_string()))?,
        };
        if !authority.store.put_report(stored).await? {
            return Err(stale(
                "a report as new as this one was received before: run daypass host sync again",
            ));
        }
        if self.report.keeps_certificates || !self.is_due(authority, now.into())? {
            return Ok((Vec::new(), None));
        }
        match certify(authority, &self.host, &self.keys, nonce, now).await {
            // It has what it got last. The report counts.
            Err(Error::Rejection(it)) if it.rule == Rule::TooMany => {
                Ok((Vec::new(), Some(it.detail)))
            }
            certificates => Ok((certificates?, None)),
        }
    }

    /// Whether the host needs new certificates.
    fn is_due(&self, authority: &Authority, now: UnixSeconds) -> Result<bool, Error> {
        let active = fingerprint(known(authority)?.ca.active());
        Ok(self.keys.iter().any(|key| {
            let Some(newest) = self.joined.certificates.get(&fingerprint(key)) else {
                return true;
            };
            let begun = newest.valid_after.saturating_add(HOST_BACKDATE);
            let lifetime = newest.valid_before.get().saturating_sub(begun.get());
            let due = begun.get().saturating_add(lifetime / 3 * 2);
            let is_made_again = || {
                // A host that cannot write what it gets would use up its room. An answer that was
                // lost is made up for at once.
                let pause = begun.get().saturating_add(lifetime / 100);
                self.untaken(key) < 2 || now.get() >= pause
            };
            now.get() >= due
                || newest.ca != active
                // By a clock that was ahead, and was put back.
                || newest.valid_after > now
                || !self.report.certificates.contains(&newest.serial) && is_made_again()
        }))
    }

    /// How many certificates were made for the key since the last one that the host has.
    fn untaken(&self, key: &PublicKey) -> usize {
        let key = fingerprint(key);
        let made = self.host.certificates_of(&key).rev();
        made.take_while(|serial| !self.report.certificates.contains(serial))
            .count()
    }
}

/// What a host's call claims, before its proof.
pub(super) struct Claim<'a> {
    /// The host's name.
    pub(super) host: &'a str,
    /// When the call was made, in Unix milliseconds.
    pub(super) at: u64,
    /// The host's keys.
    pub(super) shown: &'a ShownKeys,
}

impl Claim<'_> {
    /// Verifies that the call is by the keys with which the host joined, and of now.
    ///
    /// # Errors
    /// As [`Sync::prove`].
    pub(super) async fn prove(
        &self,
        authority: &Authority,
        (verb, digest): (HostVerb, &[u8; 32]),
        now: OffsetDateTime,
    ) -> Result<(HostRecord, Joined, Vec<HostKey>), Error> {
        known(authority)?;
        let (store, texts) = (&authority.store, self.shown.texts()?);
        let find = |state: &LedgerState| reporting(state, self.host, &texts);
        if store.state(find).is_err() {
            // It may have joined by another server a moment ago.
            store.follow().await?;
        }
        let (host, joined) = store.state(find).map_err(Error::Rejection)?;
        let made = UnixSeconds(self.at / 1000);
        let now = UnixSeconds::from(now);
        let apart = Duration::from_secs(made.get().abs_diff(now.get()));
        if apart > CLOCKS_APART {
            return Err(stale(
                "the report's time and the server's clock differ by more than five minutes: set the host's clock",
            ));
        }
        let proven = self.shown.prove(&authority.server_name, verb, digest)?;
        Ok((host, joined, proven))
    }
}

/// The host of this name, if it joined with exactly these keys.
fn reporting(
    state: &LedgerState,
    name: &str,
    keys: &[String],
) -> Result<(HostRecord, Joined), Rejection> {
    let host = state
        .host(name)
        .ok_or_else(|| Rejection::no_such_host(name))?;
    match &host.joined {
        None => Err(Rejection::no_such_host(name)),
        Some(joined) if joined.has_keys(keys) => Ok((host.clone(), joined.clone())),
        Some(_) => Err(Rejection::host_changed(name)),
    }
}
