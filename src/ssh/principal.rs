//! The grammar of principals: what sshd compares with the login name.
//!
//! A principal is `login` or `login@group`. Logins never hold an `@`, so no claim can pretend to be
//! of a host group. What is outside the grammar is refused, never rewritten.

/// The most characters a login or a group may have.
pub(crate) const MAX_NAME: usize = 64;

/// The most host groups of a host that reports logins. With the longest names they leave room for a
/// report's logins.
pub(crate) const MAX_GROUPS: usize = 64;

/// The most principals one pass may carry (sshd refuses 257).
pub(crate) const MAX_COUNT: usize = 256;

/// Whether `text` is a login name: letters, digits, `.`, `_`, `+` and `-`, not opening with `-`,
/// `+` or `.`.
///
/// ASCII only. Separators (`,`, space), quotes, patterns (`*`, `?`), comments (`#`) and control
/// characters have each caused an incident (CVE-2026-35414, GHSA-59w7-v8rr-pr4p).
pub(crate) fn is_login(text: &str) -> bool {
    let opens_well = text
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_');
    opens_well
        && text.len() <= MAX_NAME
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte))
}

/// Whether `text` is a name of the policy file (role, host group, parameter): as a login, without
/// `+`.
pub(crate) fn is_name(text: &str) -> bool {
    is_login(text) && !text.contains('+')
}

/// The login of a principal `login` or `login@group`.
pub(crate) fn login(principal: &str) -> &str {
    principal
        .split_once('@')
        .map_or(principal, |(login, _)| login)
}

/// The host group of a principal `login@group`.
pub(crate) fn group(principal: &str) -> Option<&str> {
    principal.split_once('@').map(|(_, group)| group)
}

/// Whether `text` may stand in a certificate: `login` or `login@group`.
pub(crate) fn is_principal(text: &str) -> bool {
    match text.split_once('@') {
        None => is_login(text),
        Some((login, group)) => is_login(login) && is_name(group),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_outside_the_grammar_are_refused() {
        let long = "a".repeat(65);
        let cases = [
            ("empty", ""),
            ("comma in a principal (CVE-2026-35414)", "x,root"),
            ("space", "alice root"),
            ("leading space", " root"),
            ("newline", "root\n"),
            ("escape", "\u{1b}root"),
            ("NUL", "root\0"),
            ("double quote", "ro\"ot"),
            ("single quote", "ro'ot"),
            ("star", "*"),
            ("question mark", "roo?"),
            ("exclamation mark", "!root"),
            ("comment", "#root"),
            ("option", "-root"),
            ("hidden", ".root"),
            ("slash", "../root"),
            ("backslash", "CORP\\root"),
            ("colon", "root:x"),
            ("percent", "%u"),
            ("cyrillic look-alike", "r\u{43e}ot"),
            ("full-width comma", "x\u{ff0c}root"),
            ("line separator", "x\u{2028}root"),
            ("too long", long.as_str()),
            ("no login", "@web"),
            ("no group", "root@"),
            ("two groups", "root@web@db"),
            ("comma in the group", "root@web,db"),
        ];
        for (case, text) in cases {
            assert!(!is_principal(text), "{case}");
        }
    }

    #[test]
    fn ordinary_principals_are_taken() {
        for text in [
            "root",
            "alice",
            "a.b-c_d+e",
            "_apt",
            "0day",
            "root@web",
            "deploy@web-eu.1",
        ] {
            assert!(is_principal(text), "{text}");
        }
    }

    #[test]
    fn a_login_never_names_a_host_group() {
        assert!(!is_login("root@web"));
    }
}
