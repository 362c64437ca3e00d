//! Source addresses of passes: any address, the caller's own, networks, or a bastion.
//!
//! sshd refuses a certificate whose `source-address` has host bits, host names or IPv4-mapped
//! addresses. So only canonical networks are accepted.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
};

use ipnet::IpNet;
use toml::Spanned;

use super::{Error, file, text::Text};

/// Largest number of networks in a role or an ask.
pub(crate) const MAX_NETWORKS: usize = 64;

/// The address restriction of a role.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// Any address.
    Any,
    /// The caller's own address only.
    Caller,
    /// These networks only.
    Networks(BTreeSet<IpNet>),
    /// The addresses of the bastion in front of the host.
    Bastion,
}

/// Parses `source`. `bastion` gives the meaning of that word.
pub(super) fn load(
    text: Text<'_>,
    raw: Option<&Spanned<file::Source>>,
    bastion: impl Fn() -> Result<Source, String>,
) -> Result<Source, Error> {
    let Some(source) = raw else {
        return Ok(Source::Any);
    };
    text.parse(source, |source| match source {
        file::Source::Word(word) if word == "caller" => Ok(Source::Caller),
        file::Source::Word(word) if word == "bastion" => bastion(),
        file::Source::Word(word) => Err(format!(
            "{word:?} is not a source; write \"caller\" or a list of networks such as [\"10.0.0.0/8\"]"
        )),
        file::Source::Networks(networks) if networks.is_empty() || networks.len() > MAX_NETWORKS => Err(format!(
            "`source` names {} networks; name 1 to {MAX_NETWORKS}, or remove it to allow any address",
            networks.len()
        )),
        file::Source::Networks(networks) => {
            let networks: Result<Vec<_>, _> = networks.iter().map(|network| parse(network)).collect();
            Ok(Source::Networks(aggregate(networks?)))
        }
    })
}

impl Source {
    /// The networks for a pass of `caller`; `None` for any address.
    ///
    /// # Errors
    /// Returns a sentence if the role needs the caller's address and it is not known, or needs a
    /// bastion's addresses, which [`super::bastion`] provides.
    pub(crate) fn networks(
        &self,
        caller: Option<IpAddr>,
    ) -> Result<Option<BTreeSet<IpNet>>, String> {
        match (self, caller) {
            (Self::Any, _) => Ok(None),
            (Self::Networks(networks), _) => Ok(Some(networks.clone())),
            (Self::Caller, Some(caller)) => Ok(Some(BTreeSet::from([host(caller)]))),
            (Self::Bastion, _) => Err(
                "the role limits its passes to a bastion's addresses, so name a host".to_owned(),
            ),
            (Self::Caller, None) => Err(
                "the role limits its passes to the caller's address, which is unknown here"
                    .to_owned(),
            ),
        }
    }
}

/// Parses a network (`10.0.0.0/8`) or an address, in canonical form.
///
/// # Errors
/// Returns a sentence that says how to write it.
pub(crate) fn parse(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return canonical(IpNet::from(address));
    }
    split(text).map_or_else(
        || {
            Err(format!(
                "{text:?} is not a network; write one such as \"10.0.0.0/8\" or \"2001:db8::/32\""
            ))
        },
        canonical,
    )
}

/// Parses strictly: `ipnet` accepts `010.0.0.0/8` and `10.0.0.0/+8`, which other programs read
/// differently.
fn split(text: &str) -> Option<IpNet> {
    let (address, prefix) = text.split_once('/')?;
    if !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    IpNet::new(address.parse().ok()?, prefix.parse().ok()?).ok()
}

/// Accepts a network without host bits that is not IPv4-mapped.
///
/// # Errors
/// Returns a sentence that says how to write it.
pub(crate) fn canonical(network: IpNet) -> Result<IpNet, String> {
    if let Some(plain) = unmapped(network) {
        return Err(format!(
            "{network} is an IPv4-mapped network; write {plain}"
        ));
    }
    if network.trunc() != network {
        return Err(format!(
            "{network} has bits behind its prefix; write {}",
            network.trunc()
        ));
    }
    Ok(network)
}

/// The intersection, in canonical form.
pub(crate) fn meet(left: &BTreeSet<IpNet>, right: &BTreeSet<IpNet>) -> BTreeSet<IpNet> {
    let common = left.iter().flat_map(|one| {
        right.iter().filter_map(move |other| {
            if other.contains(one) {
                Some(*one)
            } else if one.contains(other) {
                Some(*other)
            } else {
                None
            }
        })
    });
    aggregate(common)
}

