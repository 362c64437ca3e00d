//! The database that servers share: whether this one can start on it.

use super::{Reach, lock::user_of};
use crate::{
    config::Config,
    daemon::{
        error::{Error, chain},
        parts,
    },
    finding::Finding,
    modes,
    store::{self, PostgresAddress},
};

/// The name of the check.
const CHECK: &str = "store";

/// Looks at the database, and at the folder of this server alone.
pub(super) async fn check(
    config: &Config,
    address: &PostgresAddress,
    reach: Reach,
) -> Vec<Finding> {
    let mut findings = folder(config);
    if reach == Reach::Offline {
        findings.push(Finding::good(
            CHECK,
            format!("the {address} was not asked (--offline)"),
        ));
        return findings;
    }
    // Without its key, the ledger's key has a finding of its own.
    let Ok(keys) = parts::keyring(config) else {
        return findings;
    };
    match store::examine(address, &keys.verifiers(), Some(&config.state)).await {
        Ok(examined) => {
            let message = match examined.size {
                Some(size) => format!("the {address} has the ledger, with {size} events"),
                None => format!("the {address} has no ledger yet"),
            };
            findings.push(Finding::good(CHECK, message));
            let weaknesses = examined.weaknesses.into_iter();
            findings.extend(weaknesses.map(|it| Finding::warning(CHECK, it)));
        }
        Err(error @ store::Error::Tampered(_)) => {
            findings.push(Finding::wrong(
                CHECK,
                format!(
                    "the {address}: {error}. Correct the address if it is of another database; else restore the database up \
                     to its last commit (`daypass help server`, Several servers)"
                ),
            ));
        }
        Err(error) => findings.push(Finding::wrong(CHECK, error.to_string())),
    }
    findings
}

fn folder(config: &Config) -> Vec<Finding> {
    let folder = &config.state;
    if !folder.exists() {
        let message = format!(
            "there is no state folder {} yet: this server has never run",
            folder.display()
        );
        return vec![Finding::good("state", message)];
    }
    let mut findings = Vec::new();
    if let Err(problem) = modes::expect_own_folder(folder) {
        let error = Error::state(folder)(problem);
        findings.push(Finding::wrong("state", chain(&error)));
    }
    if let Some(process) = user_of(folder) {
        let message = format!("process {process} serves from {}", folder.display());
        findings.push(Finding::good("lock", message));
    }
    findings
}
