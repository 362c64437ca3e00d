//! One more server of a world's ledger: `daypass serve` in a process of its own, which the user may
//! kill.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::Child,
    time::Duration,
};

use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

use super::{Error, bound, files};

/// Deadline for a new server to listen.
const PATIENCE: Duration = Duration::from_secs(60);
/// Deadline for an end in order.
const GOOD_BYE: Duration = Duration::from_secs(10);
/// Delay between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(20);

/// The files of a replica.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The `daypass` program.
    pub(super) program: PathBuf,
    /// Its configuration.
    pub(super) configuration: PathBuf,
    /// Its log, which is emptied at each start.
    pub(super) log: PathBuf,
    /// Its port on 127.0.0.1.
    pub(super) port: u16,
}

/// A server in a process of its own. Dropping it ends the process in order.
pub(super) struct Replica {
    child: Child,
    place: Place,
}

impl Replica {
    /// Starts the server and waits until it listens.
    ///
    /// # Errors
    /// Returns an error with the server's log if it does not.
    pub(super) async fn start(place: Place) -> Result<Self, Error> {
        let child = spawn(&place)?;
        let mut replica = Self { child, place };
        replica.expect_listening().await?;
        Ok(replica)
    }

    /// Its port on 127.0.0.1.
    pub(super) fn port(&self) -> u16 {
        self.place.port
    }

    /// The id of its process.
    pub(super) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Starts it again if its process has ended. Returns true if it has.
    ///
    /// # Errors
    /// As [`Replica::start`].
    pub(super) async fn revive(&mut self) -> Result<bool, Error> {
        if matches!(self.child.try_wait(), Ok(None)) {
            return Ok(false);
        }
        bound::kill(&mut self.child);
        self.child = spawn(&self.place)?;
        self.expect_listening().await?;
        Ok(true)
    }

    async fn expect_listening(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.place.port));
        loop {
            let is_running = matches!(self.child.try_wait(), Ok(None));
            if !is_running || Instant::now() > deadline {
                let said = fs::read_to_string(&self.place.log).unwrap_or_default();
                return Err(Error::System("start a replica", io::Error::other(said)));
            }
            if TcpStream::connect(address).await.is_ok() {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        bound::end(&mut self.child, GOOD_BYE);
    }
}

fn spawn(place: &Place) -> Result<Child, Error> {
    files::write(&place.log, "")?;
    let log = || -> Result<File, Error> {
        let opened = fs::OpenOptions::new().append(true).open(&place.log);
        opened.map_err(files::failed("open", &place.log))
    };
    let words = [
        place.program.as_os_str(),
        "serve".as_ref(),
        "--config".as_ref(),
        place.configuration.as_os_str(),
    ];
    bound::command("TERM", words)
        .stdout(log()?)
        .stderr(log()?)
        // Ctrl-C is for the world.
        .process_group(0)
        .spawn()
        .map_err(|error| Error::System("start a replica", error))
}
