//! A PostgreSQL server of the test's own: made by `initdb` in a temporary folder, reached by a Unix
//! socket, ended by its process id.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

/// The administrator's password in every cluster.
const PASSWORD: &str = "administrator";

/// A running server.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    user: Option<(u32, u32)>,
    server: Mutex<Option<Child>>,
    databases: AtomicU32,
    /// Whether a commit waits for the disk.
    fsync: &'static str,
}

static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

impl Cluster {
    /// The server of all tests that run now and do not stop it.
    pub(crate) fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock();
        shared.upgrade().unwrap_or_else(|| {
            let cluster = Arc::new(Self::start());
            *shared = Arc::downgrade(&cluster);
            cluster
        })
    }

    /// A new server.
    pub(crate) fn start() -> Self {
        // No test takes the machine's power away, and other tests keep the disk busy.
        Self::start_with("fsync=off")
    }

    /// A new server whose commits wait for the disk.
    #[allow(dead_code, reason = "for measurements")]
    pub(crate) fn durable() -> Self {
        Self::start_with("fsync=on")
    }

    fn start_with(fsync: &'static str) -> Self {
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        let user = other_user();
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let cluster = Self {
            folder,
            user,
            server: Mutex::new(None),
            databases: AtomicU32::new(0),
            fsync,
        };
        let password = cluster.folder.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        let made = cluster
            .program("initdb")
            .args(["--auth=scram-sha-256", "--username=root", "--no-locale"])
            .args(["--encoding=UTF8", "--no-sync", "--no-instructions"])
            .arg("--pwfile")
            .arg(password)
            .arg("--pgdata")
            .arg(cluster.data())
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {made:?}");
        cluster.resume();
        cluster
    }

    /// A synchronous standby of this server: a commit waits for it from now on.
    pub(crate) async fn standby(&self) -> Self {
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        if let Some((uid, gid)) = self.user {
            chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let standby = Self {
            folder,
            user: self.user,
            server: Mutex::new(None),
            databases: AtomicU32::new(0),
            fsync: self.fsync,
        };
        let copied = standby
            .program("pg_basebackup")
            .env("PGPASSWORD", PASSWORD)
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"])
            .args(["--username=root", "--host"])
            .arg(self.socket())
            .arg("--pgdata")
            .arg(standby.data())
            .output()
            .unwrap();
        assert!(copied.status.success(), "pg_basebackup: {copied:?}");
        standby.resume();
        let mut administrator = self.administrator("postgres").await;
        let statement = "ALTER SYSTEM SET synchronous_standby_names = '*'";
        run(&mut administrator, statement).await;
        run(&mut administrator, "SELECT pg_reload_conf()").await;
        let statement = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')";
        while !sqlx::query_scalar::<_, bool>(statement)
            .fetch_one(&mut administrator)
            .await
            .unwrap()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        administrator.close().await.unwrap();
        standby
    }

    /// Makes a standby the primary.
    pub(crate) async fn promote(&self) {
        let mut administrator = self.administrator("postgres").await;
        run(&mut administrator, "SELECT pg_promote()").await;
        administrator.close().await.unwrap();
    }

    /// Stops or continues the server's receiver of commits, so that a standby lags.
    pub(crate) fn signal_receiver(&self, signal: &str) {
        let postmaster = self.server.lock().as_ref().unwrap().id();
        let receiver = children(postmaster)
            .into_iter()
            .find(|pid| command_line(*pid).contains("walreceiver"))
            .expect("a standby has a receiver");
        send(signal, receiver);
    }

    /// Starts the server again, and waits until it takes connections.
    pub(crate) fn resume(&self) {
        let mut server = self
            .program("postgres")
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.socket())
            .args(["-c", "listen_addresses=", "-c", "shared_buffers=16MB"])
            .args(["-c", "max_connections=80"])
            .args(["-c", self.fsync])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        loop {
            let Some(line) = log.next() else {
                panic!("postgres ended: {seen:?}");
            };
            seen.push(line.unwrap());
            if seen.last().unwrap().contains("ready to accept") {
                break;
            }
        }
        thread::spawn(move || log.for_each(drop));
        *self.server.lock() = Some(server);
    }

    /// Ends the server: every connection is lost.
    pub(crate) fn stop(&self) {
        self.end("-INT");
    }

    /// Ends the server at once, as a crash does.
    pub(crate) fn crash(&self) {
        self.end("-QUIT");
    }

    fn end(&self, signal: &str) {
        let Some(mut server) = self.server.lock().take() else {
            return;
        };
        send(signal, server.id());
        server.wait().unwrap();
    }

    /// A new, empty database with an owner of its own.
    pub(crate) async fn database(self: &Arc<Self>) -> Database {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("ledger{number}");
        let database = Database {
            cluster: self.clone(),
            name: name.clone(),
        };
        let mut administrator = self.administrator("postgres").await;
        for statement in [
            format!("CREATE ROLE {name} LOGIN PASSWORD 'geheim'"),
            format!("CREATE DATABASE {name} OWNER {name}"),
        ] {
            run(&mut administrator, &statement).await;
        }
        administrator.close().await.unwrap();
        database
    }

    async fn administrator(&self, database: &str) -> PgConnection {
        let options = PgConnectOptions::new_without_pgpass()
            .socket(self.socket())
            .username("root")
            .password(PASSWORD)
            .database(database);
        options.connect().await.unwrap()
    }

    /// The folder of the server's socket.
    pub(crate) fn socket(&self) -> &Path {
        self.folder.path()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(find(name));
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command.current_dir(self.folder.path());
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A database of a cluster, which lives as long as it.
pub(crate) struct Database {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) name: String,
}

