//! The sentences below a list: what it lacks, and names that are unknown.

use crate::{cli::output::clean, client::search::SearchResult};

/// What the list lacks, or has too much.
pub(super) fn notes(found: &SearchResult) -> Vec<String> {
    let slow = "the server did not find all in time, as while its search index is made again";
    let plain = match found.plain_passes {
        (0, _) => None,
        (1, false) => Some("1 more pass has".to_owned()),
        (count, false) => Some(format!("{count} more passes have")),
        (count, true) => Some(format!("at least {count} more passes have")),
    };
    let plain = plain.map(|passes| {
        format!("note: {passes} plain logins, for hosts without a host group; --plain-logins lists them too")
    });
    let others = [
        (
            found.names_left_out,
            "note: the name stands for more identities or hosts than were searched".to_owned(),
        ),
        (
            found.ends_missing,
            format!("note: some of these passes may have been revoked before: {slow}"),
        ),
        (
            found.approvals_missing,
            format!("note: APPROVED BY may lack names: {slow}"),
        ),
    ];
    let others = others
        .into_iter()
        .filter_map(|(is_so, note)| is_so.then_some(note));
    plain.into_iter().chain(others).collect()
}

/// Says that nothing has this name.
pub(super) fn unknown(option: &str, name: &str, near: &[String]) -> String {
    format!("note: {option} {name:?} is unknown here{}", beside(near))
}

/// Names with a similar spelling, in brackets; nothing if there are none.
pub(super) fn beside(near: &[String]) -> String {
    if near.is_empty() {
        return String::new();
    }
    let near: Vec<_> = near.iter().map(|name| clean(name)).collect();
    format!(" (near: {})", near.join(", "))
}
