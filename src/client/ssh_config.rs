//! Plain `ssh` with passes: a file of our own in the state folder, and one `Include` line in
//! `~/.ssh/config`.
//!
//! The rest of `~/.ssh/config` is the user's and is kept to the byte.

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{
    Client, Error, host_config,
    server_info::ServerInfo,
    state::{State, write_atomically},
    words::shell_word,
};

/// Our own file, in the state folder.
const FILE: &str = "ssh_config";

/// Begins the line with the patterns that the user chose.
const CHOSEN: &str = "# For the hosts of --host: ";

/// Begins the line with the patterns that the servers name. They are kept up to date.
const NAMED: &str = "# For the hosts that the server names: ";

impl Client {
    /// The block for an ssh configuration, for `patterns`; if there are none, for the hosts that
    /// this server and the others of this user name.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if no hosts are known, or a path cannot be written into an ssh
    /// configuration.
    pub(crate) async fn ssh_config(
        &self,
        program: &Path,
        patterns: &[String],
    ) -> Result<String, Error> {
        if !patterns.is_empty() {
            return block(program, &self.state.root(), patterns);
        }
        let patterns = self.named_patterns().await?;
        let patterns = self.with_other_patterns(patterns)?;
        if patterns.is_empty() {
            return Err(Error::Usage(
                "the server names no hosts; name some with --host PATTERN".to_owned(),
            ));
        }
        block_of(program, &self.state.root(), NAMED, &patterns)
    }

    /// Rewrites our file if a server names other hosts by now, if a bastion is new, or if an
    /// earlier version wrote it. Returns whether it was rewritten. No network.
    ///
    /// # Errors
    /// Returns [`Error::File`] if a file cannot be read or written.
    pub(super) fn renew_ssh_config(&self) -> Result<bool, Error> {
        let root = self.state.root();
        let Some(old) = root.read(FILE)? else {
            return Ok(false);
        };
        let (origin, patterns) = match (written_for(&old, CHOSEN), written_for(&old, NAMED)) {
            (Some(chosen), _) => (CHOSEN, chosen),
            (None, Some(_)) => (NAMED, self.with_other_patterns(Vec::new())?),
            // Of an earlier version, which did not say whether the user chose them.
            (None, None) => (NAMED, self.with_other_patterns(patterns_of_match(&old))?),
        };
        let program = match program_of(&old).filter(|program| program.exists()) {
            Some(program) => program,
            None => std::env::current_exe().map_err(Error::file(Path::new("daypass")))?,
        };
        if patterns.is_empty() {
            return Ok(false);
        }
        let new = block_of(&program, &root, origin, &patterns)?;
        if new == old {
            return Ok(false);
        }
        root.write(FILE, new.as_bytes())?;
        Ok(true)
    }

    /// `patterns`, those that the servers of this user named last, and their bastions: sorted, so
    /// that the order does not depend on the server that was asked last.
    fn with_other_patterns(&self, patterns: Vec<String>) -> Result<Vec<String>, Error> {
        let mut patterns: BTreeSet<String> = patterns.into_iter().collect();
        let addresses = self.all_servers()?.into_iter().map(|it| it.address());
        for address in addresses.chain([self.address()]) {
            let Some(known) = ServerInfo::cached(&self.state, &address?)? else {
                continue;
            };
            patterns.extend(known.all_patterns());
            // An ssh with `-J` asks for a pass for the bastion.
            let bastions = known.bastions.into_iter();
            patterns.extend(bastions.filter(|host| is_pattern(host)));
        }
        Ok(patterns.into_iter().collect())
    }

    /// The patterns that this server names, as it says now; while it is down, as it said last time.
    async fn named_patterns(&self) -> Result<Vec<String>, Error> {
        let cached = ServerInfo::cached(&self.state, &self.address()?)?;
        let server_info = match self.connect().await {
            Ok((_, server_info)) => server_info,
            Err(error @ Error::Unreachable { .. }) => cached.ok_or(error)?,
            Err(error) => return Err(error),
        };
        Ok(server_info.all_patterns())
    }

    /// Writes our file and includes it in `config`. Returns whether `config` was changed.
    ///
    /// # Errors
    /// As [`Client::ssh_config`]; also [`Error::File`] if a file cannot be written.
    pub(crate) async fn install_ssh_config(
        &self,
        program: &Path,
        patterns: &[String],
        config: &Path,
    ) -> Result<bool, Error> {
        let text = self.ssh_config(program, patterns).await?;
        self.state.root().write(FILE, text.as_bytes())?;
        edit(config, |old| {
            with_line(old, &include_line(&self.state.root())?)
        })
    }

