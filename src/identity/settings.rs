//! The settings of issuers, and every check of them. Pure.
//!
//! The configuration reads them from a file, and asks [`check`] here. What only an HTTP client can
//! tell, whether the roots are usable, is found when [`super::Issuers`] begins.

use url::Url;

use super::{
    algorithm::Algorithm,
    binding::Binding,
    sign_in::{Fault, SignIn},
    web_url,
};

/// Characters of a name at most.
const NAME_LIMIT: usize = 64;

/// One `[[issuer]]` of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name in logs and for people.
    pub name: String,
    /// The issuer identifier: https (http only on loopback), compared byte by byte with `iss`.
    pub url: String,
    /// Our client there. A token's `azp`, if present, must be it.
    pub client_id: String,
    /// Audiences that are ours. The client id if none is configured. A token may name several of
    /// them, and no other, if its `azp` is our client.
    pub audiences: Vec<String>,
    /// The scopes that clients request.
    pub scopes: Vec<String>,
    /// The accepted signature algorithms. Never the token's choice. The first that fits is that of
    /// an RSA key that names none.
    pub algorithms: Vec<Algorithm>,
    /// Whether the issuer has a single key, and its tokens may name none.
    pub key_without_id: bool,
    /// Way in which tokens commit to a key.
    pub binding: Binding,
    /// Whether tokens without a nonce are accepted (device flow). They are [`Binding::None`].
    pub device_flow: bool,
    /// Whether people sign in here.
    pub interactive: bool,
    /// Extra roots (PEM file contents) for the issuer's HTTPS.
    pub ca_certificates: Option<Vec<u8>>,
    /// The claim that names a person in logs and to other people. `None`: the verified e-mail.
    pub label: Option<String>,
    /// Whether the strings `"true"` and `"false"` are booleans in this issuer's claims.
    pub string_booleans: bool,
    /// What clients need to know for a sign-in.
    pub sign_in: SignIn,
}

/// Reason why the issuers' settings are refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A setting is invalid.
    #[error("issuer `{issuer}`: {problem}")]
    Invalid {
        /// The issuer's place in the list, from 0.
        index: usize,
        /// The configured name.
        issuer: String,
        /// The key in the configuration.
        key: &'static str,
        /// The fault, and what to do: a sentence that names the key.
        problem: String,
    },
    /// The roots cannot be read, or there are none.
    #[error("issuer `{issuer}`: cannot use its roots (ca_file, or those of the system)")]
    Certificates {
        /// The configured name.
        issuer: String,
        /// The HTTP client's error.
        #[source]
        source: reqwest::Error,
    },
}

/// Checks the settings of all issuers.
///
/// # Errors
/// Returns the first fault: a name or URL that two issuers share, then the faults of each issuer.
pub fn check(all: &[Settings]) -> Result<(), SettingsError> {
    let unique = |key, value: fn(&Settings) -> &str| {
        let repeated = |(index, one)| all.iter().take(index).any(|other| value(other) == one);
        let mut values = all.iter().map(value).enumerate();
        let (index, value) = values.find(|(index, one)| repeated((*index, *one)))?;
        let problem =
            format!("issuer {key} {value:?} is taken by an earlier [[issuer]]: each has its own");
        Some((index, (key, problem)))
    };
    let twice = unique("name", |one| &one.name).or_else(|| unique("url", |one| &one.url));
    let invalid = || {
        let mut checked = all.iter().map(Settings::check).enumerate();
        checked.find_map(|(index, outcome)| Some((index, outcome.err()?)))
    };
    let Some((index, (key, problem))) = twice.or_else(invalid) else {
        return Ok(());
    };
    let issuer = all.get(index).map(|one| one.name.clone());
    Err(SettingsError::Invalid {
        index,
        issuer: issuer.unwrap_or_default(),
        key,
        problem,
    })
}

