//! The grammar of host names: the principals of host certificates. Pure.
//!
//! `ssh` compares the name that its user typed, in lower case, with each principal. So a name is in
//! lower case, and is no pattern: an exact host name or IP address.

use std::net::IpAddr;

/// The longest host name (RFC 1035 section 2.3.4, as text).
pub(crate) const MAX_LENGTH: usize = 253;

/// Whether `text` is a host name in lower case, or an IP address as it is usually written.
///
/// Labels hold letters, digits, `-` and `_`, and neither begin nor end with `-`.
pub(crate) fn is_host_name(text: &str) -> bool {
    if let Ok(address) = text.parse::<IpAddr>() {
        return address.to_string() == text;
    }
    text.len() <= MAX_LENGTH && text.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let is_valid =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    (1..=63).contains(&label.len())
        && label.bytes().all(is_valid)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Whether a pattern of names says something of them. One of wildcards alone matches every host in
/// the world, of which no server says anything.
pub(crate) fn is_of_some_names(pattern: &str) -> bool {
    pattern.contains(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_names_in_lower_case_are_host_names() {
        let long_label = "a".repeat(64);
        let long = ["a".repeat(63).as_str(); 4].join(".");
        for (case, text, expected) in [
            ("short", "web-1", true),
            ("qualified", "web-1.eu.example.com", true),
            ("underscore", "web_1", true),
            ("IPv4", "10.0.0.7", true),
            ("IPv6", "2001:db8::1", true),
            ("IPv6, spelled otherwise", "2001:DB8::1", false),
            ("IPv6, not shortened", "2001:db8:0::1", false),
            ("empty", "", false),
            ("upper case", "Web-1", false),
            ("pattern", "web-*", false),
            ("one character", "web-?", false),
            ("negated", "!web-1", false),
            ("list", "web-1,web-2", false),
            ("newline", "web-1\nevil", false),
            ("NUL", "web-1\0", false),
            ("space", "web 1", false),
            ("port", "web-1:22", false),
            ("bracket", "[web-1]:22", false),
            ("final dot", "web-1.", false),
            ("two dots", "web..1", false),
            ("leading dash", "-oProxyCommand=x", false),
            ("trailing dash", "web-", false),
            ("marker", "@cert-authority", false),
            ("hash", "#web", false),
            ("hashed", "|1|abc", false),
            ("slash", "host/web", false),
            ("cyrillic look-alike", "w\u{435}b", false),
            ("long label", &long_label, false),
            ("long", &long, false),
        ] {
            assert_eq!(is_host_name(text), expected, "{case}");
        }
    }
}
