//! Rotation of the CA's keys by administrators' orders.
//!
//! An order is refused while it would lock users out: a key is activated only when every known host
//! has proven that it trusts it, and retired only when its last pass has expired. The configuration
//! says which private keys a server has; the ledger says what each of them does.

mod trusting;

use std::collections::BTreeMap;

use ssh_key::PublicKey;

use super::{
    admin::{SignedOrder, expect_reader},
    authority::Authority,
    error::Error,
    hosts::proven::{ReadReport, proven},
    keyring::public_keys,
    published, record,
};
use crate::{
    ca::Ca,
    identity::Identity,
    ledger::{
        EventKind, LedgerState,
        event::{CaKeyNamed, CaKeyOrdered, CaKeyState, CaKeyStep},
        order::Target,
        state::{CaKeyRecord, MOST_BEHIND, Rejection, Rule},
    },
    policy::Context,
    ssh::key::fingerprint,
    unix_seconds::UnixSeconds,
};
pub(crate) use trusting::Behind;
use trusting::{keeping, list_signers, untrusted_by, untrusting};

/// The most hosts that a list or a refusal names for each key.
pub(crate) const NAMED: usize = 20;

/// The CA's keys as they are listed.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    /// Those of the ledger, then those that are configured only.
    pub keys: Vec<Listed>,
    /// The value that the next order must name.
    pub after: u64,
    /// Whether orders decide.
    pub is_ordered: bool,
    /// How many hosts have joined.
    pub known_hosts: usize,
}

/// A key.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// The public key in OpenSSH form, without comment.
    pub key: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// Its state; none if it is in this server's configuration only.
    pub state: Option<CaKeyState>,
    /// When it came into this state; 0 if that was before the first order.
    pub since: UnixSeconds,
    /// Whether this server has the private half, or a way to it.
    pub is_here: bool,
    /// The first second at which its last pass is no longer valid, if one is out.
    pub last_pass_until: Option<UnixSeconds>,
    /// How many known hosts have not proven that they trust it.
    pub untrusting: usize,
    /// The first of them.
    pub behind: Vec<Behind>,
    /// Known hosts that still trust it by their last report, if it is retired.
    pub keeping: Vec<String>,
}

/// The CA's keys, for administrators and for those who may read the ledger: it has them all.
///
/// # Errors
/// Returns [`Error::AdminDenied`], recorded, if the policy names this identity for neither, and
/// [`Error::Store`] if the hosts' reports cannot be read.
pub(crate) async fn list(
    authority: &Authority,
    identity: &Identity,
    read: ReadReport,
    context: Context,
) -> Result<Listing, Error> {
    if !authority.policy().may_audit(identity) {
        expect_reader(authority, identity, context, "list CA keys").await?;
    }
    authority.store.follow().await?;
    let hosts = proven(authority, read, context.now.into()).await?;
    let texts = own_texts(authority);
    let own = authority.own_keys();
    let is_here = |text: &str| PublicKey::from_openssh(text).is_ok_and(|key| own.has(&key));
    let signers = list_signers(authority);
    let now = UnixSeconds::from(context.now);
    Ok(authority.store.state(|state| {
        let mut records = records(state, &texts);
        let is_known = |key: &str| records.iter().any(|it| it.fingerprint == key);
        let others: Vec<_> = texts.iter().filter(|(key, _)| !is_known(key)).collect();
        let known: Vec<_> = records.drain(..).map(|it| (Some(it.state), it)).collect();
        let others = others.into_iter().map(|(fingerprint, key)| {
            let record = CaKeyRecord {
                key: key.clone(),
                fingerprint: fingerprint.clone(),
                state: CaKeyState::Staged,
                since: UnixSeconds::default(),
            };
            (None, record)
        });
        let last_passes = state.last_passes(now);
        let listed = |(in_ledger, it): (Option<CaKeyState>, CaKeyRecord)| {
            let (behind, keeping) = match in_ledger {
                None => (Vec::new(), Vec::new()),
                Some(CaKeyState::Retired) => (Vec::new(), keeping(&hosts, &it.fingerprint)),
                Some(_) => (untrusting(&hosts, &it.fingerprint, &signers), Vec::new()),
            };
            Listed {
                state: in_ledger,
                since: it.since,
                is_here: is_here(&it.key),
                last_pass_until: last_passes.get(&*it.fingerprint).copied(),
                untrusting: behind.len(),
                behind: behind.into_iter().take(NAMED).collect(),
                keeping,
                key: it.key,
                fingerprint: it.fingerprint,
            }
        };
        Listing {
            keys: known.into_iter().chain(others).map(listed).collect(),
            after: state.after(&Target::CaKey {
                key: String::new(),
                anyway: false,
            }),
            is_ordered: state.ca_keys().is_ordered(),
            known_hosts: hosts.len(),
        }
    }))
}

