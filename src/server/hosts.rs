//! Handlers of `daypass.v1.Hosts`. Each converts its request, calls one operation, and converts the
//! answer.

use tonic::{Request, async_trait};

use super::{
    answer::Answer,
    convert::{self, hosts as hosts_convert},
    environment::random,
    metrics,
    services::Services,
    status::CallError,
};
use crate::{
    operations::hosts::{
        joining::{JoinByCode, JoinByToken},
        listing::{self, PAGE},
    },
    proto::v1::{self, hosts_server::Hosts},
};

#[async_trait]
impl Hosts for Services {
    async fn join(&self, request: Request<v1::JoinHostRequest>) -> Answer<v1::JoinHostResponse> {
        self.answer("Hosts/Join", request, async |call, request| {
            let (host, certificates) = match request.code.as_str() {
                "" => {
                    let identity = self.authenticate(call).await?;
                    let join = JoinByToken {
                        identity: &identity,
                        wanted: &hosts_convert::name(&request.name)?,
                        binding_secret: &request.binding_secret,
                        shown: hosts_convert::shown(&request.keys)?,
                        context: call.context(),
                    };
                    Box::pin(join.join(&self.authority, random()?)).await?
                }
                code => {
                    self.admit(call)?;
                    let shown = hosts_convert::shown(&request.keys)?;
                    let join = JoinByCode { code, shown };
                    let joined = join.join(&self.authority, random()?, call.now());
                    let joined = Box::pin(joined).await?;
                    call.prove();
                    joined
                }
            };
            Ok(v1::JoinHostResponse {
                host: Some(hosts_convert::host(&host)),
                certificates: hosts_convert::certificates(&certificates)?,
            })
        })
        .await
    }

    async fn sync(&self, request: Request<v1::SyncHostRequest>) -> Answer<v1::SyncHostResponse> {
        self.answer("Hosts/Sync", request, async |call, request| {
            self.admit(call)?;
            let sync = hosts_convert::sync(&request)?;
            let proven = Box::pin(sync.prove(&self.authority, call.now())).await?;
            self.per_identity
                .check(("host", proven.host()))
                .map_err(CallError::RateLimited)?;
            call.prove();
            let kept = proven.keep(&self.authority, random()?, call.now());
            let (certificates, refused) = Box::pin(kept).await?;
            Ok(v1::SyncHostResponse {
                certificates: hosts_convert::certificates(&certificates)?,
                refused: refused.unwrap_or_default(),
            })
        })
        .await
    }

    async fn report_logins(
        &self,
        request: Request<v1::ReportLoginsRequest>,
    ) -> Answer<v1::ReportLoginsResponse> {
        self.answer("Hosts/ReportLogins", request, async |call, request| {
            self.admit(call)?;
            let logins = hosts_convert::logins(&request)?;
            let proven = Box::pin(logins.prove(&self.authority, call.now())).await?;
            self.per_identity
                .check(("host", proven.host()))
                .map_err(CallError::RateLimited)?;
            call.prove();
            let compared = proven.compare(&self.authority, call.now());
            let findings = Box::pin(compared).await?;
            for finding in &findings {
                metrics::foreign_login(*finding);
            }
            Ok(v1::ReportLoginsResponse {
                foreign: u32::try_from(findings.len()).unwrap_or(u32::MAX),
            })
        })
        .await
    }

    async fn list(&self, request: Request<v1::ListHostsRequest>) -> Answer<v1::ListHostsResponse> {
        self.answer_known("Hosts/List", request, async |call, identity, request| {
            let after = convert::host(&request.page)?.unwrap_or_default();
            let size = match request.page_size {
                0 => PAGE,
                size => usize::try_from(size).unwrap_or(PAGE),
            };
            let wanted = (after.as_str(), size, request.behind);
            let listed = listing::list(&self.authority, &identity, wanted, call.context());
            let (hosts, next) = listed.await?;
            Ok(v1::ListHostsResponse {
                hosts: hosts.into_iter().map(hosts_convert::listed).collect(),
                next_page: next.unwrap_or_default(),
            })
        })
        .await
    }
}
