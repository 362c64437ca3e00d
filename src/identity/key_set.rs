//! An issuer's key set (RFC 7517, 5). Pure.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Map, Value};

use super::{error::FetchError, jwk::Key};

/// Keys in a set at most.
const KEYS_LIMIT: usize = 100;

/// The signing keys of one issuer: never empty, no `kid` twice.
#[derive(Debug)]
pub(super) struct KeySet(pub(super) HashMap<String, Arc<Key>>);

impl KeySet {
    /// Reads a key set (RFC 7517, section 5). Ignores keys that cannot verify ID tokens.
    ///
    /// # Errors
    /// Returns [`FetchError::KeySet`] if no key is left, or two keys have the same `kid`.
    pub(super) fn from_members(members: &Map<String, Value>) -> Result<Self, FetchError> {
        let keys = members.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or(FetchError::KeySet("it has no list of keys"))?;
        if keys.len() > KEYS_LIMIT {
            return Err(FetchError::KeySet("it has more than 100 keys"));
        }
        let mut set = HashMap::new();
        for key in keys
            .iter()
            .filter_map(Value::as_object)
            .filter_map(Key::from_members)
        {
            if set.insert(key.id().to_owned(), Arc::new(key)).is_some() {
                return Err(FetchError::KeySet("two signing keys have the same kid"));
            }
        }
        if set.is_empty() {
            return Err(FetchError::KeySet("it has no usable signing key"));
        }
        Ok(Self(set))
    }
}
