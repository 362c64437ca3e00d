#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::server::Limits;

const GOOD: &str = r#"name = "daypass.example.com"
listen = "0.0.0.0:7443"
policy = "policy.toml"
[tls]
certificate = "tls.pem"
key = "/etc/tls.key"
[[ca.key]]
file = "ca_key"
state = "active"
[ledger]
key = "ledger_key"
[[issuer]]
name = "corp"
url = "https://id.example.com"
client_id = "daypass"
algorithms = ["ES256"]
binding = "nonce"
"#;

fn around() -> Surroundings {
    Surroundings {
        folder: "/etc/daypass".into(),
        ..Surroundings::default()
    }
}

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, "daypass.toml", &around()).map_err(|error| error.to_string())
}

#[test]
fn a_small_file_gets_the_defaults() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:7443");
    assert_eq!(config.state, Path::new("/etc/daypass/state"));
    assert_eq!(config.policy, Path::new("/etc/daypass/policy.toml"));
    assert_eq!(config.tls.as_ref().unwrap().key, Path::new("/etc/tls.key"));
    assert_eq!(config.ca_keys[0].file, Path::new("/etc/daypass/ca_key"));
    assert_eq!(config.ca_keys[0].passphrase, None);
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.log, Log::default());
    assert_eq!(config.ledger_origin(), "daypass.example.com/ledger");
    let issuer = &config.issuers[0];
    assert_eq!(issuer.audiences, ["daypass"]);
    assert_eq!(issuer.scopes, ["openid", "email"]);
    assert!(issuer.interactive && !issuer.device_flow);
}

#[test]
fn known_hosts_have_a_key_of_their_own_and_patterns_that_known_hosts_can_hold() {
    const SECTION: &str = "[hosts]\nnames = [\"web-*\", \"*.example.com\"]\nlifetime = \"7d\"\n\
                           [[hosts.key]]\nfile = \"hosts\"\nstate = \"active\"\n";
    assert_eq!(parse(GOOD).unwrap().hosts, None);
    let hosts = parse(&format!("{GOOD}{SECTION}")).unwrap().hosts.unwrap();
    assert_eq!(hosts.keys[0].file, Path::new("/etc/daypass/hosts"));
    let names = hosts.names.unwrap();
    assert_eq!(names, ["web-*", "*.example.com"]);
    assert_eq!(hosts.lifetime.as_secs(), 7 * 86_400);
    assert_eq!(hosts.behind_after.as_secs(), 3600);
    for (case, from, to, expected) in [
        (
            "the user CA's key",
            "\"hosts\"",
            "\"ca_key\"",
            "give hosts a key of their own",
        ),
        (
            "the ledger's key",
            "\"hosts\"",
            "\"ledger_key\"",
            "give hosts a key of their own",
        ),
        (
            "no active key",
            "\"active\"",
            "\"staged\"",
            "no CA key is active",
        ),
        (
            "no names",
            "\"web-*\", \"*.example.com\"",
            "",
            "names has 1 to 64 patterns",
        ),
        (
            "a list in one",
            "web-*",
            "a,b",
            "is no pattern of host names",
        ),
        ("a blank", "web-*", "a b", "is no pattern of host names"),
        (
            "a negation",
            "web-*",
            "!web-1",
            "is no pattern of host names",
        ),
        (
            "upper case",
            "web-*",
            "Web-*",
            "is no pattern of host names",
        ),
        ("a newline", "web-*", "a\\nb", "is no pattern of host names"),
        ("every name", "web-*", "*", "is no pattern of host names"),
        (
            "every name with a dot",
            "web-*",
            "*.*",
            "is no pattern of host names",
        ),
        (
            "a short lifetime",
            "\"7d\"",
            "\"1h\"",
            "lifetime = \"1h\" is not a duration",
        ),
        (
            "an unknown key",
            "lifetime",
            "lifetimes",
            "unknown field `lifetimes`",
        ),
    ] {
        let section = SECTION.replace(from, to);
        assert_ne!(section, SECTION, "{case}");
        let refused = parse(&format!("{GOOD}{section}")).unwrap_err();
        assert!(refused.contains(expected), "{case}: {refused}");
    }
    let none = parse(&format!("{GOOD}[hosts]\n")).unwrap_err();
    assert!(
        none.contains("there is no key for host certificates"),
        "{none}"
    );
}

