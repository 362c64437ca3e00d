//! `signer.toml`: the configuration of `daypass signer`.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf};

use toml::Spanned;

use super::{
    Error, ca_keys,
    error::Problem,
    files::path,
    hosts, raw,
    settings::{CaKey, Log},
    surroundings::Surroundings,
};
use crate::{
    ca::{
        KeyState,
        signer::ceiling::{Ceiling, HostCeiling},
    },
    ledger::checkpoint::Verifier,
    modes,
    outbound::MutualTls,
    policy::limits::{Logins, extension, lifetime},
    reference::{Section, keys},
};

/// The most bytes of the file.
const LONGEST: u64 = 1024 * 1024;

/// The name of a ledger after its server's.
const ORIGIN: &str = "/ledger";

/// The sections of `signer.toml`, for the manual.
pub(crate) fn signer_reference() -> Vec<Section> {
    vec![
        Section::of::<File>("Top level of signer.toml"),
        Section::of::<Key>("[key] of signer.toml"),
        Section::of::<Tls>("[tls] of signer.toml"),
        Section::of::<RawCeiling>("[[ceiling]] of signer.toml"),
        Section::of::<RawHostCeiling>("[[host_ceiling]] of signer.toml"),
    ]
}

keys! {
    /// The keys before the first section.
    struct File {
        /// the Unix socket to listen on, for servers on this machine. Its folder must exist.
        socket: Option<Spanned<PathBuf>>,
        /// the accounts that may call at the socket, by name or number, such as `["daypass"]`.
        /// The calls of any other one are refused, root's too.
        #[serde(default)]
        callers: Vec<String>,
        /// an address and a port to listen on, such as `"10.0.0.7:7444"`, for servers on other
        /// machines. Needs `[tls]`.
        listen: Option<Spanned<String>>,
        /// what the signer shows at `listen`, and whom it takes calls of.
        tls: Option<Tls>,
        /// the folder of the signer's memory, such as `"/var/lib/daypass-signer"`.
        state: Spanned<PathBuf>,
        /// the verifier key of the ledger, as `daypass serve --check` prints it. It has the
        /// server's name.
        ledger: Spanned<String>,
        /// fingerprints of the administrators' keys, as `ssh-keygen -l` prints them: those of
        /// the keys in the policy's `[admin]`. Default: none.
        #[serde(default)]
        administrators: Vec<String>,
        /// files with the public halves of the CA's other keys, staged and retired ones.
        /// Default: none.
        #[serde(default)]
        others: Vec<Spanned<PathBuf>>,
        /// the key that signs.
        key: Key,
        /// what a pass may allow. A pass must be within one of the sections.
        #[serde(default)]
        ceiling: Vec<RawCeiling>,
        /// what a host certificate may say, for the signer of a `[[hosts.key]]`. A certificate
        /// must be within one of the sections.
        #[serde(default)]
        host_ceiling: Vec<RawHostCeiling>,
        /// as in `daypass.toml`.
        #[serde(default)]
        log: raw::Log,
    }
}

keys! {
    /// The CA key, in a file, an agent or a token.
    struct Key {
        /// as in `[[ca.key]]` of `daypass.toml`, and so are the others.
        file: Spanned<PathBuf>,
        /// the socket of an ssh-agent.
        agent: Option<Spanned<PathBuf>>,
        /// the PKCS#11 module of a token.
        pkcs11: Option<Spanned<PathBuf>>,
        /// the label of the token.
        token: Option<Spanned<String>>,
        /// the file with the token's user PIN.
        pin_file: Option<Spanned<PathBuf>>,
        /// the same, as a systemd credential.
        pin_credential: Option<Spanned<String>>,
        /// the file with the passphrase of an encrypted key.
        passphrase_file: Option<Spanned<PathBuf>>,
        /// the same, as a systemd credential.
        passphrase_credential: Option<Spanned<String>>,
    }
}