/// The keys of this server's configuration, by fingerprint.
fn own_texts(authority: &Authority) -> BTreeMap<String, String> {
    let keys = authority.own_keys().keys();
    // Keys were read from this form, so they have it.
    let text = |key: &PublicKey| (fingerprint(key), key.to_openssh().unwrap_or_default());
    keys.map(|(key, _)| text(key)).collect()
}

/// The ledger's keys; before the first order, those that servers have named and this one has.
fn records(state: &LedgerState, texts: &BTreeMap<String, String>) -> Vec<CaKeyRecord> {
    if state.ca_keys().is_ordered() {
        return state.ca_keys().iter().cloned().collect();
    }
    let record = |(fingerprint, state): (String, CaKeyState)| {
        let key = texts.get(&fingerprint)?.clone();
        Some(CaKeyRecord {
            key,
            fingerprint,
            state,
            since: UnixSeconds::default(),
        })
    };
    state.named_ca_keys().filter_map(record).collect()
}

/// A step with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The step.
    pub step: CaKeyStep,
    /// The key's fingerprint.
    pub key: String,
    /// Whether neither hosts nor passes are waited for.
    pub anyway: bool,
}

impl Step {
    /// The target of its order.
    pub(crate) fn target(&self) -> Target {
        Target::CaKey {
            key: self.key.clone(),
            anyway: self.anyway,
        }
    }
}

