//! The block of lines that lets plain `ssh` use passes: its text, and what an installed one says of
//! itself. Pure.

use std::path::{Path, PathBuf};

use crate::client::{
    Error, host_config, known_hosts,
    state::State,
    words::{is_pattern, shell_word},
};

/// Begins the line with the patterns that the user chose.
pub(super) const CHOSEN: &str = "# For the hosts of --host: ";

/// Begins the line with the patterns that the servers name. They are kept up to date.
pub(super) const NAMED: &str = "# For the hosts that the server names: ";

/// The word by which `ensure` may ask the user to sign in.
const SIGN_IN: &str = " --sign-in";

/// The block for hosts that match `patterns`.
///
/// # Errors
/// Returns the error if a path or a pattern cannot be written into an ssh configuration.
pub(crate) fn block(program: &Path, state: &State, patterns: &[String]) -> Result<String, Error> {
    let block = Block {
        program,
        origin: CHOSEN,
        sign_in: false,
    };
    block.text(state, patterns)
}

/// A block before it is written.
///
/// `Match exec` runs `daypass ensure` before ssh reads on, so already the first login uses the
/// files that it writes. The pattern comes before `exec`, so that ssh to other hosts starts
/// nothing. A host name, login or local name with a quote never reaches the shell, where the quotes
/// around it keep every other character from meaning anything.
///
/// The last `Match` is for aliases. ssh knows their `HostName` when it reads the configuration
/// for the second time.
pub(super) struct Block<'a> {
    /// The program that it runs.
    pub(super) program: &'a Path,
    /// Whether the user or the servers named the hosts.
    pub(super) origin: &'a str,
    /// Whether `ensure` may ask the user to sign in.
    pub(super) sign_in: bool,
}

impl Block<'_> {
    /// The text, for hosts that match `patterns`.
    ///
    /// # Errors
    /// Returns the error if a path or a pattern cannot be written into an ssh configuration.
    pub(super) fn text(&self, state: &State, patterns: &[String]) -> Result<String, Error> {
        let Self {
            program,
            origin,
            sign_in,
        } = *self;
        if let Some(pattern) = patterns.iter().find(|pattern| !is_pattern(pattern)) {
            return Err(Error::Untrusted(format!(
                "invalid host pattern {pattern:?}"
            )));
        }
        let hosts = patterns.join(",");
        let others = patterns.join(",!");
        let [logins, unnamed] = host_config::includes(state)?;
        let known_hosts = known_hosts::lines(state)?;
        let (program, state) = (shell_word(program)?, shell_word(state.folder())?);
        let names = "user \"*,!*'*\" localuser \"*,!*'*\"";
        let sign_in = if sign_in { SIGN_IN } else { "" };
        let ensure =
            format!("{program} ensure --state-dir {state}{sign_in} --login='%r' --local='%u'");
        Ok(format!(
            "# Written by daypass. `daypass ssh-config remove` takes it away.\n\
         {origin}{hosts}\n\
         # A shared connection would keep the rights of a pass that was revoked since.\n\
         Match originalhost \"{hosts},!*'*\"\n\
         \x20   ControlPath none\n\
         # A `User` line of your own counts if it stands before this one, and so does `ssh USER@HOST`.\n\
         Match !final originalhost \"{hosts},!*'*\" {names} \
         exec \"{ensure} --host='%n'\"\n\
         \x20   {logins}\n\
         \x20   {unnamed}\n\
         # Other names for these hosts, by a `HostName` line of your own.\n\
         Match final host \"{hosts},!*'*\" originalhost \"*,!{others},!*'*\" {names} \
         exec \"{ensure} --host='%h' --alias='%n'\"\n\
         \x20   {logins}\n\
         \x20   {unnamed}\n\
         # Hosts that show a certificate of your servers' CA: ssh asks nothing at the first contact. A\n\
         # `GlobalKnownHostsFile` or `StrictHostKeyChecking` line of your own counts, wherever it stands.\n\
         Match final originalhost \"{hosts},!*'*\"\n\
         {known_hosts}\
         Match final host \"{hosts},!*'*\"\n\
         {known_hosts}",
        ))
    }
}

/// Whether a block lets `ensure` ask the user to sign in. The word stands behind the quoted folder,
/// before the names that ssh fills in.
pub(super) fn may_sign_in(block: &str) -> bool {
    block.contains(&format!("'{SIGN_IN} --login='"))
}

/// The patterns that a block says it was written for, if they are of this `origin`.
pub(super) fn written_for(block: &str, origin: &str) -> Option<Vec<String>> {
    let mut lines = block.lines();
    let patterns = lines.find_map(|line| line.strip_prefix(origin))?;
    Some(patterns.split(',').map(str::to_owned).collect())
}

/// The patterns in the `Match` line of an earlier version's block.
pub(super) fn patterns_of_match(block: &str) -> Vec<String> {
    let mut lines = block.lines();
    let line = lines.find_map(|line| line.strip_prefix("Match originalhost "));
    let list = line.and_then(|line| line.split_whitespace().next());
    let list = list.unwrap_or_default().trim_matches('"').split(',');
    list.filter(|pattern| is_pattern(pattern))
        .map(str::to_owned)
        .collect()
}

