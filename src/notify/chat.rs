//! A notification as one line for people, `{"text": "..."}`. Pure.
//!
//! Text of a caller or an issuer stands in backticks and has no effect: no mention, no link, no
//! markup, no second line, and at most [`LONGEST`] characters.

use std::borrow::Cow;

use super::notification::{DecisionKind, HostNews, KeyNews, Notification, NotificationBody};
use crate::ledger::event::{
    Actor, CaKeyOrdered, CaKeyStep, LockTarget, RequestDecision, RequestDetails, RevokeTarget,
    ascii_json, ca_key_fingerprint,
};

/// The most characters of one text of a caller or an issuer.
const LONGEST: usize = 200;

/// The most names of hosts in one line.
const MOST_HOSTS: usize = 5;

impl Notification<'_> {
    /// `{"text": "..."}`.
    pub(super) fn chat(&self) -> Vec<u8> {
        let text = format!("Daypass {}: {}", self.server, self.line());
        // A map of one text always serializes.
        ascii_json(&serde_json::json!({ "text": text })).unwrap_or_default()
    }

    fn line(&self) -> String {
        let link = self.link().map(|link| format!(" or {link}"));
        let next = format!("`{}`{}", self.next(), link.unwrap_or_default());
        match self.news {
            NotificationBody::Requested(id, asked) => format!(
                "{} asks for {}. Request {id} needs {}: {next}",
                name(&asked.who),
                wish(&asked.ask, asked.permissions.force_command.as_deref()),
                match asked.needed {
                    1 => "a yes".to_owned(),
                    many => format!("{many} yes"),
                },
            ),
            NotificationBody::Emergency(_, issued) => format!(
                "EMERGENCY: {} has a pass for {}. It needs a review: {next}",
                name(&issued.who),
                wish(&issued.ask, issued.permissions.force_command.as_deref()),
            ),
            NotificationBody::Page(issued) => format!(
                "EMERGENCY: {} is about to get a pass for {}. A review follows: {next}",
                name(&issued.who),
                wish(&issued.ask, issued.permissions.force_command.as_deref()),
            ),
            NotificationBody::RequestDecision(decision, _, decided) => {
                decision_line(decision, decided, &next)
            }
            NotificationBody::Revoked(_, revoked) => format!(
                "{} revoked {} ({}){}. See {next}",
                name(&revoked.who),
                passes(&revoked.serials),
                revocation(&revoked.target),
                because(revoked.reason.as_deref()),
            ),
            NotificationBody::Locked(_, locked) => format!(
                "{} locked {} and revoked {}{}. See {next}",
                name(&locked.who),
                target(&locked.target),
                passes(&locked.serials),
                because(locked.reason.as_deref()),
            ),
            NotificationBody::Host(_, news) => host_line(news, &next),
            NotificationBody::Key(_, news) => key_line(news, &next),
            NotificationBody::Test(who) => {
                format!(
                    "{} tests this webhook. Nothing has happened. See {next}",
                    name(who)
                )
            }
            NotificationBody::Unlocked(_, unlocked) => format!(
                "{} unlocked {}{}. See {next}",
                name(&unlocked.who),
                target(&unlocked.target),
                because(unlocked.reason.as_deref()),
            ),
        }
    }
}

fn host_line(news: HostNews<'_>, next: &str) -> String {
    match news {
        HostNews::Joined(joined) => {
            format!("host {} has joined. See {next}", quoted(&joined.host))
        }
        HostNews::Behind(behind) => format!(
            "host {} is behind{}. See {next}",
            quoted(&behind.host),
            because(behind.why.first().map(String::as_str)),
        ),
        HostNews::Current(host) => format!("host {} is current again. See {next}", quoted(host)),
        HostNews::Foreign(login) => format!(
            "host {}: the ledger does not explain a login as {} from {} ({}){}: {}. See {next}",
            quoted(&login.host),
            quoted(&login.login),
            quoted(&login.from),
            login.finding.word(),
            more(login.more),
            login.finding.advice(),
        ),
    }
}

