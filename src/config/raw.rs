//! `daypass.toml` as it is written: serde alone, with the place of each value. The sibling files
//! give it a meaning.

use std::{collections::BTreeMap, path::PathBuf};

use toml::Spanned;

use crate::{
    ca::KeyState,
    config::settings::LogLevel,
    identity::{Binding, RedirectHost, issuer::Algorithm},
    notify::{NotificationKind, settings},
    reference::{Section, keys, word},
    server::log::Format,
};

/// The sections of `daypass.toml`, for the manual.
pub(super) fn reference() -> Vec<Section> {
    vec![
        Section::of::<File>("Top level"),
        Section::of::<Tls>("[tls]"),
        Section::of::<Ca>("[ca]"),
        Section::of::<CaKey>("[[ca.key]]"),
        Section::of::<Hosts>("[hosts]"),
        Section::of::<CaKey>("[[hosts.key]]"),
        Section::of::<Ledger>("[ledger]"),
        Section::of::<Store>("[store]"),
        Section::of::<Issuer>("[[issuer]]"),
        Section::of::<Limits>("[limits]"),
        Section::of::<Rate>("A rate"),
        Section::of::<Webhook>("[[webhook]]"),
        Section::of::<Web>("[web]"),
        Section::of::<WebClient>("[[web.client]]"),
        Section::of::<Metrics>("[metrics]"),
        Section::of::<Log>("[log]"),
    ]
}

word!(
    Algorithm,
    Binding,
    Format,
    KeyState,
    LogLevel,
    NotificationKind,
    RedirectHost,
    settings::Format
);

keys! {
    /// The keys before the first section.
    struct File {
        /// the host that users dial, without scheme and port. Proofs of possession are made for
        /// this name.
        name: Spanned<String>,
        /// an address and a port, such as `"[::]:7443"`: every address, of IPv4 too. Not used if
        /// systemd passes a socket. Without `[tls]`, it must be on loopback.
        listen: Spanned<String>,
        /// addresses or networks of load balancers, such as `["10.0.0.5"]`. Each connection from
        /// them must begin with a PROXY header (version 1 or 2), and the address in it is the
        /// caller's: for `source = "caller"`, limits, and the log. A header from any other address
        /// is refused. At most 64. See "Behind a load balancer" above.
        #[serde(default)]
        proxies: Vec<Spanned<String>>,
        /// the folder of the ledger. Default: systemd's StateDirectory, else `state` beside the
        /// file.
        state: Option<Spanned<PathBuf>>,
        /// the policy file. See daypass-policy(5).
        policy: Spanned<PathBuf>,
        /// certificate and key; without it, plain text on loopback only.
        tls: Option<Tls>,
        /// the CA keys.
        ca: Spanned<Ca>,
        /// known hosts: machines that get host certificates. Without it, this server knows none.
        hosts: Option<Spanned<Hosts>>,
        /// the key of the ledger.
        ledger: Ledger,
        /// a database for several servers; without it, the ledger is in the `state` folder.
        store: Option<Spanned<Store>>,
        /// the identity providers, at least one.
        #[serde(default)]
        issuer: Vec<Issuer>,
        /// what callers may use.
        #[serde(default)]
        limits: Limits,
        /// who may read `/metrics`.
        #[serde(default)]
        metrics: Metrics,
        /// how the log is written.
        #[serde(default)]
        log: Log,
        /// receivers of what happens.
        #[serde(default)]
        webhook: Vec<Webhook>,
        /// a page for approvers; without it, there is no page.
        web: Option<Spanned<Web>>,
    }
}

keys! {
    /// The certificate that clients see. It is read again on SIGHUP.
    struct Tls {
        /// PEM file of the chain, leaf first.
        certificate: Spanned<PathBuf>,
        /// PEM file of its private key. An RSA key makes each handshake twice as expensive.
        key: Spanned<PathBuf>,
    }
}

keys! {
    /// The keys that hosts trust.
    struct Ca {
        /// the list of CA keys, written as `[[ca.key]]`.
        #[serde(default)]
        key: Vec<CaKey>,
    }
}

