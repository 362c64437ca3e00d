//! The user's side: sign in, get passes, keep them, check what the server says. Owns the user's files and agent.
//!
//! A command is a [`Client`] and one function of a module here; `cli` prints what it answers. Nothing here decides about
//! access, and nothing the server says is believed unchecked: a pass is looked at by [`pass`] before it touches the disk,
//! the ledger's checkpoint by [`witness`].

pub mod admin;
pub mod agent;
pub mod audit;
pub mod cache;
pub mod choose;
pub mod connect;
pub mod emergency;
pub mod error;
pub mod host_config;
pub mod inspect;
pub mod jump;
pub mod key;
pub mod login;
pub mod pass;
pub mod requests;
pub mod server_info;
pub mod session;
pub mod ssh;
pub mod ssh_config;
pub mod state;
pub mod witness;
mod writable;

use std::path::PathBuf;

use time::OffsetDateTime;

pub use error::Error;

use connect::{Address, Server, authorized};
use server_info::ServerInfo;
use session::{Login, Session};
use state::State;

use crate::{proto::v1, unix_seconds::UnixSeconds};

/// How a message reaches the user while a command still runs.
pub type Say = fn(&str);

/// What the user chose for all commands, by flags or variables.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server; none: the one of the last login.
    pub server: Option<String>,
    /// The state folder; none: the default one.
    pub state_dir: Option<PathBuf>,
    /// PEM roots for the server's TLS; none: those of the last login, else the operating system's.
    pub ca_file: Option<PathBuf>,
    /// For notes and prompts.
    pub say: Say,
}

/// One user's view of one server.
#[derive(Clone, Debug)]
pub struct Client {
    /// The state folder.
    pub state: State,
    settings: Settings,
}

/// A connection with a login that the server may take.
pub struct Signed {
    /// The connection.
    pub server: Server,
    /// What the server says of itself, checked just now.
    pub server_info: ServerInfo,
    /// Who.
    pub login: Login,
}

impl Client {
    /// Opens the state folder; no network, nothing written.
    ///
    /// # Errors
    /// If there is no home folder and none was named, or if other users can write to the folder.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let folder = match &settings.state_dir {
            Some(folder) => folder.clone(),
            None => State::default_folder()?,
        };
        let state = State::new(&folder)?;
        state.check()?;
        Ok(Self { state, settings })
    }

    /// Tells the user something.
    pub fn say(&self, message: &str) {
        (self.settings.say)(message);
    }

    /// The server's address: named, or remembered.
    ///
    /// # Errors
    /// [`Error::Usage`] where it is neither, or wrong.
    pub fn address(&self) -> Result<Address, Error> {
        let named = match &self.settings.server {
            Some(server) => Some(server.clone()),
            None => Session::load(&self.state)?.server,
        };
        let named = named.ok_or_else(|| {
            Error::Usage(
                "no server is known: daypass login --server https://HOST:PORT (or set DAYPASS_SERVER)"
                    .to_owned(),
            )
        })?;
        Address::parse(&named)
    }

    /// Dials the server.
    ///
    /// # Errors
    /// Where it does not answer, or is not who it should be.
    pub async fn connect(&self) -> Result<(Server, ServerInfo), Error> {
        let address = self.address()?;
        let ca_file = self.ca_file(&Session::load(&self.state)?)?;
        let server = Server::connect(&address, ca_file.as_deref()).await?;
        let server_info = ServerInfo::refresh(&self.state, &server, self.settings.say).await?;
        Ok((server, server_info))
    }

    /// Dials the server as whoever is signed in, and witnesses its ledger.
    ///
    /// # Errors
    /// [`Error::SignIn`] before anything is dialled where nobody is; [`Error::Fork`] where the ledger was rewritten.
    pub async fn signed_in(&self) -> Result<Signed, Error> {
        let login = self.login()?;
        let (server, server_info) = self.connect().await?;
        witness::check(&self.state, &server, &login.token, &server_info).await?;
        Ok(Signed {
            server,
            server_info,
            login,
        })
    }

    /// The living login for the server.
    ///
    /// # Errors
    /// [`Error::SignIn`] where there is none.
    pub fn login(&self) -> Result<Login, Error> {
        let session = Session::load(&self.state)?;
        if session.login.is_none() {
            return Err(Error::sign_in("you are not signed in"));
        }
        let address = self.address()?;
        session.login_for(address.as_str(), now()).cloned()
    }

    /// Forgets keys, token and passes, here and in the agent. The server, what it said of itself and its last
    /// checkpoint are kept.
    ///
    /// # Errors
    /// Where something cannot be removed.
    pub async fn logout(&self) -> Result<bool, Error> {
        let _lock = self.state.lock().await?;
        let mut session = Session::load(&self.state)?;
        let was_signed_in = session.login.take().is_some();
        agent::remove_ours(&self.state).await?;
        cache::clear(&self.state)?;
        key::Key::forget(&self.state)?;
        login::pending::forget(&self.state)?;
        session.save(&self.state)?;
        Ok(was_signed_in)
    }

    fn ca_file(&self, session: &Session) -> Result<Option<PathBuf>, Error> {
        match &self.settings.ca_file {
            Some(path) => std::path::absolute(path)
                .map(Some)
                .map_err(Error::file(path)),
            None => Ok(session.ca_file.clone()),
        }
    }
}

impl Signed {
    /// The roles that are open to this identity (on `host`).
    ///
    /// # Errors
    /// As the server answers.
    pub async fn roles(&self, host: Option<&str>) -> Result<Vec<v1::Role>, Error> {
        let request = v1::ListRolesRequest {
            host: host.unwrap_or_default().to_owned(),
        };
        let request = authorized(&self.login.token, request)?;
        Ok(self
            .server
            .passes()
            .list_roles(request)
            .await?
            .into_inner()
            .roles)
    }
}

/// Unix seconds: the client's one look at the clock.
#[allow(
    clippy::disallowed_methods,
    reason = "the client is an edge: time enters here"
)]
pub fn now() -> u64 {
    UnixSeconds::from(OffsetDateTime::now_utc()).get()
}
