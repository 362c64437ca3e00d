//! Joining: the host proves its host keys to the server, and gets a certificate for each.

mod token;

use std::path::PathBuf;

use base16ct::lower::encode_string;
use serde::Serialize;
use ssh_key::{Certificate, PublicKey};

pub(crate) use self::token::{MachineToken, TokenAudience, audience};
use super::{
    Error, Settings,
    certificate::{self, Expected},
    error::{Declined, InvalidAnswer},
    failed_sync::FailedSync,
    files::{Layout, check_room, read},
    host_keys::HostKey,
    keys::CaKeys,
    server::Server,
    settings::{Joined, JoinedKey},
    sshd::Effective,
};
use crate::{
    identity::proof,
    ledger::join_code,
    proto::v1::{GetTrustResponse, Host, HostKeyProof, JoinHostRequest},
    ssh::{
        host_proof::{HostProof, HostVerb},
        key::fingerprint,
    },
    unix_seconds::UnixSeconds,
};

/// A host that has joined, and the certificates that are to be written.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    /// For the settings.
    pub joined: Joined,
    /// Path and text of each new certificate. Empty: those on disk stay.
    pub certificates: Vec<(PathBuf, String)>,
}

/// A host certificate on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct OnDisk {
    /// Its file.
    pub file: PathBuf,
    /// The host key's fingerprint.
    pub key: String,
    /// The first second at which it is no longer valid; none if it is missing or broken.
    pub until: Option<UnixSeconds>,
}

/// Where and when a host joins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'a> {
    pub layout: &'a Layout,
    pub server: &'a Server,
    /// sshd's configuration in force.
    pub effective: &'a Effective,
    /// The keys that sign passes.
    pub user_keys: &'a CaKeys,
    /// Unix seconds.
    pub now: UnixSeconds,
}

/// What lets a host join.
#[derive(Clone, Debug)]
pub(crate) enum Credential {
    /// The join code that an administrator made.
    Code(String),
    /// The machine's own ID token.
    Token(MachineToken),
}

impl Credential {
    /// SHA-256 of the code or token.
    fn digest(&self) -> Result<[u8; 32], Error> {
        match self {
            Self::Code(code) => join_code::hash(code).ok_or_else(|| {
                Error::Usage(
                    "invalid --join code: it has 16 letters and digits, as in 7KQ2-M9XP-3A4W-ZZTB"
                        .to_owned(),
                )
            }),
            Self::Token(it) => Ok(proof::token_hash(&it.token)),
        }
    }

    /// Whether a host that has joined like this need not join again. Tokens are short-lived, and
    /// the machine that shows another one is the same, unless the server said that it forgot it.
    fn has_joined(&self, layout: &Layout, known: &Joined, digest: &[u8; 32]) -> bool {
        if known.joined_by == encode_string(digest) {
            return true;
        }
        match self {
            Self::Code(_) => false,
            Self::Token(it) => {
                let failed = FailedSync::load_at(&layout.failed_report()).ok().flatten();
                known.name == it.name && failed.is_none_or(|it| it.reason != "NO_SUCH_HOST")
            }
        }
    }
}

/// Whether the host has joined another server than the one that the token is for.
fn is_of_another_server(
    settings: &Settings,
    site: &Site<'_>,
    credential: Option<&Credential>,
) -> bool {
    matches!(credential, Some(Credential::Token(_))) && settings.server != site.server.address()
}

