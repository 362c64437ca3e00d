//! Runs the real sshd to check its configuration (`-t`) and to print the one in force (`-T`).
//! Changes nothing but sshd's own empty folder in `/run`, which it makes if sshd wants it.

use std::{
    collections::BTreeMap,
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tokio::process::Command;

use super::Error;

/// Time for sshd to read its configuration.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program, and the configuration file it is run with.
#[derive(Clone, Debug)]
pub(crate) struct Sshd {
    program: PathBuf,
    configuration: PathBuf,
}

/// The connection that `Match` blocks are evaluated for.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// The login name.
    pub user: String,
    /// The client's address.
    pub address: String,
    /// The client's host name.
    pub host: String,
    /// The address that the client connects to.
    pub local_address: String,
    /// The port that the client connects to.
    pub local_port: String,
}

impl Connection {
    /// A connection that no `Match` block is likely to name: an account without rights, from a
    /// documentation address (RFC 5737).
    pub(crate) fn unlisted() -> Self {
        Self {
            user: "nobody".to_owned(),
            address: "192.0.2.2".to_owned(),
            host: "192.0.2.2".to_owned(),
            local_address: "192.0.2.1".to_owned(),
            local_port: "22".to_owned(),
        }
    }
}

impl Sshd {
    /// Uses `program`, or without it the system's sshd.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if there is none.
    pub(crate) fn new(program: Option<&Path>, configuration: &Path) -> Result<Self, Error> {
        let program = match program {
            Some(program) => std::path::absolute(program).map_err(Error::file(program))?,
            None => find().ok_or_else(|| {
                Error::Usage("sshd is not in the usual places: name it with --sshd".to_owned())
            })?,
        };
        if !program.is_file() {
            return Err(Error::Usage(format!(
                "{} is not a program: name sshd with --sshd",
                program.display()
            )));
        }
        Ok(Self {
            program,
            configuration: configuration.to_owned(),
        })
    }

    /// Makes the empty folder `/run/sshd` if it is missing; returns its path if it was. Without it
    /// sshd does not even read its configuration. sshd's unit makes it when it starts and removes
    /// it when it stops, so with socket activation it is missing until the first login.
    ///
    /// # Errors
    /// Returns the error if the folder cannot be made.
    pub(crate) async fn provide_run_folder(&self) -> Result<Option<PathBuf>, Error> {
        let output = self.output(&["-t"]).await?;
        let said = String::from_utf8_lossy(&output.stderr);
        let Some(folder) = missing_run_folder(&said) else {
            return Ok(None);
        };
        let mut builder = DirBuilder::new();
        match builder.mode(0o755).create(folder) {
            Ok(()) => {}
            // sshd's unit was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(Error::Sshd(format!(
                    "sshd reads nothing without the folder {}, and it cannot be made ({error}); as root: install -d -m 755 {0}",
                    folder.display()
                )));
            }
        }
        Ok(Some(folder.to_owned()))
    }

    /// Checks that sshd would start with its configuration and host keys.
    ///
    /// # Errors
    /// Returns [`Error::Sshd`] with sshd's own message.
    pub(crate) async fn test(&self) -> Result<(), Error> {
        self.ask(&["-t"]).await.map(|_| ())
    }

    /// The configuration in force for one connection.
    ///
    /// # Errors
    /// As [`Sshd::test`].
    pub(crate) async fn effective(&self, connection: &Connection) -> Result<Effective, Error> {
        // Every criterion: sshd fails if a `Match` asks for one that is not given.
        let Connection {
            user,
            address,
            host,
            local_address,
            local_port,
        } = connection;
        let specification = format!(
            "user={user},host={host},addr={address},laddr={local_address},lport={local_port}"
        );
        let output = self.ask(&["-T", "-C", &specification]).await?;
        Ok(Effective::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Its version, such as `OpenSSH_9.2p1 Debian-2+deb12u3`; none if it does not say.
    pub(crate) async fn version(&self) -> Option<String> {
        // An older one does not know `-V`, and says its version beside its usage.
        let output = self.output(&["-V"]).await.ok()?;
        let said = [output.stderr, output.stdout].concat();
        version(&String::from_utf8_lossy(&said))
    }

    async fn ask(&self, arguments: &[&str]) -> Result<Output, Error> {
        let output = self.output(arguments).await?;
        if output.status.success() {
            return Ok(output);
        }
        Err(Error::Sshd(format!(
            "sshd rejects {}: {}",
            self.configuration.display(),
            reasons(&String::from_utf8_lossy(&output.stderr))
        )))
    }

    async fn output(&self, arguments: &[&str]) -> Result<Output, Error> {
        let output = Command::new(&self.program)
            .args(arguments)
            .arg("-f")
            .arg(&self.configuration)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        match tokio::time::timeout(PATIENCE, output).await {
            Ok(output) => output.map_err(Error::file(&self.program)),
            Err(_) => Err(Error::Sshd(format!(
                "sshd did not end within {} s",
                PATIENCE.as_secs()
            ))),
        }
    }
}

/// The version in `OpenSSH_9.2p1 Debian-2+deb12u3, OpenSSL 3.0.19 27 Jan 2026`.
fn version(said: &str) -> Option<String> {
    let line = said.lines().find(|line| line.starts_with("OpenSSH_"))?;
    let version = line.split(',').next()?.trim();
    Some(
        version
            .chars()
            .filter(|c| !c.is_control())
            .take(100)
            .collect(),
    )
}

/// What sshd complained of. Its last line only counts the others, and names the file once more.
fn reasons(said: &str) -> String {
    const COUNT: &str = ": terminating, ";
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    let reasons: Vec<&str> = lines
        .iter()
        .copied()
        .filter(|line| !line.is_empty() && !line.contains(COUNT))
        .collect();
    let said = if reasons.is_empty() { lines } else { reasons };
    said.join("\n")
}

/// The folder that sshd misses, by its complaint.
fn missing_run_folder(said: &str) -> Option<&Path> {
    const COMPLAINT: &str = "Missing privilege separation directory: ";
    let folder = said.lines().find_map(|line| line.strip_prefix(COMPLAINT));
    folder
        .map(|folder| Path::new(folder.trim()))
        .filter(|folder| folder.is_absolute())
}

/// The path of the system's sshd, which must be started by its absolute path.
fn find() -> Option<PathBuf> {
    let usual = ["/usr/sbin", "/usr/local/sbin", "/usr/bin"].map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    usual
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join("sshd"))
        .find(|program| program.is_absolute() && program.is_file())
}

