//! `daypass login`: chooses how the token is obtained, and opens the browser.

use std::{io::IsTerminal, path::PathBuf};

use serde::Serialize;

use super::{
    Failure, Global, browser,
    failure::Code,
    output::clean,
    target::{Target, left, moment},
};
use crate::{
    client::{
        Error,
        login::{Method, Request, Source, StepUp, Visit},
        now,
        session::Login,
        who_am_i::WhoAmI,
    },
    dev::person::Visitor,
    outbound::CertificateFingerprint,
};

/// Sign in with your browser, or with a code on another device.
///
/// A login makes a fresh SSH key and commits to it: the token is useless with
/// another key. Without a display, or over SSH, a code is shown if the issuer
/// allows that; enter it in a browser on any device. Else use a browser on any
/// machine, and paste the address where it ends.
///
/// Machines use --token-command. It replaces {audience} by the audience to ask the
/// issuer for, and sets $DAYPASS_AUDIENCE to it:
///
///   daypass login --token-command \
///     'curl -sG --data-urlencode audience={audience} URL | jq -r .value'
///
/// In two steps: `daypass login --print-audience` makes the key and prints the
/// audience, and `daypass login --token-file FILE` takes a token for it.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The fingerprint of the server's TLS certificate, or of a CA certificate that it sends: trust
    /// it from now on. For the first contact with a private certificate.
    #[arg(long, value_name = "SHA256:...")]
    server_fingerprint: Option<CertificateFingerprint>,
    /// Show a code to enter in a browser on any device.
    #[arg(long, group = "method", help_heading = "How to sign in")]
    device: bool,
    /// Use a browser on this machine, even if no display is found: this command (`%s` is the
    /// address), by default $BROWSER or the desktop's.
    #[arg(long, group = "method", value_name = "COMMAND", num_args = 0..=1, default_missing_value = "", help_heading = "How to sign in")]
    browser: Option<String>,
    /// Use a browser on any machine, and paste the address where it ends.
    #[arg(
        long,
        group = "method",
        conflicts_with = "person",
        help_heading = "How to sign in"
    )]
    paste: bool,
    /// Take the ID token from a file (`-`: standard input).
    #[arg(
        long,
        group = "method",
        value_name = "FILE",
        help_heading = "How to sign in"
    )]
    token_file: Option<PathBuf>,
    /// Take the ID token from a shell command's output.
    #[arg(
        long,
        group = "method",
        value_name = "COMMAND",
        help_heading = "How to sign in"
    )]
    token_command: Option<String>,
    /// Make the key, print the audience that its token must have, and stop.
    #[arg(long, group = "method", conflicts_with_all = ["agent", "person"], help_heading = "How to sign in")]
    print_audience: bool,
    /// Use this SSH key: a private key file, or a public key file whose private key is in the
    /// ssh-agent.
    #[arg(
        long,
        value_name = "PATH",
        conflicts_with = "agent",
        help_heading = "Where the key is"
    )]
    key: Option<PathBuf>,
    /// Keep the fresh key in the ssh-agent until the token expires, and not on disk.
    #[arg(long, help_heading = "Where the key is")]
    agent: bool,
    /// The issuer's name, if the server has several.
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// How old the sign-in may be. If it is older, the issuer asks you again (max_age).
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["token_file", "token_command", "print_audience"], help_heading = "How strong the sign-in must be")]
    max_age: Option<u64>,
    /// How strong the sign-in must be, in the issuer's words (acr_values). Repeat it for several,
    /// the preferred one first.
    #[arg(long = "acr", value_name = "LEVEL", value_parser = level, conflicts_with_all = ["token_file", "token_command", "print_audience"], help_heading = "How strong the sign-in must be")]
    levels: Vec<String>,
    /// Enter your credentials again, even if the issuer remembers you (prompt=login).
    #[arg(long, conflicts_with_all = ["token_file", "token_command", "print_audience"], help_heading = "How strong the sign-in must be")]
    again: bool,
    /// Sign in as this person of a `daypass dev` world, without a browser.
    #[arg(long = "as", value_name = "NAME", conflicts_with_all = ["token_file", "token_command"])]
    person: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Serialize)]
