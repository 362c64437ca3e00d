//! The login of a pass for the user of this machine.

use ssh_key::Certificate;

use super::Failure;
use crate::client::logins::login_name;

/// The user's name on this machine.
pub(super) fn local_user() -> Option<String> {
    std::env::var("USER").ok()
}

/// The login name that `daypass ssh` uses with this pass.
pub(super) fn login_of(certificate: &Certificate) -> Result<Option<String>, Failure> {
    let principals = certificate.valid_principals();
    Ok(login_name(None, principals, local_user().as_deref())?)
}
