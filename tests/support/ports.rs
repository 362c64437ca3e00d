//! Loopback ports.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    ops::Range,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::net::TcpSocket;

/// The ports that [`free_port`] gives. The system gives none of them to a socket that binds port 0
/// or connects: its own begin at 32768.
const PORTS: Range<u32> = 20_000..32_000;

/// A port that is free now, for a program that has to be told a number.
///
/// No other caller in this process gets it, and one in another process hardly: each process begins
/// at another place. A caller that needs a refused connection uses [`ClosedPort`].
pub fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU32> =
        LazyLock::new(|| AtomicU32::new(std::process::id().wrapping_mul(7919)));
    for _ in PORTS {
        let next = NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start);
        let port = u16::try_from(PORTS.start + next).unwrap();
        let hosts = [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            Ipv6Addr::LOCALHOST.into(),
        ];
        // A machine without IPv6 has nothing that is taken there.
        let is_taken = |host: IpAddr| match TcpListener::bind((host, port)) {
            Ok(_) => false,
            Err(error) => error.kind() == ErrorKind::AddrInUse,
        };
        if !hosts.into_iter().any(is_taken) {
            return port;
        }
    }
    panic!("no port of {PORTS:?} is free");
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
