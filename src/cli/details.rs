//! The options of every command that asks for a pass.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    Failure, Global, failure::Code, outage::KEY_VARIABLE, values::duration,
    waiting::AS_LONG_AS_IT_LIVES,
};
use crate::client::{choose::PassRequest, emergency::Signer};

/// The options that a role may demand.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Details {
    /// A parameter of the role's command.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    pub params: Vec<(String, String)>,
    /// Why you need access; it is kept in the ledger.
    #[arg(long)]
    pub reason: Option<String>,
    /// A shorter lifetime than the role's own, such as 10m.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub ttl: Option<std::time::Duration>,
    /// Redeem this approved request; all other options come from it.
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Approvals and emergencies")]
    pub request: Option<u64>,
    /// Wait this long for an approval; without a duration, until the request expires.
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        default_missing_value = AS_LONG_AS_IT_LIVES,
        value_parser = duration,
        help_heading = "Approvals and emergencies"
    )]
    pub wait: Option<std::time::Duration>,
    /// Get a short pass at once, without an approval, if the role allows emergencies. Another
    /// person reviews it later.
    #[arg(long, conflicts_with_all = ["wait", "request"], help_heading = "Approvals and emergencies")]
    pub emergency: bool,
    /// Your registered key, for an emergency without a sign-in: a private key file, or a .pub file
    /// whose private key is in the ssh-agent. With --emergency, DAYPASS_EMERGENCY_KEY can name it.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["wait", "request"], help_heading = "Approvals and emergencies")]
    pub emergency_key: Option<PathBuf>,
}

impl Details {
    /// A wish with these options and no role or host yet.
    ///
    /// # Errors
    /// Returns code 2 if a parameter is given twice, or the lifetime is under a second.
    pub(crate) fn pass_request(&self) -> Result<PassRequest, Failure> {
        let params: BTreeMap<String, String> = self.params.iter().cloned().collect();
        if params.len() != self.params.len() {
            return Err(Failure::new(
                Code::Usage,
                "a parameter is given twice: use --param once for each name",
            ));
        }
        if self.ttl.is_some_and(|ttl| ttl.as_secs() == 0) {
            return Err(Failure::new(
                Code::Usage,
                "invalid --ttl: use a duration such as 10m, at least 1s",
            ));
        }
        Ok(PassRequest {
            params,
            reason: self.reason.clone(),
            ttl_seconds: self.ttl.map(|ttl| ttl.as_secs()),
            request: self.request,
            emergency: self.emergency || self.emergency_key.is_some(),
            ..PassRequest::default()
        })
    }

    /// The registered key, if one is named. The variable counts with `--emergency` only.
    ///
    /// # Errors
    /// Returns code 2 if the file is not a key.
    pub(super) async fn signer(&self, global: &Global) -> Result<Option<Signer>, Failure> {
        let variable = || std::env::var_os(KEY_VARIABLE).filter(|path| !path.is_empty());
        let usual = || self.emergency.then(variable).flatten().map(PathBuf::from);
        match self.emergency_key.clone().or_else(usual) {
            Some(path) => Ok(Some(Signer::open(&path, !global.no_input).await?)),
            None => Ok(None),
        }
    }
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    if name.is_empty() {
        return Err("write NAME=VALUE".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}
