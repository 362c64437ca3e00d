//! `daypass inspect`.

use std::{io::Read, path::PathBuf};

use ssh_key::Certificate;

use super::{
    Failure, Global,
    failure::Code,
    output::clean,
    target::{left, moment},
};
use crate::client::{
    inspect::{Inspection, inspect},
    now,
};

/// Bytes of the longest file that is read; a certificate is shorter.
const LARGEST: u64 = 1024 * 1024;

/// Show what a certificate allows, and warn of what is dangerous in it, offline.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A certificate file (P-cert.pub), the key beside it (P), or `-` for stdin.
    certificate: PathBuf,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 2 if the file is not a certificate.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let text = self.read()?;
        let certificate = Certificate::from_openssh(text.trim()).map_err(|error| {
            Failure::new(
                Code::Usage,
                format!(
                    "{} is not an OpenSSH certificate: {error}",
                    self.certificate.display()
                ),
            )
        })?;
        let inspection = inspect(&certificate, now());
        global.print(&inspection, text_of)
    }

    fn read(&self) -> Result<String, Failure> {
        let mut text = String::new();
        if self.certificate.as_os_str() == "-" {
            std::io::stdin().take(LARGEST).read_to_string(&mut text)?;
            return Ok(text);
        }
        let mut beside = self.certificate.clone().into_os_string();
        beside.push("-cert.pub");
        let beside = PathBuf::from(beside);
        let path = if beside.exists() {
            &beside
        } else {
            &self.certificate
        };
        let unreadable = |error: std::io::Error| {
            Failure::new(
                Code::Usage,
                format!("failed to read {}: {error}", path.display()),
            )
        };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(LARGEST)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        Ok(text)
    }
}

fn text_of(it: &Inspection) -> String {
    let state = if it.valid {
        format!("valid for {}", left(now(), it.valid_before))
    } else {
        "NOT VALID NOW".to_owned()
    };
    let mut lines = vec![
        format!(
            "{} certificate {}  {}",
            it.kind,
            it.serial,
            clean(&it.key_id)
        ),
        format!("  principals  {}", clean(&it.principals.join(", "))),
        format!(
            "  validity    {} to {} ({state})",
            moment(it.valid_after),
            moment(it.valid_before)
        ),
    ];
    for (name, value) in &it.critical_options {
        lines.push(format!("  {}  {}", clean(name), clean(value)));
    }
    lines.push(format!(
        "  extensions  {}",
        clean(&it.extensions.join(", "))
    ));
    lines.push(format!("  key         {}", it.key));
    lines.push(format!("  signed by   {} ({})", it.ca, it.ca_algorithm));
    for warning in &it.warnings {
        lines.push(format!("  WARNING     {}", clean(warning)));
    }
    lines.join("\n")
}
