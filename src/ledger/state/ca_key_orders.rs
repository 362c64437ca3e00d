//! The CA's keys by administrators' orders: which one signs, and which steps may come next. Pure.
//!
//! ```text
//! staged ─▶ active ◀─▶ retiring ─▶ retired
//!    └───────────────────────────────▲
//! ```
//!
//! One key is active. The key that was active before an activation retires, and may be activated
//! again while hosts still trust it: the way back if the new key proves unusable.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::{
    LedgerState, Rejection, Rule,
    ca_keys::{CaKeyRecord, CaKeys, record},
};
use crate::{
    ledger::{
        Event,
        event::{
            CaKeyNamed, CaKeyOrdered, CaKeyState, CaKeyStep, Issued, Target, ca_key_fingerprint,
        },
    },
    ssh,
    unix_seconds::{UnixSeconds, moment},
};

/// The most keys that are published at once.
const MOST_PUBLISHED: usize = 16;

/// The most hosts that an order names as not waited for.
pub(crate) const MOST_BEHIND: usize = 32;

impl LedgerState {
    /// The CA's keys by administrators' orders.
    pub(crate) fn ca_keys(&self) -> &CaKeys {
        &self.ca_keys
    }

    /// For each CA key of an unrevoked pass that is valid at `now` or later: the first second at
    /// which its last such pass is no longer valid. It looks at each pass once.
    pub(crate) fn last_passes(&self, now: UnixSeconds) -> BTreeMap<&str, UnixSeconds> {
        let mut last = BTreeMap::new();
        let passes = self.passes().filter(|it| !it.is_revoked);
        for pass in passes.filter(|it| it.valid_before > now) {
            let end = last.entry(&*pass.ca).or_insert(pass.valid_before);
            *end = pass.valid_before.max(*end);
        }
        last
    }

