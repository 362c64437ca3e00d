//! A host reports logins by certificates. They are compared with the ledger as `daypass ledger
//! reconcile` does it, and what it does not explain is recorded: once, and a bounded number of each
//! host.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use time::OffsetDateTime;

use super::{Authority, Error, ShownKeys, reporting::Claim};
use crate::{
    ledger::{
        Event, EventKind, LedgerState,
        event::{ForeignLogin, LoginFinding},
        reconcile::{Finding, Reconciler},
        search::{Question, Term},
        state::{HostRecord, Rejection, Room, Rule},
    },
    operations::search::every_event,
    ssh::{
        host_proof::HostVerb,
        key::fingerprint,
        sshd_log::{CertificateLogin, UnreadableLogin},
    },
    store,
    unix_seconds::UnixSeconds,
};

/// Time to look for the revocations of passes that the ledger state has forgotten.
const BUDGET: Duration = Duration::from_secs(2);

const WAITS: &str = "logins are compared after an administrator has accepted the restored ledger: daypass admin \
                     accept-restore; until then they wait on the host";

/// Times that other reports of the same host may be faster than one.
const TRIES: usize = 64;

/// A report as it came, with the keys that claim to have signed it.
pub(crate) struct ReportedLogins {
    /// When it was made, in Unix milliseconds.
    pub at: u64,
    /// The host's name.
    pub host: String,
    /// The host groups whose passes its sshd takes.
    pub groups: BTreeSet<String>,
    /// The logins, each with its time if that is known.
    pub logins: Vec<(Option<UnixSeconds>, ReportedLogin)>,
    /// SHA-256 of the report's bytes.
    pub digest: [u8; 32],
    /// The host's keys. Nothing about them is verified.
    pub shown: ShownKeys,
}

/// An accepted login by a certificate.
pub(crate) enum ReportedLogin {
    /// With the certificate.
    By(CertificateLogin),
    /// sshd's message does not say which certificate it was.
    Unreadable(UnreadableLogin),
}

/// Logins whose report was verified.
pub(crate) struct ProvenLogins {
    host: HostRecord,
    reported: ReportedLogins,
}

impl ReportedLogins {
    /// Verifies that the report is by the keys with which the host joined, and of now.
    ///
    /// # Errors
    /// As [`super::reporting::Sync::prove`].
    pub(crate) async fn prove(
        self,
        authority: &Authority,
        now: OffsetDateTime,
    ) -> Result<ProvenLogins, Error> {
        let claim = Claim {
            host: &self.host,
            at: self.at,
            shown: &self.shown,
        };
        let signed = (HostVerb::Logins, &self.digest);
        let (host, _, _) = claim.prove(authority, signed, now).await?;
        let reported = self;
        Ok(ProvenLogins { host, reported })
    }
}

impl ProvenLogins {
    /// Logins whose report needs no proof.
    #[cfg(test)]
    pub(crate) fn sample(
        host: HostRecord,
        logins: Vec<(Option<UnixSeconds>, ReportedLogin)>,
    ) -> Self {
        let reported = ReportedLogins {
            at: 0,
            host: host.name.clone(),
            groups: BTreeSet::new(),
            logins,
            digest: [0; 32],
            shown: ShownKeys::new(Vec::new()),
        };
        Self { host, reported }
    }

    /// The host's name.
    pub(crate) fn host(&self) -> &str {
        &self.host.name
    }

    /// Compares the logins with the ledger, and records what it does not explain. Returns the
    /// finding of each such login, recorded now or before.
    ///
    /// # Errors
    /// Returns [`Error::Rejection`] if the ledger is a restored copy that no administrator has
    /// accepted, and [`Error::Store`] if it cannot be read or written. The same report again then
    /// records the rest.
    pub(crate) async fn compare(
        self,
        authority: &Authority,
        now: OffsetDateTime,
    ) -> Result<Vec<LoginFinding>, Error> {
        let name = self.host.name.clone();
        // The pass may have been issued by another server a moment before the login.
        authority.store.follow().await?;
        // The copy lacks the last passes until then. The host keeps its place in the log.
        if authority.store.state(LedgerState::waits_for_acceptance) {
            return Err(Error::Rejection(Rejection::new(Rule::Restoring, WAITS)));
        }
        let findings = self.findings(authority).await?;
        let kinds = findings.iter().map(|it| it.kind).collect();
        let findings = findings.into_iter().map(|it| it.foreign_login(&name));
        record(authority, &name, findings.collect(), now).await?;
        Ok(kinds)
    }

