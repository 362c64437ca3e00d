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
        let mut patterns = self.named_patterns().await?;
        for other in self.all_servers()? {
            let known = ServerInfo::cached(&other.state, &other.address()?)?;
            let known = known.map(|known| known.all_patterns()).unwrap_or_default();
            patterns.extend(known);
        }
        let mut seen = BTreeSet::new();
        patterns.retain(|pattern| seen.insert(pattern.clone()));
        if patterns.is_empty() {
            return Err(Error::Usage(
                "the server names no hosts; name some with --host PATTERN".to_owned(),
            ));
        }
        block(program, &self.state.root(), &patterns)
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
/// `Match exec` runs `daypass ensure` before ssh reads on, so already the first login uses the
/// files that it writes. The pattern comes before `exec`, so that ssh to other hosts starts
/// nothing. A host name, login or local name with a quote never reaches the shell, where the quotes
/// around it keep every other character from meaning anything.
///
/// # Errors
/// Returns the error if a path or a pattern cannot be written into an ssh configuration.
pub(crate) fn block(program: &Path, state: &State, patterns: &[String]) -> Result<String, Error> {
    for pattern in patterns {
        let plain = |c: char| c.is_ascii_alphanumeric() || "*?._:-".contains(c);
        if pattern.is_empty() || pattern.starts_with('-') || !pattern.chars().all(plain) {
            return Err(Error::Untrusted(format!(
                "invalid host pattern {pattern:?}"
            )));
        }
    }
    let hosts = patterns.join(",");
    let [logins, others] = host_config::includes(state)?;
    let (program, state) = (shell_word(program)?, shell_word(state.folder())?);
    Ok(format!(
        "# Written by daypass. `daypass ssh-config remove` takes it away.\n\
         # A `User` line of your own counts if it stands before this one, and so does `ssh USER@HOST`.\n\
         Match originalhost \"{hosts},!*'*\" user \"*,!*'*\" localuser \"*,!*'*\" \
         exec \"{program} ensure --state-dir {state} --host='%n' --login='%r' --local='%u'\"\n\
         \x20   {logins}\n\
         \x20   {others}\n",
    ))
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
        let block = block(
            Path::new("/opt/day pass"),
            &state(),
            &["web-*".into(), "www".into()],
        );
        assert_eq!(
            block.unwrap(),
            "# Written by daypass. `daypass ssh-config remove` takes it away.\n\
             # A `User` line of your own counts if it stands before this one, and so does `ssh USER@HOST`.\n\
             Match originalhost \"web-*,www,!*'*\" user \"*,!*'*\" localuser \"*,!*'*\" \
             exec \"'/opt/day pass' ensure --state-dir '/home/a b/daypass' --host='%n' --login='%r' --local='%u'\"\n\
             \x20   Include \"/home/a b/daypass/hosts/*/login-*/ssh_config\"\n\
             \x20   Include \"/home/a b/daypass/hosts/*/ssh_config\"\n"
        );
    }

    #[test]
    fn a_state_folder_that_include_reads_as_a_pattern_is_refused() {
        for folder in ["/home/50%/d", "/home/*/d", "/home/a?/d", "/home/[a]/d"] {
            let state = State::new(Path::new(folder)).unwrap();
            let refused = block(Path::new("/d"), &state, &["w".into()]);
            assert_eq!(refused.unwrap_err().exit_code(), 2, "{folder}");
            assert!(include_line(&state).is_err(), "{folder}");
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
