//! Identities, asks and grants as the ledger names them. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use time::OffsetDateTime;

use crate::{
    ca::{Draft, draft::fingerprint},
    identity::{self, Binding, Holder, Identity},
    ledger::{
        approval, emergency,
        event::{Asked, Issued, Requested, Through, Who},
        standing::Request,
    },
    policy::{
        Ask, Context, Extension, Grant, Pending, Restriction,
        bastion::{Passage, Way},
    },
};

/// The most bytes of one text of an ask that the ledger keeps: enough for every honest one.
const MAX_TEXT: usize = 1024;

/// The most parameters, addresses or extensions of an ask that the ledger keeps.
const MAX_ITEMS: usize = 64;

/// The identity, with the claims that the policy saw.
pub(super) fn who(identity: &Identity) -> Who {
    Who {
        issuer: identity.issuer().to_owned(),
        subject: identity.subject().to_owned(),
        label: identity.label().to_owned(),
        claims: serde_json::Value::Object(identity.claims().clone()),
    }
}

/// The ask as it was given, with nothing in it longer than the ledger keeps.
pub(super) fn asked(ask: &Ask, context: Context) -> Asked {
    bounded(Asked {
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
    })
}

/// `asked` with nothing in it longer than the ledger keeps, so that nobody can fill it with their asks.
fn bounded(asked: Asked) -> Asked {
    let items = |list: Vec<String>| list.into_iter().take(MAX_ITEMS).map(shortened).collect();
    Asked {
        role: shortened(asked.role),
        host: asked.host.map(shortened),
        params: asked
            .params
            .into_iter()
            .take(MAX_ITEMS)
            .map(|(name, value)| (shortened(name), shortened(value)))
            .collect::<BTreeMap<_, _>>(),
        reason: asked.reason.map(shortened),
        ttl_seconds: asked.ttl_seconds,
        source_addresses: items(asked.source_addresses),
        extensions: items(asked.extensions),
        caller: asked.caller.map(shortened),
        request: asked.request,
        emergency: asked.emergency,
    }
}

/// A recorded ask, for the conditions that judge it again.
pub(super) fn ask(asked: &Asked) -> Ask {
    Ask {
        role: asked.role.clone(),
        host: asked.host.clone(),
        params: asked.params.clone(),
        reason: asked.reason.clone(),
        ..Ask::default()
    }
}

/// The request for all that `pending` would grant.
pub(super) fn requested(
    holder: &Holder,
    asked: Asked,
    pending: &Pending,
    policy: &str,
    now: OffsetDateTime,
) -> Requested {
    let now = u64::try_from(now.unix_timestamp()).unwrap_or(0);
    Requested {
        who: who(holder.identity()),
        ask: asked,
        key: fingerprint(holder.key()),
        needed: pending.count(),
        expires_at: now.saturating_add(pending.within().as_secs()),
        principals: pending.principals().iter().cloned().collect(),
        command: pending.command().map(str::to_owned),
        source_addresses: pending.source().map(networks),
        extensions: extension_words(pending.extensions()),
        ttl_seconds: pending.ttl().as_secs(),
        policy: policy.to_owned(),
        through: pending.way().map(through),
    }
}

/// What was approved, as a restriction: a policy that has grown since gives no more.
pub(super) fn approved(request: &Request) -> Restriction {
    let asked = request.requested.as_deref();
    asked.map(rights).unwrap_or_default()
}

/// What a request's pass would be, as a restriction.
pub(super) fn rights(asked: &Requested) -> Restriction {
    let words = asked.extensions.iter();
    let addresses = asked.source_addresses.as_ref();
    Restriction {
        principals: Some(asked.principals.iter().cloned().collect()),
        command: asked.command.clone(),
        source: addresses.map(|list| parsed(list)),
        extensions: Some(
            words
                .filter_map(|word| Extension::from_word(word))
                .collect(),
        ),
        ttl: Some(Duration::from_secs(asked.ttl_seconds)),
        passage: passage(asked.through.as_ref()),
    }
}

