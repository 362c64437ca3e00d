//! The answer to an issue request as tests read it: everything about a pass from its certificate.

use std::ops::Deref;

use daypass::proto::v1::{IssueResponse, Pass, Request, issue_response::Answer};
use ssh_key::Certificate;

/// A pass or a request. Fields that do not apply are empty.
#[derive(Clone, Debug, Default)]
pub struct Issued {
    pub pending: Option<Request>,
    /// In OpenSSH form.
    pub certificate: String,
    pub serial: u64,
    pub key_id: String,
    pub principals: Vec<String>,
    pub force_command: String,
    pub source_addresses: Vec<String>,
    /// In the words of the policy: `pty`, not `permit-pty`.
    pub extensions: Vec<String>,
    pub valid_after: u64,
    pub valid_before: u64,
    pub jump: Option<Box<IssuedJump>>,
}

/// The bastion of a pass, and the jump pass for it.
#[derive(Clone, Debug)]
pub struct IssuedJump {
    pub bastion: String,
    pub host: String,
    pub port: u32,
    pub pass: Issued,
}

impl Deref for IssuedJump {
    type Target = Issued;

    fn deref(&self) -> &Issued {
        &self.pass
    }
}

impl From<IssueResponse> for Issued {
    fn from(response: IssueResponse) -> Self {
        match response
            .answer
            .expect("an answer holds a pass or a request")
        {
            Answer::Pass(pass) => Self::pass(pass),
            Answer::Request(request) => Self {
                pending: Some(request),
                ..Self::default()
            },
        }
    }
}

impl Issued {
    fn pass(pass: Pass) -> Self {
        let jump = pass.jump.map(|jump| {
            Box::new(IssuedJump {
                bastion: jump.bastion,
                host: jump.host,
                port: jump.port,
                pass: Self::certificate(jump.certificate),
            })
        });
        Self {
            jump,
            ..Self::certificate(pass.certificate)
        }
    }

    fn certificate(text: String) -> Self {
        let certificate = Certificate::from_openssh(&text).unwrap();
        let options = certificate.critical_options();
        let option = |name: &str| options.get(name).cloned().unwrap_or_default();
        let source = option("source-address");
        let names = certificate.extensions().keys();
        Self {
            serial: certificate.serial(),
            key_id: certificate.key_id().to_owned(),
            principals: certificate.valid_principals().to_vec(),
            force_command: option("force-command"),
            source_addresses: source
                .split(',')
                .filter(|network| !network.is_empty())
                .map(str::to_owned)
                .collect(),
            extensions: names
                .map(|name| name.trim_start_matches("permit-").to_owned())
                .collect(),
            valid_after: certificate.valid_after(),
            valid_before: certificate.valid_before(),
            certificate: text,
            ..Self::default()
        }
    }
}