    /// The logins that the ledger does not explain, worst first.
    async fn findings(self, authority: &Authority) -> Result<Vec<Finding>, Error> {
        let Self { host, reported } = self;
        // Its sshd may take passes of more groups than the one that it joined with.
        let mut groups = reported.groups;
        groups.insert(host.group.clone());
        let names = host.names().map(str::to_owned).collect();
        let mut reconciler = Reconciler::of_host(names, groups);
        let mut serials = BTreeSet::new();
        for (at, login) in reported.logins {
            let at = at.and_then(UnixSeconds::to_utc);
            let noted = match login {
                ReportedLogin::By(login) => {
                    serials.insert(login.serial);
                    reconciler.note(login, &host.name, at)
                }
                ReportedLogin::Unreadable(login) => {
                    reconciler.note_unreadable(login, &host.name, at)
                }
            };
            noted.map_err(|error| Error::Invalid(error.to_string()))?;
        }
        let ca = authority.ca();
        for (key, _) in ca.keys() {
            reconciler.know(fingerprint(key));
        }
        reconciler.take_all(events(authority, serials).await?);
        Ok(reconciler.finish().findings)
    }
}

/// The passes with these serials, then the events that revoked one of them.
async fn events(authority: &Authority, serials: BTreeSet<u64>) -> Result<Vec<Event>, Error> {
    let (store, size) = (&authority.store, authority.store.size());
    let serials: Vec<u64> = serials.into_iter().filter(|it| *it < size).collect();
    let mut events = parsed(store.leaves(&serials).await?)?;
    events.retain(|event| matches!(event.what, EventKind::Issued(_) | EventKind::Skipped));
    // The ledger state forgets a pass some time after its end.
    let may_be_revoked: Vec<u64> = store.state(|state| {
        let is_valid = |serial: u64| state.pass(serial).is_some_and(|pass| !pass.is_revoked);
        let issued = events
            .iter()
            .filter(|event| matches!(event.what, EventKind::Issued(_)));
        let serials = issued.map(|event| event.index);
        serials.filter(|serial| !is_valid(*serial)).collect()
    });
    if let Some(lowest) = may_be_revoked.iter().min() {
        let about = may_be_revoked.iter().map(|it| Term::about(*it)).collect();
        let kinds = ["revoked", "locked", "signing_failed"];
        let question = Question {
            groups: vec![about, kinds.map(Term::kind).to_vec()],
            ..Question::default()
        };
        let found = every_event(authority, &question, (*lowest, size), BUDGET).await?;
        let busy = "the search index is being made again: the logins are compared later";
        let busy = || store::Error::Unavailable(busy.to_owned());
        let mut found = parsed(found.ok_or_else(busy)?)?;
        found.sort_by_key(|event| event.index);
        events.extend(found);
    }
    Ok(events)
}

fn parsed(leaves: Vec<(u64, Vec<u8>)>) -> Result<Vec<Event>, Error> {
    let events = leaves.iter().map(|(_, leaf)| Event::parse(leaf));
    let events: Result<Vec<Event>, _> = events.collect();
    events.map_err(|error| Error::Invalid(error.to_string()))
}

/// An operator must act on a stolen key, so `journalctl -p err` shows it.
fn log(index: u64, host: &str, finding: LoginFinding) {
    let (word, advice) = (finding.word(), finding.advice());
    match finding.is_of_stolen_key() {
        true => tracing::error!(
            index,
            host,
            finding = word,
            "a login that the ledger lacks: {advice}"
        ),
        false => tracing::warn!(
            index,
            host,
            finding = word,
            "a login that the ledger does not explain: {advice}"
        ),
    }
}

/// Records the findings, as far as the ledger takes them: each once, and beyond the bound of the
/// host one event with the number of the others.
async fn record(
    authority: &Authority,
    host: &str,
    findings: Vec<ForeignLogin>,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let (mut waiting, mut tries) = (VecDeque::from(findings), 0);
    while let Some(login) = waiting.front() {
        let more = authority.store.state(|state| {
            let foreign = &state.host(host)?.foreign;
            let is_new = |it: &&ForeignLogin| !foreign.is_known(it);
            if !is_new(&login) {
                return None;
            }
            match foreign.room(now.into(), login) {
                Room::None => None,
                Room::Full => Some(0),
                Room::Count => {
                    let is_stolen = |it: &ForeignLogin| it.finding.is_of_stolen_key();
                    let rest = waiting.iter().skip(1).filter(is_new);
                    let rest = rest.filter(|it| is_stolen(it) == is_stolen(login));
                    Some(rest.count() as u64)
                }
            }
        });
        if let Some(more) = more {
            let login = ForeignLogin {
                more,
                ..login.clone()
            };
            let finding = login.finding;
            let event = EventKind::ForeignLogin(Box::new(login));
            match authority.store.record(event, now).await {
                Ok(index) => log(index, host, finding),
                // Another report was faster. The state has what it left.
                Err(store::Error::Rejection(it))
                    if it.rule == Rule::ForeignLogin && tries < TRIES =>
                {
                    tries += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
        }
        waiting.pop_front();
    }
    Ok(())
}