/// The program that a block runs.
pub(super) fn program_of(block: &str) -> Option<PathBuf> {
    let (_, after) = block.split_once("exec \"'")?;
    let (program, _) = after.split_once("' ensure ")?;
    Some(PathBuf::from(program.replace("%%", "%")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn state() -> State {
        State::new(Path::new("/home/a b/daypass")).unwrap()
    }

    #[test]
    fn the_block_quotes_its_paths_and_names_the_program_absolutely() {
        let patterns = ["web-*".to_owned(), "www".to_owned()];
        let block = named(false, Path::new("/opt/day pass"), &patterns).unwrap();
        let (names, includes) = (
            "user \"*,!*'*\" localuser \"*,!*'*\"",
            "\x20   Include \"/home/a b/daypass/hosts/*/login-*/ssh_config\"\n\
             \x20   Include \"/home/a b/daypass/hosts/*/ssh_config\"\n",
        );
        let known_hosts = "\x20   GlobalKnownHostsFile /etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2 \
             \"/home/a b/daypass/known_hosts\"\n\
             \x20   Include \"/home/a b/daypass/strict_hosts\"\n";
        let ensure =
            "'/opt/day pass' ensure --state-dir '/home/a b/daypass' --login='%r' --local='%u'";
        assert_eq!(
            block,
            format!(
                "# Written by daypass. `daypass ssh-config remove` takes it away.\n\
                 # For the hosts that the server names: web-*,www\n\
                 # A shared connection would keep the rights of a pass that was revoked since.\n\
                 Match originalhost \"web-*,www,!*'*\"\n\
                 \x20   ControlPath none\n\
                 # A `User` line of your own counts if it stands before this one, and so does `ssh USER@HOST`.\n\
                 Match !final originalhost \"web-*,www,!*'*\" {names} exec \"{ensure} --host='%n'\"\n\
                 {includes}\
                 # Other names for these hosts, by a `HostName` line of your own.\n\
                 Match final host \"web-*,www,!*'*\" originalhost \"*,!web-*,!www,!*'*\" {names} \
                 exec \"{ensure} --host='%h' --alias='%n'\"\n\
                 {includes}\
                 # Hosts that show a certificate of your servers' CA: ssh asks nothing at the first contact. A\n\
                 # `GlobalKnownHostsFile` or `StrictHostKeyChecking` line of your own counts, wherever it stands.\n\
                 Match final originalhost \"web-*,www,!*'*\"\n\
                 {known_hosts}\
                 Match final host \"web-*,www,!*'*\"\n\
                 {known_hosts}"
            )
        );
        assert_eq!(written_for(&block, NAMED).unwrap(), patterns);
        assert_eq!(written_for(&block, CHOSEN), None);
        assert_eq!(program_of(&block).unwrap(), Path::new("/opt/day pass"));
    }

    fn named(sign_in: bool, program: &Path, patterns: &[String]) -> Result<String, Error> {
        let origin = NAMED;
        Block {
            program,
            origin,
            sign_in,
        }
        .text(&state(), patterns)
    }

    #[test]
    fn a_block_asks_for_a_sign_in_only_if_it_was_written_so() {
        let patterns = ["web-*".to_owned()];
        for sign_in in [false, true] {
            let program = Path::new("/opt/ --sign-in --login=/daypass");
            let block = named(sign_in, program, &patterns).unwrap();
            assert_eq!(may_sign_in(&block), sign_in, "{block}");
            assert_eq!(
                block.matches("--sign-in --login='%r'").count(),
                if sign_in { 2 } else { 0 }
            );
            assert_eq!(program_of(&block).unwrap(), program);
        }
    }

    #[test]
    fn program_and_patterns_of_an_earlier_versions_block_are_found() {
        let block = "# Written by daypass.\n\
             Match originalhost \"web-*,db-1,!*'*\" exec \"'/opt/50%%/daypass' ensure --state-dir '/x' --host='%n'\"\n";
        assert_eq!(patterns_of_match(block), ["web-*", "db-1"]);
        assert_eq!(program_of(block).unwrap(), Path::new("/opt/50%/daypass"));
        assert!(patterns_of_match("Match originalhost web-* exec x").contains(&"web-*".to_owned()));
        assert!(patterns_of_match("").is_empty());
    }

    #[test]
    fn a_state_folder_that_include_reads_as_a_pattern_is_refused() {
        for folder in ["/home/50%/d", "/home/*/d", "/home/a?/d", "/home/[a]/d"] {
            let state = State::new(Path::new(folder)).unwrap();
            let refused = block(Path::new("/d"), &state, &["w".into()]);
            assert_eq!(refused.unwrap_err().exit_code(), 2, "{folder}");
        }
    }

    #[test]
    fn patterns_and_paths_cannot_add_words() {
        for pattern in ["", "a b", "a\"b", "a'b", "a\nHost *", "-x", "a,!b", "$(id)"] {
            assert!(
                block(Path::new("/d"), &state(), &[pattern.into()]).is_err(),
                "{pattern}"
            );
        }
        for program in ["/a'b", "/a\"b", "/a\nb", "/a$b"] {
            assert!(
                block(Path::new(program), &state(), &["w".into()]).is_err(),
                "{program}"
            );
        }
    }
}
