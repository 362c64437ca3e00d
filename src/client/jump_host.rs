//! The address of the bastion that a pass is used through, and the file that keeps it beside the
//! jump pass.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    Error,
    state::write_atomically,
    words::{check_host, is_login},
};

/// Bastion to dial, and the login there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JumpHostAddress {
    /// The bastion's name in the policy.
    pub bastion: String,
    /// The host name or address to dial.
    pub host: String,
    /// The port there.
    pub port: u16,
    /// The login name there.
    pub login: String,
}

impl JumpHostAddress {
    /// Reads the file at `path`. None if there is no such file, or its content is not a valid
    /// address.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let address: Self = serde_json::from_str(&text).ok()?;
        address.is_valid().then_some(address)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Returns [`Error::File`] if it cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_vec(self).map_err(|error| Error::other(error.to_string()))?;
        write_atomically(path, &text, 0o600)
    }

    /// Whether host, port and login may stand on a command line.
    pub(super) fn is_valid(&self) -> bool {
        check_host(&self.host).is_ok() && self.port > 0 && is_login(&self.login)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    type Change = fn(&mut JumpHostAddress);

    #[test]
    fn a_file_with_an_invalid_address_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jump.json");
        let good = JumpHostAddress {
            bastion: "edge".into(),
            host: "2001:db8::10".into(),
            port: 22,
            login: "jump".into(),
        };
        good.write(&path).unwrap();
        assert_eq!(JumpHostAddress::read(&path), Some(good.clone()));
        let invalid: [(&str, Change); 4] = [
            ("an option", |it| it.host = "-oProxyCommand=id".into()),
            ("no host", |it| it.host.clear()),
            ("port 0", |it| it.port = 0),
            ("no login", |it| it.login.clear()),
        ];
        for (case, change) in invalid {
            let mut address = good.clone();
            change(&mut address);
            address.write(&path).unwrap();
            assert_eq!(JumpHostAddress::read(&path), None, "{case}");
        }
    }
}
