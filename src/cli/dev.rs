//! `daypass dev`.

use std::{
    ffi::OsString,
    io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    signal::unix::{Signal, SignalKind, signal},
};

use super::{Failure, Global, failure::Code, output::clean};
use crate::{
    daemon::{Running, chain},
    dev::{self, World, issuer::PEOPLE, world::Options},
};

/// Run a whole world on this machine: identity provider, server and host.
///
/// The host needs an installed sshd. Everything listens on 127.0.0.1 only. Runs until Ctrl-C or
/// SIGTERM. SIGHUP reads DIR/policy.toml again. SIGUSR1 stops the identity provider, or starts it
/// again. SIGUSR2 starts the replicas again that you killed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of its files. Keys, ledger and policy are kept there for the next run. Without
    /// it, the folder is removed at the end.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Keep the ledger in a PostgreSQL of the world's own. The system's programs are used.
    #[arg(long)]
    postgres: bool,
    /// The number of servers that share the ledger, 1 to 5.
    #[arg(long, value_name = "N", requires = "postgres", value_parser = clap::value_parser!(u8).range(1..=5))]
    replicas: Option<u8>,
    /// Run this command inside the world, and exit with its code.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns the error that prevents the start, or the inner command's exit code without a
    /// message.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut signals =
            Signals::install().map_err(|error| dev::Error::System("handle signals", error))?;
        let (dir, _removed_at_the_end) = folder(self.dir)?;
        let options = Options {
            servers: self.postgres.then(|| self.replicas.unwrap_or(1)),
            knows_hosts: true,
            ..Options::default()
        };
        let mut world = World::start_with(&dir, options).await?;
        let outcome = match self.command.split_first() {
            Some(command) => inside(&mut world, command, &mut signals).await,
            None => {
                global.say(&welcome(&world));
                stay(&mut world, &mut signals, global).await;
                Ok(())
            }
        };
        world.stop().await?;
        outcome
    }
}

/// The world's folder. A temporary one is removed with the second value.
fn folder(pass_request: Option<PathBuf>) -> Result<(PathBuf, Option<TempDir>), dev::Error> {
    if let Some(dir) = pass_request {
        return Ok((dir, None));
    }
    let dir = temporary_folder()?;
    Ok((dir.path().to_owned(), Some(dir)))
}

/// A private folder for one world, removed when the value is dropped.
pub(super) fn temporary_folder() -> Result<TempDir, dev::Error> {
    let made = tempfile::Builder::new().prefix("daypass-dev-").tempdir();
    made.map_err(|error| dev::Error::System("make a temporary folder", error))
}

/// The text that is printed when the world has started.
fn welcome(world: &World) -> String {
    let files = world.files();
    let names: Vec<&str> = PEOPLE.iter().map(|account| account.name).collect();
    let (next, host) = match world.sshd() {
        Some(sshd) => (
            "daypass ssh web-1",
            format!("web-1, an sshd for {} on port {}", sshd.user(), sshd.port()),
        ),
        None => (
            "daypass pass --role shell",
            "none: sshd is not installed (on Debian: apt-get install openssh-server)".to_owned(),
        ),
    };
    let fingerprint = world.daemon().and_then(Running::tls_fingerprint);
    let fingerprint =
        fingerprint.map_or_else(String::new, |it| format!(" --server-fingerprint {it}"));
    format!(
        "The world is running. In another terminal:\n\n  . {env}\n  daypass login --as alice\n  {next}\n\n\
         people    {people}; their password, for a browser, is in {password}\n\
         policy    {policy} (edit it, then send SIGHUP to process {pid})\n\
         host      {host}\n\
         server    {server}; elsewhere than above: daypass login --server {server}{fingerprint}\n\
         hosts     `daypass admin hosts add NAME --group web` as carol lets one join: daypass help hosts\n\
         page      {server}/web, to approve and audit in a browser, which will warn of the world's certificate\n\
         {shared}outage    kill -USR1 {pid} stops the issuer, and starts it again\n\
         webhooks  what the server tells its receiver is shown here\n\
         Ctrl-C ends it.",
        server = world.server().0,
        shared = shared(world),
        env = files.env().display(),
        people = names.join(", "),
        password = files.password().display(),
        policy = files.policy().display(),
        pid = std::process::id(),
    )
}

/// Runs until a signal ends it. SIGHUP reloads. Prints what the world's webhook receiver is told.
async fn stay(world: &mut World, signals: &mut Signals, global: &Global) {
    let mut shown = 0;
    loop {
        tokio::select! {
            deliveries = world.receiver().until(|all| all.len() > shown) => {
                for delivery in deliveries.iter().skip(shown) {
                    global.say(&clean(&delivery.line()));
                }
                shown = deliveries.len();
            }
            _ = signals.interrupt.recv() => return,
            _ = signals.terminate.recv() => return,
            _ = signals.hangup.recv() => global.say(&reload(world).await),
            _ = signals.user.recv() => global.say(&outage(world).await),
            _ = signals.revive.recv() => global.say(&revive(world).await),
        }
    }
}

