//! The `[[host]]` blocks of the policy file as written. Decides nothing.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use toml::Spanned;

use crate::reference::{Kind, keys};

keys! {
    /// Machines that join as known hosts with their own ID token, without a join code. See `daypass
    /// help hosts`.
    struct Host {
        /// the condition, over `claims`, `issuer` and `subject` of the machine's token, which must
        /// be bound to its host key.
        allow: Spanned<String>,
        /// the name that such a machine may have, such as `"{claims.instance}.internal"`, or a list
        /// of names. It joins with one of them.
        names: Spanned<Names>,
        /// the host group that it joins.
        group: Spanned<String>,
    }
}

/// `names = "web-1"` or a list.
pub(super) enum Names {
    /// One name.
    One(String),
    /// A list, of which each name has its line.
    List(Vec<Spanned<String>>),
}

impl Kind for Names {
    const KIND: &str = "text or list";
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's untagged enums lose the lines.
        deserializer.deserialize_any(OneOrList)
    }
}

struct OneOrList;

impl<'de> Visitor<'de> for OneOrList {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name such as \"{claims.instance}.internal\", or a list of them")
    }

    fn visit_str<E>(self, name: &str) -> Result<Names, E> {
        Ok(Names::One(name.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, names: A) -> Result<Names, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(names)).map(Names::List)
    }
}