impl Settings {
    fn check(&self) -> Result<(), Fault> {
        self.check_binding()?;
        self.check_name()?;
        self.check_url()?;
        if self.client_id.is_empty() {
            let problem = "client_id is empty: write the id that the provider gave this client";
            return Err(("client_id", problem.to_owned()));
        }
        self.check_audiences()?;
        if self.interactive && !self.scopes.iter().any(|scope| scope == "openid") {
            let problem = "scopes lack \"openid\": without it no provider gives an ID token";
            return Err(("scopes", problem.to_owned()));
        }
        if self.algorithms.is_empty() {
            let problem = "algorithms is empty: name those that the provider signs with, such as \
                [\"ES256\"]";
            return Err(("algorithms", problem.to_owned()));
        }
        self.check_label()?;
        self.sign_in.check(self.interactive)
    }

    /// People's sign-in carries its commitment in the nonce, machines' in the audience.
    fn check_binding(&self) -> Result<(), Fault> {
        let problem = match (self.binding, self.interactive) {
            (Binding::Audience, true) => {
                "binding = \"audience\" is for machines: set interactive = false, or use \"nonce\" \
                 for people"
            }
            (Binding::Nonce, false) => {
                "binding = \"nonce\" is for people who sign in: use \"audience\" for machines, or \
                 interactive = true"
            }
            (Binding::Audience | Binding::None, false) if self.device_flow => {
                "device_flow is a way for people to sign in: set interactive = true, or remove it"
            }
            (Binding::Nonce | Binding::None, true) | (Binding::Audience | Binding::None, false) => {
                return Ok(());
            }
        };
        Err(("binding", problem.to_owned()))
    }

    fn check_name(&self) -> Result<(), Fault> {
        let name = &self.name;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if (1..=NAME_LIMIT).contains(&name.len()) && name.bytes().all(is_plain) {
            return Ok(());
        }
        let problem = format!(
            "issuer name {name:?} is refused: use 1 to 64 letters, digits, '-', '_' or '.'"
        );
        Err(("name", problem))
    }

    fn check_label(&self) -> Result<(), Fault> {
        let is_claim = |name: &String| {
            (1..=NAME_LIMIT).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
        };
        if self.label.as_ref().is_none_or(is_claim) {
            return Ok(());
        }
        let problem = "label is refused: write the name of one claim, such as \
            \"preferred_username\", or remove it";
        Err(("label", problem.to_owned()))
    }

    /// The URL is kept exactly as written: tokens are compared with it byte by byte.
    fn check_url(&self) -> Result<(), Fault> {
        let text = &self.url;
        let refuse = |why: &str| ("url", format!("issuer url {text:?} {why}"));
        let url = Url::parse(text)
            .map_err(|_| refuse("is not a URL: copy the provider's issuer exactly"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("holds a user name: remove it"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("has a query or fragment: an issuer has neither"));
        }
        if url.scheme() != "https" && !self.is_loopback() {
            let why = "is not https: only an issuer on loopback may use http";
            return Err(refuse(why));
        }
        match web_url::check_endpoint(text, true) {
            Ok(_) => Ok(()),
            Err(why) => Err(refuse(&format!(
                "{why}: copy the provider's issuer exactly"
            ))),
        }
    }

    /// Whether the issuer is on this machine, and uses http.
    pub(super) fn is_loopback(&self) -> bool {
        let is_local = |url: Url| url.scheme() == "http" && web_url::is_loopback(&url);
        Url::parse(&self.url).is_ok_and(is_local)
    }

    /// `#` begins the commitment in a bound audience, so no configured audience may have one.
    fn check_audiences(&self) -> Result<(), Fault> {
        if self.audiences.is_empty() {
            let problem =
                "audiences is empty: name at least one, or remove the key to use client_id";
            return Err(("audiences", problem.to_owned()));
        }
        let is_bad = |audience: &&String| audience.is_empty() || audience.contains('#');
        match self.audiences.iter().find(is_bad) {
            None => Ok(()),
            Some(bad) => {
                let problem =
                    format!("audience {bad:?} is refused: it may not be empty or hold '#'");
                Err(("audiences", problem))
            }
        }
    }
}
