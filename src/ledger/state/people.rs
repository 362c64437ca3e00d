//! Every identity in the ledger, with the labels it has had. Pure.
//!
//! A label can change with each token; `(issuer, subject)` stays. So a lock by name covers each
//! identity that ever had the name. Nothing is forgotten: the size is the number of identities that
//! issuers have vouched for.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ledger::{
    event::{Actor, Applicant, Covered},
    near::near,
};

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

    /// Every name of the identities that were seen under `name`, with `name` itself.
    pub(super) fn names_with(&self, name: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::from([name.to_owned()]);
        for (issuer, subject) in self.called(name).into_keys() {
            let labels = self.person(&issuer, &subject).map(|it| it.labels.clone());
            names.extend(labels.into_iter().flatten());
            names.insert(subject);
        }
        names
    }

    /// Known names with a spelling close to `name`, closest first.
    pub(super) fn near(&self, name: &str) -> Vec<String> {
        let subjects = self.by_issuer.values().flat_map(BTreeMap::keys);
        let known = subjects.chain(self.by_label.keys());
        near(name, known.map(String::as_str))
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

#[cfg(test)]
mod tests;