    /// Refuses a pass by another key than the one that signs.
    pub(super) fn expect_active_key(&self, issued: &Issued) -> Result<(), Rejection> {
        #[cfg(feature = "deliberate-bugs")]
        if crate::deliberate::keeps_the_first_key() {
            return Ok(());
        }
        match self.ca_keys.active() {
            Some(active) if active.fingerprint != issued.ca => Err(Rejection::ca_key_changed()),
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses a server's own naming of keys once orders decide.
    pub(super) fn expect_unordered(&self) -> Result<(), Rejection> {
        match self.ca_keys.is_ordered() {
            false => Ok(()),
            true => Err(Rejection::new(
                Rule::CaKeyState,
                "administrators' orders say which CA key signs, and no configuration does any more",
            )),
        }
    }

    /// The keys that servers have named before the first order, by fingerprint.
    pub(crate) fn named_ca_keys(&self) -> impl Iterator<Item = (String, CaKeyState)> {
        let named = self.keys.named();
        named.map(|(key, state)| (key.to_owned(), state))
    }

    /// The keys as this order would leave them at `now`.
    ///
    /// # Errors
    /// Returns the rejection of a step that is not the next one.
    pub(crate) fn ca_keys_after(
        &self,
        ordered: &CaKeyOrdered,
        now: OffsetDateTime,
    ) -> Result<CaKeys, Rejection> {
        self.admit_ca_key(now, ordered)?;
        let mut keys = self.ca_keys.clone();
        keys.apply(keys.version, UnixSeconds::from(now), ordered);
        Ok(keys)
    }

    pub(super) fn admit_ca_key(
        &self,
        at: OffsetDateTime,
        ordered: &CaKeyOrdered,
    ) -> Result<(), Rejection> {
        let key = expect_form(ordered)?;
        let before = self.before(ordered, &key)?;
        let state = before.get(&key).map(|it| it.state);
        match (ordered.step, state) {
            (CaKeyStep::Stage, None) if before.published() >= MOST_PUBLISHED => Err(illegal(
                "16 CA keys are published: retire one that is no longer needed first".to_owned(),
            )),
            (CaKeyStep::Stage, None)
            | (CaKeyStep::Activate, Some(CaKeyState::Staged | CaKeyState::Retiring)) => Ok(()),
            (CaKeyStep::Retire, Some(CaKeyState::Staged | CaKeyState::Retiring)) => {
                self.expect_unused(at, ordered, &key)
            }
            (CaKeyStep::Activate | CaKeyStep::Retire, None) => Err(illegal(format!(
                "the CA key {key} is not staged: daypass admin keys stage {key}"
            ))),
            (_, Some(CaKeyState::Retired)) => Err(illegal(format!(
                "the CA key {key} is retired, and no key comes back: make a new one"
            ))),
            (CaKeyStep::Retire, Some(CaKeyState::Active)) => Err(illegal(format!(
                "the CA key {key} signs: activate another key first"
            ))),
            (CaKeyStep::Activate, Some(CaKeyState::Active)) => {
                Err(illegal(format!("the CA key {key} is active already")))
            }
            (CaKeyStep::Stage, Some(state)) => {
                Err(illegal(format!("the CA key {key} is {state} already")))
            }
        }
    }

    /// The keys before the order. The first order says which they were.
    fn before(&self, ordered: &CaKeyOrdered, key: &str) -> Result<CaKeys, Rejection> {
        if self.ca_keys.is_ordered() {
            return match ordered.from.is_empty() {
                true => Ok(self.ca_keys.clone()),
                false => Err(malformed("only the first order names the keys before it")),
            };
        }
        let keys = ordered.from.iter().map(|it: &CaKeyNamed| {
            record(&it.key, it.state, UnixSeconds::default())
                .ok_or_else(|| malformed("a key before the first order is malformed"))
        });
        let keys: Vec<CaKeyRecord> = keys.collect::<Result<_, _>>()?;
        let named: Vec<(&str, CaKeyState)> = keys
            .iter()
            .map(|it| (it.fingerprint.as_str(), it.state))
            .collect();
        let staged = (ordered.step == CaKeyStep::Stage).then_some(key);
        match self.keys.is_set(&named, staged) {
            true => Ok(CaKeys { keys, version: 0 }),
            false => Err(Rejection::new(
                Rule::CaKeyState,
                "the first order about CA keys names other keys than the ledger: give each server of this ledger the same \
                 [[ca.key]] sections, restart them, and run the command again",
            )),
        }
    }

    /// Refuses to retire a key while a pass of it is valid.
    fn expect_unused(
        &self,
        at: OffsetDateTime,
        ordered: &CaKeyOrdered,
        key: &str,
    ) -> Result<(), Rejection> {
        match self.last_passes(at.into()).get(key) {
            Some(until) if !ordered.anyway => Err(Rejection::new(
                Rule::CaKeyInUse,
                format!(
                    "the last pass by the CA key {key} is valid until {}: retire it then, or revoke its passes",
                    moment(until.get())
                ),
            )),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn apply_ca_key(&mut self, event: &Event, ordered: &CaKeyOrdered) {
        let target: Target = ordered.target();
        self.orders.apply(&target, event.index);
        self.ca_keys
            .apply(event.index, UnixSeconds::from(event.at), ordered);
    }
}

/// The fingerprint of the order's key.
fn expect_form(ordered: &CaKeyOrdered) -> Result<String, Rejection> {
    let key = ca_key_fingerprint(&ordered.key).filter(|_| ssh::key::parse(&ordered.key).is_ok());
    let key = key.ok_or_else(|| malformed("its key is no CA key in OpenSSH form"))?;
    if ordered.anyway && ordered.reason.as_deref().unwrap_or_default().is_empty() {
        return Err(malformed("an order that does not wait needs a reason"));
    }
    if ordered.anyway && ordered.step == CaKeyStep::Stage {
        return Err(malformed(
            "there is nothing to wait for before a key is staged",
        ));
    }
    let is_named = !ordered.behind.is_empty();
    if is_named && !(ordered.anyway && ordered.step == CaKeyStep::Activate) {
        return Err(malformed("it names hosts that it waits for"));
    }
    match ordered.behind.len() <= MOST_BEHIND {
        true => Ok(key),
        false => Err(malformed("it names too many hosts")),
    }
}

fn malformed(detail: &str) -> Rejection {
    Rejection::new(Rule::CaKeyOrder, detail)
}

fn illegal(detail: String) -> Rejection {
    Rejection::new(Rule::CaKeyState, detail)
}

impl Rejection {
    /// The rejection of a pass by a key that signs no more, or not yet.
    pub(crate) fn ca_key_changed() -> Self {
        Self::new(Rule::CaKeyChanged, "another CA key signs now: try again")
    }
}

#[cfg(test)]
mod tests;
