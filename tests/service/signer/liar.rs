//! A daemon whose memory, disk and ledger key are an attacker's: it speaks to a real signer over
//! its socket, writes what it likes into a ledger of its own, and makes its own bytes and proofs.
//! Nothing here uses the product's encoders but for events.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use daypass::{
    ledger::{
        Event, EventKind,
        checkpoint::Signer,
        event::{Actor, Issued, RequestDetails},
        tree::leaf_hash,
    },
    ssh::permissions::Permissions,
    unix_seconds::UnixSeconds,
};
use serde_json::json;
use sha2::{Digest, Sha256};
use ssh_key::{HashAlg, PrivateKey, PublicKey};
use time::OffsetDateTime;

use crate::support::{files::new_key, now};

type Hash = [u8; 32];

/// A certificate to be signed.
#[derive(Clone)]
pub(super) struct Pass {
    pub(super) subject: PublicKey,
    pub(super) kind: u32,
    pub(super) key_id: String,
    pub(super) principals: Vec<&'static str>,
    pub(super) command: Option<&'static str>,
    pub(super) extensions: Vec<&'static str>,
    pub(super) after: i64,
    pub(super) before: i64,
    pub(super) ca: PublicKey,
}

/// One message of a request.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) index: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) leaf: Vec<u8>,
    pub(super) inclusion: Vec<Hash>,
}

/// What a signer answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Signatures, or why not.
    Verdicts(Vec<Result<Vec<u8>, String>>),
    Stale(u64),
    Refused(String),
    /// It has closed the connection.
    Closed,
}

/// The daemon.
#[derive(Clone)]
pub(super) struct Liar {
    pub(super) ca: PublicKey,
    pub(super) seed: Hash,
    pub(super) leaves: Vec<Vec<u8>>,
}

pub(super) const ORIGIN: &str = "daypass.example.com/ledger";

impl Liar {
    pub(super) fn new(ca: PublicKey) -> Self {
        let mut liar = Self {
            ca,
            seed: [7; 32],
            leaves: Vec::new(),
        };
        liar.push(EventKind::Skipped);
        liar
    }

    /// The verifier key of its ledger.
    pub(super) fn verifier(&self) -> String {
        // It is in the signer's debug text alone.
        let text = format!("{:?}", self.signer());
        let text = text.strip_prefix("Signer(").unwrap();
        text.strip_suffix(')').unwrap().to_owned()
    }

    fn signer(&self) -> Signer {
        Signer::new(ORIGIN, &self.seed).unwrap()
    }

    pub(super) fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    pub(super) fn note(&self) -> String {
        self.signer().sign(self.size(), root(&self.leaves))
    }

    pub(super) fn push(&mut self, what: EventKind) -> u64 {
        let index = self.size();
        let at = OffsetDateTime::now_utc();
        self.leaves
            .push(Event { index, at, what }.to_bytes().unwrap());
        index
    }

    /// A pass within the ceiling.
    pub(super) fn pass(&self) -> Pass {
        let subject = PublicKey::from(new_key().public_key().key_data().clone());
        Pass {
            subject,
            kind: 1,
            key_id: "alice/shell".to_owned(),
            principals: vec!["alice"],
            command: None,
            extensions: vec!["permit-pty"],
            after: now() - 60,
            before: now() + 600,
            ca: self.ca.clone(),
        }
    }

    /// The event that a daemon writes about a pass.
    pub(super) fn event(&self, pass: &Pass, bytes: &[u8]) -> Issued {
        let extensions: Vec<_> = pass
            .extensions
            .iter()
            .map(|name| name.trim_start_matches("permit-"))
            .collect();
        let permissions = json!({
            "principals": pass.principals,
            "command": pass.command,
            "extensions": extensions,
        });
        let permissions: Permissions = serde_json::from_value(permissions).unwrap();
        let seconds = |time: i64| UnixSeconds(u64::try_from(time).unwrap());
        let ask = json!({ "role": "shell" });
        let ask: RequestDetails = serde_json::from_value(ask).unwrap();
        Issued {
            who: Actor {
                issuer: "https://id.example.com".to_owned(),
                subject: "alice".to_owned(),
                label: "alice".to_owned(),
                claims: json!({}).into(),
            },
            ask,
            key: pass.subject.fingerprint(HashAlg::Sha256).to_string(),
            binding: "nonce".to_owned(),
            key_id: pass.key_id.clone(),
            permissions,
            valid_after: seconds(pass.after),
            valid_before: seconds(pass.before),
            policy: "ab".repeat(32),
            ca: pass.ca.fingerprint(HashAlg::Sha256).to_string(),
            to_be_signed: base16ct::lower::encode_string(&Sha256::digest(bytes)),
            emergency_proof: None,
            jump: None,
            on_behalf: None,
        }
    }

