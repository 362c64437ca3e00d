//! Conditional requests. Pure.

use http::{HeaderMap, header::IF_NONE_MATCH};

/// Tells whether `If-None-Match` (RFC 9110 section 13.1.2) names this tag.
pub(crate) fn has(asked: &HeaderMap, tag: &str) -> bool {
    let values = asked.get_all(IF_NONE_MATCH).iter();
    let mut tags = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(',').map(str::trim));
    tags.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}