fn key_line(news: KeyNews<'_>, next: &str) -> String {
    match news {
        KeyNews::Ca(ordered) => format!(
            "{} {} the CA key {}{}{}. See {next}",
            name(&ordered.who),
            match ordered.step {
                CaKeyStep::Stage => "staged",
                CaKeyStep::Activate => "activated",
                CaKeyStep::Retire => "retired",
            },
            quoted(&ca_key_fingerprint(&ordered.key).unwrap_or_default()),
            not_waited_for(ordered),
            because(ordered.reason.as_deref()),
        ),
        KeyNews::Ledger(changed) => format!(
            "{} handed the ledger over to the key {}{}. See {next}",
            name(&changed.who),
            quoted(&changed.handover.new.to_string()),
            because(changed.reason.as_deref()),
        ),
    }
}

/// What an order did not wait for.
fn not_waited_for(ordered: &CaKeyOrdered) -> String {
    if !ordered.anyway {
        return String::new();
    }
    if ordered.step == CaKeyStep::Retire {
        return ", without waiting for its last passes to expire".to_owned();
    }
    let behind = &ordered.behind;
    let names: Vec<_> = behind
        .iter()
        .take(MOST_HOSTS)
        .map(|it| quoted(it))
        .collect();
    let rest = match behind.len().saturating_sub(MOST_HOSTS) {
        0 => "",
        _ => " and others",
    };
    match names.is_empty() {
        true => ", without waiting for hosts".to_owned(),
        false => format!(
            ", without waiting for hosts that do not trust it yet ({}{rest})",
            names.join(", ")
        ),
    }
}

fn more(findings: u64) -> String {
    match findings {
        0 => String::new(),
        more => format!(", and {more} more"),
    }
}

fn decision_line(decision: DecisionKind, decided: &RequestDecision, next: &str) -> String {
    let verb = match decision {
        DecisionKind::Approved => "approved request",
        DecisionKind::Refused => "denied request",
        DecisionKind::Cancelled => "took back request",
        DecisionKind::Reviewed => "closed the review of emergency",
    };
    format!(
        "{} {verb} {} (role {}){}. See {next}",
        name(&decided.who),
        decided.request,
        quoted(&decided.role),
        because(Some(&decided.comment)),
    )
}

fn name(who: &Actor) -> String {
    quoted(&who.label)
}

/// `prod` on `web-1`, running `uptime`: `INC-4711`
fn wish(ask: &RequestDetails, command: Option<&str>) -> String {
    let host = ask.host.as_deref();
    format!(
        "{}{}{}{}",
        quoted(&ask.role),
        host.map(|host| format!(" on {}", quoted(host)))
            .unwrap_or_default(),
        command
            .map(|command| format!(", running {}", quoted(command)))
            .unwrap_or_default(),
        because(ask.reason.as_deref()),
    )
}

fn because(reason: Option<&str>) -> String {
    let reason = reason.filter(|reason| !reason.is_empty());
    reason
        .map(|reason| format!(": {}", quoted(reason)))
        .unwrap_or_default()
}

fn passes(serials: &[u64]) -> String {
    match serials.len() {
        0 => "no pass".to_owned(),
        1 => "1 pass".to_owned(),
        many => format!("{many} passes"),
    }
}

fn target(target: &LockTarget) -> String {
    match target {
        LockTarget::Identity(identity) => format!("identity {}", quoted(identity)),
        LockTarget::Key(_) => "a key".to_owned(),
        LockTarget::Role(role) => format!("role {}", quoted(role)),
    }
}

fn revocation(target: &RevokeTarget) -> String {
    match target {
        RevokeTarget::Serial(serial) => format!("serial {serial}"),
        RevokeTarget::Key(_) => "those of a key".to_owned(),
        RevokeTarget::Identity(identity) => format!("those of {}", quoted(identity)),
        RevokeTarget::Before(time) => match time.rfc3339() {
            Some(time) => format!("all before {time}"),
            // An old ledger may hold such a time.
            None => "all".to_owned(),
        },
        RevokeTarget::Through(size) => {
            format!("all: the ledger was restored, and goes on from {size}")
        }
    }
}

