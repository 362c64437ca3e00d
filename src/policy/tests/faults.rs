//! Policies that do not load because of keys, names, conditions or principals.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::*;
use crate::ssh::wire;

#[test]
fn faults_are_refused_with_their_line_and_what_to_do() {
    let long = role(&format!("allow_ = '{}'", "x".repeat(10)));
    let parentheses = format!(
        "[[role]]\nname = \"r\"\nprincipals = [\"a\"]\nallow = '{}true{}'",
        "(".repeat(10_000),
        ")".repeat(10_000)
    );
    let cases: Vec<(&str, String, usize, &str)> = vec![
        ("no TOML", "role = [".into(), 1, ""),
        ("a broken string", "\n\nx = \"".into(), 3, ""),
        (
            "an unknown section",
            "[limit]\nttl = \"1h\"".into(),
            1,
            "unknown field `limit`",
        ),
        ("an unknown key of a role", role("colour = 1"), 5, "role[0]"),
        ("a misspelt key", long, 5, "unknown field `allow_`"),
        (
            "an unknown key of a parameter",
            role("command = [\"/x\", \"{u}\"]\nparams.u = { patern = \"a\" }"),
            6,
            "patern",
        ),
        ("a key twice", role("name = \"s\""), 5, "duplicate"),
        (
            "no name",
            "[[role]]\nallow = 'true'\nprincipals = [\"a\"]".into(),
            1,
            "missing field `name`",
        ),
        (
            "no condition",
            "[[role]]\nname = \"r\"\nprincipals = [\"a\"]".into(),
            1,
            "missing field `allow`",
        ),
        (
            "no principals key",
            "[[role]]\nname = \"r\"\nallow = 'true'".into(),
            1,
            "missing field `principals`",
        ),
        ("a wrong type", role("ttl = 30"), 5, "expected a string"),
        ("two roles of one name", role(&role("")), 6, "a second role"),
        (
            "an approval of half",
            role("approval = { count = 2 }"),
            5,
            "missing field `by`",
        ),
        (
            "0 approvals (openbao#3666)",
            role("approval = { count = 0, by = 'true', within = '30m' }"),
            5,
            "demand 1 to 16 approvals",
        ),
        (
            "less than no approval",
            role("approval = { count = -1, by = 'true', within = '30m' }"),
            5,
            "demand 1 to 16 approvals",
        ),
        (
            "approval by no identity",
            role("approval = { count = 1, by = 'false', within = '30m' }"),
            5,
            "`by` is false, so no identity satisfies it",
        ),
        (
            "approval by an unknown name",
            role("approval = { count = 1, by = 'groups.x', within = '30m' }"),
            5,
            "`groups`",
        ),
        (
            "an approval that never ends",
            role("approval = { count = 1, by = 'true', within = '8d' }"),
            5,
            "write at most \"7d\"",
        ),
        (
            "an emergency without a reviewer",
            role("emergency = { allow = 'true', ttl = '5m', review = 'false' }"),
            5,
            "`review` is false, so no identity satisfies it",
        ),
        (
            "an emergency without a lifetime",
            role("emergency = { allow = 'true', review = 'true' }"),
            5,
            "missing field `ttl`",
        ),
        (
            "a page at another time",
            role("emergency = { allow = 'true', ttl = '5m', review = 'true', page = 'never' }"),
            5,
            "unknown variant `never`, expected `after` or `before`",
        ),
        (
            "an emergency without keys",
            role("emergency = { allow = 'true', ttl = '5m', review = 'true', keys = 0 }"),
            5,
            "demand 1 to 16 people's registered keys",
        ),
        (
            "a registered identity without keys",
            registered("keys = []"),
            10,
            "`keys` is empty",
        ),
        (
            "a registered key that is none",
            registered("keys = [\"ssh-ed25519 AAAA\"]"),
            10,
            "it is not an OpenSSH public key",
        ),
        (
            "a DSA key",
            registered("keys = [\"ssh-dss AAAAB3NzaC1kc3MAAAABAwAAAAEDAAAAAQMAAAABAw==\"]"),
            10,
            "invalid emergency key",
        ),
        (
            "an RSA key of 2,048 bits",
            registered(&format!("keys = [\"{}\"]", rsa(2048))),
            10,
            "an RSA key has 3072 to 8192 bits",
        ),
        (
            "an RSA key of 9,216 bits, which the CA refuses",
            registered(&format!("keys = [\"{KEY}\", \"{}\"]", rsa(9216))),
            10,
            "an RSA key has 3072 to 8192 bits",
        ),
        (
            "a certificate in place of a key",
            registered(&format!("keys = [\"{}\"]", CERTIFICATE.trim_end())),
            10,
            "it is a certificate, not a key",
        ),
        (
            "an Ed25519 key that anyone can sign for",
            registered(&format!(
                "keys = [\"{}\"]",
                line("ssh-ed25519", &[&[0; 32]])
            )),
            10,
            "anyone can sign for this key",
        ),
        (
            "a key twice",
            registered(&format!("keys = [\"{KEY}\", \"{KEY} again\"]")),
            10,
            "already registered",
        ),
        (
            "an unknown key of the table",
            registered(&format!("keys = [\"{KEY}\"]\ngroups = []")),
            11,
            "unknown field `groups`",
        ),
        (
            "an empty subject",
            registered(&format!("keys = [\"{KEY}\"]")).replace("\"bob\"", "\"\""),
            8,
            "`subject` is one line",
        ),
        (
            "hours",
            role("hours = { days = \"mon\" }"),
            5,
            "missing field `zone`",
        ),
        (
            "behind a bastion that there is not",
            role("source = \"bastion\""),
            5,
            "add a [[bastion]]",
        ),
        ("10,000 parentheses", parentheses, 4, "shorten it to 2048"),
        (
            "an unknown name in a condition",
            role("").replace("'true'", "'\"x\" in claim.groups'"),
            3,
            "`claim`",
        ),
        (
            "a role name with a newline",
            role("").replace("\"r\"", "\"r\\nroot\""),
            2,
            "not a role name",
        ),
        (
            "a role name with an escape",
            role("").replace("\"r\"", "\"r\\u001b[31m\""),
            2,
            "not a role name",
        ),
        (
            "a role name with a slash",
            role("").replace("\"r\"", "\"a/b\""),
            2,
            "not a role name",
        ),
        (
            "an empty role name",
            role("").replace("\"r\"", "\"\""),
            2,
            "not a role name",
        ),
        (
            "a long role name",
            role("").replace("\"r\"", &format!("\"{}\"", "r".repeat(65))),
            2,
            "at most 64",
        ),
        (
            "no principals (CVE-2024-7594)",
            role("").replace("[\"alice\"]", "[]"),
            4,
            "`principals` is empty",
        ),
        (
            "a comma in a principal (CVE-2026-35414)",
            role("").replace("alice", "x,root"),
            4,
            "not a login",
        ),
        (
            "a principal of a host group",
            role("").replace("alice", "root@web"),
            4,
            "not a login",
        ),
        (
            "an empty principal",
            role("").replace("alice", ""),
            4,
            "not a login",
        ),
        (
            "a principal with NUL",
            role("").replace("alice", "root\\u0000"),
            4,
            "printable ASCII",
        ),
        (
            "a caller's principal",
            role("").replace("alice", "{unit}"),
            4,
            "never chooses principals",
        ),
        (
            "two holes in a principal",
            role("").replace("alice", "{claims.a}{claims.b}"),
            4,
            "at most one",
        ),
        (
            "a principal beyond the limits",
            format!("[limits]\nprincipals = [\"bob\"]\n{}", role("")),
            6,
            "[limits]",
        ),
        (
            "a broken limit",
            "[limits]\nprincipals = [\"*\"]".into(),
            2,
            "not a pattern",
        ),
    ];
    refused(cases);
}

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

