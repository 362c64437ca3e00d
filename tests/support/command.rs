//! The `daypass` program as a user at a terminal, or a script, runs it.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::process::Command;

/// Bound on one command; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(180);

/// The program under test.
pub const DAYPASS: &str = env!("CARGO_BIN_EXE_daypass");

/// Result of a command.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Done {
    /// Runs a command to its end.
    pub async fn of(mut command: Command) -> Self {
        command.kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output()).await;
        let output = output.unwrap_or_else(|_| panic!("it takes too long: {command:?}"));
        output
            .unwrap_or_else(|error| panic!("{command:?}: {error}"))
            .into()
    }

    /// The one JSON document on stdout, with any exit code.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The JSON document on stdout of a command that must succeed.
    pub fn success(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        self.json()
    }

    /// The error that a failed command with `--format json` writes as the last line of stderr.
    pub fn error(&self) -> Value {
        let line = self.stderr.lines().last().unwrap_or_default();
        let document: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        document["error"].clone()
    }

    /// Demands this exit code.
    pub fn exits(self, case: &str, code: i32) -> Self {
        assert_eq!(self.code, code, "{case}: {self:?}");
        self
    }
}

/// Runs a program to its end. Returns whether it succeeded, and all that it said.
pub fn run(program: &str, words: &[&str], variables: &[(&str, &Path)]) -> (bool, String) {
    let mut command = std::process::Command::new(program);
    command
        .args(words)
        .envs(variables.iter().map(|(name, value)| (name, value)));
    let output = command
        .output()
        .unwrap_or_else(|_| panic!("{program} is missing"));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// What a program says that must succeed.
pub fn must(program: &str, words: &[&str], variables: &[(&str, &Path)]) -> String {
    let (is_good, said) = run(program, words, variables);
    assert!(is_good, "{program} {words:?}: {said}");
    said
}

/// A terminal: a state folder and the variables of one server, without the machine's own agent,
/// display and home.
#[derive(Clone, Debug)]
pub struct Terminal {
    pub home: PathBuf,
    pub state: PathBuf,
    pub variables: Vec<(String, String)>,
}

impl Terminal {
    /// Another program in this environment.
    pub fn program(&self, program: impl AsRef<OsStr>, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(words)
            .env_remove("SSH_AUTH_SOCK")
            .env_remove("DISPLAY")
            .env_remove("DAYPASS_FORMAT")
            .env("HOME", &self.home)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env("DAYPASS_STATE_DIR", &self.state)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// `daypass WORDS`
    pub fn command(&self, words: &[&str]) -> Command {
        self.program(DAYPASS, words)
    }

    /// Runs `daypass WORDS`.
    pub async fn run(&self, words: &[&str]) -> Done {
        Done::of(self.command(words)).await
    }

    /// Runs `daypass WORDS --format json`.
    pub async fn run_json(&self, words: &[&str]) -> Done {
        self.run(&[words, &["--format", "json"]].concat()).await
    }

    /// Runs `daypass WORDS --format json`, which must succeed.
    pub async fn json(&self, words: &[&str]) -> Value {
        let done = self.run_json(words).await;
        assert_eq!(done.code, 0, "{words:?}: {done:?}");
        done.json()
    }

    /// Signs in as a person of the dev world.
    pub async fn sign_in(&self, name: &str) {
        let signed_in = self.json(&["login", "--as", name]).await;
        assert_eq!(signed_in["subject"], name);
    }

    /// The folder of the pass for plain ssh to `host`.
    pub fn of_host(&self, host: &str) -> PathBuf {
        self.state.join("hosts").join(host)
    }

    /// A file in the state folder.
    pub fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.state.join(name)
    }
}
