//! `[[emergency_identity]]`: whose registered keys get them in while the issuer is down, and how many of them it takes. Pure.
//!
//! Such an identity is the person's own `(issuer, subject)` and label (the verified e-mail of their tokens, else the subject),
//! so locks, reviews and "nobody their own" hold across both ways in. It gets a role's `emergency` and nothing else, and `require` does not ask it how it signed in: it did not.

use std::sync::Arc;

use serde_json::{Map, Value};
use ssh_key::{Algorithm, PublicKey};
use toml::Spanned;

use super::{
    Ask, Denial, Error, Person, Policy, Reason,
    approval::Emergency,
    file::{self, Text},
};
use crate::identity::{
    Binding, Identity,
    emergency::{MAX_SIGNATURES, Registered, Registry},
};

/// The most bytes of a subject, issuer or label.
const MAX_TEXT: usize = 256;

/// How a person was proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Means {
    /// By an ID token that is bound to their key, or as if by one.
    #[default]
    Token,
    /// By an ID token that is bound to no key (device flow, `binding = "none"`): with a stolen one
    /// another person signs in as well.
    UnboundToken,
    /// By a registered key, without a token.
    RegisteredKey,
}

impl Means {
    /// That of an identity.
    pub fn of(identity: &Identity) -> Self {
        match (identity.emergency(), identity.binding()) {
            (Some(_), _) => Self::RegisteredKey,
            (None, Binding::Nonce | Binding::Audience) => Self::Token,
            (None, Binding::None) => Self::UnboundToken,
        }
    }
}

/// The issuer that a registered person is of, and the line that says so.
#[derive(Clone, Debug)]
pub(super) struct NamedIssuer {
    issuer: String,
    line: usize,
}

/// The issuers that `[[emergency_identity]]` tables name, in file order.
pub(super) fn issuers(text: Text<'_>, file: &file::File) -> Vec<NamedIssuer> {
    let named = |raw: &file::EmergencyIdentity| NamedIssuer {
        issuer: raw.issuer.get_ref().clone(),
        line: text.line(&raw.issuer.span()),
    };
    file.emergency_identities.iter().map(named).collect()
}

/// Reads the `[[emergency_identity]]` tables.
pub(super) fn load(text: Text<'_>, file: &file::File) -> Result<Registry, Error> {
    let mut registry = Registry::default();
    for raw in &file.emergency_identities {
        let person = Arc::new(person(text, raw)?);
        if raw.keys.get_ref().is_empty() {
            return Err(text.error(
                raw.keys.span(),
                "`keys` is empty; write the person's public keys, as in a .pub file",
            ));
        }
        for line in raw.keys.get_ref() {
            let key = text.parse(line, |line| key(line))?;
            if !registry.add(&key, &person) {
                return Err(text.error(
                    line.span(),
                    "this key is registered already; a key is one person's, once",
                ));
            }
        }
    }
    Ok(registry)
}

fn person(text: Text<'_>, raw: &file::EmergencyIdentity) -> Result<Registered, Error> {
    let field = |value: &Spanned<String>, name: &str| {
        text.parse(value, |value| {
            let is_good = (1..=MAX_TEXT).contains(&value.len())
                && !value.chars().any(char::is_control);
            is_good.then(|| value.clone()).ok_or_else(|| {
                format!("`{name}` is one line of 1 to {MAX_TEXT} bytes; write it as the person's ID token has it")
            })
        })
    };
    let subject = field(&raw.subject, "subject")?;
    let mut claims: Map<String, Value> = raw.claims.clone();
    claims.insert("sub".to_owned(), Value::String(subject.clone()));
    Ok(Registered {
        issuer: field(&raw.issuer, "issuer")?,
        label: field(&raw.label, "label")?,
        subject,
        claims,
    })
}

fn key(line: &str) -> Result<PublicKey, String> {
    let wrong =
        |why: &str| format!("this is no key for emergencies: {why}; write one line of a .pub file");
    let key = PublicKey::from_openssh(line.trim()).map_err(|_| wrong("it does not parse"))?;
    match key.algorithm() {
        Algorithm::Rsa { .. } if rsa_bits(&key) < RSA_BITS => {
            Err(wrong(&format!("an RSA key has at least {RSA_BITS} bits")))
        }
        Algorithm::Ed25519
        | Algorithm::Ecdsa { .. }
        | Algorithm::SkEd25519
        | Algorithm::SkEcdsaSha2NistP256
        | Algorithm::Rsa { .. } => Ok(key),
        _ => Err(wrong("its algorithm is too old, or unknown")),
    }
}

