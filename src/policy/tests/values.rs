//! Policies that do not load because of a value: commands, addresses, lifetimes, hosts, tests.

use super::*;

#[test]
fn values_are_refused_with_their_line_and_what_to_do() {
    let cases: Vec<(&str, String, usize, &str)> = vec![
        (
            "a parameter without a hole",
            role("command = [\"/x\"]\nparams.u = { pattern = \"a\" }"),
            6,
            "has no hole",
        ),
        (
            "a parameter without a command",
            role("params.u = { pattern = \"a\" }"),
            5,
            "has no hole",
        ),
        (
            "a hole without a parameter",
            role("command = [\"/x\", \"{u}\"]"),
            5,
            "has no parameter",
        ),
        (
            "a parameter without a rule",
            role("command = [\"/x\", \"{u}\"]\nparams.u = {}"),
            6,
            "either `pattern` or",
        ),
        (
            "two rules",
            role("command = [\"/x\", \"{u}\"]\nparams.u = { pattern = \"a\", one_of = [\"b\"] }"),
            6,
            "not both",
        ),
        (
            "no values",
            role("command = [\"/x\", \"{u}\"]\nparams.u = { one_of = [] }"),
            6,
            "at least one",
        ),
        (
            "a pattern that escapes",
            role("command = [\"/x\", \"{u}\"]\nparams.u = { pattern = \"a)|(b\" }"),
            6,
            "regular",
        ),
        (
            "a command as a string",
            role("command = \"/bin/ls -l\""),
            5,
            "expected a sequence",
        ),
        ("an empty command", role("command = []"), 5, "is empty"),
        (
            "a program without a path",
            role("command = [\"ls\"]"),
            5,
            "absolute path",
        ),
        (
            "a control character in a command",
            role("command = [\"/x\", \"a\\nb\"]"),
            5,
            "printable ASCII",
        ),
        (
            "a lone brace",
            role("command = [\"/x\", \"{\"]"),
            5,
            "lone brace",
        ),
        (
            "an unknown extension",
            role("extensions = [\"permit-everything\"]"),
            5,
            "not an extension",
        ),
        (
            "an option as an extension",
            role("extensions = [\"force-command\"]"),
            5,
            "not an extension",
        ),
        (
            "host bits",
            role("source = [\"10.0.0.1/8\"]"),
            5,
            "write 10.0.0.0/8",
        ),
        (
            "a mapped network",
            role("source = [\"::ffff:10.0.0.0/104\"]"),
            5,
            "write 10.0.0.0/8",
        ),
        (
            "a host name as source",
            role("source = [\"db.example.com\"]"),
            5,
            "not a network",
        ),
        (
            "an unknown source",
            role("source = \"anywhere\""),
            5,
            "not a source",
        ),
        ("no networks", role("source = []"), 5, "0 networks"),
        (
            "a source that is a number",
            role("source = 1"),
            5,
            "list of networks",
        ),
        ("no lifetime", role("ttl = \"0s\""), 5, "at least \"1s\""),
        (
            "half a second",
            role("ttl = \"1500ms\""),
            5,
            "whole seconds",
        ),
        ("a year", role("ttl = \"1y\""), 5, "at most \"7d\""),
        (
            "a lifetime without a unit",
            role("ttl = \"30\""),
            5,
            "is not a lifetime",
        ),
        (
            "a broken reason",
            role("reason = '('"),
            5,
            "regular expression",
        ),
        (
            "an unknown host group",
            role("hosts = [\"web\"]"),
            5,
            "no host group \"web\"",
        ),
        (
            "a host group with an odd name",
            "[hosts]\n\"we,b\" = [\"web-*\"]".into(),
            2,
            "not a host group name",
        ),
        (
            "an empty host group",
            "[hosts]\nweb = []".into(),
            2,
            "no patterns",
        ),
        (
            "a host pattern with a separator",
            "[hosts]\nweb = [\"a,b\"]".into(),
            2,
            "not a host-name pattern",
        ),
        (
            "an audit condition that names nothing",
            "[audit]\nallow = 'security'".into(),
            2,
            "`security`",
        ),
        (
            "a test of an unknown role",
            "[[test]]\nask = { role = \"x\" }\nexpect = \"denied\"".into(),
            1,
            "not in this file",
        ),
        (
            "a test without a role",
            "[[test]]\nask = {}\nexpect = \"denied\"".into(),
            2,
            "missing field `role`",
        ),
        (
            "an unknown expectation",
            format!(
                "{}\n[[test]]\nask = {{ role = \"r\" }}\nexpect = \"maybe\"",
                role("")
            ),
            8,
            "not an expectation",
        ),
        (
            "an unknown reason",
            format!(
                "{}\n[[test]]\nask = {{ role = \"r\" }}\nexpect = \"denied: x\"",
                role("")
            ),
            8,
            "parameter",
        ),
    ];
    refused(cases);
}
