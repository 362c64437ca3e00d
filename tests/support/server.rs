//! The server of a test: a daemon in this process as part of a dev world, or `daypass serve` in a
//! process of its own, as an operator runs it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use daypass::{
    config::Config,
    dev::{issuer::Issuer, world::World},
    identity::issuer::Algorithm,
};
use tempfile::TempDir;

use super::{
    api::{Api, Caller},
    command::DAYPASS,
    files, ports,
};

/// A server that runs.
pub enum TestServer {
    /// A dev world, and the folder that it is in.
    InProcess(Box<World>, TempDir),
    /// A process over its files.
    Process(ServerFiles, Process),
}

impl TestServer {
    /// Opens a connection; a process must become ready.
    pub async fn open(&mut self) -> Api {
        match self {
            Self::InProcess(world, _) => {
                let (url, ca) = world.server();
                let api = Api::open(&url, ca.as_bytes()).await;
                api.with_authority(world.daemon().unwrap().authority())
            }
            Self::Process(files, process) => files.expect_api(process).await,
        }
    }

    /// The dev world; a process has none.
    pub fn world(&self) -> &World {
        match self {
            Self::InProcess(world, _) => world,
            Self::Process(..) => panic!("the daemon runs in a process of its own"),
        }
    }

    /// The dev world, to stop and start parts of it.
    pub fn world_mut(&mut self) -> &mut World {
        match self {
            Self::InProcess(world, _) => world,
            Self::Process(..) => panic!("the daemon runs in a process of its own"),
        }
    }

    pub fn issuer(&self) -> &Issuer {
        match self {
            Self::InProcess(world, _) => world.issuer(),
            Self::Process(files, _) => &files.issuer,
        }
    }

    /// `https://localhost:PORT`
    pub fn url(&self) -> String {
        match self {
            Self::InProcess(world, _) => world.server().0,
            Self::Process(files, _) => files.url(),
        }
    }

    /// The port of its URL.
    pub fn port(&self) -> u16 {
        let url = self.url();
        url.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// The root that its TLS certificate is trusted by (PEM).
    pub fn tls_ca(&self) -> String {
        match self {
            Self::InProcess(world, _) => world.server().1,
            Self::Process(files, _) => files.tls_ca.clone(),
        }
    }

    pub fn folder(&self) -> &Path {
        match self {
            Self::InProcess(_, folder) => folder.path(),
            Self::Process(files, _) => files.folder(),
        }
    }

    /// Everything that a process logged; a daemon in this process logs into the test's own log.
    pub fn log(&self) -> String {
        match self {
            Self::InProcess(..) => panic!("the daemon has no process of its own"),
            Self::Process(files, _) => files.log(),
        }
    }

    /// The process of a daemon that has one of its own.
    pub fn process(&mut self) -> &mut Process {
        match self {
            Self::InProcess(..) => panic!("the daemon has no process of its own"),
            Self::Process(_, process) => process,
        }
    }

    /// The process id of a daemon that has a process of its own.
    pub fn process_id(&self) -> u32 {
        match self {
            Self::InProcess(..) => panic!("the daemon has no process of its own"),
            Self::Process(_, process) => process.0.id(),
        }
    }

    /// The variables that point `daypass` to this server.
    pub fn variables(&self) -> Vec<(String, String)> {
        match self {
            Self::InProcess(world, _) => {
                let variables = world.variables().iter();
                variables
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect()
            }
            Self::Process(files, _) => vec![
                ("DAYPASS_SERVER".to_owned(), files.url()),
                (
                    "DAYPASS_CA_FILE".to_owned(),
                    files.path("tls.pem").display().to_string(),
                ),
            ],
        }
    }

    /// Ends the daemon (in this process in order, else by SIGKILL) and starts it again at the same
    /// address.
    pub async fn restart(&mut self) {
        match self {
            Self::InProcess(world, _) => world.restart_daemon().await.unwrap(),
            Self::Process(files, process) => {
                process.kill();
                *process = files.spawn(&[]);
            }
        }
    }
}

/// The files of one daemon, and the issuer that it trusts.
pub struct ServerFiles {
    folder: TempDir,
    port: u16,
    tls_ca: String,
    /// The loopback issuer.
    pub issuer: Arc<Issuer>,
}

/// Its process; killed by id when dropped.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Its exit status; it must end within a minute.
    pub async fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the daemon goes on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends it by SIGKILL.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Ends it in order, by SIGTERM, which must succeed.
    pub async fn stop(mut self) {
        signal(self.0.id(), "TERM");
        let status = self.ended().await;
        assert!(status.success(), "{status}");
    }
}

/// Sends a signal by its name.
pub fn signal(process: u32, name: &str) {
    let process = process.to_string();
    let status = Command::new("kill").args(["-s", name, &process]).status();
    assert!(status.unwrap().success());
}

impl ServerFiles {
    /// Writes configuration, policy, keys and TLS certificate into `folder`.
    pub async fn prepare(folder: TempDir, policy: &str, limits: &str, more: &str) -> Self {
        let issuer = Arc::new(Issuer::start().await.unwrap());
        let port = ports::free_port();
        let path = folder.path();
        let tls_ca = write_tls(path);
        files::write_key(&path.join("ca_key"), &files::new_key());
        files::write_key(&path.join("ledger_key"), &files::new_key());
        fs::write(path.join("policy.toml"), policy).unwrap();
        let configuration = configuration(port, issuer.url());
        let configuration = format!("{configuration}[limits]\n{limits}\n{more}\n");
        fs::write(path.join("daypass.toml"), configuration).unwrap();
        let config = Config::load(&path.join("daypass.toml")).unwrap();
        daypass::daemon::prepare(&config).await.unwrap();
        Self {
            folder,
            port,
            tls_ca,
            issuer,
        }
    }

