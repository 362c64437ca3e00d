//! A real `ssh-agent`.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use ssh_agent_lib::{agent::Session, client::Client};
use tokio::net::UnixStream;

/// A real ssh-agent, ended by id.
pub struct Agent {
    pub process: std::process::Child,
    pub socket: PathBuf,
}

impl Agent {
    pub async fn start(folder: &Path) -> Self {
        let socket = folder.join("agent");
        let process = std::process::Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("ssh-agent is missing: apt-get install openssh-client");
        let agent = Self { process, socket };
        tokio::time::timeout(Duration::from_secs(30), async {
            while agent.client().await.is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("the agent starts");
        agent
    }

    /// Makes a key by `ssh-keygen` with these options, in files `NAME` and `NAME.pub`, and adds it.
    pub fn add_new(&self, name: &Path, options: &[&str]) {
        let path = name.to_str().unwrap();
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-N", "", "-f", path])
            .args(options)
            .status();
        assert!(made.unwrap().success());
        self.add(name);
    }

    /// Adds a key from a file.
    pub fn add(&self, file: &Path) {
        let added = std::process::Command::new("ssh-add")
            .env("SSH_AUTH_SOCK", &self.socket)
            .arg("-q")
            .arg(file)
            .status();
        assert!(added.unwrap().success());
    }

    pub async fn client(&self) -> Option<Client<UnixStream>> {
        UnixStream::connect(&self.socket)
            .await
            .ok()
            .map(Client::new)
    }

    pub async fn keys(&self) -> usize {
        let mut client = self.client().await.unwrap();
        client.request_identities().await.unwrap().len()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
