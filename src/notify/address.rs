//! The addresses that a webhook may be sent to: those of the internet, and those that the
//! configuration names. Pure.
//!
//! An attacker who controls a DNS record must not make this server connect to addresses that only
//! it can reach (SSRF). So a name is judged by all addresses that it has at the time of connecting,
//! and an address of any special purpose (RFC 6890 and later registrations at IANA) is refused
//! unless it is in the webhook's `networks`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Whether an address is of the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// An address of the internet.
    Global,
    /// An address of a special purpose, with the word for it.
    Special(&'static str),
}

/// An address that a webhook may not be sent to, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidAddress {
    /// It is not an address of the internet, and the configuration does not name it.
    #[error(
        "{host} is at {address}, which is {what}: put it into `networks` of this [[webhook]] if the receiver is there"
    )]
    Special {
        /// The URL's host.
        host: String,
        /// The address.
        address: IpAddr,
        /// Its special purpose.
        what: &'static str,
    },
    /// Plain HTTP may not leave this machine.
    #[error(
        "{host} is at {address}, which is not this machine, and http:// is for loopback only: use https://"
    )]
    PlainText {
        /// The URL's host.
        host: String,
        /// The address.
        address: IpAddr,
    },
    /// The name has no address.
    #[error("{host} has no address")]
    None {
        /// The URL's host.
        host: String,
    },
}

/// The scheme of a webhook's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// `https://`.
    Tls,
    /// `http://`.
    Plain,
}

/// Checks that all addresses of `host` may be connected to. One forbidden address refuses them all,
/// because the name is then not what the operator took it for.
///
/// # Errors
/// Returns the first forbidden address.
pub(crate) fn judge(
    host: &str,
    addresses: &[IpAddr],
    networks: &[IpNet],
    transport: Transport,
) -> Result<(), InvalidAddress> {
    if addresses.is_empty() {
        let host = host.to_owned();
        return Err(InvalidAddress::None { host });
    }
    addresses
        .iter()
        .try_for_each(|address| judge_one(host, *address, networks, transport))
}

fn judge_one(
    host: &str,
    address: IpAddr,
    networks: &[IpNet],
    transport: Transport,
) -> Result<(), InvalidAddress> {
    let canonical = address.to_canonical();
    if transport == Transport::Plain && !canonical.is_loopback() {
        let host = host.to_owned();
        return Err(InvalidAddress::PlainText { host, address });
    }
    let is_named = |network: &IpNet| network.contains(&canonical) || network.contains(&address);
    match reach(address) {
        Reach::Special(what) if !networks.iter().any(is_named) => Err(InvalidAddress::Special {
            host: host.to_owned(),
            address,
            what,
        }),
        Reach::Special(_) | Reach::Global => Ok(()),
    }
}

/// The purpose of an address.
pub(crate) fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

/// IANA's registry of special-purpose addresses, without those that are globally reachable.
fn reach_v4(address: Ipv4Addr) -> Reach {
    let [a, b, c, _] = address.octets();
    let what = match (a, b, c) {
        (0, ..) => "no address (0.0.0.0/8)",
        (10, ..) | (192, 168, _) => "private",
        (172, 16..=31, _) => "private",
        (100, 64..=127, _) => "a provider's own (100.64.0.0/10)",
        (127, ..) => "loopback",
        (169, 254, _) => "link-local",
        (192, 0, 0) => "reserved for protocols",
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => "for documentation",
        (192, 88, 99) => "a 6to4 relay",
        (198, 18..=19, _) => "for benchmarks",
        (224..=239, ..) => "multicast",
        (240..=255, ..) => "reserved",
        _ => return Reach::Global,
    };
    Reach::Special(what)
}

/// Only 2000::/3 is of the internet. The special purposes within it, and addresses that embed an
/// IPv4 address, are sorted out below.
fn reach_v6(address: Ipv6Addr) -> Reach {
    let what = match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => "no address (::)",
        [0, 0, 0, 0, 0, 0, 0, 1] => "loopback",
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            return reach_v4(embedded(high, low));
        }
        [0x2002, high, low, ..] => return reach_v4(embedded(high, low)),
        [0x64, 0xff9b, ..] => "a network's own translation (64:ff9b:1::/48)",
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => "for documentation",
        [0x2001, 0..=0x1ff, ..] => "reserved for protocols",
        [0xfc00..=0xfdff, ..] => "unique-local",
        [0xfe80..=0xfebf, ..] => "link-local",
        [0xfec0..=0xfeff, ..] => "site-local",
        [0xff00..=0xffff, ..] => "multicast",
        [0x2000..=0x3fff, ..] => return Reach::Global,
        _ => "reserved",
    };
    Reach::Special(what)
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Vec<IpAddr> {
        let words = text.split_whitespace();
        words.map(|word| word.parse().unwrap()).collect()
    }

    #[test]
    fn the_internets_addresses_are_global_and_no_others() {
        for address in addresses(
            "1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 192.0.1.1 198.17.0.1 198.20.0.1 \
             223.255.255.255 169.253.0.1 2606:4700::1111 2a00:1450::1 2001:4860:4860::8888 2001:200::1 3ffe::1 \
             ::ffff:1.1.1.1 64:ff9b::101:101 2002:101:101::1",
        ) {
            assert_eq!(reach(address), Reach::Global, "{address}");
        }
        for address in addresses(
            "0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 \
             169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 \
             198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 \
             :: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1 \
             64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 2001:2::1 2001:db8::1 2001:10::1 \
             2002:7f00:1::1 2002:a00:1::1 2002:a9fe:a9fe::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 \
             ff02::1 4000::1",
        ) {
            assert!(matches!(reach(address), Reach::Special(_)), "{address}");
        }
    }

    #[test]
    fn a_special_address_must_be_named() {
        let networks: Vec<IpNet> = ["10.1.0.0/16", "::1/128"]
            .map(|n| n.parse().unwrap())
            .into();
        for (case, at, transport, refusal) in [
            ("named", "10.1.2.3", Transport::Tls, ""),
            (
                "named, as v6 writes it",
                "::ffff:10.1.2.3",
                Transport::Tls,
                "",
            ),
            ("public", "1.1.1.1 2606:4700::1111", Transport::Tls, ""),
            (
                "another one",
                "10.2.0.1",
                Transport::Tls,
                "h is at 10.2.0.1, which is private: put it into `networks`",
            ),
            (
                "one of two",
                "10.1.2.3 10.2.0.1",
                Transport::Tls,
                "h is at 10.2.0.1",
            ),
            (
                "the cloud's secrets",
                "169.254.169.254",
                Transport::Tls,
                "which is link-local",
            ),
            ("none", "", Transport::Tls, "h has no address"),
            ("plain, here", "::1", Transport::Plain, ""),
            (
                "plain, here, not named",
                "127.0.0.1",
                Transport::Plain,
                "which is loopback",
            ),
            (
                "plain, elsewhere",
                "10.1.2.3",
                Transport::Plain,
                "use https://",
            ),
            ("plain, public", "1.1.1.1", Transport::Plain, "use https://"),
        ] {
            let said = match judge("h", &addresses(at), &networks, transport) {
                Ok(()) => String::new(),
                Err(refusal) => refusal.to_string(),
            };
            assert_eq!(said.is_empty(), refusal.is_empty(), "{case}: {said}");
            assert!(said.contains(refusal), "{case}: {said}");
        }
    }
}
