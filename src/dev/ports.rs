//! Loopback ports for the parts of a world.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
};

use super::Error;

/// A listener on `wish` where that port is free, else on any free port.
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
