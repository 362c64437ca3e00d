//! `daypass on-behalf`: one pass for a bastion's key, on behalf of a user who is present.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    Failure, Global,
    carried::{Redeem, name, told},
    details::Details,
    failure::Code,
    login::is_interactive,
    pass,
    target::{Target, left},
    waiting::{asked, explained},
};
use crate::{
    client::{cache::PassFiles, choose::PassRequest, on_behalf::BehalfRequest},
    ssh::key::fingerprint,
};

/// Get a pass on this machine on behalf of a user, who consents with their own key.
///
/// For bastions and web terminals that are signed in with an identity of their own. `prepare`
/// writes a file on the bastion. The user signs it with `sign`, where they are signed in. `redeem`
/// gets the pass on the bastion. The consent is good for 5 minutes and for one pass.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Write what this machine asks for to a file.
    Prepare(Prepare),
    /// Consent to the file of a bastion, with your session's key.
    ///
    /// Shows what the file is for and, on a terminal, asks whether you mean it. The file then holds
    /// your ID token, which is of no use without your key.
    Sign(Sign),
    /// Get the pass for a signed file. It works from this machine's address only.
    Redeem(Redeem),
}

// Those that this command refuses, or that say what it does anyway.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("request", |it| it.hide(true)),
    mut_arg("wait", |it| it.hide(true)),
    mut_arg("emergency", |it| it.hide(true)),
    mut_arg("emergency_key", |it| it.hide(true))
)]
struct Prepare {
    /// The role.
    role: String,
    /// The host it is for.
    #[arg(long)]
    host: String,
    #[command(flatten)]
    details: Details,
    /// The file to write.
    #[arg(long, value_name = "PATH", default_value = "on-behalf.json")]
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Sign {
    /// The file that `prepare` wrote.
    file: PathBuf,
    /// Do not ask for confirmation.
    #[arg(long, short)]
    yes: bool,
}

#[derive(Serialize)]
struct Printed<'a> {
    file: String,
    server: &'a str,
    /// The identity that asks.
    issuer: &'a str,
    subject: &'a str,
    role: &'a str,
    host: &'a str,
    params: &'a BTreeMap<String, String>,
    reason: &'a str,
    ttl_seconds: u64,
    public_key: &'a str,
    /// The user who has signed just now.
    signed_by: Option<&'a str>,
    expires_at: Option<u64>,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 3 if the server denies it, 4 if a sign-in is needed, 5 if the consent is void,
    /// and 6 if the server does not answer.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let host = match &self.action {
            Action::Prepare(it) => Some(it.host.clone()),
            Action::Sign(_) | Action::Redeem(_) => None,
        };
        let client = self.target.client_for(host.as_deref())?;
        match self.action {
            Action::Prepare(it) => {
                let pass_request = PassRequest {
                    role: Some(it.role),
                    host: Some(it.host),
                    ..it.details.pass_request()?
                };
                expect_plain(&pass_request)?;
                let pass_request = explained(global, pass_request).await?;
                BehalfRequest::check_place(&it.file)?;
                let request = client.prepare_on_behalf(&pass_request).await?;
                request.write(&it.file)?;
                let name = name(&it.file);
                let next = format!(
                    "{}\nthe user signs it:  daypass on-behalf sign {name}\nthen, here:         daypass on-behalf redeem {name}",
                    text(&it.file, &request)
                );
                print(global, &it.file, &request, &next)
            }
            Action::Sign(it) => {
                let mut request = BehalfRequest::read(&it.file)?;
                request.consent = None;
                request.key()?;
                BehalfRequest::check_place(&it.file)?;
                global.say(&text(&it.file, &request));
                if !it.yes {
                    confirm(global).await?;
                }
                client.consent(&mut request).await?;
                request.write(&it.file)?;
                let next = format!(
                    "signed; it is good for one pass within 5 minutes\nthere:  daypass on-behalf redeem {}",
                    name(&it.file)
                );
                print(global, &it.file, &request, &next)
            }
            Action::Redeem(it) => {
                let target = it.out.as_deref().map(PassFiles::named).transpose()?;
                let request = BehalfRequest::read(&it.file)?;
                let (place, pass) = client.redeem_on_behalf(&request, target.as_ref()).await?;
                pass::print(global, std::iter::once((Some(&place), &pass)))
            }
        }
    }
}

/// A consent is never given unseen: without a terminal, `--yes` says that it was seen elsewhere.
async fn confirm(global: &Global) -> Result<(), Failure> {
    if !is_interactive(global) {
        let message = "the consent needs a terminal: read what it is for, then use --yes";
        return Err(Failure::new(Code::Usage, message));
    }
    let question = "Let it act as you? [y/N] ";
    match asked(question).await?.as_str() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new(Code::Failure, "nothing was signed")),
    }
}

/// Refuses what no one gets on behalf of a user.
fn expect_plain(pass_request: &PassRequest) -> Result<(), Failure> {
    match pass_request.emergency || pass_request.request.is_some() {
        false => Ok(()),
        true => Err(Failure::new(
            Code::Usage,
            "no emergency and no approved request is redeemed on behalf of a user: let the user ask",
        )),
    }
}

fn print(global: &Global, file: &Path, request: &BehalfRequest, text: &str) -> Result<(), Failure> {
    let printed = Printed {
        file: file.display().to_string(),
        server: &request.server,
        issuer: &request.issuer,
        subject: &request.subject,
        role: &request.role,
        host: &request.host,
        params: &request.params,
        reason: &request.reason,
        ttl_seconds: request.ttl_seconds,
        public_key: &request.public_key,
        signed_by: request
            .consent
            .as_ref()
            .map(|it| it.unverified_label.as_str()),
        expires_at: request.consent.as_ref().map(|it| it.expires_at),
    };
    global.print(&printed, |_| text.to_owned())
}

/// All that the user's signature covers, from what it is made of.
fn text(file: &Path, request: &BehalfRequest) -> String {
    let lifetime = match request.ttl_seconds {
        0 => "as the role says".to_owned(),
        seconds => format!("at most {}", left(0, seconds)),
    };
    let mut rows = vec![
        (
            "asked by",
            format!("{} of {}", request.subject, request.issuer),
        ),
        ("server", request.server.clone()),
        ("host", request.host.clone()),
        (
            "opens",
            "that host, and every other one that takes the role's logins".to_owned(),
        ),
        ("role", request.role.clone()),
    ];
    let params = request.params.iter();
    rows.extend(params.map(|(name, value)| ("parameter", format!("{name}={value}"))));
    let key = request.key().map(|key| fingerprint(&key));
    rows.extend([
        (
            "reason",
            match request.reason.as_str() {
                "" => "none".to_owned(),
                given => given.to_owned(),
            },
        ),
        ("lifetime", lifetime),
        ("addresses", "the one that it asks from".to_owned()),
        ("pass key", key.unwrap_or_default()),
    ]);
    told("pass on behalf of a user,", file, &rows)
}
