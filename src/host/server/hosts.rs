//! The server's `Hosts` service: gRPC over the HTTPS client that fetches its files, so that roots,
//! proxies and deadlines are the same.

use std::{
    error::Error as _,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll},
};

use reqwest::Client;
use tonic::{Code, Request, Status, body::Body, metadata::MetadataValue};
use tower::Service;
use url::Url;

use super::{Server, explain, most_telling, unreachable};
use crate::{
    host::{Error, error::Declined},
    proto::{
        status::Details,
        v1::{
            GetTrustRequest, GetTrustResponse, JoinHostRequest, JoinHostResponse,
            ReportLoginsRequest, ReportLoginsResponse, SyncHostRequest, SyncHostResponse,
            hosts_client::HostsClient, trust_client::TrustClient,
        },
    },
};

/// Bytes of a message to the server at most; it takes no more.
const LARGEST: usize = 64 * 1024;

impl Server {
    /// What the server says of itself. Its name is checked: it must be that of its address.
    ///
    /// # Errors
    /// Returns [`Error::Unreachable`] if it does not answer, and [`Error::Declined`] if it gives
    /// another name or knows no hosts.
    pub(crate) async fn trust(&self) -> Result<GetTrustResponse, Error> {
        let answer = self
            .ask(async |channel, origin| {
                let mut client = TrustClient::with_origin(channel, origin);
                client.get_trust(GetTrustRequest {}).await
            })
            .await?;
        let name = &answer.server_name;
        let is_named = |url: &Url| {
            url.host_str()
                .is_some_and(|it| it.eq_ignore_ascii_case(name))
        };
        if !self.urls.iter().any(is_named) {
            return Err(Declined::other(format!(
                "the server calls itself {name:?}, and its address is {}",
                self.address()
            ))
            .into());
        }
        Ok(answer)
    }

    /// Joins.
    ///
    /// # Errors
    /// As [`Server::trust`]; [`Error::Declined`] has the server's reason.
    pub(crate) async fn join(&self, request: JoinHostRequest) -> Result<JoinHostResponse, Error> {
        self.ask(async |channel, origin| {
            let mut client = HostsClient::with_origin(channel, origin);
            client.join(request.clone()).await
        })
        .await
    }

    /// Joins with an ID token, which is marked as sensitive, so that no logger prints it.
    ///
    /// # Errors
    /// As [`Server::join`]; [`Error::Usage`] if the token has bytes that no token has.
    pub(crate) async fn join_with(
        &self,
        request: JoinHostRequest,
        token: &str,
    ) -> Result<JoinHostResponse, Error> {
        let mut bearer = MetadataValue::try_from(format!("Bearer {token}")).map_err(|_| {
            Error::Usage(
                "the file of --join-token-file has no token: a token is one line".to_owned(),
            )
        })?;
        bearer.set_sensitive(true);
        self.ask(async |channel, origin| {
            let mut client = HostsClient::with_origin(channel, origin);
            let mut request = Request::new(request.clone());
            let metadata = request.metadata_mut();
            metadata.insert("authorization", bearer.clone());
            client.join(request).await
        })
        .await
    }

    /// Reports.
    ///
    /// # Errors
    /// As [`Server::join`].
    pub(crate) async fn sync(&self, request: SyncHostRequest) -> Result<SyncHostResponse, Error> {
        self.ask(async |channel, origin| {
            let mut client = HostsClient::with_origin(channel, origin);
            client.sync(request.clone()).await
        })
        .await
    }

    /// Reports logins.
    ///
    /// # Errors
    /// As [`Server::join`].
    pub(crate) async fn report_logins(
        &self,
        request: ReportLoginsRequest,
    ) -> Result<ReportLoginsResponse, Error> {
        let is_old = AtomicBool::new(false);
        let answer = self.ask(async |channel, origin| {
            let mut client = HostsClient::with_origin(channel, origin);
            let answer = client.report_logins(request.clone()).await;
            answer.inspect_err(|status| is_old.store(lacks_method(status), Ordering::Relaxed))
        });
        match answer.await {
            Err(Error::Declined(_)) if is_old.load(Ordering::Relaxed) => {
                let old = "the server is older than reports of logins: upgrade it";
                Err(Declined::other(old.to_owned()).into())
            }
            answer => answer,
        }
    }

    /// Asks one address after the other, the one that answered last first, until one answers. A
    /// refusal is an answer.
    async fn ask<T>(
        &self,
        call: impl AsyncFn(Channel, http::Uri) -> Result<tonic::Response<T>, Status>,
    ) -> Result<T, Error> {
        let last = self.answered.load(Ordering::Relaxed);
        let mut urls: Vec<(usize, &Url)> = self.urls.iter().enumerate().collect();
        urls.sort_by_key(|(number, _)| *number != last);
        let mut failures = Vec::new();
        for (number, url) in urls {
            let origin = url.as_str().parse::<http::Uri>();
            let origin = origin.map_err(|error| unreachable(url, &error.to_string()))?;
            match call(Channel(self.grpc.clone()), origin).await {
                Ok(answer) => {
                    self.answered.store(number, Ordering::Relaxed);
                    return Ok(answer.into_inner());
                }
                Err(status) => match self.failure(url, &status) {
                    error @ Error::Declined(_) => return Err(error),
                    error => failures.push(error),
                },
            }
        }
        Err(most_telling(failures))
    }

    /// The error of a call: the server's refusal, or that it cannot be reached.
    fn failure(&self, url: &Url, status: &Status) -> Error {
        if let Some(declined) = Declined::of(status) {
            return declined.into();
        }
        let mut cause = status.source();
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<reqwest::Error>() {
                return explain(url, &self.setup, error);
            }
            cause = error.source();
        }
        unreachable(url, status.message())
    }
}

/// Whether the server is of a release without this method: it then answers without details.
fn lacks_method(status: &Status) -> bool {
    status.code() == Code::Unimplemented && Details::of(status).is_none()
}

/// The way of one gRPC call.
#[derive(Clone)]
struct Channel(Client);

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<reqwest::Body>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let client = self.0.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(axum::body::Body::new(body), LARGEST).await?;
            let request = http::Request::from_parts(head, reqwest::Body::from(body));
            let response = client.execute(request.try_into()?).await?;
            Ok(response.into())
        })
    }
}
