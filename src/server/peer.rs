//! The address at the other end of a connection, also behind load balancers that announce it by the
//! PROXY protocol.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::proxy_header::{Fault, Header, Parsed, parse};

/// Networks of the load balancers. Each connection from them begins with a PROXY header; none from
/// elsewhere may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Load balancers in these networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    pub(super) fn contains(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.iter().any(|network| network.contains(&peer))
    }
}

/// Caller's address, in the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    address: SocketAddr,
    origin: Origin,
}

/// Source of the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The connection itself.
    Direct,
    /// A load balancer's PROXY header.
    Proxied,
    /// The load balancer's own address: its header names no caller.
    Proxy,
}

impl Peer {
    /// Peer of a connection without a load balancer.
    pub(super) fn direct(address: SocketAddr) -> Self {
        let origin = Origin::Direct;
        Self { address, origin }
    }

    /// Reads the PROXY header of a load balancer's connection.
    ///
    /// # Errors
    /// If the header is invalid or the connection ends within it.
    pub(super) async fn read(
        stream: &mut (impl AsyncRead + Unpin),
        proxy: SocketAddr,
    ) -> Result<Self, Error> {
        let mut bytes = Vec::new();
        loop {
            match parse(&bytes)? {
                Parsed::Needs(more) => {
                    let old = bytes.len();
                    bytes.resize(old + more, 0);
                    stream
                        .read_exact(bytes.get_mut(old..).unwrap_or_default())
                        .await?;
                }
                Parsed::Complete(Header::Caller(address)) => {
                    let origin = Origin::Proxied;
                    return Ok(Self { address, origin });
                }
                Parsed::Complete(Header::Unknown) => {
                    return Ok(Self {
                        address: proxy,
                        origin: Origin::Proxy,
                    });
                }
            }
        }
    }

    /// Address for limits and logs.
    pub(super) fn ip(self) -> IpAddr {
        self.address.ip().to_canonical()
    }

    /// Address of the caller for the policy. `None` if only a load balancer's is known.
    pub(super) fn caller(self) -> Option<IpAddr> {
        match self.origin {
            Origin::Direct | Origin::Proxied => Some(self.ip()),
            Origin::Proxy => None,
        }
    }

    /// True for a program on this machine. False for a proxied peer, even if its header names
    /// loopback.
    pub(super) fn is_loopback(self) -> bool {
        match self.origin {
            Origin::Direct => self.ip().is_loopback(),
            Origin::Proxied | Origin::Proxy => false,
        }
    }
}

/// Reason why a load balancer's connection is closed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Header(#[from] Fault),
    #[error("the connection ended within the PROXY header")]
    Ended(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const PROXY: &str = "127.0.0.1:9";

    async fn read(mut header: &[u8]) -> Result<Peer, Error> {
        Peer::read(&mut header, PROXY.parse().unwrap()).await
    }

    #[tokio::test]
    async fn a_proxied_peer_is_never_loopback_even_if_its_header_says_so() {
        for (from, kind) in [("127.0.0.1", 4), ("::1", 6), ("::ffff:127.0.0.1", 6)] {
            let to = if kind == 4 { "127.0.0.1" } else { "::1" };
            let header = format!("PROXY TCP{kind} {from} {to} 5 443\r\n");
            let peer = read(header.as_bytes()).await.unwrap();
            assert!(peer.ip().is_loopback() && !peer.is_loopback(), "{from}");
        }
        assert!(Peer::direct(PROXY.parse().unwrap()).is_loopback());
    }

    #[tokio::test]
    async fn a_health_check_has_the_proxys_limits_and_no_rights() {
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
        let unspec = b"\r\n\r\n\0\r\nQUIT\n\x21\x00\x00\x00";
        for header in [local.as_slice(), unspec, b"PROXY UNKNOWN\r\n"] {
            let peer = read(header).await.unwrap();
            assert_eq!(peer.ip().to_string(), "127.0.0.1");
            assert!(!peer.is_loopback() && peer.caller().is_none());
        }
    }

    #[tokio::test]
    async fn a_header_that_ends_early_is_an_error() {
        let read = read(b"PROXY TCP4 192.0").await;
        assert!(matches!(read, Err(Error::Ended(_))));
    }

    #[test]
    fn a_listed_network_matches_v4_mapped_peers() {
        let proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let contains = |peer: &str| proxies.contains(peer.parse().unwrap());
        assert!(contains("10.1.2.3") && contains("::ffff:10.1.2.3"));
        assert!(!contains("11.0.0.1") && !contains("::1"));
    }
}
