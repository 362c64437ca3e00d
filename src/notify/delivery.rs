//! One attempt to deliver a notification to one receiver: an HTTPS request of bounded time, to an
//! allowed address.
//!
//! It follows no redirect, uses no proxy of the environment and reads no byte of an answer's body:
//! the status decides.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use reqwest::{
    Client, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header::CONTENT_TYPE,
    redirect, retry,
};
use time::OffsetDateTime;

use super::{
    address::Transport,
    kind::NotificationKind,
    notification::Notification,
    settings::{Format, Settings},
    signature,
};

/// The most characters of a failure that are kept.
const LONGEST: usize = 160;

/// A webhook that is ready for deliveries.
#[derive(Debug)]
pub(crate) struct Receiver {
    settings: Arc<Settings>,
    client: Client,
    /// The address of the server's page; none if it has no page.
    page: Option<String>,
}

/// Reason why a webhook cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to set up webhook {name:?}: {problem}")]
pub struct SetUpError {
    name: String,
    problem: String,
}

/// Reason why a delivery failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The receiver did not answer in time.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// The receiver answered with a redirect.
    #[error("answered {0}, and redirects are not followed: configure the address that it has now")]
    Redirect(StatusCode),
    /// The receiver answered with another status than 2xx.
    #[error("answered {0}")]
    Status(StatusCode),
    /// No connection, or no allowed address.
    #[error("{0}")]
    Connection(String),
    /// The event could not be read or written.
    #[error("failed to read the ledger: {0}")]
    Ledger(String),
}

impl Failure {
    /// The status of the receiver's answer, if it gave one.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Redirect(status) | Self::Status(status) => Some(*status),
            Self::Timeout(_) | Self::Connection(_) | Self::Ledger(_) => None,
        }
    }
}

impl Receiver {
    /// Sets up TLS and the rules for addresses. Opens no connection.
    ///
    /// # Errors
    /// Returns an error if the roots are not usable.
    pub(crate) fn new(settings: Settings) -> Result<Self, SetUpError> {
        let settings = Arc::new(settings);
        let client = client(&settings).map_err(|error| SetUpError {
            name: settings.name.clone(),
            problem: cause(&error),
        })?;
        let page = None;
        Ok(Self {
            settings,
            client,
            page,
        })
    }

    /// Lets notifications about requests link to the page at this address.
    pub(crate) fn linking(self, page: Option<String>) -> Self {
        Self { page, ..self }
    }

    /// The webhook's name.
    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    /// True if it takes events of this kind.
    pub(crate) fn takes(&self, kind: NotificationKind) -> bool {
        self.settings.events.contains(&kind)
    }

    /// Delivers a notification once. `id` is the same at every attempt.
    ///
    /// # Errors
    /// Returns an error for any answer but a 2xx, and if there is none in time.
    pub(super) async fn tell(
        &self,
        id: &str,
        notification: &Notification<'_>,
        now: OffsetDateTime,
    ) -> Result<(), Failure> {
        self.send(id, notification, now).await.map(|_| ())
    }

    /// As [`Receiver::tell`]; returns the status.
    pub(super) async fn send(
        &self,
        id: &str,
        notification: &Notification<'_>,
        now: OffsetDateTime,
    ) -> Result<StatusCode, Failure> {
        let notification = &Notification {
            page: self.page.as_deref(),
            ..*notification
        };
        let body = match self.settings.format {
            Format::Daypass => notification
                .json()
                .map_err(|error| Failure::Ledger(error.to_string()))?,
            Format::Chat => notification.chat(),
        };
        let timestamp = now.unix_timestamp();
        let mut request = self
            .client
            .post(self.settings.endpoint.url().clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp);
        if !self.settings.secrets.is_empty() {
            let signature = signature::header(&self.settings.secrets, id, timestamp, &body);
            request = request.header("webhook-signature", signature);
        }
        let answer = request.body(body).send().await;
        match answer.map(|answer| answer.status()) {
            Ok(status) if status.is_success() => Ok(status),
            Ok(status) if status.is_redirection() => Err(Failure::Redirect(status)),
            Ok(status) => Err(Failure::Status(status)),
            Err(error) if error.is_timeout() => Err(Failure::Timeout(self.settings.timeout)),
            Err(error) => Err(Failure::Connection(cause(&error))),
        }
    }
}

fn client(settings: &Arc<Settings>) -> Result<Client, reqwest::Error> {
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .http1_only()
        .pool_max_idle_per_host(0)
        .timeout(settings.timeout)
        .dns_resolver(Arc::new(Guarded(settings.clone())))
        .user_agent(concat!("daypass/", env!("CARGO_PKG_VERSION")));
    builder = match (settings.endpoint.transport(), &settings.ca_certificates) {
        (Transport::Plain, _) => builder.tls_certs_only([]),
        (Transport::Tls, None) => builder.https_only(true),
        (Transport::Tls, Some(pem)) => {
            let roots = reqwest::Certificate::from_pem_bundle(pem)?;
            builder.https_only(true).tls_certs_merge(roots)
        }
    };
    builder.build()
}

/// Resolves a receiver's name, and refuses addresses that the settings forbid. An address in the
/// URL itself is not resolved: the operator who wrote it has allowed it.
struct Guarded(Arc<Settings>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let settings = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            let addresses: Vec<_> = found.iter().map(SocketAddr::ip).collect();
            settings.judge(&addresses)?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The innermost cause, which names no URL, on one bounded line.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = match std::ptr::eq(
        std::ptr::from_ref(cause).cast::<u8>(),
        std::ptr::from_ref(error).cast::<u8>(),
    ) {
        true => "the connection broke".to_owned(),
        false => cause.to_string(),
    };
    let printable = text.chars().filter(|character| !character.is_control());
    printable.take(LONGEST).collect()
}
