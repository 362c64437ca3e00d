//! The commented files that `daypass init` writes. They are valid as they are.

use std::net::SocketAddr;

/// The server configuration's file name.
pub(crate) const SERVER_FILE: &str = "daypass.toml";
/// The policy's file name.
pub(crate) const POLICY_FILE: &str = "policy.toml";

const SERVER: &str = include_str!("example/daypass.toml");
const POLICY: &str = include_str!("example/policy.toml");

/// The values of an example configuration.
#[derive(Clone, Debug)]
pub(crate) struct Example {
    /// The host that users dial.
    pub name: String,
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The first issuer's URL.
    pub issuer: String,
    /// The client id that it gave.
    pub client_id: String,
    /// PEM file of the TLS certificate.
    pub certificate: String,
    /// PEM file of its key.
    pub key: String,
    /// The file with the CA key's passphrase, if it has one.
    pub passphrase_file: Option<String>,
    /// The line of `[store]` with the address of a shared database; none: the ledger is in the
    /// state folder.
    pub store: Option<SharedStore>,
    /// The state folder, if it is not left to systemd or beside the file.
    pub state: Option<String>,
    /// Whether there is a page for approvers.
    pub web: bool,
}

/// The place of the address of a database that servers share.
#[derive(Clone, Debug)]
pub(crate) enum SharedStore {
    /// The configuration itself: the address holds no password.
    Address(String),
    /// A file.
    File(String),
}

impl Example {
    /// `daypass.toml`.
    pub(crate) fn server(&self) -> String {
        SERVER
            .replace("@name@", &quoted(&self.name))
            .replace("@listen@", &quoted(&self.listen.to_string()))
            .replace("@certificate@", &quoted(&self.certificate))
            .replace("@key@", &quoted(&self.key))
            .replace("@passphrase@", &self.passphrase())
            .replace("@state@", &self.state())
            .replace("@store@", &self.store())
            .replace("@web@", self.web())
            .replace("@issuer@", &quoted(&self.issuer))
            .replace("@client_id@", &quoted(&self.client_id))
    }

    /// `policy.toml`.
    pub(crate) fn policy() -> &'static str {
        POLICY
    }

    fn state(&self) -> String {
        match &self.state {
            Some(folder) => format!("state  = {} # ledger and lock", quoted(folder)),
            None => "# state = \"/var/lib/daypass\" # ledger and lock; default: systemd's StateDirectory, else \
                     `state` beside this file"
                .into(),
        }
    }

    fn web(&self) -> &'static str {
        match self.web {
            true => {
                "# A page on which approvers decide in a browser; see `daypass help web`. The provider must\n\
                 # know the redirect URI https://NAME:PORT/web/callback.\n[web]"
            }
            false => {
                "# [web]                                # a page for approvers; see `daypass help web`"
            }
        }
    }

    fn store(&self) -> String {
        let line = match &self.store {
            None => {
                return "# [store]                              # a database that several servers share; default: `state`\n\
                        # postgres_file = \"postgres\"           # its address and password; see `daypass help server`"
                    .into();
            }
            Some(SharedStore::Address(address)) => format!("postgres = {}", quoted(address)),
            Some(SharedStore::File(file)) => {
                format!(
                    "postgres_file = {}   # its address and password",
                    quoted(file)
                )
            }
        };
        format!(
            "# A database that several servers share; see `daypass help server`.\n[store]\n{line}"
        )
    }

    fn passphrase(&self) -> String {
        match &self.passphrase_file {
            Some(file) => format!(
                "passphrase_file = {}   # or passphrase_credential = \"ca_passphrase\", from systemd",
                quoted(file)
            ),
            None => "# passphrase_file = \"ca_passphrase\"   # where the key is encrypted; or, from systemd:\n\
                     # passphrase_credential = \"ca_passphrase\""
                .into(),
        }
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
