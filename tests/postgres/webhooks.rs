//! Webhooks of two daemons on one database: one of them delivers, and the other one goes on when it
//! dies or stops.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use daypass::{
    dev::receiver::{Delivery, Receiver},
    proto::v1::{
        ListWebhooksRequest, RetryWebhooksRequest, Webhook, retry_webhooks_request::Which,
    },
};
use tokio::time::timeout;

use super::{
    cluster::{Cluster, Database},
    daemons::{Daemon, pair_with},
    support::{
        api::{ask, with_token},
        server::signal,
    },
    testing::until,
};

/// Longer than a lease, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Deliveries that one change of the deliverer may repeat: those that were under way, or not yet
/// recorded.
const REPEATED: usize = 8;

struct Site {
    receiver: Receiver,
    daemons: [Daemon; 2],
    /// The events that must be delivered.
    requests: BTreeSet<u64>,
}

impl Site {
    async fn start(database: &Database) -> Self {
        let receiver = Receiver::start().await.unwrap();
        let section = format!(
            "[[webhook]]\nname = \"test\"\nurl = \"{}\"\nsecret_file = \"test.secret\"\n\
             networks = [\"127.0.0.1/32\"]\ntimeout = \"30s\"\n",
            receiver.url()
        );
        let addresses = [database.address(), database.address()];
        let secrets = [("test.secret", receiver.secret())];
        Self {
            daemons: pair_with(&addresses, &section, &secrets).await,
            receiver,
            requests: BTreeSet::new(),
        }
    }

    /// Opens requests at one daemon.
    async fn request(&mut self, daemon: usize, count: usize) {
        for _ in 0..count {
            // One person may open only so many.
            let name = format!("bob-{}", self.requests.len());
            let bob = self.daemons[daemon].user(&name, &["oncall"]);
            self.requests.insert(bob.request(ask("prod")).await.id);
        }
    }

    /// Waits until every event has come, and returns how often events came again.
    async fn all_delivered(&self) -> usize {
        let delivered = self.receiver.until(|all| {
            let counts = counts(all);
            self.requests.iter().all(|id| counts.contains_key(id))
        });
        let delivered = timeout(PATIENCE, delivered)
            .await
            .expect("every event comes");
        assert!(delivered.iter().all(|it| it.is_signed));
        let repeated = counts(&delivered).values().map(|count| count - 1).sum();
        let ids: BTreeSet<_> = delivered.iter().map(|it| it.id.clone()).collect();
        assert_eq!(ids.len(), self.requests.len(), "one id for each event");
        repeated
    }

    async fn webhook(&self, daemon: usize) -> Webhook {
        let daemon = &self.daemons[daemon];
        let carol = daemon.user("carol", &["security"]);
        let request = with_token(ListWebhooksRequest {}, &carol.token);
        let listed = daemon.api.admin().list_webhooks(request).await;
        listed.unwrap().into_inner().webhooks.remove(0)
    }

    /// The number of the daemon that delivers, of which both say the same.
    async fn deliverer(&self) -> usize {
        // Each server looks at the lease when it is asked, and it may change in between.
        let agreed = RefCell::new(String::new());
        until(async || {
            let [one, other] = [self.webhook(0).await, self.webhook(1).await];
            let is_agreed = !one.deliverer.is_empty() && one.deliverer == other.deliverer;
            agreed.replace(one.deliverer);
            is_agreed
        })
        .await;
        let name = agreed.into_inner();
        let is_it = |daemon: &Daemon| {
            let url = daemon.files.url();
            name.ends_with(url.rsplit(':').next().unwrap())
        };
        self.daemons.iter().position(is_it).expect("a daemon")
    }
}

/// The number of deliveries of each event.
fn counts(deliveries: &[Delivery]) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for delivery in deliveries {
        let id = delivery.json["data"]["id"].as_u64().unwrap();
        *counts.entry(id).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_delivers_and_another_goes_on_when_it_dies_or_stops() {
    let database = Cluster::shared().database().await;
    let mut site = Site::start(&database).await;
    for daemon in [0, 1] {
        site.request(daemon, 5).await;
    }
    assert_eq!(site.all_delivered().await, 0, "nothing comes twice");

    // Killed while events come.
    let killed = site.deliverer().await;
    site.request(1 - killed, 10).await;
    site.daemons[killed].process.kill();
    site.request(1 - killed, 10).await;
    let repeated = site.all_delivered().await;
    assert!(repeated <= REPEATED, "{repeated}");
    site.daemons[killed].again().await;
    until(async || site.deliverer().await == 1 - killed).await;

    // Stopped, as a machine that swaps: it does not know how long.
    let stopped = 1 - killed;
    let process = site.daemons[stopped].process.0.id();
    site.request(killed, 10).await;
    signal(process, "STOP");
    site.request(killed, 10).await;
    let repeated = site.all_delivered().await;
    assert!(repeated <= 2 * REPEATED, "{repeated}");
    signal(process, "CONT");
    until(async || site.deliverer().await == killed).await;
    site.request(stopped, 5).await;
    let repeated = site.all_delivered().await;
    assert!(repeated <= 3 * REPEATED, "{repeated}");

    // Stopped in order: the other one need not wait.
    signal(site.daemons[killed].process.0.id(), "TERM");
    assert!(site.daemons[killed].process.ended().await.success());
    site.request(stopped, 5).await;
    site.all_delivered().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_delivered_again_by_an_order_to_the_other_server() {
    let database = Cluster::shared().database().await;
    let mut site = Site::start(&database).await;
    site.request(0, 1).await;
    site.all_delivered().await;
    // The receiver was away for as long as a delivery is tried.
    for daemon in &mut site.daemons {
        daemon.process.kill();
    }
    let id = *site.requests.first().unwrap();
    database
        .run_sql(&format!(
            "UPDATE mailbox SET content = jsonb_set(content::jsonb, '{{dead}}', \
             '[{{\"index\": {id}, \"type\": \"requested\", \"attempts\": 42, \"error\": \"503\", \
             \"at\": \"2026-11-22T15:32:51Z\"}}]')::text"
        ))
        .await;
    for daemon in &mut site.daemons {
        daemon.again().await;
    }
    let other = 1 - site.deliverer().await;
    assert_eq!(site.webhook(other).await.dead.len(), 1);
    let daemon = &site.daemons[other];
    let carol = daemon.user("carol", &["security"]);
    for (index, expected) in [(id, Some(1)), (id + 1, None)] {
        let request = RetryWebhooksRequest {
            name: "test".to_owned(),
            which: Some(Which::Index(index)),
        };
        let request = with_token(request, &carol.token);
        let retried = daemon.api.admin().retry_webhooks(request).await;
        let count = retried.ok().map(|answer| answer.into_inner().count);
        assert_eq!(count, expected, "{index}");
    }
    let twice = site.receiver.until(|all| counts(all).get(&id) == Some(&2));
    timeout(PATIENCE, twice).await.expect("it comes again");
    until(async || site.webhook(0).await.dead.is_empty()).await;
    until(async || site.webhook(1).await.dead.is_empty()).await;
}
