//! A host in a folder: an sshd configuration of its own, and `daypass host` run on it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::fake_ca::FakeCa;

/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The host.
pub(crate) struct Host {
    folder: TempDir,
    /// Under which it has its etc/ssh.
    pub(crate) root: PathBuf,
}

impl Host {
    /// A fresh one, whose sshd listens nowhere yet.
    pub(crate) async fn new() -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        // sshd as root refuses to run without it.
        let _ = fs::create_dir("/run/sshd");
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("etc/ssh/sshd_config.d")).unwrap();
        let host = Self { folder, root };
        let key = host.path("host_key");
        run(
            "ssh-keygen",
            &["-q", "-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()],
        )
        .await;
        host.configure("");
        host
    }

    /// Writes sshd_config, with `more` below the usual.
    pub(crate) fn configure(&self, more: &str) {
        let etc = self.path("");
        let text = format!(
            "Include {0}sshd_config.d/*.conf\nHostKey {0}host_key\nListenAddress 127.0.0.1\nPidFile none\n\
             LogLevel VERBOSE\nAuthorizedKeysFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\nUsePAM no\nStrictModes no\n{more}",
            etc.display()
        );
        fs::write(self.path("sshd_config"), text).unwrap();
    }

    /// A path in etc/ssh.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join("etc/ssh").join(name)
    }

    /// Another Ed25519 host key in the place of the first one, as of a machine installed anew.
    pub(crate) fn replace_key(&self) {
        for name in ["host_key", "host_key.pub"] {
            fs::remove_file(self.path(name)).unwrap();
        }
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-N", "", "-t", "ed25519", "-f"])
            .arg(self.path("host_key"))
            .status();
        assert!(made.unwrap().success());
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Every file in etc/ssh with its mode and bytes, but the record of a failed sync.
    pub(crate) fn everything(&self) -> Vec<(PathBuf, u32, Vec<u8>)> {
        let mut found = Vec::new();
        collect(&self.root, &mut found);
        found.retain(|(path, _, _)| !path.ends_with("sync-failed.json"));
        found.sort();
        found
    }

    /// `daypass host ARGUMENTS --root ...`
    pub(crate) async fn daypass(&self, arguments: &[&str]) -> Output {
        self.daypass_in(&[], arguments).await
    }

    /// The same with more variables.
    pub(crate) async fn daypass_with(
        &self,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Output {
        let set = variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        self.daypass_in(&set.collect::<Vec<_>>(), arguments).await
    }

    /// The same behind these words, such as those that enter a namespace.
    pub(crate) async fn daypass_in(&self, before: &[String], arguments: &[&str]) -> Output {
        let mut command = Command::new("/usr/bin/env");
        command
            .args(before)
            .arg(env!("CARGO_BIN_EXE_daypass"))
            .arg("host")
            .args(arguments)
            .arg("--root")
            .arg(&self.root);
        for variable in ["DAYPASS_FORMAT", "DAYPASS_SERVER", "DAYPASS_CA_FILE"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output());
        output.await.expect("daypass took too long").unwrap()
    }

    /// As [`Host::daypass`] with JSON; demands success.
    pub(crate) async fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--format", "json"]].concat();
        let output = self.daypass(&arguments).await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// As [`Host::json`], of a command that reports and finds something wrong.
    pub(crate) async fn finds(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--format", "json"]].concat();
        let output = self.daypass(&arguments).await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// As [`Host::daypass`] with JSON; demands a failure and answers its exit code and reason.
    pub(crate) async fn fails(&self, arguments: &[&str]) -> (i32, String, String) {
        let arguments = [arguments, &["--format", "json"]].concat();
        let output = self.daypass(&arguments).await;
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        let text = |name: &str| error["error"][name].as_str().unwrap_or_default().to_owned();
        (
            output.status.code().unwrap(),
            text("reason"),
            text("message"),
        )
    }

    /// `host setup` for this server.
    pub(crate) async fn set_up(&self, server: &FakeCa, more: &[&str]) -> Value {
        self.set_up_at(&server.url, &server.roots, more).await
    }

    /// `host setup` for the server at this address, with these TLS roots (PEM).
    pub(crate) async fn set_up_at(&self, url: &str, roots: &str, more: &[&str]) -> Value {
        let roots = self.keep_roots(roots);
        self.json(&setup_arguments(url, &roots, more)).await
    }

    /// Writes the server's TLS roots to a file.
    pub(crate) fn roots(&self, server: &FakeCa) -> String {
        self.keep_roots(&server.roots)
    }

    pub(crate) fn keep_roots(&self, roots: &str) -> String {
        let path = self.folder.path().join("roots.pem");
        fs::write(&path, roots).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// The arguments of `host setup`.
pub(crate) fn setup_arguments<'a>(url: &'a str, roots: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["setup", "--server", url, "--ca-file", roots], more].concat()
}

async fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().await;
    let output = output.unwrap_or_else(|_| panic!("{program} is missing"));
    assert!(output.status.success(), "{output:?}");
}

fn collect(folder: &Path, found: &mut Vec<(PathBuf, u32, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        if path.is_dir() {
            found.push((path.clone(), mode, Vec::new()));
            collect(&path, found);
        } else {
            found.push((path.clone(), mode, fs::read(&path).unwrap()));
        }
    }
}
