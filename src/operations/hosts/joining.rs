//! A host joins with the code that an administrator made, or a machine with its own token.

use ssh_key::Certificate;
use time::OffsetDateTime;

use super::{Authority, Error, ShownKeys, certifying::certify, known};
use crate::{
    identity::Identity,
    ledger::{
        EventKind, LedgerState,
        event::{Applicant, HostJoined, HostKey},
        join_code,
        state::{HostRecord, Rejection, Rule},
    },
    operations::{attempt::Attempt, record as recorded},
    policy::{self, Ask, Context, Denial, Reason},
    ssh::host_proof::HostVerb,
    store,
    unix_seconds::UnixSeconds,
};

/// A host that has joined, and its certificates in the order of its keys.
pub(crate) type JoinedHost = (HostRecord, Vec<Certificate>);

/// A host that wants to join with a code.
pub(crate) struct JoinByCode<'a> {
    /// The code as it was typed.
    pub code: &'a str,
    /// Its keys. Nothing about them is verified.
    pub shown: ShownKeys,
}

impl JoinByCode<'_> {
    /// Lets the host join, and makes its certificates. The same code with the same keys is answered
    /// again while the code is valid: the first answer may be lost.
    ///
    /// The code is looked up before a signature is verified, so a guess costs little. The ledger's
    /// single writer decides between two hosts with one code.
    ///
    /// # Errors
    /// Returns [`Error::Rejection`] if the code opens nothing, was used with other keys, or a key
    /// is another host's; [`Error::HostProof`] if a key did not sign; and the errors of making a
    /// certificate.
    pub(crate) async fn join(
        self,
        authority: &Authority,
        nonce: [u8; 32],
        now: OffsetDateTime,
    ) -> Result<JoinedHost, Error> {
        known(authority)?;
        let digest = join_code::hash(self.code).ok_or_else(bad_code)?;
        let code = base16ct::lower::encode_string(&digest);
        let texts = self.shown.texts()?;
        let store = &authority.store;
        if store.state(|state| state.host_of_code(&code).is_none()) {
            store.follow().await?;
        }
        let seconds = UnixSeconds::from(now);
        let again = |state: &LedgerState| state.joined_with(&code, &texts, seconds).cloned();
        let has_joined = store.state(again).is_some();
        if !has_joined {
            let invited = |state: &LedgerState| state.invited(&code, seconds).map(|_| ());
            store.state(invited).map_err(Error::Rejection)?;
        }
        let server = &authority.server_name;
        let keys = self.shown.prove(server, HostVerb::Join, &digest)?;
        let refused = match has_joined {
            true => None,
            false => record(authority, &code, keys, now).await?,
        };
        let refused = refused.unwrap_or_else(Rejection::bad_code);
        let host = store.state(again).ok_or(Error::Rejection(refused))?;
        let certificates = certify(authority, &host, self.shown.keys(), nonce, now).await?;
        let certified = store.state(again).unwrap_or(host);
        Ok((certified, certificates))
    }
}

/// A machine that joins with its own ID token.
pub(crate) struct JoinByToken<'a> {
    /// The machine.
    pub identity: &'a Identity,
    /// The name that it wants.
    pub wanted: &'a str,
    /// The secret of the token's binding to its first key.
    pub binding_secret: &'a [u8],
    /// Its keys. Nothing about them is verified.
    pub shown: ShownKeys,
    /// When, and from where.
    pub context: Context,
}

