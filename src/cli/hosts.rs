//! `daypass hosts`: the known hosts, and which of them are behind.

use serde::Serialize;

use super::{
    Failure, Global,
    output::clean,
    table::table,
    target::{Target, moment},
};
use crate::proto::v1::{self, host::State};

/// List the known hosts, and which of them are behind.
///
/// A host is behind if it has not reported for a while, does not trust a CA key, has an old
/// revocation list or an expired certificate, or `daypass host doctor` finds a fault there.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Only hosts that are behind.
    #[arg(long)]
    behind: bool,
}

#[derive(Serialize)]
struct Host {
    name: String,
    group: String,
    aliases: Vec<String>,
    state: &'static str,
    /// The word of the table.
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    joined_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invited_until: Option<u64>,
    keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_until: Option<u64>,
    certificate_ca_keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Report>,
    behind: Vec<String>,
}

#[derive(Serialize)]
struct Report {
    at_ms: u64,
    trusted_ca_keys: Vec<String>,
    krl_version: Option<u64>,
    sshd_version: String,
    daypass_version: String,
    faults: Vec<String>,
    certificates: Vec<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logins_until: Option<u64>,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 3 if the policy names you neither in `[admin]` nor in `[audit]`.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = self.target.client()?;
        let hosts = client.signed_in().await?.hosts(self.behind).await?;
        let hosts: Vec<Host> = hosts.into_iter().map(host).collect();
        let is_filtered = self.behind;
        global.print(&serde_json::json!({ "hosts": hosts }), |_| {
            list(&hosts, is_filtered)
        })
    }
}

fn host(wire: v1::Host) -> Host {
    let time = |seconds: u64| Some(seconds).filter(|seconds| *seconds > 0);
    let state = match wire.state() {
        State::Expected => "expected",
        State::Rekeying => "rekeying",
        State::Joined => "joined",
        State::Unspecified => "unknown",
    };
    Host {
        state,
        status: match (state, wire.behind.is_empty()) {
            ("joined", true) => "current".to_owned(),
            ("joined", false) => "behind".to_owned(),
            (state, true) => state.to_owned(),
            (state, false) => format!("{state}, behind"),
        },
        name: wire.name,
        group: wire.group,
        aliases: wire.aliases,
        joined_at: time(wire.joined_at),
        invited_until: time(wire.invited_until),
        keys: wire.keys,
        certificate_until: time(wire.certificate_until),
        certificate_ca_keys: wire.certificate_ca_keys,
        report: wire.report.map(|report| Report {
            at_ms: report.at,
            trusted_ca_keys: report.trusted_ca_keys,
            krl_version: report.krl_version,
            sshd_version: report.sshd_version,
            daypass_version: report.daypass_version,
            faults: report.faults,
            certificates: report.certificates,
            logins_until: report.logins_until,
        }),
        behind: wire.behind,
    }
}

fn list(hosts: &[Host], is_filtered: bool) -> String {
    if hosts.is_empty() {
        return match is_filtered {
            true => "No host is behind.".to_owned(),
            false => {
                "No host is known. To let one join: daypass admin hosts add NAME --group GROUP"
                    .to_owned()
            }
        };
    }
    let head = [
        "HOST",
        "GROUP",
        "STATE",
        "REPORTED",
        "CERTIFICATE UNTIL",
        "LOGINS UNTIL",
        "SSHD",
    ];
    let rows = hosts.iter().map(|host| {
        let report = host.report.as_ref();
        vec![
            host.name.clone(),
            host.group.clone(),
            host.status.clone(),
            report.map_or_else(|| "-".to_owned(), |it| moment(it.at_ms / 1000)),
            host.certificate_until
                .map_or_else(|| "-".to_owned(), moment),
            report
                .and_then(|it| it.logins_until)
                .map_or_else(|| "-".to_owned(), moment),
            report.map_or_else(|| "-".to_owned(), |it| it.sshd_version.clone()),
        ]
    });
    let rows: Vec<Vec<String>> = std::iter::once(head.map(str::to_owned).to_vec())
        .chain(rows)
        .collect();
    let mut text = table(&rows);
    for host in hosts {
        for why in &host.behind {
            text.push('\n');
            text.push_str(&clean(&format!("{}: {why}", host.name)));
        }
    }
    text
}