/// The fewest networks that cover the same addresses, which is the canonical form of a set.
pub(crate) fn aggregate(networks: impl IntoIterator<Item = IpNet>) -> BTreeSet<IpNet> {
    IpNet::aggregate(&networks.into_iter().collect())
        .into_iter()
        .collect()
}

/// The network of one address. An IPv4-mapped address (from a dual-stack socket) counts as its IPv4
/// address.
fn host(address: IpAddr) -> IpNet {
    IpNet::from(address.to_canonical())
}

/// The IPv4 network of an IPv4-mapped one (`::ffff:10.0.0.0/104`).
fn unmapped(network: IpNet) -> Option<IpNet> {
    let IpNet::V6(network) = network else {
        return None;
    };
    let address: Ipv6Addr = network.addr();
    let prefix = network.prefix_len().checked_sub(96)?;
    let plain = address.to_ipv4_mapped()?;
    IpNet::new(IpAddr::V4(plain), prefix)
        .ok()
        .map(|plain| plain.trunc())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_canonical_networks_are_read() {
        for (text, expected) in [
            ("10.0.0.0/8", Ok("10.0.0.0/8")),
            ("192.0.2.7", Ok("192.0.2.7/32")),
            ("2001:db8::/32", Ok("2001:db8::/32")),
            ("2001:DB8::7", Ok("2001:db8::7/128")),
            ("::/0", Ok("::/0")),
            ("10.0.0.1/8", Err("write 10.0.0.0/8")),
            ("2001:db8::1/32", Err("write 2001:db8::/32")),
            ("::ffff:10.0.0.0/104", Err("write 10.0.0.0/8")),
            ("::ffff:192.0.2.7", Err("write 192.0.2.7/32")),
            ("10.0.0.0/33", Err("not a network")),
            ("10.0.0.0/255.0.0.0", Err("not a network")),
            ("010.0.0.0/8", Err("not a network")),
            ("10.1/16", Err("not a network")),
            ("10.0.0.0/+8", Err("not a network")),
            ("10.0.0.0/", Err("not a network")),
            (" 10.0.0.0/8", Err("not a network")),
            ("10.0.0.0/8,0.0.0.0/0", Err("not a network")),
            ("fe80::1%eth0", Err("not a network")),
            ("!10.0.0.0/8", Err("not a network")),
            ("db.example.com", Err("not a network")),
            ("", Err("not a network")),
        ] {
            match (parse(text), expected) {
                (Ok(network), Ok(expected)) => assert_eq!(network.to_string(), expected),
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{text}: {error}"),
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
    }

    #[test]
    fn a_mapped_caller_is_the_address_it_stands_for() {
        let caller = "::ffff:192.0.2.7".parse().ok();
        let networks = Source::Caller.networks(caller).unwrap().unwrap();
        assert_eq!(networks, BTreeSet::from(["192.0.2.7/32".parse().unwrap()]));
        assert!(Source::Caller.networks(None).is_err());
    }

    fn network() -> impl Strategy<Value = IpNet> {
        // Few high bits, so that networks often overlap.
        (
            0u8..4,
            0u8..4,
            prop::sample::select(vec![0u8, 6, 7, 8, 14, 15, 16, 32]),
        )
            .prop_map(|(first, second, prefix)| {
                IpNet::new(IpAddr::from([first, second, 0, 0]), prefix)
                    .unwrap()
                    .trunc()
            })
    }

    proptest! {
        #[test]
        fn an_address_is_in_the_meet_exactly_when_it_is_in_both(
            left in prop::collection::btree_set(network(), 0..5),
            right in prop::collection::btree_set(network(), 0..5),
            address in (0u8..5, 0u8..5).prop_map(|(a, b)| IpAddr::from([a, b, 0, 0])),
        ) {
            let within = |set: &BTreeSet<IpNet>| set.iter().any(|network| network.contains(&address));
            let met = meet(&left, &right);
            prop_assert_eq!(within(&met), within(&left) && within(&right));
            prop_assert_eq!(&met, &meet(&right, &left));
            prop_assert_eq!(&met, &meet(&met, &left));
        }
    }
}
