//! The server's description of itself: issuers, CA keys, the ledger's key. Needs no login.
//!
//! It is checked, compared with what the server said last time, and remembered. A change of CA keys
//! is reported, and one of the ledger's key that the old key has signed; any other is an error.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};
use ssh_key::{Fingerprint, HashAlg, PublicKey};

use super::{
    Error,
    connect::{Address, Server},
    ledger_keys,
    state::{SERVERS, State},
};
use crate::{
    identity::web_url,
    ledger::handover::{Handover, KeyHistory},
    proto::v1,
    ssh::key,
};

/// Binding of an issuer's tokens to the login's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binding {
    /// By the ID token's nonce.
    Nonce,
    /// By an audience `<audience>#<commitment>`.
    Audience,
    /// Not bound.
    None,
}

/// An issuer whose ID tokens the server accepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuer {
    /// Its name in the server's configuration, for `login --issuer`.
    pub name: String,
    /// Its URL, exactly as in the token's `iss`.
    pub url: String,
    /// Our client id at the issuer.
    pub client_id: String,
    /// The audience of its tokens; of audience-bound tokens, the part before `#`.
    pub audience: String,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
    /// Binding of its tokens.
    pub binding: Binding,
    /// Whether the server accepts the device flow.
    pub device_flow: bool,
    /// Whether users sign in here; false for machines.
    pub interactive: bool,
    /// The secret of a native app, which is not confidential.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// The registered ports of the redirect, in the order to try. Empty: any port.
    #[serde(default)]
    pub redirect_ports: Vec<u16>,
    /// The registered host of the redirect: `127.0.0.1` or `localhost`.
    #[serde(default)]
    pub redirect_host: String,
    /// Extra parameters of the authorization request.
    #[serde(default)]
    pub authorization_parameters: BTreeMap<String, String>,
    /// Whether to renew ID tokens by a refresh token.
    #[serde(default)]
    pub refresh: bool,
    /// Seconds after a sign-in's `iat` up to which the server accepts renewed tokens.
    #[serde(default)]
    pub session_seconds: u64,
    /// PEM certificates: roots for the issuer's HTTPS, beside those of the system. Empty: none.
    #[serde(default)]
    pub ca_certificates: String,
    /// The signature algorithms that the server accepts. Empty: the server is older than the
    /// setting.
    #[serde(default)]
    pub algorithms: Vec<String>,
    /// The claim that names a person to other people; none: the verified e-mail, else `sub`.
    #[serde(default)]
    pub label_claim: Option<String>,
    /// The audiences that a token may name.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Whether the string `true` is a boolean in this issuer's claims.
    #[serde(default)]
    pub string_booleans: bool,
}

/// A server's answer to `GetTrust`, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// The server's name, which possession proofs are for. It equals the host that was connected
    /// to.
    pub server_name: String,
    /// The issuers, in the configuration's order.
    pub issuers: Vec<Issuer>,
    /// The CA keys that sign passes (active and retired), in OpenSSH form.
    pub ca_keys: Vec<String>,
    /// The ledger's verifier key (C2SP signed note).
    pub ledger_verifier_key: String,
    /// The handovers of the ledger that led to it, as far as they are known here.
    #[serde(default)]
    pub ledger_handovers: Vec<Handover>,
    /// Patterns of the host names that passes are for.
    pub host_patterns: Vec<String>,
    /// Patterns of the hosts behind bastions.
    #[serde(default)]
    pub behind_bastions: Vec<String>,
    /// Host names and addresses of the bastions.
    #[serde(default)]
    pub bastions: Vec<String>,
    /// The address of its page for approvers, if it has one.
    #[serde(default)]
    pub page_url: Option<String>,
    /// The keys that sign host certificates, in OpenSSH form.
    #[serde(default)]
    pub host_ca_keys: Vec<String>,
    /// Patterns of the host names for which they count.
    #[serde(default)]
    pub known_host_names: Vec<String>,
    /// Version of the list of revoked host certificates; 0 if there is none.
    #[serde(default)]
    pub host_revocations_version: u64,
}

impl ServerInfo {
    /// The address of a request's page, to send to approvers.
    pub(crate) fn page_of(&self, id: u64) -> Option<String> {
        let page = self.page_url.as_ref()?;
        Some(format!("{page}/requests/{id}"))
    }

    /// What the server says of itself now. Nothing is compared or remembered.
    ///
    /// # Errors
    /// As [`ServerInfo::refresh`], but for [`Error::Fork`].
    pub(super) async fn ask(server: &Server) -> Result<Self, Error> {
        let request = v1::GetTrustRequest {};
        let answer = server.trust_service().get_trust(request).await?;
        Self::check(answer.into_inner(), &server.address)
    }

