//! A throw-away PostgreSQL in a world's folder, from the programs of the system. It listens on a
//! Unix socket only. Root runs it as the user `postgres`, because PostgreSQL refuses to run as
//! root.
//!
//! Every process of it holds a lock on its log. A world that starts over the same folder waits for
//! this lock, so it never takes a foreign process for its database because of a `postmaster.pid`
//! that was left behind.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io,
    os::unix::{
        fs::{OpenOptionsExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{Error, account, bound, files};

/// Deadline for a start, and for the end of the database of an earlier world.
const PATIENCE: Duration = Duration::from_secs(60);
/// Deadline for an end in order.
const GOOD_BYE: Duration = Duration::from_secs(10);
/// Delay between two looks at a database that is starting or ending.
const PAUSE: Duration = Duration::from_millis(20);

/// The name of its superuser.
const USER: &str = "daypass";
/// The database that `initdb` makes.
const DATABASE: &str = "postgres";
/// Names its socket; no network port is opened.
const PORT: &str = "5432";
/// Bytes of a socket's path at most, on every system.
const LONGEST_PATH: usize = 103;

/// The folder with PostgreSQL's programs on Debian; elsewhere they are on the `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";

const MISSING: &str = "PostgreSQL is not installed (on Debian: apt-get install postgresql; \
                       elsewhere: put initdb and postgres on the PATH)";

/// A running PostgreSQL. Dropping it ends its processes in order.
pub(super) struct Postgres {
    child: Child,
    folder: PathBuf,
}

impl Postgres {
    /// Starts the cluster in `dir/postgres`, which is made if it does not exist.
    ///
    /// # Errors
    /// Returns an error if PostgreSQL is missing or does not start; then with the end of its log.
    pub(super) async fn start(dir: &Path) -> Result<Self, Error> {
        let folder = dir.join("postgres");
        let cluster = Cluster {
            owner: owner()?,
            programs: programs()?,
            log: dir.join("postgres.log"),
            folder,
        };
        cluster.expect_short_path()?;
        cluster.open_folder(dir)?;
        let log = cluster.lock().await?;
        cluster.make_data(&log)?;
        let mut child = cluster.spawn(&log)?;
        if let Err(error) = cluster.expect_ready(&mut child).await {
            bound::kill(&mut child);
            return Err(error);
        }
        Ok(Self {
            child,
            folder: cluster.folder,
        })
    }

    /// The address for `[store] postgres`. It has no password: only the owner of the folder can
    /// reach the socket.
    pub(super) fn address(&self) -> String {
        let folder = self.folder.to_string_lossy();
        let host: String = url::form_urlencoded::byte_serialize(folder.as_bytes()).collect();
        format!("postgres://{USER}@localhost:{PORT}/{DATABASE}?host={host}")
    }

    /// The arguments with which `psql` reaches it.
    pub(super) fn psql(&self) -> String {
        format!("-h {} -U {USER} {DATABASE}", self.folder.display())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        bound::end(&mut self.child, GOOD_BYE);
    }
}

/// The places of a cluster.
struct Cluster {
    owner: Option<(u32, u32)>,
    programs: PathBuf,
    log: PathBuf,
    folder: PathBuf,
}

impl Cluster {
    fn expect_short_path(&self) -> Result<(), Error> {
        let socket = self.folder.join(format!(".s.PGSQL.{PORT}"));
        match socket.as_os_str().len() {
            0..=LONGEST_PATH => Ok(()),
            _ => Err(failed(
                "its socket needs a shorter path: name another folder with --dir",
            )),
        }
    }

    /// Makes the cluster's folder, and lets its owner reach it.
    fn open_folder(&self, dir: &Path) -> Result<(), Error> {
        files::make_folder(&self.folder)?;
        let Some((uid, gid)) = self.owner else {
            return Ok(());
        };
        chown(&self.folder, Some(uid), Some(gid))
            .map_err(files::failed("give away", &self.folder))?;
        // To pass through, not to list. The files have modes of their own.
        let passable = mode(dir)? | 0o001;
        fs::set_permissions(dir, PermissionsExt::from_mode(passable))
            .map_err(files::failed("open", dir))?;
        for above in dir.ancestors() {
            if mode(above)? & 0o001 == 0 {
                return Err(failed(&format!(
                    "root runs it as the user postgres, which cannot enter {}: name a folder elsewhere with --dir, such \
                     as /var/tmp/world",
                    above.display()
                )));
            }
        }
        Ok(())
    }

    /// Waits until no process of an earlier run is left. The lock lasts as long as one process has
    /// the file open.
    async fn lock(&self) -> Result<File, Error> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.log)
            .map_err(files::failed("open", &self.log))?;
        let deadline = Instant::now() + PATIENCE;
        while file.try_lock().is_err() {
            if Instant::now() > deadline {
                return Err(failed(&format!(
                    "processes of an earlier one still run in {}: end them first",
                    self.folder.display()
                )));
            }
            sleep(PAUSE).await;
        }
        file.set_len(0).map_err(files::failed("empty", &self.log))?;
        // An earlier run that was killed left them. Their pid may be another program's by now.
        let lock = format!(".s.PGSQL.{PORT}.lock");
        for stale in [self.data().join("postmaster.pid"), self.folder.join(lock)] {
            match fs::remove_file(&stale) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(files::failed("remove", &stale)(error));
                }
                _ => {}
            }
        }
        Ok(file)
    }

    /// Makes the data folder by `initdb`, all or nothing.
    fn make_data(&self, log: &File) -> Result<(), Error> {
        if self.data().exists() {
            return Ok(());
        }
        let fresh = self.folder.join("data.new");
        if fresh.exists() {
            fs::remove_dir_all(&fresh).map_err(files::failed("remove", &fresh))?;
        }
        let mut initdb = Command::new(self.programs.join("initdb"));
        initdb
            .args(["--auth=trust", "--no-locale", "--encoding=UTF8"])
            .args(["--no-instructions", "--username", USER, "--pgdata"])
            .arg(&fresh);
        let made = self
            .as_owner(&mut initdb, log)?
            .stdin(Stdio::null())
            .status();
        let made = made.map_err(|error| Error::System("run initdb", error))?;
        if !made.success() {
            return Err(self.with_log("initdb failed"));
        }
        fs::rename(&fresh, self.data()).map_err(files::failed("rename", &fresh))
    }

    fn spawn(&self, log: &File) -> Result<Child, Error> {
        let (program, data) = (self.programs.join("postgres"), self.data());
        let words: [&OsStr; 9] = [
            program.as_ref(),
            "-D".as_ref(),
            data.as_ref(),
            "-k".as_ref(),
            self.folder.as_ref(),
            "-p".as_ref(),
            PORT.as_ref(),
            "-c".as_ref(),
            "listen_addresses=".as_ref(),
        ];
        // A fast shutdown: sessions of other programs do not hold it up.
        let mut command = bound::command("INT", words);
        // Ctrl-C is for the world, which ends its servers before their database.
        self.as_owner(&mut command, log)?
            .process_group(0)
            .spawn()
            .map_err(|error| Error::System("start PostgreSQL", error))
    }

    async fn expect_ready(&self, child: &mut Child) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        while !self.said().contains("ready to accept connections") {
            if !matches!(child.try_wait(), Ok(None)) {
                return Err(self.with_log("it ended"));
            }
            if Instant::now() > deadline {
                return Err(self.with_log("it takes too long"));
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// The command as the owner of the cluster, with its output in the log.
    fn as_owner<'c>(&self, command: &'c mut Command, log: &File) -> Result<&'c mut Command, Error> {
        if let Some((uid, gid)) = self.owner {
            command.uid(uid).gid(gid);
        }
        let output = || log.try_clone().map_err(files::failed("open", &self.log));
        let command = command.stdout(output()?).stderr(output()?);
        Ok(command.current_dir(&self.folder).env("LC_ALL", "C"))
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn with_log(&self, what: &str) -> Error {
        failed(&format!("{what}: {}", self.said().trim()))
    }
}

