//! A pass in a server's answer: checked against the request for it before anything is written to
//! disk.

mod certificate;
mod jump_pass;

use ssh_key::{Certificate, PublicKey};

use super::{Error, clock::now, server_info::ServerInfo};
use crate::proto::v1;

pub use jump_pass::JumpPass;

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
}

/// Checks the pass in an answer to an ask for `role` and `key`.
///
/// # Errors
/// Returns [`Error::Pending`] if the answer is a request, and [`Error::Untrusted`] if the pass is
/// not what was asked for.
pub(super) fn received(
    answer: &v1::IssueResponse,
    role: &str,
    key: &PublicKey,
    server_info: &ServerInfo,
) -> Result<Pass, Error> {
    if let Some(request) = &answer.pending {
        return Err(Error::Pending { id: request.id });
    }
    let (trusted, now) = (server_info.ca_fingerprints(), now());
    let certificate =
        certificate::check(answer, role, key, &trusted, now).map_err(Error::Untrusted)?;
    let jump = answer.jump.as_ref().map(|jump| {
        jump_pass::check(jump, &certificate, role, key, &trusted, now).map_err(Error::Untrusted)
    });
    Ok(Pass {
        jump: jump.transpose()?,
        certificate,
        role: role.to_owned(),
        command: Some(answer.force_command.clone()).filter(|command| !command.is_empty()),
    })
}
