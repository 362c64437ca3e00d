//! A pass in a server's answer: checked against the request for it before anything is written to
//! disk.

mod certificate;
mod command_line;
mod fault;
mod jump_pass;
mod role;

use ssh_key::{Certificate, PublicKey};

use super::{Client, Error, clock::now, server_info::ServerInfo};
use crate::{
    proto::v1::{self, issue_response::Answer},
    ssh::options::CriticalOption,
};
use certificate::Expected;

pub(super) use certificate::Known;
pub(crate) use jump_pass::JumpPass;

/// A pass that has been checked.
#[derive(Debug)]
pub struct Pass {
    /// The certificate.
    pub certificate: Certificate,
    /// Its role.
    pub role: String,
    /// The exact force-command; none if the role sets none.
    pub command: Option<String>,
    /// The jump pass, if the host is behind a bastion.
    pub jump: Option<JumpPass>,
    /// First second (Unix) at which the host has no valid host certificate any more; 0 if it has
    /// none.
    pub host_certificate_until: u64,
}

/// A pass that has been checked, and what its answer says of the host is not remembered yet:
/// [`Client::take`] does that, and there is no other way to the pass.
#[derive(Debug)]
pub(super) struct Received {
    pass: Pass,
    host: String,
}

/// An ask, and what is known about its answer.
pub(super) struct Wanted {
    pub(super) ask: v1::Ask,
    pub(super) known: Known,
    /// The login that the user named.
    pub(super) login: Option<String>,
}

impl From<v1::Ask> for Wanted {
    fn from(ask: v1::Ask) -> Self {
        Self {
            ask,
            known: Known::Nothing,
            login: None,
        }
    }
}

/// Checks the pass in an answer to an ask for `wanted` with `key`.
///
/// # Errors
/// Returns [`Error::Pending`] if the answer is a request, and [`Error::Untrusted`] if the pass is
/// not what was asked for.
pub(super) fn received(
    answer: &v1::IssueResponse,
    wanted: &Wanted,
    key: &PublicKey,
    server_info: &ServerInfo,
) -> Result<Received, Error> {
    let pass = match &answer.answer {
        Some(Answer::Pass(pass)) => pass,
        Some(Answer::Request(request)) => return Err(Error::Pending { id: request.id }),
        None => {
            return Err(Error::Untrusted(
                "its answer holds neither a pass nor a request".to_owned(),
            ));
        }
    };
    let expected = Expected {
        ask: &wanted.ask,
        known: &wanted.known,
        login: wanted.login.as_deref(),
        key,
        trusted: &server_info.ca_fingerprints(),
        now: now(),
    };
    let pass = check(pass, &expected).map_err(Error::Untrusted)?;
    let host = wanted.ask.host.clone();
    Ok(Received { pass, host })
}

impl Client {
    /// The pass, after this machine has remembered until when its host has a certificate. The pass
    /// is there even if that fails: it cannot be asked for again if it redeemed a request or a
    /// consent.
    pub(super) async fn take(&self, Received { pass, host }: Received) -> Pass {
        let until = pass.host_certificate_until;
        if let Err(error) = self.remember_certified(&host, until, now()).await {
            self.say(&format!(
                "note: ssh may not refuse a false {host} that has no certificate: {error}"
            ));
        }
        pass
    }
}

/// Checks a pass and its jump pass.
///
/// # Errors
/// Returns what is wrong, as a sentence.
fn check(pass: &v1::Pass, expected: &Expected<'_>) -> Result<Pass, String> {
    let wrong = |fault| format!("the pass is wrong: {fault}");
    let certificate = expected
        .check_pass(&pass.certificate, pass.jump.is_none())
        .map_err(wrong)?;
    let bastion = pass.jump.as_ref().map(|jump| jump.bastion.as_str());
    expected.check_bastion(bastion).map_err(wrong)?;
    let jump = pass.jump.as_ref().map(|jump| {
        jump_pass::check(jump, &certificate, expected)
            .map_err(|fault| format!("the jump pass is wrong: {fault}"))
    });
    let options = certificate.critical_options();
    let command = options.get(CriticalOption::ForceCommand.name());
    Ok(Pass {
        jump: jump.transpose()?,
        command: command.cloned(),
        role: expected.ask.role.clone(),
        host_certificate_until: pass.host_certificate_until,
        certificate,
    })
}
