//! `daypass host setup`.

use std::{fmt::Write as _, path::PathBuf};

use ssh_key::Fingerprint;

use super::options::{Patience, Place, login_log, waiting};
use crate::{
    cli::{Failure, Global, output::clean, table::table, values::ca_fingerprint},
    client::{login::read_token_file, now},
    host::join::{Credential, MachineToken},
    host::settings::{LoginLog, USUAL_USER},
    host::setup::{
        JoinedReport, LoginsWish, SetupOptions, SetupReport, TrustedBy, audience::print_audience,
        setup,
    },
    outbound::CertificateFingerprint,
    unix_seconds::{UnixSeconds, moment},
};

/// Make sshd trust the CA: write its keys, an empty revocation list and a file in sshd_config.d.
///
/// Asks sshd whether it accepts the result (sshd -t, sshd -T). If it does not, everything is put
/// back. It can be run again at any time, and then updates what has changed. It does not reload
/// sshd: the last lines say how.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The CA, https://HOST:PORT. Several addresses of one CA have commas between them. A host that
    /// is set up needs no address: without it, all settings stay that you do not name.
    #[arg(
        long,
        env = "DAYPASS_SERVER",
        hide_env_values = true,
        value_name = "URL",
        help_heading = "What to trust"
    )]
    server: Option<String>,
    /// A host group of the policy that this host belongs to. May be repeated. Without it, the host
    /// accepts passes for plain logins.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// PEM file of CA certificates for the server's TLS. By default those of the operating system.
    #[arg(
        long,
        env = "DAYPASS_CA_FILE",
        hide_env_values = true,
        value_name = "FILE",
        help_heading = "What to trust"
    )]
    ca_file: Option<PathBuf>,
    /// The fingerprint of the server's TLS certificate, or of a CA certificate that it sends: trust
    /// it from now on. For a private certificate.
    #[arg(long, value_name = "SHA256:...", help_heading = "What to trust")]
    server_fingerprint: Option<CertificateFingerprint>,
    /// The fingerprint of a CA key that you know. May be repeated. Other keys are accepted only if
    /// this key has signed them.
    #[arg(
        long = "ca-fingerprint",
        value_name = "SHA256:...",
        value_parser = ca_fingerprint,
        help_heading = "What to trust"
    )]
    pins: Vec<Fingerprint>,
    /// A file of another CA's public keys that sshd shall trust too, for the time between two CAs.
    /// Its revocations are not read, and --group counts for its certificates too.
    #[arg(long, value_name = "FILE", help_heading = "What to trust")]
    also_trust: Option<PathBuf>,
    /// The join code of this host, as `daypass admin hosts add` printed it: the host proves its
    /// host keys, and gets certificates for them, so that no user is asked whether to trust them.
    /// Without --group, it is then in the group that the administrator gave it.
    #[arg(long, value_name = "CODE", help_heading = "What to trust")]
    join: Option<String>,
    /// A file with this machine's own ID token (`-`: standard input), instead of a join code: for
    /// machines that the policy's `[[host]]` lets in. Its audience is the one that
    /// --print-audience prints. It is not kept.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "join",
        help_heading = "What to trust"
    )]
    join_token_file: Option<PathBuf>,
    /// The name by which the machine with the token joins. By default the system's host name.
    #[arg(
        long,
        value_name = "NAME",
        requires = "join_token_file",
        help_heading = "What to trust"
    )]
    join_name: Option<String>,
    /// Print the audience that this machine's token must have, and stop. It names the first host
    /// key.
    #[arg(long, conflicts_with_all = ["join", "join_token_file"], help_heading = "What to trust")]
    print_audience: bool,
    /// The issuer of the token, if the server has several for machines.
    #[arg(
        long,
        value_name = "NAME",
        requires = "print_audience",
        help_heading = "What to trust"
    )]
    issuer: Option<String>,
    /// Report the logins by certificates that sshd logs, at each `host sync` from now on: the
    /// server finds those that it never issued. Reads the systemd journal, or this log file of
    /// sshd. For a host that has joined.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, help_heading = REPORTS)]
    logins: Option<Option<PathBuf>>,
    /// Report logins no longer.
    #[arg(long, conflicts_with = "logins", help_heading = REPORTS)]
    no_logins: bool,
    /// The sshd to ask. By default the one in /usr/sbin.
    #[arg(long, value_name = "PATH", help_heading = "sshd")]
    sshd: Option<PathBuf>,
    /// The user that runs sshd's principals command. For an sshd that does not run as root, its own
    /// user.
    #[arg(long, value_name = "USER", default_value = USUAL_USER, help_heading = "sshd")]
    principals_user: String,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    patience: Patience,
}

