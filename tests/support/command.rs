//! A whole world in which everybody has a state folder, and so a session, of their own.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use daypass::dev::World;
use serde_json::Value;
use tokio::process::Command;

/// Tests ask faster than people do.
const LIMITS: &str = r#"
[limits]
requests_per_address = { per_second = 100000, burst = 100000 }
requests_per_identity = { per_second = 100000, burst = 100000 }
"#;

/// A running world in which everybody has a state folder of their own.
pub struct Office {
    pub world: World,
    pub folder: tempfile::TempDir,
}

/// What a command did.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// The one JSON document on stdout, whatever the exit code.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// It ended so.
    pub fn exits(self, case: &str, code: i32) -> Self {
        assert_eq!(self.code, code, "{case}: {self:?}");
        self
    }
}

impl Office {
    /// These people are signed in.
    pub async fn open(people: &[&str]) -> Self {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = tempfile::tempdir_in(base).unwrap();
        let options = daypass::dev::world::Options {
            program: Some(env!("CARGO_BIN_EXE_daypass").into()),
            configuration: LIMITS.to_owned(),
            ..Default::default()
        };
        let world = World::start_with(&folder.path().join("world"), options)
            .await
            .unwrap();
        let office = Self { world, folder };
        for person in people {
            let done = office.run(person, "login --as", &[person]).await;
            done.exits("login", 0);
        }
        office
    }

    /// The command itself, with JSON.
    pub fn command(&self, person: &str, words: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_daypass"));
        let variables = self.world.variables();
        command
            .args(words.split_whitespace())
            .args(more)
            .env("DAYPASS_FORMAT", "json")
            .env_remove("SSH_AUTH_SOCK")
            .env_remove("DISPLAY")
            .env("HOME", self.folder.path())
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .env("DAYPASS_STATE_DIR", self.state(person))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// As [`Office::daypass`], with words that hold spaces.
    pub async fn run(&self, person: &str, words: &str, more: &[&str]) -> Done {
        let output = self.command(person, words, more).output().await.unwrap();
        Done {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Somebody's state folder.
    pub fn state(&self, person: &str) -> PathBuf {
        self.folder.path().join(person)
    }

    /// As somebody, with JSON.
    pub async fn daypass(&self, person: &str, words: impl AsRef<str>) -> Done {
        self.run(person, words.as_ref(), &[]).await
    }

    /// Ends the world in order.
    pub async fn close(self) {
        self.world.stop().await.unwrap();
    }
}