keys! {
    /// One section for each kind of pass.
    struct RawCeiling {
        /// logins, and patterns with one `*`, as `[limits] principals` of the policy. No pattern
        /// matches root.
        principals: Spanned<Vec<String>>,
        /// the longest lifetime, such as `"8h"`.
        ttl: Spanned<String>,
        /// extensions that a pass may have, such as `["pty"]`. Default: none.
        extensions: Option<Spanned<Vec<String>>>,
        /// true: a pass must have a force-command. Default: false.
        #[serde(default)]
        force_command: bool,
        /// true: a pass must have source addresses. Default: false.
        #[serde(default)]
        source: bool,
    }
}

keys! {
    /// One section for each kind of host.
    struct RawHostCeiling {
        /// patterns of the names that a host may have, such as `["web-*"]`, as `names` of
        /// `[hosts]`.
        names: Spanned<Vec<Spanned<String>>>,
        /// the longest lifetime, such as `"14d"`.
        lifetime: Option<Spanned<String>>,
    }
}

keys! {
    /// PEM files for mutual TLS 1.3 at `listen`.
    struct Tls {
        /// the signer's certificate chain, leaf first.
        certificate: Spanned<PathBuf>,
        /// its private key.
        key: Spanned<PathBuf>,
        /// the roots of the servers' certificates. A caller without one is refused. Let nothing
        /// else have a certificate by them.
        roots: Spanned<PathBuf>,
    }
}

/// The configuration of a signer.
#[derive(Clone, Debug)]
pub(crate) struct SignerConfig {
    /// The socket, and names or numbers of the accounts that may call there.
    pub(crate) socket: Option<(PathBuf, Vec<String>)>,
    /// The address of mutual TLS.
    pub(crate) tls: Option<(SocketAddr, MutualTls)>,
    pub(crate) state: PathBuf,
    pub(crate) ledger: Verifier,
    pub(crate) server: String,
    pub(crate) administrators: BTreeSet<String>,
    pub(crate) others: Vec<PathBuf>,
    pub(crate) key: CaKey,
    pub(crate) ceilings: Vec<Ceiling>,
    pub(crate) host_ceilings: Vec<HostCeiling>,
    pub(crate) log: Log,
}

impl SignerConfig {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// Returns [`Error::Read`] if it cannot be read, and [`Error::Invalid`] if it is invalid.
    pub(crate) fn load(file: &std::path::Path) -> Result<Self, Error> {
        let origin = file.display().to_string();
        let text = modes::read_trusted_text(file, LONGEST).map_err(|source| Error::Read {
            file: origin.clone(),
            source,
        })?;
        let around = Surroundings::of_process(file.parent().unwrap_or("".as_ref()));
        Self::parse(&text, &origin, &around)
    }

    /// Checks a configuration's text. `origin` names it in errors.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] with the line of the first problem.
    pub(crate) fn parse(text: &str, origin: &str, around: &Surroundings) -> Result<Self, Error> {
        let read = || validate(toml::from_str(text)?, around);
        read().map_err(|problem| problem.in_file(text, origin))
    }
}

fn validate(file: File, around: &Surroundings) -> Result<SignerConfig, Problem> {
    let (ledger, server) = ledger(&file.ledger)?;
    let wrong = match (file.ceiling.is_empty(), file.host_ceiling.is_empty()) {
        (true, true) => {
            Some("there is no [[ceiling]] and no [[host_ceiling]]: nothing would be signed")
        }
        (false, false) => Some(
            "[[ceiling]] is for the key of passes and [[host_ceiling]] for that of hosts: they are two keys, so give each \
             its own signer",
        ),
        _ => None,
    };
    if let Some(message) = wrong {
        return Err(Problem::new(file.ledger.span(), message));
    }
    let others = file.others.iter();
    let (socket, tls) = listening(&file, around)?;
    Ok(SignerConfig {
        socket,
        tls,
        state: path(&file.state, around)?,
        ledger,
        server,
        administrators: file.administrators.into_iter().collect(),
        others: others
            .map(|file| path(file, around))
            .collect::<Result<_, _>>()?,
        key: key(file.key, around)?,
        ceilings: file.ceiling.iter().map(ceiling).collect::<Result<_, _>>()?,
        host_ceilings: file
            .host_ceiling
            .iter()
            .map(host_ceiling)
            .collect::<Result<_, _>>()?,
        log: Log {
            format: file.log.format,
            level: file.log.level,
        },
    })
}

