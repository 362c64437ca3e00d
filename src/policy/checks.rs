//! The checks of one ask against one role, in the order in which they refuse.
//!
//! A decision and an explanation run over the same [`CHECKS`]: the decision stops at the first
//! refusal, the explanation shows every check. That the role exists is checked before.

use std::collections::BTreeSet;

use super::{
    Denial, Grant, Reason, Restriction,
    decision::{Evaluation, shorten},
};

/// One check.
pub(super) struct Check {
    /// Its word in explanations.
    pub(super) name: &'static str,
    /// Refuses the ask, or adds to the findings.
    pub(super) run: for<'a> fn(&Evaluation<'a>, &mut Findings<'a>) -> Result<(), Denial>,
    /// Says what the ask passed. `None`: the explanation's summary says it.
    pub(super) passed: fn(&Evaluation<'_>, &Findings<'_>) -> Option<String>,
}

/// The results of the checks so far, which later checks need.
#[derive(Default)]
pub(super) struct Findings<'a> {
    /// The host groups that the pass is for; empty for a role without hosts.
    groups: Vec<&'a str>,
    /// The principals for these host groups.
    principals: BTreeSet<String>,
    /// The role's own command, addresses and closing time.
    own: Restriction,
    /// The caller's wishes. They only narrow.
    wishes: Restriction,
    /// Whether a check has refused: there is no grant then.
    is_denied: bool,
    /// Everything that the role gives, within every restriction.
    grant: Option<Grant>,
}

/// Every check.
///
/// `require` comes last: a user who has to sign in again does not do so in vain.
#[rustfmt::skip]
pub(super) const CHECKS: [Check; 11] = [
    // May this identity have the role at all?
    Check { name: "allow", run: |it, _| it.allowed(), passed: allow },
    // Does the role cover the host?
    Check { name: "host", run: host, passed: groups },
    // Does every hole of the command have its value, and is nothing else sent?
    Check { name: "parameter", run: parameter, passed: command },
    // Is there the reason that the role demands?
    Check { name: "reason", run: |it, _| it.reason(), passed: reason },
    // Are the wishes well-formed, and no more than the role gives?
    Check { name: "wishes", run: wishes, passed: lifetime },
    // Do literals and claims give principals within the grammar and the limits?
    Check { name: "principal", run: principal, passed: principals },
    // Which addresses does the role allow? With a bastion: the bastion's.
    Check { name: "source", run: source, passed: networks },
    // Which keys does the role give passes to? Whether the caller's is one, the draft checks.
    Check { name: "key", run: key, passed: keys },
    // Is the role open now? An emergency has a lifetime of its own instead.
    Check { name: "hours", run: hours, passed: opening },
    // Is anything left within all of these and [limits], and is there a way through the bastion?
    Check { name: "grant", run: narrow, passed: |_, _| None },
    // Is the sign-in new and strong enough?
    Check { name: "require", run: |it, _| it.signed_in_well(), passed: require },
];

/// Runs the checks up to the first refusal.
pub(super) fn decide(case: &Evaluation<'_>) -> Result<Grant, Denial> {
    let mut findings = Findings::default();
    for check in &CHECKS {
        (check.run)(case, &mut findings)?;
    }
    findings.into_grant()
}

/// Runs every check, and tells `show` each outcome. Decides as [`decide`] does.
pub(super) fn explain<'a>(
    case: &Evaluation<'a>,
    mut show: impl FnMut(&Check, &Findings<'a>, &Result<(), Denial>),
) -> Result<Grant, Denial> {
    let (mut findings, mut refusal) = (Findings::default(), None);
    for check in &CHECKS {
        let outcome = (check.run)(case, &mut findings);
        findings.is_denied |= outcome.is_err();
        show(check, &findings, &outcome);
        refusal = refusal.or(outcome.err());
    }
    match refusal {
        Some(denial) => Err(denial),
        None => findings.into_grant(),
    }
}

impl Findings<'_> {
    /// The grant after all checks. Fails closed: if no check refused, the `grant` check has run.
    fn into_grant(self) -> Result<Grant, Denial> {
        let nothing = || Denial::new(Reason::NotAllowed, "no check has granted anything");
        self.grant.ok_or_else(nothing)
    }
}

fn host<'a>(case: &Evaluation<'a>, findings: &mut Findings<'a>) -> Result<(), Denial> {
    findings.groups = case.groups()?;
    Ok(())
}

