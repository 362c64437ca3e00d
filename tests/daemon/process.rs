//! A server's folder made by `daypass init`, and the real program serving from it.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

/// Long enough for a slow machine; nothing here waits that long when it works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn daypass() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daypass"));
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID"] {
        command.env_remove(name);
    }
    for name in ["STATE_DIRECTORY", "CREDENTIALS_DIRECTORY", "DAYPASS_FORMAT"] {
        command.env_remove(name);
    }
    command
}

/// A folder that `daypass init` filled, on a free loopback port, with JSON logs.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self::with_issuer("http://127.0.0.1:1")
    }

    pub(crate) fn with_issuer(url: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let mut init = daypass();
        init.arg("init").arg(folder.path());
        init.args(["--name", "localhost", "--listen", "127.0.0.1:0"]);
        init.args(["--issuer", url, "--client-id", "daypass"]);
        succeed(init.output().unwrap());
        let home = Self { folder };
        home.edit("daypass.toml", "format = \"text\"", "format = \"json\"");
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("daypass.toml")
    }

    /// Replaces text that must be there.
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{from:?} is not in {name}");
        fs::write(self.path(name), text.replacen(from, to, 1)).unwrap();
    }

    pub(crate) fn serve(&self) -> Command {
        let mut command = daypass();
        command.arg("serve").arg("--config").arg(self.config());
        command
    }

    /// Starts and waits until it is ready.
    pub(crate) fn start(&self) -> Daemon {
        Daemon::spawn(&mut self.serve())
    }
}

pub(crate) fn succeed(output: Output) -> Output {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    output
}

/// A running `daypass serve`. Dropping it kills it.
pub(crate) struct Daemon {
    child: Child,
    log: Receiver<String>,
    pub(crate) address: SocketAddr,
}

impl Daemon {
    /// Starts and waits until it is ready.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut daemon = Self::launch(command).unwrap();
        daemon.wait_until_ready();
        daemon
    }

    pub(crate) fn launch(command: &mut Command) -> io::Result<Self> {
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (lines, log) = mpsc::channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        Ok(Self {
            child,
            log,
            address: ([127, 0, 0, 1], 0).into(),
        })
    }

    pub(crate) fn wait_until_ready(&mut self) {
        let ready = self.logged("ready");
        self.address = ready["address"].as_str().unwrap().parse().unwrap();
    }

    fn line(&self, awaited: &str) -> String {
        let line = self.log.recv_timeout(PATIENCE);
        line.unwrap_or_else(|error| panic!("no line {awaited:?}: {error}"))
    }

    /// The next line that holds `text`, from a program that does not speak JSON.
    pub(crate) fn line_with(&self, text: &str) {
        while !self.line(text).contains(text) {}
    }

    /// The next log line with this message. Every line before it must be JSON too.
    pub(crate) fn logged(&self, message: &str) -> Value {
        loop {
            let line = self.line(message);
            let event: Value = serde_json::from_str(&line)
                .unwrap_or_else(|error| panic!("log line {line:?} is not JSON: {error}"));
            if event["message"] == message {
                return event;
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    pub(crate) fn stop(self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn signal(process: u32, name: &str) {
    let process = process.to_string();
    let status = Command::new("kill").args(["-s", name, &process]).status();
    assert!(status.unwrap().success());
}

/// What `path` answers to a client that trusts `certificate` alone.
pub(crate) async fn get(
    address: SocketAddr,
    certificate: &Path,
    path: &str,
) -> Result<reqwest::Response, reqwest::Error> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let pem = fs::read(certificate).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem).unwrap())
        .resolve("localhost", address)
        .no_proxy()
        .build()
        .unwrap();
    let url = format!("https://localhost:{}{path}", address.port());
    client.get(url).send().await
}
