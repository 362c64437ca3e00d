//! Critical options and extensions, each in its section.

use super::*;

#[test]
fn options_that_do_not_belong_where_they_stand_are_found() {
    let ca = ca();
    let critical =
        |data: Vec<u8>| -> Change<'static> { Box::new(move |f| f.critical.clone_from(&data)) };
    let extensions =
        |data: Vec<u8>| -> Change<'static> { Box::new(move |f| f.extensions.clone_from(&data)) };
    let force = option(FORCE_COMMAND, &string(b"/usr/bin/true"));
    let misplaced = |name: &str| Problem::Option(name.to_owned());
    let cases: Vec<(&str, Change<'_>, Problem)> = vec![
        (
            "force-command among the extensions",
            extensions(force.clone()),
            misplaced(FORCE_COMMAND),
        ),
        (
            "source-address among the extensions",
            extensions(option(SOURCE_ADDRESS, &string(b"10.0.0.0/8"))),
            misplaced(SOURCE_ADDRESS),
        ),
        (
            "verify-required among the extensions",
            extensions(option("verify-required", b"")),
            misplaced("verify-required"),
        ),
        (
            "permit-pty among the critical options",
            critical(option("permit-pty", &string(b""))),
            misplaced("permit-pty"),
        ),
        (
            "unknown critical option",
            critical(option("force-commands", &string(b"x"))),
            misplaced("force-commands"),
        ),
        (
            "unknown extension",
            extensions(option("permit-root", b"")),
            misplaced("permit-root"),
        ),
        (
            "no-touch-required",
            extensions(option("no-touch-required", b"")),
            misplaced("no-touch-required"),
        ),
        (
            "extension with data",
            extensions(option("permit-pty", &string(b"x"))),
            misplaced("permit-pty"),
        ),
        (
            "two force-commands",
            critical([force.clone(), force.clone()].concat()),
            misplaced(FORCE_COMMAND),
        ),
        (
            "out of order",
            extensions(
                [
                    option("permit-pty", b""),
                    option("permit-X11-forwarding", b""),
                ]
                .concat(),
            ),
            misplaced("permit-X11-forwarding"),
        ),
        (
            "value without its own length",
            critical(option(FORCE_COMMAND, b"/usr/bin/true")),
            Problem::Layout("critical options"),
        ),
        (
            "empty value",
            critical(option(FORCE_COMMAND, b"")),
            Problem::Layout("critical options"),
        ),
        (
            "bytes after the value",
            critical(option(FORCE_COMMAND, &[string(b"true"), vec![0]].concat())),
            Problem::Layout("critical options"),
        ),
        (
            "half an option",
            critical(string(FORCE_COMMAND.as_bytes())),
            Problem::Layout("critical options"),
        ),
    ];
    expect(cases, &ca);
}

#[test]
fn commands_that_are_not_one_line_are_found() {
    let ca = ca();
    let long = "a".repeat(MAX_VALUE + 1);
    for command in [
        "",
        " ",
        "true\nid",
        "true\r",
        "true\0",
        "true\u{1b}[2J",
        "true\u{85}",
        long.as_str(),
    ] {
        let critical = option(FORCE_COMMAND, &string(command.as_bytes()));
        let fields = Fields {
            critical,
            ..Fields::sound(&ca)
        };
        assert_eq!(check(&fields, &ca), Err(Problem::Command), "{command:?}");
    }
    let fields = Fields {
        critical: option(
            FORCE_COMMAND,
            &string("/bin/echo 'a;b $(c)' '\u{e9}'".as_bytes()),
        ),
        ..Fields::sound(&ca)
    };
    check(&fields, &ca).unwrap();
}

#[test]
fn source_addresses_that_no_sshd_would_match_are_found() {
    let ca = ca();
    for list in [
        "",
        "10.0.0.1",
        "10.0.0.1/8",
        "10.0.0.0/8,",
        "10.0.0.0/8, 192.0.2.0/24",
        "10.0.0.0/33",
        "10.0.0.0/08",
        "010.0.0.0/8",
        "host.example.com",
        "*",
        "!10.0.0.0/8",
        "::ffff:10.0.0.0/104",
        "::ffff:192.0.2.7/128",
        "2001:DB8::/32",
        "2001:db8:0::/32",
        "2001:db8::1/32",
        "fe80::1%eth0/128",
    ] {
        let critical = option(SOURCE_ADDRESS, &string(list.as_bytes()));
        let fields = Fields {
            critical,
            ..Fields::sound(&ca)
        };
        assert_eq!(check(&fields, &ca), Err(Problem::Source), "{list:?}");
    }
}

#[test]
fn a_line_that_internal_sftp_would_split_otherwise_is_found() {
    for (command, is_valid) in [
        ("internal-sftp", true),
        ("internal-sftp -d /srv/upload -u 027", true),
        ("internal-sftp -d 'x -d /etc -u 000 y'", false),
        ("internal-sftp -d ''", false),
        ("internal-sftp  -R", false),
        ("internal-sftp ", false),
        ("internal-sftp -d %d", false),
        ("internal-sftp -d \"/srv\"", false),
        ("internal-sftp -R -u 027 -l INFO -f AUTH -e -d /srv", false),
        ("internal-sftp-wrapper 'a b'", true),
        ("/usr/lib/openssh/sftp-server -d 'a b'", true),
        ("/usr/bin/printf '%s' 'a b'", true),
    ] {
        assert_eq!(check_command(command).is_ok(), is_valid, "{command}");
    }
}