    /// Records a pass as an honest daemon does.
    pub(super) fn record(&mut self, pass: &Pass) -> u64 {
        self.record_as(pass, |_| ())
    }

    /// Records a pass, with what `change` makes of the event.
    pub(super) fn record_as(&mut self, pass: &Pass, change: impl FnOnce(&mut Issued)) -> u64 {
        let bytes = pass.bytes(self.size());
        let mut issued = self.event(pass, &bytes);
        change(&mut issued);
        self.push(EventKind::Issued(Box::new(issued)))
    }

    /// The honest item of a recorded pass.
    pub(super) fn item(&self, index: u64, pass: &Pass) -> Item {
        let at = usize::try_from(index).unwrap();
        Item {
            index,
            bytes: pass.bytes(index),
            leaf: self.leaves[at].clone(),
            inclusion: path(at, &self.leaves),
        }
    }

    pub(super) fn consistency(&self, known: u64) -> Vec<Hash> {
        match usize::try_from(known).unwrap() {
            0 => Vec::new(),
            known if known >= self.leaves.len() => Vec::new(),
            known => subproof(known, &self.leaves, true),
        }
    }

    /// An honest question about these items, from a signer that remembers `known`.
    pub(super) fn question(&self, known: u64, items: &[Item]) -> Vec<u8> {
        question(known, &self.note(), &self.consistency(known), items)
    }
}

impl Pass {
    pub(super) fn bytes(&self, serial: u64) -> Vec<u8> {
        let blob = self.subject.to_bytes().unwrap();
        let mut out = string(b"ssh-ed25519-cert-v01@openssh.com");
        out.extend(string(&[5; 32]));
        // The key's own string, behind the name of its kind.
        out.extend_from_slice(&blob[4 + 11..]);
        out.extend_from_slice(&serial.to_be_bytes());
        out.extend_from_slice(&self.kind.to_be_bytes());
        out.extend(string(self.key_id.as_bytes()));
        let principals = self.principals.iter().map(|name| string(name.as_bytes()));
        out.extend(string(&principals.collect::<Vec<_>>().concat()));
        out.extend_from_slice(&self.after.to_be_bytes());
        out.extend_from_slice(&self.before.to_be_bytes());
        let command = self.command.map(|command| {
            let value = string(&string(command.as_bytes()));
            [string(b"force-command"), value].concat()
        });
        out.extend(string(&command.unwrap_or_default()));
        let extensions = self.extensions.iter();
        let extensions = extensions.map(|name| [string(name.as_bytes()), string(b"")].concat());
        out.extend(string(&extensions.collect::<Vec<_>>().concat()));
        out.extend(string(b""));
        out.extend(string(&self.ca.to_bytes().unwrap()));
        out
    }
}

pub(super) fn question(known: u64, note: &str, proof: &[Hash], items: &[Item]) -> Vec<u8> {
    let mut out = vec![2];
    out.extend_from_slice(&known.to_be_bytes());
    out.extend(string(note.as_bytes()));
    out.extend(string(&proof.concat()));
    out.extend_from_slice(&u32::try_from(items.len()).unwrap().to_be_bytes());
    for item in items {
        out.push(1);
        out.extend(string(&item.bytes));
        out.extend_from_slice(&item.index.to_be_bytes());
        out.extend(string(&item.leaf));
        out.extend(string(&item.inclusion.concat()));
    }
    out
}

/// A question about one document, without passes.
pub(super) fn document(liar: &Liar, known: u64, namespace: &str, content: &[u8]) -> Vec<u8> {
    let mut out = liar.question(known, &[]);
    out.truncate(out.len() - 4);
    out.extend_from_slice(&1_u32.to_be_bytes());
    out.push(2);
    out.extend(string(namespace.as_bytes()));
    out.extend(string(content));
    out
}