    /// Removes the line from `config`, and our file. Returns whether `config` was changed.
    ///
    /// # Errors
    /// Returns [`Error::File`] if a file cannot be written.
    pub(crate) fn remove_ssh_config(&self, config: &Path) -> Result<bool, Error> {
        let changed = edit(config, |old| {
            without_line(old, &include_line(&self.state.root())?)
        })?;
        self.state.root().remove(FILE)?;
        Ok(changed)
    }
}

/// The user's own configuration, `~/.ssh/config`.
///
/// # Errors
/// Returns [`Error::Usage`] if there is no home folder.
pub(crate) fn users_file() -> Result<PathBuf, Error> {
    etcetera::home_dir()
        .map(|home| home.join(".ssh").join("config"))
        .map_err(|_| {
            Error::Usage("there is no home folder: name the file with --config".to_owned())
        })
}

/// The block for hosts that match `patterns`.
///
/// # Errors
/// Returns the error if a path or a pattern cannot be written into an ssh configuration.
pub(crate) fn block(program: &Path, state: &State, patterns: &[String]) -> Result<String, Error> {
    block_of(program, state, CHOSEN, patterns)
}

/// The block for hosts that match `patterns`, which are of this `origin`.
///
/// `Match exec` runs `daypass ensure` before ssh reads on, so already the first login uses the
/// files that it writes. The pattern comes before `exec`, so that ssh to other hosts starts
/// nothing. A host name, login or local name with a quote never reaches the shell, where the quotes
/// around it keep every other character from meaning anything.
///
/// The second `Match` is for aliases. ssh knows their `HostName` when it reads the configuration
/// for the second time.
///
/// # Errors
/// Returns the error if a path or a pattern cannot be written into an ssh configuration.
fn block_of(
    program: &Path,
    state: &State,
    origin: &str,
    patterns: &[String],
) -> Result<String, Error> {
    if let Some(pattern) = patterns.iter().find(|pattern| !is_pattern(pattern)) {
        return Err(Error::Untrusted(format!(
            "invalid host pattern {pattern:?}"
        )));
    }
    let hosts = patterns.join(",");
    let others = patterns.join(",!");
    let [logins, unnamed] = host_config::includes(state)?;
    let (program, state) = (shell_word(program)?, shell_word(state.folder())?);
    let names = "user \"*,!*'*\" localuser \"*,!*'*\"";
    let ensure = format!("{program} ensure --state-dir {state} --login='%r' --local='%u'");
    Ok(format!(
        "# Written by daypass. `daypass ssh-config remove` takes it away.\n\
         {origin}{hosts}\n\
         # A `User` line of your own counts if it stands before this one, and so does `ssh USER@HOST`.\n\
         Match !final originalhost \"{hosts},!*'*\" {names} \
         exec \"{ensure} --host='%n'\"\n\
         \x20   {logins}\n\
         \x20   {unnamed}\n\
         # Other names for these hosts, by a `HostName` line of your own.\n\
         Match final host \"{hosts},!*'*\" originalhost \"*,!{others},!*'*\" {names} \
         exec \"{ensure} --host='%h' --alias='%n'\"\n\
         \x20   {logins}\n\
         \x20   {unnamed}\n",
    ))
}

/// Whether a pattern of host names can stand in an ssh configuration.
fn is_pattern(pattern: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "*?._:-".contains(c);
    !pattern.is_empty() && !pattern.starts_with('-') && pattern.chars().all(plain)
}

/// The patterns that a block says it was written for, if they are of this `origin`.
fn written_for(block: &str, origin: &str) -> Option<Vec<String>> {
    let mut lines = block.lines();
    let patterns = lines.find_map(|line| line.strip_prefix(origin))?;
    Some(patterns.split(',').map(str::to_owned).collect())
}

/// The patterns in the `Match` line of an earlier version's block.
fn patterns_of_match(block: &str) -> Vec<String> {
    let mut lines = block.lines();
    let line = lines.find_map(|line| line.strip_prefix("Match originalhost "));
    let list = line.and_then(|line| line.split_whitespace().next());
    let list = list.unwrap_or_default().trim_matches('"').split(',');
    list.filter(|pattern| is_pattern(pattern))
        .map(str::to_owned)
        .collect()
}

/// The program that a block runs.
fn program_of(block: &str) -> Option<PathBuf> {
    let (_, after) = block.split_once("exec \"'")?;
    let (program, _) = after.split_once("' ensure ")?;
    Some(PathBuf::from(program.replace("%%", "%")))
}

fn include_line(state: &State) -> Result<String, Error> {
    let file = host_config::included(&state.path(FILE), state)?;
    Ok(format!("Include {file}"))
}

