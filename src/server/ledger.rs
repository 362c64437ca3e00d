//! Handlers of `daypass.v1.Ledger`: reading the ledger. The operations check that the policy's
//! `[audit]` permits List, FindPolicy and Export.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, async_trait};

use super::{answer::Answer, convert, services::Services, status::CallError};
use crate::{
    operations::{
        Authority,
        audit::{self, Export, Range},
        recovery, search, trust,
    },
    proto::v1::{self, ledger_server::Ledger, prove_request::Proof},
};

/// Events of one List if the caller gives no limit.
const EVENTS: u32 = 100;
/// Most events of one List.
const MAX_EVENTS: u32 = 1000;

type Chunks = ReceiverStream<Result<v1::ExportResponse, Status>>;

#[async_trait]
impl Ledger for Services {
    type ExportStream = Chunks;

    async fn list(&self, request: Request<v1::ListRequest>) -> Answer<v1::ListResponse> {
        let method = "Ledger/List";
        self.answer_known(method, request, async |_, identity, request| {
            let range = Range {
                from: request.from,
                limit: match request.limit {
                    0 => EVENTS,
                    limit => limit.min(MAX_EVENTS),
                },
                newest_first: request.newest_first,
            };
            let Some(filter) = request.filter else {
                let page = audit::list(&self.authority, &identity, range).await?;
                let approvals = search::approvals_of(&self.authority, &page.entries, page.size);
                let approvals = approvals.await?;
                return Ok(convert::page(page, approvals));
            };
            let (filter, most) = (convert::filter(filter)?, range.limit as usize);
            let page = (range.from, most);
            let page = search::search(&self.authority, &identity, &filter, page).await?;
            Ok(convert::found(page))
        })
        .await
    }

    async fn find_policy(
        &self,
        request: Request<v1::FindPolicyRequest>,
    ) -> Answer<v1::FindPolicyResponse> {
        let method = "Ledger/FindPolicy";
        self.answer_known(method, request, async |_, identity, request| {
            let index = audit::find_policy(&self.authority, &identity, &request.hash)?;
            Ok(v1::FindPolicyResponse { index })
        })
        .await
    }

    async fn export(&self, request: Request<v1::ExportRequest>) -> Answer<Chunks> {
        let method = "Ledger/Export";
        self.answer_known(method, request, async |_, identity, _| {
            let export = Export::open(&self.authority, &identity).await?;
            let (sender, chunks) = mpsc::channel(1);
            tokio::spawn(send(self.authority.clone(), export, sender));
            Ok(ReceiverStream::new(chunks))
        })
        .await
    }

    async fn get_checkpoint(
        &self,
        request: Request<v1::GetCheckpointRequest>,
    ) -> Answer<v1::GetCheckpointResponse> {
        let method = "Ledger/GetCheckpoint";
        self.answer_known(method, request, async |_, _, _| {
            let checkpoint = trust::checkpoint(&self.authority).await?;
            Ok(v1::GetCheckpointResponse {
                checkpoint,
                recovery: recovery::body(&self.authority).await?,
            })
        })
        .await
    }

    async fn prove(&self, request: Request<v1::ProveRequest>) -> Answer<v1::ProveResponse> {
        let method = "Ledger/Prove";
        self.answer_known(method, request, async |_, identity, request| {
            let authority = &self.authority;
            let hashes = match request.proof.ok_or(convert::missing("proof"))? {
                Proof::Inclusion(of) => {
                    audit::prove_inclusion(authority, &identity, of.index, of.size).await?
                }
                Proof::Consistency(of) => {
                    audit::prove_consistency(authority, &identity, of.old_size, of.new_size).await?
                }
            };
            let hashes = hashes.iter().map(|hash| hash.to_vec()).collect();
            Ok(v1::ProveResponse { hashes })
        })
        .await
    }
}

/// Sends the export, one chunk ahead of the caller. Stops when the caller disconnects.
async fn send(
    authority: Arc<Authority>,
    mut export: Export,
    sender: mpsc::Sender<Result<v1::ExportResponse, Status>>,
) {
    loop {
        let chunk = match export.next(&authority).await {
            Ok(None) => return,
            Ok(Some(chunk)) => Ok(v1::ExportResponse { chunk }),
            Err(error) => Err(CallError::from(error).to_status()),
        };
        let is_last = chunk.is_err();
        if sender.send(chunk).await.is_err() || is_last {
            return;
        }
    }
}
