//! The passes that a host may still accept. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    ledger::{
        Event,
        approval::fingerprint,
        event::{Actor, Applicant, Issued},
    },
    unix_seconds::UnixSeconds,
};

/// Time for which a pass is remembered after its end, for hosts with slow clocks.
pub(crate) const MARGIN: Duration = Duration::from_secs(3600);

/// The record of a pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PassRecord {
    /// The serial, which is its event's index.
    pub serial: u64,
    /// The `iss` claim of its holder.
    pub issuer: String,
    /// The `sub` claim of its holder.
    pub subject: String,
    /// The holder's display name.
    pub label: String,
    /// Fingerprint of the subject key.
    pub key: String,
    /// The role.
    pub role: String,
    /// Fingerprint of the CA key; empty for any.
    pub ca: String,
    /// Time of the event.
    pub issued_at: OffsetDateTime,
    /// First second after validity.
    pub valid_before: UnixSeconds,
    /// Whether hosts must refuse it.
    pub is_revoked: bool,
    /// The people whose registered keys signed for it, if no token did; of a pass on behalf of its
    /// holder, the identity that asked, and the holder with the key of their own.
    pub signers: Vec<Signer>,
    /// For a jump pass: the serial of the pass that it belongs to.
    pub jump_of: Option<u64>,
    /// Hash of the policy in force; `None` if no policy was recorded before.
    pub(super) policy: Option<Arc<str>>,
}

impl PassRecord {
    pub(super) fn of(event: &Event, issued: &Issued, policy: Option<&Arc<str>>) -> Self {
        Self {
            serial: event.index,
            issuer: issued.who.issuer.clone(),
            subject: issued.who.subject.clone(),
            label: issued.who.label.clone(),
            key: issued.key.clone(),
            role: issued.ask.role.clone(),
            ca: issued.ca.clone(),
            issued_at: event.at,
            valid_before: issued.valid_before,
            is_revoked: false,
            signers: signers(issued),
            jump_of: issued.jump.as_ref().map(|jump| jump.pass),
            policy: policy.cloned(),
        }
    }

    /// A pass that a lost ledger may have issued, by any CA key: revoked.
    pub(super) fn lost(serial: u64, at: OffsetDateTime, end: UnixSeconds) -> Self {
        Self {
            serial,
            issuer: String::new(),
            subject: String::new(),
            label: String::new(),
            key: String::new(),
            role: String::new(),
            ca: String::new(),
            issued_at: at,
            valid_before: end,
            is_revoked: true,
            signers: Vec::new(),
            jump_of: None,
            policy: None,
        }
    }

    /// The holder, as locks match it.
    pub(super) fn applicant(&self) -> Applicant<'_> {
        Applicant {
            issuer: &self.issuer,
            subject: &self.subject,
            label: &self.label,
            key: Some(&self.key),
            role: Some(&self.role),
        }
    }

    /// Whether no host accepts the pass at `now`, with clocks wrong by at most [`MARGIN`].
    pub(super) fn is_over(&self, now: OffsetDateTime) -> bool {
        let now = UnixSeconds::from(now);
        self.valid_before.saturating_add(MARGIN) <= now
    }
}

/// A person whose registered key signed for a pass, or an identity that asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signer {
    /// The `iss` claim.
    pub issuer: String,
    /// The `sub` claim.
    pub subject: String,
    /// The display name.
    pub label: String,
    /// Fingerprint of their key.
    pub key: String,
}

impl Signer {
    /// The signer, as locks match it.
    pub(super) fn applicant(&self) -> Applicant<'_> {
        Applicant {
            issuer: &self.issuer,
            subject: &self.subject,
            label: &self.label,
            key: Some(&self.key),
            role: None,
        }
    }
}

fn signers(issued: &Issued) -> Vec<Signer> {
    let signer = |who: &Actor, key: Option<String>| Signer {
        issuer: who.issuer.clone(),
        subject: who.subject.clone(),
        label: who.label.clone(),
        key: key.unwrap_or_default(),
    };
    let signatures = issued.signatures();
    let mut signers: Vec<_> = signatures
        .map(|one| signer(&one.who, one.fingerprint()))
        .collect();
    if let Some(on_behalf) = &issued.on_behalf {
        signers.push(signer(&on_behalf.by, Some(issued.key.clone())));
        signers.push(signer(&issued.who, fingerprint(&on_behalf.key)));
    }
    signers
}

/// Passes by serial and by end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Passes {
    by_serial: BTreeMap<u64, PassRecord>,
    /// (`valid_before`, serial).
    by_end: BTreeSet<(UnixSeconds, u64)>,
}

impl Passes {
    pub(super) fn add(&mut self, pass: PassRecord) {
        self.by_end.insert((pass.valid_before, pass.serial));
        self.by_serial.insert(pass.serial, pass);
    }

    pub(super) fn remove(&mut self, serial: u64) -> Option<PassRecord> {
        let pass = self.by_serial.remove(&serial)?;
        self.by_end.remove(&(pass.valid_before, serial));
        Some(pass)
    }

    pub(super) fn revoke(&mut self, serials: &[u64]) {
        for serial in serials {
            if let Some(pass) = self.by_serial.get_mut(serial) {
                pass.is_revoked = true;
            }
        }
    }

    /// Forgets the passes that expired [`MARGIN`] before `agreed`. Returns whether a
    /// revoked pass was among them.
    pub(super) fn forget_before(&mut self, agreed: UnixSeconds) -> bool {
        let mut has_revoked = false;
        #[cfg(feature = "deliberate-bugs")]
        if crate::deliberate::prunes_live_revocations() {
            let revoked = self.by_serial.values().filter(|pass| pass.is_revoked);
            for serial in revoked.map(|pass| pass.serial).collect::<Vec<_>>() {
                has_revoked |= self.remove(serial).is_some();
            }
        }
        while let Some((valid_before, serial)) = self.by_end.first().copied()
            && valid_before.saturating_add(MARGIN) <= agreed
        {
            let forgotten = self.remove(serial);
            has_revoked |= forgotten.is_some_and(|pass| pass.is_revoked);
        }
        has_revoked
    }

    pub(super) fn get(&self, serial: u64) -> Option<&PassRecord> {
        self.by_serial.get(&serial)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &PassRecord> {
        self.by_serial.values()
    }
}
