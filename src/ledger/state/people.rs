//! Every identity in the ledger, with the labels it has had. Pure.
//!
//! A label can change with each token; `(issuer, subject)` stays. So a lock by name covers each
//! identity that ever had the name. Nothing is forgotten: the size is the number of identities that
//! issuers have vouched for.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ledger::event::{Actor, Applicant, Covered};

/// Largest number of suggested names for an unknown one.
const MOST_NEAR: usize = 5;

/// Largest number of wrong letters in a suggested name.
const MOST_WRONG: usize = 2;

/// One identity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct KnownPerson {
    /// The last label.
    label: String,
    /// Every label that differs from the subject.
    labels: BTreeSet<String>,
}

/// Identities by issuer and subject, and by label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct People {
    by_issuer: BTreeMap<String, BTreeMap<String, KnownPerson>>,
    by_label: BTreeMap<String, BTreeSet<(String, String)>>,
}

impl People {
    /// Learns an identity of an event. Returns whether its label is new for it.
    pub(super) fn learn(&mut self, who: &Actor) -> bool {
        let Actor {
            issuer,
            subject,
            label,
            ..
        } = who;
        let known = self.by_issuer.get(issuer);
        let known = known.and_then(|subjects| subjects.get(subject));
        if known.is_some_and(|person| person.label == *label) {
            return false;
        }
        let subjects = self.by_issuer.entry(issuer.clone()).or_default();
        let person = subjects.entry(subject.clone()).or_default();
        label.clone_into(&mut person.label);
        if label == subject || !person.labels.insert(label.clone()) {
            return false;
        }
        let identity = (issuer.clone(), subject.clone());
        let identities = self.by_label.entry(label.clone()).or_default();
        identities.insert(identity);
        true
    }

    /// Whether `name` is the applicant's subject or label, or an earlier label.
    pub(super) fn is_called(&self, applicant: &Applicant<'_>, name: &str) -> bool {
        applicant.subject == name
            || applicant.label == name
            || self
                .person(applicant.issuer, applicant.subject)
                .is_some_and(|person| person.labels.contains(name))
    }

    /// The applicant's names: subject, label and earlier labels.
    pub(super) fn names<'a>(
        &'a self,
        applicant: &Applicant<'a>,
    ) -> impl Iterator<Item = &'a str> + use<'a> {
        let person = self.person(applicant.issuer, applicant.subject);
        let labels = person.into_iter().flat_map(|person| &person.labels);
        let own = [applicant.subject, applicant.label].into_iter();
        own.chain(labels.map(String::as_str))
    }

    /// The identities that were seen under `name`, by issuer and subject.
    pub(super) fn called(&self, name: &str) -> BTreeMap<(String, String), String> {
        let by_subject = self.by_issuer.iter().filter_map(|(issuer, subjects)| {
            let person = subjects.get(name)?;
            Some(((issuer.clone(), name.to_owned()), person.label.clone()))
        });
        let by_label = self.by_label.get(name).into_iter().flatten();
        let by_label = by_label.filter_map(|(issuer, subject)| {
            let person = self.person(issuer, subject)?;
            Some(((issuer.clone(), subject.clone()), person.label.clone()))
        });
        by_subject.chain(by_label).collect()
    }

    /// Known names with a spelling close to `name`, closest first.
    pub(super) fn near(&self, name: &str) -> Vec<String> {
        let subjects = self.by_issuer.values().flat_map(BTreeMap::keys);
        let known = subjects.chain(self.by_label.keys());
        let wanted: Vec<char> = name.to_lowercase().chars().collect();
        let near: BTreeSet<(usize, &String)> = known
            .filter(|known| *known != name)
            .filter_map(|known| Some((distance(&wanted, known)?, known)))
            .collect();
        let near = near.into_iter().take(MOST_NEAR);
        near.map(|(_, name)| name.clone()).collect()
    }

    fn person(&self, issuer: &str, subject: &str) -> Option<&KnownPerson> {
        self.by_issuer.get(issuer)?.get(subject)
    }
}

/// Converts the result of [`People::called`] to an event's form.
pub(super) fn covered(people: BTreeMap<(String, String), String>) -> Vec<Covered> {
    let people = people.into_iter();
    people
        .map(|((issuer, subject), label)| Covered {
            issuer,
            subject,
            label,
        })
        .collect()
}

/// The distance of a known name from the wanted one (in lower case); `None` if it is not close. The
/// part of an address before `@` is close to the address.
fn distance(wanted: &[char], known: &str) -> Option<usize> {
    let known: Vec<char> = known.to_lowercase().chars().collect();
    let user = |name: &[char]| name.iter().position(|c| *c == '@');
    let is_user =
        |of: &[char], name: &[char]| user(of).is_some_and(|at| of.get(..at) == Some(name));
    if is_user(&known, wanted) || is_user(wanted, &known) {
        return Some(1);
    }
    let most = MOST_WRONG.min(wanted.len().saturating_sub(1) / 2);
    let wrong = edits(wanted, &known, most)?;
    Some(wrong)
}

/// The number of letters to change, insert, drop or swap with their neighbour (optimal string
/// alignment); `None` if it exceeds `most`.
fn edits(one: &[char], other: &[char], most: usize) -> Option<usize> {
    if one.len().abs_diff(other.len()) > most {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
    let mut previous = None;
    for (row, letter) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        let mut other_previous = None;
        for (column, other_letter) in other.iter().enumerate() {
            let changed = at(&last, column) + usize::from(letter != other_letter);
            let shorter = at(&last, column + 1) + 1;
            let longer = at(&next, column) + 1;
            let mut least = changed.min(shorter).min(longer);
            if previous == Some(other_letter) && other_previous == Some(letter) && column > 0 {
                least = least.min(at(&before, column - 1) + 1);
            }
            next.push(least);
            other_previous = Some(other_letter);
        }
        if next.iter().min().is_some_and(|least| *least > most) {
            return None;
        }
        before = std::mem::replace(&mut last, next);
        previous = Some(letter);
    }
    last.last().copied().filter(|wrong| *wrong <= most)
}

#[cfg(test)]
mod tests;