pub(super) fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes()[..], bytes].concat()
}

/// A connection to the signer.
pub(super) struct Wire(pub(super) UnixStream);

impl Wire {
    pub(super) fn open(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        Self(stream)
    }

    /// Sends bytes as they are. The signer may have closed the connection already.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    pub(super) fn ask(&mut self, question: &[u8]) -> Answer {
        self.send(&string(question));
        self.answer()
    }

    pub(super) fn answer(&mut self) -> Answer {
        match self.frame() {
            None => Answer::Closed,
            Some(bytes) => parse(&bytes),
        }
    }

    /// Its key's blob, what it remembers, and its alarm.
    pub(super) fn status(&mut self) -> (Vec<u8>, u64, String) {
        self.send(&string(&[1]));
        let bytes = self.frame().expect("a status");
        assert_eq!(bytes[0], 1);
        let mut rest = &bytes[1..];
        let key = take(&mut rest);
        let remembered = u64::from_be_bytes(rest[..8].try_into().unwrap());
        rest = &rest[8..];
        let alarm = String::from_utf8(take(&mut rest)).unwrap();
        (key, remembered, alarm)
    }

    fn frame(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).ok()?;
        let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }
}

fn parse(bytes: &[u8]) -> Answer {
    let mut rest = &bytes[1..];
    match bytes[0] {
        3 => {
            let count = u32::from_be_bytes(rest[..4].try_into().unwrap());
            rest = &rest[4..];
            let verdict = |_| {
                let kind = rest[0];
                rest = &rest[1..];
                let value = take(&mut rest);
                match kind {
                    1 => Ok(value),
                    _ => Err(String::from_utf8(value).unwrap()),
                }
            };
            Answer::Verdicts((0..count).map(verdict).collect())
        }
        4 => Answer::Stale(u64::from_be_bytes(rest.try_into().unwrap())),
        5 => Answer::Refused(String::from_utf8(take(&mut rest)).unwrap()),
        kind => panic!("an answer of kind {kind}"),
    }
}

fn take(rest: &mut &[u8]) -> Vec<u8> {
    let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
    let taken = rest[4..4 + length].to_vec();
    *rest = &rest[4 + length..];
    taken
}

/// `MTH` of RFC 6962, section 2.1.
pub(super) fn root(leaves: &[Vec<u8>]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => leaf_hash(leaf),
        leaves => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            Sha256::new_with_prefix([1])
                .chain_update(root(left))
                .chain_update(root(right))
                .finalize()
                .into()
        }
    }
}

/// `PATH(m, D[n])` of section 2.1.1.
fn path(at: usize, leaves: &[Vec<u8>]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let middle = split(leaves.len());
    let (left, right) = leaves.split_at(middle);
    let (mut path, other) = match at < middle {
        true => (path(at, left), root(right)),
        false => (path(at - middle, right), root(left)),
    };
    path.push(other);
    path
}

/// `SUBPROOF(m, D[n], b)` of section 2.1.2.
fn subproof(size: usize, leaves: &[Vec<u8>], is_whole: bool) -> Vec<Hash> {
    if size == leaves.len() {
        return match is_whole {
            true => Vec::new(),
            false => vec![root(leaves)],
        };
    }
    let middle = split(leaves.len());
    let (left, right) = leaves.split_at(middle);
    let (mut proof, other) = match size <= middle {
        true => (subproof(size, left, is_whole), root(right)),
        false => (subproof(size - middle, right, false), root(left)),
    };
    proof.push(other);
    proof
}

/// The largest power of two below `length`.
fn split(length: usize) -> usize {
    length.next_power_of_two() / 2
}

/// The whole certificate.
pub(super) fn certificate(bytes: &[u8], signature: &[u8]) -> ssh_key::Certificate {
    let whole = [bytes, &string(signature)].concat();
    ssh_key::Certificate::from_bytes(&whole).unwrap()
}

/// A key that the signer does not have.
pub(super) fn stranger() -> PrivateKey {
    new_key()
}
