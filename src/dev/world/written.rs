//! What a world writes for the daemon, for ssh and for shells.

use std::{collections::BTreeSet, fmt::Write as _, net::TcpListener, path::Path};

use super::{Files, NAME, Options};
use crate::dev::{
    Error, files,
    issuer::{CLIENT_ID, Issuer},
    person::WORLD_VARIABLE,
    ports,
    sshd::Sshd,
};

/// The host that the throw-away sshd plays.
const HOST: &str = "web-1";

const POLICY: &str = include_str!("policy.toml");

/// Writes `policy.toml`: `wish`, else what is there, else the usual one with `@user@` filled in.
pub(super) fn policy(to: &Files, wish: Option<String>, user: &str) -> Result<(), Error> {
    let path = to.policy();
    match wish {
        Some(text) => files::write(&path, &text),
        None if path.exists() => Ok(()),
        None => files::write(&path, &POLICY.replace("@user@", user)),
    }
}

/// Writes `daypass.toml`.
pub(super) fn configuration(
    to: &Files,
    issuer: &Issuer,
    listener: &TcpListener,
    options: &Options,
) -> Result<(), Error> {
    let port = ports::of(listener)?;
    let text = format!(
        r#"# Written by `daypass dev` at every start: change the policy instead.
name = "{NAME}"
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
url = "{url}"
client_id = "{CLIENT_ID}"
algorithms = ["ES256", "EdDSA", "RS256"]
binding = "nonce"
device_flow = true

{more}"#,
        url = issuer.url(),
        more = options.configuration,
    );
    files::make_folder(&to.at("state"))?;
    files::write(&to.configuration(), &text)
}

/// What a process needs to be in this world.
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

/// Writes `known_hosts` and `ssh_config`, where there is an sshd.
pub(super) fn ssh_files(
    to: &Files,
    program: &Path,
    variables: &[(&'static str, String)],
    sshd: Option<&Sshd>,
) -> Result<(), Error> {
    let Some(sshd) = sshd else {
        return Ok(());
    };
    let port = sshd.port();
    let key = sshd.host_key();
    let known = format!("{HOST},[127.0.0.1]:{port},[localhost]:{port} {key}\n");
    files::write(&to.known_hosts(), &known)?;
    files::write(&to.ssh_config(), &ssh_config(to, program, variables, sshd))
}

fn ssh_config(
    of: &Files,
    program: &Path,
    variables: &[(&'static str, String)],
    sshd: &Sshd,
) -> String {
    let known_hosts = of.known_hosts().display().to_string().replace('%', "%%");
    let state = of.client_state().display().to_string().replace('%', "%%");
    // `ensure` has to find this world also where `env` was not read.
    let wanted = BTreeSet::from(["DAYPASS_SERVER", "DAYPASS_STATE_DIR", "DAYPASS_CA_FILE"]);
    let mut ensure = String::new();
    for (name, value) in variables.iter().filter(|(name, _)| wanted.contains(name)) {
        let _ = write!(ensure, "{name}={} ", quoted(value));
    }
    let _ = write!(ensure, "{}", quoted(&program.display().to_string()));
    let ensure = ensure.replace('%', "%%");
    format!(
        r#"# Written by `daypass dev` at every start.
Host {HOST}
  HostName 127.0.0.1
  Port {port}
  User {user}
  HostKeyAlias {HOST}
  UserKnownHostsFile "{known_hosts}"
  StrictHostKeyChecking yes

Match originalhost "web-*" exec "{ensure} ensure --host %n"
  IdentitiesOnly yes
  IdentityFile "{state}/hosts/%n/pass"
  CertificateFile "{state}/hosts/%n/pass-cert.pub"
"#,
        port = sshd.port(),
        user = sshd.user(),
    )
}

/// Writes `env`, which must be the last file: who finds it finds a running world.
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
