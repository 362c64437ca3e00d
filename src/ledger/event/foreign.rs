//! Logins on hosts that the ledger does not explain, as events record them. Pure.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{ssh::wire, unix_seconds::UnixSeconds};

/// Kinds of finding, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginFinding {
    /// The ledger has no such pass: a CA key was copied, or the ledger is another one.
    Unknown,
    /// By a CA key that the ledger does not name.
    OtherCa,
    /// The certificate is not the one that was recorded.
    Altered,
    /// sshd's message is cut off, and does not say which certificate it was.
    Unreadable,
    /// Its serial is in the part of the ledger that a restored copy lost.
    Lost,
    /// After expiry or revocation, or before it was valid.
    Late,
    /// On another host, or on one of another group.
    Elsewhere,
}

impl LoginFinding {
    /// Every kind.
    pub(crate) const ALL: [Self; 7] = [
        Self::Unknown,
        Self::OtherCa,
        Self::Altered,
        Self::Unreadable,
        Self::Lost,
        Self::Late,
        Self::Elsewhere,
    ];

    /// Whether a certificate by a copied CA key may be behind it.
    pub(crate) fn is_alarm(self) -> bool {
        match self {
            Self::Unknown | Self::OtherCa | Self::Altered | Self::Unreadable | Self::Lost => true,
            Self::Late | Self::Elsewhere => false,
        }
    }

    /// Whether a stolen CA key leads to it and hardly anything else. The events of such logins have
    /// room of their own.
    pub(crate) fn is_of_stolen_key(self) -> bool {
        matches!(self, Self::Unknown | Self::Altered | Self::Unreadable)
    }

    /// As in events and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::OtherCa => "other_ca",
            Self::Altered => "altered",
            Self::Unreadable => "unreadable",
            Self::Lost => "lost",
            Self::Late => "late",
            Self::Elsewhere => "elsewhere",
        }
    }

    /// For a table.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Unknown => "not issued",
            Self::OtherCa => "other CA",
            Self::Altered => "altered",
            Self::Unreadable => "unreadable",
            Self::Lost => "lost part",
            Self::Late => "outside its time",
            Self::Elsewhere => "other host",
        }
    }

    /// What an operator does about it.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::Unknown => {
                "treat the CA key as stolen: put a new one in force, retire the old one, and end the session on the host"
            }
            Self::OtherCa => {
                "sshd there trusts a CA key that is not this server's: look at TrustedUserCAKeys and authorized_keys on the host"
            }
            Self::Altered => {
                "a certificate with a serial of this ledger that this CA did not make so: treat the CA key as stolen"
            }
            Self::Unreadable => {
                "sshd cut the line, or the log is of a form that is not read, so that it hides which certificate it was: look at the session on the host"
            }
            Self::Lost => {
                "the record of its pass was lost with the restore, so it cannot be told from one by a stolen CA key: ask the person whom the key id names"
            }
            Self::Late => {
                "the host let it in by an old revocation list or a wrong clock: look at daypass hosts --behind"
            }
            Self::Elsewhere => {
                "the host accepts passes of other groups than it is in: look at daypass host doctor there"
            }
        }
    }
}

/// A login by a certificate that the ledger does not explain, as a host reported it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignLogin {
    /// The known host.
    pub host: String,
    /// What is wrong.
    pub finding: LoginFinding,
    /// What is wrong, in a sentence.
    pub why: String,
    /// When sshd logged it; `None` if its log has no times.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub logged_at: Option<UnixSeconds>,
    /// The account.
    pub login: String,
    /// The client's address.
    pub from: String,
    /// The client's port.
    pub port: u16,
    /// The certificate; `None` if sshd's message is cut.
    #[serde(flatten)]
    pub certificate: Option<SeenCertificate>,
    /// Further findings of the same report that have no event of their own.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub more: u64,
}

/// A certificate, as sshd logged it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SeenCertificate {
    /// Its serial.
    pub serial: u64,
    /// Its key id, with sshd's escapes.
    pub key_id: String,
    /// Fingerprint of the certified key.
    pub key: String,
    /// Fingerprint of the CA key.
    pub ca: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl ForeignLogin {
    /// What tells one login from every other: half of a SHA-256 in hex. The same line of a log,
    /// reported again, has the same one.
    pub(crate) fn digest(&self) -> String {
        let at = self.logged_at.map_or(0, UnixSeconds::get).to_string();
        let port = self.port.to_string();
        let mut parts = vec![at.as_bytes(), self.login.as_bytes(), self.from.as_bytes()];
        parts.extend([port.as_bytes(), self.finding.as_str().as_bytes()]);
        let serial;
        if let Some(seen) = &self.certificate {
            serial = seen.serial.to_string();
            parts.extend([serial.as_bytes(), seen.key_id.as_bytes()]);
            parts.extend([seen.key.as_bytes(), seen.ca.as_bytes()]);
        }
        let hash = Sha256::digest(wire::strings(&parts));
        let half: Vec<u8> = hash.iter().take(16).copied().collect();
        base16ct::lower::encode_string(&half)
    }
}
