//! `daypass emergency`: one pass by the registered keys of several people, while the identity
//! provider is down.

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
    outage::KEY_VARIABLE,
    pass,
    target::{Target, left, moment},
    waiting::{asked, explained},
};
use crate::{
    client::{
        cache::PassFiles,
        choose::PassRequest,
        emergency::{SignatureRequest, Signer},
        now,
    },
    ledger::emergency::Signed,
    ssh::key::fingerprint,
};

/// Get a pass by the registered keys of several people, without a sign-in.
///
/// If the role wants one key, use: daypass ssh HOST --role ROLE --reason TEXT --emergency-key FILE.
///
/// If it wants several: `prepare` writes a file and signs it. Each other person signs it with
/// `sign` on their own machine. `redeem` makes the pass on the machine that prepared it. The file
/// holds no secret. It is good for 15 minutes and for one pass.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Ask the server for a challenge, and write it to a file that is signed by your key.
    Prepare(Prepare),
    /// Sign the file of another person with your registered key, offline.
    ///
    /// Shows what the file is for and, on a terminal, asks whether you mean it.
    Sign(Sign),
    /// Get the pass for a signed file.
    Redeem(Redeem),
}

// Those that this command refuses, or that say what it does anyway.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("request", |it| it.hide(true)),
    mut_arg("wait", |it| it.hide(true)),
    mut_arg("emergency", |it| it.hide(true))
)]
struct Prepare {
    /// The role.
    role: String,
    /// The host it is for.
    #[arg(long)]
    host: Option<String>,
    #[command(flatten)]
    details: Details,
    /// The file to write.
    #[arg(long, value_name = "PATH", default_value = "emergency.json")]
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Sign {
    /// The file that `prepare` wrote.
    file: PathBuf,
    /// Your registered key: a private key file, or a .pub file whose private key is in the
    /// ssh-agent.
    #[arg(
        long,
        env = "DAYPASS_EMERGENCY_KEY",
        hide_env_values = true,
        value_name = "PATH"
    )]
    emergency_key: PathBuf,
    /// Do not ask for confirmation.
    #[arg(long, short)]
    yes: bool,
}

#[derive(Serialize)]
struct Printed<'a> {
    file: String,
    server: &'a str,
    role: &'a str,
    host: &'a str,
    params: BTreeMap<String, String>,
    reason: &'a str,
    ttl_seconds: u64,
    source_addresses: &'a [String],
    public_key: &'a str,
    holder: &'a str,
    /// The fingerprint of the holder's key.
    lets_in: String,
    signed_by: Vec<String>,
    expires_at: u64,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 3 if the server denies it, 5 if the challenge has expired, and 6 if the server
    /// does not answer.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let host = match &self.action {
            Action::Prepare(it) => it.host.clone(),
            Action::Sign(_) | Action::Redeem(_) => None,
        };
        let client = self.target.client_for(host.as_deref())?;
        match self.action {
            Action::Prepare(it) => {
                let details = Details {
                    emergency: true,
                    ..it.details
                };
                let signer = details.signer(global).await?.ok_or_else(|| {
                    let message =
                        format!("name your registered key with --emergency-key, or {KEY_VARIABLE}");
                    Failure::new(Code::Usage, message)
                })?;
                let pass_request = PassRequest {
                    role: Some(it.role),
                    host: it.host,
                    ..details.pass_request()?
                };
                let pass_request = explained(global, pass_request).await?;
                let signature_request = client.prepare(&pass_request, &signer, &it.file).await?;
                let signed = signature_request.verify()?;
                let said = next(&it.file, &signature_request, &signed);
                print(global, &it.file, &signature_request, &signed, &said)
            }
            Action::Sign(it) => sign(global, it).await,
            Action::Redeem(it) => {
                let target = it.out.as_deref().map(PassFiles::named).transpose()?;
                let signature_request = SignatureRequest::read(&it.file)?;
                signature_request.verify()?;
                let (place, pass) = client.redeem(&signature_request, target.as_ref()).await?;
                pass::say_review(global, pass.certificate.serial());
                pass::print(global, std::iter::once((Some(&place), &pass)))
            }
        }
    }
}

