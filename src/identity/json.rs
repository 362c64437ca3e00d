//! Strict JSON objects for tokens and key sets: no member twice, no deep nesting. Pure.
//!
//! serde_json keeps the last of two equal names, and other readers the first. With such a pair, a
//! caller could make one reader verify what another does not see. A name that is there twice, at
//! any level, is therefore an error.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Levels of nesting at most. Real tokens have four.
const DEPTH_LIMIT: usize = 16;

/// Reads one object that fills `bytes`. Errors name a position, never content.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { room: DEPTH_LIMIT }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(serde_json::Error::custom("it is not an object")),
    }
}

/// Reads one value with `room` levels below it.
#[derive(Clone, Copy)]
struct Strict {
    room: usize,
}

impl Strict {
    fn below<E: serde::de::Error>(self) -> Result<Self, E> {
        let room = self.room.checked_sub(1);
        room.map(|room| Self { room })
            .ok_or_else(|| E::custom("it is nested too deeply"))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number is not finite"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(below)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom("a member is there twice"));
            }
            let value = members.next_value_seed(below)?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn plain_objects_are_read_as_serde_json_reads_them() {
        let text = r#"{"a":[1,-2,0.5,true,null,"x"],"b":{"c":{}}}"#;
        let expected: Map<String, Value> = serde_json::from_str(text).unwrap();
        assert_eq!(object(text.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn everything_else_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        let just_too_deep = format!("{{\"a\":{}{}}}", "[".repeat(16), "]".repeat(16));
        let cases: [(&str, &[u8]); 13] = [
            ("a name twice", br#"{"a":1,"a":1}"#),
            ("a name twice, escaped", br#"{"sub":1,"s\u0075b":2}"#),
            ("a name twice further down", br#"{"x":[{"a":1,"a":2}]}"#),
            ("ten thousand levels", deep.as_bytes()),
            ("one level too many", just_too_deep.as_bytes()),
            ("no object", b"[1]"),
            ("a second object", b"{} {}"),
            ("rubbish behind", b"{}x"),
            ("a number beyond f64", br#"{"exp":1e400}"#),
            ("no UTF-8", b"{\"a\":\"\xff\"}"),
            ("half a surrogate pair", br#"{"a":"\ud800"}"#),
            ("a comment", b"{/**/}"),
            ("nothing", b""),
        ];
        for (case, bytes) in cases {
            assert!(object(bytes).is_err(), "{case}");
        }
    }
}
