//! A throw-away sshd on loopback: it takes passes of one CA and nothing else, and none that its
//! revocation list names. For root on Linux the login is `deploy`, an account that exists on this
//! host alone (`root` is let in too, with a pass for it). For other users it is the current user.
//!
//! It ends with this process, even if that is killed.

use std::{
    ffi::{OsStr, OsString},
    fmt::Write as _,
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use tokio::{io::AsyncReadExt, net::TcpStream, time::Instant};

use super::{
    Error,
    account::{self, Account},
    bound, files, ports,
};
use crate::ssh::krl::Krl;
use crate::unix_seconds::UnixSeconds;

/// Deadline for a new sshd to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Delay between two attempts to connect to an sshd that is starting.
const PAUSE: Duration = Duration::from_millis(20);
/// The number of free ports to try: another process can take one before sshd binds it.
const ATTEMPTS: usize = 5;

/// A running sshd. Dropping it ends the process; sessions end with their clients. On a busy machine
/// the port may answer for some milliseconds more: a child that sshd forked for a connection holds
/// the listening socket until it first runs.
pub struct Sshd {
    child: Child,
    port: u16,
    host_key: String,
    user: String,
    log: PathBuf,
    krl: PathBuf,
}

impl Sshd {
    /// The path of the system's sshd. It must be started by its absolute path.
    pub fn find() -> Option<PathBuf> {
        let usual = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        usual
            .into_iter()
            .chain(std::env::split_paths(&path))
            .map(|folder| folder.join("sshd"))
            .find(|program| program.is_absolute() && program.is_file())
    }

    /// Starts `program` with its files in `dir` (the host key there is kept) and waits until it
    /// answers. `ca_keys` are the trusted user CAs in OpenSSH form, one a line. `port` is used if
    /// it is free.
    ///
    /// # Errors
    /// Returns an error with sshd's log if it does not answer within thirty seconds.
    pub async fn start(
        program: &Path,
        dir: &Path,
        ca_keys: &str,
        port: Option<u16>,
    ) -> Result<Self, Error> {
        if account::id(&["-u"])? == "0" {
            // sshd as root refuses to start without it. Debian makes it in its init script, which
            // containers never run.
            account::make_public_folder(Path::new("/run/sshd"))?;
        }
        files::make_folder(dir)?;
        let host_key = files::keep_key(&dir.join("host_key"), "host")?;
        files::write(&dir.join("user_ca.pub"), ca_keys)?;
        let account = Account::find()?;
        let (user, enter) = (account.name().to_owned(), account.words(dir)?);
        let krl = dir.join("krl");
        if !krl.exists() {
            put_krl(&krl, &empty_krl()?)?;
        }
        let log = dir.join("sshd.log");
        let mut wish = port;
        for _ in 0..ATTEMPTS {
            let port = ports::free(wish.take())?;
            let config = dir.join("sshd_config");
            files::write(
                &config,
                &configuration(dir, &account.logins(), port, has_penalties(program)),
            )?;
            files::write(&log, "")?;
            let child = spawn(&enter, program, &config, &log)?;
            let mut sshd = Self {
                child,
                port,
                host_key: host_key.clone(),
                user: user.clone(),
                log: log.clone(),
                krl: krl.clone(),
            };
            if sshd.answers().await {
                return Ok(sshd);
            }
        }
        let said = fs::read_to_string(&log).unwrap_or_default();
        Err(Error::System("start sshd", io::Error::other(said)))
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The login name for passes to a host that this process starts.
    ///
    /// # Errors
    /// Returns an error if `id` does not name the current user.
    pub fn login() -> Result<String, Error> {
        Ok(Account::find()?.name().to_owned())
    }

    /// The login name for passes to it.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Its host key in OpenSSH form.
    pub fn host_key(&self) -> &str {
        &self.host_key
    }

    /// Its log so far. It has a line per login with the pass's key id and serial.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The revocation list. sshd reads it at each login.
    pub fn krl(&self) -> &Path {
        &self.krl
    }

    /// Waits for the banner. Returns false if the process ended (for example, because another
    /// process took its port) or does not answer in time.
    async fn answers(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return false;
            }
            let mut banner = [0; 4];
            if let Ok(mut stream) = TcpStream::connect(address).await
                && stream.read_exact(&mut banner).await.is_ok()
                && banner == *b"SSH-"
            {
                return true;
            }
            tokio::time::sleep(PAUSE).await;
        }
        false
    }
}

