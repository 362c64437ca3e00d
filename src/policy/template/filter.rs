//! Filters of claims in templates: `{claims.email | local_part}`.
//!
//! A filter takes a part of a value or writes it in another way. What comes out is checked as any
//! other value: no filter makes an unfit value fit.

use std::borrow::Cow;

/// Filters of one hole at most.
pub(super) const LIMIT: usize = 4;

/// A filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Text before the `@` of an e-mail address or a user principal name.
    LocalPart,
    /// ASCII letters in lower case.
    Lower,
}

impl Filter {
    const ALL: [Self; 2] = [Self::LocalPart, Self::Lower];

    fn name(self) -> &'static str {
        match self {
            Self::LocalPart => "local_part",
            Self::Lower => "lower",
        }
    }

    /// The filter of that name.
    ///
    /// # Errors
    /// Returns the end of a sentence for the policy's author.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|filter| filter.name() == name);
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("{name:?} is not a filter; known are {names}")
        })
    }

    /// Applies the filter.
    ///
    /// # Errors
    /// Returns the end of a sentence about the value, which is not repeated.
    pub(super) fn apply(self, value: Cow<'_, str>) -> Result<Cow<'_, str>, &'static str> {
        match self {
            Self::Lower => Ok(value.to_ascii_lowercase().into()),
            Self::LocalPart => match value.split_once('@') {
                Some((local, domain))
                    if !local.is_empty() && !domain.is_empty() && !domain.contains('@') =>
                {
                    Ok(local.to_owned().into())
                }
                _ => Err("is not an address: one `@` with text on both sides"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_local_part_is_before_the_only_at() {
        for (value, expected) in [
            ("alice@example.com", Some("alice")),
            ("Alice@example.com", Some("Alice")),
            ("alice,root@x", Some("alice,root")),
            ("alice", None),
            ("@example.com", None),
            ("alice@", None),
            ("alice@a@b", None),
            ("", None),
            ("@", None),
        ] {
            let outcome = Filter::LocalPart.apply(value.into()).ok();
            assert_eq!(outcome.as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn lower_leaves_letters_beyond_ascii_as_they_are() {
        for (value, expected) in [
            ("Alice", "alice"),
            ("ALICE.B", "alice.b"),
            ("\u{212a}ate", "\u{212a}ate"),
            ("\u{130}x", "\u{130}x"),
        ] {
            assert_eq!(Filter::Lower.apply(value.into()).unwrap(), expected);
        }
    }
}
