//! Translates identities, asks and grants into the ledger's events, and back. Pure.

use std::{collections::BTreeSet, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};

use ssh_key::PublicKey;

use crate::{
    ca::Draft,
    identity::{self, Binding, Identity, KeyHolder},
    ledger::{
        consent, emergency,
        event::{Actor, Issued, OnBehalf, RequestDetails, Requested, RequestedJumpHost, bounds},
        state::Request,
    },
    policy::{
        Ask, AuthMethod, Context, Grant, Pending, Person, Restriction,
        bastion::{JumpHost, JumpHostLimit},
    },
    ssh::key::fingerprint,
    ssh::options::Extension,
    ssh::sshsig,
    unix_seconds::UnixSeconds,
};

/// Fields that the events of one issuance share.
pub(super) struct Basis<'a> {
    pub(super) holder: &'a KeyHolder,
    pub(super) ask: &'a Ask,
    pub(super) context: Context,
    /// The hash of the policy that decided.
    pub(super) policy: &'a str,
}

impl Basis<'_> {
    /// The request for everything that `pending` would grant.
    pub(super) fn requested(&self, pending: &Pending) -> Requested {
        let now = UnixSeconds::from(self.context.now);
        Requested {
            who: who(self.holder.identity()),
            ask: asked(self.ask, self.context),
            key: fingerprint(self.holder.key()),
            needed: pending.count(),
            expires_at: now.saturating_add(pending.within()),
            permissions: pending.permissions().clone(),
            ttl_seconds: pending.ttl().as_secs(),
            policy: self.policy.to_owned(),
            through: pending.jump_host().map(through),
        }
    }

    /// The event of the pass that `draft` will be. The store's writer fills in the hash of the
    /// bytes to be signed, because it covers the serial.
    pub(super) fn issued(&self, grant: &Grant, draft: &Draft) -> Issued {
        let identity = self.holder.identity();
        Issued {
            who: who(identity),
            ask: asked(self.ask, self.context),
            key: draft.key_fingerprint().to_owned(),
            binding: binding_word(identity).to_owned(),
            key_id: draft.key_id().to_owned(),
            permissions: grant.permissions().clone(),
            valid_after: draft.valid_after(),
            valid_before: draft.valid_before(),
            policy: self.policy.to_owned(),
            ca: draft.ca_fingerprint().to_owned(),
            to_be_signed: String::new(),
            emergency_proof: identity.emergency().map(emergency_proof),
            jump: None,
            on_behalf: self.on_behalf(),
        }
    }
}

impl Basis<'_> {
    /// The identity that asked, and the holder's consent: the ledger alone proves it.
    fn on_behalf(&self) -> Option<Box<OnBehalf>> {
        let on_behalf = self.holder.on_behalf()?;
        // Keys that signed have been read from this form, so they have it.
        let text = |key: &PublicKey| key.to_openssh().unwrap_or_default();
        Some(Box::new(OnBehalf {
            by: who(on_behalf.by()),
            binding: binding_word(on_behalf.by()).to_owned(),
            subject_key: text(self.holder.key()),
            token: base16ct::lower::encode_string(self.holder.identity().token_hash()),
            until: on_behalf.until(),
            key: text(on_behalf.key()),
            signature: sshsig::compact(on_behalf.signature()),
        }))
    }
}

/// The canonical bytes of an ask, as the ledger makes them again from its event.
pub(super) fn ask_bytes(ask: &Ask, context: Context) -> Vec<u8> {
    consent::ask_bytes(&asked(ask, context))
}

/// The identity, with the claims that the policy saw.
pub(super) fn who(identity: &Identity) -> Actor {
    Actor {
        issuer: identity.issuer().to_owned(),
        subject: identity.subject().to_owned(),
        label: identity.label().to_owned(),
        claims: identity.shared_claims().into(),
    }
}

/// The ask as the caller sent it.
pub(super) fn asked(ask: &Ask, context: Context) -> RequestDetails {
    RequestDetails {
        role: ask.role.clone(),
        host: ask.host.clone(),
        params: ask.params.clone(),
        reason: ask.reason.clone(),
        ttl_seconds: ask.ttl.map(|ttl| ttl.as_secs()),
        source_addresses: ask.source.iter().map(ToString::to_string).collect(),
        extensions: extension_words(&ask.extensions),
        caller: context.caller.map(|address| address.to_string()),
        request: ask.request,
        emergency: ask.emergency,
    }
}