#[test]
fn a_shared_database_is_named_in_one_way_and_its_password_stands_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("postgres");
    std::fs::write(
        &file,
        "postgres://ada:geheim@db/daypass?sslmode=verify-full\n",
    )
    .unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, mode).unwrap();
    let with = |section: &str| parse(&format!("{GOOD}[store]\n{section}\n"));
    assert!(parse(GOOD).unwrap().postgres.is_none());
    let path = format!("postgres_file = {:?}", file.display().to_string());
    for section in [path.as_str(), "postgres = \"postgres://ada@db/daypass\""] {
        let config = with(section).unwrap();
        let text = format!("{config:?} {}", config.postgres.as_ref().unwrap());
        assert!(text.contains("\"daypass\" at db:5432"), "{text}");
        assert!(!text.contains("geheim"), "{text}");
    }
    std::fs::write(&file, "geheim").unwrap();
    let cases = [
        ("", "needs exactly one of"),
        (
            "postgres = \"postgres://ada@db/d\"\npostgres_file = \"f\"",
            "needs exactly one of",
        ),
        (
            "postgres = \"postgres://ada:geheim@db/d\"",
            "put the whole address into a file",
        ),
        (
            "postgres = \"postgres://ada@db/d?password=geheim\"",
            "put the whole address into a file",
        ),
        (
            "postgres_file = \"postgres://ada:geheim@db/d\"",
            "postgres_file names a file",
        ),
        (path.as_str(), "invalid PostgreSQL address"),
        (
            "postgres_file = \"/nowhere/postgres\"",
            "postgres_file /nowhere/postgres",
        ),
        (
            "postgres_credential = \"postgres\"",
            "$CREDENTIALS_DIRECTORY is not set",
        ),
    ];
    for (section, expected) in cases {
        let refused = with(section).unwrap_err();
        assert!(refused.contains(expected), "{section}: {refused}");
        assert!(!refused.contains("geheim"), "{section}: {refused}");
    }
}

