//! Reading the ledger: every entry is proven to be under the ledger's signed checkpoint.

use std::io::{self, Read, Write};

use serde_json::Value;
use time::OffsetDateTime;

use super::{
    Client, Error, Signed, asking::Asking, credentials::authorized, in_turn::InTurn, proofs,
    server_info::ServerInfo, witness,
};
use crate::{
    ledger::{
        Event, EventKind,
        checkpoint::{Checkpoint, Verifier},
        event::policy_hash,
        handover::KeyHistory,
        tree,
        verify::{self, Block, Prepared, Verification, VerifyReport},
    },
    proto::v1,
};

/// A policy's text, as the ledger holds it.
#[derive(Clone, Debug)]
pub(crate) struct PolicyText {
    /// The policy's hash.
    pub policy: String,
    /// Index of the event.
    pub index: u64,
    /// Time at which it came into force.
    pub at: OffsetDateTime,
    /// The file, byte for byte.
    pub text: String,
}

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
    pub(super) fn read(leaf: Vec<u8>) -> Result<Self, Error> {
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
    /// Up to `limit` entries from index `from` on.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to read the ledger.
    pub(crate) async fn entries(&self, from: u64, limit: u32) -> Result<Vec<Entry>, Error> {
        Ok(self.upwards(from, limit).await?.entries)
    }

    /// The index of the event with this policy's text; of the one in force if `hash` is empty.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to read the ledger, and
    /// the server's refusal if there is no such policy.
    async fn find_policy(&self, hash: &str) -> Result<u64, Error> {
        let hash = hash.to_owned();
        let request = authorized(&self.login, v1::FindPolicyRequest { hash })?;
        let answer = self.server.ledger().find_policy(request).await?;
        Ok(answer.into_inner().index)
    }

    /// The whole ledger as the server streams it, unverified, part by part.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to read the ledger, and
    /// the error of `take`.
    async fn export(&self, mut take: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let request = authorized(&self.login, v1::ExportRequest {})?;
        let mut stream = self.server.ledger().export(request).await?.into_inner();
        while let Some(part) = stream.message().await? {
            take(&part.chunk)?;
        }
        Ok(())
    }
}

impl Client {
    /// Fetches one entry, and proves that it is in the ledger under the returned checkpoint.
    ///
    /// # Errors
    /// Returns [`Error::Untrusted`] if the proof fails.
    pub(crate) async fn entry(&self, serial: u64) -> Result<(Entry, Checkpoint), Error> {
        let signed = self.signed_in().await?;
        self.proven(&signed, serial).await
    }

    /// Fetches the event with the text of the policy whose hash begins so, proven as
    /// [`Client::entry`] does; of the one in force if `hash` is empty.
    ///
    /// # Errors
    /// Returns [`Error::Untrusted`] if the event has no such text.
    pub(crate) async fn policy_text(&self, hash: &str) -> Result<(PolicyText, Checkpoint), Error> {
        let signed = self.signed_in().await?;
        let index = signed.find_policy(hash).await?;
        let (entry, checkpoint) = self.proven(&signed, index).await?;
        let event = Event::parse(&entry.leaf)
            .map_err(|error| Error::Untrusted(format!("entry {index}: {error}")))?;
        let at = event.at;
        match event.what {
            EventKind::PolicyLoaded {
                policy,
                text: Some(text),
            } if policy.starts_with(hash) && policy_hash(&text) == policy => {
                let found = PolicyText {
                    policy,
                    index,
                    at,
                    text,
                };
                Ok((found, checkpoint))
            }
            _ => Err(Error::Untrusted(format!(
                "entry {index} has no text of a policy with this hash"
            ))),
        }
    }

