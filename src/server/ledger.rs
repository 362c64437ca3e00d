//! `daypass.v1.Ledger`: reading the record. List and Export need the policy's `[audit]`; that is the operations' to check.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, async_trait};

use super::{Services, call::Call, convert, status::CallError};
use crate::{
    operations::{
        Authority,
        audit::{self, Export, Range},
        trust,
    },
    proto::v1::{self, ledger_server::Ledger, prove_request::Proof},
};

/// Leaves of one List where the caller names no number, and at most.
const ENTRIES: u32 = 100;
const MOST_ENTRIES: u32 = 1000;

type Chunks = ReceiverStream<Result<v1::ExportResponse, Status>>;

#[async_trait]
impl Ledger for Services {
    type ExportStream = Chunks;

    async fn list(
        &self,
        request: Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        let (mut call, request) = Call::open("Ledger/List", request);
        let outcome = self.entries(&mut call, request).await;
        call.close(outcome)
    }

    async fn export(
        &self,
        request: Request<v1::ExportRequest>,
    ) -> Result<Response<Chunks>, Status> {
        let (mut call, _) = Call::open("Ledger/Export", request);
        let outcome = self.export_all(&mut call).await;
        call.close(outcome)
    }

    async fn get_checkpoint(
        &self,
        request: Request<v1::GetCheckpointRequest>,
    ) -> Result<Response<v1::GetCheckpointResponse>, Status> {
        let (mut call, _) = Call::open("Ledger/GetCheckpoint", request);
        let outcome = self.head(&mut call).await;
        call.close(outcome)
    }

    async fn prove(
        &self,
        request: Request<v1::ProveRequest>,
    ) -> Result<Response<v1::ProveResponse>, Status> {
        let (mut call, request) = Call::open("Ledger/Prove", request);
        let outcome = self.proof(&mut call, request).await;
        call.close(outcome)
    }
}

impl Services {
    async fn entries(
        &self,
        call: &mut Call,
        request: v1::ListRequest,
    ) -> Result<v1::ListResponse, CallError> {
        let identity = self.authenticate(call).await?;
        let limit = match request.limit {
            0 => ENTRIES,
            limit => limit.min(MOST_ENTRIES),
        };
        let range = Range {
            from: request.from,
            limit,
            newest_first: request.newest_first,
        };
        let page = audit::list(&self.authority, &identity, range).await?;
        Ok(convert::page(page))
    }

    async fn export_all(&self, call: &mut Call) -> Result<Chunks, CallError> {
        let identity = self.authenticate(call).await?;
        let export = Export::open(&self.authority, &identity).await?;
        let (sender, chunks) = mpsc::channel(1);
        tokio::spawn(send(self.authority.clone(), export, sender));
        Ok(ReceiverStream::new(chunks))
    }

    async fn head(&self, call: &mut Call) -> Result<v1::GetCheckpointResponse, CallError> {
        self.authenticate(call).await?;
        let checkpoint = trust::checkpoint(&self.authority).await?;
        Ok(v1::GetCheckpointResponse { checkpoint })
    }

    async fn proof(
        &self,
        call: &mut Call,
        request: v1::ProveRequest,
    ) -> Result<v1::ProveResponse, CallError> {
        let identity = self.authenticate(call).await?;
        let authority = &self.authority;
        let hashes = match request.proof {
            Some(Proof::Inclusion(of)) => {
                audit::prove_inclusion(authority, &identity, of.index, of.size).await?
            }
            Some(Proof::Consistency(of)) => {
                audit::prove_consistency(authority, &identity, of.old_size, of.new_size).await?
            }
            None => return Err(convert::missing("proof").into()),
        };
        let hashes = hashes.iter().map(|hash| hash.to_vec()).collect();
        Ok(v1::ProveResponse { hashes })
    }
}

/// Reads ahead of the caller by one chunk, and stops when the caller goes away.
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
