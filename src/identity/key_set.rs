//! An issuer's key set (RFC 7517, 5). Pure.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Map, Value};

use super::{algorithm::Algorithm, error::FetchError, jwk::Key};

/// Keys in a set at most.
const KEYS_LIMIT: usize = 100;

/// The signing keys of one issuer: never empty, no `kid` twice.
#[derive(Debug)]
pub(super) struct KeySet {
    by_id: HashMap<String, Arc<Key>>,
    /// The only key, for tokens that name none.
    only: Option<Arc<Key>>,
}

/// The rules for one issuer's keys.
#[derive(Clone, Debug)]
pub(super) struct KeyRules {
    /// The configured algorithms.
    pub(super) algorithms: Vec<Algorithm>,
    /// Whether a single key needs no `kid`.
    pub(super) key_without_id: bool,
}

impl KeySet {
    /// Reads a key set (RFC 7517, section 5). Ignores keys that cannot verify ID tokens.
    ///
    /// # Errors
    /// Returns [`FetchError::KeySet`] if no key is left, or two keys have the same `kid`.
    pub(super) fn from_members(
        members: &Map<String, Value>,
        rules: &KeyRules,
    ) -> Result<Self, FetchError> {
        let keys = members.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or(FetchError::KeySet("it has no list of keys"))?;
        if keys.len() > KEYS_LIMIT {
            return Err(FetchError::KeySet("it has more than 100 keys"));
        }
        let usable: Vec<Arc<Key>> = keys
            .iter()
            .filter_map(Value::as_object)
            .filter_map(|key| Key::from_members(key, &rules.algorithms))
            .filter(|key| rules.key_without_id || key.id().is_some())
            .map(Arc::new)
            .collect();
        let mut by_id = HashMap::new();
        for key in &usable {
            if let Some(id) = key.id()
                && by_id.insert(id.to_owned(), Arc::clone(key)).is_some()
            {
                return Err(FetchError::KeySet("two signing keys have the same kid"));
            }
        }
        let only = match usable.as_slice() {
            [] => {
                return Err(FetchError::KeySet(
                    "it has no usable signing key for the configured algorithms",
                ));
            }
            [only] if rules.key_without_id => Some(Arc::clone(only)),
            _ => None,
        };
        Ok(Self { by_id, only })
    }

    /// The key with this `kid`, or the only key for a token without one.
    pub(super) fn find(&self, key_id: Option<&str>) -> Option<&Arc<Key>> {
        match key_id {
            Some(key_id) => self.by_id.get(key_id),
            None => self.only.as_ref(),
        }
    }

    /// Number of usable keys.
    pub(super) fn len(&self) -> usize {
        self.by_id.len().max(usize::from(self.only.is_some()))
    }
}
