//! Tokens whose signature was verified lately, by the SHA-256 of their bytes.
//!
//! A known token saves its parsing and the mathematics of its signature, and no decision: the
//! caller checks its claims against the settings and the clock again, asks the key cache for its
//! key again, and compares that key with the one that verified the signature.

use std::{collections::HashMap, mem, sync::Arc};

use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::{jwk::Key, token::Unverified};

/// Bytes of memory that one generation of tokens may take, as [`weight`] estimates it. There are
/// two. A token of 1 KiB takes about 6 KiB.
const GENERATION_LIMIT: usize = 8 * 1024 * 1024;

/// Bytes of an entry beside its claims, at most: hash, pointers, `kid`.
const ENTRY: usize = 512;

/// Bytes of one JSON value beside its text, at most: its place in a map and its own size.
const VALUE: usize = 128;

/// SHA-256 of a compact token.
pub(super) type TokenHash = [u8; 32];

/// A token that has been verified.
pub(super) struct Known {
    /// The parsed token.
    pub(super) token: Arc<Unverified>,
    /// Its claims that the policy may see.
    pub(super) visible: Arc<Map<String, Value>>,
    /// The key that verified its signature.
    pub(super) key: Arc<Key>,
}

impl Known {
    /// Whether this very key verified the signature. A key that was fetched again is another one,
    /// even if its bytes are the same.
    pub(super) fn is_verified_by(&self, key: &Arc<Key>) -> bool {
        Arc::ptr_eq(&self.key, key)
    }
}

/// The known tokens of one configuration, bounded. Older ones are dropped first.
#[derive(Default)]
pub(super) struct KnownTokens(Mutex<Generations>);

/// Entries of the current generation, and of the one before it. A full generation replaces the
/// older one, and a used entry moves to the current one.
#[derive(Default)]
struct Generations {
    current: HashMap<TokenHash, Arc<Known>>,
    older: HashMap<TokenHash, Arc<Known>>,
    /// Weight of the current generation.
    weight: usize,
}

impl KnownTokens {
    /// The token with this hash, if it is known.
    pub(super) fn find(&self, hash: &TokenHash) -> Option<Arc<Known>> {
        let mut generations = self.0.lock();
        if let Some(known) = generations.current.get(hash) {
            return Some(known.clone());
        }
        let known = generations.older.remove(hash)?;
        generations.insert(*hash, known.clone());
        Some(known)
    }

    /// Keeps a token whose signature was verified.
    pub(super) fn insert(&self, hash: TokenHash, known: Known) {
        self.0.lock().insert(hash, Arc::new(known));
    }

    /// Weight of all entries.
    #[cfg(test)]
    pub(super) fn weight(&self) -> usize {
        let generations = self.0.lock();
        let all = generations
            .current
            .values()
            .chain(generations.older.values());
        all.map(|known| weight(known)).sum()
    }
}

impl Generations {
    fn insert(&mut self, hash: TokenHash, known: Arc<Known>) {
        let weight = weight(&known);
        if weight > GENERATION_LIMIT {
            return;
        }
        if self.weight + weight > GENERATION_LIMIT {
            self.older = mem::take(&mut self.current);
            self.weight = 0;
        }
        if self.current.insert(hash, known).is_none() {
            self.weight += weight;
        }
    }
}

/// Memory of an entry, in bytes and rather too many.
fn weight(known: &Known) -> usize {
    ENTRY + of_members(&known.token.claims) + of_members(&known.visible)
}

fn of_members(members: &Map<String, Value>) -> usize {
    let members = members.iter();
    members
        .map(|(name, value)| VALUE + name.len() + of(value))
        .sum()
}

fn of(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => VALUE,
        Value::String(text) => VALUE + text.len(),
        Value::Array(values) => VALUE + values.iter().map(of).sum::<usize>(),
        Value::Object(members) => VALUE + of_members(members),
    }
}
