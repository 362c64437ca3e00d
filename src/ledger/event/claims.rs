//! The claims of an identity, as an event holds them. Pure.

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::unix_seconds::UnixSeconds;

/// The claims that were evaluated. In JSON they are the bare value.
///
/// A reader of a whole ledger needs one claim of each event, the token's `iat`. So claims that were
/// read from an event are kept as their text, and parsed when they are asked for.
#[derive(Clone, Debug)]
pub struct Claims(Form);

#[derive(Clone, Debug)]
enum Form {
    Value(Value),
    /// Members of an identity's claims, which its events and the cache of tokens share.
    Shared(Arc<Map<String, Value>>),
    Text {
        /// An object that parses.
        json: Box<str>,
        /// Its member `iat`, if that is a whole number.
        iat: Option<u64>,
        value: OnceLock<Value>,
    },
}

impl Claims {
    /// Claims of an object's text, which must parse, and its member `iat` if that is a whole
    /// number.
    pub(super) fn as_written(json: &str, iat: Option<u64>) -> Self {
        Self(Form::Text {
            json: json.into(),
            iat,
            value: OnceLock::new(),
        })
    }

    /// The claims, if they are an object.
    pub(crate) fn members(&self) -> Option<&Map<String, Value>> {
        match self.read() {
            Read::Object(members) => Some(members),
            Read::Other(_) => None,
        }
    }

    fn read(&self) -> Read<'_> {
        let value = match &self.0 {
            Form::Shared(members) => return Read::Object(members),
            Form::Value(value) => value,
            Form::Text { json, value, .. } => value.get_or_init(|| parsed(json)),
        };
        match value {
            Value::Object(members) => Read::Object(members),
            other => Read::Other(other),
        }
    }

    /// The claims as a value.
    pub(crate) fn into_value(self) -> Value {
        match self.0 {
            Form::Value(value) => value,
            Form::Shared(members) => Value::Object(Arc::unwrap_or_clone(members)),
            Form::Text { json, value, .. } => value.into_inner().unwrap_or_else(|| parsed(&json)),
        }
    }

    /// The token's `iat` (a JSON number, RFC 7519 section 2).
    pub(in crate::ledger) fn issued_at(&self) -> Option<UnixSeconds> {
        let value = match &self.0 {
            Form::Text { iat, .. } => return iat.map(UnixSeconds),
            Form::Value(_) | Form::Shared(_) => self.members()?.get("iat")?,
        };
        let seconds = value.as_u64().or_else(|| {
            let seconds = value
                .as_f64()
                .filter(|seconds| (0.0..1e12).contains(seconds))?;
            Some(seconds as u64)
        });
        seconds.map(UnixSeconds)
    }
}

