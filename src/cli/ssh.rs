//! `daypass ssh`: gets a pass if one is needed, then becomes ssh.

use std::{ffi::OsString, os::unix::process::CommandExt, path::PathBuf, process::Command};

use super::{
    Failure, Global,
    details::Details,
    failure::Code,
    login_name::local_user,
    target::Target,
    waiting::{quoted, waiting},
};
use crate::client::{
    choose::PassRequest,
    jump,
    logins::login_name,
    ssh::{Destination, arguments},
};

/// Tells the `daypass ensure` of this ssh that the host has its pass already.
pub(super) const SERVED: &str = "DAYPASS_SSH_HOST";

/// Names an ssh configuration file for the ssh that is started.
pub(super) const CONFIG: &str = "DAYPASS_SSH_CONFIG";

/// Log in to a host: sign in and get a pass if needed, then run ssh.
///
/// Exits with ssh's exit code.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// The host. The user is by default the login of the pass.
    #[arg(value_name = "[USER@]HOST")]
    destination: String,
    /// The login on the host, as in USER@HOST.
    #[arg(short = 'l', long = "login", value_name = "USER")]
    login: Option<String>,
    /// The role. By default the one that demands what you gave, a role with a terminal first.
    #[arg(long)]
    role: Option<String>,
    #[command(flatten)]
    details: Details,
    /// An ssh option, as in ssh_config.
    #[arg(short = 'o', value_name = "KEY=VALUE")]
    options: Vec<String>,
    /// An ssh configuration file, instead of ~/.ssh/config.
    #[arg(
        short = 'F',
        long = "ssh-config",
        env = CONFIG,
        hide_env_values = true,
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    /// A command to run on the host.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 3 if the server denies the pass, and 4 if a sign-in is needed and there is no
    /// terminal. Else the exit code is ssh's own.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let destination = Destination::parse(&self.destination)?.with_login(self.login.clone())?;
        let client = self.target.client_for(Some(&destination.host))?;
        let pass_request = PassRequest {
            role: self.role.clone(),
            host: Some(destination.host.clone()),
            user: destination.user.clone(),
            ..self.details.pass_request()?
        };
        let (place, certificate) = match self.details.signer(global).await? {
            Some(signer) => client.obtain_by_key(&pass_request, &signer).await?,
            None => {
                let obtained = waiting(
                    &client,
                    global,
                    &pass_request,
                    self.details.wait,
                    |id| self.again(id),
                    async |pass_request: &PassRequest| client.obtain(pass_request).await,
                );
                obtained.await?
            }
        };
        let login = login_name(
            destination.user.as_deref(),
            certificate.valid_principals(),
            local_user().as_deref(),
        )?;
        let config = self.config.filter(|path| !path.as_os_str().is_empty());
        let mut options = self.options;
        if place.jump_host().is_some() {
            let (name, command) = jump::proxy_command(&place, &std::env::current_exe()?)?;
            options.push(format!("{name}={command}"));
        }
        let words = arguments(
            &destination,
            login.as_deref(),
            &place,
            config.as_deref(),
            &options,
            &self.command,
        )?;
        let mut ssh = Command::new("ssh");
        ssh.args(words).env(SERVED, &destination.host);
        // The ssh to a bastion reads the same file.
        if let Some(config) = config {
            ssh.env(CONFIG, config);
        }
        // Returns only if ssh cannot be started.
        let error = ssh.exec();
        Err(Failure::new(
            Code::Failure,
            format!("failed to start ssh: {error}; is OpenSSH installed?"),
        ))
    }

    /// The same command, with a request to redeem.
    fn again(&self, id: u64) -> String {
        let mut words = format!("daypass ssh {} --request {id}", quoted(&self.destination));
        if let Some(role) = &self.role {
            words.push_str(&format!(" --role {}", quoted(role)));
        }
        if let Some(login) = &self.login {
            words.push_str(&format!(" -l {}", quoted(login)));
        }
        for option in &self.options {
            words.push_str(&format!(" -o {}", quoted(option)));
        }
        for (at, word) in self.command.iter().enumerate() {
            words.push_str(if at == 0 { " -- " } else { " " });
            words.push_str(&quoted(&word.to_string_lossy()));
        }
        words
    }
}
