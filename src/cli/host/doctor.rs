//! `daypass host doctor`.

use std::{fs, io::Read, path::PathBuf, time::Duration};

use ssh_key::Certificate;

use super::options::{Patience, Place};
use crate::{
    cli::{
        Failure, Global,
        failure::Code,
        output::{bold, clean},
        values::duration,
    },
    client::now,
    finding::Level,
    host::doctor::{DoctorReport, Question, Verdict, examine},
    unix_seconds::UnixSeconds,
};

/// Bytes of the longest file that is read; a certificate is shorter.
const LARGEST: u64 = 1024 * 1024;

/// Check this host, and say which passes it would refuse, and why.
///
/// Asks sshd what is in force (sshd -T), and compares it with what `host setup` and `host sync`
/// wrote. Changes nothing. Exits with 1 if something is wrong.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A certificate (P-cert.pub) to check against this host.
    #[arg(long, value_name = "CERT")]
    pass: Option<PathBuf>,
    /// A login to check. `Match` blocks are evaluated for it.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The address that the login comes from, for `Match` blocks.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<std::net::IpAddr>,
    /// The longest time since the last sync.
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = duration)]
    max_age: Duration,
    /// The sshd to ask. By default the one in /usr/sbin.
    #[arg(long, value_name = "PATH")]
    sshd: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    patience: Patience,
}

impl Args {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let layout = self.place.layout()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        if let Some(user) = self
            .user
            .as_ref()
            .filter(|user| user.is_empty() || !user.chars().all(plain))
        {
            return Err(Failure::new(
                Code::Usage,
                format!("{user:?} is not a login name"),
            ));
        }
        let question = Question {
            sshd: self.sshd,
            pass: self.pass.as_ref().map(read_pass).transpose()?,
            user: self.user,
            address: self.address.map(|address| address.to_string()),
            oldest: self.max_age,
            deadline: self.patience.timeout,
        };
        let report = examine(&layout, &question, UnixSeconds(now())).await?;
        global.print(&report, text)?;
        if report.healthy {
            return Ok(());
        }
        // The report is the message.
        Err(Failure::new(Code::Failure, ""))
    }
}

fn read_pass(path: &PathBuf) -> Result<Certificate, Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::new(
            Code::Usage,
            format!("{} is not an OpenSSH certificate: {error}", path.display()),
        )
    };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| wrong(&error))?;
    file.take(LARGEST)
        .read_to_string(&mut text)
        .map_err(|error| wrong(&error))?;
    Certificate::from_openssh(text.trim()).map_err(|error| wrong(&error))
}

fn text(report: &DoctorReport) -> String {
    let mut lines: Vec<String> = Vec::new();
    for finding in &report.findings {
        let mark = match finding.level {
            Level::Good => "ok   ".into(),
            Level::Note => "note ".into(),
            Level::Warning => bold("WARN "),
            Level::Wrong => bold("WRONG"),
        };
        lines.push(format!("{mark}  {}", clean(&finding.message)));
    }
    if let Some(pass) = &report.pass {
        lines.push(String::new());
        lines.extend(text_of_pass(pass));
    }
    lines.push(String::new());
    lines.push(match report.healthy {
        true => "Nothing is wrong.".to_owned(),
        false => "Something is wrong.".to_owned(),
    });
    lines.join("\n")
}

fn text_of_pass(pass: &Verdict) -> Vec<String> {
    let head = format!("pass {} ({})", pass.serial, clean(&pass.key_id));
    let mut lines = vec![match pass.accepted {
        true => format!(
            "{head} is accepted here, for: {}",
            clean(&pass.logins.join(", "))
        ),
        false => format!("{head} is {} here:", bold("REFUSED")),
    }];
    let said = pass.refusals.iter().chain(&pass.notes);
    lines.extend(said.map(|line| format!("  {}", clean(line))));
    lines
}