/// (case, text to replace, replacement, the exact error)
const REFUSED: &[(&str, &str, &str, &str)] = &[
    (
        "no TOML",
        "name =",
        "name",
        "daypass.toml:1: key with no value, expected `=`",
    ),
    (
        "an unknown key",
        "listen =",
        "lisen =",
        "daypass.toml:2: unknown field `lisen`, expected one of `name`, `listen`, `proxies`, `state`, `policy`, `tls`, `ca`, `hosts`, `ledger`, `store`, `issuer`, `limits`, `metrics`, `log`, `webhook`, `web`",
    ),
    (
        "an unknown key of an issuer",
        "binding =",
        "bindng =",
        "daypass.toml:17: unknown field `bindng`, expected one of `name`, `url`, `client_id`, `audiences`, `algorithms`, `key_without_id`, `binding`, `scopes`, `device_flow`, `interactive`, `ca_file`, `client_secret_file`, `redirect_ports`, `redirect_host`, `authorization_parameters`, `refresh`, `session`, `label`, `string_booleans`",
    ),
    (
        "a missing key",
        "client_id = \"daypass\"\n",
        "",
        "daypass.toml:12: missing field `client_id`; `daypass init` writes an example with every key",
    ),
    (
        "a wrong type",
        "\"0.0.0.0:7443\"",
        "7443",
        "daypass.toml:2: invalid type: integer `7443`, expected a string",
    ),
    (
        "a key twice",
        "policy =",
        "name = \"x\"\npolicy =",
        "daypass.toml:3: duplicate key",
    ),
    (
        "a name that is a URL",
        "\"daypass.example.com\"",
        "\"https://x\"",
        "daypass.toml:1: name \"https://x\" is not a host name: write the host that users dial, without scheme or port",
    ),
    (
        "an empty name",
        "\"daypass.example.com\"",
        "\"\"",
        "daypass.toml:1: name \"\" is not a host name: write the host that users dial, without scheme or port",
    ),
    (
        "listen on a host name",
        "\"0.0.0.0:7443\"",
        "\"localhost:7443\"",
        "daypass.toml:2: listen \"localhost:7443\" is not an address and a port: write one such as \"0.0.0.0:7443\" or \"[::]:7443\"",
    ),
    (
        "plain text on the network",
        "[tls]\ncertificate = \"tls.pem\"\nkey = \"/etc/tls.key\"\n",
        "",
        "daypass.toml:2: listen \"0.0.0.0:7443\" without [tls] would be plain text on the network: add [tls], or listen on 127.0.0.1",
    ),
    (
        "half of [tls]",
        "certificate = \"tls.pem\"\n",
        "",
        "daypass.toml:4: missing field `certificate`; `daypass init` writes an example with every key",
    ),
    (
        "an empty path",
        "\"policy.toml\"",
        "\"\"",
        "daypass.toml:3: the path is empty: name a file, relative to this one or absolute",
    ),
    (
        "no CA key",
        "[[ca.key]]\nfile = \"ca_key\"\nstate = \"active\"\n",
        "[ca]\n",
        "daypass.toml:7: there is no CA key: add a [[ca.key]] with file and state = \"active\"",
    ),
    (
        "no active CA key",
        "\"active\"",
        "\"staged\"",
        "daypass.toml:9: no CA key is active: exactly one signs new passes, make one state = \"active\"",
    ),
    (
        "two active CA keys",
        "[ledger]",
        "[[ca.key]]\nfile = \"other\"\nstate = \"active\"\n[ledger]",
        "daypass.toml:12: a second CA key is active: exactly one signs new passes, make the others \"staged\" or \"retired\"",
    ),
    (
        "one CA key twice",
        "[ledger]",
        "[[ca.key]]\nfile = \"./ca_key\"\nstate = \"retired\"\n[ledger]",
        "daypass.toml:11: CA key /etc/daypass/./ca_key is listed twice: remove one",
    ),
    (
        "an unknown key state",
        "\"active\"",
        "\"live\"",
        "daypass.toml:9: unknown variant `live`, expected one of `staged`, `active`, `retired`",
    ),
    (
        "two passphrases",
        "state = \"active\"",
        "state = \"active\"\npassphrase_file = \"a\"\npassphrase_credential = \"b\"",
        "daypass.toml:11: passphrase_file and passphrase_credential are both set: keep one",
    ),
    (
        "an agent and a token",
        "state = \"active\"",
        "state = \"active\"\nagent = \"a\"\npkcs11 = \"p\"",
        "daypass.toml:10: agent and pkcs11 are both set: keep one",
    ),
    (
        "an agent and a signer",
        "state = \"active\"",
        "state = \"active\"\nagent = \"a\"\nsigner = \"s\"",
        "daypass.toml:10: agent and signer are both set: keep one",
    ),
    (
        "a signer without a port",
        "state = \"active\"",
        "state = \"active\"\nsigner = \"tls://signer.example.com\"",
        "daypass.toml:10: signer is not tls://HOST:PORT, with the name in the signer's certificate",
    ),
    (
        "a signer elsewhere without a certificate to show",
        "state = \"active\"",
        "state = \"active\"\nsigner = \"tls://signer.example.com:7444\"",
        "daypass.toml:10: signer = \"tls://...\" needs signer_certificate: add it",
    ),
    (
        "a certificate for a signer's socket",
        "state = \"active\"",
        "state = \"active\"\nsigner = \"s\"\nsigner_key = \"k\"",
        "daypass.toml:11: signer_key is for signer = \"tls://HOST:PORT\": remove it",
    ),
    (
        "a module without a token",
        "state = \"active\"",
        "state = \"active\"\npkcs11 = \"p\"",
        "daypass.toml:10: pkcs11 has no token: add token = LABEL, so that no other token gets the PIN",
    ),
    (
        "a PIN without a token",
        "state = \"active\"",
        "state = \"active\"\nagent = \"a\"\npin_file = \"p\"",
        "daypass.toml:11: token and PIN are for pkcs11: add pkcs11 = MODULE, or remove them",
    ),
    (
        "a passphrase of an agent's key",
        "state = \"active\"",
        "state = \"active\"\nagent = \"a\"\npassphrase_file = \"p\"",
        "daypass.toml:11: with agent, pkcs11 or signer, file is a public key, which takes no passphrase: remove it",
    ),
    (
        "a credential outside systemd",
        "state = \"active\"",
        "state = \"active\"\npassphrase_credential = \"b\"",
        "daypass.toml:10: credential \"b\" cannot be read because $CREDENTIALS_DIRECTORY is not set: start by systemd with LoadCredential=b:PATH, or use passphrase_file",
    ),
    (
        "a credential that is a path",
        "state = \"active\"",
        "state = \"active\"\npassphrase_credential = \"../b\"",
        "daypass.toml:10: \"../b\" is not the name of a systemd credential: write the NAME of LoadCredential=NAME:PATH",
    ),
    (
        "the CA key as the ledger's",
        "\"ledger_key\"",
        "\"ca_key\"",
        "daypass.toml:11: the ledger's key is also a CA key: give the ledger a key of its own (`ssh-keygen -t ed25519 -N ''`)",
    ),
    (
        "an issuer name with a space",
        "\"corp\"",
        "\"my corp\"",
        "daypass.toml:13: issuer name \"my corp\" is refused: use 1 to 64 letters, digits, '-', '_' or '.'",
    ),
    (
        "http on the network",
        "https://id.example.com",
        "http://id.example.com",
        "daypass.toml:14: issuer url \"http://id.example.com\" is not https: only an issuer on loopback may use http",
    ),
    (
        "http on a host that looks like loopback",
        "https://id.example.com",
        "http://localhost.example.com",
        "daypass.toml:14: issuer url \"http://localhost.example.com\" is not https: only an issuer on loopback may use http",
    ),
    (
        "an issuer that is no URL",
        "https://id.example.com",
        "id.example.com",
        "daypass.toml:14: issuer url \"id.example.com\" is not a URL: copy the provider's issuer exactly",
    ),
    (
        "a user in an issuer",
        "https://id.example.com",
        "https://id@example.com",
        "daypass.toml:14: issuer url \"https://id@example.com\" holds a user name: remove it",
    ),
    (
        "a query in an issuer",
        "https://id.example.com",
        "https://id.example.com?x",
        "daypass.toml:14: issuer url \"https://id.example.com?x\" has a query or fragment: an issuer has neither",
    ),
    (
        "an empty client id",
        "client_id = \"daypass\"",
        "client_id = \"\"",
        "daypass.toml:15: client_id is empty: write the id that the provider gave this client",
    ),
    (
        "no algorithms",
        "[\"ES256\"]",
        "[]",
        "daypass.toml:16: algorithms is empty: name those that the provider signs with, such as [\"ES256\"]",
    ),
    (
        "no audiences",
        "binding =",
        "audiences = []\nbinding =",
        "daypass.toml:17: audiences is empty: name at least one, or remove the key to use client_id",
    ),
    (
        "an audience with a commitment's mark",
        "binding =",
        "audiences = [\"a#b\"]\nbinding =",
        "daypass.toml:17: audience \"a#b\" is refused: it may not be empty or hold '#'",
    ),
    (
        "scopes without openid",
        "binding =",
        "scopes = [\"email\"]\nbinding =",
        "daypass.toml:17: scopes lack \"openid\": without it no provider gives an ID token",
    ),
    (
        "audience binding for people",
        "\"nonce\"",
        "\"audience\"",
        "daypass.toml:17: binding = \"audience\" is for machines: set interactive = false, or use \"nonce\" for people",
    ),
    (
        "nonce binding for machines",
        "\"nonce\"",
        "\"nonce\"\ninteractive = false",
        "daypass.toml:17: binding = \"nonce\" is for people who sign in: use \"audience\" for machines, or interactive = true",
    ),
    (
        "a device flow for machines",
        "\"nonce\"",
        "\"none\"\ninteractive = false\ndevice_flow = true",
        "daypass.toml:17: device_flow is a way for people to sign in: set interactive = true, or remove it",
    ),
    (
        "a missing ca_file",
        "\"nonce\"",
        "\"nonce\"\nca_file = \"/nonexistent/ca.pem\"",
        "daypass.toml:18: ca_file /nonexistent/ca.pem: No such file or directory (os error 2)",
    ),
    (
        "a ca_file without certificates",
        "\"nonce\"",
        "\"nonce\"\nca_file = \"/dev/null\"",
        "daypass.toml:18: ca_file /dev/null: holds no PEM certificate",
    ),
    (
        "no connections",
        "[ledger]",
        "[limits]\nconnections = 0\n[ledger]",
        "daypass.toml:11: connections = 0 is out of bounds: write 1 to 1000000",
    ),
    (
        "more connections per address than in all",
        "[ledger]",
        "[limits]\nconnections = 10\nconnections_per_address = 11\n[ledger]",
        "daypass.toml:12: connections_per_address = 11 is out of bounds: write 1 to 10",
    ),
    (
        "messages too short for a token",
        "[ledger]",
        "[limits]\nmessage_bytes = 1000\n[ledger]",
        "daypass.toml:11: message_bytes = 1000 is out of bounds: write 32768 to 1048576",
    ),
    (
        "a budget that one message fills",
        "[ledger]",
        "[limits]\nunproven_bytes_per_address = 65536\n[ledger]",
        "daypass.toml:11: unproven_bytes_per_address = 65536 is out of bounds: write 1048576 to 67108864",
    ),
    (
        "a budget of an address over that of all",
        "[ledger]",
        "[limits]\nunproven_bytes = 2000000\nunproven_bytes_per_address = 4000000\n[ledger]",
        "daypass.toml:12: unproven_bytes_per_address = 4000000 is out of bounds: write 1048576 to 2000000",
    ),
    (
        "a deadline without a unit",
        "[ledger]",
        "[limits]\nhandshake = \"10\"\n[ledger]",
        "daypass.toml:11: handshake = \"10\" is not a duration from 1s to 60s: write one such as \"10s\"",
    ),
    (
        "an endless deadline",
        "[ledger]",
        "[limits]\nfirst_byte = \"1h\"\n[ledger]",
        "daypass.toml:11: first_byte = \"1h\" is not a duration from 1s to 60s: write one such as \"10s\"",
    ),
    (
        "a load balancer at every address",
        "[tls]",
        "proxies = [\"10.0.0.5\", \"0.0.0.0/0\"]\n[tls]",
        "daypass.toml:4: proxies: 0.0.0.0/0 would let every caller choose its address: name the load balancers only",
    ),
    (
        "a load balancer by its name",
        "[tls]",
        "proxies = [\"lb.example.com\"]\n[tls]",
        "daypass.toml:4: proxies: \"lb.example.com\" is not a network; write one such as \"10.0.0.0/8\" or \"2001:db8::/32\"",
    ),
    (
        "a rate of nothing",
        "[ledger]",
        "[limits]\nrequests_per_address = { per_second = 0, burst = 1 }\n[ledger]",
        "daypass.toml:11: per_second = 0 is out of bounds: write 1 to 1000000",
    ),
    (
        "a negative number",
        "[ledger]",
        "[limits]\nstreams = -1\n[ledger]",
        "daypass.toml:11: invalid value: integer `-1`, expected u64",
    ),
    (
        "an unknown log format",
        "[ledger]",
        "[log]\nformat = \"xml\"\n[ledger]",
        "daypass.toml:11: unknown variant `xml`, expected `text` or `json`",
    ),
];

