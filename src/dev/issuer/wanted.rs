//! The demands of a request on the sign-in itself (OpenID Connect Core 3.1.2.1: `max_age`,
//! `prompt`, `acr_values`), and how a person meets them. The device flow takes the same parameters.

use std::time::Duration;

use time::OffsetDateTime;

use super::parameters::Parameters;

/// The levels that this issuer knows, with the methods that reach them: a password, a second
/// factor, and the phishing-resistant `phr` of OpenID Connect's EAP profile.
pub(super) const LEVELS: [(&str, &[&str]); 3] = [
    ("pwd", &["pwd"]),
    ("mfa", &["pwd", "otp", "mfa"]),
    ("phr", &["hwk", "pin", "mfa"]),
];

/// The demands of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    max_age: Option<Duration>,
    again: bool,
    levels: Vec<String>,
}

/// Authentication of a person.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Authentication {
    /// `auth_time`.
    pub(super) at: OffsetDateTime,
    /// `acr`.
    pub(super) level: &'static str,
    /// `amr`.
    pub(super) methods: &'static [&'static str],
}

impl Wanted {
    pub(super) fn of(parameters: &Parameters) -> Self {
        let words = |name: &str| {
            let words = parameters.text(name).split_ascii_whitespace();
            words.map(str::to_owned)
        };
        Self {
            max_age: words("max_age").find_map(|age| age.parse().ok().map(Duration::from_secs)),
            again: words("prompt").any(|word| word == "login"),
            levels: words("acr_values").collect(),
        }
    }

    /// Signs in a person whose session has that age. The person types the password again if the
    /// session is too old or too weak, and reaches the first wanted level that this issuer knows.
    pub(super) fn authenticate(&self, now: OffsetDateTime, session: Duration) -> Authentication {
        let level = |wanted: &String| LEVELS.into_iter().find(|(level, _)| level == wanted);
        let reached = self.levels.iter().find_map(level);
        let is_old = self.max_age.is_some_and(|most| session > most);
        let [usual, ..] = LEVELS;
        let (level, methods) = reached.unwrap_or(usual);
        let fresh = self.again || is_old || level != usual.0;
        Authentication {
            at: if fresh { now } else { now - session },
            level,
            methods,
        }
    }

    /// A sentence for the page: what the client asks for beyond a name and a password.
    pub(super) fn describe(&self) -> String {
        let age = self.max_age.map(|age| format!("max_age {}", age.as_secs()));
        let again = self.again.then(|| "prompt login".to_owned());
        let levels = (!self.levels.is_empty()).then(|| format!("acr {}", self.levels.join(" ")));
        let parts: Vec<String> = [age, again, levels].into_iter().flatten().collect();
        match parts.as_slice() {
            [] => String::new(),
            parts => format!("The client asks for {}.", parts.join(", ")),
        }
    }
}
