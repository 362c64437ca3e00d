//! The servers of a run: daemons in processes of their own, and their database.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use daypass::{
    ledger::{
        EventKind,
        checkpoint::Signer,
        event::{Actor, RequestDetails},
    },
    store::{PostgresAddress, Store},
};
use ssh_key::PrivateKey;
use tokio::{
    sync::Mutex,
    task::{JoinHandle, JoinSet},
};

use super::{
    cluster::Cluster,
    history::Cost,
    keys,
    plan::{Engine, Plan},
    policies,
    proxy::Proxy,
    support::{
        api::Api,
        env::UNLIMITED,
        faketime, files,
        server::{Process, ServerFiles, signal},
    },
};

/// The longest start of a daemon on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Events of an aged ledger; snapshots begin with 10,000.
const AGED: usize = 10_100;
/// Events that are appended at once.
const AT_ONCE: usize = 100;

/// Their subject, which asks nothing in the run.
pub(crate) const AGED_BY: &str = "aged";

/// Room for the ledger of a run, and small enough to fill at once.
const DISK: &str = "size=96m,mode=700";

pub(crate) struct World {
    pub(crate) daemons: Vec<Arc<Daemon>>,
    pub(crate) postgres: Option<Postgres>,
    keepers: Vec<JoinHandle<()>>,
}

/// The primary and its standby, each daemon's way to it.
pub(crate) struct Postgres {
    pub(crate) primary: Mutex<Arc<Cluster>>,
    pub(crate) standby: Mutex<Option<Cluster>>,
    pub(crate) proxies: Vec<Proxy>,
}

/// A daemon that is started again whenever it ends.
pub(crate) struct Daemon {
    pub(crate) number: usize,
    pub(crate) files: ServerFiles,
    pub(crate) api: Api,
    program: PathBuf,
    bug: String,
    process: Mutex<Option<Process>>,
    /// While it is true, nothing starts the daemon.
    is_held: AtomicBool,
    /// How often it was started because it had ended.
    starts: AtomicU64,
    /// Difference of its clock in seconds.
    clock: AtomicI64,
    /// The most resident memory that was seen, in KiB.
    peak_kib: AtomicU64,
    is_disk: bool,
}

impl World {
    pub(crate) async fn start(plan: &Plan, program: &Path, bug: &str) -> Self {
        let engine = plan.engine;
        let (folder, mut postgres) = (files::folder(), None);
        let mut store = "";
        let mut addresses = Vec::new();
        if engine == Engine::Postgres {
            let primary = Arc::new(Cluster::start());
            let database = primary.database().await;
            let proxies = vec![
                Proxy::start(primary.socket()),
                Proxy::start(primary.socket()),
            ];
            addresses = proxies
                .iter()
                .map(|proxy| database.address_at(proxy.socket()))
                .collect();
            let standby = primary.standby().await;
            postgres = Some(Postgres {
                primary: Mutex::new(primary),
                standby: Mutex::new(Some(standby)),
                proxies,
            });
            files::write_secret(&folder.path().join("postgres"), &addresses[0]);
            store = "[store]\npostgres_file = \"postgres\"";
        }
        let is_disk = engine == Engine::Sqlite;
        if is_disk {
            mount(&folder.path().join("state"));
        }
        let keys = keys::prepare(folder.path());
        let more = format!("{}{keys}{store}", policies::AWAY_ISSUER);
        let first = ServerFiles::prepare(folder, &policies::first(), UNLIMITED, &more).await;
        if plan.is_aged {
            age(&first, addresses.first()).await;
        }
        let mut all = Vec::new();
        if engine == Engine::Postgres {
            let second = first.replica();
            keys::copy(first.folder(), second.folder());
            files::write_secret(&second.path("postgres"), &addresses[1]);
            all.push(second);
        }
        all.insert(0, first);
        let mut daemons = Vec::new();
        for (number, files) in all.into_iter().enumerate() {
            daemons.push(Daemon::start(number, files, (program, bug), is_disk).await);
        }
        let keepers = daemons
            .iter()
            .map(|daemon| tokio::spawn(keep(daemon.clone())))
            .collect();
        Self {
            daemons,
            postgres,
            keepers,
        }
    }

