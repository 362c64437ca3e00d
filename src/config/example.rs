//! The commented files that `daypass init` writes. They are valid as they are.

use std::net::SocketAddr;

/// The server configuration's file name.
pub(crate) const SERVER_FILE: &str = "daypass.toml";
/// The policy's file name.
pub(crate) const POLICY_FILE: &str = "policy.toml";
/// The file name of the configuration of `daypass signer`.
pub(crate) const SIGNER_FILE: &str = "signer.toml";

const SERVER: &str = include_str!("example/daypass.toml");
const POLICY: &str = include_str!("example/policy.toml");
const SIGNER: &str = include_str!("example/signer.toml");

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
    /// The socket of the signer that keeps the CA key; none: the key is beside the configuration.
    pub signer: Option<String>,
    /// The file of the key that signs host certificates; none: the server knows no hosts.
    pub host_ca_key: Option<&'static str>,
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
            .replace("@ca_key@", &self.ca_key())
            .replace("@state@", &self.state())
            .replace("@store@", &self.store())
            .replace("@web@", self.web())
            .replace("@hosts@", &self.hosts())
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

    fn ca_key(&self) -> String {
        match &self.signer {
            Some(socket) => format!(
                "file   = \"ca_key.pub\"\nsigner = {}   # the key itself is there; see `daypass help signer`\n\
                 state  = \"active\"",
                quoted(socket)
            ),
            None => format!(
                "file  = \"ca_key\"\nstate = \"active\"\n{}",
                passphrase(self.passphrase_file.as_deref())
            ),
        }
    }

    fn hosts(&self) -> String {
        let Some(file) = self.host_ca_key else {
            return "# [hosts]                              # host certificates; see `daypass help hosts`".into();
        };
        let passphrase = passphrase(self.passphrase_file.as_deref());
        format!(
            "# Hosts that join get certificates, so that no user's ssh asks about a host key; see\n\
             # `daypass help hosts`. It is another key than the CA's.\n\
             [hosts]\n\
             # names = [\"web-*\"]     # users trust them for these names only; default: the policy's [hosts]\n\
             # lifetime = \"14d\"\n\n\
             [[hosts.key]]\nfile  = {}\nstate = \"active\"\n{passphrase}",
            quoted(file)
        )
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
}

/// The values of an example configuration of a signer.
#[derive(Clone, Debug)]
pub(crate) struct SignerExample {
    /// The socket.
    pub socket: String,
    /// The account that may call, by name or number.
    pub caller: String,
    /// The folder of its memory.
    pub state: String,
    /// The ledger's verifier key.
    pub ledger: String,
    /// The file with the CA key's passphrase, if it has one.
    pub passphrase_file: Option<String>,
}

impl SignerExample {
    /// `signer.toml`.
    pub(crate) fn text(&self) -> String {
        SIGNER
            .replace("@socket@", &quoted(&self.socket))
            .replace("@caller@", &quoted(&self.caller))
            .replace("@state@", &quoted(&self.state))
            .replace("@passphrase@", &passphrase(self.passphrase_file.as_deref()))
            .replace("@ledger@", &quoted(&self.ledger))
    }
}

fn passphrase(file: Option<&str>) -> String {
    match file {
        Some(file) => format!(
            "passphrase_file = {}   # or passphrase_credential = \"ca_passphrase\", from systemd",
            quoted(file)
        ),
        None => {
            "# passphrase_file = \"ca_passphrase\"   # where the key is encrypted; or, from systemd:\n\
             # passphrase_credential = \"ca_passphrase\""
                .into()
        }
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
