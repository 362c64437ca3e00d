//! The text of our file in `sshd_config.d`, and whether `sshd_config` includes that folder. Pure.

use std::path::Path;

use super::{Error, Settings, files::Layout};

/// The program that prints this host's principals; sshd demands an absolute path.
pub(crate) const PRINTF: &str = "/usr/bin/printf";

/// The drop-in's text.
///
/// # Errors
/// Returns [`Error::Usage`] if a path cannot be written into sshd's configuration.
pub(crate) fn text(layout: &Layout, settings: &Settings) -> Result<String, Error> {
    let mut text = format!(
        "{FIRST_LINE}\n\
         TrustedUserCAKeys {}\n\
         RevokedKeys {}\n",
        quote(&settings.trusted_file(layout))?,
        quote(&layout.krl())?
    );
    if let Some(command) = principals_command(&settings.groups) {
        text.push_str(&format!(
            "AuthorizedPrincipalsCommand {command}\nAuthorizedPrincipalsCommandUser {}\n",
            settings.principals_user
        ));
    }
    for key in settings.joined.iter().flat_map(|joined| &joined.keys) {
        let file = quote(&layout.certificate(&key.kind))?;
        text.push_str(&format!("HostCertificate {file}\n"));
    }
    Ok(text)
}

/// The first line of [`text`].
pub(crate) const FIRST_LINE: &str =
    "# Written by `daypass host setup`. Run that again rather than change this file.";

/// The lines of a drop-in that are not ours: an administrator added them. `ours` is the text that
/// `setup` wrote.
pub(crate) fn foreign_lines<'a>(on_disk: &'a str, ours: &str) -> Vec<&'a str> {
    let ours: Vec<&str> = ours.lines().map(str::trim).collect();
    let lines = on_disk.lines();
    lines
        .filter(|line| !line.trim().is_empty() && !ours.contains(&line.trim()))
        .collect()
}

/// The command that prints the principals of a login on this host: `login@group` for each group,
/// one a line. A pass for the hosts of other groups has none of them. None without groups: sshd
/// then compares plain login names.
pub(crate) fn principals_command(groups: &[String]) -> Option<String> {
    if groups.is_empty() {
        return None;
    }
    let principals = groups.iter().map(|group| format!("%u@{group}"));
    Some(format!(
        r"{PRINTF} %%s\n {}",
        principals.collect::<Vec<_>>().join(" ")
    ))
}

/// Whether `main` (the text of `sshd_config` in `folder`) includes `file` for every connection: by
/// an `Include` above any `Match`. Both paths are absolute.
pub(crate) fn is_included(main: &str, folder: &Path, file: &Path) -> bool {
    let lines = main.lines().map(words);
    let unconditional = lines.take_while(|words| !is_keyword(words, "match"));
    unconditional
        .filter(|words| is_keyword(words, "include"))
        .flat_map(|words| words.into_iter().skip(1))
        .any(|pattern| {
            let pattern = folder.join(pattern);
            // In glob(7) a `*` does not match a slash.
            pattern.parent() == file.parent() && name_matches(&pattern, file)
        })
}

/// Whether a file's name matches the last component of a pattern.
pub(super) fn name_matches(pattern: &Path, file: &Path) -> bool {
    let (Some(pattern), Some(name)) = (pattern.file_name(), file.file_name()) else {
        return false;
    };
    glob(pattern.as_encoded_bytes(), name.as_encoded_bytes())
}

/// Whether `name` matches a pattern with `*` and `?`.
pub(super) fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) if glob(rest, name) => true,
        (Some((b'*', _)), Some((_, name))) => glob(pattern, name),
        (Some((b'?', rest)), Some((_, name))) => glob(rest, name),
        (Some((expected, rest)), Some((found, name))) => expected == found && glob(rest, name),
        _ => false,
    }
}

/// A line's words. Keyword and value may be separated by `=`, values may be quoted, `#` begins a
/// comment.
pub(super) fn words(line: &str) -> Vec<String> {
    let line = line.split('#').next().unwrap_or_default();
    let line = line.trim().replacen('=', " ", 1);
    let words = line.split_whitespace();
    words
        .map(|word| word.trim_matches('"').to_owned())
        .collect()
}

/// Whether a line begins with this keyword.
pub(super) fn is_keyword(words: &[String], keyword: &str) -> bool {
    words
        .first()
        .is_some_and(|first| first.eq_ignore_ascii_case(keyword))
}

fn quote(path: &Path) -> Result<String, Error> {
    let invalid = || {
        Error::Usage(format!(
            "the path {} cannot be written into sshd_config",
            path.display()
        ))
    };
    let text = path.to_str().ok_or_else(invalid)?;
    if text.chars().any(|c| c.is_control() || "\"\\%".contains(c)) {
        return Err(invalid());
    }
    if text.contains([' ', '#', '\'']) {
        return Ok(format!("\"{text}\""));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn settings(groups: &[&str]) -> Settings {
        Settings {
            server: "https://daypass.example.com:7443".to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            principals_user: "nobody".to_owned(),
            own_tls_ca: false,
            also_trust: false,
            logins: None,
            joined: None,
        }
    }

    #[test]
    fn a_host_of_two_groups_takes_only_their_principals() {
        let text = text(&Layout::new(Path::new("/")), &settings(&["web", "all"])).unwrap();
        assert_eq!(
            text,
            "# Written by `daypass host setup`. Run that again rather than change this file.\n\
             TrustedUserCAKeys /etc/ssh/daypass/ca.pub\n\
             RevokedKeys /etc/ssh/daypass/revoked.krl\n\
             AuthorizedPrincipalsCommand /usr/bin/printf %%s\\n %u@web %u@all\n\
             AuthorizedPrincipalsCommandUser nobody\n"
        );
    }

    #[test]
    fn a_host_of_no_group_compares_login_names() {
        let text = text(&Layout::new(Path::new("/")), &settings(&[])).unwrap();
        assert!(!text.contains("AuthorizedPrincipals"), "{text}");
    }

    #[test]
    fn paths_cannot_add_words() {
        for (root, expected) in [
            ("/a b", true),
            ("/a\"b", false),
            ("/a\nb", false),
            ("/%u", false),
        ] {
            let made = text(&Layout::new(Path::new(root)), &settings(&[]));
            assert_eq!(made.is_ok(), expected, "{root:?}");
        }
    }

    #[test]
    fn an_include_counts_only_outside_match_blocks() {
        let file = Path::new("/etc/ssh/sshd_config.d/00-daypass.conf");
        for (case, main, expected) in [
            (
                "as Debian has it",
                "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes",
                true,
            ),
            ("relative, lower case", "include sshd_config.d/*.conf", true),
            (
                "quoted, with =",
                "Include=\"/etc/ssh/sshd_config.d/*\"",
                true,
            ),
            (
                "one of two",
                "Include /x/*.conf /etc/ssh/sshd_config.d/00-daypass.conf",
                true,
            ),
            (
                "by question marks",
                "Include sshd_config.d/??-daypass.conf",
                true,
            ),
            ("none", "UsePAM yes", false),
            ("a comment", "#Include /etc/ssh/sshd_config.d/*.conf", false),
            (
                "another ending",
                "Include /etc/ssh/sshd_config.d/*.cfg",
                false,
            ),
            ("another folder", "Include /etc/ssh/*.conf", false),
            (
                "for some only",
                "Match User x\nInclude /etc/ssh/sshd_config.d/*.conf",
                false,
            ),
        ] {
            assert_eq!(
                is_included(main, Path::new("/etc/ssh"), file),
                expected,
                "{case}"
            );
        }
    }
}
