//! One `[[webhook]]` in the module's own types. Pure; a URL and a secret are in no `Debug` output
//! and no error.

use std::{collections::BTreeSet, fmt, net::IpAddr, time::Duration};

use ipnet::IpNet;
use serde::Deserialize;
use url::{Host, Url};

use super::{
    address::{self, Transport},
    kind::NotificationKind,
    signature::Secret,
};

/// Default deadline for a receiver.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// The most webhooks of one server.
pub(crate) const MOST: usize = 16;

/// The settings of one webhook.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name in the outbox, the log and the metrics.
    pub name: String,
    /// The receiver's URL.
    pub endpoint: Endpoint,
    /// The secrets that sign deliveries; may be empty for [`Format::Chat`].
    pub secrets: Vec<Secret>,
    /// The kinds of events that it takes.
    pub events: BTreeSet<NotificationKind>,
    /// The format of deliveries.
    pub format: Format,
    /// The allowed addresses beyond those of the internet.
    pub networks: Vec<IpNet>,
    /// Deadline from resolving the name to the answer's status.
    pub timeout: Duration,
    /// PEM roots for its certificate in addition to the system's.
    pub ca_certificates: Option<Vec<u8>>,
}

/// The format of deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JSON for programs, signed.
    #[default]
    Daypass,
    /// `{"text": "..."}`, as Slack, Mattermost and Rocket.Chat take it.
    Chat,
}

/// A receiver's URL. Often a secret, so only its host is ever shown.
#[derive(Clone)]
pub struct Endpoint {
    url: Url,
    host: String,
    transport: Transport,
}

impl Endpoint {
    /// Reads a URL.
    ///
    /// # Errors
    /// Returns the problem and what to do, without the URL.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("has white space or non-ASCII characters: write one URL and nothing else");
        }
        let url = Url::parse(text).map_err(|_| "is not a URL: copy the receiver's exactly")?;
        let transport = match url.scheme() {
            "https" => Transport::Tls,
            "http" => Transport::Plain,
            _ => return Err("is neither https nor http: use https"),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("holds a user name or password: remove it, deliveries are signed");
        }
        if url.fragment().is_some() {
            return Err("has a fragment, which is never sent: remove it");
        }
        let host = url.host_str().ok_or("names no host")?.to_owned();
        let endpoint = Self {
            url,
            host,
            transport,
        };
        match endpoint.literal() {
            Some(address) if transport == Transport::Plain && !address.is_loopback() => {
                Err("is http and not on this machine: use https")
            }
            _ => Ok(endpoint),
        }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn transport(&self) -> Transport {
        self.transport
    }

    /// The address, if the URL has one instead of a name. The operator who wrote it has allowed it.
    fn literal(&self) -> Option<IpAddr> {
        match self.url.host()? {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(IpAddr::from(address).to_canonical()),
            Host::Domain(_) => None,
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint(host {:?})", self.host)
    }
}

impl Settings {
    /// Checks that the name's addresses may be connected to.
    ///
    /// # Errors
    /// Returns the first forbidden address.
    pub(super) fn judge(&self, addresses: &[IpAddr]) -> Result<(), address::InvalidAddress> {
        let (host, transport) = (&self.endpoint.host, self.endpoint.transport);
        address::judge(host, addresses, &self.networks, transport)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_https_or_on_this_machine() {
        for (url, problem) in [
            ("https://chat.example.com/hooks/x?key=y", ""),
            ("https://10.0.0.1/x", ""),
            ("http://127.0.0.1:8080/x", ""),
            ("http://[::1]:8080/x", ""),
            ("http://localhost:8080/x", ""),
            ("http://10.0.0.1/x", "is http and not on this machine"),
            (
                "http://[::ffff:10.0.0.1]/x",
                "is http and not on this machine",
            ),
            ("ftp://example.com/", "is neither https nor http"),
            ("https://u:p@example.com/", "holds a user name"),
            ("https://example.com/#x", "has a fragment"),
            ("https://example.com/ x", "has white space"),
            ("example.com", "is not a URL"),
        ] {
            let said = Endpoint::parse(url).err().unwrap_or_default();
            assert!(said.contains(problem), "{url}: {said}");
            assert_eq!(said.is_empty(), problem.is_empty(), "{url}: {said}");
        }
    }

    #[test]
    fn the_path_of_a_url_is_never_shown() {
        let endpoint = Endpoint::parse("https://chat.example.com/hooks/SECRET").unwrap();
        assert_eq!(
            format!("{endpoint:?}"),
            "Endpoint(host \"chat.example.com\")"
        );
    }
}
