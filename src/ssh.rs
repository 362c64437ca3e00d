//! OpenSSH's own formats: the ground floor, which imports nothing of Daypass.
//!
//! Every other module may use it. It reads and writes bytes and text; it decides nothing about
//! identities, roles or the ledger, and knows neither clock nor randomness nor I/O.
//!
//! | module | format | source |
//! |---|---|---|
//! | `wire` | length-prefixed strings and integers | RFC 4251 section 5 |
//! | [`key`] | public keys, and which are accepted | RFC 4253 6.6, 5656, 8709, PROTOCOL.u2f |
//! | [`certificate`] | type names, key ids and constants of user certificates | PROTOCOL.certkeys |
//! | [`ca_keys`] | the version line of a list of CA keys | `sshd_config(5)`, `TrustedUserCAKeys` |
//! | `host_name` | host names, the principals of host certificates | `sshd(8)`, known_hosts |
//! | [`host_proof`] | what host keys sign when a host joins and reports | PROTOCOL.sshsig |
//! | [`krl`] | key revocation lists | PROTOCOL.krl |
//! | [`principal`] | `login` or `login@group` | `sshd_config(5)`, `AuthorizedPrincipalsFile` |
//! | [`pattern`] | patterns of host names | `ssh_config(5)`, PATTERNS |
//! | [`sshsig`] | signatures, and every namespace that Daypass signs in | PROTOCOL.sshsig |
//! | `presence` | signatures of a person who is present: security keys, passkeys | PROTOCOL.u2f |
//! | `printable` | text on one line of a terminal or a log | Unicode: controls, UAX #9 |
//! | [`options`] | critical options and extensions of certificates | PROTOCOL.certkeys |
//! | `sshd_log` | accepted logins in sshd's log | `auth.c` and `auth2-pubkey.c` of OpenSSH |
//! | [`permissions`] | what a certificate allows, in one type | PROTOCOL.certkeys |

pub mod ca_keys;
pub mod certificate;
pub(crate) mod host_name;
pub mod host_proof;
pub(crate) mod key;
pub mod krl;
pub mod options;
pub mod pattern;
pub mod permissions;
pub(crate) mod presence;
pub(crate) mod principal;
pub(crate) mod printable;
pub(crate) mod signed_by;
pub(crate) mod sshd_log;
pub mod sshsig;
pub(crate) mod wire;
