//! Context of every command: the user's settings and state folder, and a connection to the
//! server.

use std::path::PathBuf;

use url::Url;

use super::{
    Error,
    asking::Asking,
    clock::now,
    connect::{Address, Server},
    credentials::authorized,
    server_info::{self, ServerInfo},
    session::{self, Login, Session},
    state::State,
    witness,
};
use crate::proto::v1;

/// The file with the URL that answered last, in the folder of its server.
const ANSWERED: &str = "answered";

/// Output of messages to the user while a command still runs.
pub type Say = fn(&str);

/// The user's choices for all commands, from options and variables.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server's addresses, separated by commas; none: those of the last login.
    pub server: Option<String>,
    /// The state folder; none: the default one.
    pub state_dir: Option<PathBuf>,
    /// PEM roots for the server's TLS beside the operating system's; none: those of the last login.
    pub ca_file: Option<PathBuf>,
    /// Prints notes and prompts.
    pub say: Say,
}

/// One user's view of one server: the settings, and the state folder with login and passes.
///
/// Commands are methods, each in the file that it is about: the connection here, signing in and out
/// in `login/`, passes in `obtain.rs` and `emergency.rs`, `ssh` in `host_config.rs` and
/// `ssh_config.rs`, the ledger in `audit.rs`.
#[derive(Clone, Debug)]
pub struct Client {
    /// The state folder, of this server.
    pub state: State,
    settings: Settings,
}

/// A connection, and a login that has not expired.
///
/// Calls to the server are methods, each in the file that it is about: passes in `obtain.rs`,
/// requests in `requests.rs`, administration in `admin.rs`, the ledger in `audit.rs`.
pub struct Signed {
    /// The connection.
    pub server: Server,
    /// The server's description of itself, checked just now.
    pub server_info: ServerInfo,
    /// The login.
    pub login: Login,
    /// The state folder, of this server.
    pub(super) state: State,
}

impl Client {
    /// Opens the state folder. Uses no network and writes nothing.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if no folder is named and there is no home folder, or if other
    /// users can write to the folder. Returns an error if the session is damaged.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let folder = match &settings.state_dir {
            Some(folder) => folder.clone(),
            None => State::default_folder()?,
        };
        let root = State::new(&folder)?;
        root.check()?;
        let state = session::folder(&root, settings.server.as_deref())?;
        Ok(Self { state, settings })
    }

    /// The user's choices.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether the user named the server.
    pub(super) fn is_named(&self) -> bool {
        self.settings.server.is_some()
    }

    /// Prints a message for the user.
    pub(crate) fn say(&self, message: &str) {
        (self.settings.say)(message);
    }

    /// The server's address: from the settings, or of the last login.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if it is invalid, or there is none.
    pub(crate) fn address(&self) -> Result<Address, Error> {
        let named = self.settings.server.as_deref();
        session::address(&self.state.root(), named)?.ok_or_else(|| {
            Error::Usage(
                "no server is known: daypass login --server https://HOST:PORT (or set DAYPASS_SERVER)"
                    .to_owned(),
            )
        })
    }

    /// Connects to the server, and checks and remembers what it says of itself.
    ///
    /// # Errors
    /// Returns [`Error::Unreachable`] if it does not answer, and [`Error::Untrusted`] if it is
    /// another server.
    pub(crate) async fn connect(&self) -> Result<(Server, ServerInfo), Error> {
        let address = self.address()?;
        let roots = self.roots(&address, &Session::load(&self.state)?)?;
        let answered = self.answered(&address);
        let server = Server::connect(&address, roots, answered.clone()).await?;
        self.remember_answered(&server, answered);
        let server_info =
            ServerInfo::refresh(&self.state, &server, |message| self.say(message)).await?;
        // ssh gets new hosts, and their CAs, by the way. The command itself does not need them.
        let _ = self.renew_ssh_config();
        let _ = self.renew_known_hosts();
        if let Err(error) = self.renew_revoked_hosts(&server, &server_info).await {
            self.say(&format!(
                "note: a host that was removed may still be accepted: {error}"
            ));
        }
        Ok((server, server_info))
    }

    /// The URL that answered last, if the server has several.
    fn answered(&self, address: &Address) -> Option<Url> {
        let text = self.state.root().read(server_info::file(address, ANSWERED));
        let url = Url::parse(text.ok().flatten()?.trim()).ok()?;
        Some(url).filter(|url| address.urls().len() > 1 && address.urls().contains(url))
    }

    /// Remembers the URL that answered, if it is not `last`. Without that the next command only
    /// tries in another order.
    fn remember_answered(&self, server: &Server, last: Option<Url>) {
        match server.answered() {
            Some(url) if server.address.urls().len() > 1 && Some(&url) != last.as_ref() => {
                let file = server_info::file(&server.address, ANSWERED);
                let _ = self.state.root().write(file, url.as_str().as_bytes());
            }
            Some(_) | None => {}
        }
    }

    /// Connects to the server with the user's login, and checks its ledger against the last
    /// checkpoint.
    ///
    /// # Errors
    /// Returns [`Error::SignIn`] before it connects if the user is not signed in, and
    /// [`Error::Fork`] if the ledger was rewritten.
    pub async fn signed_in(&self) -> Result<Signed, Error> {
        self.signed_in_accepting(None).await
    }

    /// [`Client::signed_in`]; goes on also by a statement with the key `accept` (a fingerprint),
    /// which the user accepts by name.
    ///
    /// # Errors
    /// As [`Client::signed_in`].
    pub(crate) async fn signed_in_accepting(&self, accept: Option<&str>) -> Result<Signed, Error> {
        let login = self.current_login().await?;
        let (server, server_info) = self.connect().await?;
        let say = |message: &str| self.say(message);
        let asking = Asking {
            server: &server,
            server_info: &server_info,
            login: &login,
            accept,
        };
        witness::check(&self.state, &asking, say).await?;
        Ok(Signed {
            server,
            server_info,
            login,
            state: self.state.clone(),
        })
    }

    /// The unexpired login for the server. No network.
    ///
    /// # Errors
    /// Returns [`Error::SignIn`] if there is none.
    pub fn login(&self) -> Result<Login, Error> {
        let session = Session::load(&self.state)?;
        if session.login.is_none() {
            return Err(Error::sign_in("you are not signed in"));
        }
        let address = self.address()?;
        session.login_for(address.as_str(), now()).cloned()
    }
}

impl Signed {
    /// The roles that this identity may use, on `host` if one is given.
    ///
    /// # Errors
    /// Returns the server's refusal.
    pub(crate) async fn roles(&self, host: Option<&str>) -> Result<Vec<v1::Role>, Error> {
        Ok(self.listed_roles(host, Vec::new()).await?.roles)
    }

    /// [`Signed::roles`], with the locks that cover this identity, and which of its passes with
    /// these serials are revoked.
    ///
    /// # Errors
    /// Returns the server's refusal.
    pub(super) async fn listed_roles(
        &self,
        host: Option<&str>,
        serials: Vec<u64>,
    ) -> Result<v1::ListRolesResponse, Error> {
        let request = v1::ListRolesRequest {
            host: host.unwrap_or_default().to_owned(),
            serials,
        };
        let request = authorized(&self.login, request)?;
        let answer = self.server.passes().list_roles(request).await?.into_inner();
        self.remember_roles(host.unwrap_or_default(), &answer.roles);
        Ok(answer)
    }
}
