//! A ledger in memory, a daemon over it that can lie, and the rules of its signer, for unit tests.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use ssh_key::Algorithm;
use time::OffsetDateTime;

use super::{
    ceiling::Ceiling,
    message::{Item, Request},
    verify::{Head, Rules, Seen},
};
use crate::{
    ca::{Ca, Draft, KeyState, key::Key},
    identity::{Identity, KeyHolder},
    ledger::{
        Event, EventKind,
        checkpoint::Signer,
        event::{Actor, Issued, RequestDetails},
        evidence::Recorded,
        tree::{Frontier, Hash, Node, Plan, leaf_hash, node_hash},
    },
    policy::{Grant, limits::Logins},
    ssh::options::Extension,
};

/// The time of every pass.
pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW).unwrap()
}

/// A daemon's ledger, and the keys.
pub(crate) struct World {
    /// As the daemon has it.
    pub(crate) ca: Ca,
    /// The same key, as the signer has it.
    pub(crate) key: Arc<Key>,
    pub(crate) ledger: Signer,
    pub(crate) leaves: Vec<Vec<u8>>,
    /// The to-be-signed bytes of each pass.
    pub(crate) bytes: BTreeMap<u64, Vec<u8>>,
}

pub(crate) fn ledger_key(origin: &str, seed: u8) -> Signer {
    Signer::new(origin, &[seed; 32]).unwrap()
}

pub(crate) fn logins(words: &[&str]) -> Logins {
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    Logins::parse(&words).unwrap()
}

pub(crate) fn ceiling(words: &[&str]) -> Ceiling {
    Ceiling {
        logins: logins(words),
        ttl: Duration::from_secs(3600),
        extensions: [Extension::Pty].into(),
        force_command: false,
        source: false,
    }
}

impl World {
    /// A ledger with one event.
    pub(crate) fn new() -> Self {
        let [ours, theirs] = Key::twins();
        let mut world = Self {
            ca: Ca::new(vec![(ours, KeyState::Active)]).unwrap(),
            key: Arc::new(theirs),
            ledger: ledger_key("daypass.example.com/ledger", 7),
            leaves: Vec::new(),
            bytes: BTreeMap::new(),
        };
        world.push(EventKind::Skipped);
        world
    }

    pub(crate) fn rules(&self) -> Rules {
        Rules {
            ca: self.key.public().clone(),
            others: Vec::new(),
            ledger: self.ledger.verifier(),
            server: "daypass.example.com".to_owned(),
            administrators: Default::default(),
            ceilings: vec![ceiling(&["alice", "u-*"])],
            host_ceilings: Vec::new(),
        }
    }

    /// Appends an event, and returns its index.
    pub(crate) fn push(&mut self, what: EventKind) -> u64 {
        let index = self.leaves.len() as u64;
        let at = now();
        self.leaves
            .push(Event { index, at, what }.to_bytes().unwrap());
        index
    }

    /// Drafts a pass.
    pub(crate) fn draft(&self, grant: &Grant, at: OffsetDateTime) -> Draft {
        let identity = Identity::sample(serde_json::json!({ "sub": "alice" }));
        let subject = Key::sample(Algorithm::Ed25519);
        let holder = KeyHolder::sample(identity, subject.public());
        Draft::new(&holder, grant, &self.ca, [1; 32], at).unwrap()
    }

    /// Records a pass as a daemon does, with what `change` makes of the event, and returns its
    /// index.
    pub(crate) fn issue(
        &mut self,
        grant: &Grant,
        at: OffsetDateTime,
        change: impl FnOnce(&mut Issued),
    ) -> u64 {
        let index = self.leaves.len() as u64;
        let draft = self.draft(grant, at);
        let bytes = draft.to_be_signed(index);
        let mut issued = self.event(grant, &draft, &bytes);
        change(&mut issued);
        self.push(EventKind::Issued(Box::new(issued)));
        self.bytes.insert(index, bytes);
        index
    }

    /// Records these bytes as those of a pass with this grant.
    pub(crate) fn issue_bytes(&mut self, grant: &Grant, bytes: impl FnOnce(u64) -> Vec<u8>) -> u64 {
        let index = self.leaves.len() as u64;
        let bytes = bytes(index);
        let issued = self.event(grant, &self.draft(grant, now()), &bytes);
        self.push(EventKind::Issued(Box::new(issued)));
        self.bytes.insert(index, bytes);
        index
    }

    fn event(&self, grant: &Grant, draft: &Draft, bytes: &[u8]) -> Issued {
        Issued {
            who: Actor {
                issuer: "https://id.example.com".to_owned(),
                subject: "alice".to_owned(),
                label: "alice".to_owned(),
                claims: serde_json::json!({}).into(),
            },
            ask: RequestDetails {
                role: "shell".to_owned(),
                host: None,
                params: BTreeMap::new(),
                reason: None,
                ttl_seconds: None,
                source_addresses: Vec::new(),
                extensions: Vec::new(),
                caller: None,
                request: None,
                emergency: false,
            },
            key: draft.key_fingerprint().to_owned(),
            binding: "nonce".to_owned(),
            key_id: draft.key_id().to_owned(),
            permissions: grant.permissions().clone(),
            valid_after: draft.valid_after(),
            valid_before: draft.valid_before(),
            policy: "ab".repeat(32),
            ca: draft.ca_fingerprint().to_owned(),
            to_be_signed: base16ct::lower::encode_string(&Sha256::digest(bytes)),
            emergency_proof: None,
            jump: None,
            on_behalf: None,
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    pub(crate) fn head_at(&self, size: u64) -> Head {
        let mut frontier = Frontier::default();
        for leaf in &self.leaves[..size as usize] {
            frontier.push(leaf_hash(leaf));
        }
        let root = frontier.root();
        Head { size, root }
    }

    pub(crate) fn seen_at(&self, size: u64) -> Seen {
        let head = self.head_at(size);
        Seen { head, floor: 0 }
    }

    pub(crate) fn note_at(&self, size: u64) -> String {
        self.ledger.sign(size, self.head_at(size).root)
    }

    fn node(&self, node: Node) -> Option<Hash> {
        let first = (node.index << node.level) as usize;
        if node.level == 0 {
            return self.leaves.get(first).map(|leaf| leaf_hash(leaf));
        }
        let half = |index| {
            let level = node.level - 1;
            self.node(Node { level, index })
        };
        let (left, right) = (half(node.index * 2)?, half(node.index * 2 + 1)?);
        Some(node_hash(&left, &right))
    }

    pub(crate) fn inclusion(&self, index: u64, size: u64) -> Vec<Hash> {
        let plan = Plan::inclusion(index, size).unwrap();
        plan.proof(|node| self.node(node)).unwrap()
    }

    pub(crate) fn consistency(&self, old: u64, new: u64) -> Vec<Hash> {
        let plan = Plan::consistency(old, new).unwrap();
        plan.proof(|node| self.node(node)).unwrap()
    }

    /// The item of a recorded pass, proven in the whole ledger.
    pub(crate) fn item(&self, index: u64) -> Item {
        Item::Pass {
            bytes: self.bytes[&index].clone(),
            recorded: Recorded {
                index,
                leaf: self.leaves[index as usize].clone(),
                inclusion: self.inclusion(index, self.size()),
            },
        }
    }

    /// A request for these passes, from a signer that remembers `known` events.
    pub(crate) fn request(&self, known: u64, indices: &[u64]) -> Request {
        Request {
            known,
            checkpoint: self.note_at(self.size()),
            consistency: self.consistency(known, self.size()),
            items: indices.iter().map(|index| self.item(*index)).collect(),
        }
    }
}
