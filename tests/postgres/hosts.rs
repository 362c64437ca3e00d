//! Known hosts at two servers of one ledger: they agree on who joined, on reports and on replays.

use super::{
    cluster::Cluster,
    daemons::{Daemon, pair_with},
    support::{
        files,
        hosts::{SECTION, TestHost, join, serials, sync},
        ledger::trust,
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_agree_on_hosts_and_a_code_or_report_counts_at_one_of_them() {
    let database = Cluster::shared().database().await;
    let addresses = [database.address(), database.address()];
    let key = files::new_key()
        .to_openssh(ssh_key::LineEnding::LF)
        .unwrap();
    let daemons = pair_with(&addresses, SECTION, &[("host_ca_key", &key)]).await;
    let [first, second] = &daemons;
    let carol = |daemon: &Daemon| daemon.user("carol", &["security"]);
    let server = first.api.server_name();
    let code = carol(first).add_host("web-1", false).await.unwrap();
    // Two machines with one code, at two servers at once.
    let machines = [TestHost::new("web-1"), TestHost::new("web-1")];
    let (one, other) = tokio::join!(
        join(&first.api, machines[0].joining(server, &code)),
        join(&second.api, machines[1].joining(server, &code)),
    );
    let (web, answer, refusal) = match (one, other) {
        (Ok(answer), Err(refusal)) => (&machines[0], answer, refusal),
        (Err(refusal), Ok(answer)) => (&machines[1], answer, refusal),
        both => panic!("{both:?}"),
    };
    assert_eq!(refusal.reason, "HOST_CODE_USED", "{refusal:?}");
    let serials = serials(&answer.certificates);
    let report = web.report(&[], &serials);
    let signed = web.reporting(server, &report);
    let (one, other) = tokio::join!(
        sync(&first.api, signed.clone()),
        sync(&second.api, signed.clone()),
    );
    let refused = [one, other].into_iter().filter_map(Result::err);
    let refused: Vec<String> = refused.map(|it| it.reason).collect();
    assert_eq!(refused, ["HOST_REPORT"], "one of the two is a replay");
    let [a, b] = [
        carol(first).hosts(false).await,
        carol(second).hosts(false).await,
    ];
    let listed = a.unwrap();
    assert_eq!(listed, b.unwrap());
    assert_eq!(listed[0].report.as_ref(), Some(&report));
    assert_eq!(listed[0].behind.len(), 1, "{:?}", listed[0].behind);
    // A host that joins at one server reports at the other at once.
    let code = carol(second).add_host("web-2", false).await.unwrap();
    let web = TestHost::new("web-2");
    let answer = join(&first.api, web.joining(server, &code)).await.unwrap();
    let report = web.report(&[], &super::support::hosts::serials(&answer.certificates));
    sync(&second.api, web.reporting(server, &report))
        .await
        .unwrap();
    carol(second).remove_host("web-2").await.unwrap();
    assert_eq!(carol(first).hosts(false).await.unwrap().len(), 1);
    assert_eq!(database.number("SELECT count(*) FROM report").await, 1);
}

/// A server that answered from what it knew a moment before seemed to have an older list than the
/// other one had shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_host_is_in_the_version_that_the_other_server_says_at_once() {
    let database = Cluster::shared().database().await;
    let addresses = [database.address(), database.address()];
    let key = files::new_key()
        .to_openssh(ssh_key::LineEnding::LF)
        .unwrap();
    let daemons = pair_with(&addresses, SECTION, &[("host_ca_key", &key)]).await;
    let [first, second] = &daemons;
    let carol = |daemon: &Daemon| daemon.user("carol", &["security"]);
    let server = first.api.server_name();
    let mut last = 0;
    for number in 1..=5 {
        let name = format!("web-{number}");
        let code = carol(first).add_host(&name, false).await.unwrap();
        let web = TestHost::new(&name);
        join(&first.api, web.joining(server, &code)).await.unwrap();
        carol(first).remove_host(&name).await.unwrap();
        let there = trust(&second.api).await.host_revocations_version;
        assert!(there > last, "{there} after {last}");
        let here = trust(&first.api).await.host_revocations_version;
        assert_eq!(there, here, "{name}");
        last = here;
    }
}