/// What the CA takes of RSA keys; a shorter one would be refused on the day it is needed.
const RSA_BITS: usize = 3072;

fn rsa_bits(key: &PublicKey) -> usize {
    let modulus = key
        .key_data()
        .rsa()
        .and_then(|key| key.n.as_positive_bytes());
    modulus.map_or(0, |bytes| bytes.len().saturating_mul(8))
}

/// `keys` of a role's `emergency`: how many registered people must sign.
pub(super) fn quorum(count: i64) -> Result<u32, String> {
    match u32::try_from(count) {
        Ok(count) if count >= 1 && usize::try_from(count).is_ok_and(|it| it <= MAX_SIGNATURES) => {
            Ok(count)
        }
        _ => Err(format!(
            "`keys` is {count}; demand 1 to {MAX_SIGNATURES} people's registered keys"
        )),
    }
}

impl Policy {
    /// Whose keys are registered for emergencies.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Refuses registered people of an issuer that the server does not know. `(issuer, subject)` is
    /// the identity: with an issuer spelled otherwise than in tokens, a person who comes by a
    /// registered key is another one than the person who signs in, and reviews their own emergency.
    ///
    /// # Errors
    /// The first such table's line, and the issuers that there are.
    pub fn expect_issuers(&self, configured: &[&str]) -> Result<(), Error> {
        let is_unknown = |named: &&NamedIssuer| !configured.contains(&named.issuer.as_str());
        let Some(named) = self.named_issuers.iter().find(is_unknown) else {
            return Ok(());
        };
        let bare = |url: &str| url.trim_end_matches('/').to_ascii_lowercase();
        let meant = configured
            .iter()
            .find(|url| bare(url) == bare(&named.issuer));
        let advice = match meant {
            Some(url) => format!("write {url:?}"),
            None => format!("write one of {}", configured.join(", ")),
        };
        Err(Error::Invalid {
            origin: self.origin.clone(),
            line: named.line,
            message: format!(
                "issuer {:?} is not the url of an [[issuer]] in daypass.toml: {advice}, exactly",
                named.issuer
            ),
        })
    }

    /// An identity by registered keys gets emergencies only.
    pub(super) fn expect_emergency(&self, identity: &Identity, ask: &Ask) -> Result<(), Denial> {
        match identity.emergency().is_none() || ask.emergency {
            true => Ok(()),
            false => Err(Denial::new(
                Reason::EmergencyOnly,
                "a registered key gets somebody in by a role's `emergency` only; ask with --emergency, or sign in",
            )),
        }
    }

    /// Whether as many registered people signed as the role wants, each of whom might have asked themselves.
    pub(super) fn expect_quorum(&self, identity: &Identity, ask: &Ask) -> Result<(), Denial> {
        let (Some(proof), Some((role, rules))) = (identity.emergency(), self.emergency_of(ask))
        else {
            return Ok(());
        };
        let people = proof.signers().iter().map(|signer| Person {
            issuer: &signer.person.issuer,
            subject: &signer.person.subject,
            claims: &signer.person.claims,
            means: Means::RegisteredKey,
        });
        self.quorum(role, rules, people, ask)
    }

    /// The role of an ask with its emergency rules, where it has any.
    pub(super) fn emergency_of(&self, ask: &Ask) -> Option<(&str, &Emergency)> {
        let role = self.role(&ask.role).ok()?;
        Some((&role.name, role.emergency.as_ref()?))
    }

    /// Whether enough of these distinct people count.
    pub(super) fn quorum<'a>(
        &self,
        role: &str,
        rules: &Emergency,
        people: impl Iterator<Item = Person<'a>>,
        ask: &'a Ask,
    ) -> Result<(), Denial> {
        let counting = people.filter(|person| self.holds(&rules.allow, *person, ask));
        let count = u32::try_from(counting.count()).unwrap_or(u32::MAX);
        if count >= rules.keys {
            return Ok(());
        }
        let wanted = rules.keys;
        let detail = format!(
            "an emergency of role {role:?} needs the registered keys of {wanted} people who may have it, and {count} signed; \
             `daypass emergency prepare` collects them"
        );
        Err(Denial::new(Reason::Quorum, detail)
            .with("keys", wanted.to_string())
            .with("signed", count.to_string()))
    }
}
