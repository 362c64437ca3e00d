//! The account that backs a server up and restores it: the one that the server runs as.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use super::files::{failed, refused};
use crate::daemon::{Error, check::own_account_name};

/// Refuses another user than the one that the server will run as: the owner of the state folder,
/// or, if there is none yet, the account of the server that was backed up.
pub(super) fn expect_account(state: &Path, account: Option<&str>) -> Result<(), Error> {
    if state.symlink_metadata().is_ok() {
        return expect_owner(state);
    }
    let own = own_account_name();
    match account.filter(|account| *account != own) {
        None => Ok(()),
        Some(account) => Err(refused(format!(
            "the server ran as {account}, and this is {own}. Make the state folder for the account that will run it, such as: \
             install -d -m 700 -o {account} -g {account} {}; then run this command as that user: runuser -u {account} -- \
             daypass restore ...",
            state.display()
        ))),
    }
}

/// Refuses another user than the state folder's owner: the files that SQLite makes beside the
/// ledger would be in the daemon's way.
pub(in crate::daemon) fn expect_owner(state: &Path) -> Result<(), Error> {
    let owner = fs::metadata(state).map_err(failed(state))?.uid();
    if owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(refused(format!(
        "{} belongs to the user with id {owner}: run this command as that user, such as: runuser -u daypass -- daypass ...",
        state.display()
    )))
}