/// Text of a caller or an issuer in backticks: one line of bounded length, without effect in any
/// chat.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    let mut before = ' ';
    for character in text.chars().take(LONGEST) {
        quoted.push_str(&harmless(character, before));
        before = character;
    }
    if text.chars().nth(LONGEST).is_some() {
        quoted.push_str("...");
    }
    if quoted.trim().is_empty() {
        return "(nothing)".to_owned();
    }
    format!("`{quoted}`")
}

/// The replacement of a character that comes after `before`. `&`, `<` and `>` are Slack's escapes.
/// An `@` is a mention unless it stands in an e-mail address.
fn harmless(character: char, before: char) -> Cow<'static, str> {
    match character {
        '`' => "'".into(),
        '&' => "&amp;".into(),
        '<' => "&lt;".into(),
        '>' => "&gt;".into(),
        '@' if !before.is_ascii_alphanumeric() => "(at)".into(),
        _ if is_invisible(character) => " ".into(),
        _ => character.to_string().into(),
    }
}

/// True for control characters, line and paragraph separators, and characters that change the
/// direction or width of text.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::{ledger::EventKind, notify::sample, unix_seconds::UnixSeconds};

    #[test]
    fn text_from_elsewhere_does_nothing_in_a_chat() {
        for (case, text, expected) in [
            ("plain", "INC-4711", "`INC-4711`"),
            ("an address", "bob@example.com", "`bob@example.com`"),
            ("lines", "a\nb\r\u{2028}c", "`a b  c`"),
            (
                "a broadcast",
                "<!channel> <@U1>",
                "`&lt;!channel&gt; &lt;(at)U1&gt;`",
            ),
            ("mentions", "@here x.@all", "`(at)here x.(at)all`"),
            ("ways out of the quotes", "` *x* `", "`' *x* '`"),
            ("entities", "&lt;!here&gt;", "`&amp;lt;!here&amp;gt;`"),
            ("a terminal", "\u{1b}[2J\u{202e}x", "` [2J x`"),
            ("nothing", "\n", "(nothing)"),
        ] {
            assert_eq!(quoted(text), expected, "{case}");
        }
    }

    #[test]
    fn a_time_that_no_calendar_has_is_told_too() {
        for (time, expected) in [
            (0, "all before 1970-01-01T00:00:00Z"),
            (1_795_361_511, "all before 2026-11-22T15:31:51Z"),
            (253_402_300_799, "all before 9999-12-31T23:59:59Z"),
            (253_402_300_800, "all"),
            (i64::MAX as u64, "all"),
            (i64::MAX as u64 + 1, "all"),
            (u64::MAX, "all"),
        ] {
            assert_eq!(
                revocation(&RevokeTarget::Before(UnixSeconds(time))),
                expected,
                "{time}"
            );
        }
    }

    #[test]
    fn an_order_says_what_it_did_not_wait_for() {
        let hosts = |many: usize| (1..=many).map(|n| format!("web-{n}")).collect::<Vec<_>>();
        let yet = ", without waiting for hosts that do not trust it yet";
        for (case, step, anyway, behind, expected) in [
            ("it waited", CaKeyStep::Activate, false, 0, String::new()),
            (
                "one host",
                CaKeyStep::Activate,
                true,
                1,
                format!("{yet} (`web-1`)"),
            ),
            (
                "many hosts",
                CaKeyStep::Activate,
                true,
                6,
                format!("{yet} (`web-1`, `web-2`, `web-3`, `web-4`, `web-5` and others)"),
            ),
            (
                "every host trusted it",
                CaKeyStep::Activate,
                true,
                0,
                ", without waiting for hosts".to_owned(),
            ),
            (
                "passes",
                CaKeyStep::Retire,
                true,
                0,
                ", without waiting for its last passes to expire".to_owned(),
            ),
        ] {
            let EventKind::CaKeyOrdered(mut order) = sample::ca_key_ordered() else {
                unreachable!()
            };
            (order.step, order.anyway, order.behind) = (step, anyway, hosts(behind));
            assert_eq!(not_waited_for(&order), expected, "{case}");
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        let long = quoted(&"\u{20ac}".repeat(10_000));
        assert_eq!(long.chars().count(), LONGEST + 5);
        assert!(long.ends_with("...`"));
    }
}
