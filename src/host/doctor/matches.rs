//! The `Match` blocks: what sshd would do for the logins that they name. sshd itself is asked,
//! about an example of each block.

use super::{
    account::Accounts,
    configuration, login,
    scene::{Examined, Scene},
};
use crate::{
    finding::Finding,
    host::{
        Error,
        sshd::{Connection, Sshd},
        sshd_files::{ConfigFile, MatchBlock, match_blocks},
    },
};

/// The most blocks that sshd is asked about; each takes some milliseconds.
const MOST: usize = 32;

/// The keywords that decide about passes. A block without any of them is left out.
const DECIDING: [&str; 22] = [
    "allowgroups",
    "allowusers",
    "authenticationmethods",
    "authorizedprincipalscommand",
    "authorizedprincipalscommanduser",
    "authorizedprincipalsfile",
    "casignaturealgorithms",
    "denygroups",
    "denyusers",
    "forcecommand",
    "include",
    "maxauthtries",
    "permitrootlogin",
    "pubkeyacceptedalgorithms",
    "pubkeyacceptedkeytypes",
    "pubkeyauthentication",
    "refuseconnection",
    "requiredrsasize",
    "revokedkeys",
    "trustedusercakeys",
    "usepam",
    "authorizedkeysfile",
];

/// Says what is wrong for the logins of `Match` blocks, beyond what is wrong for all. These are
/// notes: a block may refuse passes on purpose.
pub(super) async fn check(
    scene: &Scene<'_>,
    (sshd, asked): (&Sshd, &Examined<'_>),
    files: &[ConfigFile],
    known: &[Finding],
) -> Result<Vec<Finding>, Error> {
    let blocks = files.iter().flat_map(match_blocks);
    let blocks = blocks.filter(|block| block.keywords.iter().any(|it| is_deciding(it)));
    let mut findings: Vec<Finding> = Vec::new();
    for block in blocks.take(MOST) {
        let Some(example) = example(&block, asked, scene.accounts) else {
            continue;
        };
        let Some(connection) = example else {
            findings.push(Finding::note("match", unknown(&block)));
            continue;
        };
        let effective = sshd.effective(&connection).await?;
        let scene = Scene {
            effective: &effective,
            user: asked.user,
            address: asked.address,
            ..*scene
        };
        let mut found = configuration::check(&scene);
        found.extend(login::lists(&scene));
        for finding in found.into_iter().filter(|it| !it.is_good()) {
            let is_known = known.iter().any(|it| it.message == finding.message);
            let message = format!(
                "for logins of `{}` ({}): {}",
                block.title(),
                block.place,
                finding.message
            );
            if !is_known && !findings.iter().any(|it| it.message == message) {
                findings.push(Finding::note(finding.check, message));
            }
        }
    }
    Ok(findings)
}

fn is_deciding(keyword: &str) -> bool {
    DECIDING.contains(&keyword)
}

fn unknown(block: &MatchBlock) -> String {
    format!(
        "`{}` ({}) changes what passes open for some logins; check one with --user and --address",
        block.title(),
        block.place
    )
}

/// A connection that the block is for. `None`: the reader asked about another login. `Some(None)`:
/// there is no example.
#[allow(clippy::option_option, reason = "the doc says what each means")]
fn example(
    block: &MatchBlock,
    asked: &Examined<'_>,
    accounts: &Accounts,
) -> Option<Option<Connection>> {
    let mut connection = Connection::unlisted();
    if let Some(user) = asked.user {
        connection.user = user.to_owned();
    }
    if let Some(address) = asked.address {
        connection.address = address.to_owned();
        connection.host = address.to_owned();
    }
    for (criterion, value) in &block.criteria {
        let (is_of_user, is_of_address) = match criterion.as_str() {
            "user" | "group" => (true, false),
            "address" | "host" => (false, true),
            _ => (false, false),
        };
        if (is_of_user && asked.user.is_some()) || (is_of_address && asked.address.is_some()) {
            return None;
        }
        let value = match criterion.as_str() {
            "group" => plain(value).and_then(|group| accounts.member_of(&group)),
            "address" | "localaddress" => plain(value).and_then(|it| address(&it)),
            "all" => Some(String::new()),
            _ => plain(value),
        };
        let Some(value) = value else {
            return Some(None);
        };
        match criterion.as_str() {
            "user" | "group" => connection.user = value,
            "address" => connection.address = value,
            "host" => connection.host = value,
            "localaddress" => connection.local_address = value,
            "localport" => connection.local_port = value,
            "all" => {}
            _ => return Some(None),
        }
    }
    Some(Some(connection))
}

/// A word that the first pattern of a list matches; none if all are negated. `sshd -C` would take a
/// comma for the end of the word, and a blank for part of it.
fn plain(patterns: &str) -> Option<String> {
    let pattern = patterns.split(',').find(|it| !it.starts_with('!'))?;
    let word = pattern.replace('*', "").replace('?', "x");
    let word = if word.is_empty() {
        "x".to_owned()
    } else {
        word
    };
    (!word.contains([' ', '=', '"'])).then_some(word)
}

/// An address in a network, or that a pattern such as `10.*` matches.
fn address(network: &str) -> Option<String> {
    let base = network.split('/').next().unwrap_or_default();
    let missing = 4_usize.checked_sub(base.split('.').filter(|it| !it.is_empty()).count());
    let filled = match (base.ends_with('.'), missing) {
        (true, Some(missing)) => format!("{base}{}", vec!["1"; missing].join(".")),
        _ => base.to_owned(),
    };
    let address: std::net::IpAddr = filled.parse().ok()?;
    Some(address.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// The user of [`Connection::unlisted`].
    fn unlisted() -> String {
        Connection::unlisted().user
    }

    fn of(criteria: &[(&str, &str)], asked: &Examined<'_>) -> Option<Option<Connection>> {
        let block = MatchBlock {
            place: String::new(),
            criteria: criteria
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            keywords: Vec::new(),
        };
        example(&block, asked, &Accounts::default())
    }

    #[test]
    fn an_example_is_what_the_block_names() {
        let any = Examined::default();
        let unlisted = unlisted();
        for (criteria, user, address) in [
            (&[("user", "deploy,git")][..], "deploy", "192.0.2.2"),
            (&[("user", "!root,dep*")], "dep", "192.0.2.2"),
            (&[("address", "10.0.0.0/8")], &*unlisted, "10.0.0.0"),
            (&[("address", "10.2.*")], &*unlisted, "10.2.1.1"),
            (&[("address", "2001:db8::/32")], &*unlisted, "2001:db8::"),
            (&[("user", "a"), ("address", "192.0.2.9")], "a", "192.0.2.9"),
            (&[("all", "")], &*unlisted, "192.0.2.2"),
        ] {
            let connection = of(criteria, &any).unwrap().unwrap();
            assert_eq!((&*connection.user, &*connection.address), (user, address));
        }
        for criteria in [
            ("user", "!root"),
            ("group", "no-such-group"),
            ("rdomain", "1"),
            ("address", "nonsense"),
        ] {
            assert!(of(&[criteria], &any).unwrap().is_none(), "{criteria:?}");
        }
    }

    #[test]
    fn a_block_for_users_is_left_out_if_the_reader_asked_about_one() {
        let asked = Examined {
            user: Some("alice"),
            address: None,
        };
        assert!(of(&[("user", "bob")], &asked).is_none());
        let from = of(&[("address", "10.0.0.0/8")], &asked).unwrap().unwrap();
        assert_eq!((&*from.user, &*from.address), ("alice", "10.0.0.0"));
    }
}
