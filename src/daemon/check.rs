//! `daypass serve --check`: what would keep the daemon from starting, or its users from using it.
//! Every finding of one run, not only the first. Starts nothing and writes nothing.

mod certificate;
mod lock;
mod orders;
mod owner;
mod purpose;
mod shared;

use std::path::Path;

use serde::Serialize;
use ssh_key::PublicKey;

pub(super) use owner::{account_name, own_account_name};
pub(crate) use purpose::{Purpose, Reach};

use super::{
    clock::now,
    error::{Error, chain},
    parts,
};
use crate::{
    ca::Ca,
    config::{CaKey, Config},
    finding::Finding,
    identity::Issuers,
    keepers::signer::LedgerSlot,
    modes,
    policy::Policy,
    ssh::key::fingerprint,
};

/// The result of `daypass serve --check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CheckReport {
    /// True if nothing is wrong.
    pub healthy: bool,
    /// The server's name.
    pub name: String,
    /// The address that it would listen on.
    pub listen: String,
    /// Fingerprint of the key that would sign, by the orders in the ledger if there are any; none
    /// if the keys do not load.
    pub ca_key: Option<String>,
    /// Fingerprint of the key that would sign host certificates; none if it does not load, or the
    /// server knows no hosts.
    pub host_ca_key: Option<String>,
    /// The ledger's verifier key; none if it does not load.
    pub ledger: Option<String>,
    /// Hash of the policy; none if it does not load.
    pub policy: Option<String>,
    /// The issuers' URLs.
    pub issuers: Vec<String>,
    /// The findings, in the order of the checks.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// The messages of what is wrong.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &str> {
        let wrong = self.findings.iter().filter(|it| it.is_wrong());
        wrong.map(|finding| finding.message.as_str())
    }
}

/// Checks what a configuration names.
pub(crate) async fn examine(config: &Config, purpose: Purpose) -> CheckReport {
    let mut findings = Vec::new();
    let (ca, ca_key) = ca_keys(config, purpose, &mut findings).await.unzip();
    let host_ca_key = host_ca_keys(config, purpose, ca.as_ref(), &mut findings).await;
    let ledger = take(&mut findings, "ledger-key", parts::keyring(config));
    let keys = ledger.map(|keys| keys.verifiers());
    let next = keys.as_ref().and_then(|keys| keys.next.clone());
    let ledger = keys.map(|keys| keys.key.to_string());
    findings.extend(ledger.iter().map(|name| {
        let message = format!("the ledger's verifier key is {name}");
        Finding::good("ledger-key", message)
    }));
    findings.extend(next.map(|next| {
        let message = format!("the verifier key that the ledger can be handed over to is {next}");
        Finding::good("ledger-key", message)
    }));
    webhooks(config, &mut findings);
    let unread = config.unread().iter();
    findings.extend(unread.map(|problem| Finding::wrong("file", problem)));
    let reach = match purpose {
        Purpose::Start(reach) => reach,
        Purpose::Reload => Reach::Offline,
    };
    findings.extend(match &config.postgres {
        None => state(&config.state),
        Some(address) => shared::check(config, address, reach).await,
    });
    issuers(config, reach, &mut findings).await;
    if purpose == Purpose::Reload {
        let why = "; a reload does not change this, and a restart would fail";
        findings = findings.into_iter().map(|it| it.softened(why)).collect();
    }
    let policy = policy(config, &mut findings);
    findings.extend(certificate::check(config, purpose, now()));
    findings.extend(owner::check(config, purpose));
    CheckReport {
        healthy: findings.iter().all(|it| !it.is_wrong()),
        name: config.name.clone(),
        listen: config.listen.to_string(),
        ca_key,
        host_ca_key,
        ledger,
        policy,
        issuers: config.issuers.iter().map(|it| it.url.clone()).collect(),
        findings,
    }
}

/// The value, or its error as a finding.
fn take<T>(
    findings: &mut Vec<Finding>,
    check: &'static str,
    result: Result<T, Error>,
) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            findings.push(Finding::wrong(check, chain(&error)));
            None
        }
    }
}

/// Whether each key of a CA loads by itself, so that every broken one is named.
async fn load_all(
    check: &'static str,
    keys: &[CaKey],
    purpose: Purpose,
    findings: &mut Vec<Finding>,
) -> bool {
    let mut broken: Vec<Error> = Vec::new();
    for key in keys {
        match parts::ca_key(key, &LedgerSlot::default()) {
            Err(error) => broken.push(error),
            // The running server has the key. A token would count one more use of its PIN.
            Ok(_) if purpose == Purpose::Reload => {}
            Ok((key, _)) => broken.extend(key.find().await.err().map(Error::from)),
        }
    }
    let wrong = broken.iter().map(|it| Finding::wrong(check, chain(it)));
    findings.extend(wrong);
    broken.is_empty()
}

/// Says which of a CA's keys signs.
fn signing(check: &'static str, what: &str, active: &PublicKey, count: usize) -> Finding {
    let active = fingerprint(active);
    let message = match count {
        1 => format!("the {what} key is {active}"),
        _ => format!("the {what} key that signs is {active}, one of {count}"),
    };
    Finding::good(check, message)
}

