//! The connection to the server: its addresses, TLS by rustls, deadlines.

mod address;
mod channel;
mod dial;
mod link;
mod opening;
mod pauses;

use std::time::Duration;

use url::Url;

pub(crate) use self::address::Address;
pub(crate) use self::dial::Roots;
pub(super) use self::dial::recognize;
pub(crate) use self::link::Repeatable;
use self::{dial::Dialer, link::Link};
use super::Error;
use crate::proto::v1::{
    admin_client::AdminClient, hosts_client::HostsClient, ledger_client::LedgerClient,
    passes_client::PassesClient, requests_client::RequestsClient, trust_client::TrustClient,
};

/// Time for which a server that refuses connections is tried again: it may restart just now. One
/// that is down is reported soon.
const ABSENT: Duration = Duration::from_secs(6);
/// A connection to one server.
#[derive(Clone)]
pub struct Server {
    link: Link,
    dialer: Dialer,
    /// The address it was made to.
    pub address: Address,
}

impl Server {
    /// Connects to one of the server's addresses, `answered` first if it is one. Trusts `roots`,
    /// and those of the operating system.
    ///
    /// # Errors
    /// Returns [`Error::Unreachable`], which says whether the network or the certificate failed.
    pub(crate) async fn connect(
        address: &Address,
        roots: Roots,
        answered: Option<Url>,
    ) -> Result<Self, Error> {
        let dialer = Dialer::new(address, roots, answered);
        // Dials now, so that errors are reported in our words.
        let stream = dialer.dial(ABSENT).await?;
        Ok(Self {
            link: Link::new(&dialer, address, stream).await?,
            dialer,
            address: address.clone(),
        })
    }

    /// The URL that answered last.
    pub(crate) fn answered(&self) -> Option<Url> {
        self.dialer.answered()
    }

    /// The `ServerInfo` service.
    pub(crate) fn trust_service(&self) -> TrustClient<Link> {
        TrustClient::new(self.link.clone())
    }

    /// The `Passes` service.
    pub(crate) fn passes(&self) -> PassesClient<Link> {
        PassesClient::new(self.link.clone())
    }

    /// The `Admin` service.
    pub(crate) fn admin(&self) -> AdminClient<Link> {
        AdminClient::new(self.link.clone())
    }

    /// The `Hosts` service.
    pub(crate) fn hosts(&self) -> HostsClient<Link> {
        HostsClient::new(self.link.clone())
    }

    /// The `Requests` service.
    pub(crate) fn requests(&self) -> RequestsClient<Link> {
        RequestsClient::new(self.link.clone())
    }

    /// The `Ledger` service.
    pub(crate) fn ledger(&self) -> LedgerClient<Link> {
        LedgerClient::new(self.link.clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tokio::{
        net::{TcpListener, TcpSocket},
        time::timeout,
    };

    use super::*;

    #[tokio::test]
    async fn a_server_that_ends_every_connection_gets_few_of_them() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = Address::parse(&format!("https://127.0.0.1:{port}")).unwrap();
        let dialing = tokio::spawn(async move {
            let connected = Server::connect(&address, Vec::new(), None).await;
            connected.err().unwrap().exit_code()
        });
        let mut taken = 0;
        while !dialing.is_finished() {
            // The longest pause is shorter.
            let next = timeout(Duration::from_secs(1), listener.accept()).await;
            taken += usize::from(next.is_ok());
        }
        assert_eq!(dialing.await.unwrap(), 6);
        assert!((2..=52).contains(&taken), "{taken} connections");
    }

    #[tokio::test]
    async fn ports_without_a_listener_are_unreachable_and_each_is_named() {
        // Bound, so that no other program listens there; refused, because they do not listen.
        let sockets = [TcpSocket::new_v4().unwrap(), TcpSocket::new_v4().unwrap()];
        let urls = sockets.each_ref().map(|socket| {
            socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
            let port = socket.local_addr().unwrap().port();
            format!("http://127.0.0.1:{port}/")
        });
        let address = Address::parse(&urls.join(",")).unwrap();
        let refused = Server::connect(&address, Vec::new(), None).await;
        let error = refused.err().unwrap();
        assert_eq!(error.exit_code(), 6);
        for url in urls {
            assert!(error.to_string().contains(&url), "{error}");
        }
    }
}