/// `old` with `line` at its top: below a `Host` or `Match` line, an `Include` would be part of that
/// block.
fn with_line(old: &str, line: &str) -> Result<String, Error> {
    if old.lines().any(|present| present == line) {
        return Ok(old.to_owned());
    }
    Ok(format!("{line}\n{old}"))
}

fn without_line(old: &str, line: &str) -> Result<String, Error> {
    let kept = old
        .split_inclusive('\n')
        .filter(|present| present.trim_end_matches(['\n', '\r']) != line);
    Ok(kept.collect())
}

/// Changes a file of the user's by rename. Follows a symbolic link and keeps the file's mode.
fn edit(path: &Path, change: impl Fn(&str) -> Result<String, Error>) -> Result<bool, Error> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (old, mode) = match fs::read_to_string(&target) {
        Ok(old) => {
            let metadata = fs::metadata(&target).map_err(Error::file(&target))?;
            (old, metadata.permissions().mode() & 0o7777)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => (String::new(), 0o600),
        Err(error) => return Err(Error::file(&target)(error)),
    };
    let new = change(&old)?;
    if new == old {
        return Ok(false);
    }
    write_atomically(&target, new.as_bytes(), mode)?;
    Ok(true)
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
        let block = block_of(Path::new("/opt/day pass"), &state(), NAMED, &patterns).unwrap();
        let (names, includes) = (
            "user \"*,!*'*\" localuser \"*,!*'*\"",
            "\x20   Include \"/home/a b/daypass/hosts/*/login-*/ssh_config\"\n\
             \x20   Include \"/home/a b/daypass/hosts/*/ssh_config\"\n",
        );
        let ensure =
            "'/opt/day pass' ensure --state-dir '/home/a b/daypass' --login='%r' --local='%u'";
        assert_eq!(
            block,
            format!(
                "# Written by daypass. `daypass ssh-config remove` takes it away.\n\
                 # For the hosts that the server names: web-*,www\n\
                 # A `User` line of your own counts if it stands before this one, and so does `ssh USER@HOST`.\n\
                 Match !final originalhost \"web-*,www,!*'*\" {names} exec \"{ensure} --host='%n'\"\n\
                 {includes}\
                 # Other names for these hosts, by a `HostName` line of your own.\n\
                 Match final host \"web-*,www,!*'*\" originalhost \"*,!web-*,!www,!*'*\" {names} \
                 exec \"{ensure} --host='%h' --alias='%n'\"\n\
                 {includes}"
            )
        );
        assert_eq!(written_for(&block, NAMED).unwrap(), patterns);
        assert_eq!(written_for(&block, CHOSEN), None);
        assert_eq!(program_of(&block).unwrap(), Path::new("/opt/day pass"));
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
            let refused = block_of(Path::new("/d"), &state, NAMED, &["w".into()]);
            assert_eq!(refused.unwrap_err().exit_code(), 2, "{folder}");
            assert!(include_line(&state).is_err(), "{folder}");
        }
    }

    #[test]
    fn patterns_and_paths_cannot_add_words() {
        for pattern in ["", "a b", "a\"b", "a'b", "a\nHost *", "-x", "a,!b", "$(id)"] {
            assert!(
                block_of(Path::new("/d"), &state(), NAMED, &[pattern.into()]).is_err(),
                "{pattern}"
            );
        }
        for program in ["/a'b", "/a\"b", "/a\nb", "/a$b"] {
            assert!(
                block_of(Path::new(program), &state(), NAMED, &["w".into()]).is_err(),
                "{program}"
            );
        }
    }

    #[test]
    fn installing_twice_adds_one_line_and_removing_gives_the_old_bytes_back() {
        let folder = tempfile::tempdir().unwrap();
        let line = include_line(&state()).unwrap();
        for old in [
            "",
            "Host x\n  User y",
            "# no newline at the end",
            "a\r\n\r\n\tb\n\n",
        ] {
            let (real, link) = (folder.path().join("real"), folder.path().join("config"));
            fs::write(&real, old).unwrap();
            fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
            let _ = std::os::unix::fs::symlink(&real, &link);
            assert!(edit(&link, |text| with_line(text, &line)).unwrap());
            assert!(!edit(&link, |text| with_line(text, &line)).unwrap());
            assert_eq!(fs::read_to_string(&real).unwrap(), format!("{line}\n{old}"));
            assert!(edit(&link, |text| without_line(text, &line)).unwrap());
            assert_eq!(fs::read_to_string(&real).unwrap(), old);
            let mode = fs::metadata(&real).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o640);
            assert!(link.is_symlink());
        }
    }
}