    async fn proven(&self, signed: &Signed, serial: u64) -> Result<(Entry, Checkpoint), Error> {
        let entry = signed.entries(serial, 1).await?.into_iter().next();
        let entry = entry
            .filter(|entry| entry.index == serial)
            .ok_or_else(|| Error::other(format!("the ledger has no entry {serial}")))?;
        let asking = Asking {
            server: &signed.server,
            server_info: &signed.server_info,
            login: &signed.login,
            accept: None,
        };
        let say = |message: &str| self.say(message);
        let checkpoint = witness::check(&self.state, &asking, say).await?;
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

    /// Downloads the whole ledger into `out`, verifies it on the way, and compares it with the
    /// remembered checkpoint. What is in `out`, and what `each` gets of the events, some at a time
    /// in their order, is not verified until this returns. `progress` gets the number of events now
    /// and then.
    ///
    /// # Errors
    /// Returns [`Error::Fork`] if it lacks entries that were seen before.
    pub(crate) async fn verified_export(
        &self,
        out: &mut impl Write,
        mut each: Each<'_>,
        progress: impl Fn(u64),
    ) -> Result<VerifyReport, Error> {
        let signed = self.signed_in().await?;
        let mut audit = self.audit(signed.server_info.ledger_keys()?)?;
        signed
            .export(|part| {
                audit.take(part, &mut each)?;
                progress(audit.verification.events());
                let written = out.write_all(part);
                written
                    .map_err(|error| Error::other(format!("failed to write the export: {error}")))
            })
            .await?;
        self.finish(audit, each)
    }

    /// Verifies an export offline, with the verifier key `key`, or without it the one that the
    /// server named last. If the remembered checkpoint is of the same ledger, the export must agree
    /// with it. `each` gets the events as in [`Client::verified_export`], and `progress` gets
    /// the number of bytes now and then.
    ///
    /// # Errors
    /// Returns the error if the export does not verify or cannot be read, and [`Error::Usage`] if
    /// no key is known.
    pub(crate) fn verify_offline(
        &self,
        export: &mut impl Read,
        key: Option<&str>,
        mut each: Each<'_>,
        progress: impl Fn(u64),
    ) -> Result<VerifyReport, Error> {
        let keys = match key {
            Some(key) => self.keys_with(key)?,
            None => self.known_keys()?,
        };
        let mut audit = self.audit(keys)?;
        let (mut part, mut taken) = (vec![0; PART], 0);
        loop {
            let read = match export.read(&mut part) {
                Ok(0) => return self.finish(audit, each),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(read) => read,
                Err(error) => {
                    return Err(Error::other(format!("failed to read the export: {error}")));
                }
            };
            audit.take(part.get(..read).unwrap_or_default(), &mut each)?;
            taken += read as u64;
            progress(taken);
        }
    }

    /// The keys that are known here, if this is one of them; else this one alone.
    fn keys_with(&self, key: &str) -> Result<KeyHistory, Error> {
        let invalid = |why: String| Error::Usage(format!("invalid verifier key in --key: {why}"));
        let key = Verifier::parse(key).map_err(|error| invalid(error.why()))?;
        let known = self.known_keys().ok().filter(|keys| keys.has(&key));
        Ok(known.unwrap_or_else(|| key.into()))
    }

    fn known_keys(&self) -> Result<KeyHistory, Error> {
        let unknown = || {
            Error::Usage(
                "the ledger's verifier key is not known here: give it with --key 'NAME+HASH+KEY'"
                    .to_owned(),
            )
        };
        let address = self.address().map_err(|_| unknown())?;
        let server_info = ServerInfo::cached(&self.state, &address)?;
        server_info.ok_or_else(unknown)?.ledger_keys()
    }

    /// Begins a verification that also compares with the remembered checkpoint, if there is one by
    /// this key; one of another key is of another ledger.
    fn audit(&self, keys: KeyHistory) -> Result<Audit, Error> {
        let address = self.address().ok();
        let seen = address.and_then(|address| {
            let last = witness::last(&self.state, &address, &keys);
            last.ok().flatten()
        });
        let verification = match &seen {
            Some(seen) => Verification::with_root_of(seen.size),
            None => Verification::default(),
        };
        let workers = InTurn::start(STACK, Job::work);
        let failed = |error| Error::other(format!("failed to start a thread: {error}"));
        Ok(Audit {
            verification,
            workers: workers.map_err(failed)?,
            keys,
            seen,
        })
    }

    /// The result. Export and remembered checkpoint are signed by the same key, so a contradiction
    /// is a fork.
    fn finish(&self, mut audit: Audit, mut each: Each<'_>) -> Result<VerifyReport, Error> {
        audit.take_rest(&mut each)?;
        let root = audit.verification.root();
        let report = audit.verification.finish(&audit.keys);
        let report = report.map_err(unverified)?;
        let Some(seen) = audit.seen else {
            return Ok(report);
        };
        if seen.size > report.checkpoint.size {
            self.say(&format!(
                "note: this export has {} entries; the server had {} before",
                report.checkpoint.size, seen.size
            ));
            return Ok(report);
        }
        if root == Some(seen.root) {
            return Ok(report);
        }
        Err(Error::Fork(format!(
            "the first {} entries are not those that were seen before; keep this export and {} as evidence",
            seen.size,
            self.state.folder().display()
        )))
    }
}

/// Takes the events of a ledger, some at a time, in their order; none if they are not needed.
pub(crate) type Each<'a> = Option<&'a mut (dyn FnMut(Vec<Event>) + Send)>;

/// Bytes that are read from a file at once.
const PART: usize = 256 * 1024;

/// Stack of a thread that prepares events. Their readers count levels of brackets.
const STACK: usize = 2 * 1024 * 1024;

/// A job of a thread beside the verification.
enum Job {
    Prepare(Block),
    /// Frees events. The thread that has made them does it, because the allocator is slow if
    /// another one does.
    Free(Vec<Event>),
}

impl Job {
    fn work(self) -> Option<Prepared> {
        match self {
            Self::Prepare(block) => Some(block.prepare()),
            Self::Free(events) => {
                drop(events);
                None
            }
        }
    }
}

/// An export under verification, and the checkpoint that it is compared with.
struct Audit {
    verification: Verification,
    workers: InTurn<Job, Prepared>,
    keys: KeyHistory,
    seen: Option<Checkpoint>,
}

impl Audit {
    fn take(&mut self, part: &[u8], each: &mut Each<'_>) -> Result<(), Error> {
        for part in part.chunks(PART) {
            match self.verification.split(part) {
                Ok(None) => (),
                Ok(Some(block)) => {
                    if let Some(made) = self.workers.hand_in(Job::Prepare(block)) {
                        self.judge(made, each)?;
                    }
                }
                Err(fault) => {
                    // A fault of an earlier line is told first.
                    self.drain(each)?;
                    return Err(unverified(fault));
                }
            }
        }
        Ok(())
    }

    /// Takes what is still under way after the last part.
    fn take_rest(&mut self, each: &mut Each<'_>) -> Result<(), Error> {
        if let Some(block) = self.verification.remaining()
            && let Some(made) = self.workers.hand_in(Job::Prepare(block))
        {
            self.judge(made, each)?;
        }
        self.drain(each)
    }

    fn drain(&mut self, each: &mut Each<'_>) -> Result<(), Error> {
        while let Some(made) = self.workers.next() {
            self.judge(made, each)?;
        }
        Ok(())
    }

    fn judge(
        &mut self,
        (prepared, by): (Prepared, usize),
        each: &mut Each<'_>,
    ) -> Result<(), Error> {
        let events = self.verification.judge(prepared).map_err(unverified)?;
        match each {
            Some(each) => each(events),
            None => self.workers.give(Job::Free(events), by),
        }
        Ok(())
    }
}

fn unverified(error: verify::Error) -> Error {
    Error::other(format!("the ledger does not verify: {error}"))
}