#[test]
fn load_balancers_are_networks_or_addresses() {
    let listed = |networks: &[&str]| {
        let networks = networks.iter().map(|network| network.parse().unwrap());
        crate::server::Proxies::new(networks.collect())
    };
    let text = GOOD.replacen("[tls]", "proxies = [\"10.0.0.5\", \"fd00::/8\"]\n[tls]", 1);
    assert_eq!(
        parse(&text).unwrap().limits.proxies,
        listed(&["10.0.0.5/32", "fd00::/8"])
    );
    assert_eq!(parse(GOOD).unwrap().limits.proxies, listed(&[]));
}

#[test]
fn what_is_wrong_is_refused_with_its_line_and_what_to_do() {
    for (case, from, to, expected) in REFUSED {
        assert!(
            GOOD.contains(from),
            "{case}: {from:?} is not in the good file"
        );
        let text = GOOD.replacen(from, to, 1);
        assert_eq!(
            parse(&text).map(drop),
            Err((*expected).to_owned()),
            "{case}"
        );
    }
}

#[test]
fn no_issuer_and_equal_issuers_are_refused() {
    let (head, issuer) = GOOD.split_at(GOOD.find("[[issuer]]").unwrap());
    assert_eq!(
        parse(head).map(drop).unwrap_err(),
        "daypass.toml:1: there is no [[issuer]]: add the OIDC provider whose people may sign in"
    );
    assert_eq!(
        parse(&format!("{GOOD}{issuer}")).map(drop).unwrap_err(),
        "daypass.toml:19: issuer name \"corp\" is taken by an earlier [[issuer]]: each has its own"
    );
    let renamed = issuer.replace("\"corp\"", "\"other\"");
    assert_eq!(
        parse(&format!("{GOOD}{renamed}")).map(drop).unwrap_err(),
        "daypass.toml:20: issuer url \"https://id.example.com\" is taken by an earlier [[issuer]]: each has its own"
    );
}

