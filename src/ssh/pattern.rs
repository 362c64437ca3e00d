//! Host-name patterns, as in `ssh_config(5)`, section PATTERNS: `*` stands for any characters, `?`
//! for one. Pure.

/// Whether `name` matches `pattern` as a whole. Ignores ASCII case.
///
/// The time is bounded by the product of both lengths, for any number of stars: only the last star
/// is tried again.
///
/// ```
/// use daypass::ssh::pattern::matches;
/// assert!(matches("web-*", "WEB-1"));
/// assert!(!matches("web-?", "web-12"));
/// ```
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut here) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(here) {
        match (pattern.get(at), star) {
            (Some(b'*'), _) => {
                star = Some((at, here));
                at += 1;
            }
            (Some(wanted), _) if *wanted == b'?' || wanted.eq_ignore_ascii_case(byte) => {
                at += 1;
                here += 1;
            }
            (_, Some((last, taken))) => {
                star = Some((last, taken + 1));
                (at, here) = (last + 1, taken + 1);
            }
            (_, None) => return false,
        }
    }
    pattern.iter().skip(at).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names_as_in_ssh() {
        for (pattern, name, expected) in [
            ("web-*", "web-1", true),
            ("web-*", "WEB-1", true),
            ("Web-*", "web-", true),
            ("web-*", "xweb-1", false),
            ("web-?", "web-1", true),
            ("web-?", "web-12", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("?", "", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_end_soon() {
        let pattern = "*a".repeat(2000);
        assert!(!matches(&pattern, &"a".repeat(1999)));
        assert!(matches(&pattern, &"a".repeat(2000)));
    }
}