    /// The files of another daemon with the same name, keys and policy: a port of its own, and no
    /// state.
    pub fn replica(&self) -> Self {
        let folder = files::folder();
        let names = ["policy.toml", "tls.pem", "tls.key", "ca_key", "ledger_key"];
        for name in names {
            fs::copy(self.path(name), folder.path().join(name)).unwrap();
        }
        self.moved_to(folder)
    }

    /// A copy with all of the state, at a port of its own. The daemon must not run.
    pub fn copy(&self) -> Self {
        let folder = files::folder();
        let copied = Command::new("cp")
            .arg("-a")
            .args([self.path("."), folder.path().to_owned()])
            .status();
        assert!(copied.unwrap().success());
        self.moved_to(folder)
    }

    /// The daemon of a folder with these files, at a port of its own.
    fn moved_to(&self, folder: TempDir) -> Self {
        let port = ports::free_port();
        let text = fs::read_to_string(self.configuration()).unwrap();
        let text = text.replace(&format!(":{}\"", self.port), &format!(":{port}\""));
        fs::write(folder.path().join("daypass.toml"), text).unwrap();
        Self {
            folder,
            port,
            tls_ca: self.tls_ca.clone(),
            issuer: self.issuer.clone(),
        }
    }

    /// Names another CA key by these lines of `[[ca.key]]`, and removes the file of the first.
    pub fn replace_ca_key(&self, lines: &str) {
        let path = self.configuration();
        let text = fs::read_to_string(&path).unwrap();
        let old = text.lines().find(|line| line.contains("ca_key")).unwrap();
        fs::write(&path, text.replace(old, lines)).unwrap();
        fs::remove_file(self.path("ca_key")).unwrap();
    }

    /// Starts the daemon behind `prefix` (strace and its options, or nothing).
    pub fn spawn(&self, prefix: &[&str]) -> Process {
        self.spawn_with(prefix, &[])
    }

    /// The same with more options.
    pub fn spawn_with(&self, prefix: &[&str], options: &[&str]) -> Process {
        self.spawn_program(Path::new(DAYPASS), prefix, options)
    }

    /// The same with another build of the daemon.
    pub fn spawn_program(&self, program: &Path, prefix: &[&str], options: &[&str]) -> Process {
        let program = program.to_str().unwrap();
        let words: Vec<&str> = prefix
            .iter()
            .copied()
            .chain([program, "serve", "--config"])
            .collect();
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("daemon.log"))
            .unwrap();
        let child = Command::new(words[0])
            .args(&words[1..])
            .arg(self.configuration())
            .args(options)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error} (apt-get install strace)", words[0]));
        Process(child)
    }

    /// A connection to it once it is ready; none if it ended first.
    pub async fn api(&self, process: &mut Process) -> Option<Api> {
        let deadline = Instant::now() + Duration::from_secs(120);
        while process.0.try_wait().unwrap().is_none() {
            if let Some(api) = Api::try_open(&self.url(), self.tls_ca.as_bytes()).await {
                return Some(api);
            }
            assert!(
                Instant::now() < deadline,
                "daemon is not ready after two minutes:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }

    /// A connection to it once it is ready; it must become so.
    pub async fn expect_api(&self, process: &mut Process) -> Api {
        let api = self.api(process).await;
        api.unwrap_or_else(|| panic!("the daemon ended: {}", self.log()))
    }

    /// An ES256 token that is bound to the caller's key.
    pub fn token(&self, caller: &Caller, subject: &str, groups: &[&str]) -> String {
        let claims = caller.claims(self.issuer.url(), subject, groups, super::now());
        self.issuer.sign(Algorithm::ES256, &claims)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `daypass.toml`
    pub fn configuration(&self) -> PathBuf {
        self.path("daypass.toml")
    }

    /// `https://localhost:PORT`
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// The root that its TLS certificate is trusted by (PEM).
    pub fn tls_ca(&self) -> &str {
        &self.tls_ca
    }

    /// Everything that its runs logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("daemon.log")).unwrap_or_default()
    }
}

fn configuration(port: u16, issuer: &str) -> String {
    format!(
        r#"
name = "localhost"
listen = "127.0.0.1:{port}"
state = "state"
policy = "policy.toml"
[tls]
certificate = "tls.pem"
key = "tls.key"
[[ca.key]]
file = "ca_key"
state = "active"
[ledger]
key = "ledger_key"
[[issuer]]
name = "dev"
url = "{issuer}"
client_id = "daypass"
algorithms = ["ES256", "RS256", "EdDSA"]
binding = "nonce"
"#
    )
}

fn write_tls(folder: &Path) -> String {
    // The second name is for tests with two servers at different addresses.
    let names = ["localhost", "second.example"].map(str::to_owned);
    let certified = rcgen::generate_simple_self_signed(names).unwrap();
    fs::write(folder.join("tls.pem"), certified.cert.pem()).unwrap();
    let key = certified.signing_key.serialize_pem();
    files::write_secret(&folder.join("tls.key"), &key);
    certified.cert.pem()
}
