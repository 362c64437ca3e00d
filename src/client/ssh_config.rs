//! Plain `ssh` with passes: a file of our own in the state folder, and one `Include` line in
//! `~/.ssh/config`.
//!
//! The rest of `~/.ssh/config` is the user's and is kept to the byte.

mod block;
mod sharing;

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use self::block::{Block, CHOSEN, NAMED, may_sign_in, patterns_of_match, program_of, written_for};
pub(crate) use self::{block::block, sharing::SharedPath};
use super::{
    Client, Error, host_config,
    server_info::ServerInfo,
    state::{State, write_atomically},
    words::is_pattern,
};

/// Our own file, in the state folder.
pub(super) const FILE: &str = "ssh_config";

/// The user's choices for the block.
#[derive(Debug, Default)]
pub(crate) struct BlockOptions {
    /// Host patterns. If there are none, those that the servers name.
    pub(crate) patterns: Vec<String>,
    /// Whether an ssh at a terminal may ask the user to sign in.
    pub(crate) sign_in: bool,
}

impl Client {
    /// The block for an ssh configuration.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if no hosts are known, or a path cannot be written into an ssh
    /// configuration.
    pub(crate) async fn ssh_config(
        &self,
        program: &Path,
        options: &BlockOptions,
    ) -> Result<String, Error> {
        let block = |origin, patterns: &[String]| {
            let root = self.state.root();
            let written = Block {
                program,
                origin,
                sign_in: options.sign_in,
            };
            written.text(&root, patterns)
        };
        if !options.patterns.is_empty() {
            return block(CHOSEN, &options.patterns);
        }
        let patterns = self.named_patterns().await?;
        let patterns = self.with_other_patterns(patterns)?;
        if patterns.is_empty() {
            return Err(Error::Usage(
                "the server names no hosts; name some with --host PATTERN".to_owned(),
            ));
        }
        block(NAMED, &patterns)
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
        let block = Block {
            program: &program,
            origin,
            sign_in: may_sign_in(&old),
        };
        let new = block.text(&root, &patterns)?;
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
        options: &BlockOptions,
        config: &Path,
    ) -> Result<bool, Error> {
        let text = self.ssh_config(program, options).await?;
        self.renew_known_hosts()?;
        self.state.root().write(FILE, text.as_bytes())?;
        edit(config, |old| {
            with_line(old, &include_line(&self.state.root())?)
        })
    }

    /// The lines of `config` by which plain ssh shares connections to the hosts of our file.
    ///
    /// # Errors
    /// Returns [`Error::File`] if a file cannot be read.
    pub(crate) fn shared_paths(&self, config: &Path) -> Result<Vec<SharedPath>, Error> {
        let root = self.state.root();
        let text = fs::read_to_string(config).map_err(Error::file(config))?;
        let patterns = root.read(FILE)?.map(|text| patterns(&text));
        let include = include_line(&root)?;
        let patterns = patterns.unwrap_or_default();
        Ok(sharing::shared_paths(&text, &include, &patterns))
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

/// The host patterns that our file was written for.
pub(super) fn patterns(text: &str) -> Vec<String> {
    let known = written_for(text, CHOSEN).or_else(|| written_for(text, NAMED));
    known.unwrap_or_default()
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
