//! The command line, with one file for each command. A command parses, prints and exits; the work
//! is done in the modules that it wires together.

pub(crate) mod admin;
pub(crate) mod backup;
mod browser;
mod carried;
pub(crate) mod complete;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod details;
pub(crate) mod dev;
pub(crate) mod emergency;
pub(crate) mod ensure;
pub mod failure;
pub(crate) mod help;
pub(crate) mod host;
pub(crate) mod hosts;
pub(crate) mod init;
pub(crate) mod inspect;
pub mod interrupt;
mod jump;
mod jumped;
pub(crate) mod ledger;
mod local;
pub(crate) mod lock_me;
pub(crate) mod login;
mod login_name;
pub(crate) mod logout;
pub(crate) mod man;
mod manual;
pub(crate) mod migrate;
pub(crate) mod on_behalf;
mod outage;
pub mod output;
pub(crate) mod pass;
pub(crate) mod policy;
mod progress;
mod quoting;
mod renew;
pub(crate) mod request;
pub(crate) mod requests;
pub(crate) mod roles;
pub(crate) mod serve;
pub(crate) mod signer;
pub(crate) mod ssh;
pub(crate) mod ssh_config;
pub(crate) mod status;
pub(crate) mod systemd;
mod table;
pub(crate) mod target;
mod values;
mod waiting;
pub(crate) mod whoami;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use failure::Failure;
pub use output::{Format, Global};

/// Short-lived SSH access that lasts as long as the job.
#[derive(Debug, Parser)]
#[command(
    name = "daypass",
    version,
    propagate_version = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Login(login::Args),
    Logout(logout::Args),
    Status(status::Args),
    Whoami(whoami::Args),
    Roles(roles::Args),
    Pass(pass::Args),
    Request(request::Args),
    Requests(requests::Args),
    Show(requests::Show),
    Approve(requests::Approve),
    Deny(requests::Deny),
    Cancel(requests::Cancel),
    Review(requests::Review),
    Emergency(emergency::Args),
    OnBehalf(on_behalf::Args),
    LockMe(lock_me::Args),
    Ssh(ssh::Args),
    Ensure(ensure::Args),
    #[command(hide = true)]
    Jump(jump::Args),
    SshConfig(ssh_config::Args),
    Inspect(inspect::Args),
    Ledger(ledger::Args),
    Host(host::Args),
    Hosts(hosts::Args),
    Admin(admin::Args),
    Policy(policy::Args),
    Init(init::Args),
    Serve(serve::Args),
    Signer(signer::Args),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
    Migrate(migrate::Args),
    Systemd(systemd::Args),
    Dev(dev::Args),
    Demo(demo::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Complete(complete::Args),
    Man(man::Args),
    Help(help::Args),
}

/// The error of these words without the variables of options: with them, the usage names options
/// that were not typed.
fn without_variables(
    command: clap::Command,
    words: &[std::ffi::OsString],
    error: clap::Error,
) -> clap::Error {
    match forgetting(command).try_get_matches_from(words) {
        Err(same) if same.kind() == error.kind() => same,
        Ok(_) | Err(_) => error,
    }
}

fn forgetting(command: clap::Command) -> clap::Command {
    let forget = |arg: clap::Arg| arg.env(clap::builder::Resettable::Reset);
    command.mut_args(forget).mut_subcommands(forgetting)
}

impl Cli {
    /// Reads this process's command line.
    ///
    /// # Errors
    /// Returns wrong usage, or help or version if they were asked for, for the caller to print.
    pub fn of_process() -> Result<Self, clap::Error> {
        let mut command = help::with_pages(Self::command());
        let words = ssh::argv::ordered(std::env::args_os(), &mut command)?;
        let matches = match command.try_get_matches_from_mut(&words) {
            Ok(matches) => matches,
            // Help and version are errors too. Help names the variables.
            Err(error) if !error.use_stderr() => return Err(error),
            Err(error) => return Err(without_variables(command, &words, error)),
        };
        Self::from_arg_matches(&matches)
    }

    /// Format of results and errors.
    pub fn format(&self) -> Format {
        self.global.format
    }

    /// Whether the command handles Ctrl-C itself. Other commands are dropped.
    pub fn ends_on_its_own_signals(&self) -> bool {
        matches!(
            self.command,
            Command::Serve(_) | Command::Signer(_) | Command::Dev(_)
        )
    }

    /// Runs the chosen command.
    ///
    /// # Errors
    /// Returns the command's failure, with its exit code.
    pub async fn run(self) -> Result<(), Failure> {
        let global = &self.global;
        let prints_csv = matches!(&self.command, Command::Ledger(args) if args.prints_csv());
        if global.format == output::Format::Csv && !prints_csv {
            let message = "--format csv is for daypass ledger list: use text or json";
            return Err(Failure::new(failure::Code::Usage, message));
        }
        match self.command {
            Command::Login(args) => args.run(global).await,
            Command::Logout(args) => args.run(global).await,
            Command::Status(args) => args.run(global).await,
            Command::Whoami(args) => args.run(global).await,
            Command::Roles(args) => args.run(global).await,
            Command::Pass(args) => args.run(global).await,
            Command::Request(args) => args.run(global).await,
            Command::Requests(args) => args.run(global).await,
            Command::Show(args) => args.run(global).await,
            Command::Approve(args) => args.run(global).await,
            Command::Deny(args) => args.run(global).await,
            Command::Cancel(args) => args.run(global).await,
            Command::Review(args) => args.run(global).await,
            Command::Emergency(args) => args.run(global).await,
            Command::OnBehalf(args) => args.run(global).await,
            Command::LockMe(args) => args.run(global).await,
            Command::Ssh(args) => args.run(global).await,
            Command::Ensure(args) => args.run(global).await,
            Command::Jump(args) => args.run(global).await,
            Command::SshConfig(args) => args.run(global).await,
            Command::Inspect(args) => args.run(global).await,
            Command::Ledger(args) => args.run(global).await,
            Command::Host(args) => args.run(global).await,
            Command::Hosts(args) => args.run(global).await,
            Command::Admin(args) => args.run(global).await,
            Command::Policy(args) => args.run(global).await,
            Command::Init(args) => args.run(global).await,
            Command::Serve(args) => args.run(global).await,
            Command::Signer(args) => args.run(global).await,
            Command::Backup(args) => args.run(global).await,
            Command::Restore(args) => args.run(global).await,
            Command::Migrate(args) => args.run(global).await,
            Command::Systemd(args) => args.run(global).await,
            Command::Dev(args) => args.run(global).await,
            Command::Demo(args) => args.run(global).await,
            Command::Completions(args) => args.run(Self::command()).await,
            Command::Complete(args) => args.run(Self::command()).await,
            Command::Man(args) => args.run(Self::command()).await,
            Command::Help(args) => args.run(Self::command()).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_option_says_what_it_is_for() {
        let mut command = Cli::command();
        command.build();
        says_what_it_is_for(&command);
    }

    fn says_what_it_is_for(command: &clap::Command) {
        let name = command.get_name();
        assert!(command.get_about().is_some(), "{name} has no help");
        for argument in command.get_arguments() {
            let id = argument.get_id();
            assert!(argument.get_help().is_some(), "{name} {id} has no help");
        }
        // clap's own `help` repeats every command without its options.
        let ours = command.get_subcommands().filter(|c| c.get_name() != "help");
        ours.for_each(says_what_it_is_for);
    }
}
