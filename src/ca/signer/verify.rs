//! What a signer signs, and what it refuses. Pure: the time is a parameter.
//!
//! A request shows a checkpoint of the ledger and the proof that it goes on from the one that the
//! signer remembers. Each pass in it shows its event and the proof that the event is in that
//! checkpoint. The event must record exactly this pass: its serial, the hash of its bytes, and in
//! its own words what the bytes allow, for whom and until when. Host certificates alike.

mod words;

use std::{collections::BTreeSet, time::Duration};

use ssh_key::{Algorithm, Certificate, PublicKey, Signature};
use time::OffsetDateTime;

use self::words::{expect_bytes, same_host, same_words, seconds};
use super::{
    ceiling::{Ceiling, HostCeiling, within_one},
    document::{self, Known},
    message::{Item, Request},
    refusal::{Fault, Refusal},
};
use crate::{
    ca::{host, lint, to_sign::ToSign},
    ledger::{
        Event, EventKind,
        checkpoint::{self, Checkpoint, Verifier},
        evidence::Recorded,
        tree::{Hash, empty_root, leaf_hash, verify_consistency, verify_inclusion},
    },
    ssh::{
        certificate::{BACKDATE, HOST_BACKDATE},
        sshsig,
        wire::put_string,
    },
    unix_seconds::UnixSeconds,
};

/// How far the beginning of a pass may be from the signer's clock, in seconds. A pass is signed a
/// moment after it is drafted; the rest is for two machines' clocks.
pub(crate) const FRESH: u64 = 5 * 60;

/// The signer's own knowledge, from its configuration.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// The key that signs.
    pub(crate) ca: PublicKey,
    /// The CA's other keys, which documents may name too.
    pub(crate) others: Vec<PublicKey>,
    /// The ledger's key and name.
    pub(crate) ledger: Verifier,
    /// The server's name.
    pub(crate) server: String,
    /// Fingerprints of the administrators' keys.
    pub(crate) administrators: BTreeSet<String>,
    /// What a pass may allow: one of these. Empty: it signs no passes and no documents.
    pub(crate) ceilings: Vec<Ceiling>,
    /// What a host certificate may say: one of these. Empty: it signs none.
    pub(crate) host_ceilings: Vec<HostCeiling>,
}

/// A ledger's size and root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The number of its events.
    pub(crate) size: u64,
    /// The root over them.
    pub(crate) root: Hash,
}

impl Head {
    /// A ledger without events, which every ledger goes on from.
    pub(crate) fn empty() -> Self {
        Self {
            size: 0,
            root: empty_root(),
        }
    }
}

impl From<&Checkpoint> for Head {
    fn from(checkpoint: &Checkpoint) -> Self {
        Self {
            size: checkpoint.size,
            root: checkpoint.root,
        }
    }
}

/// What the signer has seen of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The newest head.
    pub(crate) head: Head,
    /// Serials below this one may belong to passes of a history that an operator has given up.
    pub(crate) floor: u64,
}

/// A message that may be signed once its checkpoint is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApprovedItem {
    item: Item,
    /// SSHSIG's framing of a document.
    framed: Vec<u8>,
}

impl ApprovedItem {
    pub(super) fn to_sign(&self) -> ToSign<'_> {
        match &self.item {
            Item::Pass { bytes, recorded } => ToSign::Pass {
                serial: recorded.index,
                bytes,
            },
            Item::HostCertificate { bytes, recorded } => ToSign::HostCertificate {
                serial: recorded.index,
                bytes,
            },
            Item::Document { kind, content } => ToSign::Document {
                kind: *kind,
                content,
                message: &self.framed,
            },
        }
    }
}

/// A request that was verified. Only [`verify`] makes one.
#[derive(Debug)]
pub(crate) struct Approved {
    head: Head,
    checkpoint: String,
    items: Vec<Result<ApprovedItem, Fault>>,
}

impl Approved {
    /// The head to remember before anything is signed.
    pub(crate) fn head(&self) -> Head {
        self.head
    }

    /// The note of that head.
    pub(crate) fn checkpoint(&self) -> &str {
        &self.checkpoint
    }