#[test]
fn what_is_on_loopback_may_be_plain() {
    let plain = GOOD
        .replace(
            "[tls]\ncertificate = \"tls.pem\"\nkey = \"/etc/tls.key\"\n",
            "",
        )
        .replace("https://id.example.com", "http://127.0.0.1:8080");
    for listen in ["127.0.0.1:0", "[::1]:7443"] {
        let config = parse(&plain.replace("0.0.0.0:7443", listen)).unwrap();
        assert!(config.tls.is_none(), "{listen}");
    }
}

#[test]
fn systemd_gives_the_state_folder_and_the_credentials() {
    let around = Surroundings {
        state_directory: Some("/var/lib/daypass".into()),
        credentials_directory: Some("/run/credentials/daypass".into()),
        ..around()
    };
    let text = GOOD.replace(
        "state = \"active\"",
        "state = \"active\"\npassphrase_credential = \"ca\"",
    );
    let config = Config::parse(&text, "daypass.toml", &around).unwrap();
    assert_eq!(config.state, Path::new("/var/lib/daypass"));
    assert_eq!(
        config.ca_keys[0].passphrase.as_deref(),
        Some(Path::new("/run/credentials/daypass/ca"))
    );
}

#[test]
fn differences_are_by_setting_and_not_by_layout() {
    let running = parse(GOOD).unwrap();
    let same = parse(&format!("# a comment\n{GOOD}")).unwrap();
    assert!(running.differences(&same).is_empty());
    let text = GOOD.replace("0.0.0.0", "127.0.0.1") + "[log]\nlevel = \"debug\"\n";
    let other = parse(&text).unwrap();
    assert_eq!(running.differences(&other), ["listen", "log"]);
}

