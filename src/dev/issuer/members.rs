//! Members of JSON objects.

use serde_json::Value;

/// Sets one member of a JSON object.
pub(super) fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}
