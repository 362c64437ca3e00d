//! Renews the token of a session by its refresh token, under the rule for every renewed sign-in:
//! the token of the sign-in still binds the key, and its age bounds the session.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use time::OffsetDateTime;

use super::{
    sessions::{Renewal, Session},
    site::Site,
};
use crate::{
    identity::code_flow::CodeError,
    server::lines::{LOG, causes},
};

/// Time after a provider did not answer in which it is not asked again for this session.
const PAUSE: Duration = Duration::from_secs(5);

/// Reason why there is no token that is good for a call.
pub(super) enum NotRenewed {
    /// The session is over.
    Over,
    /// The provider of this name does not answer.
    Unavailable(String),
}

/// The session of this cookie with a token that is good for a call: the session as it is, or
/// renewed.
///
/// # Errors
/// Returns [`NotRenewed`] if the token has expired and is not renewed.
pub(super) async fn current(
    site: &Site,
    cookie: &str,
    session: Arc<Session>,
    now: OffsetDateTime,
) -> Result<Arc<Session>, NotRenewed> {
    if !session.is_stale(now) {
        return Ok(session);
    }
    let is_over = session.identity.expires() <= now;
    match &session.renewal {
        Some(renewal) => {
            let renewed = renewed(site, cookie, renewal, now).await;
            match renewed {
                // It is good for a while yet.
                Err(_) if !is_over => Ok(session),
                renewed => renewed,
            }
        }
        None if is_over => Err(NotRenewed::Over),
        None => Ok(session),
    }
}

async fn renewed(
    site: &Site,
    cookie: &str,
    renewal: &Renewal,
    now: OffsetDateTime,
) -> Result<Arc<Session>, NotRenewed> {
    let mut failed = renewal.turn.lock().await;
    // Another call may have renewed it meanwhile, or ended it.
    let session = site.sessions.find(cookie, now);
    let session = session.ok_or(NotRenewed::Over)?;
    let Some(renewal) = session.renewal.as_ref().filter(|_| session.is_stale(now)) else {
        return Ok(session);
    };
    let unavailable = || NotRenewed::Unavailable(renewal.issuer.clone());
    if failed.is_some_and(|at| now < at + PAUSE) {
        return Err(unavailable());
    }
    match fetched(site, &session, renewal, now).await {
        Ok(renewed) => {
            let session = site.sessions.replace(cookie, renewed);
            session.ok_or(NotRenewed::Over)
        }
        Err(Failure::Absent) => {
            *failed = Some(now);
            Err(unavailable())
        }
        Err(Failure::Refused(why)) => {
            if LOG.admit("WEB_RENEWAL") {
                let issuer = &renewal.issuer;
                tracing::warn!(issuer, cause = why, "a session of the page is not renewed");
            }
            let rest = Session {
                identity: session.identity.clone(),
                token: session.token.clone(),
                original: session.original.clone(),
                renewal: None,
                commitment: session.commitment.clone(),
                is_auditor: AtomicBool::new(session.is_auditor.load(Ordering::Relaxed)),
            };
            let _ = site.sessions.replace(cookie, rest);
            Err(NotRenewed::Over)
        }
    }
}

enum Failure {
    /// The provider does not answer.
    Absent,
    /// The provider gives no good token for this refresh token any more.
    Refused(String),
}

async fn fetched(
    site: &Site,
    session: &Session,
    renewal: &Renewal,
    now: OffsetDateTime,
) -> Result<Session, Failure> {
    let gone = || Failure::Refused("its issuer is not configured any more".to_owned());
    let flow = site.clients.flow(&renewal.issuer).ok_or_else(gone)?;
    let tokens = flow.renewed_tokens(&renewal.refresh, &site.clients.redirect);
    let tokens = tokens.await.map_err(|error| match error {
        CodeError::Fetch(_) | CodeError::Down => Failure::Absent,
        CodeError::Refused(_) | CodeError::NoToken | CodeError::OtherIssuer => {
            Failure::Refused(causes(&error))
        }
    })?;
    let original = session.original.as_ref().unwrap_or(&session.token);
    let verified = site
        .issuers
        .verify_refreshed(&tokens.id_token, original, now);
    let identity = verified
        .await
        .map_err(|error| match error.is_unavailable() {
            true => Failure::Absent,
            false => Failure::Refused(causes(&error)),
        })?;
    Ok(Session {
        identity,
        original: Some(original.clone()),
        token: tokens.id_token,
        renewal: Some(Renewal {
            refresh: tokens.refresh.unwrap_or_else(|| renewal.refresh.clone()),
            ..renewal.clone()
        }),
        commitment: session.commitment.clone(),
        is_auditor: AtomicBool::new(session.is_auditor.load(Ordering::Relaxed)),
    })
}
