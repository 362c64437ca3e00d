//! Issuer, daemon and sshd together, in one folder.
//!
//! Keys, ledger, policy and password in the folder are kept when a world starts there again, and so
//! are the ports that are still free. `env` is written last and removed at the end, so a process
//! that finds it can use it.

mod krl;
mod options;
mod paths;
mod tls;
mod written;

use std::{
    fs::{self, File},
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use super::{Error, files, issuer::Issuer, ports, receiver::Receiver, sshd::Sshd};
use crate::{
    config::Config,
    daemon::{self, Running},
    notify::Schedule,
};

pub use options::Options;
pub(crate) use paths::Files;

use options::NAME;

/// A running world. Dropping it ends all that it started; [`World::stop`] does so in order.
pub struct World {
    files: Files,
    issuer: Issuer,
    receiver: Receiver,
    webhook_schedule: Option<Schedule>,
    daemon: Option<Running>,
    address: std::net::SocketAddr,
    /// Ends before the daemon does.
    krl: Option<krl::KrlRefresher>,
    sshd: Option<Sshd>,
    variables: Vec<(&'static str, String)>,
    program: PathBuf,
    tls_ca: String,
    _lock: File,
}

impl World {
    /// Starts a world in `dir`, which is made if it does not exist.
    ///
    /// # Errors
    /// Returns an error if another world runs in this folder, a file in it is invalid, or a part
    /// does not start.
    pub(crate) async fn start(dir: &Path) -> Result<Self, Error> {
        Self::start_with(dir, Options::default()).await
    }

    /// Starts a world that differs from the usual one.
    ///
    /// # Errors
    /// As [`World::start`].
    pub async fn start_with(dir: &Path, options: Options) -> Result<Self, Error> {
        files::claim(dir)?;
        let dir = fs::canonicalize(dir).map_err(files::failed("find", dir))?;
        let files = Files::new(dir);
        let lock = lock(&files)?;
        forget(&files.env())?;
        let ports = ports::Remembered::read(&files.at("ports"));

        let password = files::keep_secret(&files.password())?;
        let issuer = Issuer::start_on(ports::listen(ports.issuer)?, Some(password)).await?;
        let secret = written::webhook_secret(&files)?;
        let receiver = Receiver::start_on(ports::listen(ports.receiver)?, &secret).await?;
        let ca_key = files::keep_key(&files.at("ca_key"), "daypass dev CA")?;
        files::keep_key(&files.at("ledger_key"), "daypass dev ledger")?;
        tls::keep(&files, NAME)?;
        let tls_ca = files::read(&files.tls_ca())?;
        files::make_folder(&files.client_state())?;

        let listener = ports::listen(ports.server)?;
        let user = Sshd::login()?;
        let policy = options.policy.clone();
        written::policy(&files, policy, &user, &issuer)?;
        written::configuration(&files, &issuer, &receiver, &listener, &options)?;
        let webhook_schedule = options.webhook_schedule;
        let (daemon, address) = start_daemon(&files, listener, webhook_schedule).await?;
        let sshd = match Sshd::find() {
            Some(binary) if !options.without_sshd => {
                Some(Sshd::start(&binary, &files.at("sshd"), &ca_key, ports.sshd).await?)
            }
            _ => None,
        };
        let program = options.program.map_or_else(own_program, Ok)?;
        let krl = refresh_krl(&daemon, sshd.as_ref())?;
        ports::Remembered {
            issuer: issuer.address().map(|it| it.port()),
            server: Some(address.port()),
            sshd: sshd.as_ref().map(Sshd::port).or(ports.sshd),
            receiver: Some(receiver.port()),
        }
        .write(&files.at("ports"))?;
        let server = format!("https://{NAME}:{}", address.port());
        let variables = written::variables(&files, &server, sshd.as_ref());
        written::ssh_files(&files, &program, sshd.as_ref())?;
        written::env(&files, &program, &variables)?;
        Ok(Self {
            files,
            issuer,
            receiver,
            webhook_schedule,
            daemon: Some(daemon),
            address,
            krl,
            sshd,
            variables,
            program,
            tls_ca,
            _lock: lock,
        })
    }

    /// The paths of its files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The issuer that its people sign in at.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The receiver of its webhooks.
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// The daemon's URL, and the CA (PEM) of its TLS certificate.
    pub fn server(&self) -> (String, String) {
        let url = format!("https://{NAME}:{}", self.address.port());
        (url, self.tls_ca.clone())
    }

    /// The daemon; none while it is stopped.
    pub fn daemon(&self) -> Option<&Running> {
        self.daemon.as_ref()
    }

    /// The throw-away sshd, if this machine has one.
    pub fn sshd(&self) -> Option<&Sshd> {
        self.sshd.as_ref()
    }

    /// The `daypass` program that `ssh_config` runs.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// The variables that `env` exports, for commands in this world.
    pub fn variables(&self) -> &[(&'static str, String)] {
        &self.variables
    }

    /// Stops the daemon in order and starts it again at the same address, over the same ledger.
    ///
    /// # Errors
    /// Returns an error if its configuration no longer loads or its port is taken.
    pub async fn restart_daemon(&mut self) -> Result<(), Error> {
        self.stop_daemon().await?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, self.address.port()))
            .map_err(|error| Error::System("open the server's port again", error))?;
        let (daemon, _) = start_daemon(&self.files, listener, self.webhook_schedule).await?;
        self.krl = refresh_krl(&daemon, self.sshd.as_ref())?;
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Stops the daemon in order and leaves the rest running.
    ///
    /// # Errors
    /// Returns an error if the daemon had failed before.
    pub async fn stop_daemon(&mut self) -> Result<(), Error> {
        let Some(daemon) = self.daemon.take() else {
            return Ok(());
        };
        self.krl = None;
        let stopped = daemon.stop().await;
        stopped.map_err(|error| Error::Daemon("stop", error.into()))
    }

    /// Ends the world in order: calls that are under way are answered first.
    ///
    /// # Errors
    /// Returns an error if the daemon had failed before.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.stop_daemon().await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A left-over file does no harm: its server does not answer.
        let _ = forget(&self.files.env());
    }
}

async fn start_daemon(
    files: &Files,
    listener: std::net::TcpListener,
    webhook_schedule: Option<Schedule>,
) -> Result<(Running, std::net::SocketAddr), Error> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| Error::Daemon("start", error);
    let mut config = Config::load(&files.configuration()).map_err(|error| failed(error.into()))?;
    config.webhook_schedule = webhook_schedule.unwrap_or(config.webhook_schedule);
    let daemon = daemon::start(config, Some(listener)).await;
    let daemon = daemon.map_err(|error| failed(error.into()))?;
    let address = daemon.address();
    Ok((daemon, address))
}

fn refresh_krl(daemon: &Running, sshd: Option<&Sshd>) -> Result<Option<krl::KrlRefresher>, Error> {
    let start = |sshd: &Sshd| {
        let file = sshd.krl().to_owned();
        krl::KrlRefresher::start(daemon.authority().clone(), file)
    };
    sshd.map(start).transpose()
}

fn own_program() -> Result<PathBuf, Error> {
    std::env::current_exe().map_err(|error| Error::System("find our own program", error))
}

/// Locks the folder, so that it has one world at a time.
fn lock(files: &Files) -> Result<File, Error> {
    let path = files.at("lock");
    files::write(&path, "")?;
    let file = File::open(&path).map_err(files::failed("open", &path))?;
    file.try_lock()
        .map_err(|_| Error::Taken(files.dir().to_owned()))?;
    Ok(file)
}

fn forget(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(files::failed("remove", path)(error))
        }
        _ => Ok(()),
    }
}
