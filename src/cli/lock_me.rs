//! `daypass lock-me`: locks the user, for a machine that is lost.

use super::{
    Failure, Global,
    admin::{Locked, lock, refused},
    failure::Code,
    login::is_interactive,
    output::clean,
    quoting::quoted,
    target::Target,
    waiting::asked,
};
use crate::{client::key::Key, reason};

/// Lock yourself: you get no new pass, and those that are out are revoked.
///
/// For a lost or stolen machine: sign in on another one and run it there. Only an administrator
/// ends the lock.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Why; it is kept in the ledger.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    reason: String,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 3 if you are locked already, and 4 if you are not signed in.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = self.target.client()?;
        let signed = client.signed_in_to_lock().await?;
        let key = Key::open(&signed.login.key, &client.state)?;
        let seen = signed.preview_lock_me().await?;
        self.agree(global, seen.passes).await?;
        let answer = signed.lock_me(&self.reason, &seen, &key).await?;
        let subject = signed.login.subject.clone();
        let locked = Locked {
            lock: lock(answer.lock.unwrap_or_default()),
            serials: answer.serials,
        };
        global.print(&locked, |it| {
            format!(
                "You are locked: no new passes.\n{}\nAn administrator ends the lock: daypass admin unlock {}",
                refused(&it.serials),
                quoted(&clean(&subject)),
            )
        })
    }

    async fn agree(&self, global: &Global, passes: u64) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        let passes = match passes {
            0 => "you have no valid pass".to_owned(),
            1 => "your valid pass is revoked".to_owned(),
            many => format!("your {many} valid passes are revoked"),
        };
        let doubt = format!("you get no pass until an administrator unlocks you, and {passes}");
        if !is_interactive(global) {
            let reason = match self.reason.as_str() {
                "" => String::new(),
                reason => format!(" --reason {}", quoted(reason)),
            };
            let message = format!("{doubt}; to lock yourself, run: daypass lock-me{reason} --yes");
            return Err(Failure::new(Code::Usage, message).because(reason::CONFIRMATION_NEEDED));
        }
        let answer = asked(&format!("{doubt}. To lock yourself, type yes: ")).await?;
        match answer.eq_ignore_ascii_case("yes") {
            true => Ok(()),
            false => Err(Failure::new(Code::Failure, "nothing was changed")),
        }
    }
}
