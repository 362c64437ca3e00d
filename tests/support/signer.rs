//! `daypass signer` in a process of its own, as an operator runs it.

use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    command::DAYPASS,
    files,
    server::{Process, ServerFiles},
};

/// The verifier key of a server's ledger.
pub fn verifier(files: &ServerFiles) -> String {
    let output = Command::new(DAYPASS)
        .args(["serve", "--check", "--offline", "--config"])
        .arg(files.configuration())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let (_, rest) = said.split_once("verifier key is ").expect(&said);
    rest.split_whitespace().next().unwrap().to_owned()
}

/// The files of one signer.
pub struct SignerFiles {
    folder: PathBuf,
}

impl SignerFiles {
    /// Writes the configuration of a signer for the ledger with this verifier key, with the lines
    /// of `[key]`. Its memory is not begun yet.
    pub fn prepare(folder: &Path, ledger: &str, key: &str, ceilings: &str) -> Self {
        let folder = folder.join("signer");
        fs::create_dir(&folder).unwrap();
        files::chmod(&folder, 0o755);
        fs::create_dir(folder.join("state")).unwrap();
        files::chmod(&folder.join("state"), 0o700);
        let user = rustix::process::getuid().as_raw();
        let text = format!(
            "socket = \"socket\"\nstate = \"state\"\ncallers = [\"{user}\"]\nledger = \"{ledger}\"\n[key]\n{key}\n{ceilings}"
        );
        fs::write(folder.join("signer.toml"), text).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("socket")
    }

    /// Runs `daypass signer` with these words and its configuration to its end.
    pub fn run(&self, words: &[&str]) -> (bool, String) {
        let output = Command::new(DAYPASS)
            .arg("signer")
            .args(words)
            .arg("--config")
            .arg(self.path("signer.toml"))
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    pub fn must(&self, words: &[&str]) -> String {
        let (is_good, said) = self.run(words);
        assert!(is_good, "{words:?}: {said}");
        said
    }

    /// Starts it behind `prefix`, and waits for its socket.
    pub fn spawn(&self, prefix: &[&str]) -> Process {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        let configuration = self.path("signer.toml");
        let words = [
            DAYPASS,
            "signer",
            "--config",
            configuration.to_str().unwrap(),
        ];
        let words = [prefix, &words].concat();
        let child = Command::new(words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut process = Process(child);
        let deadline = Instant::now() + Duration::from_secs(120);
        while UnixStream::connect(self.socket()).is_err() {
            let ended = process.0.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", self.log());
            assert!(Instant::now() < deadline, "not ready: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        process
    }

    /// Everything that its runs logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}