    /// The faults of what is not signed.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.items.iter().filter_map(|item| item.as_ref().err())
    }

    /// The messages, if their head is remembered.
    pub(super) fn behind(
        self,
        remembered: &Remembered,
    ) -> Option<Vec<Result<ApprovedItem, Fault>>> {
        (self.head == remembered.0).then_some(self.items)
    }
}

/// The proof that a head is remembered durably.
///
/// Only the signer's memory makes one, after the file and its folder are on disk:
/// `tests/architecture` holds `Remembered::written` to `signer/memory.rs`.
#[derive(Debug)]
pub(crate) struct Remembered(Head);

impl Remembered {
    /// Makes the proof. Only the signer's memory calls this.
    pub(crate) fn written(head: Head) -> Self {
        Self(head)
    }
}

/// Decides about a request at the time `now`.
///
/// # Errors
/// Returns the [`Refusal`] if the whole of it is refused. What is wrong with one message is that
/// message's [`Fault`].
pub(crate) fn verify(
    rules: &Rules,
    seen: &Seen,
    request: Request,
    now: OffsetDateTime,
) -> Result<Approved, Refusal> {
    let checkpoint = rules.ledger.verify(&request.checkpoint);
    let checkpoint =
        checkpoint.map_err(|error: checkpoint::Error| Refusal::Checkpoint(error.to_string()))?;
    let head = Head::from(&checkpoint);
    goes_on(&seen.head, &head, &request)?;
    let judge = Judge {
        rules,
        head,
        floor: seen.floor,
        now: UnixSeconds::from(now).get(),
    };
    let items = request.items.into_iter();
    Ok(Approved {
        head,
        checkpoint: request.checkpoint,
        items: items.map(|item| judge.judge(item)).collect(),
    })
}

/// Checks that the ledger goes on from the remembered head.
fn goes_on(remembered: &Head, shown: &Head, request: &Request) -> Result<(), Refusal> {
    if shown == remembered {
        return Ok(());
    }
    if request.known != remembered.size {
        return Err(Refusal::Stale(remembered.size));
    }
    let sizes = (remembered.size, shown.size);
    if shown.size < remembered.size {
        let (remembered, shown) = sizes;
        return Err(Refusal::Smaller { remembered, shown });
    }
    let is_same = verify_consistency(
        remembered.size,
        &remembered.root,
        shown.size,
        &shown.root,
        &request.consistency,
    );
    let (remembered, shown) = sizes;
    is_same
        .then_some(())
        .ok_or(Refusal::Fork { remembered, shown })
}

/// The judge of the messages of one request.
struct Judge<'a> {
    rules: &'a Rules,
    head: Head,
    floor: u64,
    now: u64,
}

