//! Compares a pass's source addresses with the approved ones. Pure.

use ipnet::IpNet;

/// Whether every address of `issued` is one of `approved`; `None` is any address.
///
/// Returns `false` if one of the lists does not parse.
pub(in super::super) fn addresses_within(
    issued: Option<&[String]>,
    approved: Option<&[String]>,
) -> bool {
    let Some(approved) = approved else {
        return true;
    };
    let (Some(issued), Some(approved)) = (issued.and_then(networks), networks(approved)) else {
        return false;
    };
    if issued.is_empty() {
        // A certificate cannot have an empty list: without the option it is valid from any address.
        return false;
    }
    // Merge neighbours first: 10.0.0.0/24 lies within 10.0.0.0/25 and 10.0.0.128/25 together.
    let approved = IpNet::aggregate(&approved);
    let mut issued = issued.iter();
    issued.all(|network| approved.iter().any(|wide| wide.contains(network)))
}

fn networks(list: &[String]) -> Option<Vec<IpNet>> {
    list.iter().map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_pass_is_used_from_approved_addresses_only() {
        let any: Option<&[&str]> = None;
        for (case, issued, approved, expected) in [
            ("any of any", any, any, true),
            ("one of any", Some(&["192.0.2.1/32"][..]), any, true),
            ("any of one", any, Some(&["192.0.2.1/32"][..]), false),
            (
                "the same",
                Some(&["192.0.2.0/24"]),
                Some(&["192.0.2.0/24"]),
                true,
            ),
            (
                "a part",
                Some(&["192.0.2.1/32"]),
                Some(&["192.0.2.0/24"]),
                true,
            ),
            (
                "the whole of a part",
                Some(&["192.0.2.0/24"]),
                Some(&["192.0.2.1/32"]),
                false,
            ),
            (
                "another",
                Some(&["198.51.100.1/32"]),
                Some(&["192.0.2.0/24"]),
                false,
            ),
            (
                "one of two",
                Some(&["192.0.2.1/32", "198.51.100.1/32"]),
                Some(&["192.0.2.0/24"]),
                false,
            ),
            (
                "two neighbours",
                Some(&["192.0.2.0/24"]),
                Some(&["192.0.2.0/25", "192.0.2.128/25"]),
                true,
            ),
            (
                "another family",
                Some(&["::/0"]),
                Some(&["0.0.0.0/0"]),
                false,
            ),
            (
                "IPv6",
                Some(&["2001:db8::1/128"]),
                Some(&["2001:db8::/32"]),
                true,
            ),
            ("none at all", Some(&[]), Some(&["192.0.2.0/24"]), false),
            ("no network", Some(&["x"]), Some(&["0.0.0.0/0"]), false),
            (
                "of no network",
                Some(&["192.0.2.1/32"]),
                Some(&["0.0.0.0/0", "x"]),
                false,
            ),
        ] {
            let (issued, approved) = (issued.map(list), approved.map(list));
            let within = addresses_within(issued.as_deref(), approved.as_deref());
            assert_eq!(within, expected, "{case}");
        }
    }
}