fn failed(why: &str) -> Error {
    Error::System("start PostgreSQL", io::Error::other(why.to_owned()))
}

fn mode(path: &Path) -> Result<u32, Error> {
    let metadata = fs::metadata(path).map_err(files::failed("read", path))?;
    Ok(metadata.permissions().mode() & 0o7777)
}

/// The folder with the newest `initdb` and `postgres`.
fn programs() -> Result<PathBuf, Error> {
    let version = |folder: &Path| {
        let name = folder.file_name()?.to_str()?;
        name.parse::<u32>().ok()
    };
    let installed = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut installed: Vec<PathBuf> = installed.map(|entry| entry.path()).collect();
    installed.sort_by_key(|folder| std::cmp::Reverse(version(folder)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = installed.into_iter().map(|folder| folder.join("bin"));
    folders
        .chain(std::env::split_paths(&path))
        .find(|folder| {
            let has = |program: &str| folder.join(program).is_file();
            folder.is_absolute() && has("initdb") && has("postgres")
        })
        .ok_or_else(|| failed(MISSING))
}

/// The user and group of the cluster, if it must be another user than this one.
fn owner() -> Result<Option<(u32, u32)>, Error> {
    if account::id(&["-u"])? != "0" {
        return Ok(None);
    }
    let id = |option: &str| Ok(account::id(&[option, "postgres"])?.parse().ok());
    match (id("-u")?, id("-g")?) {
        (Some(uid), Some(gid)) => Ok(Some((uid, gid))),
        (None, _) | (_, None) => Err(failed(&format!("there is no user postgres: {MISSING}"))),
    }
}