keys! {
    /// One section for each CA key.
    struct CaKey {
        /// an OpenSSH private key, Ed25519 or ECDSA P-256. With `agent`, `pkcs11` or `signer`, the
        /// public half of the key that is there, which may be an RSA key too.
        file: Spanned<PathBuf>,
        /// the socket of an ssh-agent that has the private key.
        agent: Option<Spanned<PathBuf>>,
        /// the PKCS#11 module (a shared library) of a token that has the private key.
        pkcs11: Option<Spanned<PathBuf>>,
        /// the label of the token in `pkcs11`.
        token: Option<Spanned<String>>,
        /// the file that holds the token's user PIN.
        pin_file: Option<Spanned<PathBuf>>,
        /// the same, as the name of a systemd credential.
        pin_credential: Option<Spanned<String>>,
        /// the address of `daypass signer`, which has the private key and signs only what the
        /// ledger has recorded: its socket, or `"tls://HOST:PORT"`. See `daypass help signer`.
        signer: Option<Spanned<String>>,
        /// with `tls://`: the PEM file of this server's certificate for the signer.
        signer_certificate: Option<Spanned<PathBuf>>,
        /// with `tls://`: the PEM file of its private key.
        signer_key: Option<Spanned<PathBuf>>,
        /// with `tls://`: the PEM file of the roots of the signer's certificate.
        signer_roots: Option<Spanned<PathBuf>>,
        /// the file that holds the passphrase of an encrypted key.
        passphrase_file: Option<Spanned<PathBuf>>,
        /// the same, as the name of a systemd credential.
        passphrase_credential: Option<Spanned<String>>,
        /// `"active"` signs; exactly one key is active. `"staged"` is published before it signs.
        /// `"retired"` is published until its last pass has expired. For a `[[ca.key]]` this counts
        /// until the first `daypass admin keys` order: from then on, the ledger says what each key
        /// does. See "Rotate the CA key" in `daypass help server`.
        state: Spanned<KeyState>,
    }
}

keys! {
    /// Known hosts. They get host certificates, so that users' `ssh` never asks about a host key,
    /// and they report. See `daypass help hosts`.
    struct Hosts {
        /// the keys that sign host certificates, written as `[[hosts.key]]`, with the keys of
        /// `[[ca.key]]`. None of them may be a `[[ca.key]]`.
        #[serde(default)]
        key: Vec<CaKey>,
        /// patterns of the names that hosts may have, such as `["*.example.com", "web-*"]`. Users
        /// trust host certificates for these names only. Default: the patterns of the policy's host
        /// groups.
        names: Option<Spanned<Vec<Spanned<String>>>>,
        /// how long a host certificate is valid, `"1d"` to `"90d"`. It is renewed after two thirds.
        /// Default: `"14d"`.
        lifetime: Option<Spanned<String>>,
        /// time without a report, or with an old revocation list, after which a host is behind,
        /// `"5m"` to `"7d"`. Default: `"1h"`.
        behind_after: Option<Spanned<String>>,
    }
}

keys! {
    /// What makes the ledger recognizable.
    struct Ledger {
        /// an Ed25519 private key. It signs the checkpoints that clients remember.
        key: Spanned<PathBuf>,
        /// the key that the ledger is to be handed over to, until it has taken the place of `key`.
        /// See `daypass help ledger-key`.
        next_key: Option<Spanned<PathBuf>>,
    }
}

keys! {
    /// A PostgreSQL database that several servers of one name share. See "Several servers" in
    /// `daypass help server`. Exactly one of its keys.
    struct Store {
        /// the address without a password, such as
        /// `"postgres://daypass@db.example.com/daypass?sslmode=verify-full"`.
        postgres: Option<Spanned<String>>,
        /// the file that holds the address, with a password
        /// (`postgres://USER:PASSWORD@HOST/DATABASE`).
        postgres_file: Option<Spanned<PathBuf>>,
        /// the systemd credential that holds it.
        postgres_credential: Option<Spanned<String>>,
    }
}

