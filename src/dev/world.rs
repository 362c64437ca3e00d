//! Issuer, daemon and sshd together, in one folder.
//!
//! Keys, ledger, policy and password in the folder are kept when a world starts there again, and so
//! are the ports that are still free. `env` is written last and removed at the end, so a process
//! that finds it can use it.

mod krl;
mod options;
mod paths;
mod shared;
mod tls;
mod written;

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use super::{
    Error, files, issuer::Issuer, ports, receiver::Receiver, replica::Replica, sshd::Sshd,
};
use crate::{
    config::Config,
    daemon::{self, Running},
    file_lock::{self, FileLock},
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
    /// Ends after the daemon.
    shared: Option<shared::Shared>,
    variables: Vec<(&'static str, String)>,
    program: PathBuf,
    tls_ca: String,
    _lock: FileLock,
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
        shared::expect_ledger(&files, options.servers.is_some())?;
        let ports = ports::Remembered::read(&files.at("ports"));
        let password = files::keep_secret(&files.password())?;
        let issuer = Issuer::start_on(ports::listen(ports.issuer)?, Some(password)).await?;
        let secret = written::webhook_secret(&files)?;
        let receiver = Receiver::start_on(ports::listen(ports.receiver)?, &secret).await?;
        let ca_key = keys(&files)?;
        let tls_ca = files::read(&files.tls_ca())?;
        written::policy(&files, options.policy.clone(), &Sshd::login()?, &issuer)?;
        let listener = ports::listen(ports.server)?;
        let program = options.program.clone().map_or_else(own_program, Ok)?;
        let mut shared = match options.servers {
            Some(_) => Some(shared::Shared::start(&files).await?),
            None => None,
        };
        let servers = servers(&options, (&issuer, &receiver), shared.as_ref());
        servers.write(&files, 1, ports::of(&listener)?)?;
        let webhook_schedule = options.webhook_schedule;
        let (daemon, address) = start_daemon(&files, listener, webhook_schedule).await?;
        if let Some(shared) = &mut shared {
            let started = shared.start_replicas(&files, &program, &servers, &ports.replicas);
            started.await?;
        }
        let sshd = match Sshd::find() {
            Some(binary) if !options.without_sshd => {
                Some(Sshd::start(&binary, &files.at("sshd"), &ca_key, ports.sshd).await?)
            }
            _ => None,
        };
        let mut world = Self {
            krl: refresh_krl(&daemon, sshd.as_ref()).await?,
            files,
            issuer,
            receiver,
            webhook_schedule,
            daemon: Some(daemon),
            address,
            sshd,
            shared,
            variables: Vec::new(),
            program,
            tls_ca,
            _lock: lock,
        };
        world.announce(ports)?;
        Ok(world)
    }

    /// Writes the files by which other programs find the parts of the world.
    fn announce(&mut self, before: ports::Remembered) -> Result<(), Error> {
        let (files, sshd) = (&self.files, self.sshd.as_ref());
        let replicas: Vec<u16> = self.replicas().iter().map(Replica::port).collect();
        // The first server stops with the world: the others, which can be killed, are asked first.
        let mut addresses: Vec<String> = replicas.iter().copied().map(shared::url).collect();
        addresses.push(self.server().0);
        ports::Remembered {
            issuer: self.issuer.address().map(|it| it.port()),
            server: Some(self.address.port()),
            sshd: sshd.map(Sshd::port).or(before.sshd),
            receiver: Some(self.receiver.port()),
            replicas,
        }
        .write(&files.at("ports"))?;
        let variables = written::variables(files, &addresses.join(","), sshd);
        written::ssh_files(files, &self.program, sshd)?;
        written::env(files, &self.program, &variables)?;
        self.variables = variables;
        Ok(())
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
        (shared::url(self.address.port()), self.tls_ca.clone())
    }

    /// The daemon; none while it is stopped.
    pub fn daemon(&self) -> Option<&Running> {
        self.daemon.as_ref()
    }

    /// The servers beside the first one: address and process id of each.
    pub fn other_servers(&self) -> Vec<(String, u32)> {
        let replicas = self.replicas().iter();
        let shown = replicas.map(|replica| (shared::url(replica.port()), replica.process()));
        shown.collect()
    }

    /// The arguments with which `psql` reaches the database that the servers share.
    pub(crate) fn psql(&self) -> Option<String> {
        self.shared.as_ref().map(shared::Shared::psql)
    }

    /// Starts the servers again whose processes have ended. Returns their addresses.
    ///
    /// # Errors
    /// Returns an error with the log of a server that does not start.
    pub(crate) async fn revive_servers(&mut self) -> Result<Vec<String>, Error> {
        match &mut self.shared {
            Some(shared) => shared.revive().await,
            None => Ok(Vec::new()),
        }
    }

    fn replicas(&self) -> &[Replica] {
        self.shared.as_ref().map_or(&[], shared::Shared::replicas)
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
        self.krl = refresh_krl(&daemon, self.sshd.as_ref()).await?;
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
        if let Some(shared) = &mut self.shared {
            shared.end_replicas();
        }
        self.stop_daemon().await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A left-over file does no harm: its server does not answer.
        let _ = forget(&self.files.env());
    }
}

/// Makes the keys that are missing. Returns the public CA key.
fn keys(files: &Files) -> Result<String, Error> {
    let ca_key = files::keep_key(&files.at("ca_key"), "daypass dev CA")?;
    files::keep_key(&files.at("host_ca_key"), "daypass dev host CA")?;
    files::keep_key(&files.at("ledger_key"), "daypass dev ledger")?;
    tls::keep(files, NAME)?;
    files::make_folder(&files.client_state())?;
    Ok(ca_key)
}

fn servers<'w>(
    options: &Options,
    (issuer, receiver): (&'w Issuer, &'w Receiver),
    shared: Option<&shared::Shared>,
) -> written::Servers<'w> {
    let store = shared.map_or_else(String::new, shared::Shared::section);
    let hosts = if options.knows_hosts {
        written::HOSTS
    } else {
        ""
    };
    written::Servers {
        count: options.servers.unwrap_or(1),
        issuer,
        receiver,
        more: format!("{hosts}{}\n{store}", options.configuration),
        is_shared: shared.is_some(),
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

async fn refresh_krl(
    daemon: &Running,
    sshd: Option<&Sshd>,
) -> Result<Option<krl::KrlRefresher>, Error> {
    let Some(sshd) = sshd else { return Ok(None) };
    let file = sshd.krl().to_owned();
    let refresher = krl::KrlRefresher::start(daemon.authority().clone(), file);
    Ok(Some(refresher.await?))
}

fn own_program() -> Result<PathBuf, Error> {
    std::env::current_exe().map_err(|error| Error::System("find our own program", error))
}

/// Locks the folder, so that it has one world at a time.
fn lock(files: &Files) -> Result<FileLock, Error> {
    let path = files.at("lock");
    let taken = file_lock::open(&path).and_then(FileLock::take);
    let taken = taken.map_err(files::failed("lock", &path))?;
    taken.map_err(|_| Error::Taken(files.dir().to_owned()))
}

fn forget(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(files::failed("remove", path)(error))
        }
        _ => Ok(()),
    }
}
