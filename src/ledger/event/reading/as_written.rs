//! Reads passes and denials exactly as a daemon writes them: members in their order, without
//! blanks. Pure.
//!
//! It only saves time. The other readers see the same in each leaf that is read here, and anything
//! unusual is left to them: `None` is no verdict.

use super::cursor::Cursor;
use crate::{
    ledger::event::{Actor, Event, EventKind, Issued, Jump, RequestDetails},
    ssh::{options::Extension, permissions::Permissions},
    unix_seconds::UnixSeconds,
};

/// The event of this leaf; none if another reader must read it.
pub(in crate::ledger::event) fn as_written(leaf: &str) -> Option<Event> {
    let mut rest = Cursor::new(leaf);
    rest.expect(r#"{"index":"#)?;
    let index = rest.number()?;
    rest.expect(r#","at":"#)?;
    let at = rest.time()?;
    rest.expect(r#","type":""#)?;
    let what = if rest.skip(r#"issued","#) {
        EventKind::Issued(Box::new(issued(&mut rest)?))
    } else if rest.skip(r#"denied","#) {
        denied(&mut rest)?
    } else {
        return None;
    };
    rest.expect("}")?;
    rest.is_at_end().then_some(Event { index, at, what })
}

fn issued(rest: &mut Cursor<'_>) -> Option<Issued> {
    rest.expect(r#""who":"#)?;
    let who = actor(rest)?;
    rest.expect(r#","ask":"#)?;
    Some(Issued {
        who,
        ask: ask(rest)?,
        key: rest.member(r#","key":"#)?,
        binding: rest.member(r#","binding":"#)?,
        key_id: rest.member(r#","key_id":"#)?,
        permissions: permissions(rest)?,
        valid_after: seconds(rest, r#","valid_after":"#)?,
        valid_before: seconds(rest, r#","valid_before":"#)?,
        policy: rest.member(r#","policy":"#)?,
        ca: rest.member(r#","ca":"#)?,
        to_be_signed: rest.member(r#","to_be_signed":"#)?,
        // A pass with one, or on behalf of a user, is rare. Its bracket does not end where this
        // reader expects it, so another one reads it.
        emergency_proof: None,
        jump: jump(rest)?,
        on_behalf: None,
    })
}

fn denied(rest: &mut Cursor<'_>) -> Option<EventKind> {
    rest.expect(r#""who":"#)?;
    let who = actor(rest)?;
    rest.expect(r#","ask":"#)?;
    let ask = ask(rest)?;
    rest.expect(r#","key":"#)?;
    let key = match rest.skip("null") {
        true => None,
        false => Some(rest.text()?),
    };
    Some(EventKind::Denied {
        who,
        ask,
        key,
        reason: rest.member(r#","reason":"#)?,
        detail: rest.member(r#","detail":"#)?,
        policy: rest.member(r#","policy":"#)?,
        cut: rest.skip(r#","cut":true"#),
        unbound: rest.skip(r#","unbound":true"#),
        by: None,
    })
}

fn actor(rest: &mut Cursor<'_>) -> Option<Actor> {
    let issuer = rest.member(r#"{"issuer":"#)?;
    let subject = rest.member(r#","subject":"#)?;
    let label = rest.member(r#","label":"#)?;
    rest.expect(r#","claims":"#)?;
    let claims = rest.claims()?;
    rest.expect("}")?;
    Some(Actor {
        issuer,
        subject,
        label,
        claims,
    })
}

fn ask(rest: &mut Cursor<'_>) -> Option<RequestDetails> {
    let ask = RequestDetails {
        role: rest.member(r#"{"role":"#)?,
        host: rest.optional(r#","host":"#)?,
        params: match rest.skip(r#","params":"#) {
            true => rest.json()?,
            false => Default::default(),
        },
        reason: rest.optional(r#","reason":"#)?,
        ttl_seconds: optional_number(rest, r#","ttl_seconds":"#)?,
        source_addresses: optional_texts(rest, r#","source_addresses":"#)?,
        extensions: optional_texts(rest, r#","extensions":"#)?,
        caller: rest.optional(r#","caller":"#)?,
        request: optional_number(rest, r#","request":"#)?,
        emergency: rest.skip(r#","emergency":true"#),
    };
    rest.expect("}")?;
    Some(ask)
}

fn permissions(rest: &mut Cursor<'_>) -> Option<Permissions> {
    rest.expect(r#","principals":"#)?;
    let principals = rest.texts()?.into_iter().collect();
    let force_command = rest.optional(r#","command":"#)?;
    let source_addresses = match rest.skip(r#","source_addresses":"#) {
        true => Some(rest.json()?),
        false => None,
    };
    rest.expect(r#","extensions":"#)?;
    let extensions = rest.texts()?.into_iter().map(Extension::from).collect();
    Some(Permissions {
        principals,
        force_command,
        source_addresses,
        extensions,
        verify_required: rest.skip(r#","verify_required":true"#),
    })
}

fn jump(rest: &mut Cursor<'_>) -> Option<Option<Jump>> {
    if !rest.skip(r#","jump":"#) {
        return Some(None);
    }
    let bastion = rest.member(r#"{"bastion":"#)?;
    rest.expect(r#","pass":"#)?;
    let pass = rest.number()?;
    rest.expect("}")?;
    Some(Some(Jump { bastion, pass }))
}

fn seconds(rest: &mut Cursor<'_>, name: &str) -> Option<UnixSeconds> {
    rest.expect(name)?;
    rest.number().map(UnixSeconds)
}

fn optional_number(rest: &mut Cursor<'_>, name: &str) -> Option<Option<u64>> {
    match rest.skip(name) {
        true => rest.number().map(Some),
        false => Some(None),
    }
}

fn optional_texts(rest: &mut Cursor<'_>, name: &str) -> Option<Vec<String>> {
    match rest.skip(name) {
        true => rest.texts(),
        false => Some(Vec::new()),
    }
}