impl SignedOrder<'_> {
    /// Takes a step with a CA key. Returns the event's index, and the number of known hosts that
    /// have not proven that they trust the key, for an activation that did not wait for them.
    ///
    /// # Errors
    /// Returns [`Error::AdminDenied`] if the policy does not name this identity, and
    /// [`Error::Rejection`] if a restored ledger was not accepted yet, this server lacks the key, a
    /// host does not trust it yet, passes of it are still valid or the step is not the next one;
    /// all are recorded.
    pub(crate) async fn order_ca_key(
        self,
        step: Step,
        read: ReadReport,
    ) -> Result<(u64, usize), Error> {
        let wanted = format!("{} the CA key {}", step.step.as_str(), step.key);
        self.expect_permitted(&wanted).await?;
        self.authority.store.follow().await?;
        // The signers would be shown the restored ledger, and take it for a forged one.
        let accepted = self.authority.store.state(LedgerState::expect_accepted);
        if let Err(rejection) = accepted {
            return self.reject(&step, rejection).await;
        }
        let mut ordered = self.ordered(&step).await?;
        let mut untrusted = 0;
        if step.step == CaKeyStep::Activate {
            let hosts = proven(self.authority, read, self.context.now.into()).await?;
            let behind = untrusting(&hosts, &step.key, &list_signers(self.authority));
            if !step.anyway && !behind.is_empty() {
                return self.reject(&step, untrusted_by(&step.key, &behind)).await;
            }
            untrusted = behind.len();
            let names = behind.into_iter().map(|it| it.host);
            ordered.behind = names.take(MOST_BEHIND).collect();
        }
        self.rehearse(&step, &ordered).await?;
        ordered.proof = Some(self.signed.proof.clone());
        let ordered = EventKind::CaKeyOrdered(Box::new(ordered));
        let store = &self.authority.store;
        let index = store.record(ordered, self.context.now).await?;
        // Known at once, and in the log if something is wrong with it.
        drop(self.authority.ca());
        Ok((index, untrusted))
    }

    /// The order, without its proof. Refuses a key that this server lacks.
    async fn ordered(&self, step: &Step) -> Result<CaKeyOrdered, Error> {
        let texts = own_texts(self.authority);
        let (text, from) = self.authority.store.state(|state| {
            let records = records(state, &texts);
            let known = records.iter().find(|it| it.fingerprint == step.key);
            let text = known.map(|it| it.key.clone());
            let text = text.or_else(|| texts.get(&step.key).cloned());
            let is_first = !state.ca_keys().is_ordered();
            let from = records.into_iter().filter(|it| {
                let is_new = step.step == CaKeyStep::Stage && it.state == CaKeyState::Staged;
                is_first && !(is_new && it.fingerprint == step.key)
            });
            let from = from.map(|it| CaKeyNamed {
                key: it.key,
                state: it.state,
            });
            (text, from.collect())
        });
        let has = |text: &String| {
            let key = PublicKey::from_openssh(text);
            key.is_ok_and(|key| self.authority.own_keys().has(&key))
        };
        let needs_it = step.step != CaKeyStep::Retire;
        let Some(key) = text.filter(|text| !needs_it || has(text)) else {
            let what = format!(
                "this server does not have the CA key {}: add its [[ca.key]] to daypass.toml of each server, start daypass \
                 serve again, and run the command again",
                step.key
            );
            return self
                .reject(step, Rejection::new(Rule::CaKeyMissing, what))
                .await;
        };
        Ok(CaKeyOrdered {
            who: record::who(self.holder.identity()),
            step: step.step,
            key,
            anyway: step.anyway,
            behind: Vec::new(),
            from,
            reason: self.signed.reason.clone(),
            proof: None,
        })
    }

    /// Signs the list of CA keys as it will be, and for a new key that signs, what hosts fetch
    /// besides. So the key that will sign is at hand, and its signer knows the keys of the list:
    /// else hosts would get none. A key may be staged while the active one is lost or away: that is
    /// how a lost key is replaced.
    async fn rehearse(&self, step: &Step, ordered: &CaKeyOrdered) -> Result<(), Error> {
        let now = self.context.now;
        let after = self.authority.store.state(|state| {
            let after = state.ca_keys_after(ordered, now).ok()?;
            Some(public_keys(&after))
        });
        // A step that is not the next one is refused with its reason, and recorded.
        let Some(after) = after else {
            return Ok(());
        };
        let ca = self.authority.own_keys().arranged(after)?;
        let error = match rehearsed(self.authority, step.step, &ca).await {
            Ok(()) => return Ok(()),
            Err(Error::KeyAway(_)) if step.step == CaKeyStep::Stage => return Ok(()),
            Err(error) => error,
        };
        let what = match error {
            Error::KeyAway(away) => format!(
                "the CA key that would sign does not answer: {away}. Nothing was changed. Once it answers, run \
                 the command again"
            ),
            Error::Ca(refused) => format!(
                "the CA key that would sign does not sign what hosts fetch: {refused}. Nothing was changed. Once that is \
                 mended, run the command again"
            ),
            error => return Err(error),
        };
        self.reject(step, Rejection::new(Rule::CaKeyMissing, what))
            .await
    }

    async fn reject<T>(&self, step: &Step, rejection: Rejection) -> Result<T, Error> {
        let detail = format!("{} {}: {rejection}", step.step.as_str(), step.target());
        self.refuse(rejection.rule.code(), &detail).await?;
        Err(Error::Rejection(rejection))
    }
}

/// Whether the key that would sign does so: for a new one, all that hosts fetch.
async fn rehearsed(authority: &Authority, step: CaKeyStep, ca: &Ca) -> Result<(), Error> {
    // An administrator may have started its keeper just now.
    ca.find().await?;
    match step {
        CaKeyStep::Activate => published::rehearse_all(authority, ca).await,
        CaKeyStep::Stage | CaKeyStep::Retire => published::rehearse(authority, ca).await,
    }
}