impl Database {
    /// The address for Daypass, through the socket in this folder.
    pub(crate) fn address_at(&self, socket: &Path) -> String {
        let (name, socket) = (&self.name, socket.display());
        format!("postgres://{name}:geheim@localhost/{name}?host={socket}")
    }

    /// The address for Daypass.
    pub(crate) fn address(&self) -> String {
        self.address_at(self.cluster.socket())
    }

    /// The address of another database, for the owner of this one.
    pub(crate) fn address_of(&self, other: &Self) -> String {
        let to = format!("localhost/{}", other.name);
        self.address()
            .replace(&format!("localhost/{}", self.name), &to)
    }

    /// Keeps a copy of the database, which no client uses.
    pub(crate) async fn copy(&self) {
        let name = &self.name;
        let statement = format!("CREATE DATABASE {name}_copy TEMPLATE {name} OWNER {name}");
        self.in_place(&[statement]).await;
    }

    /// Puts the copy in the place of the database.
    pub(crate) async fn put_back(&self) {
        let name = &self.name;
        let rename = format!("ALTER DATABASE {name}_copy RENAME TO {name}");
        self.in_place(&[format!("DROP DATABASE {name}"), rename])
            .await;
    }

    async fn in_place(&self, statements: &[String]) {
        let mut administrator = self.cluster.administrator("postgres").await;
        for statement in statements {
            run(&mut administrator, statement).await;
        }
        administrator.close().await.unwrap();
    }

    /// The number that a query returns.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let mut administrator = self.cluster.administrator(&self.name).await;
        let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        let number = query.fetch_one(&mut administrator).await.unwrap();
        administrator.close().await.unwrap();
        number
    }

    /// Changes the database as another program with access to it would.
    pub(crate) async fn run_sql(&self, sql: &str) {
        let mut administrator = self.cluster.administrator(&self.name).await;
        run(&mut administrator, sql).await;
        administrator.close().await.unwrap();
    }
}

fn send(signal: &str, process: u32) {
    let process = process.to_string();
    let told = Command::new("kill").args([signal, &process]).status();
    assert!(told.unwrap().success());
}

fn children(process: u32) -> Vec<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    let text = fs::read_to_string(path).unwrap();
    text.split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}

fn command_line(process: u32) -> String {
    fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default()
}

async fn run(connection: &mut PgConnection, sql: &str) {
    let statement = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    statement.execute(connection).await.unwrap();
}

/// The newest installed PostgreSQL has the program; Debian keeps it off the PATH.
fn find(program: &str) -> PathBuf {
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<_> = installed
        .map(|version| version.unwrap().path().join("bin").join(program))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    // Not there: the PATH decides, and the message names the program.
    found.pop().unwrap_or_else(|| PathBuf::from(program))
}

/// PostgreSQL refuses to run as root: its package's own user runs it then.
fn other_user() -> Option<(u32, u32)> {
    let id = |args: &[&str]| {
        let output = Command::new("id").args(args).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim().parse::<u32>().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    let uid = id(&["-u", "postgres"]).expect("no user `postgres`: apt-get install postgresql");
    let gid = id(&["-g", "postgres"]).expect("no user `postgres`: apt-get install postgresql");
    Some((uid, gid))
}
