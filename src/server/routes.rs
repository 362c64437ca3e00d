//! Routes of the port: gRPC services and plain answers.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use http::{StatusCode, Version};
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tonic_reflection::server::Builder;

use super::{error::Error, isolation::is_grpc, plain, services::Services};
use crate::proto::{
    FILE_DESCRIPTOR_SET,
    v1::{
        admin_server::AdminServer, hosts_server::HostsServer, ledger_server::LedgerServer,
        passes_server::PassesServer, requests_server::RequestsServer, trust_server::TrustServer,
    },
};

/// Builds the routes: gRPC services over HTTP/2, plain answers over HTTP/1.1 and HTTP/2.
///
/// # Errors
/// [`Error::Reflection`] if the compiled-in descriptors are invalid.
pub(super) fn routes(
    services: &Arc<Services>,
    message_bytes: usize,
    health: HealthReporter,
    pages: plain::Pages,
) -> Result<Router, Error> {
    let passes = PassesServer::from_arc(services.clone()).max_decoding_message_size(message_bytes);
    let trust = TrustServer::from_arc(services.clone()).max_decoding_message_size(message_bytes);
    let ledger = LedgerServer::from_arc(services.clone()).max_decoding_message_size(message_bytes);
    let requests =
        RequestsServer::from_arc(services.clone()).max_decoding_message_size(message_bytes);
    let admin = AdminServer::from_arc(services.clone()).max_decoding_message_size(message_bytes);
    let hosts = HostsServer::from_arc(services.clone()).max_decoding_message_size(message_bytes);
    let health = HealthServer::new(HealthService::from_health_reporter(health))
        .max_decoding_message_size(message_bytes);
    let grpc = Routes::new(passes)
        .add_service(trust)
        .add_service(ledger)
        .add_service(requests)
        .add_service(admin)
        .add_service(hosts)
        .add_service(health)
        .add_service(
            reflection()
                .build_v1()?
                .max_decoding_message_size(message_bytes),
        )
        .add_service(
            reflection()
                .build_v1alpha()?
                .max_decoding_message_size(message_bytes),
        )
        .into_axum_router()
        .layer(from_fn(only_http2));
    Ok(plain::routes(services.clone(), pages)
        .merge(grpc)
        .fallback(unknown)
        .with_state(()))
}

fn reflection() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Refuses gRPC over HTTP/1.1: trailers carry its status, so it needs HTTP/2.
async fn only_http2(request: Request, next: Next) -> Response {
    match request.version() {
        Version::HTTP_2 => next.run(request).await,
        _ => (
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "gRPC needs HTTP/2\n",
        )
            .into_response(),
    }
}

async fn unknown(request: Request) -> Response {
    match is_grpc(request.headers()) {
        true => tonic::Status::unimplemented("no such method").into_http(),
        false => (StatusCode::NOT_FOUND, "no such page\n").into_response(),
    }
}
