//! Names that must be unique among sections of one kind.

use std::collections::HashSet;

use toml::Spanned;

use super::error::Problem;

/// Refuses a value that an earlier section has. `section` is `issuer`, `key` is `name`.
pub(super) fn unique<'a>(
    section: &str,
    key: &str,
    values: impl Iterator<Item = &'a Spanned<String>>,
) -> Result<(), Problem> {
    let mut seen = HashSet::new();
    for value in values {
        if !seen.insert(value.get_ref()) {
            let message = format!(
                "{section} {key} {:?} is taken by an earlier [[{section}]]: each has its own",
                value.get_ref()
            );
            return Err(Problem::new(value.span(), message));
        }
    }
    Ok(())
}

/// True for 1 to 64 letters, digits, `-`, `_` or `.`.
pub(super) fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_plain)
}