/// The configuration in force, as `sshd -T` prints it: keywords are lower-case, an unset value is
/// `none`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effective(BTreeMap<String, Vec<String>>);

impl Effective {
    /// Parses the output of `sshd -T`.
    pub(crate) fn parse(text: &str) -> Self {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (keyword, value) in text.lines().filter_map(|line| line.split_once(' ')) {
            let known = values.entry(keyword.to_ascii_lowercase()).or_default();
            known.push(value.trim().to_owned());
        }
        Self(values)
    }

    /// The first value of a keyword; `none` if it has none.
    pub(crate) fn value(&self, keyword: &str) -> &str {
        let values = self.0.get(keyword);
        values
            .and_then(|values| values.first())
            .map_or("none", String::as_str)
    }

    /// All values of a keyword: `AllowUsers` has a line for each.
    pub(crate) fn values(&self, keyword: &str) -> &[String] {
        self.0.get(keyword).map_or(&[], Vec::as_slice)
    }

    /// Whether a list of algorithms contains this one. True if this sshd does not print the list.
    pub(crate) fn lists(&self, keyword: &str, algorithm: &str) -> bool {
        match self.value(keyword) {
            "none" => true,
            list => list.split(',').any(|listed| listed == algorithm),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[tokio::test]
    async fn the_folder_that_sshd_misses_until_its_unit_starts_is_made() {
        let here = tempfile::tempdir().unwrap();
        let (program, folder) = (here.path().join("sshd"), here.path().join("run"));
        // As OpenSSH says it, with its carriage return.
        let script = format!(
            "#!/bin/sh\ntest -d {0} || {{ printf 'Missing privilege separation directory: {0}\\r\\n' >&2; exit 255; }}\n",
            folder.display()
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let sshd = Sshd::new(Some(&program), Path::new("/etc/ssh/sshd_config")).unwrap();
        assert!(sshd.test().await.is_err());
        let made = sshd.provide_run_folder().await.unwrap();
        assert_eq!(made.as_deref(), Some(&*folder));
        let mode = folder.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o022, 0, "only root writes there");
        sshd.test().await.unwrap();
        assert_eq!(sshd.provide_run_folder().await.unwrap(), None);
    }

    /// The count behind the reason was what a host's report kept of both.
    #[test]
    fn sshds_reasons_come_without_its_count_of_them() {
        let both = "f: line 1: Bad configuration option: X\r\nf: terminating, 1 bad configuration options\r\n";
        assert_eq!(reasons(both), "f: line 1: Bad configuration option: X");
        assert_eq!(reasons("a\nb\n"), "a\nb");
        assert_eq!(reasons("f: terminating, 1 bad"), "f: terminating, 1 bad");
    }

    #[test]
    fn only_sshds_own_complaint_names_a_folder() {
        for (said, folder) in [
            (
                "Missing privilege separation directory: /run/sshd\r\n",
                Some("/run/sshd"),
            ),
            ("Missing privilege separation directory: run\n", None),
            ("/etc/ssh/sshd_config line 3: Bad configuration", None),
            ("", None),
        ] {
            assert_eq!(missing_run_folder(said), folder.map(Path::new), "{said}");
        }
    }

    #[test]
    fn the_output_of_sshd_is_parsed() {
        let effective = Effective::parse(
            "port 22\ntrustedusercakeys /etc/a b/ca\nallowusers x\nallowusers y\n\
             casignaturealgorithms ssh-ed25519,rsa-sha2-512\n",
        );
        assert_eq!(effective.value("trustedusercakeys"), "/etc/a b/ca");
        assert_eq!(effective.value("revokedkeys"), "none");
        assert_eq!(effective.values("allowusers"), ["x", "y"]);
        for (algorithm, expected) in [
            ("ssh-ed25519", true),
            ("ssh-rsa", false),
            ("rsa-sha2-512", true),
        ] {
            assert_eq!(
                effective.lists("casignaturealgorithms", algorithm),
                expected
            );
        }
    }
}
