//! Lines of the user's own ssh configuration by which plain ssh would share a connection to a host
//! of a pass. Of several values ssh takes the first, so those above our `Include` count, and for
//! other names of a host (`HostName`) also those below. Pure. Does not follow an `Include`.

use crate::ssh::pattern;

/// Lines that are looked at.
const MOST: usize = 20_000;

/// A `ControlPath` that counts although the block of Daypass says `none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SharedPath {
    /// Number of its line, from 1.
    pub(crate) line: usize,
    /// The other name of a host that it counts for. None: it is above our `Include`.
    pub(crate) alias: Option<String>,
}

/// A `Host` or `Match` block, or the lines above the first one.
#[derive(Clone, Copy)]
enum Block<'a> {
    /// For every host, or for some that only ssh can tell.
    Open,
    /// For the hosts of these patterns.
    Hosts(&'a str),
}

/// The lines of `text` that count for a host of `patterns`. `include` is our own line.
pub(super) fn shared_paths(text: &str, include: &str, patterns: &[String]) -> Vec<SharedPath> {
    let aliases = aliases(text, patterns);
    let mut is_above = true;
    let mut closed: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    for (number, block, line) in lines(text) {
        is_above &= line != include;
        let Some((keyword, value)) = setting(line) else {
            continue;
        };
        if !keyword.eq_ignore_ascii_case("controlpath") {
            continue;
        }
        let is_none = value.trim_matches('"').eq_ignore_ascii_case("none");
        let is_ours = patterns.iter().any(|pattern| block.may_be_for(pattern));
        let alias = aliases
            .iter()
            .find(|alias| block.may_be_for(alias) && !closed.contains(alias));
        if is_none {
            // The first value counts, for an alias in a block of its own too.
            closed.extend(aliases.iter().filter(|alias| block.is_for(alias)));
        } else if is_above && is_ours {
            found.push(SharedPath {
                line: number,
                alias: None,
            });
        } else if let Some(alias) = alias {
            let alias = Some((*alias).to_owned());
            found.push(SharedPath {
                line: number,
                alias,
            });
        }
    }
    found
}

/// The names in `Host` lines whose `HostName` is a host of `patterns`, and that are none
/// themselves.
fn aliases<'a>(text: &'a str, patterns: &[String]) -> Vec<&'a str> {
    let is_host = |name: &str| patterns.iter().any(|it| pattern::matches(it, name));
    let mut found: Vec<&str> = Vec::new();
    for (_, block, line) in lines(text) {
        let (Block::Hosts(names), Some((keyword, value))) = (block, setting(line)) else {
            continue;
        };
        if keyword.eq_ignore_ascii_case("hostname") && is_host(value.trim_matches('"')) {
            let names = words(names).filter(|name| !name.contains(['*', '?', '!']));
            found.extend(names.filter(|name| !is_host(name)));
        }
    }
    found
}

/// Each line without its blanks, with its number and the block that it is in.
fn lines(text: &str) -> impl Iterator<Item = (usize, Block<'_>, &str)> {
    let lines = text.lines().take(MOST).enumerate();
    lines.scan(Block::Open, |block, (index, line)| {
        let line = line.trim();
        if let Some((keyword, value)) = setting(line) {
            if keyword.eq_ignore_ascii_case("host") {
                *block = Block::Hosts(value);
            } else if keyword.eq_ignore_ascii_case("match") {
                *block = Block::Open;
            }
        }
        Some((index + 1, *block, line))
    })
}

/// Keyword and value of a line; none if it is empty or a comment.
fn setting(line: &str) -> Option<(&str, &str)> {
    let (keyword, rest) = line.split_once(|c: char| c.is_ascii_whitespace() || c == '=')?;
    let blank = |c: char| c.is_ascii_whitespace() || c == '=';
    (!keyword.starts_with('#')).then(|| (keyword, rest.trim_start_matches(blank)))
}

fn words(value: &str) -> impl Iterator<Item = &str> {
    value
        .split_ascii_whitespace()
        .map(|it| it.trim_matches('"'))
}

impl Block<'_> {
    /// Whether the block may be for a host of `name`, which may be a pattern too.
    fn may_be_for(self, name: &str) -> bool {
        match self {
            Self::Open => true,
            Self::Hosts(own) => {
                let excludes = |it: &str| it.strip_prefix('!').is_some_and(|it| it == name);
                let overlaps = |it: &str| pattern::matches(it, name) || pattern::matches(name, it);
                !words(own).any(excludes) && words(own).any(overlaps)
            }
        }
    }

    /// Whether the block is for this name, which is no pattern.
    fn is_for(self, name: &str) -> bool {
        match self {
            Self::Open => false,
            Self::Hosts(own) => {
                let excluded = |it: &str| {
                    let pattern = it.strip_prefix('!');
                    pattern.is_some_and(|it| pattern::matches(it, name))
                };
                !words(own).any(excluded) && words(own).any(|it| pattern::matches(it, name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INCLUDE: &str = "Include \"/home/a/daypass/ssh_config\"";

    fn found(text: &str) -> Vec<(usize, Option<String>)> {
        let patterns = ["web-*".to_owned(), "db-1".to_owned()];
        let text = text.replace("INCLUDE", INCLUDE);
        let paths = shared_paths(&text, INCLUDE, &patterns).into_iter();
        paths.map(|it| (it.line, it.alias)).collect()
    }

    #[test]
    fn a_shared_connection_that_counts_for_a_host_of_passes_is_found_with_its_line() {
        let alias = |line: usize, name: &str| (line, Some(name.to_owned()));
        for (text, expected) in [
            ("INCLUDE\nHost *\n ControlPath ~/x", vec![]),
            ("Host *\n ControlMaster auto\nINCLUDE", vec![]),
            (
                "Host *\n ControlMaster auto\n controlpath=~/x\nINCLUDE",
                vec![(3, None)],
            ),
            ("ControlPath \"~/x\"\nHost a\nINCLUDE", vec![(1, None)]),
            ("#ControlPath ~/x\nControlPath none\nINCLUDE", vec![]),
            (
                "Host web-1\n\tControlPath = ~/x\nHost *\nINCLUDE",
                vec![(2, None)],
            ),
            (
                "Host w* x\nControlPath a\nHost other\nControlPath b\nINCLUDE",
                vec![(2, None)],
            ),
            ("Host * !db-1 !web-*\nControlPath a\nINCLUDE", vec![]),
            ("Match exec x\nControlPath a\nINCLUDE", vec![(2, None)]),
            (
                "INCLUDE\nHost w1\n HostName web-1\nHost *\n ControlPath ~/x",
                vec![alias(5, "w1")],
            ),
            (
                "INCLUDE\nHost w1\n HostName web-1\n ControlPath none\nHost *\n ControlPath ~/x",
                vec![],
            ),
            (
                "INCLUDE\nHost o\n HostName other\nHost *\n ControlPath ~/x",
                vec![],
            ),
            ("", vec![]),
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_configuration_is_read(text in "((Host|Match|HostName|ControlPath|INCLUDE|[!*=\" a-z-]{0,5})[ =\n])*") {
            let count = text.lines().count();
            prop_assert!(found(&text).iter().all(|(line, _)| (1..=count).contains(line)));
        }
    }
}