    /// What each daemon took so far.
    pub(crate) fn costs(&self) -> Vec<Cost> {
        let of = |daemon: &Arc<Daemon>| Cost {
            daemon: daemon.number,
            peak_kib: daemon.peak_kib.load(Ordering::SeqCst),
            logged: daemon.files.log().len() as u64,
            starts: daemon.starts(),
        };
        self.daemons.iter().map(of).collect()
    }

    /// Ends every process.
    pub(crate) async fn end(&mut self) {
        self.keepers.iter().for_each(JoinHandle::abort);
        for daemon in &self.daemons {
            daemon.is_held.store(true, Ordering::SeqCst);
            *daemon.process.lock().await = None;
        }
    }

    /// Copies the folders of the daemons and what else is worth reading.
    pub(crate) fn keep(&self, name: &str, notes: &str) -> PathBuf {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&kept);
        fs::create_dir_all(&kept).unwrap();
        for daemon in &self.daemons {
            let to = kept.join(format!("daemon-{}", daemon.number));
            let copied = Command::new("cp")
                .arg("-a")
                .arg(daemon.files.folder())
                .arg(to)
                .status();
            assert!(copied.unwrap().success());
        }
        fs::write(kept.join("history"), notes).unwrap();
        kept
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.keepers.iter().for_each(JoinHandle::abort);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        *self.process.get_mut() = None;
        if self.is_disk {
            let state = self.files.path("state");
            let _ = Command::new("umount").arg("--lazy").arg(state).status();
        }
    }
}

impl Daemon {
    async fn start(
        number: usize,
        files: ServerFiles,
        (program, bug): (&Path, &str),
        is_disk: bool,
    ) -> Arc<Self> {
        fs::write(files.path("clock"), "+0").unwrap();
        let mut process = spawn(&files, program, bug, &[]);
        let api = opened(&files, &mut process).await;
        Arc::new(Self {
            number,
            files,
            api,
            program: program.to_owned(),
            bug: bug.to_owned(),
            process: Mutex::new(Some(process)),
            is_held: AtomicBool::new(false),
            starts: AtomicU64::new(0),
            clock: AtomicI64::new(0),
            peak_kib: AtomicU64::new(0),
            is_disk,
        })
    }

    /// Unix seconds by this daemon's clock.
    pub(crate) fn now(&self) -> i64 {
        super::support::now() + self.clock.load(Ordering::SeqCst)
    }

    /// Sets the difference of its clock.
    pub(crate) fn set_clock(&self, seconds: i64) {
        // Written aside: the daemon may read it at any moment.
        let aside = self.files.path("clock.new");
        fs::write(&aside, format!("{seconds:+}")).unwrap();
        fs::rename(aside, self.files.path("clock")).unwrap();
        self.clock.store(seconds, Ordering::SeqCst);
    }

    pub(crate) async fn kill(&self) {
        if let Some(process) = &mut *self.process.lock().await {
            let _ = process.0.kill();
            let _ = process.0.wait();
        }
    }

    /// Kills it and starts it again behind `prefix`, after `between`.
    pub(crate) async fn restart(&self, prefix: &[&str], between: impl FnOnce()) {
        let mut process = self.process.lock().await;
        *process = None;
        between();
        *process = Some(spawn(&self.files, &self.program, &self.bug, prefix));
    }

    /// How often it was started because it had ended.
    pub(crate) fn starts(&self) -> u64 {
        self.starts.load(Ordering::SeqCst)
    }

    pub(crate) async fn signal(&self, name: &str) {
        if let Some(process) = &mut *self.process.lock().await
            && matches!(process.0.try_wait(), Ok(None))
        {
            signal(process.0.id(), name);
        }
    }