/// Joins. The same code again changes nothing, and another token of a machine that has joined by
/// that name. Without either, a host that has joined stays as it is; none if it has not.
///
/// # Errors
/// Returns [`Error::Usage`] if code or token is malformed, [`Error::Declined`] with the server's
/// reason, and [`Error::Refused`] if a certificate in the answer is not one for this host.
pub(crate) async fn join(
    site: &Site<'_>,
    credential: Option<&Credential>,
) -> Result<Option<Membership>, Error> {
    let known = match Settings::load(site.layout) {
        // A token's machine joins another server by a token of its own.
        Ok(settings) if is_of_another_server(&settings, site, credential) => None,
        Ok(settings) => settings.joined,
        Err(Error::NotSetUp) => None,
        // With a code, the file is written anew. Without one, a host that had joined would no
        // longer be a known host, and its users would be refused.
        Err(_) if credential.is_some() => None,
        Err(error) => return Err(error),
    };
    let kept = |joined: Joined| Membership {
        joined,
        certificates: Vec::new(),
    };
    let Some(credential) = credential else {
        return Ok(known.map(kept));
    };
    let digest = credential.digest()?;
    let keys = HostKey::all(site.effective).await?;
    if let Some(known) = known.filter(|it| credential.has_joined(site.layout, it, &digest))
        && is_current(site, &known, &keys)?
    {
        return Ok(Some(kept(known)));
    }
    // Certificates that cannot be written are not asked for.
    check_room(&site.layout.folder())?;
    let trust = site.server.trust().await?;
    let mut request = JoinHostRequest {
        keys: prove(&keys, &trust.server_name, (HostVerb::Join, &digest)).await?,
        ..JoinHostRequest::default()
    };
    let answer = match credential {
        Credential::Code(code) => {
            request.code.clone_from(code);
            site.server.join(request).await?
        }
        Credential::Token(it) => {
            it.complete(&mut request, &trust.server_name, &keys)?;
            let answer = site.server.join_with(request, &it.token).await?;
            it.expect_named(answer.host.as_ref().unwrap_or(&Host::default()))?;
            answer
        }
    };
    let host = answer.host.unwrap_or_default();
    let joined = joined(host, &keys, encode_string(&digest));
    let check = Check::of(&trust, site.user_keys, site.now)?;
    let certificates = check.all(&joined, &keys, &answer.certificates, site.layout)?;
    Ok(Some(Membership {
        joined,
        certificates,
    }))
}

fn joined(host: Host, keys: &[HostKey], joined_by: String) -> Joined {
    Joined {
        name: host.name,
        aliases: host.aliases,
        group: host.group,
        keys: keys.iter().map(HostKey::joined).collect(),
        joined_by,
    }
}

/// A proof for each key, over all of them.
///
/// # Errors
/// Returns [`Error::Sshd`] if a key does not sign.
pub(crate) async fn prove(
    keys: &[HostKey],
    server: &str,
    (verb, digest): (HostVerb, &[u8; 32]),
) -> Result<Vec<HostKeyProof>, Error> {
    let invalid = |error: ssh_key::Error| Error::Sshd(format!("invalid host key: {error}"));
    let publics: Vec<PublicKey> = keys.iter().map(|key| key.public.clone()).collect();
    let proof = HostProof {
        server,
        verb,
        digest,
        keys: &publics,
    };
    let message = proof.message().map_err(invalid)?;
    let mut proofs = Vec::new();
    for key in keys {
        proofs.push(HostKeyProof {
            public_key: key.public.to_openssh().map_err(invalid)?,
            signature: key.sign(&message).await?,
        });
    }
    Ok(proofs)
}

/// What certificates in an answer are compared with.
pub(crate) struct Check<'a> {
    authorities: Vec<PublicKey>,
    user_keys: &'a CaKeys,
    now: UnixSeconds,
}

impl<'a> Check<'a> {
    /// By the host CA keys that the server publishes.
    ///
    /// # Errors
    /// Returns [`Error::Declined`] if it publishes none.
    pub(crate) fn of(
        trust: &GetTrustResponse,
        user_keys: &'a CaKeys,
        now: UnixSeconds,
    ) -> Result<Self, Error> {
        let keys = trust.host_ca_keys.iter();
        let authorities: Vec<PublicKey> = keys
            .filter_map(|key| PublicKey::from_openssh(key).ok())
            .collect();
        if authorities.is_empty() {
            return Err(Declined::other("the server publishes no host CA key".to_owned()).into());
        }
        Ok(Self {
            authorities,
            user_keys,
            now,
        })
    }

