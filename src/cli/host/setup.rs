//! `daypass host setup`.

use std::{fmt::Write as _, path::PathBuf};

use ssh_key::Fingerprint;

use super::{Patience, Place};
use crate::{
    cli::{
        Failure, Global,
        output::{clean, table},
    },
    client::now,
    host::setup::{SetupOptions, SetupReport, TrustedBy, setup},
};

/// Make sshd trust the CA: keys, an empty revocation list, and a file in sshd_config.d.
///
/// sshd itself is asked whether it takes the result (sshd -t, sshd -T); where it does not, everything is put back. Running
/// it again changes nothing, or brings it up to date. sshd is not reloaded: the last lines say how.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The CA, https://HOST:PORT.
    #[arg(long, env = "DAYPASS_SERVER", value_name = "URL")]
    server: String,
    /// A host group of the policy that this host belongs to; may be repeated. Without any, passes name plain logins.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// PEM file of CA certificates for the server's TLS; by default the operating system's.
    #[arg(long, env = "DAYPASS_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// A CA key you know, SHA256:...; may be repeated. Other keys are then taken only where it has signed them.
    #[arg(long = "ca-fingerprint", value_name = "SHA256:...")]
    pins: Vec<Fingerprint>,
    /// The sshd to ask; by default the one in /usr/sbin.
    #[arg(long, value_name = "PATH")]
    sshd: Option<PathBuf>,
    /// The user that sshd runs the principals command as; for an sshd that is not root's, its own.
    #[arg(long, value_name = "USER", default_value = "nobody")]
    principals_user: String,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    patience: Patience,
}

impl Args {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let layout = self.place.layout()?;
        let options = SetupOptions {
            server: self.server,
            groups: self.groups,
            ca_file: self.ca_file.filter(|path| !path.as_os_str().is_empty()),
            pins: self.pins,
            sshd: self.sshd,
            principals_user: self.principals_user,
            deadline: self.patience.timeout,
        };
        let report = setup(&layout, &options, now()).await?;
        global.print(&report, text)
    }
}

fn text(report: &SetupReport) -> String {
    let mut text = format!("This host takes passes of {}", clean(&report.server));
    match report.groups.as_slice() {
        [] => text.push_str(" for plain login names.\n\n"),
        groups => {
            let _ = writeln!(text, " for the host groups {}.\n", groups.join(", "));
        }
    }
    let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
    let mut rows = Vec::new();
    for key in &report.keys {
        rows.push(row(["CA key", &key.fingerprint, &key.algorithm]));
    }
    for file in &report.files {
        let done = if file.changed { "written" } else { "unchanged" };
        rows.push(row([done, &file.path.display().to_string(), file.what]));
    }
    text.push_str(&table(&rows));
    text.push_str("\n\n");
    if report.trusted_by == TrustedBy::Tls {
        text.push_str(
            "The CA keys are trusted because of the server's TLS certificate alone. Compare the fingerprints with\n\
             the CA's, or pin them: --ca-fingerprint SHA256:...\n\n",
        );
    }
    text.push_str("sshd takes this configuration. What is left to do:\n");
    let mut steps = vec!["daypass host sync                             fetch revocations now"];
    if report.changed {
        steps.insert(0, "systemctl reload ssh                          (on some systems: sshd) puts it in force");
    }
    steps.push("systemctl enable --now daypass-sync.timer     (of systemd/ in the repository) fetch them every few minutes");
    steps.push("daypass host doctor                           check all of it");
    for step in steps {
        let _ = writeln!(text, "  {step}");
    }
    text.push_str("Keep this session open until a login with a pass has worked.");
    text
}
