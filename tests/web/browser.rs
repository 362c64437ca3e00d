//! A real Chromium, driven by `playwright-core` in a process of its own (`tests/web/browser.mjs`).

use std::{
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};
use x509_parser::pem::parse_x509_pem;

use crate::support::env::TestEnv;

/// For one step; none takes a tenth of it on an idle machine. Longer than the browser itself waits
/// for an element (`browser.mjs`), which then says for which.
const PATIENCE: Duration = Duration::from_secs(240);

/// A running browser. It ends when its stdin closes, which it does with this process.
pub(crate) struct Browser {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    folder: TempDir,
}

impl Browser {
    /// Starts one that trusts the certificate of this environment's server, and no other that the
    /// system does not trust.
    pub(crate) async fn start(env: &TestEnv) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web");
        assert!(
            folder.join("node_modules/playwright-core").is_dir(),
            "playwright-core is missing: npm ci --prefix tests/web (tests/run does it)"
        );
        assert!(
            Path::new("/usr/bin/chromium").exists(),
            "chromium is missing: apt-get install chromium (tests/run does it)"
        );
        let temporary = temporary();
        let mut process = Command::new(node())
            .arg(folder.join("browser.mjs"))
            .arg(spki(env))
            .arg(temporary.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is missing: apt-get install nodejs npm");
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            process,
            input,
            output,
            folder: temporary,
        }
    }

    /// Runs the body of an async JavaScript function, and returns its value.
    pub(crate) async fn run(&mut self, body: impl AsRef<str>) -> Value {
        let body = body.as_ref();
        self.tried(body)
            .await
            .unwrap_or_else(|error| panic!("{body}\n{error}"))
    }

    async fn tried(&mut self, body: &str) -> Result<Value, String> {
        let line = Value::from(body).to_string() + "\n";
        self.input.write_all(line.as_bytes()).await.unwrap();
        let answer = timeout(PATIENCE, self.output.next_line()).await;
        let answer = answer.map_err(|_| "the browser does not answer")?;
        let answer = answer.unwrap().ok_or("the browser ended")?;
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        match answer.get("error") {
            Some(error) => Err(error.as_str().unwrap().to_owned()),
            None => Ok(answer["value"].take()),
        }
    }

    /// Ends the browser in order, and removes its files.
    pub(crate) async fn close(self) {
        let Self {
            mut process,
            input,
            folder,
            ..
        } = self;
        drop(input);
        let ended = timeout(PATIENCE, process.wait()).await;
        ended.expect("the browser does not end").unwrap();
        folder.close().unwrap();
    }
}

/// A folder for the browser's temporary files. Its path is short and does not follow from the
/// checkout's: Chromium binds a Unix socket below it, whose path has 107 bytes at most.
fn temporary() -> TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix("dp-").tempdir_in("/tmp").unwrap()
}

/// A node that is new enough: the one of the OIDC provider's tests, if there is one.
fn node() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/oidc-provider/node_modules/node/bin/node");
    if own.is_file() { own } else { "node".into() }
}

/// SHA-256 of the server certificate's public key, as Chromium takes it.
fn spki(env: &TestEnv) -> String {
    let file = env.world().files().dir().join("tls.pem");
    let text = std::fs::read(file).unwrap();
    let (_, pem) = parse_x509_pem(&text).unwrap();
    let certificate = pem.parse_x509().unwrap();
    STANDARD.encode(Sha256::digest(certificate.public_key().raw))
}

/// In a checkout with a longer path than the author's, no browser started: its socket was below the
/// target folder.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_starts_in_a_checkout_of_any_path_and_leaves_no_file() {
    let env = TestEnv::start().await;
    let mut browser = Browser::start(&env).await;
    browser.run("await open();").await;
    let folder = browser.folder.path().to_owned();
    let entries = std::fs::read_dir(&folder).unwrap();
    let paths = entries.map(|it| it.unwrap().path().join("SingletonSocket"));
    let socket = paths
        .into_iter()
        .find(|it| std::fs::symlink_metadata(it).is_ok_and(|it| it.file_type().is_socket()));
    let socket = socket.expect("no socket of Chromium");
    assert!(socket.as_os_str().len() < 64, "{}", socket.display());
    assert!(!folder.starts_with(env!("CARGO_MANIFEST_DIR")));
    browser.close().await;
    assert!(!folder.exists(), "{}", folder.display());
    env.close().await;
}
