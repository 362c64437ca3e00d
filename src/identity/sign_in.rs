//! The settings of an issuer that clients need for a person's sign-in. The server checks them,
//! publishes them, and acts on `session` alone. Pure.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use serde::Deserialize;

/// Sign-ins' age, if the configuration sets none.
pub(crate) const DEFAULT_SESSION: Duration = Duration::from_secs(12 * 60 * 60);

/// Seconds that a sign-in may be refreshed for.
pub(crate) const SESSION_BOUNDS: RangeInclusive<u64> = 60..=7 * 24 * 60 * 60;

/// Redirect ports, and extra parameters, at most.
const COUNT_LIMIT: usize = 16;

/// Bytes of a client secret, and of a parameter's name or value, at most.
const TEXT_LIMIT: usize = 512;

/// Parameters of the authorization request that are the protocol's own (RFC 6749, RFC 7636, RFC
/// 9101, OpenID Connect Core), so that no setting can weaken a sign-in: `nonce`, for example, is
/// the commitment to the key.
const PROTOCOL: [&str; 13] = [
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
    "id_token_hint",
];

/// A key of the configuration, and the sentence that says what is wrong with its value.
pub(super) type Fault = (&'static str, String);

/// What clients need to know for a sign-in.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The client secret that some providers give native apps, too. Every client gets it, so it
    /// proves nothing (RFC 8252, section 8.5).
    pub client_secret: Option<String>,
    /// Registered ports of the redirect, in the order to try. Empty: any port.
    pub redirect_ports: Vec<u16>,
    /// The registered host of the redirect.
    pub redirect_host: RedirectHost,
    /// Extra parameters of the authorization request.
    pub parameters: BTreeMap<String, String>,
    /// Whether clients renew ID tokens by a refresh token.
    pub refresh: bool,
    /// The age of a sign-in up to which the tokens that were renewed after it are accepted.
    pub session: Duration,
}

impl Default for SignIn {
    fn default() -> Self {
        Self {
            client_secret: None,
            redirect_ports: Vec::new(),
            redirect_host: RedirectHost::default(),
            parameters: BTreeMap::new(),
            refresh: false,
            session: DEFAULT_SESSION,
        }
    }
}

/// The host of the redirect, as it is registered at the provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum RedirectHost {
    /// `127.0.0.1`, as RFC 8252, section 7.3, has it.
    #[default]
    #[serde(rename = "127.0.0.1")]
    Address,
    /// `localhost`, for providers that register no address.
    #[serde(rename = "localhost")]
    Name,
}

impl RedirectHost {
    /// The host in the redirect URI.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Address => "127.0.0.1",
            Self::Name => "localhost",
        }
    }
}

impl SignIn {
    pub(super) fn check(&self, interactive: bool) -> Result<(), Fault> {
        if !interactive {
            self.check_unused()?;
        }
        self.check_secret()?;
        self.check_ports()?;
        self.check_parameters()?;
        if SESSION_BOUNDS.contains(&self.session.as_secs()) {
            return Ok(());
        }
        let problem = "session is refused: write at least \"1m\" and at most \"7d\"";
        Err(("session", problem.to_owned()))
    }

    /// An issuer of machines has no sign-in.
    fn check_unused(&self) -> Result<(), Fault> {
        let set = [
            ("client_secret_file", self.client_secret.is_some()),
            ("redirect_ports", !self.redirect_ports.is_empty()),
            ("authorization_parameters", !self.parameters.is_empty()),
            ("refresh", self.refresh),
        ];
        match set.into_iter().find(|(_, is_set)| *is_set) {
            None => Ok(()),
            Some((key, _)) => {
                let problem = format!(
                    "{key} is for people who sign in: remove it, or set interactive = true"
                );
                Err((key, problem))
            }
        }
    }

    fn check_secret(&self) -> Result<(), Fault> {
        let is_valid = |text: &String| {
            (1..=TEXT_LIMIT).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        };
        if self.client_secret.as_ref().is_none_or(is_valid) {
            return Ok(());
        }
        // The file's text is not repeated: it may be another secret by mistake.
        let problem = "client_secret_file is refused: the file must hold one line of 1 to 512 \
            visible ASCII characters, the secret that the provider shows for this client";
        Err(("client_secret_file", problem.to_owned()))
    }

