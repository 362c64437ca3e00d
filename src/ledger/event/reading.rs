//! Reads a leaf. Pure.
//!
//! Three readers see the same. The first takes passes and denials exactly as a daemon writes them,
//! and is fast. The second takes leaves that begin with index, time and kind, and reads the rest as
//! the members of that kind, in one pass. A leaf that neither takes is left to the reader in any
//! order, and so is the error.

mod as_written;
mod cursor;

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, Error as _, MapAccess, Visitor,
        value::{BorrowedStrDeserializer, MapAccessDeserializer, StringDeserializer},
    },
};
use time::OffsetDateTime;

use super::{Error, Event, EventKind};
pub(super) use as_written::as_written;

impl Event {
    /// Parses a leaf.
    ///
    /// # Errors
    /// Returns [`Error::NotPrintable`] if a byte is not printable ASCII, and [`Error::Json`] for
    /// any other form or an unknown kind of event.
    pub fn parse(leaf: &[u8]) -> Result<Self, Error> {
        let is_printable = |byte: &u8| matches!(byte, b' '..=b'~');
        // Without an early end, so that many bytes are compared at once.
        let is_whole = |part: &[u8]| part.iter().fold(true, |all, byte| all & is_printable(byte));
        if leaf.chunks(256).all(is_whole) {
            let text = str::from_utf8(leaf).ok();
            return match text.and_then(as_written) {
                Some(event) => Ok(event),
                None => Ok(Self::read(leaf)?),
            };
        }
        let first = leaf.iter().position(|byte| !is_printable(byte));
        Err(Error::NotPrintable(first.unwrap_or_default()))
    }

    /// Reads most kinds in one pass. The derived reader buffers the whole leaf before it knows the
    /// kind, which takes longer.
    pub(super) fn read(leaf: &[u8]) -> Result<Self, serde_json::Error> {
        match in_order(leaf) {
            Some(event) => Ok(event),
            None => in_any_order(leaf),
        }
    }
}

/// The event of this leaf; none if it must be read in any order.
pub(super) fn in_order(leaf: &[u8]) -> Option<Event> {
    let mut json = serde_json::Deserializer::from_slice(leaf);
    let event = json.deserialize_map(InOrder).ok()?;
    json.end().ok()?;
    Some(event)
}

/// Reads index, time and kind, then the members of that kind. The kind must be a text: the derived
/// reader alone would take its number too.
fn in_any_order(leaf: &[u8]) -> Result<Event, serde_json::Error> {
    let Envelope { index, at, kind } = serde_json::from_slice(leaf)?;
    let what = match &*kind {
        "issued" => EventKind::Issued(serde_json::from_slice(leaf)?),
        "requested" => EventKind::Requested(serde_json::from_slice(leaf)?),
        "approved" => EventKind::Approved(serde_json::from_slice(leaf)?),
        "refused" => EventKind::Refused(serde_json::from_slice(leaf)?),
        "cancelled" => EventKind::Cancelled(serde_json::from_slice(leaf)?),
        "reviewed" => EventKind::Reviewed(serde_json::from_slice(leaf)?),
        // Every other kind: rare, or small.
        _ => return serde_json::from_slice(leaf),
    };
    Ok(Event { index, at, what })
}

/// The members that every event has.
#[derive(Deserialize)]
struct Envelope<'a> {
    index: u64,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Event;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let index: u64 = value(&mut map, "index")?;
        let At(at) = value(&mut map, "at")?;
        let Text(kind) = value(&mut map, "type")?;
        let what = match &*kind {
            "issued" => EventKind::Issued(members(map)?),
            "requested" => EventKind::Requested(members(map)?),
            "approved" => EventKind::Approved(members(map)?),
            "refused" => EventKind::Refused(members(map)?),
            "cancelled" => EventKind::Cancelled(members(map)?),
            "reviewed" => EventKind::Reviewed(members(map)?),
            // Every other kind: rare, or small.
            _ => return Err(A::Error::custom("another kind")),
        };
        Ok(Event { index, at, what })
    }
}

/// The value of the next member, which must have this name.
fn value<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    map: &mut A,
    name: &'static str,
) -> Result<T, A::Error> {
    match map.next_key::<Text<'de>>()? {
        Some(Text(key)) if key == name => map.next_value(),
        Some(_) | None => Err(A::Error::missing_field(name)),
    }
}

fn members<'de, A: MapAccess<'de>, T: DeserializeOwned>(map: A) -> Result<Box<T>, A::Error> {
    T::deserialize(MapAccessDeserializer::new(Rest(map))).map(Box::new)
}

#[derive(Deserialize)]
struct At(#[serde(with = "time::serde::rfc3339")] OffsetDateTime);

/// A text, borrowed if it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members after the first three, which must not come again.
struct Rest<A>(A);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Rest<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        self.0.next_key_seed(Key(seed, PhantomData))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}

struct Key<'de, K>(K, PhantomData<&'de ()>);

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for Key<'de, K> {
    type Value = K::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<K::Value, D::Error> {
        let Text(key) = Text::<'de>::deserialize(deserializer)?;
        match &*key {
            "index" | "at" | "type" => Err(D::Error::custom("a member comes again")),
            _ => match key {
                Cow::Borrowed(key) => self.0.deserialize(BorrowedStrDeserializer::new(key)),
                Cow::Owned(key) => self.0.deserialize(StringDeserializer::new(key)),
            },
        }
    }
}
