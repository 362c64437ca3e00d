//! The calls of hosts and of their administrator, with their records.

use std::{
    collections::BTreeSet,
    time::{SystemTime, UNIX_EPOCH},
};

use daypass::{
    ledger::{
        event::NewHost,
        order::{Target, Verb},
    },
    proto::v1::{
        AddHostRequest, GetRevocationsRequest, GetTrustRequest, RemoveHostRequest, preview_request,
        trust_client::TrustClient,
    },
};
use ssh_key::PublicKey;

use super::{Machine, fingerprint};
use crate::{
    clients::{Client, PATIENCE, parsed},
    history::{Expected, HostCall, HostVerb, Outcome, What},
    support::{
        api::{Refusal, with_token},
        hosts,
        user::TestUser,
    },
};

impl Client {
    pub(super) async fn join(
        &self,
        daemon: usize,
        machine: &Machine,
        expected: Expected,
    ) -> Outcome {
        let api = &self.shared.daemons[daemon].api;
        let request = machine.host.joining(api.server_name(), &machine.code);
        let answer = async {
            let certificates = hosts::join(api, request).await?.certificates;
            Ok(parsed::certified(&certificates))
        };
        let call = machine.call(HostVerb::Join, expected);
        self.record(daemon, What::Host(call), answer).await
    }

    /// A report to one daemon, and at the same time to another one. Returns the first answer.
    pub(super) async fn report(
        &self,
        daemon: usize,
        other: Option<usize>,
        machine: &Machine,
        expected: Expected,
    ) -> Outcome {
        let trusted = self.published(daemon).await.unwrap_or_default();
        let mut report = machine.host.report(&trusted, &machine.serials);
        // By the clock of the daemon, but for its milliseconds: no report is older than another.
        let now = self.shared.daemons[daemon].now();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let millisecond = u64::from(since.subsec_millis());
        report.at = u64::try_from(now).unwrap() * 1000 + millisecond;
        let server = self.shared.daemons[daemon].api.server_name();
        let request = machine.host.reporting(server, &report);
        let call = HostCall {
            trusted: trusted.into_iter().collect(),
            ..machine.call(HostVerb::Sync, expected)
        };
        let send = async |daemon: usize| {
            let api = &self.shared.daemons[daemon].api;
            let answer = async {
                let certificates = hosts::sync(api, request.clone()).await?;
                Ok(parsed::certified(&certificates))
            };
            self.record(daemon, What::Host(call.clone()), answer).await
        };
        match other {
            None => send(daemon).await,
            Some(other) => tokio::join!(send(daemon), send(other)).0,
        }
    }

    /// Fingerprints of the CA keys that a daemon publishes.
    async fn published(&self, daemon: usize) -> Option<Vec<String>> {
        let mut trust = TrustClient::new(self.shared.daemons[daemon].api.channel());
        let answer = tokio::time::timeout(PATIENCE, trust.get_trust(GetTrustRequest {}));
        let keys = answer.await.ok()?.ok()?.into_inner().ca_keys;
        let keys = keys
            .iter()
            .map(|it| PublicKey::from_openssh(&it.public_key));
        keys.map(|key| Some(fingerprint(&key.ok()?))).collect()
    }

    pub(super) async fn add_host(&mut self, daemon: usize, new: NewHost) -> Outcome {
        let (carol, tag) = (self.administrator(daemon), self.order_tag());
        let call = HostCall {
            verb: HostVerb::Add,
            name: new.name.clone(),
            tag: tag.clone(),
            code: new.code.clone(),
            keys: BTreeSet::new(),
            trusted: BTreeSet::new(),
            expected: Expected::Anything,
        };
        let answer = async {
            let after = after(&carol, &new.name).await?;
            let target = Target::NewHost(Box::new(new.clone()));
            let request = AddHostRequest {
                name: new.name,
                group: new.group,
                aliases: new.aliases,
                code_sha256: base16ct::lower::decode_vec(&new.code).unwrap(),
                expires_at: new.expires_at.0,
                rekey: new.rekey,
                order: carol.order((Verb::AddHost, &target, &tag, after)),
            };
            let index = carol.send_add_host(request).await?;
            Ok(Outcome::Ordered {
                index: Some(index),
                serials: Vec::new(),
            })
        };
        self.record(daemon, What::Host(call), answer).await
    }

    pub(super) async fn remove_host(&mut self, daemon: usize, name: &str) -> Outcome {
        let (carol, tag) = (self.administrator(daemon), self.order_tag());
        let call = HostCall {
            verb: HostVerb::Remove,
            name: name.to_owned(),
            tag: tag.clone(),
            code: String::new(),
            keys: BTreeSet::new(),
            trusted: BTreeSet::new(),
            expected: Expected::Anything,
        };
        let answer = async {
            let after = after(&carol, name).await?;
            let target = Target::Host(name.to_owned());
            let request = RemoveHostRequest {
                name: name.to_owned(),
                order: carol.order((Verb::RemoveHost, &target, &tag, after)),
            };
            let request = with_token(request, &carol.token);
            let removed = carol.api.admin().remove_host(request).await?.into_inner();
            Ok(Outcome::Ordered {
                index: Some(removed.event),
                serials: removed.certificates,
            })
        };
        self.record(daemon, What::Host(call), answer).await
    }

    /// The list of revoked host certificates, as a laptop fetches it.
    pub(crate) async fn host_revocations_of(&self, daemon: usize) {
        let api = &self.shared.daemons[daemon].api;
        let answer = async {
            let mut trust = TrustClient::new(api.channel());
            let wanted = GetRevocationsRequest { hosts: true };
            let list = trust.get_revocations(wanted).await?.into_inner();
            Ok(Outcome::HostRevocations(parsed::revocations(list.krl)))
        };
        self.record(daemon, What::Read("host revocations"), answer)
            .await;
    }
}

async fn after(user: &TestUser, name: &str) -> Result<u64, Refusal> {
    let about = preview_request::Target::Host(name.to_owned());
    Ok(user.preview(about).await?.after)
}
