//! What operators, administrators and auditors type.

use super::Walk;
use crate::{fleet, incident::number_after, webhooks as receivers};

/// Webhooks and the issuer of a CI, by their chapters, and the role for two keys.
pub(super) fn configure(walk: &Walk) {
    receivers::start_receiver(&walk.fleet);
    walk.fleet.start_ci();
    let block = fleet::first_block("scripts", "toml config");
    let server = &walk.fleet.server;
    server.write("root", "ci.toml", &format!("\n{block}"));
    walk.operator("cat ci.toml >>/etc/daypass/daypass.toml");
    receivers::configure(&walk.fleet);
    walk.operator("daypass policy check /etc/daypass/policy.toml");
}

pub(super) fn webhooks(walk: &Walk) {
    let carol = |line: &str| walk.user("carol", line);
    walk.operator("echo whsec_$(openssl rand -base64 32)");
    carol("daypass admin webhooks test pager");
    carol("daypass admin webhooks test oncall");
    let listed = carol("daypass admin webhooks");
    assert!(
        listed.contains("pager") && listed.contains("oncall"),
        "{listed}"
    );
    carol("daypass admin webhooks dead");
    carol("daypass admin webhooks retry pager --all");
}

pub(super) fn policy(walk: &Walk) {
    let policy = walk.operator("cat /etc/daypass/policy.toml");
    let laptop = &walk.fleet.laptop;
    let stricter = policy.replace("\"sre\" in claims.groups", "\"leads\" in claims.groups");
    laptop.write("carol", "new-policy.toml", &stricter);
    let page = fleet::first_block("policy", "toml policy");
    laptop.write("carol", "chapter.toml", &page);
    let carol = |line: &str| walk.user("carol", line);
    carol("daypass policy check chapter.toml");
    let tested = carol("daypass policy test chapter.toml");
    assert!(tested.contains("pass") || tested.contains("ok"), "{tested}");
    laptop.write(
        "carol",
        "claims.json",
        r#"{"sub": "bob", "groups": ["oncall"]}"#,
    );
    let line = "daypass policy explain --policy chapter.toml --claims claims.json";
    let explained = carol(line);
    assert!(explained.contains("web-logs"), "{explained}");
    // Exits with 1 if a decision would change.
    let replay = "daypass policy replay new-policy.toml --since 30d";
    let replayed = walk.ends(laptop, "carol", replay, 1);
    assert!(
        replayed.stdout.contains("alice@example.com"),
        "{replayed:?}"
    );
}

pub(super) fn server(walk: &Walk) {
    let operator = |line: &str| walk.operator(line);
    operator("systemctl reload daypass");
    let serve = "runuser -u daypass -- daypass serve --config /etc/daypass/daypass.toml";
    // The running one has the ledger: a second one refuses to start.
    let second = walk.run(&walk.fleet.server, "root", serve);
    assert!(
        second.code == 1 && second.stderr.contains("another"),
        "{second:?}"
    );
    for options in ["--check", "--check --offline", "--check --reload"] {
        operator(&format!("cd /etc/daypass && {serve} {options}"));
    }
    operator("cd /etc/daypass && daypass serve --check");
    // What the chapter lists at the end, without a token.
    let curl = "curl -sf --cacert /etc/daypass/tls.pem https://daypass.example.com:7443";
    for path in [
        "/healthz",
        "/readyz",
        "/ca.pub",
        "/krl",
        "/checkpoint",
        "/recovery",
    ] {
        operator(&format!("{curl}{path} | grep -qa ."));
    }
    let metrics = operator(
        "curl -sf --cacert /etc/daypass/tls.pem --resolve daypass.example.com:7443:127.0.0.1 https://daypass.example.com:7443/metrics",
    );
    let page = fleet::page("server");
    let names = page.split('`').filter(|span| span.starts_with("daypass_"));
    for name in names {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
    operator(
        "runuser -u daypass -- daypass backup /var/lib/daypass/copy --without-keys && rm -r /var/lib/daypass/copy",
    );
}

pub(super) fn ledger(walk: &Walk) {
    let carol = |line: &str| walk.user("carol", line);
    let list = carol("daypass ledger list");
    let issued = list.lines().find(|line| line.contains(" issued ")).unwrap();
    let serial = number_after(&format!(" {issued}"), " ");
    assert!(carol(&format!("daypass ledger show {serial}")).contains("issued"));
    for question in [
        "daypass ledger list --host web --valid-on 2026-11-22",
        "daypass ledger list --unreviewed",
        "daypass ledger list --event emergency",
        "daypass ledger list --who alice@example.com",
        "daypass ledger list --event policy_loaded",
    ] {
        carol(question);
    }
    assert!(carol("daypass ledger list --event policy_loaded").contains("policy_loaded"));
    carol("daypass ledger verify");
    let decided = carol("daypass ledger verify --decisions");
    assert!(decided.contains(" confirmed, 0 wrong."), "{decided}");
    let policy = walk.operator("cat /etc/daypass/policy.toml");
    assert_eq!(carol("daypass ledger policy"), policy);
    let hash = walk.operator("sha256sum /etc/daypass/policy.toml");
    let (hash, _) = hash.split_at(12);
    assert_eq!(carol(&format!("daypass ledger policy {hash}")), policy);
    carol("daypass ledger export --out all");
    carol("daypass ledger verify all");
    assert!(carol("daypass ledger witness --once").contains(" entries, "));
}

pub(super) fn locks(walk: &Walk) {
    let carol = |line: &str| walk.user("carol", line);
    let pass = walk.user(
        "alice",
        "daypass pass --role deploy --host web-1 --out late 2>&1",
    );
    let serial = number_after(&pass, "pass ");
    let job = "ssh -F none -o BatchMode=yes -o IdentitiesOnly=yes -i late deploy@web-1 id -un";
    assert_eq!(walk.user("alice", job), "deploy");
    carol(&format!("daypass admin revoke {serial} --yes"));
    walk.fleet.sync();
    walk.refuses("alice", job, 255);
    carol("daypass admin lock bob@example.com --reason \"laptop stolen\"");
    assert!(carol("daypass admin locks").contains("bob@example.com"));
    let logs = "daypass ssh web-1 --role web-logs --param unit=a --fresh -- id";
    let denied = walk.refuses("bob", logs, 3);
    assert!(denied.contains("lock"), "{denied}");
    carol("daypass admin unlock bob@example.com");
    assert_eq!(walk.user("bob", logs), "logs of a");
}
