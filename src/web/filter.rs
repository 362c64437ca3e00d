//! The conditions of a search, as the form sends them: those of `daypass ledger list`. Pure.

use serde::Deserialize;
use time::OffsetDateTime;
use url::form_urlencoded::Serializer;

use crate::{
    ledger::moment::{Moment, NotATime, utc_day},
    proto::{
        search::{HOST_BYTES, REASON_BYTES, ROLE_BYTES, WHO_BYTES, problem},
        v1,
    },
};

/// Conditions as they were typed. Empty ones count as none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Form {
    pub(super) who: String,
    pub(super) role: String,
    pub(super) host: String,
    pub(super) event: String,
    pub(super) reason: String,
    pub(super) since: String,
    pub(super) until: String,
    pub(super) valid_on: String,
    pub(super) unreviewed: String,
    pub(super) plain_logins: String,
    /// Events below this index: the next page.
    pub(super) before: String,
}

impl Form {
    /// The conditions on the wire.
    ///
    /// # Errors
    /// Returns a sentence about a time that cannot be read, or a text that is none.
    pub(super) fn filter(&self, now: OffsetDateTime) -> Result<v1::Filter, String> {
        let since = exact("Since", &self.since, now)?;
        let until = exact("Until", &self.until, now)?;
        if until.0 != 0 && since >= until {
            return Err("Until is not after Since.".to_owned());
        }
        let (valid_from, valid_to) = moment("Valid on", &self.valid_on, now)?;
        Ok(v1::Filter {
            who: text("Who", &self.who, WHO_BYTES)?,
            role: text("Role", &self.role, ROLE_BYTES)?,
            host: text("Host", &self.host, HOST_BYTES)?,
            kinds: match self.event.trim() {
                "" => Vec::new(),
                kind => vec![kind.to_owned()],
            },
            reason: text("Text in the reason", &self.reason, REASON_BYTES)?,
            since: since.0,
            until: until.0,
            since_nanos: since.1,
            until_nanos: until.1,
            valid_from,
            valid_to,
            unreviewed: !self.unreviewed.is_empty(),
            about: None,
            plain_logins: !self.plain_logins.is_empty(),
        })
    }

    /// The highest index to search.
    ///
    /// # Errors
    /// Returns a sentence if it is no index.
    pub(super) fn highest(&self) -> Result<u64, String> {
        if self.before.is_empty() {
            return Ok(u64::MAX - 1);
        }
        let before = self.before.parse::<u64>().ok();
        let from = before.and_then(|before| before.checked_sub(1));
        from.ok_or_else(|| "There is no such page.".to_owned())
    }

    /// The query of an address with the same conditions, and another page.
    pub(super) fn query(&self, before: Option<u64>) -> String {
        let before = before.map(|before| before.to_string()).unwrap_or_default();
        let pairs = [
            ("who", &self.who),
            ("role", &self.role),
            ("host", &self.host),
            ("event", &self.event),
            ("reason", &self.reason),
            ("since", &self.since),
            ("until", &self.until),
            ("valid_on", &self.valid_on),
            ("unreviewed", &self.unreviewed),
            ("plain_logins", &self.plain_logins),
            ("before", &before),
        ];
        let given = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        Serializer::new(String::new()).extend_pairs(given).finish()
    }
}

/// The text of a field, without spaces around it. Empty: no condition.
///
/// # Errors
/// Returns a sentence that names the field.
pub(super) fn text(name: &str, value: &str, most: usize) -> Result<String, String> {
    let value = value.trim();
    match problem(value, most) {
        Some(problem) => Err(format!("{name} {problem}.")),
        None => Ok(value.to_owned()),
    }
}

/// Beginning and end of a time in Unix seconds; zeros if none is given.
///
/// # Errors
/// Returns a sentence that names the field.
pub(super) fn moment(name: &str, word: &str, now: OffsetDateTime) -> Result<(u64, u64), String> {
    match word.trim() {
        "" => Ok((0, 0)),
        word => {
            let times = Moment::parse(word, now, utc_day).and_then(Moment::seconds);
            times.map_err(|instead| not_a_time(name, &instead))
        }
    }
}

/// A time in Unix seconds and nanoseconds after them; zeros if none is given.
fn exact(name: &str, word: &str, now: OffsetDateTime) -> Result<(u64, u32), String> {
    match word.trim() {
        "" => Ok((0, 0)),
        word => {
            let time = Moment::parse(word, now, utc_day).and_then(Moment::exact);
            time.map_err(|instead| not_a_time(name, &instead))
        }
    }
}

fn not_a_time(name: &str, instead: &NotATime) -> String {
    format!("{name} is not read as a time: {instead}.")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-29 12:00 UTC);

    #[test]
    fn empty_fields_are_no_conditions() {
        let form = Form::default();
        assert_eq!(form.filter(NOW).unwrap(), v1::Filter::default());
        assert_eq!(form.query(None), "");
        assert_eq!(form.highest().unwrap(), u64::MAX - 1);
    }

    #[test]
    fn fields_are_conditions_and_stay_in_the_next_page() {
        let form = Form {
            who: "bob & co".to_owned(),
            event: "issued".to_owned(),
            since: "2026-11-28".to_owned(),
            before: "7".to_owned(),
            ..Form::default()
        };
        let filter = form.filter(NOW).unwrap();
        assert_eq!(
            (filter.who.as_str(), filter.kinds),
            ("bob & co", vec!["issued".to_owned()])
        );
        assert_eq!(
            filter.since,
            u64::try_from(datetime!(2026-11-28 0:00 UTC).unix_timestamp()).unwrap()
        );
        assert_eq!(form.highest().unwrap(), 6);
        assert_eq!(
            form.query(Some(3)),
            "who=bob+%26+co&event=issued&since=2026-11-28&before=3"
        );
    }

    #[test]
    fn a_text_that_no_event_has_is_named_by_its_field() {
        let long = "x".repeat(HOST_BYTES + 1);
        for (who, host, expected) in [
            ("a\nb", "", "Who holds control characters."),
            ("", &*long, "Host is longer than 253 bytes."),
        ] {
            let form = Form {
                who: who.to_owned(),
                host: host.to_owned(),
                ..Form::default()
            };
            assert_eq!(form.filter(NOW), Err(expected.to_owned()));
        }
    }

    #[test]
    fn wrong_times_and_pages_are_named() {
        for (since, until) in [
            ("x", ""),
            ("", "soon"),
            ("2026-11-28T23:59:00", ""),
            ("1d", "2d"),
            ("1960-01-01", ""),
        ] {
            let form = Form {
                since: since.to_owned(),
                until: until.to_owned(),
                ..Form::default()
            };
            assert!(form.filter(NOW).is_err(), "{since} {until}");
        }
        for before in ["0", "-1", "x", "99999999999999999999"] {
            let before = before.to_owned();
            assert!(
                Form {
                    before,
                    ..Form::default()
                }
                .highest()
                .is_err()
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_form(text in ".{0,80}") {
            let form = Form { since: text.clone(), before: text.clone(), who: text, ..Form::default() };
            drop((form.filter(NOW), form.highest(), form.query(None)));
        }
    }
}