/// The socket, and the address of mutual TLS; at least one of them.
type Listening = (
    Option<(PathBuf, Vec<String>)>,
    Option<(SocketAddr, MutualTls)>,
);

fn listening(file: &File, around: &Surroundings) -> Result<Listening, Problem> {
    let socket = match &file.socket {
        Some(socket) if file.callers.is_empty() => {
            let message = "socket needs callers: name the account that `daypass serve` runs as";
            return Err(Problem::new(socket.span(), message));
        }
        Some(socket) => Some((path(socket, around)?, file.callers.clone())),
        None => None,
    };
    let tls = match (&file.listen, &file.tls) {
        (Some(listen), Some(tls)) => {
            let wrong = || {
                let message = "listen is not an address and a port, such as \"10.0.0.7:7444\"";
                Problem::new(listen.span(), message)
            };
            let address = listen.get_ref().parse().map_err(|_| wrong())?;
            let files = MutualTls {
                certificate: path(&tls.certificate, around)?,
                key: path(&tls.key, around)?,
                roots: path(&tls.roots, around)?,
            };
            Some((address, files))
        }
        (Some(listen), None) => {
            let message = "listen needs [tls]: callers show a certificate";
            return Err(Problem::new(listen.span(), message));
        }
        (None, Some(tls)) => {
            let message = "[tls] is for listen = \"ADDRESS:PORT\": add it";
            return Err(Problem::new(tls.certificate.span(), message));
        }
        (None, None) => None,
    };
    match socket.is_none() && tls.is_none() {
        true => {
            let message = "it listens nowhere: add socket and callers, or listen and [tls]";
            Err(Problem::new(0..0, message))
        }
        false => Ok((socket, tls)),
    }
}

/// The verifier key, and the server's name in it.
fn ledger(text: &Spanned<String>) -> Result<(Verifier, String), Problem> {
    let wrong = |why: String| {
        let message = format!("ledger: {why}; `daypass serve --check` prints the verifier key");
        Problem::new(text.span(), message)
    };
    let verifier = Verifier::parse(text.get_ref()).map_err(|error| wrong(error.to_string()))?;
    let server = verifier.origin().strip_suffix(ORIGIN);
    let server = server.ok_or_else(|| wrong("its name does not end in /ledger".to_owned()))?;
    let server = server.to_owned();
    Ok((verifier, server))
}

fn key(key: Key, around: &Surroundings) -> Result<CaKey, Problem> {
    let raw = raw::CaKey {
        file: key.file,
        agent: key.agent,
        pkcs11: key.pkcs11,
        token: key.token,
        pin_file: key.pin_file,
        pin_credential: key.pin_credential,
        signer: None,
        signer_certificate: None,
        signer_key: None,
        signer_roots: None,
        passphrase_file: key.passphrase_file,
        passphrase_credential: key.passphrase_credential,
        state: Spanned::new(0..0, KeyState::Active),
    };
    ca_keys::ca_key(&raw, around)
}

fn ceiling(raw: &RawCeiling) -> Result<Ceiling, Problem> {
    let wrong = |span, key: &str, why: String| Problem::new(span, format!("{key}: {why}"));
    let principals = &raw.principals;
    if principals.get_ref().is_empty() {
        let why = "it is empty: name the logins".to_owned();
        return Err(wrong(principals.span(), "principals", why));
    }
    let logins = Logins::parse(principals.get_ref());
    let ttl = lifetime(raw.ttl.get_ref());
    let mut extensions = BTreeSet::new();
    if let Some(words) = &raw.extensions {
        for word in words.get_ref() {
            let known = extension(word);
            extensions.insert(known.map_err(|why| wrong(words.span(), "extensions", why))?);
        }
    }
    Ok(Ceiling {
        logins: logins.map_err(|why| wrong(principals.span(), "principals", why))?,
        ttl: ttl.map_err(|why| wrong(raw.ttl.span(), "ttl", why))?,
        extensions,
        force_command: raw.force_command,
        source: raw.source,
    })
}