/// Refuses an ask or claims that the ledger could not hold whole: more than [`bounds::ASK_BYTES`]
/// or [`bounds::CLAIMS_BYTES`].
///
/// # Errors
/// Returns a sentence for the caller.
pub(super) fn expect_recordable(
    identity: &Identity,
    by: Option<&Identity>,
    ask: &Ask,
    context: Context,
) -> Result<(), String> {
    let size = bounds::stored(&asked(ask, context));
    if size > bounds::ASK_BYTES {
        return Err(format!(
            "the ask takes {size} bytes in the ledger, and at most {} are kept: shorten its reason and parameters",
            bounds::ASK_BYTES
        ));
    }
    let sizes = [Some(identity), by].into_iter().flatten();
    let size = sizes.map(|it| bounds::stored(it.claims())).max();
    let size = size.unwrap_or_default();
    if size > bounds::CLAIMS_BYTES {
        return Err(format!(
            "the claims of a token take {size} bytes in the ledger, and at most {} are kept: let the issuer send fewer",
            bounds::CLAIMS_BYTES
        ));
    }
    Ok(())
}

/// Refuses a force-command that takes more than [`bounds::COMMAND_BYTES`] in the ledger.
///
/// # Errors
/// Returns a sentence for the caller.
pub(super) fn expect_recordable_command(command: Option<&str>) -> Result<(), String> {
    let size = command.map_or(0, |command| bounds::stored(&command));
    match size > bounds::COMMAND_BYTES {
        true => Err(format!(
            "the command takes {size} bytes in the ledger, and at most {} are kept: shorten the parameters",
            bounds::COMMAND_BYTES
        )),
        false => Ok(()),
    }
}

/// The approver of a request, with the claims of that time. `None` if the ledger has no claims.
pub(super) fn person(approver: &Actor) -> Option<Person<'_>> {
    Some(Person {
        issuer: &approver.issuer,
        subject: &approver.subject,
        claims: approver.claims.members()?,
        auth_method: AuthMethod::Token,
    })
}

/// A recorded ask, for the conditions that judge it again.
pub(super) fn ask(asked: &RequestDetails) -> Ask {
    Ask {
        role: asked.role.clone(),
        host: asked.host.clone(),
        params: asked.params.clone(),
        reason: asked.reason.clone(),
        ..Ask::default()
    }
}

/// The approved permissions, as a restriction: a policy that gives more now does not widen them.
pub(super) fn approved(request: &Request) -> Restriction {
    let asked = request.requested.as_deref();
    asked.map(rights).unwrap_or_default()
}

/// The permissions of a request's pass, as a restriction.
pub(super) fn rights(asked: &Requested) -> Restriction {
    Restriction {
        jump_host: jump_host(asked.through.as_ref()),
        ..Restriction::to(&asked.permissions, Duration::from_secs(asked.ttl_seconds))
    }
}

fn through(jump_host: &JumpHost) -> RequestedJumpHost {
    RequestedJumpHost {
        bastion: jump_host.bastion.clone(),
        principals: jump_host.principals().clone(),
        source_addresses: jump_host.source().cloned(),
    }
}

/// A request that was approved without a bastion gives no jump pass.
fn jump_host(through: Option<&RequestedJumpHost>) -> JumpHostLimit {
    let Some(through) = through else {
        return JumpHostLimit::Direct;
    };
    JumpHostLimit::Through {
        bastion: through.bastion.clone(),
        principals: through.principals.clone(),
        source: through.source_addresses.clone(),
    }
}

/// The signatures by registered keys: the ledger alone proves them.
fn emergency_proof(proven: &identity::emergency::Emergency) -> Box<emergency::Proof> {
    let signatures = proven.signers().iter().map(|signer| {
        let person = &signer.person;
        emergency::Signature {
            who: Actor {
                issuer: person.issuer.clone(),
                subject: person.subject.clone(),
                label: person.label.clone(),
                claims: serde_json::Value::Object(person.claims.clone()).into(),
            },
            // A registered key was read from this form, so it has it.
            key: signer.key.to_openssh().unwrap_or_default(),
            signature: sshsig::compact(&signer.signature),
        }
    });
    Box::new(emergency::Proof {
        challenge: proven.challenge().to_owned(),
        message: STANDARD.encode(proven.message()),
        signatures: signatures.collect(),
    })
}

fn extension_words(extensions: &BTreeSet<Extension>) -> Vec<String> {
    extensions
        .iter()
        .map(|extension| extension.as_str().to_owned())
        .collect()
}

fn binding_word(identity: &Identity) -> &'static str {
    if identity.emergency().is_some() {
        return emergency::BINDING;
    }
    match identity.binding() {
        Binding::Nonce if identity.is_refreshed() => "refreshed",
        Binding::Nonce => "nonce",
        Binding::Audience => "audience",
        Binding::None => "none",
    }
}