impl Judge<'_> {
    fn judge(&self, item: Item) -> Result<ApprovedItem, Fault> {
        let framed = match &item {
            Item::Pass { bytes, recorded } => {
                self.judge_pass(bytes, recorded)?;
                Vec::new()
            }
            Item::HostCertificate { bytes, recorded } => {
                self.judge_host(bytes, recorded)?;
                Vec::new()
            }
            Item::Document { .. } if self.rules.ceilings.is_empty() => {
                return Err(Fault::NotOurs("documents", "ceiling"));
            }
            Item::Document { kind, content } => {
                document::check(*kind, content, &self.known())?;
                let unreadable =
                    |error: sshsig::Error| document::Fault::Unreadable(error.to_string());
                sshsig::signed_data(kind.namespace(), content).map_err(unreadable)?
            }
        };
        Ok(ApprovedItem { item, framed })
    }

    fn known(&self) -> Known<'_> {
        let rules = self.rules;
        let keys = std::iter::once(&rules.ca).chain(&rules.others);
        Known {
            keys: keys.filter_map(|key| key.to_bytes().ok()).collect(),
            own: &rules.ca,
            server: &rules.server,
            administrators: &rules.administrators,
            size: self.head.size,
        }
    }

    fn judge_pass(&self, bytes: &[u8], recorded: &Recorded) -> Result<(), Fault> {
        let (what, at) = self.recorded(recorded)?;
        let EventKind::Issued(issued) = what else {
            return Err(Fault::Kind);
        };
        expect_bytes(&issued.to_be_signed, bytes)?;
        let certificate = self.parse(bytes, lint::to_be_signed, lint::certificate)?;
        self.expect_own(&certificate, recorded.index)?;
        let permissions = same_words(&issued, &certificate, &self.rules.ca)?;
        self.expect_fresh(&certificate, BACKDATE, at)?;
        within_one(&self.rules.ceilings, |ceiling| {
            ceiling.check(&permissions, seconds(&certificate))
        })
        .map_err(Fault::Ceiling)
    }

    fn judge_host(&self, bytes: &[u8], recorded: &Recorded) -> Result<(), Fault> {
        if self.rules.host_ceilings.is_empty() {
            return Err(Fault::NotOurs("host certificates", "host_ceiling"));
        }
        let (what, at) = self.recorded(recorded)?;
        let EventKind::HostCertified(certified) = what else {
            return Err(Fault::NoHostCertificate);
        };
        expect_bytes(&certified.to_be_signed, bytes)?;
        let lint = (host::lint::to_be_signed, host::lint::certificate);
        let certificate = self.parse(bytes, lint.0, lint.1)?;
        self.expect_own(&certificate, recorded.index)?;
        same_host(&certified, &certificate, &self.rules.ca)?;
        self.expect_fresh(&certificate, HOST_BACKDATE, at)?;
        let names = certificate.valid_principals();
        within_one(&self.rules.host_ceilings, |ceiling| {
            ceiling.check(names, seconds(&certificate))
        })
        .map_err(Fault::Ceiling)
    }

    /// Checks that the serial is the event's index, and of no history that was given up.
    fn expect_own(&self, certificate: &Certificate, index: u64) -> Result<(), Fault> {
        if certificate.serial() != index {
            return Err(Fault::Serial);
        }
        match index < self.floor {
            true => Err(Fault::Floor(self.floor)),
            false => Ok(()),
        }
    }

    /// Checks that it begins, and was recorded, about now.
    fn expect_fresh(
        &self,
        certificate: &Certificate,
        backdate: Duration,
        at: OffsetDateTime,
    ) -> Result<(), Fault> {
        let begun = UnixSeconds(certificate.valid_after()).saturating_add(backdate);
        // An order about all passes before a time goes by the time of the event.
        for time in [begun, UnixSeconds::from(at)] {
            let away = time.get().abs_diff(self.now);
            if away > FRESH {
                return Err(Fault::Time(away));
            }
        }
        Ok(())
    }

    /// The event and its time, if it is in the ledger at its index.
    fn recorded(&self, recorded: &Recorded) -> Result<(EventKind, OffsetDateTime), Fault> {
        let Recorded {
            index,
            leaf,
            inclusion,
        } = recorded;
        let Head { size, root } = &self.head;
        if !verify_inclusion(&leaf_hash(leaf), *index, *size, inclusion, root) {
            return Err(Fault::NotIncluded);
        }
        let event = Event::parse(leaf).map_err(|_| Fault::Leaf)?;
        // A leaf that names a member twice says different things to different readers.
        if event.to_bytes().ok().as_deref() != Some(leaf) {
            return Err(Fault::Leaf);
        }
        match event.index == *index {
            true => Ok((event.what, event.at)),
            false => Err(Fault::Index),
        }
    }

    /// Lints the bytes as those of a certificate by this key, with an empty signature in the place
    /// of the one that is not made yet.
    fn parse(
        &self,
        bytes: &[u8],
        lint_unsigned: impl Fn(&[u8], &PublicKey) -> Result<(), lint::Problem>,
        lint_whole: impl Fn(&[u8], &PublicKey) -> Result<Certificate, lint::Problem>,
    ) -> Result<Certificate, Fault> {
        lint_unsigned(bytes, &self.rules.ca)?;
        let empty = Signature::new(Algorithm::Ed25519, vec![0; 64]);
        let empty = empty.and_then(Vec::<u8>::try_from);
        let mut whole = bytes.to_vec();
        put_string(&mut whole, &empty.map_err(|_| lint::Problem::NotCanonical)?);
        Ok(lint_whole(&whole, &self.rules.ca)?)
    }
}

#[cfg(test)]
mod tests;
