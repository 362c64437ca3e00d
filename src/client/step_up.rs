//! Step-up: a login that is more recent or stronger than the last one. Pure.
//!
//! Reads the demand from the server's refusal, and writes it as parameters of the authorization
//! request (OpenID Connect Core 1.0 section 3.1.2.1) and as a command for the user.

use std::borrow::Cow;

use crate::proto::status::Details;

/// The demands on a login. The default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepUp {
    /// At most this many seconds old.
    pub max_age: Option<u64>,
    /// At one of these levels, the preferred one first (`acr`).
    pub acr_values: Vec<String>,
    /// The user must authenticate again, even if the issuer still remembers them.
    pub again: bool,
}

impl StepUp {
    /// Reads the demands of a refusal.
    ///
    /// OpenID Connect has no parameter for methods (`amr`). If one is unmet, the user authenticates
    /// again and may choose another method.
    pub(super) fn of(details: &Details) -> Self {
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

    /// Whether nothing is demanded.
    pub(crate) fn is_any(&self) -> bool {
        *self == Self::default()
    }

    /// The command that meets the demands.
    pub(crate) fn command(&self) -> String {
        let mut command = "daypass login".to_owned();
        if let Some(age) = self.max_age {
            command.push_str(&format!(" --max-age {age}"));
        }
        for level in &self.acr_values {
            command.push_str(&format!(" --acr {}", shell_word(level)));
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

/// One word for a POSIX shell, quoted if it is not plain: the server names it, and a user may paste
/// the command.
fn shell_word(text: &str) -> Cow<'_, str> {
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
    use crate::{client::Error, reason};

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
                "a level that is not a plain word",
                &[("acr_values", "$(id)'x")],
                r"daypass login --acr '$(id)'\''x'",
            ),
            (
                "a level that looks like an option",
                &[("acr_values", "-rf")],
                "daypass login --acr '-rf'",
            ),
            (
                "an invalid age",
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