#[test]
fn the_example_loads_with_any_value_put_into_it() {
    let example = Example {
        name: "daypass.example.com".into(),
        listen: "[::]:7443".parse().unwrap(),
        issuer: "https://id.example.com/a\"b".into(),
        client_id: "x\\y\nz".into(),
        certificate: "tls.pem".into(),
        key: "tls.key".into(),
        store: None,
        state: None,
        web: true,
        host_ca_key: None,
        signer: None,
        passphrase_file: Some("/run/pass phrase".into()),
    };
    let config = parse(&example.server()).unwrap();
    assert_eq!(config.issuers[0].client_id, "x\\y\nz");
    assert_eq!(
        config.ca_keys[0].passphrase.as_deref(),
        Some(Path::new("/run/pass phrase"))
    );
    let page = config.web.unwrap();
    assert_eq!(
        page.redirect(),
        "https://daypass.example.com:7443/web/callback"
    );
    let plain = Example {
        web: false,
        state: None,
        passphrase_file: None,
        ..example
    };
    assert_eq!(parse(&plain.server()).unwrap().ca_keys[0].passphrase, None);
    assert!(!plain.server().contains('@'));
    assert!(parse(&plain.server()).unwrap().web.is_none());
    assert!(parse(&plain.server()).unwrap().hosts.is_none());
    let hosts = Example {
        host_ca_key: Some("host_ca_key"),
        signer: Some("/run/a b/socket".to_owned()),
        passphrase_file: Some("/run/pass phrase".into()),
        ..plain.clone()
    };
    let config = parse(&hosts.server()).unwrap();
    let hosts = config.hosts.unwrap();
    assert_eq!(hosts.keys[0].file, Path::new("/etc/daypass/host_ca_key"));
    assert!(hosts.keys[0].passphrase.is_some());
    assert_eq!(
        config.ca_keys[0].keeper,
        Some(Keeper::Signer(SignerAddress::Socket(
            "/run/a b/socket".into()
        )))
    );
    let shared = Example {
        store: Some(SharedStore::Address("postgres://ada@db/d".into())),
        ..plain
    };
    assert!(parse(&shared.server()).unwrap().postgres.is_some());
}