const REPORTS: &str = "What to report";

impl Args {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let layout = self.place.layout()?;
        let join = self.credential().await?;
        let options = SetupOptions {
            server: self.server.unwrap_or_default(),
            groups: self.groups,
            ca_file: self.ca_file.filter(|path| !path.as_os_str().is_empty()),
            server_fingerprint: self.server_fingerprint,
            pins: self.pins,
            also_trust: self.also_trust,
            sshd: self.sshd,
            principals_user: self.principals_user,
            join,
            logins: match (self.logins, self.no_logins) {
                (Some(file), _) => LoginsWish::Report(login_log(file)),
                (None, true) => LoginsWish::End,
                (None, false) => LoginsWish::Keep,
            },
            deadline: self.patience.timeout,
            wait: waiting(self.patience.timeout),
        };
        if self.print_audience {
            let audience = print_audience(&layout, &options, self.issuer.as_deref()).await?;
            return global.print(&audience, |it| clean(&it.audience).into_owned());
        }
        let report = setup(&layout, &options, UnixSeconds(now())).await?;
        global.print(&report, text)
    }

    /// The join code or the machine's token.
    async fn credential(&self) -> Result<Option<Credential>, Failure> {
        let Some(file) = &self.join_token_file else {
            return Ok(self.join.clone().map(Credential::Code));
        };
        let name = self.join_name.clone().unwrap_or_else(|| {
            let system = rustix::system::uname();
            system.nodename().to_string_lossy().into_owned()
        });
        let token = read_token_file(file).await?;
        Ok(Some(Credential::Token(MachineToken::new(&name, token)?)))
    }
}

fn text(report: &SetupReport) -> String {
    let mut text = format!("This host accepts passes of {}", clean(&report.server));
    match report.groups.as_slice() {
        [] => text.push_str(" for plain login names.\n\n"),
        groups => {
            let word = if groups.len() == 1 { "group" } else { "groups" };
            let _ = writeln!(text, " for the host {word} {}.\n", groups.join(", "));
        }
    }
    if let Some(host) = &report.host {
        text.push_str(&joined(host));
    }
    if let Some(log) = &report.logins {
        let log = match log {
            LoginLog::Journal => "the systemd journal".to_owned(),
            LoginLog::File(path) => clean(&path.display().to_string()).into_owned(),
        };
        let _ = writeln!(text, "`daypass host sync` reports the logins in {log}.\n");
    }
    let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
    let mut rows = Vec::new();
    for key in &report.keys {
        rows.push(row(["CA key", &key.fingerprint, &key.algorithm]));
    }
    for key in &report.also_trusted {
        rows.push(row(["also", &key.fingerprint, &key.algorithm]));
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
    for note in &report.notes {
        let _ = writeln!(text, "note: {}\n", clean(note));
    }
    text.push_str("sshd accepts this configuration. What is left to do:\n");
    let mut steps = vec!["daypass host sync                             fetch revocations now"];
    if report.changed {
        steps.insert(0, "systemctl reload ssh                          (on some systems: sshd) puts it in force");
    }
    steps.push("daypass systemd install host                  the units of the next command");
    steps.push("systemctl enable --now daypass-sync.timer     fetch revocations every few minutes");
    steps.push("daypass host doctor                           check all of it");
    for step in steps {
        let _ = writeln!(text, "  {step}");
    }
    text.push_str("Keep this session open until a login with a pass has worked.");
    text
}

/// The names that users' ssh accepts for this host, and until when without a renewal.
fn joined(host: &JoinedReport) -> String {
    let names: Vec<&str> = [host.name.as_str()]
        .into_iter()
        .chain(host.aliases.iter().map(String::as_str))
        .collect();
    let until = host
        .certificates
        .iter()
        .map(|it| it.until.map(UnixSeconds::get));
    let until = match until.min().flatten() {
        Some(until) => format!("until {}; `daypass host sync` renews them", moment(until)),
        None => "not whole on disk; run `daypass host sync`".to_owned(),
    };
    format!(
        "It has joined as {}. Its host certificates are valid {until}.\n\n",
        clean(&names.join(", "))
    )
}
