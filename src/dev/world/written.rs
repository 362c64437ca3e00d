//! The files that a world writes for the daemon, for ssh and for shells.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use super::{options::NAME, paths::Files};
use crate::{
    client::{self, state::State},
    dev::{
        Error, files,
        issuer::{CLIENT_ID, Issuer},
        person::WORLD_VARIABLE,
        receiver::{Receiver, fresh_secret},
        sshd::Sshd,
    },
};

/// The host that the throw-away sshd plays.
const HOST: &str = "web-1";

const POLICY: &str = include_str!("policy.toml");

/// The section of known hosts.
pub(super) const HOSTS: &str = r#"[hosts]
[[hosts.key]]
file = "host_ca_key"
state = "active"
"#;

/// Writes `policy.toml`: `wish`, else the existing one, else the usual one. Fills in `@user@`,
/// `@issuer@` and the registered keys (`@alice_key@`, `@bob_key@`).
pub(super) fn policy(
    to: &Files,
    wish: Option<String>,
    user: &str,
    issuer: &Issuer,
) -> Result<(), Error> {
    let path = to.policy();
    let mut text = match wish {
        Some(text) => text,
        None if path.exists() => return Ok(()),
        None => POLICY.to_owned(),
    };
    text = text
        .replace("@user@", user)
        .replace("@issuer@", issuer.url());
    files::make_folder(&to.at("emergency"))?;
    for name in REGISTERED {
        let key = files::keep_key(&to.emergency_key(name), &format!("{name} in an emergency"))?;
        text = text.replace(&format!("@{name}_key@"), &key);
    }
    files::write(&path, &text)
}

/// The people whose keys are registered for an outage of the issuer.
const REGISTERED: [&str; 2] = ["alice", "bob"];

/// What the configurations of a world's servers have in common.
pub(super) struct Servers<'w> {
    pub(super) count: u8,
    pub(super) issuer: &'w Issuer,
    pub(super) receiver: &'w Receiver,
    /// More sections.
    pub(super) more: String,
    pub(super) is_shared: bool,
}

impl Servers<'_> {
    /// Writes the configuration of one server, and makes its state folder. They are `daypass.toml`
    /// and `state`, or with a shared ledger `daypass.toml`, `daypass-2.toml`, ... and `state-1`,
    /// `state-2`, ...
    pub(super) fn write(&self, to: &Files, number: u8, port: u16) -> Result<PathBuf, Error> {
        let state = match self.is_shared {
            true => format!("state-{number}"),
            false => "state".to_owned(),
        };
        let path = match number {
            1 => to.configuration(),
            _ => to.at(&format!("daypass-{number}.toml")),
        };
        files::make_folder(&to.at(&state))?;
        files::write(&path, &self.text(&state, port))?;
        Ok(path)
    }

    fn text(&self, state: &str, port: u16) -> String {
        format!(
            r#"# Written by `daypass dev` at every start: change the policy instead.
name = "{NAME}"
listen = "127.0.0.1:{port}"
state = "{state}"
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
url = "{url}"
client_id = "{CLIENT_ID}"
algorithms = ["ES256", "EdDSA", "RS256"]
binding = "nonce"
device_flow = true

[[webhook]]
name = "dev"
url = "{receiver}"
secret_file = "webhook.secret"
networks = ["127.0.0.1/32"]

[web]

{more}"#,
            receiver = self.receiver.url(),
            url = self.issuer.url(),
            more = self.more,
        )
    }
}

/// The secret that the daemon and the world's receiver share. It is made once and kept.
pub(super) fn webhook_secret(of: &Files) -> Result<String, Error> {
    let path = of.webhook_secret();
    if !path.exists() {
        files::write(&path, &format!("{}\n", fresh_secret()))?;
    }
    Ok(files::read(&path)?.trim().to_owned())
}

/// The variables that a process needs to be in this world.
pub(super) fn variables(
    of: &Files,
    server: &str,
    sshd: Option<&Sshd>,
) -> Vec<(&'static str, String)> {
    let path = |path: &Path| path.display().to_string();
    let mut variables = vec![
        ("DAYPASS_SERVER", server.to_owned()),
        ("DAYPASS_STATE_DIR", path(&of.client_state())),
        ("DAYPASS_CA_FILE", path(&of.tls_ca())),
        (WORLD_VARIABLE, path(of.dir())),
    ];
    if let Some(sshd) = sshd {
        variables.extend([
            ("DAYPASS_SSH_CONFIG", path(&of.ssh_config())),
            ("DAYPASS_SSHD_PORT", sshd.port().to_string()),
            ("DAYPASS_KNOWN_HOSTS", path(&of.known_hosts())),
        ]);
    }
    variables
}

/// Writes `known_hosts` and `ssh_config`, if there is an sshd.
pub(super) fn ssh_files(to: &Files, program: &Path, sshd: Option<&Sshd>) -> Result<(), Error> {
    let Some(sshd) = sshd else {
        return Ok(());
    };
    let port = sshd.port();
    let key = sshd.host_key();
    let known = format!("{HOST},[127.0.0.1]:{port},[localhost]:{port} {key}\n");
    files::write(&to.known_hosts(), &known)?;
    let config = ssh_config(to, program, sshd).map_err(|error| Error::Ssh(error.into()))?;
    files::write(&to.ssh_config(), &config)
}

fn ssh_config(of: &Files, program: &Path, sshd: &Sshd) -> Result<String, client::Error> {
    let state = State::new(&of.client_state())?;
    let block = client::ssh_config::block(program, &state, &["web-*".to_owned()])?;
    Ok(format!(
        r#"# Written by `daypass dev` at every start.
Host {HOST}
  HostName 127.0.0.1
  Port {port}
  HostKeyAlias {HOST}
  UserKnownHostsFile {known_hosts}
  StrictHostKeyChecking yes

{block}"#,
        port = sshd.port(),
        known_hosts = client::words::quote(&of.known_hosts())?,
    ))
}

/// Writes `env`. It must be the last file, because a process that finds it expects a running world.
pub(super) fn env(
    to: &Files,
    program: &Path,
    variables: &[(&'static str, String)],
) -> Result<(), Error> {
    let mut text = "# Written by `daypass dev`: read it with `. env`.\n".to_owned();
    for (name, value) in variables {
        let _ = writeln!(text, "export {name}={}", quoted(value));
    }
    if let Some(folder) = program.parent() {
        let folder = quoted(&folder.display().to_string());
        let _ = writeln!(text, "export PATH={folder}:\"$PATH\"");
    }
    let fresh = to.at("env.new");
    files::write(&fresh, &text)?;
    std::fs::rename(&fresh, to.env()).map_err(files::failed("write", &to.env()))
}

/// One word for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
