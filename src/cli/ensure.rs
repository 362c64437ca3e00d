//! `daypass ensure`, for `Match exec` in ssh_config. Silent, and without network if a valid pass is
//! on disk.

use std::io::IsTerminal;

use crate::client::host_config::PlainSsh;

use super::{
    Failure, Global,
    login_name::local_user,
    renew::renewing_if,
    ssh::{NO_HOST, SERVED},
    target::Target,
};

/// Get a pass for a host if none is on disk; ssh runs this (see `daypass ssh-config`).
///
/// Never asks, unless --sign-in is given. Uses only a role that demands no parameter and no reason.
/// Writes a small ssh configuration with its login and files, for the ssh that runs this. Each
/// login that you name has a pass of its own. If you name none and the pass has several logins, it
/// uses your local name if it is among them, else the first in alphabetical order.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// The host, as the policy names it.
    #[arg(long)]
    host: String,
    /// The host, as the user typed it, if that is another name for it.
    #[arg(long, value_name = "NAME")]
    alias: Option<String>,
    /// The login that ssh will use. By default the one of the pass, as for your local name.
    #[arg(long, value_name = "USER")]
    login: Option<String>,
    /// If the sign-in has ended: open the browser, or show a code, and wait. Only for an ssh at a
    /// terminal, and not with BatchMode or -G.
    #[arg(long)]
    sign_in: bool,
    /// Your name on this machine. By default $USER.
    #[arg(long, value_name = "USER")]
    local: Option<String>,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 3 if the server denies the pass, and 4 if you are not signed in. Returns code
    /// 1, without a message, inside a `daypass ssh` to the same host.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let typed = self.alias.as_deref().unwrap_or(&self.host);
        if std::env::var_os(SERVED).is_some_and(|host| host == typed || host == NO_HOST) {
            return Err(silent());
        }
        let client = self.target.client_for(Some(&self.host))?;
        let program = std::env::current_exe()?;
        let local = self.local.or_else(local_user);
        let (alias, login) = (self.alias.as_deref(), self.login.as_deref());
        let plain_ssh = PlainSsh::new(&self.host, alias, login, local.as_deref());
        // ssh gives its stdin to no program that it runs: a terminal is known by stderr.
        let is_seen = !global.no_input && std::io::stderr().is_terminal();
        let may_ask = self.sign_in && is_seen && plain_ssh.may_ask;
        renewing_if(may_ask, &client, async || {
            client.ensure(&plain_ssh, &program).await
        })
        .await
    }
}

fn silent() -> Failure {
    Failure {
        code: 1,
        message: String::new(),
        reason: None,
    }
}
