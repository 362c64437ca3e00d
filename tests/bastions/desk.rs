//! A user with a terminal in a running world whose policy has a bastion.

use std::{path::PathBuf, process::Stdio, time::Duration};

use daypass::dev::world::{Options, World};
use serde_json::Value;
use tokio::process::Command;

/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) const DAYPASS: &str = env!("CARGO_BIN_EXE_daypass");

/// The world, and a folder out of the world-writable one: sshd looks at who may write.
pub(super) struct Desk {
    pub(super) world: World,
    pub(super) folder: tempfile::TempDir,
}

/// What a command did.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Done {
    pub(super) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.stderr);
        serde_json::from_str(&self.stdout).expect(&self.stdout)
    }
}

impl Desk {
    /// Alice has signed in.
    pub(super) async fn start(policy: &str) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let options = Options {
            program: Some(DAYPASS.into()),
            policy: Some(policy.to_owned()),
            without_sshd: true,
            ..Options::default()
        };
        let inside = folder.path().join("world");
        let world = World::start_with(&inside, options).await.unwrap();
        let desk = Self { world, folder };
        desk.json(&["login", "--as", "alice"]).await;
        desk
    }

    pub(super) fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        let variables = self.world.variables().iter();
        command
            .args(words)
            .env_remove("SSH_AUTH_SOCK")
            .env_remove("DISPLAY")
            .env("HOME", self.folder.path())
            .envs(variables.map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub(super) async fn daypass(&self, words: &[&str]) -> Done {
        done(self.command(DAYPASS, words)).await
    }

    pub(super) async fn json(&self, words: &[&str]) -> Value {
        let words = [words, &["--format", "json"]].concat();
        self.daypass(&words).await.json()
    }

    /// The folder of the pass for plain ssh to `host`.
    pub(super) fn of_host(&self, host: &str) -> PathBuf {
        let state = self.world.files().client_state();
        state.join("hosts").join(host)
    }
}

/// How a command ended; it must do so in time.
pub(super) async fn done(mut command: Command) -> Done {
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.expect("it took too long").unwrap();
    Done {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