    fn check_ports(&self) -> Result<(), Fault> {
        let refuse = |why: String| Err(("redirect_ports", format!("redirect_ports {why}")));
        let ports = &self.redirect_ports;
        if ports.len() > COUNT_LIMIT {
            return refuse(format!("has more than {COUNT_LIMIT} ports: name fewer"));
        }
        let is_repeated =
            |(index, port): &(usize, &u16)| ports.iter().take(*index).any(|p| p == *port);
        if let Some((_, port)) = ports.iter().enumerate().find(is_repeated) {
            return refuse(format!("names {port} twice: remove one"));
        }
        match ports.iter().find(|port| **port < 1024) {
            None => Ok(()),
            Some(port) => refuse(format!(
                "names {port}: ordinary users cannot open a port below 1024"
            )),
        }
    }

    fn check_parameters(&self) -> Result<(), Fault> {
        let refuse = |why: String| {
            let problem = format!("authorization_parameters {why}");
            Err(("authorization_parameters", problem))
        };
        if self.parameters.len() > COUNT_LIMIT {
            return refuse(format!("has more than {COUNT_LIMIT} entries: name fewer"));
        }
        let is_text = |text: &str| {
            (1..=TEXT_LIMIT).contains(&text.len()) && text.bytes().all(|b| matches!(b, b' '..=b'~'))
        };
        for (name, value) in &self.parameters {
            if PROTOCOL.contains(&name.as_str()) {
                return refuse(format!(
                    "sets {name:?}, which is Daypass's own to set: remove it"
                ));
            }
            if !is_text(name) || !is_text(value) {
                return refuse(format!(
                    "{name:?} is refused: name and value are 1 to {TEXT_LIMIT} printable ASCII \
                     characters"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(change: impl FnOnce(&mut SignIn)) -> String {
        let mut sign_in = SignIn::default();
        change(&mut sign_in);
        match sign_in.check(true) {
            Ok(()) => "taken".to_owned(),
            Err((key, problem)) => format!("{key}: {problem}"),
        }
    }

    fn parameter(name: &str, value: &str) -> String {
        fault(|it| drop(it.parameters.insert(name.to_owned(), value.to_owned())))
    }

    #[test]
    fn what_providers_need_is_taken() {
        assert_eq!(parameter("access_type", "offline"), "taken");
        assert_eq!(parameter("prompt", "consent"), "taken");
        assert_eq!(
            fault(|it| it.client_secret = Some("GOCSPX-x_1".to_owned())),
            "taken"
        );
        assert_eq!(fault(|it| it.redirect_ports = vec![8250, 8251]), "taken");
    }

    #[test]
    fn no_parameter_replaces_one_of_the_protocol() {
        for name in PROTOCOL {
            assert!(parameter(name, "x").contains("Daypass's own"), "{name}");
        }
    }

    #[test]
    fn odd_values_are_refused_with_their_key() {
        let long = "x".repeat(TEXT_LIMIT + 1);
        for (problem, expected) in [
            (parameter("", "x"), "authorization_parameters: "),
            (parameter("x", ""), "authorization_parameters: "),
            (parameter("x", "a\nb"), "authorization_parameters: "),
            (parameter("x", &long), "authorization_parameters: "),
            (
                fault(|it| it.client_secret = Some(String::new())),
                "client_secret_file: ",
            ),
            (
                fault(|it| it.client_secret = Some("a b".to_owned())),
                "client_secret_file: ",
            ),
            (
                fault(|it| it.client_secret = Some(long.clone())),
                "client_secret_file: ",
            ),
            (fault(|it| it.redirect_ports = vec![80]), "redirect_ports: "),
            (
                fault(|it| it.redirect_ports = vec![8250, 8250]),
                "redirect_ports: ",
            ),
            (
                fault(|it| it.redirect_ports = (8000..8017).collect()),
                "redirect_ports: ",
            ),
            (
                fault(|it| it.session = Duration::from_secs(59)),
                "session: ",
            ),
            (
                fault(|it| it.session = Duration::from_secs(604_801)),
                "session: ",
            ),
        ] {
            assert!(problem.starts_with(expected), "{problem}");
        }
    }

    #[test]
    fn an_issuer_of_machines_has_no_sign_in() {
        let sign_in = SignIn {
            refresh: true,
            ..SignIn::default()
        };
        assert!(sign_in.check(false).is_err());
        assert!(SignIn::default().check(false).is_ok());
    }
}