/// Claims of any form, to be compared and written.
#[derive(PartialEq, Serialize)]
#[serde(untagged)]
enum Read<'a> {
    Object(&'a Map<String, Value>),
    Other(&'a Value),
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}

impl From<Value> for Claims {
    fn from(value: Value) -> Self {
        Self(Form::Value(value))
    }
}

impl From<Arc<Map<String, Value>>> for Claims {
    fn from(members: Arc<Map<String, Value>>) -> Self {
        Self(Form::Shared(members))
    }
}

impl PartialEq for Claims {
    fn eq(&self, other: &Self) -> bool {
        self.read() == other.read()
    }
}

impl Serialize for Claims {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.read().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;
    use crate::ledger::event::{Event, EventKind, reading, tests::sample_leaves};

    /// A pass with these claims, which is read as written or not.
    fn read(claims: &str) -> Option<(Claims, bool)> {
        let leaves = sample_leaves();
        let leaf = leaves.iter().map(|leaf| String::from_utf8_lossy(leaf));
        let mut leaf = leaf.filter(|leaf| leaf.contains("\"type\":\"issued\""));
        let leaf = leaf.next().unwrap().into_owned();
        let (start, rest) = leaf.split_once("\"claims\":").unwrap();
        let (_, end) = rest.split_once(r#"},"ask""#).unwrap();
        let leaf = format!(r#"{start}"claims":{claims}}},"ask"{end}"#);
        let claims = |event: Event| match event.what {
            EventKind::Issued(issued) => issued.who.claims,
            _ => unreachable!(),
        };
        let slow = Event::read(leaf.as_bytes()).ok().map(claims)?;
        let fast = reading::as_written(&leaf).map(claims);
        let is_fast = fast.is_some();
        let fast = fast.unwrap_or_else(|| slow.clone());
        assert_eq!(fast, slow, "{leaf}");
        assert_eq!(fast.issued_at(), slow.issued_at(), "{leaf}");
        Some((fast, is_fast))
    }

    #[test]
    fn the_time_of_a_token_is_the_same_in_every_form() {
        for (claims, iat, is_fast) in [
            ("{}", None, true),
            (r#"{"iat":7}"#, Some(7), true),
            (r#"{"iat":7,"iat":8}"#, Some(8), true),
            (r#"{"iat":7,"iat":"8"}"#, None, true),
            (r#"{"a":{"iat":7}}"#, None, true),
            (r#"{"a":[{"iat":7}],"iat":9}"#, Some(9), true),
            (r#"{"iat":"7"}"#, None, true),
            (r#"{"iat":null}"#, None, true),
            (r#"{"iat":true}"#, None, true),
            (r#"{"iat":7.9}"#, Some(7), false),
            (r#"{"iat":7e2}"#, Some(700), false),
            (r#"{"iat":-7}"#, None, false),
            (r#"{"\u0069at":7}"#, Some(7), false),
            (r#"{"iat":18446744073709551616}"#, None, false),
            (r#"{ "iat":7}"#, Some(7), false),
            (r#"{"$serde_json::private::RawValue":"7"}"#, None, false),
            ("[7]", None, false),
            ("null", None, false),
            ("7", None, false),
        ] {
            let (read, as_written) = read(claims).unwrap();
            assert_eq!(read.issued_at(), iat.map(UnixSeconds), "{claims}");
            assert_eq!(as_written, is_fast, "{claims}");
        }
    }

    #[test]
    fn shared_claims_are_written_and_compared_like_others() {
        for json in [r#"{"iat":7,"sub":"alice"}"#, "{}", r#"{"iat":7.5}"#] {
            let value: Value = serde_json::from_str(json).unwrap();
            let shared = Claims::from(Arc::new(value.as_object().unwrap().clone()));
            let plain = Claims::from(value.clone());
            assert_eq!(shared, plain);
            assert_eq!(shared, Claims::as_written(json, None));
            assert_ne!(shared, Claims::from(Value::Null));
            assert_eq!(serde_json::to_string(&shared).unwrap(), json);
            assert_eq!(shared.issued_at(), plain.issued_at(), "{json}");
            assert_eq!(shared.into_value(), value);
        }
    }

    #[test]
    fn claims_that_do_not_parse_are_refused_by_every_reader() {
        let deep =
            |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        for claims in [
            "",
            "{",
            "{]",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{,"a":1}"#,
            r#"{"a":01}"#,
            r#"{"a":1 2}"#,
            r#"{"a":tru}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":1e999}"#,
            &deep(200),
        ] {
            assert!(read(claims).is_none(), "{claims}");
        }
        assert!(read(&deep(10)).is_some_and(|(_, is_fast)| is_fast));
        assert!(read(&deep(60)).is_some_and(|(_, is_fast)| !is_fast));
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            any::<i64>().prop_map(|number| number.to_string()),
            any::<f64>().prop_map(|number| format!("{number:?}")),
            "[ -~]{0,8}".prop_map(|text| format!("\"{text}\"")),
            "[ -~]{0,4}",
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let name = prop_oneof![
                Just("iat".to_owned()),
                Just("$x".to_owned()),
                "[ -~]{0,3}",
                "[a-z]{0,3}"
            ];
            prop_oneof![
                collection::vec(inner.clone(), 0..4).prop_map(|all| format!("[{}]", all.join(","))),
                collection::vec((name, inner), 0..4).prop_map(|all| {
                    let member = |(name, value)| format!("\"{name}\":{value}");
                    let all: Vec<String> = all.into_iter().map(member).collect();
                    format!("{{{}}}", all.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn claims_of_any_form_are_read_alike(claims in json()) {
            read(&claims);
        }
    }
}
