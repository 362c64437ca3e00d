//! Keys of a file that administrators write. Each is declared once, with its type and what the
//! manual says of it: [`keys!`] makes of that both the struct that serde reads and the entries of
//! the manual.

use std::{collections::BTreeMap, path::PathBuf};

use toml::Spanned;

/// A section of the file in the manual.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section {
    /// As it is written, such as `[limits]`.
    pub heading: &'static str,
    /// Its purpose.
    pub about: &'static str,
    /// Its keys. None if the administrator chooses their names.
    pub keys: &'static [Key],
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Its name.
    pub name: &'static str,
    /// The kind of its value.
    pub kind: &'static str,
    /// True if the file does not load without it.
    pub is_required: bool,
    /// Its meaning, bounds and default.
    pub about: &'static str,
}

/// A struct that [`keys!`] made.
pub(crate) trait Documented {
    /// Its purpose.
    const ABOUT: &str;
    /// Its keys.
    const KEYS: &[Key];
}

impl Section {
    /// The section that this type reads.
    pub(crate) const fn of<T: Documented>(heading: &'static str) -> Self {
        Self {
            heading,
            about: T::ABOUT,
            keys: T::KEYS,
        }
    }
}

/// The kind of a value in the words of TOML.
pub(crate) trait Kind {
    /// The kind of one value.
    const KIND: &str;
    /// The kind of a list of them.
    const LIST: &str = "list";
    /// False if the value may be left out.
    const IS_REQUIRED: bool = true;
}

impl Kind for String {
    const KIND: &str = "text";
    const LIST: &str = "list of texts";
}

impl Kind for PathBuf {
    const KIND: &str = "path";
}

impl Kind for bool {
    const KIND: &str = "true or false";
}

impl Kind for u16 {
    const KIND: &str = "number";
    const LIST: &str = "list of numbers";
}

impl Kind for u64 {
    const KIND: &str = "number";
}

impl Kind for i64 {
    const KIND: &str = "number";
}

impl<K, V> Kind for BTreeMap<K, V> {
    const KIND: &str = "table";
}

impl Kind for serde_json::Map<String, serde_json::Value> {
    const KIND: &str = "table";
}

impl<T: Kind> Kind for Spanned<T> {
    const KIND: &str = T::KIND;
    const LIST: &str = T::LIST;
    const IS_REQUIRED: bool = T::IS_REQUIRED;
}

impl<T: Kind> Kind for Option<T> {
    const KIND: &str = T::KIND;
    const IS_REQUIRED: bool = false;
}

impl<T: Kind> Kind for Vec<T> {
    const KIND: &str = T::LIST;
}

/// Declares structs of keys: serde's reader of each, which refuses unknown keys, and its entries in
/// the manual.
///
/// `field as "key": Type` is for a key that is no name in Rust.
macro_rules! keys {
    ($(
        $(#[doc = $about:literal])*
        $(#[derive($derive:ident)])?
        struct $name:ident {
            $(
                $(#[doc = $doc:literal])*
                $(#[serde($($serde:tt)*)])?
                $field:ident $(as $key:literal)?: $type:ty,
            )*
        }
    )*) => { $(
        $(#[doc = $about])*
        #[derive(serde::Deserialize)]
        $(#[derive($derive)])?
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $(
                $(#[doc = $doc])*
                $(#[serde($($serde)*)])?
                $(#[serde(rename = $key)])?
                pub(super) $field: $type,
            )*
        }

        impl $crate::reference::Documented for $name {
            const ABOUT: &str = concat!($($about),*);
            const KEYS: &[$crate::reference::Key] = &[$(
                $crate::reference::Key {
                    name: $crate::reference::keys!(@name $field $($key)?),
                    kind: <$type as $crate::reference::Kind>::KIND,
                    is_required: <$type as $crate::reference::Kind>::IS_REQUIRED
                        && stringify!($($($serde)*)?).is_empty(),
                    about: concat!($($doc),*),
                },
            )*];
        }

        impl $crate::reference::Kind for $name {
            const KIND: &str = "table";
            const LIST: &str = "list of tables";
        }
    )* };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $key:literal) => { $key };
}

/// Declares types that are written as one of a few words.
macro_rules! word {
    ($($name:ty),* $(,)?) => { $(
        impl $crate::reference::Kind for $name {
            const KIND: &str = "text";
            const LIST: &str = "list of texts";
        }
    )* };
}

pub(crate) use {keys, word};