/// The keys, and the fingerprint of the one that signs.
async fn ca_keys(
    config: &Config,
    purpose: Purpose,
    findings: &mut Vec<Finding>,
) -> Option<(Ca, String)> {
    const CHECK: &str = "ca-key";
    if !load_all(CHECK, &config.ca_keys, purpose, findings).await {
        return None;
    }
    let ca = parts::ca(&config.ca_keys, &LedgerSlot::default());
    let ca = take(findings, CHECK, ca)?;
    // A reload changes no key.
    let ordered = match purpose {
        Purpose::Start(_) => orders::read(config).await,
        Purpose::Reload => None,
    };
    let by_orders = ordered.and_then(|it| orders::compare(&ca, &it, findings));
    let active = match by_orders {
        Some(active) => active,
        None => {
            findings.push(signing(CHECK, "CA", ca.active(), config.ca_keys.len()));
            fingerprint(ca.active())
        }
    };
    Some((ca, active))
}

/// The fingerprint of the key that signs host certificates, which must be no key of `users`.
async fn host_ca_keys(
    config: &Config,
    purpose: Purpose,
    users: Option<&Ca>,
    findings: &mut Vec<Finding>,
) -> Option<String> {
    const CHECK: &str = "host-ca-key";
    let keys = &config.hosts.as_ref()?.keys;
    if !load_all(CHECK, keys, purpose, findings).await {
        return None;
    }
    let hosts = parts::hosts(config, users?, &LedgerSlot::default());
    let hosts = take(findings, CHECK, hosts)??;
    let active = hosts.ca().active();
    findings.push(signing(CHECK, "host CA", active, keys.len()));
    Some(fingerprint(active))
}

fn policy(config: &Config, findings: &mut Vec<Finding>) -> Option<String> {
    const CHECK: &str = "policy";
    let policy = take(findings, CHECK, parts::read_policy(config))?;
    let hash = policy.hash().to_owned();
    findings.push(Finding::good(CHECK, format!("the policy is {hash}")));
    let warnings = policy.warnings().into_iter();
    findings.extend(warnings.map(|warning| Finding::warning(CHECK, format!("policy: {warning}"))));
    findings.push(administrators(&policy));
    Some(hash)
}

/// Clients and hosts learn the administrators' keys on good days alone.
fn administrators(policy: &Policy) -> Finding {
    const CHECK: &str = "administrators";
    match policy.administrators_keys().len() {
        0 => Finding::warning(
            CHECK,
            "the policy registers no administrator's key: after a restore of the ledger, no client and no host would go on by \
             itself. Each administrator makes one with `ssh-keygen -t ed25519 -f ~/.ssh/recovery` (with -t ed25519-sk on a \
             security key); the lines of the .pub files go into `keys` in the policy's [admin]",
        ),
        1 => Finding::good(CHECK, "the policy registers 1 administrator's key"),
        count => Finding::good(
            CHECK,
            format!("the policy registers {count} administrators' keys"),
        ),
    }
}

fn webhooks(config: &Config, findings: &mut Vec<Finding>) {
    for settings in &config.webhooks {
        let name = &settings.name;
        let loaded = parts::receiver(settings.clone());
        let is_read = config.unread().is_empty();
        if take(findings, "webhook", loaded).is_some() && is_read {
            let message = format!("the webhook {name} has its address and secrets");
            findings.push(Finding::good("webhook", message));
        }
    }
}

/// The state folder: there, of its owner alone, with a ledger.
fn state(folder: &Path) -> Vec<Finding> {
    const CHECK: &str = "state";
    let shown = folder.display();
    if !folder.exists() {
        let message = format!(
            "there is no state folder {shown}: `daypass init` makes one with a new ledger; for a server that has lost its \
             ledger, see `daypass help server`"
        );
        return vec![Finding::wrong(CHECK, message)];
    }
    let mut findings = Vec::new();
    if let Err(problem) = modes::expect_own_folder(folder) {
        let error = Error::state(folder)(problem);
        findings.push(Finding::wrong(CHECK, chain(&error)));
    }
    // The first start makes the database beside the head that `init` signed.
    let is_begun = ["checkpoint", "ledger.db"].map(|name| folder.join(name).exists());
    findings.push(match is_begun {
        [false, _] => Finding::wrong(
            CHECK,
            format!("{shown} has no signed head of a ledger: put back the whole folder from a backup, or see `daypass help server`"),
        ),
        [true, false] => Finding::good(CHECK, format!("{shown} has a new ledger")),
        [true, true] => Finding::good(CHECK, format!("{shown} has a ledger")),
    });
    if let Err(error) = super::state::expect_one_owner(folder) {
        findings.push(Finding::wrong(CHECK, chain(&error)));
    }
    if let Some(process) = lock::user_of(folder) {
        let message = format!("process {process} serves from {shown}");
        findings.push(Finding::good("lock", message));
    }
    findings
}

async fn issuers(config: &Config, reach: Reach, findings: &mut Vec<Finding>) {
    const CHECK: &str = "issuer";
    let issuers = Issuers::new(config.issuers.clone()).map_err(Error::from);
    let Some(issuers) = take(findings, CHECK, issuers) else {
        return;
    };
    if reach == Reach::Offline {
        let message = "the identity providers were not asked (--offline)";
        findings.push(Finding::good(CHECK, message));
        return;
    }
    for (settings, fetched) in issuers.fetch_all().await {
        let (name, url) = (&settings.name, &settings.url);
        findings.push(match fetched {
            Ok(0) => Finding::wrong(
                CHECK,
                format!("the issuer {name} ({url}) has no key for the configured algorithms: no token of it is accepted"),
            ),
            Ok(1) => Finding::good(CHECK, format!("the issuer {name} answers, with 1 usable key")),
            Ok(count) => Finding::good(
                CHECK,
                format!("the issuer {name} answers, with {count} usable keys"),
            ),
            Err(error) => Finding::wrong(
                CHECK,
                format!("the issuer {name} ({url}) is of no use now: failed to {}", chain(&error)),
            ),
        });
    }
}
