//! Invariant 7: each pass that a client holds is well-formed, by the run's own lint and by
//! `ssh-keygen -L`.

use super::{Found, LINTED, Ledger};
use crate::history::{HeldPass, Listed};

pub(super) fn check(ledger: &Ledger<'_>, found: &mut Found) {
    for (_, pass) in ledger.evidence.passes() {
        for flaw in &pass.flaws {
            found.add(LINTED, format!("pass {}: {flaw}", pass.serial));
        }
    }
    let passes: Vec<_> = ledger.evidence.passes().map(|(_, pass)| pass).collect();
    let listed = &ledger.evidence.by_keygen;
    if listed.len() != passes.len() {
        found.add(
            LINTED,
            format!(
                "ssh-keygen -L reads {} of {} passes",
                listed.len(),
                passes.len()
            ),
        );
    }
    for (pass, listed) in passes.iter().zip(listed) {
        if let Some(difference) = difference(pass, listed) {
            found.add(
                LINTED,
                format!(
                    "ssh-keygen -L reads another {difference} in pass {}: {listed:?}",
                    pass.serial
                ),
            );
        }
    }
}

fn difference(pass: &HeldPass, listed: &Listed) -> Option<&'static str> {
    let options = pass.command.iter();
    let options = options.map(|command| format!("force-command {command}"));
    let sources = pass.sources.iter();
    let options = options.chain(sources.map(|it| format!("source-address {it}")));
    [
        ("serial", listed.serial == pass.serial),
        ("kind", listed.kind.ends_with(" user certificate")),
        ("key", listed.key.ends_with(&format!(" {}", pass.key))),
        ("CA", listed.ca.contains(&format!(" {} ", pass.ca))),
        ("set of principals", listed.principals == pass.principals),
        (
            "set of options",
            listed.options == options.collect::<std::collections::BTreeSet<_>>(),
        ),
        ("set of extensions", listed.extensions == pass.extensions),
    ]
    .into_iter()
    .find_map(|(what, is_same)| (!is_same).then_some(what))
}