#[test]
fn the_limits_that_the_example_shows_are_the_defaults() {
    let example = Example {
        name: "localhost".into(),
        listen: "127.0.0.1:7443".parse().unwrap(),
        issuer: "https://id.example.com".into(),
        client_id: "daypass".into(),
        certificate: "tls.pem".into(),
        key: "tls.key".into(),
        store: None,
        state: None,
        web: false,
        host_ca_key: None,
        signer: None,
        passphrase_file: None,
    };
    let text = example.server();
    let start = text.find("# [limits]").unwrap();
    let (head, rest) = text.split_at(start);
    let (limits, tail) = rest.split_at(rest.find("\n\n").unwrap());
    let lines = limits.lines().map(|line| line.strip_prefix("# ").unwrap());
    let shown = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(shown.matches(" = ").count(), 16 + 4, "{shown}");
    assert_eq!(
        parse(&format!("{head}{shown}{tail}")).unwrap().limits,
        Limits::default()
    );
}

/// A webhook whose files are in `folder`, after the 17 lines of the valid file. `change` is (from,
/// to) in it.
fn webhook(folder: &Path, change: (&str, &str)) -> Result<Config, String> {
    let section = "[[webhook]]\nname = \"chat\"\nurl_file = \"url\"\nsecret_file = \"secret\"\nevents = [\"emergency\"]\n\
                   networks = [\"10.1.2.3/32\"]\ntimeout = \"2s\"\n";
    assert!(section.contains(change.0), "{change:?}");
    let text = format!("{GOOD}{}", section.replacen(change.0, change.1, 1));
    let around = Surroundings {
        folder: folder.to_owned(),
        ..Surroundings::default()
    };
    Config::parse(&text, "daypass.toml", &around).map_err(|error| error.to_string())
}

