//! Shows an administrator whom an order covers, and asks for confirmation if it looks like a
//! mistake.

use std::fmt::Write as _;

use super::words::Confirmed;
use crate::{
    cli::{
        Failure, Global, failure::Code, login::is_interactive, output::clean, quoting::quoted,
        table::table, waiting::asked,
    },
    ledger::{
        event::CaKeyStep,
        order::{Target, Verb},
    },
    proto::v1::{Covered, PreviewResponse as Preview},
    reason,
};

/// The most covered identities that are shown. JSON has all.
const SHOWN: usize = 20;

/// The order that the user typed.
pub(super) struct Wanted<'a> {
    pub(super) verb: Verb,
    pub(super) target: &'a Target,
    /// Whether the session's own key is the target.
    pub(super) is_own_key: bool,
    pub(super) confirmed: &'a Confirmed,
}

impl Wanted<'_> {
    /// Says whom the order covers. Asks for confirmation if the name is unknown or the
    /// administrator's own.
    ///
    /// # Errors
    /// Returns [`Code::Usage`] if it must ask and there is no terminal, and [`Code::Failure`] if
    /// the administrator does not confirm.
    pub(super) async fn agree(&self, global: &Global, preview: &Preview) -> Result<(), Failure> {
        if !global.is_json() && !preview.covers.is_empty() {
            global.say(&format!(
                "{} covers:\n{}",
                self.target,
                rows(&preview.covers)
            ));
        }
        let Some(doubt) = self.doubt(preview) else {
            return Ok(());
        };
        if self.confirmed.yes {
            return Ok(());
        }
        let verb = word(self.verb);
        if !is_interactive(global) {
            let message = format!("{doubt}; to {verb} it anyway, run: {}", self.command());
            return Err(Failure::new(Code::Usage, message).because(reason::CONFIRMATION_NEEDED));
        }
        let answer = asked(&format!("{doubt}. To {verb} it anyway, type yes: ")).await?;
        match answer.eq_ignore_ascii_case("yes") {
            true => Ok(()),
            false => Err(Failure::new(Code::Failure, "nothing was changed")),
        }
    }

    /// Reasons why the order may be a mistake.
    fn doubt(&self, preview: &Preview) -> Option<String> {
        if preview.covers_caller || self.is_own_key {
            return Some(match self.verb {
                Verb::Revoke => format!("{} covers you", self.target),
                Verb::Lock
                | Verb::Unlock
                | Verb::AddHost
                | Verb::RemoveHost
                | Verb::CaKey(_)
                | Verb::ChangeLedgerKey => {
                    format!(
                        "{} covers you, and you cannot end a lock on yourself",
                        self.target
                    )
                }
            });
        }
        let Target::Identity(name) = self.target else {
            return None;
        };
        if !preview.covers.is_empty() {
            return None;
        }
        let mut doubt = format!("no identity in the ledger is called {name:?}");
        if !preview.near.is_empty() {
            let near = preview.near.iter().map(|name| quoted(&clean(name)));
            let near: Vec<String> = near.collect();
            let _ = write!(doubt, " (near: {})", near.join(", "));
        }
        Some(doubt)
    }

    /// The same command with `--yes`.
    fn command(&self) -> String {
        let reason = match self.confirmed.words.reason.as_str() {
            "" => String::new(),
            reason => format!(" --reason {}", quoted(reason)),
        };
        let target = match (self.verb, self.target) {
            (Verb::Revoke, Target::Identity(name)) => format!("--identity={}", quoted(name)),
            (_, Target::Key(key)) => format!("--key {}", quoted(key)),
            (_, Target::Identity(name)) if name.starts_with('-') => format!("-- {}", quoted(name)),
            (_, Target::Identity(name)) => quoted(name),
            // These orders need no confirmation.
            (
                _,
                Target::Role(_)
                | Target::Serial(_)
                | Target::Before(_)
                | Target::Through(_)
                | Target::Host(_)
                | Target::NewHost(_)
                | Target::CaKey { .. }
                | Target::LedgerKey(_),
            ) => String::new(),
        };
        format!("daypass admin {}{reason} --yes {target}", word(self.verb))
    }
}

fn word(verb: Verb) -> &'static str {
    use CaKeyStep::{Activate, Retire, Stage};
    match verb {
        Verb::Lock => "lock",
        Verb::Unlock => "unlock",
        Verb::Revoke => "revoke",
        Verb::AddHost => "hosts add",
        Verb::RemoveHost => "hosts remove",
        Verb::CaKey(Stage) => "keys stage",
        Verb::CaKey(Activate) => "keys activate",
        Verb::CaKey(Retire) => "keys retire",
        Verb::ChangeLedgerKey => "ledger-key",
    }
}

fn rows(covers: &[Covered]) -> String {
    let rows = covers.iter().take(SHOWN).map(|one| {
        let (label, issuer, subject) = (&one.label, &one.issuer, &one.subject);
        vec![format!("  {label}"), subject.clone(), issuer.clone()]
    });
    let mut text = table(&rows.collect::<Vec<_>>());
    if let more @ 1.. = covers.len().saturating_sub(SHOWN) {
        let _ = write!(text, "\n  and {more} more");
    }
    text
}
