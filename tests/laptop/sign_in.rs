//! `daypass ssh-config install --sign-in`: plain ssh at a terminal signs in on the way. `script`
//! lends the terminal, and a shell script is the browser.

use std::{fs, os::unix::fs::PermissionsExt};

use super::{
    signed_in,
    support::laptop::{HOME, Laptop},
};

/// Notes each call, fills in the dev issuer's form and goes where it sends.
const BROWSER: &str = r#"#!/bin/sh
echo opened >> "$HOME/opened"
id=$(curl -s "$1" | sed -n 's/.*name="request" value="\([^"]*\)".*/\1/p')
base=$(printf %s "$1" | sed 's,^\(http://[^/]*\)/.*,\1,')
curl -sL -o /dev/null --data-urlencode "request=$id" --data-urlencode login=alice \
  --data-urlencode "password=$(cat "$HOME/password")" "$base/login"
"#;

/// A line at a terminal.
fn typed(line: &str) -> String {
    format!("BROWSER={HOME}/browser script -qefc '{line}' /dev/null")
}

fn opened(laptop: &Laptop) -> usize {
    let noted = fs::read_to_string(laptop.home().join("opened")).unwrap_or_default();
    noted.lines().count()
}

fn block(laptop: &Laptop) -> String {
    fs::read_to_string(laptop.home().join(".local/state/daypass/ssh_config")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_ssh_at_a_terminal_signs_in_if_the_installed_lines_say_so() {
    let (env, laptop) = signed_in(r#""deploy""#).await;
    laptop.put("browser", BROWSER);
    let browser = laptop.home().join("browser");
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();

    // Without the option, ssh says what to do, and opens nothing.
    laptop.says("daypass logout").await;
    let done = laptop.sh(&typed("ssh web-1 id -un")).await;
    assert_eq!(done.code, 255, "{done:?}");
    assert!(
        done.stdout.contains("sign in with: daypass login"),
        "{done:?}"
    );
    assert_eq!(opened(&laptop), 0);

    // With it, the first ssh signs in and logs in.
    laptop.says("daypass ssh-config install --sign-in").await;
    assert_eq!(block(&laptop).matches(" --sign-in --login=").count(), 2);
    let printed = laptop.says("daypass ssh-config print --sign-in").await;
    assert_eq!(printed.trim_end(), block(&laptop).trim_end());
    for (line, shown) in [
        ("ssh web-1 id -un", "sign in with: daypass login"),
        (
            "ssh -o BatchMode=yes web-1 id -un",
            "sign in with: daypass login",
        ),
        ("ssh -G web-1", "sign in with: daypass login"),
    ] {
        let done = laptop.sh(&format!("BROWSER={HOME}/browser {line}")).await;
        assert!(done.stderr.contains(shown), "no terminal: {line}: {done:?}");
        assert_eq!(opened(&laptop), 0, "no terminal: {line}");
    }
    for line in ["ssh -o BatchMode=yes web-1 id -un", "ssh -G web-1"] {
        laptop.sh(&typed(line)).await;
        assert_eq!(opened(&laptop), 0, "{line}");
    }
    let done = laptop.sh(&typed("ssh web-1 id -un")).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.contains("\ndeploy"), "{done:?}");
    assert_eq!(opened(&laptop), 1);

    // Two at once: one sign-in.
    laptop.says("daypass logout").await;
    let both = "ssh web-1 echo one-$(id -un) & ssh web-2 echo two-$(id -un); wait";
    let done = laptop.sh(&typed(both)).await;
    assert!(
        done.stdout.contains("one-") && done.stdout.contains("two-"),
        "{done:?}"
    );
    assert_eq!(opened(&laptop), 2, "{done:?}");

    // A file that is renewed keeps the option; installed again without it, it is gone.
    laptop.says("daypass roles").await;
    assert!(block(&laptop).contains(" --sign-in --login="));
    laptop.says("daypass ssh-config install").await;
    assert!(!block(&laptop).contains("--sign-in"));
    env.close().await;
}
