//! Loopback ports.

use std::net::{SocketAddr, TcpListener};

use tokio::net::TcpSocket;

/// A port that was free a moment ago, for a program that has to be told a number.
///
/// Another process may take it before that program does. A caller that can, binds port 0 itself;
/// a caller that needs a refused connection uses [`ClosedPort`].
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// An address that refuses connections as long as this value lives: the port is bound, so that no
/// other program can take it, and nothing listens.
pub struct ClosedPort {
    pub address: SocketAddr,
    _socket: TcpSocket,
}

impl ClosedPort {
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self {
            address: socket.local_addr().unwrap(),
            _socket: socket,
        }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
