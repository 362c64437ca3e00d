//! Known hosts: an administrator lets them join, removes them, and sees who is behind.

use ssh_key::rand_core::{OsRng, RngCore as _};

use super::{Error, Signed, credentials::authorized, key::Key};
use crate::{
    ledger::{
        event::NewHost,
        join_code,
        order::{Target, Verb},
    },
    proto::v1::{self, PreviewResponse as Preview},
};

/// Hosts of one page.
const PAGE: u32 = 1000;

impl Signed {
    /// Lets a host join, with the hash of a code that this program made. Returns the event's index.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to, or the host cannot
    /// be added so.
    pub(crate) async fn add_host(
        &self,
        host: &NewHost,
        reason: &str,
        key: &Key,
    ) -> Result<u64, Error> {
        let (about, order) = (Target::Host(host.name.clone()), Target::from(host));
        let seen = self.preview(&about).await?;
        self.repeat(
            (&seen, is_same),
            async || self.preview(&about).await,
            async |after| {
                let proof = self.prove_order(Verb::AddHost, &order, reason, after, key);
                let request = v1::AddHostRequest {
                    name: host.name.clone(),
                    group: host.group.clone(),
                    aliases: host.aliases.clone(),
                    code_sha256: base16ct::lower::decode_vec(&host.code).unwrap_or_default(),
                    expires_at: host.expires_at.get(),
                    rekey: host.rekey,
                    order: Some(proof.await?),
                };
                let request = authorized(&self.login, request)?;
                let answer = self.server.admin().add_host(request).await?;
                Ok(answer.into_inner().event)
            },
        )
        .await
    }

    /// Forgets a host.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to.
    pub(crate) async fn remove_host(
        &self,
        name: &str,
        reason: &str,
        key: &Key,
    ) -> Result<v1::RemoveHostResponse, Error> {
        let about = Target::Host(name.to_owned());
        let seen = self.preview(&about).await?;
        self.repeat(
            (&seen, is_same),
            async || self.preview(&about).await,
            async |after| {
                let proof = self.prove_order(Verb::RemoveHost, &about, reason, after, key);
                let request = v1::RemoveHostRequest {
                    name: name.to_owned(),
                    order: Some(proof.await?),
                };
                let request = authorized(&self.login, request)?;
                Ok(self.server.admin().remove_host(request).await?.into_inner())
            },
        )
        .await
    }

    /// The known hosts by name; with `behind`, only those that are.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to.
    pub(crate) async fn hosts(&self, behind: bool) -> Result<Vec<v1::Host>, Error> {
        let (mut hosts, mut page) = (Vec::new(), String::new());
        loop {
            let request = v1::ListHostsRequest {
                behind,
                page_size: PAGE,
                page: page.clone(),
            };
            let request = authorized(&self.login, request)?;
            let answer = self.server.hosts().list(request).await?.into_inner();
            hosts.extend(answer.hosts);
            // A server that answers with the same page again would never end.
            if answer.next_page <= page {
                return Ok(hosts);
            }
            page = answer.next_page;
        }
    }
}

/// Any order about the host that came first changes what this one would do.
fn is_same(seen: &Preview, now: &Preview) -> bool {
    seen.after == now.after
}

/// A new join code.
pub(crate) fn new_code() -> String {
    let mut random = [0; join_code::ENTROPY];
    OsRng.fill_bytes(&mut random);
    join_code::compose(&random)
}