keys! {
    /// One section for each OpenID Connect provider. See `daypass help providers`.
    struct Issuer {
        /// what users and logs call it, 1 to 64 letters, digits, `-`, `_` or `.`.
        name: Spanned<String>,
        /// the issuer, exactly as in the `iss` of its tokens.
        url: Spanned<String>,
        /// the id of the client that you registered there.
        client_id: Spanned<String>,
        /// the audiences that are accepted. Default: the client id. A token may name several if
        /// each is listed here and its `azp` is the client id.
        audiences: Option<Spanned<Vec<String>>>,
        /// the signature algorithms that are accepted, out of `"RS256"`, `"RS384"`, `"RS512"`,
        /// `"PS256"`, `"PS384"`, `"PS512"`, `"ES256"`, `"ES384"` and `"EdDSA"`. A key of the
        /// provider that names no algorithm is used with the first one that it fits.
        algorithms: Spanned<Vec<Algorithm>>,
        /// `true` accepts tokens without `kid` while the provider publishes a single key. Default:
        /// `false`.
        #[serde(default)]
        key_without_id: bool,
        /// how a token commits to a key. `"nonce"` is for people, `"audience"` for machines,
        /// `"none"` if neither works.
        binding: Spanned<Binding>,
        /// what a sign-in asks for. Default: `["openid", "email"]`.
        scopes: Option<Spanned<Vec<String>>>,
        /// `true` lets people sign in with a code on another device. Such tokens are bound to no
        /// key. Default: `false`.
        #[serde(default)]
        device_flow: bool,
        /// `false` for an issuer of machines. Default: `true`.
        #[serde(default = "yes")]
        interactive: bool,
        /// PEM file of roots for the issuer's HTTPS, if the system has none. Clients get them, too.
        ca_file: Option<Spanned<PathBuf>>,
        /// the file with the client secret, for providers that demand one from native clients.
        /// **Every client gets it, without signing in**, so it is not confidential: make it for
        /// Daypass alone, as a native ("desktop") client.
        client_secret_file: Option<Spanned<PathBuf>>,
        /// the registered ports, in the order to try: 1024 to 65535, at most 16. Default: any.
        redirect_ports: Option<Spanned<Vec<u16>>>,
        /// `"127.0.0.1"` or `"localhost"`, as it is registered for the redirect. Default:
        /// `"127.0.0.1"`.
        #[serde(default)]
        redirect_host: RedirectHost,
        /// extra parameters of the sign-in's URL, such as `{ access_type = "offline", prompt =
        /// "consent" }`; at most 16.
        authorization_parameters: Option<Spanned<BTreeMap<String, String>>>,
        /// `true` lets clients renew their tokens without a browser, for as long as `session` says.
        /// Default: `false`.
        refresh: Option<Spanned<bool>>,
        /// the age of a sign-in at which it must be repeated, from `"1m"` to `"7d"`. Default:
        /// `"12h"`.
        session: Option<Spanned<String>>,
        /// the claim that names a person in logs, requests and the ledger, such as
        /// `"preferred_username"`. Choose one that people cannot change themselves. Default: the
        /// verified e-mail, else `sub`. It never decides anything.
        label: Option<Spanned<String>>,
        /// `true` takes the text `"true"` as true in `email_verified`. Default: `false`.
        #[serde(default)]
        string_booleans: bool,
    }
}

fn yes() -> bool {
    true
}

keys! {
    /// What callers may use. The section may be left out.
    #[derive(Default)]
    struct Limits {
        /// connections at once, 1 to 1000000. Default: 10000.
        connections: Option<Spanned<u64>>,
        /// the same for one address, 1 to `connections`. Default: 256.
        connections_per_address: Option<Spanned<u64>>,
        /// requests at once on one connection, 1 to 1000. Default: 64.
        streams: Option<Spanned<u64>>,
        /// watches of requests at once, 16 to 100000. Each takes about 60 KB. Default: 1024.
        watches: Option<Spanned<u64>>,
        /// bytes of a request, 32768 to 1048576. Default: 65536.
        message_bytes: Option<Spanned<u64>>,
        /// bytes of its headers, 32768 to 1048576. Default: 32768.
        header_bytes: Option<Spanned<u64>>,
        /// memory for unfinished requests of callers who have not signed in. The oldest requests
        /// are evicted first, 1048576 to 17179869184. Default: 67108864.
        unproven_bytes: Option<Spanned<u64>>,
        /// the same for one address, 1048576 to `unproven_bytes`. Default: 4194304.
        unproven_bytes_per_address: Option<Spanned<u64>>,
        /// time for a TLS handshake, 1s to 60s. Default: `"10s"`.
        handshake: Option<Spanned<String>>,
        /// time until the first request, 1s to 60s. Default: `"10s"`.
        first_byte: Option<Spanned<String>>,
        /// time until an answer starts, or is read further, 1s to 600s. Default: `"30s"`.
        request: Option<Spanned<String>>,
        /// time between requests after which a connection is closed, 1s to 86400s. Default: `"5m"`.
        idle: Option<Spanned<String>>,
        /// age at which a connection is asked to connect again, 60s to 86400s. Default: `"1h"`.
        age: Option<Spanned<String>>,
        /// a rate. Default: 100 per second, burst 200.
        requests_per_address: Option<Rate>,
        /// a rate. Default: 10 per second, burst 40.
        requests_per_identity: Option<Rate>,
        /// how long a stop waits for running requests, 1s to 600s. Default: `"20s"`.
        drain: Option<Spanned<String>>,
    }
}