#[test]
fn a_webhook_is_read_with_its_secrets_and_shows_none_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str, mode| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    put("url", "https://chat.example.com/hooks/HIDDEN\n", 0o600);
    put("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", 0o600);
    put("open", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", 0o644);
    put("odd", "HIDDEN", 0o600);
    let config = webhook(folder.path(), ("chat", "chat")).unwrap();
    let chat = &config.webhooks[0];
    assert_eq!(chat.name, "chat");
    assert_eq!(
        format!("{:?}", chat.endpoint),
        "Endpoint(host \"chat.example.com\")"
    );
    assert_eq!(chat.timeout, std::time::Duration::from_secs(2));
    assert!(config.can_page());
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("HIDDEN") && !shown.contains("MfKQ"),
        "{shown}"
    );
    let all = webhook(folder.path(), ("events = [\"emergency\"]\n", "")).unwrap();
    assert_eq!(
        all.webhooks[0].events.len(),
        crate::notify::NotificationKind::ALL.len()
    );
    let locks = webhook(folder.path(), ("emergency", "locked")).unwrap();
    assert!(!locks.can_page());
    assert!(
        webhook(
            folder.path(),
            ("secret_file = \"secret\"", "format = \"chat\"")
        )
        .is_ok()
    );

    for (case, change, expected) in [
        (
            "no url",
            ("url_file = \"url\"\n", ""),
            ":19: webhook \"chat\" needs exactly one of url, url_file and",
        ),
        (
            "two urls",
            ("url_file", "url = \"https://x.example\"\nurl_file"),
            ":19: webhook \"chat\" needs exactly one",
        ),
        (
            "plain text",
            ("url_file = \"url\"", "url = \"http://10.0.0.1/\""),
            ":20: webhook url is http and not on this",
        ),
        (
            "a url that is none",
            ("\"url\"", "\"odd\""),
            ":20: webhook url is not a URL",
        ),
        (
            "no secret",
            ("secret_file = \"secret\"\n", ""),
            ":19: webhook \"chat\" has no secret: add secret_file",
        ),
        (
            "a secret that is none",
            ("\"secret\"", "\"odd\""),
            ":21: secret_file line 1 does not begin with `whsec_`",
        ),
        (
            "a secret that all can read",
            ("\"secret\"", "\"open\""),
            ": others can read it (mode 644): run `chmod 600 ",
        ),
        (
            "a secret that is not there",
            ("\"secret\"", "\"none\""),
            ":21: secret_file ",
        ),
        (
            "two secrets",
            ("events", "secret_credential = \"x\"\nevents"),
            ":22: secret_file and secret_credential are both set",
        ),
        (
            "no such event",
            ("emergency", "issued"),
            ":22: unknown variant `issued`, expected one of `requested`",
        ),
        ("no event", ("\"emergency\"", ""), ":22: events is empty"),
        (
            "host bits",
            ("3/32", "3/24"),
            ":23: network \"10.1.2.3/24\" has host bits: write 10.1.2.0/24",
        ),
        (
            "every address",
            ("10.1.2.3/32", "0.0.0.0/0"),
            ":23: network \"0.0.0.0/0\" is every address",
        ),
        (
            "no network",
            ("10.1.2.3/32", "here"),
            ":23: network \"here\" is invalid",
        ),
        (
            "no time",
            ("2s", "100ms"),
            ":24: timeout = \"100ms\" is not a duration from 1s to 30s",
        ),
        (
            "a name of two words",
            ("\"chat\"", "\"a b\""),
            ":19: webhook name \"a b\" is refused",
        ),
        (
            "an unknown key",
            ("timeout", "timeouts"),
            ":24: unknown field `timeouts`",
        ),
    ] {
        let said = webhook(folder.path(), change).map(drop).unwrap_err();
        assert!(said.contains(expected), "{case}: {said}");
        assert!(!said.contains("HIDDEN"), "{case}: {said}");
    }
}
