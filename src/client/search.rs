//! Searching the ledger. The server looks at a part of it in each call, so a search is some calls.

use super::{Client, Error, Signed, audit::Entry, credentials::authorized};
use crate::proto::v1;

/// Most calls of one search. Each one searches for about a tenth of a second.
const CALLS: usize = 300;

/// Events that were found, newest first.
#[derive(Default)]
pub(crate) struct SearchResult {
    pub(crate) entries: Vec<Entry>,
    /// Approvals of the requests that listed passes redeemed.
    pub(crate) approvals: Vec<Entry>,
    /// The search is complete from this index on; 0: there is no more.
    pub(crate) searched_from: u64,
    /// Names near the one in the filter, if nothing has that one.
    pub(crate) unknown_who: Option<Vec<String>>,
    pub(crate) unknown_role: Option<Vec<String>>,
    pub(crate) unknown_host: Option<Vec<String>>,
    /// Approvals may be missing.
    pub(crate) approvals_missing: bool,
    /// Passes may be listed that had ended.
    pub(crate) ends_missing: bool,
    /// A name stands for more identities or hosts than were searched.
    pub(crate) names_left_out: bool,
    /// Passes with plain logins that are not of the host and fit otherwise, and whether there may
    /// be more.
    pub(crate) plain_passes: (u64, bool),
    /// Listed upwards: the index of the next event, if there is one.
    pub(crate) next: Option<u64>,
}

impl Signed {
    /// Up to `limit` events from index `from` on, oldest first.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to read the ledger.
    pub(crate) async fn upwards(&self, from: u64, limit: u32) -> Result<SearchResult, Error> {
        let request = v1::ListRequest {
            from,
            limit,
            newest_first: false,
            filter: None,
        };
        let request = authorized(&self.login, request)?;
        let answer = self.server.ledger().list(request).await?.into_inner();
        let mut found = SearchResult {
            approvals_missing: answer.approvals_missing,
            ..SearchResult::default()
        };
        for event in answer.events {
            found.entries.push(Entry::read(event)?);
        }
        for event in answer.approvals {
            found.approvals.push(Entry::read(event)?);
        }
        let next = found
            .entries
            .last()
            .map(|last| last.index.saturating_add(1));
        found.next = next.filter(|next| *next < answer.size);
        Ok(found)
    }

    /// Up to `limit` events that fit, newest first, from index `from` down.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to read the ledger, and
    /// [`Error::Untrusted`] if the server does not search.
    pub(crate) async fn search(
        &self,
        filter: v1::Filter,
        from: u64,
        limit: u32,
    ) -> Result<SearchResult, Error> {
        let mut found = SearchResult {
            searched_from: from.saturating_add(1),
            ..SearchResult::default()
        };
        for call in 0..CALLS {
            let count = u32::try_from(found.entries.len()).unwrap_or(limit);
            let room = limit.saturating_sub(count);
            let Some(from) = found.searched_from.checked_sub(1).filter(|_| room > 0) else {
                break;
            };
            let request = v1::ListRequest {
                from,
                limit: room,
                newest_first: true,
                filter: Some(filter.clone()),
            };
            let request = authorized(&self.login, request)?;
            let answer = self.server.ledger().list(request).await?.into_inner();
            let Some(searched_from) = answer.searched_from.filter(|it| *it <= from) else {
                return Err(Error::Untrusted(
                    "the server does not search its ledger: it is of an older version; use daypass ledger export"
                        .to_owned(),
                ));
            };
            for event in answer.events {
                found.entries.push(Entry::read(event)?);
            }
            for event in answer.approvals {
                found.approvals.push(Entry::read(event)?);
            }
            found.searched_from = searched_from;
            found.unknown_who = answer.unknown_who.map(|it| it.near);
            found.unknown_role = answer.unknown_role.map(|it| it.near);
            found.unknown_host = answer.unknown_host.map(|it| it.near);
            found.approvals_missing |= answer.approvals_missing;
            found.ends_missing |= answer.ends_missing;
            found.names_left_out |= answer.names_left_out;
            if call == 0 {
                found.plain_passes = (answer.plain_passes, answer.plain_passes_more);
            }
        }
        Ok(found)
    }
}

/// Most related events on each side.
const RELATED: u32 = 100;

impl Client {
    /// The events `named` by the event of this index, and those that name it, oldest first; and
    /// whether there are more.
    ///
    /// # Errors
    /// As [`Signed::search`].
    pub(crate) async fn related(
        &self,
        index: u64,
        named: &[u64],
    ) -> Result<(Vec<Entry>, bool), Error> {
        let signed = self.signed_in().await?;
        let (mut related, mut is_cut) = (Vec::new(), named.len() >= RELATED as usize);
        for about in [&[index], named]
            .concat()
            .into_iter()
            .take(RELATED as usize)
        {
            if about != index {
                let entry = signed.entries(about, 1).await?;
                related.extend(entry.into_iter().filter(|entry| entry.index == about));
            }
        }
        // A pass and its approvals name the same request.
        let request = named.first().copied().filter(|_| named.len() == 1);
        for about in std::iter::once(index).chain(request) {
            let filter = v1::Filter {
                about: Some(about),
                ..v1::Filter::default()
            };
            let found = signed.search(filter, u64::MAX - 1, RELATED).await?;
            is_cut |= found.searched_from > 0;
            related.extend(found.entries);
        }
        related.retain(|entry| entry.index != index);
        related.sort_by_key(|entry| entry.index);
        related.dedup_by_key(|entry| entry.index);
        Ok((related, is_cut))
    }
}
