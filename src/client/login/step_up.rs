//! A sign-in that is newer or stronger than the last one: what a server's refusal wants, what the issuer is asked for
//! (OpenID Connect Core, 3.1.2.1), and the command that does it. Pure.

use std::borrow::Cow;

use crate::proto::status::Details;

/// What a sign-in must be, beyond whose it is. The default is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepUp {
    /// At most this many seconds old.
    pub max_age: Option<u64>,
    /// At one of these levels, the one wanted most first.
    pub acr_values: Vec<String>,
    /// Somebody must prove anew that they are there, whatever the issuer remembers.
    pub again: bool,
}

impl StepUp {
    /// What a refusal wants. Nobody can ask an issuer for methods (`amr`), so where they are unmet it asks the person
    /// anew, who then may choose another.
    pub(in crate::client) fn of(details: &Details) -> Self {
        let words = |name: &str| {
            let value = details.metadata.get(name).map_or("", String::as_str);
            value.split_ascii_whitespace()
        };
        let mut wanted = Self {
            max_age: words("max_age").find_map(|age| age.parse().ok()),
            acr_values: words("acr_values").map(str::to_owned).collect(),
            again: words("unmet").any(|name| name == "amr"),
        };
        wanted.again |= wanted.is_any();
        wanted
    }

    /// Whether every sign-in will do.
    pub fn is_any(&self) -> bool {
        *self == Self::default()
    }

    /// The command that signs in so.
    pub fn command(&self) -> String {
        let mut command = "daypass login".to_owned();
        if let Some(age) = self.max_age {
            command.push_str(&format!(" --max-age {age}"));
        }
        for level in &self.acr_values {
            command.push_str(&format!(" --acr {}", word(level)));
        }
        if self.again {
            command.push_str(" --again");
        }
        command
    }

    /// The parameters of an authorization request.
    pub(super) fn parameters(&self) -> Vec<(&'static str, String)> {
        let age = self.max_age.map(|age| ("max_age", age.to_string()));
        let levels =
            (!self.acr_values.is_empty()).then(|| ("acr_values", self.acr_values.join(" ")));
        let again = self.again.then(|| ("prompt", "login".to_owned()));
        [age, levels, again].into_iter().flatten().collect()
    }
}

/// One word for a POSIX shell; what would not be plain is quoted, for a server names it and a person may paste it.
fn word(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._~:/@+-=,".contains(c);
    if text.chars().all(plain) && !text.starts_with(['-', '~']) && !text.is_empty() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::client::Error;
    use crate::reason;

    fn refusal(facts: &[(&str, &str)]) -> Details {
        let facts = facts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Details {
            metadata: facts.collect(),
            ..Details::new(reason::STEP_UP_REQUIRED)
        }
    }

    #[test]
    fn a_refusal_names_the_exact_command_and_exits_4() {
        for (case, facts, command) in [
            (
                "an age",
                &[("max_age", "900"), ("unmet", "auth_age")][..],
                "daypass login --max-age 900",
            ),
            (
                "levels",
                &[("acr_values", "phrh phr"), ("unmet", "acr")],
                "daypass login --acr phrh --acr phr",
            ),
            (
                "methods",
                &[("amr", "hwk"), ("unmet", "amr")],
                "daypass login --again",
            ),
            (
                "methods that are met",
                &[("amr", "hwk"), ("max_age", "60"), ("unmet", "auth_age")],
                "daypass login --max-age 60",
            ),
            (
                "a level that is no plain word",
                &[("acr_values", "$(id)'x")],
                r"daypass login --acr '$(id)'\''x'",
            ),
            (
                "a level that looks like an option",
                &[("acr_values", "-rf")],
                "daypass login --acr '-rf'",
            ),
            (
                "an age that is none",
                &[("max_age", "-1")],
                "daypass login --again",
            ),
            ("nothing", &[], "daypass login --again"),
        ] {
            let status = refusal(facts).into_status(tonic::Code::PermissionDenied, "no.");
            let error = Error::from(status);
            assert_eq!(error.exit_code(), 4, "{case}");
            assert_eq!(error.reason(), Some(reason::STEP_UP_REQUIRED), "{case}");
            let message = error.to_string();
            assert!(
                message.ends_with(&format!(": {command}")),
                "{case}: {message}"
            );
        }
    }
}
