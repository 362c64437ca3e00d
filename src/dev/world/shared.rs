//! The PostgreSQL of a world, and the servers beside the first one that share its ledger.

use std::path::{Path, PathBuf};

use super::{options::NAME, paths::Files, written};
use crate::dev::{
    Error, files, ports,
    postgres::Postgres,
    replica::{Place, Replica},
};

/// What servers share, and all of them but the first. The replicas end before their database.
pub(super) struct Shared {
    replicas: Vec<Replica>,
    postgres: Postgres,
}

impl Shared {
    /// Starts the database.
    pub(super) async fn start(files: &Files) -> Result<Self, Error> {
        Ok(Self {
            replicas: Vec::new(),
            postgres: Postgres::start(files.dir()).await?,
        })
    }

    /// The section of the configuration that names the database.
    pub(super) fn section(&self) -> String {
        format!("[store]\npostgres = \"{}\"\n", self.postgres.address())
    }

    /// The arguments of `psql`.
    pub(super) fn psql(&self) -> String {
        self.postgres.psql()
    }

    /// Starts the servers after the first, `servers` in all. The database has its tables already.
    pub(super) async fn start_replicas(
        &mut self,
        files: &Files,
        program: &Path,
        servers: &written::Servers<'_>,
        wishes: &[u16],
    ) -> Result<(), Error> {
        for number in 2..=servers.count {
            let wish = wishes.get(usize::from(number) - 2).copied();
            let port = ports::free(wish)?;
            let place = Place {
                program: program.to_owned(),
                configuration: servers.write(files, number, port)?,
                log: log(files, number),
                port,
            };
            self.replicas.push(Replica::start(place).await?);
        }
        Ok(())
    }

    /// The servers beside the first one.
    pub(super) fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    /// Starts the servers again whose processes have ended. Returns their addresses.
    pub(super) async fn revive(&mut self) -> Result<Vec<String>, Error> {
        let mut revived = Vec::new();
        for replica in &mut self.replicas {
            if replica.revive().await? {
                revived.push(url(replica.port()));
            }
        }
        Ok(revived)
    }

    /// Ends the servers beside the first one.
    pub(super) fn end_replicas(&mut self) {
        self.replicas.clear();
    }
}

/// The address of a server for clients.
pub(super) fn url(port: u16) -> String {
    format!("https://{NAME}:{port}")
}

/// Refuses a folder whose ledger is not where this start would look for it.
pub(super) fn expect_ledger(files: &Files, is_shared: bool) -> Result<(), Error> {
    let (other, has) = match is_shared {
        true => ("state", "a server with a ledger of its own"),
        false => ("postgres", "a ledger in PostgreSQL (--postgres)"),
    };
    match files.at(other).exists() {
        true => Err(files::failed("use", files.dir())(std::io::Error::other(
            format!("its world has {has}; name another folder"),
        ))),
        false => Ok(()),
    }
}

fn log(files: &Files, number: u8) -> PathBuf {
    files.at(&format!("replica-{number}.log"))
}