/// Replaces the revocation list atomically: an sshd that found half a list would refuse everyone.
///
/// # Errors
/// Returns an error if the file cannot be written. The old one stays then.
pub fn put_krl(path: &Path, krl: &[u8]) -> Result<(), Error> {
    let fresh = path.with_extension("new");
    fs::write(&fresh, krl).map_err(files::failed("write", &fresh))?;
    fs::rename(&fresh, path).map_err(files::failed("write", path))
}

/// A list that refuses no pass. Without a file, sshd refuses everyone.
fn empty_krl() -> Result<Vec<u8>, Error> {
    let published = Krl::new(0, UnixSeconds::default(), []).publish();
    published.map_err(|error| Error::System("make a revocation list", io::Error::other(error)))
}

impl Drop for Sshd {
    fn drop(&mut self) {
        bound::kill(&mut self.child);
    }
}

fn spawn(enter: &[OsString], program: &Path, config: &Path, log: &Path) -> Result<Child, Error> {
    let arguments: [&OsStr; 6] = [
        program.as_os_str(),
        "-D".as_ref(),
        "-E".as_ref(),
        log.as_os_str(),
        "-f".as_ref(),
        config.as_os_str(),
    ];
    let words = enter.iter().map(OsString::as_os_str).chain(arguments);
    bound::command("TERM", words)
        .spawn()
        .map_err(|error| Error::System("start sshd", error))
}

fn configuration(dir: &Path, logins: &[&str], port: u16, has_penalties: bool) -> String {
    let file = |name: &str| format!("\"{}\"", dir.join(name).display());
    let mut text = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nTrustedUserCAKeys {}\nRevokedKeys {}\nAllowUsers {}\n",
        file("host_key"),
        file("user_ca.pub"),
        file("krl"),
        logins.join(" "),
    );
    text.push_str(
        "PidFile none\nLogLevel VERBOSE\nAuthorizedKeysFile none\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nUsePAM no\nStrictModes no\n\
         MaxStartups 200\n\
         PrintMotd no\nSubsystem sftp internal-sftp\n",
    );
    if has_penalties {
        let _ = writeln!(text, "PerSourcePenalties no");
    }
    text
}

/// True if this sshd penalizes addresses for refused logins (since 9.8; older ones refuse the
/// keyword).
fn has_penalties(program: &Path) -> bool {
    let output = Command::new(program).arg("-V").output();
    let said = output
        .map(|it| [it.stderr, it.stdout].concat())
        .unwrap_or_default();
    version(&String::from_utf8_lossy(&said)).is_some_and(|version| version >= (9, 8))
}

/// The version in `OpenSSH_9.2p1 Debian-2`.
fn version(text: &str) -> Option<(u32, u32)> {
    let (_, rest) = text.split_once("OpenSSH_")?;
    let (major, rest) = rest.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn an_sshd_answers_until_it_is_dropped_and_keeps_its_host_key() {
        let program = Sshd::find().expect("sshd is missing: apt-get install openssh-server");
        let folder = tempfile::tempdir().unwrap();
        let ca = files::keep_key(&folder.path().join("ca"), "ca").unwrap();
        let dir = folder.path().join("with a space");
        let first = Sshd::start(&program, &dir, &ca, None).await.unwrap();
        let (port, key) = (first.port(), first.host_key().to_owned());
        let address = (Ipv4Addr::LOCALHOST, port);
        assert!(TcpStream::connect(address).await.is_ok());
        drop(first);
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).await.is_ok() {
            assert!(Instant::now() < deadline, "it still listens");
        }
        let second = Sshd::start(&program, &dir, &ca, Some(port)).await.unwrap();
        assert_eq!(second.host_key(), key);
        assert_eq!(second.port(), port);
    }

    #[tokio::test]
    async fn an_sshd_that_does_not_start_says_why() {
        let program = Sshd::find().expect("sshd is missing: apt-get install openssh-server");
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("not\"quotable");
        let error = Sshd::start(&program, &dir, "no key", None).await;
        let error = error.err().expect("it started");
        assert!(
            std::error::Error::source(&error)
                .unwrap()
                .to_string()
                .contains("quot")
        );
    }

    #[test]
    fn versions_are_read_from_what_sshd_prints() {
        for (said, expected) in [
            (
                "OpenSSH_9.2p1 Debian-2+deb12u7, OpenSSL 3.0.17",
                Some((9, 2)),
            ),
            ("unknown option -- V\nOpenSSH_8.4p1, OpenSSL", Some((8, 4))),
            ("OpenSSH_10.0p2", Some((10, 0))),
            ("something else", None),
        ] {
            assert_eq!(version(said), expected, "{said}");
        }
    }
}
