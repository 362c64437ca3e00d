//! Plain ssh where more than the name of the host decides: aliases, new host groups, a line of an
//! earlier version, and the local user's own name.

use std::fs;

use super::{
    POLICY, signed_in, signed_in_with_more_roles,
    support::laptop::{Laptop, NAME},
};

/// The settings that the user's own configuration needs for the test's host.
async fn own_settings(laptop: &Laptop) -> String {
    let port = laptop
        .says("ssh -F .ssh/config -G web-1 | sed -n 's/^port //p'")
        .await;
    format!("    Port {port}\n    HostKeyAlias web-1\n    BatchMode yes\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_of_a_host_is_that_host() {
    let (env, laptop) = signed_in_with_more_roles().await;
    let settings = own_settings(&laptop).await;
    let config = fs::read_to_string(laptop.home().join(".ssh/config")).unwrap();
    let include = config.lines().next().unwrap();
    let aliases = format!(
        "Host w1\n    HostName web-1\n{settings}Host boss\n    HostName web-1\n    User root\n{settings}\
         Host other\n    HostName 192.0.2.1\n"
    );
    laptop.put(".ssh/config", &format!("{include}\n{aliases}"));
    for (line, login) in [
        ("ssh w1 id -un", "deploy"),
        ("ssh w1 id -un", "deploy"),
        ("ssh root@w1 id -un", "root"),
        ("ssh boss id -un", "root"),
        ("daypass ssh w1 id -un", "deploy"),
        ("daypass ssh root@w1 id -un", "root"),
        ("daypass ssh boss --role admin id -un", "root"),
        (
            "daypass ssh -o HostName=web-1 -p $(ssh -G w1 | sed -n 's/^port //p') -oHostKeyAlias=web-1 w2 id -un",
            "deploy",
        ),
    ] {
        assert_eq!(laptop.says(line).await, login, "{line}");
    }
    let files = laptop
        .says("ssh -G w1 | grep -c 'identityfile.*daypass'")
        .await;
    assert_eq!(files, "1", "one pass is offered");
    let asked = laptop.says("ssh -G other").await;
    assert!(!asked.contains("daypass"), "{asked}");
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_host_groups_reach_the_configuration_by_themselves() {
    let (env, laptop) = signed_in(r#""deploy""#).await;
    let block =
        || fs::read_to_string(laptop.home().join(".local/state/daypass/ssh_config")).unwrap();
    assert!(!block().contains("db-*"), "{}", block());
    let policy = POLICY.replace("LOGINS", r#""deploy""#);
    let groups = "web = [\"web-*\"]\ndb = [\"db-*\"]";
    env.replace_policy(&policy.replace("web = [\"web-*\"]", groups))
        .await;
    laptop.says("daypass roles").await;
    assert!(
        block().contains("originalhost \"db-*,web-*,"),
        "{}",
        block()
    );
    assert!(block().contains("'/mnt/bin/daypass' ensure"), "{}", block());
    let settings = laptop.says("ssh -G db-1").await;
    assert!(
        settings.contains("\nuser deploy\n") || settings.starts_with("user deploy"),
        "{settings}"
    );

    // Patterns that the user chose stay.
    laptop
        .says("daypass ssh-config install --host 'web-?'")
        .await;
    laptop.says("daypass roles").await;
    assert!(block().contains("originalhost \"web-?,!"), "{}", block());
    assert_eq!(laptop.says("ssh web-1 id -un").await, "deploy");
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_match_line_of_an_earlier_version_is_renewed_or_the_user_is_told_how() {
    let (env, laptop) = signed_in(r#""deploy""#).await;
    let old = "Match originalhost \"web-*,!*'*\" exec \"'/mnt/bin/daypass' ensure --host='%n'\"\n    \
               Include ~/.local/state/daypass/hosts/*/ssh_config\n";
    let installed = ".local/state/daypass/ssh_config";
    laptop.put(installed, old);
    assert_eq!(laptop.says("ssh web-1 id -un").await, "deploy");
    let renewed = fs::read_to_string(laptop.home().join(installed)).unwrap();
    assert!(renewed.contains("--login='%r'"), "{renewed}");

    laptop.says("daypass ssh-config remove").await;
    let config = fs::read_to_string(laptop.home().join(".ssh/config")).unwrap();
    laptop.put(".ssh/config", &format!("{old}Host *\n{config}"));
    let done = laptop.sh("ssh web-1 id -un").await;
    assert_eq!((done.code, &*done.stdout), (0, "deploy\n"), "{done:?}");
    let hint = "renew it with: daypass ssh-config install";
    assert!(done.stderr.contains(hint), "{done:?}");
    let by_hand = laptop.sh("daypass ensure --host web-1").await;
    assert_eq!((by_hand.code, &*by_hand.stderr), (0, ""), "{by_hand:?}");
    env.close().await;
}

/// As for a local root who types `ssh root@web-1`: the name counts although it is their own.
#[tokio::test(flavor = "multi_thread")]
async fn the_local_users_own_name_counts_if_it_was_typed() {
    let policy = POLICY.replace("LOGINS", r#""deploy""#)
        + &format!(
            "[[role]]\nname = \"own\"\nallow = 'true'\nprincipals = [\"{NAME}\"]\npty = true\nttl = \"1h\"\n"
        );
    let (env, laptop) = super::laptop_with(policy).await;
    for (line, login) in [
        (format!("ssh -G {NAME}@web-1"), NAME),
        (format!("ssh -G -l {NAME} web-1"), NAME),
        ("ssh -G web-1".to_owned(), "deploy"),
        (format!("bash -c 'ssh -G -o User={NAME} web-1; true'"), NAME),
        ("ssh -G deploy@web-1".to_owned(), "deploy"),
    ] {
        let principals = format!(
            "{line} | sed -n 's/^certificatefile //p' | xargs ssh-keygen -L -f | grep -A1 Principals: | tail -1"
        );
        let principals = laptop.says(&principals).await;
        assert_eq!(principals.trim(), login, "{line}");
    }
    env.close().await;
}