fn parameter(case: &Evaluation<'_>, findings: &mut Findings<'_>) -> Result<(), Denial> {
    findings.own.command = case.command()?;
    Ok(())
}

fn wishes(case: &Evaluation<'_>, findings: &mut Findings<'_>) -> Result<(), Denial> {
    findings.wishes = case.wishes()?;
    Ok(())
}

fn principal(case: &Evaluation<'_>, findings: &mut Findings<'_>) -> Result<(), Denial> {
    findings.principals = case.principals(&findings.groups)?;
    Ok(())
}

fn source(case: &Evaluation<'_>, findings: &mut Findings<'_>) -> Result<(), Denial> {
    findings.own.source = case.source()?;
    Ok(())
}

fn key(case: &Evaluation<'_>, findings: &mut Findings<'_>) -> Result<(), Denial> {
    findings.own.verify_required = case.role.verify_required;
    Ok(())
}

fn hours(case: &Evaluation<'_>, findings: &mut Findings<'_>) -> Result<(), Denial> {
    findings.own.ttl = case.closes_in()?;
    Ok(())
}

fn narrow(case: &Evaluation<'_>, findings: &mut Findings<'_>) -> Result<(), Denial> {
    if findings.is_denied {
        return Ok(());
    }
    let (role, principals) = (case.role, findings.principals.clone());
    let grant = Grant::full(&role.name, principals, role.extensions.clone(), role.ttl)
        .narrow(&findings.own)?
        .narrow(case.limits.restriction())?
        .narrow(&findings.wishes)?;
    let jump_host = case.jump_host(&grant)?;
    findings.grant = Some(grant.through(jump_host));
    Ok(())
}

fn allow(case: &Evaluation<'_>, _: &Findings<'_>) -> Option<String> {
    let condition = case.condition().ok()?;
    Some(format!("{} holds", shorten(condition.source(), 256)))
}

fn groups(_: &Evaluation<'_>, findings: &Findings<'_>) -> Option<String> {
    Some(match findings.groups.as_slice() {
        [] => "any host".to_owned(),
        groups => format!("hosts of {}", groups.join(", ")),
    })
}

fn command(_: &Evaluation<'_>, findings: &Findings<'_>) -> Option<String> {
    let command = findings.own.command.as_deref();
    Some(command.unwrap_or("no command").to_owned())
}

fn reason(case: &Evaluation<'_>, _: &Findings<'_>) -> Option<String> {
    Some(match case.role.reason_pattern() {
        None => "none demanded".to_owned(),
        Some(pattern) => format!("matches {pattern}"),
    })
}

fn lifetime(case: &Evaluation<'_>, _: &Findings<'_>) -> Option<String> {
    let ttl = humantime::format_duration(case.role.ttl);
    Some(format!("up to {ttl}"))
}

fn principals(_: &Evaluation<'_>, findings: &Findings<'_>) -> Option<String> {
    Some(list(&findings.principals))
}

fn networks(case: &Evaluation<'_>, findings: &Findings<'_>) -> Option<String> {
    let networks = findings.own.source.as_ref();
    let networks = networks.map_or("any address".to_owned(), list);
    Some(match case.bastion() {
        Ok(Some(bastion)) => format!("{networks}, which is bastion {}", bastion.name),
        Ok(None) | Err(_) => networks,
    })
}

fn keys(case: &Evaluation<'_>, _: &Findings<'_>) -> Option<String> {
    let demand = "a security key that verifies its user";
    case.role.verify_required.then(|| demand.to_owned())
}

fn opening(case: &Evaluation<'_>, _: &Findings<'_>) -> Option<String> {
    Some(demanded(case.role.hours.as_ref(), "any time"))
}

fn require(case: &Evaluation<'_>, _: &Findings<'_>) -> Option<String> {
    Some(demanded(case.role.require.as_ref(), "any sign-in"))
}

fn demanded<T: ToString>(demand: Option<&T>, otherwise: &str) -> String {
    demand.map_or(otherwise.to_owned(), T::to_string)
}

/// The values, with commas between them.
pub(super) fn list<T: ToString>(values: &BTreeSet<T>) -> String {
    let values: Vec<_> = values.iter().map(T::to_string).collect();
    values.join(", ")
}