fn host_ceiling(raw: &RawHostCeiling) -> Result<HostCeiling, Problem> {
    Ok(HostCeiling {
        names: hosts::names(&raw.names)?,
        lifetime: hosts::lifetime(&raw.lifetime)?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    const TEXT: &str = r#"
socket = "socket"
state = "state"
callers = ["daypass", "4711"]
ledger = "daypass.example.com/ledger+b494b4ec+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
others = ["old.pub"]
[key]
file = "ca_key"
[[ceiling]]
principals = ["deploy", "u-*"]
ttl = "8h"
extensions = ["pty"]
[[ceiling]]
principals = ["root"]
ttl = "15m"
force_command = true
source = true
"#;

    fn parse(text: &str) -> Result<SignerConfig, String> {
        let around = Surroundings {
            folder: "/etc/daypass-signer".into(),
            ..Surroundings::default()
        };
        SignerConfig::parse(text, "signer.toml", &around).map_err(|error| error.to_string())
    }

    #[test]
    fn a_configuration_is_read() {
        let config = parse(TEXT).unwrap();
        assert_eq!(config.server, "daypass.example.com");
        assert_eq!(config.state.to_str(), Some("/etc/daypass-signer/state"));
        assert_eq!(config.key.file.to_str(), Some("/etc/daypass-signer/ca_key"));
        assert_eq!(config.ceilings.len(), 2);
        let [first, second] = &config.ceilings[..] else {
            panic!("two")
        };
        assert!(first.logins.allows("u-alice") && !first.logins.allows("root"));
        assert!(!first.force_command && second.force_command && second.source);
    }

    #[test]
    fn an_invalid_configuration_is_refused_with_its_line() {
        for (case, old, new, says) in [
            (
                "a typo",
                "callers",
                "caller",
                "signer.toml:4: unknown field",
            ),
            (
                "no caller",
                "\"daypass\", \"4711\"",
                "",
                "signer.toml:2: socket needs callers",
            ),
            ("no place", "socket = \"socket\"", "", "it listens nowhere"),
            (
                "a port for everyone",
                "socket = \"socket\"",
                "listen = \"0.0.0.0:7444\"",
                "signer.toml:2: listen needs [tls]",
            ),
            (
                "certificates for nothing",
                "[key]",
                "[tls]\ncertificate = \"c\"\nkey = \"k\"\nroots = \"r\"\n[key]",
                "[tls] is for listen",
            ),
            (
                "another key",
                "+b494b4ec+",
                "+00000000+",
                "signer.toml:5: ledger: ",
            ),
            (
                "another name",
                "/ledger+b494b4ec",
                "/other+b494b4ec",
                "signer.toml:5: ledger: ",
            ),
            (
                "every login",
                "\"u-*\"",
                "\"*\"",
                "signer.toml:10: principals: ",
            ),
            (
                "no login",
                "\"root\"",
                "",
                "signer.toml:14: principals: it is empty",
            ),
            ("no lifetime", "8h", "always", "signer.toml:11: ttl: "),
            ("too long", "8h", "30d", "signer.toml:11: ttl: "),
            (
                "an unknown extension",
                "\"pty\"",
                "\"all\"",
                "signer.toml:12: extensions: ",
            ),
            (
                "two ways",
                "ca_key\"",
                "ca_key\"\nagent = \"a\"\npkcs11 = \"b\"",
                "keep one",
            ),
        ] {
            let changed = TEXT.replace(old, new);
            assert_ne!(changed, TEXT, "{case}");
            let refused = parse(&changed).unwrap_err();
            assert!(refused.contains(says), "{case}: {refused}");
        }
        let without = TEXT.split("[[ceiling]]").next().unwrap();
        assert!(
            parse(without)
                .unwrap_err()
                .contains("there is no [[ceiling]] and no [[host_ceiling]]")
        );
    }
}