async fn sign(global: &Global, args: Sign) -> Result<(), Failure> {
    let mut signature_request = SignatureRequest::read(&args.file)?;
    let signed = signature_request.verify()?;
    SignatureRequest::check_place(&args.file)?;
    let signer = Signer::open(&args.emergency_key, !global.no_input).await?;
    global.say(&text(&args.file, &signature_request, &signed));
    if !args.yes && is_interactive(global) {
        let question = "Sign it? [y/N] ";
        if !matches!(asked(question).await?.as_str(), "y" | "Y" | "yes") {
            return Err(Failure::new(Code::Failure, "nothing was signed"));
        }
    }
    signature_request.sign(&signer).await?;
    signature_request.write(&args.file)?;
    let count = signature_request.signatures.len();
    let plural = if count == 1 { "" } else { "s" };
    let said = format!("signed; the file has {count} signature{plural} now");
    print(global, &args.file, &signature_request, &signed, &said)
}

fn print(
    global: &Global,
    file: &Path,
    signature_request: &SignatureRequest,
    signed: &Signed,
    text: &str,
) -> Result<(), Failure> {
    let printed = Printed {
        file: file.display().to_string(),
        server: &signed.server,
        role: &signed.role,
        host: &signed.host,
        params: signed.params.iter().cloned().collect(),
        reason: &signed.reason,
        ttl_seconds: signed.ttl_seconds,
        source_addresses: &signed.source_addresses,
        public_key: &signature_request.public_key,
        holder: &signature_request.holder,
        lets_in: fingerprint(&signed.holder),
        signed_by: signature_request.signers(),
        expires_at: signature_request.expires_at,
    };
    global.print(&printed, |_| text.to_owned())
}

/// The signed ask, read from the signed bytes. Below it, who has signed and when the challenge
/// ends.
fn text(file: &Path, signature_request: &SignatureRequest, signed: &Signed) -> String {
    let mut rows = what(signed);
    let ends = format!(
        "{} ({})",
        left(now(), signature_request.expires_at),
        moment(signature_request.expires_at)
    );
    rows.extend([
        ("signed by", signature_request.signers().join(", ")),
        ("ends", ends),
    ]);
    told("emergency", file, &rows)
}

/// The holder of the pass, and its permissions.
fn what(signed: &Signed) -> Vec<(&'static str, String)> {
    let of_the_role = || "as the role says".to_owned();
    let host = match signed.host.as_str() {
        "" => "none named".to_owned(),
        host => host.to_owned(),
    };
    let lifetime = match signed.ttl_seconds {
        0 => of_the_role(),
        seconds => format!("at most {}", left(0, seconds)),
    };
    let addresses = match signed.source_addresses.as_slice() {
        [] => of_the_role(),
        addresses => format!("at most {}", addresses.join(", ")),
    };
    let command = match signed.params.as_slice() {
        [] => of_the_role(),
        _ => "as the role says, with the parameters below".to_owned(),
    };
    let mut rows = vec![
        ("lets in", fingerprint(&signed.holder)),
        ("server", signed.server.clone()),
        ("host", host),
        ("role", signed.role.clone()),
        ("logins", of_the_role()),
        ("command", command),
    ];
    let params = signed.params.iter();
    rows.extend(params.map(|(name, value)| ("parameter", format!("{name}={value}"))));
    rows.extend([
        ("reason", signed.reason.clone()),
        ("lifetime", lifetime),
        ("addresses", addresses),
        ("pass key", fingerprint(&signed.key)),
    ]);
    rows
}

/// The signed file as text, and the next commands.
fn next(file: &Path, signature_request: &SignatureRequest, signed: &Signed) -> String {
    let name = name(file);
    format!(
        "{}\nothers sign it:  daypass emergency sign {name}\nthen:            daypass emergency redeem {name}",
        text(file, signature_request, signed)
    )
}