    /// Checks a certificate for each key, in order. Returns the files to write.
    ///
    /// # Errors
    /// Returns [`Error::Refused`] if one is missing, or not for this host.
    pub(crate) fn all(
        &self,
        joined: &Joined,
        keys: &[HostKey],
        certificates: &[String],
        layout: &Layout,
    ) -> Result<Vec<(PathBuf, String)>, Error> {
        let names: Vec<&str> = joined.names().collect();
        let mut files = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            let refused = |cause: String| InvalidAnswer::HostCertificate {
                key: key.file.clone(),
                cause,
            };
            let text = certificates
                .get(at)
                .filter(|_| certificates.len() == keys.len());
            let text = text.ok_or_else(|| {
                refused(format!(
                    "the server sent {} certificates for {} keys",
                    certificates.len(),
                    keys.len()
                ))
            })?;
            let expected = Expected {
                key: &key.public,
                names: &names,
                authorities: &self.authorities,
                user_keys: self.user_keys,
                now: self.now,
            };
            certificate::check(text, &expected).map_err(refused)?;
            let file = layout.certificate(&key.joined().kind);
            files.push((file, format!("{}\n", text.trim())));
        }
        Ok(files)
    }
}

/// Whether the certificates on disk are those of these keys, and not due.
fn is_current(site: &Site<'_>, known: &Joined, keys: &[HostKey]) -> Result<bool, Error> {
    let now: Vec<JoinedKey> = keys.iter().map(HostKey::joined).collect();
    if now != known.keys {
        return Ok(false);
    }
    for (joined, key) in known.keys.iter().zip(keys) {
        let is_fresh = load(site.layout, joined)?.is_some_and(|certificate| {
            certificate.public_key() == key.public.key_data()
                && site.now < certificate::renewal(&certificate)
        });
        if !is_fresh {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The certificate of a key on disk; none if it is missing or broken.
///
/// # Errors
/// Returns [`Error::File`] if it cannot be read.
pub(crate) fn load(layout: &Layout, key: &JoinedKey) -> Result<Option<Certificate>, Error> {
    let text = read(&layout.certificate(&key.kind))?;
    Ok(text.and_then(|text| {
        let text = String::from_utf8_lossy(&text).into_owned();
        Certificate::from_openssh(text.trim()).ok()
    }))
}

/// All certificates of a host that has joined, as they are on disk.
///
/// # Errors
/// As [`load`].
pub(crate) fn on_disk(layout: &Layout, joined: &Joined) -> Result<Vec<OnDisk>, Error> {
    let keys = joined.keys.iter();
    keys.map(|key| {
        let certificate = load(layout, key)?;
        Ok(OnDisk {
            file: layout.certificate(&key.kind),
            key: key.fingerprint.clone(),
            until: certificate.map(|it| UnixSeconds(it.valid_before())),
        })
    })
    .collect()
}

/// Finds a certificate that sshd uses in place of ours: of two for one key it takes the last.
pub(crate) fn rival(effective: &Effective, layout: &Layout, joined: &Joined) -> Option<PathBuf> {
    let ours = |file: &PathBuf| {
        let mut keys = joined.keys.iter();
        keys.any(|key| layout.certificate(&key.kind) == *file)
    };
    let files = effective
        .values("hostcertificate")
        .iter()
        .map(PathBuf::from);
    let mut others = files.filter(|file| !ours(file));
    others.find(|file| {
        let text = read(file).ok().flatten().unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let certificate = Certificate::from_openssh(text.trim()).ok();
        certificate.is_some_and(|it| {
            let key = fingerprint(&PublicKey::from(it.public_key().clone()));
            joined.keys.iter().any(|known| known.fingerprint == key)
        })
    })
}
