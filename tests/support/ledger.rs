//! The ledger's export, and its verification as an auditor does it.

use daypass::{
    ledger::{checkpoint::Verifier, verify::verify_export},
    proto::v1::{
        ExportRequest, GetTrustRequest, GetTrustResponse, ledger_client::LedgerClient,
        trust_client::TrustClient,
    },
};

use super::api::{Api, with_token};

/// Everything that the server tells without a token.
pub async fn trust(api: &Api) -> GetTrustResponse {
    let answer = TrustClient::new(api.channel())
        .get_trust(GetTrustRequest {})
        .await;
    answer.unwrap().into_inner()
}

/// The whole ledger, as the server streams it to an auditor.
pub async fn export(api: &Api, auditor: &str) -> Vec<u8> {
    let answer = LedgerClient::new(api.channel())
        .export(with_token(ExportRequest {}, auditor))
        .await;
    let mut chunks = answer.unwrap().into_inner();
    let mut export = Vec::new();
    while let Some(chunk) = chunks.message().await.unwrap() {
        export.extend(chunk.chunk);
    }
    export
}

/// Exports the ledger and verifies it with the server's ledger key; returns the export.
pub async fn assert_verifies(api: &Api, auditor: &str) -> Vec<u8> {
    let export = export(api, auditor).await;
    let verifier = Verifier::parse(&trust(api).await.ledger_verifier_key).unwrap();
    verify_export(&export, &verifier).unwrap();
    export
}