fn through(way: &Way) -> Through {
    Through {
        bastion: way.bastion.clone(),
        principals: way.principals().iter().cloned().collect(),
        source_addresses: way.source().map(networks),
    }
}

/// A request that was approved without a bastion opens no way through one.
fn passage(through: Option<&Through>) -> Passage {
    let Some(through) = through else {
        return Passage::Direct;
    };
    Passage::Through {
        bastion: through.bastion.clone(),
        principals: through.principals.iter().cloned().collect(),
        source: through.source_addresses.as_deref().map(parsed),
    }
}

fn parsed(list: &[String]) -> BTreeSet<ipnet::IpNet> {
    list.iter().filter_map(|text| text.parse().ok()).collect()
}

fn networks(list: &BTreeSet<ipnet::IpNet>) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

/// All of the pass that `draft` will be. The writer fills in the hash, for it covers the serial.
pub(super) fn issued(
    holder: &Holder,
    asked: Asked,
    grant: &Grant,
    draft: &Draft,
    policy: &str,
) -> Issued {
    Issued {
        who: who(holder.identity()),
        ask: asked,
        key: draft.key_fingerprint().to_owned(),
        binding: binding_word(holder.identity()).to_owned(),
        key_id: draft.key_id().to_owned(),
        principals: grant.principals().iter().cloned().collect(),
        command: grant.command().map(str::to_owned),
        source_addresses: grant.source().map(networks),
        extensions: extension_words(grant.extensions()),
        valid_after: draft.valid_after(),
        valid_before: draft.valid_before(),
        policy: policy.to_owned(),
        ca: draft.ca_fingerprint().to_owned(),
        to_be_signed: String::new(),
        emergency_proof: holder.identity().emergency().map(emergency_proof),
        jump: None,
    }
}

/// What registered keys signed, so that the ledger alone shows it.
fn emergency_proof(proven: &identity::emergency::Emergency) -> Box<emergency::Proof> {
    let signatures = proven.signers().iter().map(|signer| {
        let person = &signer.person;
        emergency::Signature {
            who: Who {
                issuer: person.issuer.clone(),
                subject: person.subject.clone(),
                label: person.label.clone(),
                claims: serde_json::Value::Object(person.claims.clone()),
            },
            // A registered key was read from this very form.
            key: signer.key.to_openssh().unwrap_or_default(),
            signature: approval::compact(&signer.signature),
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
        .map(|extension| extension.word().to_owned())
        .collect()
}

fn binding_word(identity: &Identity) -> &'static str {
    if identity.emergency().is_some() {
        return emergency::BINDING;
    }
    match identity.binding() {
        Binding::Nonce => "nonce",
        Binding::Audience => "audience",
        Binding::None => "none",
    }
}

/// `text`, cut where it is longer than the ledger keeps.
pub(super) fn shortened(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_recorded_ask_is_longer_than_the_ledger_keeps() {
        let long = "\u{20ac}".repeat(20_000);
        let many = (0..200).map(|n| (format!("p{n:03}"), long.clone()));
        let asked = bounded(Asked {
            role: long.clone(),
            host: Some(long.clone()),
            params: many.collect(),
            reason: Some(long.clone()),
            ttl_seconds: Some(u64::MAX),
            source_addresses: vec![long.clone(); 100],
            extensions: vec![long.clone(); 100],
            caller: None,
            request: None,
            emergency: false,
        });
        assert!(asked.role.len() <= MAX_TEXT + 3);
        assert!(
            asked
                .reason
                .is_some_and(|reason| reason.len() <= MAX_TEXT + 3)
        );
        assert_eq!(asked.params.len(), MAX_ITEMS);
        assert!(asked.params.values().all(|value| value.ends_with("...")));
        assert_eq!(asked.source_addresses.len(), MAX_ITEMS);
    }
}
