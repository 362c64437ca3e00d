//! The document about administrators' keys and the restored ledger, and the check of a statement
//! that accepts one.

use std::sync::Arc;

use super::{
    admin::SignedOrder,
    authority::Authority,
    documents::{Document, Facts},
    error::Error,
    record,
};
use crate::{
    ca::{Ca, document::HostDocument},
    ledger::{
        LedgerState,
        event::RevokeTarget,
        recovery::{Accepted, Recovery, Restored},
        restore::{Copy, RestoreStatement, SignedRestore},
        state::{Rejection, Rule},
    },
};

/// The document without a signature, for callers who trust this server by TLS. It asks no key, so
/// it is there while the key is away.
///
/// # Errors
/// Returns [`Error::Store`] if the ledger cannot be read.
pub(crate) async fn body(authority: &Authority) -> Result<Vec<u8>, Error> {
    authority.store.follow().await?;
    bytes(authority, facts(authority)).await
}

/// Signs the document as `ca` would, and publishes nothing.
///
/// # Errors
/// As [`document`].
pub(super) async fn rehearse(authority: &Authority, ca: &Ca) -> Result<(), Error> {
    let body = bytes(authority, facts(authority)).await?;
    Document::signed(ca, HostDocument::Recovery, body).await?;
    Ok(())
}

async fn bytes(authority: &Authority, facts: Facts) -> Result<Vec<u8>, Error> {
    let body = content(authority, facts).await?.to_bytes();
    body.map_err(|error| Error::Invalid(error.to_string()))
}

/// The document, signed by the active CA key.
///
/// # Errors
/// Returns [`Error::Store`] if the ledger cannot be read, and [`Error::Ca`] if the key does not
/// sign.
pub(crate) async fn document(authority: &Authority) -> Result<Arc<Document>, Error> {
    authority.store.follow().await?;
    let facts = facts(authority);
    let mut last = authority.published.recovery().await;
    if let Some((known, document)) = &*last
        && *known == facts
    {
        return Ok(document.clone());
    }
    let body = bytes(authority, facts).await?;
    let document = Document::signed(&authority.ca(), HostDocument::Recovery, body).await?;
    let document = Arc::new(document);
    *last = Some((facts, document.clone()));
    Ok(document)
}

fn facts(authority: &Authority) -> Facts {
    let policy_version = authority.policy_version();
    authority.store.state(|state| Facts {
        policy_version,
        copy: state.restored_copy(),
        is_pending: state.waits_for_acceptance(),
        accepted: state.acceptance(),
        through: state.accepted_through(),
        keys: state.ca_keys().version(),
    })
}

async fn content(authority: &Authority, facts: Facts) -> Result<Recovery, Error> {
    let keys = authority.policy().administrators_keys().clone();
    // After an acceptance it is larger than every version of the lost ledger.
    let version = facts.policy_version.max(facts.through);
    let mut recovery = Recovery::new(authority.server_name.clone(), version, keys);
    if let Some(size) = facts.copy {
        recovery.restored = Some(Restored {
            size,
            root: base16ct::lower::encode_string(&authority.store.root_at(size).await?),
            is_pending: facts.is_pending,
        });
    }
    if let Some(index) = facts.accepted {
        let entry = authority.store.entries(index, 1).await?.pop();
        recovery.accepted = entry.map(|(index, leaf)| Accepted {
            index,
            leaf: String::from_utf8_lossy(&leaf).into_owned(),
        });
    }
    Ok(recovery)
}

impl SignedOrder<'_> {
    /// Checks the statement of an order that accepts a restored ledger: it is about the copy that
    /// was restored last, and by an administrator's key if the policy names some.
    ///
    /// # Errors
    /// Returns [`Error::Rejection`], recorded.
    pub(super) async fn expect_statement(
        &self,
        target: &RevokeTarget,
        restore: Option<&SignedRestore>,
    ) -> Result<(), Error> {
        let RevokeTarget::Through(through) = target else {
            return Ok(());
        };
        let Err(fault) = self.check_statement(*through, restore).await? else {
            return Ok(());
        };
        let rejection = Rejection::new(Rule::Restoring, fault);
        self.refuse(rejection.rule.code(), &rejection.detail)
            .await?;
        Err(Error::Rejection(rejection))
    }

    async fn check_statement(
        &self,
        through: u64,
        restore: Option<&SignedRestore>,
    ) -> Result<Result<(), String>, Error> {
        let authority = self.authority;
        let Some(size) = authority.store.state(LedgerState::restored_copy) else {
            // The ledger's rule says what to do.
            return Ok(Ok(()));
        };
        let Some(restore) = restore else {
            return Ok(Err(
                "it needs the administrator's statement about the restored copy: use the newest daypass"
                    .to_owned(),
            ));
        };
        let root = authority.store.root_at(size).await?;
        if restore.copy() != Some(Copy { size, root }) {
            return Ok(Err(
                "the statement is about another restored copy: run daypass admin accept-restore again"
                    .to_owned(),
            ));
        }
        let who = record::who(self.holder.identity());
        let statement = RestoreStatement {
            server: &authority.server_name,
            issuer: &who.issuer,
            subject: &who.subject,
            copy: Copy { size, root },
            through,
            reason: self.signed.reason.as_deref().unwrap_or_default(),
        };
        if let Err(fault) = restore.check(&statement) {
            return Ok(Err(format!("the statement {fault}")));
        }
        let policy = authority.policy();
        let keys = policy.administrators_keys();
        let key = restore.fingerprint().unwrap_or_default();
        Ok(match keys.is_empty() || keys.contains(&key) {
            true => Ok(()),
            false => Err(format!(
                "the statement is signed by {key}, and the policy's [admin] names other keys: sign with one of them \
                 (--key FILE)"
            )),
        })
    }
}