impl JoinByToken<'_> {
    /// Lets the machine join as a host that the policy's `[[host]]` gives it, and makes its
    /// certificates. A machine that has joined with the same keys is answered again.
    ///
    /// # Errors
    /// Returns [`Error::Denied`], recorded, if the policy gives it no such name or its token is
    /// bound to no key; [`Error::Possession`] if the token is bound to another key, or a key did
    /// not sign; [`Error::Rejection`] if the name is known with other keys.
    pub(crate) async fn join(
        self,
        authority: &Authority,
        nonce: [u8; 32],
    ) -> Result<JoinedHost, Error> {
        let hosts = known(authority)?;
        let policy = authority.policy();
        let group = match policy.machine_group(self.identity, self.wanted) {
            Some(group) => group.to_owned(),
            None => {
                let what = "the policy's [[host]] gives this machine no such name";
                return self
                    .refuse(authority, Denial::new(Reason::NotAllowed, what))
                    .await;
            }
        };
        if let Err(denial) = policy::expect_bound(self.identity) {
            return self.refuse(authority, denial).await;
        }
        super::expect_allowed(authority, hosts, std::iter::once(self.wanted))?;
        let (server, now) = (&authority.server_name, self.context.now);
        let digest = self.identity.token_hash();
        let keys = self.shown.prove(server, HostVerb::Join, digest)?;
        self.shown
            .expect_bound(server, self.identity, self.binding_secret)?;
        let (store, texts) = (&authority.store, self.shown.texts()?);
        store.follow().await?;
        let who = recorded::who(self.identity);
        let unlocked =
            store.state(|state| state.expect_unlocked(&Applicant::new(&who, None, None)));
        unlocked.map_err(Error::Rejection)?;
        let same = |state: &LedgerState| {
            let host = state.host(self.wanted)?;
            let joined = host.joined.as_ref()?;
            joined.has_keys(&texts).then(|| host.clone())
        };
        if store.state(same).is_none() {
            let joined = EventKind::HostJoined(Box::new(HostJoined {
                host: self.wanted.to_owned(),
                group,
                aliases: Vec::new(),
                keys,
                digest: base16ct::lower::encode_string(digest),
                who: Some(recorded::who(self.identity)),
                policy: Some(policy.hash().to_owned()),
            }));
            in_two_tries(|| store.record(joined.clone(), now)).await?;
        }
        let host = store.state(same);
        let host = host.ok_or_else(|| Error::Rejection(Rejection::host_changed(self.wanted)))?;
        let certificates = certify(authority, &host, self.shown.keys(), nonce, now).await?;
        Ok((store.state(same).unwrap_or(host), certificates))
    }

    /// Records the denial, and returns it.
    async fn refuse<T>(&self, authority: &Authority, denial: Denial) -> Result<T, Error> {
        let attempt = Attempt {
            identity: self.identity,
            key: self.shown.keys().first(),
            ask: &Ask::default(),
            context: self.context,
            by: None,
        };
        let detail = format!("join as host {}: {}", self.wanted, denial.detail);
        let code = denial.reason.code();
        attempt.refuse(authority, code, &detail).await?;
        Err(Error::Denied(denial))
    }
}

/// Records a join by `record`. As in [`record`], the second refusal comes after the commit of
/// another call: the caller then looks with which keys the machine has joined.
///
/// # Errors
/// Returns the first error if the second try fails too.
async fn in_two_tries<F>(record: impl Fn() -> F) -> Result<(), store::Error>
where
    F: Future<Output = Result<u64, store::Error>>,
{
    let Err(error) = record().await else {
        return Ok(());
    };
    match record().await {
        Ok(_) => Ok(()),
        Err(store::Error::Rejection(it)) if it.rule == Rule::HostKeyChanged => Ok(()),
        Err(_) => Err(error),
    }
}

/// Records the join with this code. Returns the rejection if the code is used by now: by another
/// host, or by the same one in a call at the same time.
async fn record(
    authority: &Authority,
    code: &str,
    keys: Vec<HostKey>,
    now: OffsetDateTime,
) -> Result<Option<Rejection>, Error> {
    let mut refused = None;
    // The first refusal may come before the commit of the join that it is about. The second comes
    // after it.
    for _ in 0..2 {
        let (code, keys) = (code.to_owned(), keys.clone());
        let compose = move |state: &LedgerState| {
            let host = state.invited(&code, now.into())?;
            Ok(EventKind::HostJoined(Box::new(HostJoined {
                host: host.name.clone(),
                group: host.group.clone(),
                aliases: host.aliases.clone(),
                keys,
                digest: code,
                who: None,
                policy: None,
            })))
        };
        match authority
            .store
            .compose(compose, now)
            .await
            .map_err(Error::from)
        {
            Ok(_) => return Ok(None),
            Err(Error::Rejection(it)) if it.rule == Rule::HostCodeUsed => refused = Some(it),
            Err(error) => return Err(error),
        }
    }
    Ok(refused)
}

fn bad_code() -> Error {
    Error::Rejection(Rejection::bad_code())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// The store failed for a moment, the machine joined, and was told that it had not.
    #[tokio::test]
    async fn a_machine_has_joined_if_the_second_try_records_it() {
        let away = || Err(store::Error::Unavailable("away".to_owned()));
        let refused = |rejection| Err(store::Error::Rejection(rejection));
        let known = || refused(Rejection::host_changed("web-1"));
        for (case, answers, tries, has_joined) in [
            ("at once", vec![Ok(7)], 1, true),
            ("after a failure", vec![away(), Ok(7)], 2, true),
            ("after a refusal", vec![known(), Ok(7)], 2, true),
            ("by another call", vec![known(), known()], 2, true),
            ("never", vec![away(), away()], 2, false),
            (
                "refused",
                vec![away(), refused(Rejection::bad_code())],
                2,
                false,
            ),
        ] {
            let answers = RefCell::new(answers.into_iter());
            let asked = RefCell::new(0);
            let joined = in_two_tries(|| {
                *asked.borrow_mut() += 1;
                let answer = answers.borrow_mut().next();
                async { answer.unwrap_or_else(away) }
            });
            assert_eq!(joined.await.is_ok(), has_joined, "{case}");
            assert_eq!(*asked.borrow(), tries, "{case}");
        }
    }
}