struct SignedIn {
    server: String,
    issuer: String,
    subject: String,
    label: String,
    bound: bool,
    expires: u64,
    /// The names of the open roles; none if the server did not say.
    roles: Option<Vec<String>>,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 3 if the issuer, the user or the server refuses, 5 if the user does not answer
    /// in time, and 6 if the issuer or the server cannot be reached.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = self.target.client()?;
        if let Some(fingerprint) = self.server_fingerprint {
            client.recognize(fingerprint).await?;
        }
        if self.print_audience {
            let prepared = client
                .prepare_login(self.key.as_deref(), self.issuer.as_deref())
                .await?;
            return global.print(&prepared, |prepared| match &prepared.nonce {
                Some(nonce) => format!("audience {}\nnonce {nonce}", clean(&prepared.audience)),
                None => clean(&prepared.audience).into_owned(),
            });
        }
        let request = Request {
            method: self.method(global)?,
            step_up: StepUp {
                max_age: self.max_age,
                acr_values: self.levels,
                again: self.again,
            },
            key: self.key,
            issuer: self.issuer,
            into_agent: self.agent,
            loopback_only: self.person.is_some(),
        };
        let done = client.sign_in_and_ask(&request).await?;
        let is_over = done.login.until() <= now();
        let signed_in = SignedIn::of(done.login, done.seen.as_ref().ok());
        global.print(&signed_in, SignedIn::text)?;
        let seen = match done.seen {
            Ok(seen) => seen,
            Err(error) => return Err(unconfirmed(error)),
        };
        match (seen.clock_note(), is_over) {
            (Some(note), true) => Err(Failure::new(
                Code::SignIn,
                format!("the server accepts the sign-in, but here it has expired already: {note}"),
            )),
            (Some(note), false) => {
                global.say(&format!("daypass: note: {note}"));
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }

    fn method(&self, global: &Global) -> Result<Method, Failure> {
        if let Some(path) = &self.token_file {
            return Ok(Method::Token(Source::File(path.clone())));
        }
        if let Some(command) = &self.token_command {
            return Ok(Method::Token(Source::Command(command.clone())));
        }
        if let Some(name) = &self.person {
            return headless(name, self.device);
        }
        if global.no_input {
            return Err(Failure::new(
                Code::SignIn,
                "signing in needs a person: use --token-file or --token-command, or leave --no-input out",
            ));
        }
        if self.device {
            return Ok(Method::Device(None));
        }
        if self.paste {
            return Ok(Method::Paste);
        }
        Ok(match &self.browser {
            Some(command) => Method::Desktop(browser::opens(command)),
            None => usual_method(),
        })
    }
}

impl SignedIn {
    fn of(login: Login, seen: Option<&WhoAmI>) -> Self {
        let expires = login.until();
        Self {
            bound: !login.binding_secret.is_empty(),
            server: login.server,
            issuer: login.issuer,
            subject: login.subject,
            label: login.label,
            expires,
            roles: seen.map(|seen| seen.roles.clone()),
        }
    }

    fn text(&self) -> String {
        let signed_in = format!(
            "Signed in to {} as {} for {} (until {}).",
            self.server,
            clean(&self.label),
            left(now(), self.expires),
            moment(self.expires)
        );
        match &self.roles {
            None => signed_in,
            Some(roles) => format!("{signed_in}\n{}", open_roles(roles)),
        }
    }
}

fn open_roles(roles: &[String]) -> String {
    match roles {
        [] => "No role is open to you; see what the server knows of you with: daypass whoami"
            .to_owned(),
        [role] => format!("One role is open to you, {}: daypass roles", clean(role)),
        roles => format!("{} roles are open to you: daypass roles", roles.len()),
    }
}

/// The failure of a login that was kept, but that the server did not confirm.
fn unconfirmed(error: Error) -> Failure {
    let failure = Failure::from(error);
    Failure {
        message: format!(
            "the sign-in is kept, but the server did not confirm it: {}",
            failure.message
        ),
        ..failure
    }
}

/// The way to sign in for a user at this machine.
pub(super) fn usual_method() -> Method {
    if browser::is_likely() {
        Method::Desktop(browser::opens(""))
    } else {
        Method::Either
    }
}

/// Whether a user is there who can be asked.
pub(super) fn is_interactive(global: &Global) -> bool {
    !global.no_input && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Reads a level. Levels are sent as one list with spaces, so they have none.
fn level(text: &str) -> Result<String, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("use printable ASCII without spaces, and --acr once for each level".to_owned());
    }
    Ok(text.to_owned())
}

fn headless(name: &str, device: bool) -> Result<Method, Failure> {
    let person = Visitor::of_dev_world(name)
        .map_err(|error| Failure::new(Code::Usage, crate::daemon::chain(&error)))?;
    let visit: Visit = Box::new(move |url| {
        let person = person.clone();
        Box::pin(async move {
            let visited = if device {
                person.connect_device(&url).await
            } else {
                person.browse(&url).await
            };
            visited.map_err(|error| crate::daemon::chain(&error))
        })
    });
    Ok(if device {
        Method::Device(Some(visit))
    } else {
        Method::Browser(visit)
    })
}