keys! {
    /// Such as `{ per_second = 10, burst = 40 }`.
    struct Rate {
        /// requests per second, 1 to 1000000.
        per_second: Spanned<u64>,
        /// requests at once, 1 to 1000000.
        burst: Spanned<u64>,
    }
}

keys! {
    /// A page on which approvers decide requests in their browser. See `daypass help web`. The
    /// section may be empty.
    struct Web {
        /// the address of the page, such as `"https://ca.example.com"`. `/web/callback` below it
        /// must be registered at each provider. Passkeys are for the host in it, which must be a
        /// name for them, not an IP address. Default: `https://`, `name`, and the port of
        /// `listen`.
        url: Option<Spanned<String>>,
        /// client secrets, written as `[[web.client]]`.
        #[serde(default)]
        client: Vec<WebClient>,
    }
}

keys! {
    /// The secret of the page's client at a provider that demands one of web servers. Unlike
    /// `client_secret_file` of `[[issuer]]`, no client ever gets it. One section for each issuer.
    struct WebClient {
        /// the name of the `[[issuer]]`.
        issuer: Spanned<String>,
        /// the file that holds the secret. Exactly one of `secret_file` and `secret_credential`.
        secret_file: Option<Spanned<PathBuf>>,
        /// the systemd credential that holds it.
        secret_credential: Option<Spanned<String>>,
    }
}

keys! {
    /// Who may read `/metrics`.
    #[derive(Default)]
    struct Metrics {
        /// `true` lets `/metrics` answer other machines. Default: `false`.
        #[serde(default)]
        public: bool,
    }
}

keys! {
    /// How the log is written.
    #[derive(Default)]
    struct Log {
        /// `"text"`, or `"json"` for one object a line. Default: `"text"`.
        #[serde(default)]
        format: Format,
        /// `"error"`, `"warn"`, `"info"` or `"debug"`. Default: `"info"`.
        #[serde(default)]
        level: LogLevel,
    }
}

keys! {
    /// One section for each receiver, 16 at most. See `daypass help webhooks`.
    struct Webhook {
        /// 1 to 64 letters, digits, `-`, `_` or `.`.
        name: Spanned<String>,
        /// where to send. Exactly one of `url`, `url_file` and `url_credential`.
        url: Option<Spanned<String>>,
        /// the file that holds the URL.
        url_file: Option<Spanned<PathBuf>>,
        /// the systemd credential that holds the URL.
        url_credential: Option<Spanned<String>>,
        /// the file that holds the signing secret, `whsec_...`.
        secret_file: Option<Spanned<PathBuf>>,
        /// the systemd credential that holds it.
        secret_credential: Option<Spanned<String>>,
        /// what the receiver is told. Default: everything.
        events: Option<Spanned<Vec<NotificationKind>>>,
        /// `"daypass"` sends signed JSON and needs a secret. `"chat"` sends `{"text": "..."}`.
        /// Default: `"daypass"`.
        #[serde(default)]
        format: settings::Format,
        /// addresses of the receiver that are not on the public internet.
        #[serde(default)]
        networks: Vec<Spanned<String>>,
        /// time for one attempt, 1s to 30s. Default: `"5s"`.
        timeout: Option<Spanned<String>>,
        /// PEM file of roots for its HTTPS, if the system has none.
        ca_file: Option<Spanned<PathBuf>>,
    }
}
