//! Conversion of webhooks between the wire's types and the domain's. Pure.

use super::bounds::{Malformed, missing, text};
use crate::{
    operations::webhooks::{DeadLetter, DeliveryReport, TestReport, Which},
    proto::v1::{self, retry_webhooks_request},
    unix_seconds::UnixSeconds,
};

/// Most bytes of a webhook's name: more than any configured name has.
const NAME_BYTES: usize = 128;

/// Converts a webhook's name.
pub(in crate::server) fn name(wire: &str) -> Result<String, Malformed> {
    text("name", wire, NAME_BYTES)?.ok_or(missing("name"))
}

/// Converts the receiver's answer to a test.
pub(in crate::server) fn tested(report: TestReport) -> v1::TestWebhookResponse {
    v1::TestWebhookResponse {
        status: report.status.map_or(0, u32::from),
        error: report.error.unwrap_or_default(),
        milliseconds: u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
    }
}

/// Converts the selection of dead letters of one webhook.
pub(in crate::server) fn retry(
    wire: &v1::RetryWebhooksRequest,
) -> Result<(String, Which), Malformed> {
    let name = name(&wire.name)?;
    match wire.which {
        Some(retry_webhooks_request::Which::Index(index)) => Ok((name, Which::Index(index))),
        Some(retry_webhooks_request::Which::All(true)) => Ok((name, Which::All)),
        Some(retry_webhooks_request::Which::All(false)) | None => Err(missing("which")),
    }
}

/// Converts a webhook's delivery report.
pub(in crate::server) fn webhook(report: DeliveryReport) -> v1::Webhook {
    v1::Webhook {
        name: report.name,
        delivered: report.delivered,
        pending: report.pending,
        last_error: report.last_error.unwrap_or_default(),
        dead: report.dead.into_iter().map(dead_letter).collect(),
        deliverer: report.deliverer.unwrap_or_default(),
    }
}

fn dead_letter(dead: DeadLetter) -> v1::DeadLetter {
    v1::DeadLetter {
        index: dead.index,
        r#type: dead.kind.as_str().to_owned(),
        attempts: dead.attempts,
        error: dead.error,
        at: UnixSeconds::from(dead.at).get(),
    }
}
