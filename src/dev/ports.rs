//! Loopback ports for the parts of a world.

use std::{
    fs, io,
    net::{Ipv4Addr, TcpListener},
    path::Path,
};

use super::{Error, files};

/// A listener on the port `wish` if it is free, else on any free port.
pub(super) fn listen(wish: Option<u16>) -> Result<TcpListener, Error> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener: io::Result<TcpListener> = match wish {
        Some(port) => bind(port).or_else(|_| bind(0)),
        None => bind(0),
    };
    listener.map_err(|error| Error::System("open a port", error))
}

/// The port of a listener.
pub(super) fn of(listener: &TcpListener) -> Result<u16, Error> {
    let address = listener.local_addr();
    Ok(address
        .map_err(|error| Error::System("open a port", error))?
        .port())
}

/// A port that is free now, for a program that opens it itself.
pub(super) fn free(wish: Option<u16>) -> Result<u16, Error> {
    of(&listen(wish)?)
}

/// The ports that a world had last time. They are used again, so that a terminal that read its
/// `env` then goes on working.
#[derive(Default)]
pub(super) struct Remembered {
    pub(super) issuer: Option<u16>,
    pub(super) server: Option<u16>,
    pub(super) sshd: Option<u16>,
    pub(super) receiver: Option<u16>,
    /// Of the servers after the first.
    pub(super) replicas: Vec<u16>,
}

impl Remembered {
    /// Reads `path`; no ports if there is no such file.
    pub(super) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let port = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse().ok())
        };
        Self {
            issuer: port("issuer"),
            server: port("server"),
            sshd: port("sshd"),
            receiver: port("receiver"),
            replicas: (2..).map_while(|number| port(&replica(number))).collect(),
        }
    }

    /// Writes `path`.
    pub(super) fn write(&self, path: &Path) -> Result<(), Error> {
        let ports = [
            ("issuer", self.issuer),
            ("server", self.server),
            ("sshd", self.sshd),
            ("receiver", self.receiver),
        ];
        let lines = ports
            .iter()
            .filter_map(|(name, port)| Some(format!("{name} {}\n", (*port)?)));
        let replicas = (2..).zip(&self.replicas);
        let replicas = replicas.map(|(number, port)| format!("{} {port}\n", replica(number)));
        files::write(path, &lines.chain(replicas).collect::<String>())
    }
}

fn replica(number: u8) -> String {
    format!("replica-{number}")
}
