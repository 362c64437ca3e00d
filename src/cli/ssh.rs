//! `daypass ssh`: gets a pass if one is needed, then becomes ssh.
//!
//! With a fresh pass this process becomes ssh. With a pass from disk it watches ssh: if the host
//! refuses the pass, it gets a fresh one and tries once more. If a server has known hosts, it
//! watches every ssh: it says what helps if ssh refuses a host key.

pub(super) mod argv;
mod host_key;

use std::{
    ffi::OsString,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use ssh_key::Certificate;

use super::{
    Failure, Global,
    details::Details,
    failure::Code,
    login_name::local_user,
    outage,
    output::{clean, write_note},
    pass::say_review,
    quoting::quoted,
    target::Target,
    waiting::{explained, typed, waiting},
};
use crate::client::{
    Client,
    cache::PassFiles,
    choose::PassRequest,
    jump,
    logins::login_name,
    now,
    ssh::{
        arguments,
        command_line::{CommandLine, Takes},
        jumps::LastJump,
        watched::{self, Ending, LOG, Log},
    },
};

/// Tells the `daypass ensure` of this ssh that the host has its pass already.
pub(super) const SERVED: &str = "DAYPASS_SSH_HOST";

/// The value of [`SERVED`] for an ssh that needs no pass at all. No host has this name.
pub(super) const NO_HOST: &str = "*";

/// Names an ssh configuration file for the ssh that is started.
pub(super) const CONFIG: &str = "DAYPASS_SSH_CONFIG";

/// Said of `-M`, `-S` and `-o ControlPath=`, which are left out.
const NOT_SHARED: &str = "this connection is not shared: ControlMaster and ControlPath are left out, since a shared \
     connection has the rights of the pass that opened it, also after that pass was revoked";

/// Log in to a host: sign in and get a pass if needed, then run ssh.
///
/// Takes what ssh takes: its options before or after the host, ssh://USER@HOST:PORT, a command.
/// The options below may stand between ssh's own. Exits with ssh's exit code.
#[derive(Debug, clap::Args)]
#[command(disable_version_flag = true)]
#[command(override_usage = "daypass ssh [OPTIONS] [SSH OPTIONS] [USER@]HOST [COMMAND]...")]
pub(crate) struct Args {
    /// The role. By default the one that demands what you gave, a role with a terminal first.
    #[arg(long)]
    role: Option<String>,
    #[command(flatten)]
    details: Details,
    #[command(flatten)]
    target: Target,
    /// Get a new pass, also if a valid one is on disk.
    #[arg(long)]
    fresh: bool,
    /// The login on the host, as with -l or USER@HOST.
    #[arg(long, value_name = "USER", hide = true)]
    login: Option<String>,
    /// An ssh configuration file instead of ~/.ssh/config, as with -F.
    #[arg(long = "ssh-config", env = CONFIG, hide_env_values = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Options of ssh, the host, and a command to run there. The login is by default that of the
    /// pass.
    #[arg(last = true, value_name = "SSH ARGUMENTS")]
    words: Vec<OsString>,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 3 if the server denies the pass, and 4 if a sign-in is needed and there is no
    /// terminal. Else the exit code is ssh's own.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut line = self.command_line()?;
        let question = (SERVED, NO_HOST.as_ref());
        if !line.logs_in() {
            // Such as the `ssh -G` by which git finds out which ssh it has.
            let mut ssh = Command::new("ssh");
            ssh.args(line.words()).env(question.0, question.1);
            return Err(become_ssh(ssh));
        }
        let typed = line.host.clone().ok_or_else(|| {
            Failure::new(Code::Usage, "no host is named: daypass ssh [USER@]HOST")
        })?;
        if line.stop_sharing() {
            write_note(NOT_SHARED);
        }
        let client = self.target.client()?;
        let host = client.policy_host(&line, &typed, question)?;
        let login = Login {
            client: client.for_host(&host)?,
            pass_request: PassRequest {
                role: self.role.clone(),
                host: Some(host),
                user: line.login(),
                fresh: self.fresh,
                ..self.details.pass_request()?
            },
            args: &self,
            global,
            line,
            typed,
        };
        let (wanted, host) = (login.pass_request.clone(), login.typed.clone());
        let host = match &wanted.user {
            Some(user) => format!("{user}@{host}"),
            None => host,
        };
        let typed = format!("ssh {}", quoted(&host));
        let ended = login.run().await;
        Err(ended.map_err(|failure| outage::advised_for(failure, &typed, &wanted))?)
    }

    /// The command line of ssh, with what the options of Daypass add to it.
    fn command_line(&self) -> Result<CommandLine, Failure> {
        let mut words = Vec::new();
        if let Some(login) = &self.login {
            words.extend(["-l".into(), login.into()]);
        }
        if let Some(config) = self
            .config
            .as_ref()
            .filter(|path| !path.as_os_str().is_empty())
        {
            words.extend(["-F".into(), config.into()]);
        }
        words.extend(self.words.iter().cloned());
        Ok(CommandLine::parse(&words, |_| Takes::Nothing)?)
    }
}