    /// Ends it by SIGTERM. Returns false if it did not end in order.
    pub(crate) async fn terminate(&self) -> bool {
        self.signal("TERM").await;
        let mut process = self.process.lock().await;
        let Some(running) = &mut *process else {
            return true;
        };
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = running.0.try_wait() {
                *process = Some(spawn(&self.files, &self.program, &self.bug, &[]));
                return status.success();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    /// Fills the file system of its state. Dropping the file's path frees it.
    pub(crate) fn fill_disk(&self) -> PathBuf {
        let path = self.files.path("state").join("filler");
        let mut file = fs::File::create(&path).unwrap();
        let block = vec![0; 64 * 1024];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
        path
    }
}

/// A connection to a daemon that may have to read an aged ledger first.
async fn opened(files: &ServerFiles, process: &mut Process) -> Api {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let api = Api::try_open(&files.url(), files.tls_ca().as_bytes()).await;
        if let Some(api) = api {
            return api;
        }
        let is_running = matches!(process.0.try_wait(), Ok(None));
        assert!(
            is_running && Instant::now() < deadline,
            "the daemon does not start:\n{}",
            files.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Starts the daemon whenever it has ended.
async fn keep(daemon: Arc<Daemon>) {
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if daemon.is_held.load(Ordering::SeqCst) {
            continue;
        }
        let mut process = daemon.process.lock().await;
        if let Some(running) = &*process {
            daemon
                .peak_kib
                .fetch_max(resident(running.0.id()), Ordering::SeqCst);
        }
        if let Some(running) = &mut *process
            && !matches!(running.0.try_wait(), Ok(None))
        {
            daemon.starts.fetch_add(1, Ordering::SeqCst);
            *process = Some(spawn(&daemon.files, &daemon.program, &daemon.bug, &[]));
        }
    }
}

/// The most resident memory of a process so far in KiB; 0 if it has ended. Behind `strace -D` it
/// is the daemon's too.
fn resident(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).unwrap_or_default()
}

/// Appends events that change nothing, until the ledger has snapshots.
async fn age(files: &ServerFiles, address: Option<&String>) {
    let key = PrivateKey::read_openssh_file(&files.path("ledger_key")).unwrap();
    let seed = key.key_data().ed25519().unwrap().private.to_bytes();
    let signer = Signer::new("localhost/ledger", &seed).unwrap();
    let (folder, now) = (files.path("state"), time::OffsetDateTime::now_utc());
    let started = EventKind::started("0.1.0", "localhost");
    let store = match address {
        None => Store::open(&folder, signer, started, now).await,
        Some(address) => {
            let address = PostgresAddress::parse(address).unwrap();
            Store::open_on(&folder, &address, signer, started, now).await
        }
    };
    let store = Arc::new(store.unwrap());
    // As many at once as a busy daemon has: thousands in one statement would take seconds.
    for _ in 0..AGED / AT_ONCE {
        let mut records = JoinSet::new();
        for _ in 0..AT_ONCE {
            let store = store.clone();
            records.spawn(async move { store.record(aged(), now).await.unwrap() });
        }
        records.join_all().await;
    }
    Arc::into_inner(store).unwrap().close().await;
}

fn aged() -> EventKind {
    let name = || AGED_BY.to_owned();
    EventKind::Denied {
        who: Actor {
            issuer: name(),
            subject: name(),
            label: name(),
            claims: serde_json::json!({}).into(),
        },
        ask: RequestDetails::default(),
        key: None,
        reason: "NOT_ALLOWED".to_owned(),
        detail: name(),
        policy: policies::first_known().0,
        cut: false,
        unbound: false,
        by: None,
    }
}

/// strace runs beside the daemon (`-D`), so that the child is the daemon itself.
pub(crate) fn strace(call: &str, inject: &str) -> Vec<String> {
    let words = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e"];
    let mut words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    words.extend([
        format!("trace={call}"),
        "-e".to_owned(),
        format!("inject={call}:{inject}"),
    ]);
    words
}

fn spawn(files: &ServerFiles, program: &Path, bug: &str, prefix: &[&str]) -> Process {
    let clock = files.path("clock").display().to_string();
    let mut words: Vec<String> = prefix.iter().map(|&word| word.to_owned()).collect();
    words.extend([
        "env".to_owned(),
        format!("FAKETIME_TIMESTAMP_FILE={clock}"),
        "FAKETIME_CACHE_DURATION=1".to_owned(),
        format!("DAYPASS_DELIBERATE_BUG={bug}"),
    ]);
    words.extend(faketime::variables().map(|(name, value)| format!("{name}={value}")));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    files.spawn_program(program, &words, &[])
}

fn mount(path: &Path) {
    super::support::root::expect_root("chaos", "a small file system");
    fs::create_dir(path).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", DISK, "none"])
        .arg(path)
        .status();
    assert!(mounted.unwrap().success(), "cannot mount a tmpfs");
}
