//! Which passes this host would refuse, and why: what `setup` and `sync` wrote, against what the real sshd says is in
//! force. Changes nothing.

mod configuration;
mod login;
mod pass;
mod state;

use std::{path::PathBuf, time::Duration};

use serde::Serialize;
use ssh_key::Certificate;

pub use pass::Verdict;

use super::{
    Error, Settings,
    files::Layout,
    keys::CaKeys,
    server::Server,
    sshd::{Connection, Effective, Sshd},
};

/// What to look at.
#[derive(Clone, Debug)]
pub struct Question {
    /// sshd's path; none: the usual one.
    pub sshd: Option<PathBuf>,
    /// A certificate to judge.
    pub pass: Option<Certificate>,
    /// For whom `Match` blocks and the account are looked at.
    pub user: Option<String>,
    /// Where the login comes from; none: an address of nobody.
    pub address: Option<String>,
    /// How old the last sync may be.
    pub oldest: Duration,
    /// For one request to the server.
    pub deadline: Duration,
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Good,
    /// Worth knowing; passes work.
    Note,
    /// Passes are refused that should not be, or taken that should not be.
    Wrong,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// What was looked at: a stable word for scripts.
    pub check: &'static str,
    /// What was found, what it means for passes, and what to do.
    pub message: String,
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DoctorReport {
    /// Nothing is wrong, and the pass, if one was given, would be taken.
    pub healthy: bool,
    /// The CA.
    pub server: String,
    /// Host groups.
    pub groups: Vec<String>,
    /// The revocation list's version; none where it cannot be read.
    pub krl_version: Option<u64>,
    /// Seconds since the last sync that succeeded; none: never.
    pub synced_ago: Option<u64>,
    /// In the order they were looked at.
    pub findings: Vec<Finding>,
    /// Whether the pass would be taken.
    pub pass: Option<Verdict>,
    /// When the server made the revocation list, Unix seconds; none where it cannot be read.
    pub krl_made_at: Option<u64>,
}

impl Finding {
    fn good(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Good, check, message)
    }

    fn note(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Note, check, message)
    }

    fn wrong(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Wrong, check, message)
    }

    fn new(level: Level, check: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            level,
            check,
            message,
        }
    }
}

/// Everything a check may look at.
struct Scene<'a> {
    layout: &'a Layout,
    settings: &'a Settings,
    effective: &'a Effective,
    /// None where the file is gone or broken.
    keys: Option<&'a CaKeys>,
    user: Option<&'a str>,
    now: u64,
}

/// Looks at this host. `now` is Unix seconds.
///
/// # Errors
/// Where this host was never set up, or sshd cannot be asked. What is wrong otherwise is in the report.
pub async fn examine(
    layout: &Layout,
    question: &Question,
    now: u64,
) -> Result<DoctorReport, Error> {
    let settings = Settings::load(layout)?;
    let sshd = Sshd::new(question.sshd.as_deref(), &layout.sshd_config())?;
    let mut findings = vec![configuration::starts(sshd.test().await)];
    let effective = sshd.effective(&question.connection()).await?;
    let keys = super::sync::trusted(layout);
    let scene = Scene {
        layout,
        settings: &settings,
        effective: &effective,
        keys: keys.as_ref().ok(),
        user: question.user.as_deref(),
        now,
    };
    findings.extend(configuration::check(&scene));
    findings.extend(
        keys.as_ref()
            .err()
            .map(|error| Finding::wrong("ca-keys", error.to_string())),
    );
    let (krl, state) = state::check(&scene, question.oldest)?;
    findings.extend(state);
    findings.extend(login::check(&scene));
    findings.extend(ask_server(&scene, question.deadline).await);
    let pass = question.pass.as_ref();
    let pass = pass.map(|pass| pass::judge(&scene, pass, krl.as_ref()));
    let is_wrong = findings.iter().any(|finding| finding.level == Level::Wrong);
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
        let anybody = Connection::anybody();
        Connection {
            user: self.user.clone().unwrap_or(anybody.user),
            address: self.address.clone().unwrap_or(anybody.address),
        }
    }
}

/// Clock and CA keys, where the server answers. That it does not is no fault of this host's passes.
async fn ask_server(scene: &Scene<'_>, deadline: Duration) -> Vec<Finding> {
    let asked = async {
        let roots = scene.settings.roots(scene.layout)?;
        let server = Server::new(&scene.settings.server, roots.as_deref(), deadline)?;
        server.ca_keys().await
    };
    match asked.await {
        Ok(answer) => state::compare(scene, &answer),
        Err(error) => vec![Finding::note(
            "server",
            format!("{error}; clock and CA keys were not compared"),
        )],
    }
}