/// One login to one host.
struct Login<'a> {
    args: &'a Args,
    global: &'a Global,
    client: Client,
    line: CommandLine,
    /// The host, as the user spelled it.
    typed: String,
    pass_request: PassRequest,
}

impl Login<'_> {
    /// Runs ssh. Returns how it ended, or that it could not be started.
    async fn run(self) -> Result<Failure, Failure> {
        let cached = self.client.settled(&self.pass_request)?;
        let is_fresh = cached.is_none();
        let (files, certificate) = match cached {
            Some(cached) => cached,
            None => self.obtain(&self.pass_request).await?,
        };
        // A log that goes to another place, or a process that stays in the background, is not
        // watched. A fresh pass is not refused for its age, so only the host's key can be.
        if self.line.has(&['E', 'f', 'y']) || is_fresh && !self.client.knows_hosts() {
            return Ok(become_ssh(self.ssh(&files, &certificate, None)?));
        }
        let mut ending = self.watch(&files, &certificate)?;
        if matches!(ending, Ending::HostKey(_)) && self.client.learns_known_hosts().await {
            ending = self.watch(&files, &certificate)?;
        }
        match ending {
            Ending::Refused if !is_fresh => {}
            ending => return self.ended(ending),
        }
        let host = clean(&self.typed);
        write_note(&format!(
            "{host} refused the pass that was on disk; trying once more with a fresh one"
        ));
        let again = PassRequest {
            fresh: true,
            ..self.pass_request.clone()
        };
        let (files, certificate) = self.obtain(&again).await?;
        Ok(match self.watch(&files, &certificate)? {
            Ending::Refused => Failure {
                code: 255,
                message: format!(
                    "{host} refused a fresh pass too; what the passes allow: daypass status; what the host \
                     accepts: daypass host doctor, on the host"
                ),
                reason: None,
            },
            ending => self.ended(ending)?,
        })
    }

    /// A pass, from disk unless a fresh one is wanted.
    async fn obtain(
        &self,
        pass_request: &PassRequest,
    ) -> Result<(PassFiles, Certificate), Failure> {
        let (client, details) = (&self.client, &self.args.details);
        let pass_request = &explained(self.global, pass_request.clone()).await?;
        let (files, certificate) = match details.signer(self.global).await? {
            Some(signer) => client.obtain_by_key(pass_request, &signer).await?,
            None => {
                let obtained = waiting(
                    client,
                    self.global,
                    pass_request,
                    details.wait,
                    |_| typed(),
                    async |pass_request: &PassRequest| client.obtain(pass_request).await,
                );
                obtained.await?
            }
        };
        if pass_request.emergency {
            say_review(self.global, certificate.serial());
        }
        Ok((files, certificate))
    }

    /// Runs ssh with a pass, to its end.
    fn watch(&self, files: &PassFiles, certificate: &Certificate) -> Result<Ending, Failure> {
        let jump_login = files.jump_host().map(|jump| jump.login);
        let login = self.login(certificate)?;
        let logins = login.into_iter().chain(jump_login).collect();
        let log = Log::create(&self.client.state.root(), logins, !self.line.has(&['q']))?;
        let mut ssh = self.ssh(files, certificate, Some(&log))?;
        Ok(watched::run(&mut ssh, log)?)
    }

    /// The command of ssh with a pass.
    fn ssh(
        &self,
        files: &PassFiles,
        certificate: &Certificate,
        log: Option<&Log>,
    ) -> Result<Command, Failure> {
        let mut line = self.line.clone();
        let mut ssh = Command::new("ssh");
        if let Some(log) = log {
            line.add('E', log.path());
            ssh.env(LOG, log.path());
            if !log.is_shown {
                // At the level of `-q`, ssh would not say that the host refused the pass.
                line.remove('q');
                line.add_first('o', "LogLevel=FATAL");
            }
        }
        let mut more: Vec<String> = self.proxy_command(files, &mut line)?.into_iter().collect();
        let question = (SERVED, NO_HOST.as_ref());
        more.extend(self.client.known_hosts_options(&self.line, question)?);
        let login = self.login(certificate)?;
        ssh.args(arguments(&line, login.as_deref(), files, &more)?);
        ssh.env(SERVED, &self.typed);
        // The ssh to a bastion reads the same file, and its `daypass` uses the same state folder.
        if let Some(config) = line.config() {
            ssh.env(CONFIG, config);
        }
        self.args.target.pass_on(&mut ssh);
        Ok(ssh)
    }

    /// The setting that goes through the policy's bastion, or through a jump host of the user's
    /// that is a host of the policy.
    fn proxy_command(
        &self,
        files: &PassFiles,
        line: &mut CommandLine,
    ) -> Result<Option<String>, Failure> {
        let jump_hosts = line.jump_hosts();
        let program = std::env::current_exe()?;
        if let Some(bastion) = files.jump_host() {
            if jump_hosts.is_some() {
                line.remove_jump_hosts();
                write_note(&format!(
                    "{} is behind the bastion {} of the policy: going through that one, not through your -J",
                    clean(&self.typed),
                    clean(&bastion.bastion)
                ));
            }
            let (name, command) = jump::proxy_command(files, &program)?;
            return Ok(Some(format!("{name}={command}")));
        }
        let last = jump_hosts.as_deref().and_then(LastJump::parse);
        match last {
            Some(last) if self.client.is_host_of_a_server(&last.host)? => {
                line.remove_jump_hosts();
                let config = line.config().map(Path::new);
                Ok(Some(last.proxy_command(&program, config)?))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// The end of this process, as ssh ended: silent, but for what ssh cannot know.
    fn ended(&self, ending: Ending) -> Result<Failure, Failure> {
        let message = match ending {
            Ending::HostKey(fault) => {
                let host = self.pass_request.host.as_deref().unwrap_or(&self.typed);
                host_key::advice(fault, &clean(host), self.client.is_certified(host, now())?)
            }
            Ending::Refused | Ending::Exited(_) | Ending::Killed(_) => String::new(),
        };
        Ok(Failure {
            code: match ending {
                Ending::Refused | Ending::HostKey(_) => 255,
                Ending::Exited(code) => code,
                Ending::Killed(signal) => watched::die_by(signal),
            },
            message,
            reason: None,
        })
    }

    fn login(&self, certificate: &Certificate) -> Result<Option<String>, Failure> {
        let principals = certificate.valid_principals();
        let requested = self.pass_request.user.as_deref();
        Ok(login_name(requested, principals, local_user().as_deref())?)
    }
}

/// Becomes ssh. Returns only if that fails.
fn become_ssh(mut ssh: Command) -> Failure {
    let error = ssh.exec();
    Failure::new(
        Code::Failure,
        format!("failed to start ssh: {error}; is OpenSSH installed?"),
    )
}
