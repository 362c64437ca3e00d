//! `daypass login`: choose how the token comes, and who opens the browser.

use std::{io::IsTerminal, path::PathBuf};

use serde::Serialize;

use super::{
    Failure, Global,
    failure::Code,
    output::clean,
    target::{Target, left, moment},
};
use crate::{
    client::{
        login::{Method, Request, Source, StepUp, Visit},
        now,
    },
    dev::person::Person,
};

/// Sign in. A browser opens; without a display, or over SSH, a code is shown to be entered in a browser elsewhere.
///
/// A login makes a fresh SSH key and commits to it, so that the token is useless with another key. Machines use
/// --token-command, where {audience} (also $DAYPASS_AUDIENCE) is the audience to ask the issuer for:
///
///   daypass login --token-command 'curl -sG --data-urlencode audience={audience} ... | jq -r .value'
///
/// or, in two steps, `daypass login --print-audience` (makes the key, prints the audience) and then
/// `daypass login --token-file FILE` with a token for that audience.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// Show a code to be entered in a browser anywhere.
    #[arg(long, group = "method")]
    device: bool,
    /// Use a browser on this machine, whatever the display looks like.
    #[arg(long, group = "method")]
    browser: bool,
    /// Take the ID token from a file (`-`: standard input).
    #[arg(long, group = "method", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Take the ID token from a shell command's output.
    #[arg(long, group = "method", value_name = "COMMAND")]
    token_command: Option<String>,
    /// Make the key, print the audience that a token for it must have, and stop.
    #[arg(long, group = "method", conflicts_with_all = ["agent", "person"])]
    print_audience: bool,
    /// Use this SSH key: a private key file, or a public key file whose private half is in the ssh-agent.
    #[arg(long, value_name = "PATH", conflicts_with = "agent")]
    key: Option<PathBuf>,
    /// Keep the fresh key in the ssh-agent, with the token's lifetime, and not on disk.
    #[arg(long)]
    agent: bool,
    /// The issuer's name, where the server has several.
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// The sign-in may be at most this many seconds old; the issuer asks again where it is older (max_age).
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["token_file", "token_command", "print_audience"])]
    max_age: Option<u64>,
    /// How strong the sign-in must be, in the issuer's words; the one wanted most first (acr_values).
    #[arg(long = "acr", value_name = "LEVEL", value_parser = level, conflicts_with_all = ["token_file", "token_command", "print_audience"])]
    levels: Vec<String>,
    /// Prove anew that you are there, even where the issuer remembers you (prompt=login).
    #[arg(long, conflicts_with_all = ["token_file", "token_command", "print_audience"])]
    again: bool,
    /// In a dev world: sign in as this person, without a browser.
    #[arg(long = "as", value_name = "NAME", conflicts_with_all = ["token_file", "token_command"])]
    person: Option<String>,
}

#[derive(Serialize)]
struct SignedIn {
    server: String,
    issuer: String,
    subject: String,
    label: String,
    bound: bool,
    expires: u64,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// 3 where the issuer or the person refuses, 5 where nobody acts, 6 where somebody does not answer.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = self.target.client()?;
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
        let login = client.sign_in(&request).await?;
        let signed_in = SignedIn {
            bound: !login.binding_secret.is_empty(),
            server: login.server,
            issuer: login.issuer,
            subject: login.subject,
            label: login.label,
            expires: login.expires,
        };
        global.print(&signed_in, |it| {
            format!(
                "Signed in to {} as {} for {} (until {}).",
                it.server,
                clean(&it.label),
                left(now(), it.expires),
                moment(it.expires)
            )
        })
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
                "signing in needs a person; without one use --token-file or --token-command",
            ));
        }
        Ok(match (self.device, self.browser) {
            (true, _) => Method::Device(None),
            (_, true) => Method::Browser(desktop_browser()),
            _ => usual_method(),
        })
    }
}

/// How a person at this machine signs in.
pub(super) fn usual_method() -> Method {
    if has_browser() {
        Method::Browser(desktop_browser())
    } else {
        Method::Either(desktop_browser())
    }
}

/// Whether somebody is there to be asked.
pub(super) fn is_interactive(global: &Global) -> bool {
    !global.no_input && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Levels travel in a list with spaces between them.
fn level(text: &str) -> Result<String, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(
            "it should be printable ASCII without spaces; give --acr once for each".to_owned(),
        );
    }
    Ok(text.to_owned())
}

fn headless(name: &str, device: bool) -> Result<Method, Failure> {
    let person = Person::of_dev_world(name)
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

/// Opens the desktop's browser; that there is none is not the end, for the URL is on the terminal.
fn desktop_browser() -> Visit {
    Box::new(|url| {
        Box::pin(async move {
            // Without a display some text browser would take the terminal.
            if has_browser() {
                let _ = tokio::task::spawn_blocking(move || webbrowser::open(&url)).await;
            }
            Ok(())
        })
    })
}

fn has_browser() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let display = cfg!(target_os = "macos") || set("DISPLAY") || set("WAYLAND_DISPLAY");
    display && !set("SSH_CONNECTION")
}
