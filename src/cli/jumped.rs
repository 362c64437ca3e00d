//! Prints the jump pass of a pass, and the ssh command for scripts that goes through the bastion.

use serde::Serialize;

use super::{Failure, login_name::login_of, output::clean, quoting::quoted};
use crate::client::{
    cache::PassFiles,
    jump_host::JumpHostAddress,
    pass::{JumpPass, Pass},
    words::quote,
};

/// Stands for the host in the printed ssh command.
const HOST: &str = "HOST";

/// A jump pass as `daypass pass` prints it.
#[derive(Serialize)]
pub(super) struct Jumped {
    bastion: String,
    host: String,
    port: u16,
    login: String,
    serial: u64,
    key_id: String,
    principals: Vec<String>,
    valid_after: u64,
    valid_before: u64,
    certificate: String,
    /// The key file. None if the key is in the agent alone.
    path: Option<String>,
    /// The ssh command through the bastion. The user replaces HOST.
    ssh: String,
}

impl Jumped {
    /// The jump pass of `pass`, if it has one.
    pub(super) fn of(pass: &Pass, place: Option<&PassFiles>) -> Result<Option<Self>, Failure> {
        let Some(jump) = &pass.jump else {
            return Ok(None);
        };
        let (via, certificate) = (&jump.host, &jump.certificate);
        let login = login_of(&pass.certificate)?.unwrap_or_default();
        let login = login.as_str();
        Ok(Some(Self {
            bastion: via.bastion.clone(),
            host: via.host.clone(),
            port: via.port,
            login: via.login.clone(),
            serial: certificate.serial(),
            key_id: certificate.key_id().to_owned(),
            principals: certificate.valid_principals().to_vec(),
            valid_after: certificate.valid_after(),
            valid_before: certificate.valid_before(),
            certificate: encoded(jump)?,
            path: place.map(|place| place.jump().key().display().to_string()),
            ssh: match place {
                Some(place) => command(via, place, login)?,
                None => agents_command(via, login),
            },
        }))
    }

    /// As lines of text.
    pub(super) fn lines(&self) -> [String; 2] {
        let (bastion, at) = (clean(&self.bastion), clean(&self.host));
        [
            format!(
                "  through     bastion {bastion} ({}@{at}:{}), by pass {}",
                clean(&self.login),
                self.port,
                self.serial
            ),
            format!("  by hand     {}", clean(&self.ssh)),
        ]
    }
}

fn encoded(jump: &JumpPass) -> Result<String, Failure> {
    let certificate = jump.certificate.to_openssh();
    certificate.map_err(|error| Failure::from_error(&error))
}

/// The ssh command for passes in files. `ssh -J` cannot name the jump pass.
fn command(via: &JumpHostAddress, place: &PassFiles, login: &str) -> Result<String, Failure> {
    let words = via.arguments(&place.jump(), None, Vec::new(), "[%h]:%p")?;
    let words = words.iter().map(|word| quoted(&word.to_string_lossy()));
    let proxy = format!("ssh {}", words.collect::<Vec<_>>().join(" "));
    let options = [
        format!("IdentityFile={}", quote(place.key())?),
        format!("CertificateFile={}", quote(&place.certificate())?),
        "IdentitiesOnly=yes".to_owned(),
        format!("ProxyCommand={proxy}"),
    ];
    let options = options.map(|option| format!("-o {}", quoted(&option)));
    Ok(format!("ssh {} {login}@{HOST}", options.join(" ")))
}

/// The ssh command for passes in the agent.
fn agents_command(via: &JumpHostAddress, login: &str) -> String {
    let bastion = match via.host.contains(':') {
        true => format!("[{}]", via.host),
        false => via.host.clone(),
    };
    format!("ssh -J {}@{bastion}:{} {login}@{HOST}", via.login, via.port)
}
