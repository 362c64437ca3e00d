//! `daypass emergency`: several people's registered keys for one pass, while the issuer is down.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{
    Failure, Global,
    failure::Code,
    login::is_interactive,
    output::clean,
    pass::{self, Details, KEY_VARIABLE},
    target::{Target, left, moment},
    waiting::{asked, quoted},
};
use crate::client::{
    cache::Place,
    choose::Wish,
    emergency::{Sheet, Signer},
    now,
};

/// Get in by the registered keys of several people, while nobody can sign in.
///
/// Where one key is enough: daypass ssh HOST --role ROLE --reason TEXT --emergency-key FILE. Where the role wants several:
/// `prepare` writes a file and signs it, everybody else signs it with `sign` on their own machine, and `redeem`
/// makes the pass where it was prepared. The file holds no secret; its challenge is good for 15 minutes and for one pass.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Ask the server for a challenge, and write the file that everybody signs; you sign it first.
    Prepare(Prepare),
    /// Sign such a file with your registered key. Shows what it is for, and asks where a terminal is there. No network.
    Sign(Sign),
    /// Trade the signed file for a pass.
    Redeem(Redeem),
}

#[derive(Debug, clap::Args)]
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
    /// Your registered key: a private key file, or a .pub file whose other half is in the ssh-agent.
    #[arg(long, env = "DAYPASS_EMERGENCY_KEY", value_name = "PATH")]
    emergency_key: PathBuf,
    /// Do not ask whether it is meant.
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, clap::Args)]
struct Redeem {
    /// The file that everybody signed.
    file: PathBuf,
    /// Write PATH, PATH.pub and PATH-cert.pub; by default they go to the state folder.
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Printed<'a> {
    file: String,
    server: &'a str,
    role: &'a str,
    host: &'a str,
    params: &'a std::collections::BTreeMap<String, String>,
    reason: &'a str,
    public_key: &'a str,
    holder: &'a str,
    signed_by: Vec<String>,
    expires_at: u64,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// 3 where it is denied, 5 where the challenge is over, 6 where the server does not answer.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = self.target.client()?;
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
                let wish = Wish {
                    role: Some(it.role),
                    host: it.host,
                    ..details.wish()?
                };
                let sheet = client.prepare(&wish, &signer).await?;
                sheet.write(&it.file)?;
                print(global, &it.file, &sheet, &next(&it.file, &sheet))
            }
            Action::Sign(it) => sign(global, it).await,
            Action::Redeem(it) => {
                let target = it.out.as_deref().map(Place::named).transpose()?;
                let sheet = Sheet::read(&it.file)?;
                sheet.verify()?;
                let (place, pass) = client.redeem(&sheet, target.as_ref()).await?;
                pass::say_review(global, &pass);
                pass::print(global, std::iter::once((Some(&place), &pass)))
            }
        }
    }
}

async fn sign(global: &Global, args: Sign) -> Result<(), Failure> {
    let mut sheet = Sheet::read(&args.file)?;
    sheet.verify()?;
    let signer = Signer::open(&args.emergency_key, !global.no_input).await?;
    global.say(&text(&args.file, &sheet));
    if !args.yes && is_interactive(global) {
        let question = "sign it? [y/N] ";
        if !matches!(asked(question).await?.as_str(), "y" | "Y" | "yes") {
            return Err(Failure::new(Code::Failure, "nothing was signed"));
        }
    }
    sheet.sign(&signer).await?;
    sheet.write(&args.file)?;
    let count = sheet.signatures.len();
    let plural = if count == 1 { "" } else { "s" };
    let said = format!("signed; the file has {count} signature{plural} now");
    print(global, &args.file, &sheet, &said)
}

fn print(global: &Global, file: &Path, sheet: &Sheet, text: &str) -> Result<(), Failure> {
    let ask = &sheet.ask;
    let printed = Printed {
        file: file.display().to_string(),
        server: &sheet.server,
        role: &ask.role,
        host: &ask.host,
        params: &ask.params,
        reason: &ask.reason,
        public_key: &sheet.public_key,
        holder: &sheet.holder,
        signed_by: sheet.signers(),
        expires_at: sheet.expires_at,
    };
    global.print(&printed, |_| text.to_owned())
}

fn text(file: &Path, sheet: &Sheet) -> String {
    let ask = &sheet.ask;
    let params = ask
        .params
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let params: Vec<String> = params.collect();
    let name = quoted(&file.display().to_string());
    let rows = [
        ("server", sheet.server.clone()),
        ("role", ask.role.clone()),
        ("host", ask.host.clone()),
        ("parameters", params.join(", ")),
        ("reason", ask.reason.clone()),
        (
            "lets in",
            sheet.signers().into_iter().next().unwrap_or_default(),
        ),
        ("pass key", sheet.key()),
        ("signed by", sheet.signers().join(", ")),
        (
            "ends",
            format!(
                "{} ({})",
                left(now(), sheet.expires_at),
                moment(sheet.expires_at)
            ),
        ),
    ];
    let lines = rows.iter().filter(|(_, value)| !value.is_empty());
    let lines = lines.map(|(name, value)| format!("  {:<12}{}", name, clean(value)));
    let head = format!("emergency in {}", clean(&name));
    std::iter::once(head)
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}

/// What it says, and what everybody does with it.
fn next(file: &Path, sheet: &Sheet) -> String {
    let name = quoted(&file.display().to_string());
    let name = clean(&name);
    format!(
        "{}\nothers sign it:  daypass emergency sign {name}\nthen:            daypass emergency redeem {name}",
        text(file, sheet)
    )
}