    /// Asks the server, checks the answer, compares it with what is remembered, and remembers it.
    /// Calls `say` for each change of CA keys.
    ///
    /// # Errors
    /// Returns [`Error::Unreachable`] if the server does not answer, [`Error::Untrusted`] if it
    /// gives another name than the one that was connected to, and [`Error::Fork`] if its ledger's
    /// key has changed.
    pub(crate) async fn refresh(
        state: &State,
        server: &Server,
        say: impl Fn(&str),
    ) -> Result<Self, Error> {
        let mut server_info = Self::ask(server).await?;
        let known = Self::cached(state, &server.address)?;
        match &known {
            Some(known) => server_info.compare(known, state, &server.address)?,
            None => server_info.expect_handovers()?,
        }
        if known.as_ref() == Some(&server_info) {
            return Ok(server_info);
        }
        if let Some(known) = known {
            report_keys(&known, &server_info, say);
        }
        let text = serde_json::to_vec_pretty(&server_info)
            .map_err(|error| Error::other(error.to_string()))?;
        state
            .root()
            .write(file(&server.address, "trust.json"), &text)?;
        Ok(server_info)
    }

    /// The server's last answer; none if it was never asked. No network.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the file cannot be read.
    pub(crate) fn cached(state: &State, address: &Address) -> Result<Option<Self>, Error> {
        let text = state.root().read(file(address, "trust.json"))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// All patterns of host names, also of hosts behind bastions, each once.
    pub(crate) fn all_patterns(&self) -> Vec<String> {
        let mut patterns = self.host_patterns.clone();
        for pattern in &self.behind_bastions {
            if !patterns.contains(pattern) {
                patterns.push(pattern.clone());
            }
        }
        patterns
    }

    /// The keys of the ledger's checkpoints.
    ///
    /// # Errors
    /// Returns [`Error::Untrusted`] if the server's verifier key or a handover is invalid.
    pub(crate) fn ledger_keys(&self) -> Result<KeyHistory, Error> {
        ledger_keys::keys(&self.ledger_verifier_key, &self.ledger_handovers)
    }

    /// The fingerprints of the CA keys.
    pub(crate) fn ca_fingerprints(&self) -> Vec<Fingerprint> {
        let keys = self.ca_keys.iter();
        keys.filter_map(|key| PublicKey::from_openssh(key).ok())
            .map(|key| key.fingerprint(HashAlg::Sha256))
            .collect()
    }

    fn check(answer: v1::GetTrustResponse, address: &Address) -> Result<Self, Error> {
        if !answer.server_name.eq_ignore_ascii_case(&address.host()) {
            return Err(Error::Untrusted(format!(
                "it calls itself {:?}, but the address says {}; use --server https://{0}:PORT, or correct `name` in its \
                 configuration",
                answer.server_name,
                address.host()
            )));
        }
        let ca_keys: Vec<String> = answer
            .ca_keys
            .into_iter()
            .filter(|key| key.state() != v1::get_trust_response::ca_key::State::Staged)
            .map(|key| key.public_key)
            .collect();
        if let Some(key) = ca_keys.iter().find(|key| key::parse(key).is_err()) {
            return Err(Error::Untrusted(format!("invalid CA key {key:?}")));
        }
        let host_ca_keys = host_ca_keys(&answer.host_ca_keys, &ca_keys)?;
        Ok(Self {
            host_ca_keys,
            known_host_names: answer.known_host_names,
            host_revocations_version: answer.host_revocations_version,
            server_name: answer.server_name,
            issuers: answer.issuers.into_iter().map(Issuer::from).collect(),
            ca_keys,
            ledger_verifier_key: answer.ledger_verifier_key,
            ledger_handovers: ledger_keys::unverified_handovers(answer.ledger_handovers)?,
            host_patterns: answer.host_patterns,
            page_url: Some(answer.page_url).filter(|url| is_page(url)),
            bastions: answer.bastions.iter().map(|it| it.host.clone()).collect(),
            behind_bastions: answer
                .bastions
                .into_iter()
                .flat_map(|bastion| bastion.hosts)
                .collect(),
        })
    }

    /// The handovers of a server that nothing is known about must lead to its key.
    fn expect_handovers(&self) -> Result<(), Error> {
        match self.ledger_handovers.is_empty() {
            true => Ok(()),
            false => self.ledger_keys().map(drop),
        }
    }

    /// Follows the ledger's key from the `known` one by its handovers, and keeps those that were
    /// known. Any other key is an error if a checkpoint or a handover is remembered.
    fn compare(&mut self, known: &Self, state: &State, address: &Address) -> Result<(), Error> {
        if self.ledger_verifier_key == known.ledger_verifier_key {
            match known.ledger_handovers.is_empty() {
                true => self.expect_handovers()?,
                false => self.ledger_handovers.clone_from(&known.ledger_handovers),
            }
            return Ok(());
        }
        let named = &self.ledger_verifier_key;
        let followed = ledger_keys::followed(&known.ledger_keys(), named, &self.ledger_handovers);
        let why = match followed {
            Ok(Some(keys)) => {
                self.ledger_handovers = keys.handovers().to_vec();
                return Ok(());
            }
            Ok(None) => return Ok(()),
            Err(why) => why,
        };
        let mut kept = Vec::new();
        if state.root().read(file(address, "checkpoint"))?.is_some() {
            kept.push(state.root().path(file(address, "checkpoint")));
        }
        if !known.ledger_handovers.is_empty() {
            kept.push(state.root().path(file(address, "trust.json")));
        }
        if kept.is_empty() {
            return self.expect_handovers();
        }
        let (known, named) = (&known.ledger_verifier_key, &self.ledger_verifier_key);
        Err(ledger_keys::changed((known, named), &why, &kept))
    }
}

impl From<v1::Binding> for Binding {
    fn from(binding: v1::Binding) -> Self {
        match binding {
            v1::Binding::Nonce => Self::Nonce,
            v1::Binding::Audience => Self::Audience,
            v1::Binding::None | v1::Binding::Unspecified => Self::None,
        }
    }
}

impl From<v1::get_trust_response::Issuer> for Issuer {
    fn from(issuer: v1::get_trust_response::Issuer) -> Self {
        let binding = Binding::from(issuer.binding());
        let audience = if issuer.audience.is_empty() {
            issuer.client_id.clone()
        } else {
            issuer.audience
        };
        Self {
            name: issuer.name,
            url: issuer.url,
            client_id: issuer.client_id,
            audience,
            scopes: issuer.scopes,
            binding,
            device_flow: issuer.device_flow,
            interactive: issuer.interactive,
            client_secret: Some(issuer.client_secret).filter(|it| !it.is_empty()),
            redirect_ports: issuer
                .redirect_ports
                .into_iter()
                .filter_map(|port| u16::try_from(port).ok())
                .collect(),
            // Only these two are on this machine by definition.
            redirect_host: match issuer.redirect_host.as_str() {
                "localhost" => "localhost".to_owned(),
                _ => "127.0.0.1".to_owned(),
            },
            authorization_parameters: issuer.authorization_parameters.into_iter().collect(),
            refresh: issuer.refresh,
            session_seconds: issuer.session_seconds,
            ca_certificates: String::from_utf8_lossy(&issuer.ca_certificates).into_owned(),
            algorithms: issuer.algorithms,
            label_claim: Some(issuer.label_claim).filter(|it| !it.is_empty()),
            audiences: issuer.audiences,
            string_booleans: issuer.string_booleans,
        }
    }
}

/// The path, in the state folder, of a file about one server.
pub(super) fn file(address: &Address, name: &str) -> PathBuf {
    PathBuf::from(SERVERS).join(address.folder()).join(name)
}

fn report_keys(known: &ServerInfo, now: &ServerInfo, say: impl Fn(&str)) {
    ledger_keys::news(&known.ledger_handovers, &now.ledger_handovers, &say);
    for key in now
        .host_ca_keys
        .iter()
        .filter(|key| !known.host_ca_keys.contains(key))
    {
        let key = PublicKey::from_openssh(key).map(|key| key::fingerprint(&key));
        if let (Ok(key), false) = (key, known.host_ca_keys.is_empty()) {
            say(&format!("note: the server has a new host CA key, {key}"));
        }
    }
    let (known, now) = (known.ca_fingerprints(), now.ca_fingerprints());
    for key in now.iter().filter(|key| !known.contains(key)) {
        say(&format!("note: the server has a new CA key, {key}"));
    }
    for key in known.iter().filter(|key| !now.contains(key)) {
        say(&format!("note: the server no longer uses the CA key {key}"));
    }
}

/// The keys that sign host certificates, without comments. One that signs passes too is an error: a
/// host could then make itself passes, or a pass be shown as a host's certificate.
fn host_ca_keys(keys: &[String], ca_keys: &[String]) -> Result<Vec<String>, Error> {
    let signs_passes = |host_key: &PublicKey| {
        let mut keys = ca_keys.iter().filter_map(|key| key::parse(key).ok());
        keys.any(|key| key.key_data() == host_key.key_data())
    };
    let mut lines = Vec::new();
    for text in keys {
        let invalid = || Error::Untrusted(format!("invalid host CA key {text:?}"));
        let key = key::parse(text).map_err(|_| invalid())?;
        if signs_passes(&key) {
            let key = key::fingerprint(&key);
            return Err(Error::Untrusted(format!(
                "its key {key} signs passes and hosts"
            )));
        }
        lines.push(key.to_openssh().map_err(|_| invalid())?);
    }
    Ok(lines)
}

/// The most bytes of a page's address.
const LONGEST_PAGE: usize = 512;

/// Whether an address may be shown to people as that of the server's page.
fn is_page(url: &str) -> bool {
    url.len() <= LONGEST_PAGE && web_url::check_endpoint(url, false).is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::ledger::checkpoint::Signer;

    #[test]
    fn only_an_https_address_is_shown_as_the_page() {
        for (url, expected) in [
            ("https://ca.example.com:7443/web", true),
            ("", false),
            ("http://ca.example.com/web", false),
            ("javascript:alert(1)", false),
            ("https://ca.example.com@evil.example/web", false),
            ("https://ca.example.com/web\u{1b}[2J", false),
        ] {
            assert_eq!(is_page(url), expected, "{url}");
        }
        assert!(!is_page(&format!(
            "https://a.example/{}",
            "x".repeat(LONGEST_PAGE)
        )));
    }

    fn address() -> Address {
        Address::parse("https://daypass.example.com:7443").unwrap()
    }

    fn answer() -> v1::GetTrustResponse {
        v1::GetTrustResponse {
            server_name: "daypass.example.com".into(),
            ledger_verifier_key: "one".into(),
            ..Default::default()
        }
    }

    #[test]
    fn the_servers_name_must_be_the_one_in_its_address() {
        for (name, good) in [
            ("daypass.example.com", true),
            ("Daypass.Example.com", true),
            ("evil.example.com", false),
            ("", false),
        ] {
            let answer = v1::GetTrustResponse {
                server_name: name.into(),
                ..answer()
            };
            assert_eq!(
                ServerInfo::check(answer, &address()).is_ok(),
                good,
                "{name}"
            );
        }
    }

    #[test]
    fn staged_keys_are_not_trusted_and_garbage_is_refused() {
        use v1::get_trust_response::{CaKey, ca_key::State};
        let line =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB1y+vTQLWKcr8Qp+7ZQJr+6aJh0Y5dYqJ8hZ2H8Z0rb";
        let key = |text: &str, state: State| CaKey {
            public_key: text.into(),
            state: state.into(),
        };
        let server_info = ServerInfo::check(
            v1::GetTrustResponse {
                ca_keys: vec![key("garbage", State::Staged)],
                ..answer()
            },
            &address(),
        );
        assert!(server_info.unwrap().ca_keys.is_empty());
        for (text, good) in [(line, true), ("garbage", false)] {
            let answer = v1::GetTrustResponse {
                ca_keys: vec![key(text, State::Active)],
                ..answer()
            };
            assert_eq!(
                ServerInfo::check(answer, &address()).is_ok(),
                good,
                "{text}"
            );
        }
    }

    #[test]
    fn a_new_ledger_key_is_an_error_if_a_checkpoint_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(folder.path()).unwrap();
        let known = ServerInfo::check(answer(), &address()).unwrap();
        let mut new = ServerInfo {
            ledger_verifier_key: "two".into(),
            ..known.clone()
        };
        new.compare(&known, &state, &address()).unwrap();
        state
            .write(file(&address(), "checkpoint"), b"note")
            .unwrap();
        known.clone().compare(&known, &state, &address()).unwrap();
        assert!(matches!(
            new.compare(&known, &state, &address()),
            Err(Error::Fork(_))
        ));
    }

    #[test]
    fn a_client_that_followed_a_handover_accepts_no_other_key_without_a_checkpoint_either() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(folder.path()).unwrap();
        let key = |seed| Signer::new("daypass.example.com/ledger", &[seed; 32]).unwrap();
        let server_info = |named: u8, handovers: &[Handover]| ServerInfo {
            ledger_verifier_key: key(named).verifier().to_string(),
            ledger_handovers: handovers.to_vec(),
            ..ServerInfo::check(answer(), &address()).unwrap()
        };
        let handover = Handover::sign(&key(1), &key(2), 5).unwrap();
        let known = server_info(2, &[handover]);
        for thief in [1, 3] {
            let refused = server_info(thief, &[]).compare(&known, &state, &address());
            let Err(Error::Fork(words)) = refused else {
                unreachable!("{thief}: {refused:?}")
            };
            assert!(words.contains("trust.json"), "{words}");
            assert!(!words.contains("checkpoint"), "{words}");
        }
    }
}