/// A registered key with an issuer that has one slash too many would be another person than the one
/// who signs in, and could review their own emergency.
#[test]
fn registered_people_are_of_an_issuer_that_the_server_has() {
    let policy = parse(&registered(&format!("keys = [\"{KEY}\"]"))).unwrap();
    let check = |issuers: &[&str]| policy.expect_issuers(issuers).map_err(|it| it.to_string());
    assert_eq!(check(&["https://other", "https://id.example.com"]), Ok(()));
    for (issuers, advice) in [
        (
            &["https://id.example.com/"][..],
            "write \"https://id.example.com/\", exactly",
        ),
        (
            &["https://ID.example.com"],
            "write \"https://ID.example.com\", exactly",
        ),
        (
            &["https://a", "https://b"],
            "write one of https://a, https://b, exactly",
        ),
    ] {
        let said = check(issuers).unwrap_err();
        assert!(
            said.contains(":7: issuer \"https://id.example.com\" is not the url"),
            "{said}"
        );
        assert!(said.ends_with(advice), "{said}");
    }
}

/// OpenSSH's certificate of a key.
const CERTIFICATE: &str =
    include_str!("../../../tests/golden/certificates/subject-ed25519-cert.pub");

/// A public key's line with these fields.
fn line(algorithm: &str, fields: &[&[u8]]) -> String {
    let blob = [wire::string(algorithm.as_bytes()), wire::strings(fields)].concat();
    format!("{algorithm} {}", STANDARD.encode(blob))
}

/// An RSA key with exponent 65537 and a modulus of `bits` ones.
fn rsa(bits: usize) -> String {
    let modulus = [vec![0], vec![0xff; bits / 8]].concat();
    line("ssh-rsa", &[&[1, 0, 1], &modulus])
}

/// A policy whose `[[emergency_identity]]` begins on line 6.
fn registered(keys: &str) -> String {
    role(&format!(
        "\n[[emergency_identity]]\nissuer = \"https://id.example.com\"\nsubject = \"bob\"\nlabel = \"bob@example.com\"\n{keys}\n"
    ))
}
