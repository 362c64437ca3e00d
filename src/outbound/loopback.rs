//! Addresses that are this machine by definition.

use url::{Host, Url};

/// Whether a URL's host is this machine by definition: `localhost`, 127.0.0.0/8, ::1.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
