//! Finds the passes that this host would refuse, and the reasons. Changes none of its files.
//!
//! Compares the files that `setup` and `sync` wrote with the configuration that the real sshd has
//! in force.

mod account;
mod algorithms;
mod certificates;
mod configuration;
mod login;
mod logins;
mod matches;
mod pass;
mod running;
mod scene;
mod state;

pub(crate) use state::spoken;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;
use ssh_key::Certificate;

pub(crate) use pass::Verdict;

use account::Accounts;
use scene::{Examined, Scene};

use super::{
    Error, Settings,
    files::Layout,
    keys::CaKeys,
    server::Server,
    sshd::{Connection, Sshd},
    sshd_files,
};
use crate::{finding::Finding, unix_seconds::UnixSeconds};

/// The age at which the last sync counts as too old, unless the administrator says otherwise.
pub(crate) const OLDEST_SYNC: Duration = Duration::from_secs(15 * 60);

/// Questions of one examination.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The path of sshd; none: the system's.
    pub sshd: Option<PathBuf>,
    /// A certificate to judge.
    pub pass: Option<Certificate>,
    /// The login name whose `Match` blocks and account are checked.
    pub user: Option<String>,
    /// The client address of the login; none: one that no host has.
    pub address: Option<String>,
    /// The age at which the last sync counts as too old.
    pub oldest: Duration,
    /// The deadline for one request to the server.
    pub deadline: Duration,
}

/// The result of all checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct DoctorReport {
    /// True if nothing is wrong and the pass, if one was given, would be accepted.
    pub healthy: bool,
    /// The CA's address.
    pub server: String,
    /// The host groups of this host.
    pub groups: Vec<String>,
    /// The revocation list's version; none if it cannot be read.
    pub krl_version: Option<u64>,
    /// Seconds since the last successful sync; none: never.
    pub synced_ago: Option<u64>,
    /// The findings, in the order of the checks.
    pub findings: Vec<Finding>,
    /// The verdict on the pass, if one was given.
    pub pass: Option<Verdict>,
    /// When the server made the revocation list; none if it cannot be read.
    pub krl_made_at: Option<UnixSeconds>,
}

/// Examines this host.
///
/// # Errors
/// Returns the error if this host was never set up, or sshd cannot be run. Every other fault is in
/// the report.
pub(crate) async fn examine(
    layout: &Layout,
    question: &Question,
    now: UnixSeconds,
) -> Result<DoctorReport, Error> {
    look(layout, question, now, true).await
}

/// The faults of this host, as its report to the server has them. The server is not asked.
pub(super) async fn faults(layout: &Layout, sshd: Option<&Path>, now: UnixSeconds) -> Vec<String> {
    let question = Question {
        sshd: sshd.map(Path::to_owned),
        pass: None,
        user: None,
        address: None,
        oldest: OLDEST_SYNC,
        deadline: Duration::ZERO,
    };
    match look(layout, &question, now, false).await {
        Ok(report) => {
            // The report that brings it ends that fault.
            let is_told = |finding: &Finding| finding.is_wrong() && finding.check != "host-report";
            let findings = report.findings.into_iter();
            let told = findings.filter(is_told);
            told.map(|finding| finding.message).collect()
        }
        Err(error) => vec![error.to_string()],
    }
}

async fn look(
    layout: &Layout,
    question: &Question,
    now: UnixSeconds,
    may_ask: bool,
) -> Result<DoctorReport, Error> {
    let settings = Settings::load(layout)?;
    let sshd = Sshd::new(question.sshd.as_deref(), &layout.sshd_config())?;
    let missing = sshd.provide_run_folder().await?;
    let mut findings = vec![configuration::starts(sshd.test().await)];
    findings.extend(missing.map(|folder| configuration::not_running(&folder)));
    let effective = sshd.effective(&question.connection()).await?;
    let keys = super::sync::trusted(layout);
    let others = super::also_trust::others(&settings, layout);
    let scene = Scene {
        layout,
        settings: &settings,
        effective: &effective,
        keys: keys.as_ref().ok(),
        other_keys: others.as_ref().ok().and_then(Option::as_ref),
        user: question.user.as_deref(),
        address: question.address.as_deref(),
        accounts: &Accounts::load(),
        now,
    };
    let files = sshd_files::files(layout);
    findings.extend(running::check(&scene, &files));
    findings.extend(configuration::check(&scene));
    let asked = Examined {
        user: scene.user,
        address: scene.address,
    };
    findings.extend(matches::check(&scene, (&sshd, &asked), &files, &findings).await?);
    findings.extend(
        keys.as_ref()
            .err()
            .map(|error| Finding::wrong("ca-keys", error.to_string())),
    );
    findings.extend(also_trusted(&others));
    let (krl, state) = state::check(&scene, question.oldest)?;
    findings.extend(state);
    findings.extend(certificates::check(&scene).await?);
    findings.extend(login::check(&scene));
    if may_ask {
        findings.extend(ask_server(&scene, question.deadline).await);
    }
    let pass = question.pass.as_ref();
    let pass = pass.map(|pass| pass::judge(&scene, pass, krl.as_ref()));
    let is_wrong = findings.iter().any(|finding| finding.is_wrong());
    Ok(DoctorReport {
        healthy: !is_wrong && pass.as_ref().is_none_or(|pass| pass.accepted),
        krl_version: krl.as_ref().map(crate::ssh::krl::Krl::version),
        synced_ago: state::age(layout, now)?,
        krl_made_at: krl.as_ref().map(crate::ssh::krl::Krl::made_at),
        server: settings.server.clone(),
        groups: settings.groups.clone(),
        findings,
        pass,
    })
}

impl Question {
    fn connection(&self) -> Connection {
        let unlisted = Connection::unlisted();
        let address = self.address.clone();
        Connection {
            user: self.user.clone().unwrap_or(unlisted.user),
            address: address.clone().unwrap_or(unlisted.address),
            host: address.unwrap_or(unlisted.host),
            ..Connection::unlisted()
        }
    }
}

/// Says that another CA is trusted too, and what does not hold for it.
fn also_trusted(others: &Result<Option<CaKeys>, Error>) -> Option<Finding> {
    match others {
        Ok(Some(keys)) => {
            let names: Vec<String> = keys.fingerprints().into_iter().collect();
            let names = names.join(", ");
            Some(Finding::note(
                "also-trust",
                format!(
                    "{names} of another CA is trusted too, and its passes are not in the revocation list; run \
                    `daypass host setup` again without --also-trust when that CA is no longer needed"
                ),
            ))
        }
        Ok(None) => None,
        Err(error) => Some(Finding::wrong("also-trust", error.to_string())),
    }
}

/// Compares clock and CA keys with the server's. An unreachable server is only a note, because
/// passes work without it; one whose certificate is refused does not become reachable by waiting.
async fn ask_server(scene: &Scene<'_>, deadline: Duration) -> Vec<Finding> {
    let asked = async {
        // Another check reports a file that cannot be used.
        let roots = scene.settings.roots(scene.layout).unwrap_or(None);
        let server = Server::new(scene.settings, roots.as_deref(), deadline)?;
        server.ca_keys().await
    };
    match asked.await {
        Ok(answer) => state::compare(scene, &answer),
        // No sync succeeds until the administrator has done something.
        Err(error @ Error::Certificate { .. }) => {
            vec![Finding::wrong("server", error.to_string())]
        }
        Err(error) => vec![Finding::note(
            "server",
            format!("{error}; clock and CA keys were not compared"),
        )],
    }
}