/// Starts the replicas again that the user killed.
async fn revive(world: &mut World) -> String {
    match world.revive_servers().await {
        Ok(_) if world.other_servers().is_empty() => {
            "there is one server only (--postgres --replicas 2)".to_owned()
        }
        Ok(revived) if revived.is_empty() => "all replicas are running".to_owned(),
        Ok(_) => replicas(world),
        Err(error) => chain(&error),
    }
}

/// The servers beside the first one, and how to see one die.
fn replicas(world: &World) -> String {
    let lines = world.other_servers().into_iter().map(|(server, process)| {
        format!(
            "replica   {server}: kill -9 {process} ends it, and commands go on at another one\n"
        )
    });
    lines.collect::<String>().trim_end().to_owned()
}

/// The lines about what servers share.
fn shared(world: &World) -> String {
    let Some(psql) = world.psql() else {
        return String::new();
    };
    let mut text = format!("ledger    psql {psql}\n");
    let replicas = replicas(world);
    if !replicas.is_empty() {
        text.push_str(&format!(
            "{replicas}\n          kill -USR2 {} starts replicas again that you ended\n",
            std::process::id()
        ));
    }
    text
}

/// Stops the issuer, or starts it again.
async fn outage(world: &World) -> String {
    match world.issuer().resume().await {
        Ok(true) => "the issuer answers again".to_owned(),
        Ok(false) => {
            world.issuer().stop().await;
            "the issuer is stopped: no user can sign in now (SIGUSR1 starts it again)".to_owned()
        }
        Err(error) => chain(&error),
    }
}

async fn reload(world: &World) -> String {
    let Some(daemon) = world.daemon() else {
        return "the server is stopped".to_owned();
    };
    match daemon.reload().await {
        Ok(reloaded) if reloaded.policy.is_some() => "a new policy is in force".to_owned(),
        Ok(_) => "the policy is unchanged".to_owned(),
        Err(error) => chain(&error),
    }
}

/// Runs a command in the world and passes on its exit code. The terminal sends it Ctrl-C; SIGTERM
/// is passed on.
async fn inside(
    world: &mut World,
    (program, arguments): (&OsString, &[OsString]),
    signals: &mut Signals,
) -> Result<(), Failure> {
    let mut child = Command::new(program)
        .args(arguments)
        .envs(world.variables().iter().map(|(name, value)| (*name, value)))
        .env("PATH", path_with(world.program())?)
        .stdin(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| not_run(program, &error))?;
    loop {
        tokio::select! {
            ended = child.wait() => return passed_on(ended.map_err(|error| not_run(program, &error))?),
            _ = signals.interrupt.recv() => {}
            _ = signals.terminate.recv() => terminate(&child).await,
            _ = signals.hangup.recv() => {
                // The user wants the command's output only.
                let _ = reload(world).await;
            }
            _ = signals.user.recv() => {
                let _ = outage(world).await;
            }
            _ = signals.revive.recv() => {
                let _ = revive(world).await;
            }
        }
    }
}

/// `$PATH` with the folder of `program` first.
fn path_with(program: &Path) -> Result<OsString, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let ours = program.parent().map(Path::to_owned);
    let folders = ours.into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(folders).map_err(|error| Failure::new(Code::Failure, error.to_string()))
}

/// Sends SIGTERM to a child. The standard library can only kill.
async fn terminate(child: &Child) {
    if let Some(id) = child.id() {
        let mut kill = Command::new("kill");
        // The child may have ended already.
        let _ = kill.arg("-TERM").arg(id.to_string()).status().await;
    }
}

fn passed_on(status: ExitStatus) -> Result<(), Failure> {
    // As in shells: 128 plus the signal's number.
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    match u8::try_from(code).unwrap_or(1) {
        0 => Ok(()),
        code => Err(Failure {
            code,
            ..Failure::new(Code::Failure, "")
        }),
    }
}

/// Codes 127 and 126, as in shells.
fn not_run(program: &OsString, error: &io::Error) -> Failure {
    let message = format!("failed to run {}: {error}", program.display());
    let code = if error.kind() == io::ErrorKind::NotFound {
        127
    } else {
        126
    };
    Failure {
        code,
        ..Failure::new(Code::Failure, message)
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    user: Signal,
    revive: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
            revive: signal(SignalKind::user_defined2())?,
        })
    }
}

impl From<dev::Error> for Failure {
    fn from(error: dev::Error) -> Self {
        Self::from_error(&error)
    }
}
