//! Approvals on the page, from the link to the ledger.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{
    browser::Browser,
    support::{
        env::TestEnv,
        files::write_secret,
        provider::{PAGE_SECRET, Provider},
    },
};

/// Bob asks for `prod` and waits for nothing; returns the request's id.
pub(crate) async fn asked(env: &TestEnv, reason: &str) -> u64 {
    let asked = env.run("bob", "request prod --reason", &[reason]).await;
    asked.exits("a request waits", 5).json()["id"]
        .as_u64()
        .unwrap()
}

/// The address of a request's page, as the webhook's message has it.
pub(crate) async fn told(env: &TestEnv, id: u64) -> String {
    let receiver = env.world().receiver();
    let deliveries = receiver.until(|all| all.iter().any(|it| it.kind() == "requested"));
    let deliveries = tokio::time::timeout(Duration::from_secs(60), deliveries).await;
    let deliveries = deliveries.expect("the message arrives");
    let mut bodies = deliveries
        .iter()
        .map(|it| serde_json::from_slice::<Value>(&it.body).unwrap());
    let ours = bodies.find(|it| it["data"]["id"] == id);
    let ours = ours.unwrap_or_else(|| panic!("a message of request {id}"));
    ours["data"]["url"].as_str().unwrap().to_owned()
}

/// Opens a request in a browser of this person and signs in there. The page is `keep.NAME`.
pub(crate) async fn signed_in(
    browser: &mut Browser,
    env: &TestEnv,
    person: &str,
    options: &str,
    id: u64,
) {
    let (url, password) = (env.server.url(), env.password());
    browser
        .run(format!(
            "const page = keep.{person} = await open({options});
             await page.goto('{url}/web/requests/{id}');
             await signIn(page, '{person}', '{password}');"
        ))
        .await;
}

pub(crate) async fn events(env: &TestEnv) -> Vec<Value> {
    let listed = env.daypass("carol", "ledger list --from 0").await;
    let listed = listed.exits("carol reads", 0).json();
    listed["events"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn carol_approves_on_her_phone_and_bobs_waiting_command_goes_on() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let mut browser = Browser::start(&env).await;
    let id = asked(&env, "INC-7").await;
    let waiting = env.command(
        "bob",
        &format!("pass --role prod --request {id} --wait 2m"),
        &[],
    );
    let waiting = tokio::spawn(crate::support::command::Done::of(waiting));

    // The link of the chat, on a phone that has never seen this page.
    let (link, password) = (told(&env, id).await, env.password());
    let begun = Instant::now();
    let shown = browser
        .run(format!(
            "const page = keep.carol = await open({{ phone: true }});
             await page.goto('{link}');
             await signIn(page, 'carol', '{password}');
             await page.waitForSelector('#decide:not([hidden])');
             return page.innerText('main');"
        ))
        .await;
    let shown = shown.as_str().unwrap();
    for part in [
        "bob@example.com",
        "prod",
        "INC-7",
        "Any command",
        "1h",
        "0 of 1 approvals",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let after = browser
        .run(
            "await keep.carol.fill('#comment', 'go ahead');
             await keep.carol.click('button.approve');
             await keep.carol.waitForSelector('.decisions >> text=go ahead');
             return { text: await keep.carol.innerText('main'), troubles: keep.carol.troubles };",
        )
        .await;
    assert!(
        after["text"].as_str().unwrap().contains("go ahead"),
        "{after}"
    );
    assert_eq!(after["troubles"], serde_json::json!([]));
    let took = begun.elapsed();
    println!("from the link to approved: {took:?}");
    assert!(took < Duration::from_secs(90), "{took:?}");

    let pass = waiting.await.unwrap().exits("bob goes on", 0).json();
    assert!(pass["serial"].as_u64().is_some(), "{pass}");
    let events = events(&env).await;
    let approved = events.iter().find(|it| it["type"] == "approved").unwrap();
    assert_eq!(approved["comment"], "go ahead");
    assert_eq!(approved["who"]["label"], "carol@example.com");
    // Offline, with carol's key from the event alone.
    crate::support::ledger::assert_verifies(&env.api, &env.carol().token).await;
    browser.close().await;
    env.close().await;
}

/// From the sign-in to the decision without a pointer. The decision is said to who does not see it.
#[tokio::test(flavor = "multi_thread")]
async fn carol_approves_by_keyboard_alone() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let mut browser = Browser::start(&env).await;
    let id = asked(&env, "INC-7").await;
    let (url, password) = (env.server.url(), env.password());
    let seen = browser
        .run(format!(
            "const page = await open();
             const to = async (wanted) => {{
               for (let step = 0; step < 40; step += 1) {{
                 await page.keyboard.press('Tab');
                 if (await page.evaluate((it) => document.activeElement?.matches(it), wanted)) return;
               }}
               throw new Error(`no way to ${{wanted}}`);
             }};
             await page.goto('{url}/web/requests');
             await page.waitForSelector('#sign-in button:enabled');
             await to('#sign-in button');
             await page.keyboard.press('Enter');
             await page.waitForSelector('input[name=login]');
             await page.focus('input[name=login]');
             await page.keyboard.type('carol');
             await to('input[name=password]');
             await page.keyboard.type('{password}');
             await page.keyboard.press('Enter');
             await page.waitForURL(/\\/web\\/requests$/);
             await to('a[href=\"/web/requests/{id}\"]');
             await page.keyboard.press('Enter');
             await page.waitForSelector('#decide:not([hidden])');
             await to('#comment');
             await page.keyboard.type('by keyboard');
             await to('button.approve');
             await page.keyboard.press('Enter');
             await page.waitForSelector('[role=status] >> text=Approved');
             return page.troubles;"
        ))
        .await;
    assert_eq!(seen, serde_json::json!([]));
    let events = events(&env).await;
    let approved = events.iter().find(|it| it["type"] == "approved").unwrap();
    assert_eq!(approved["comment"], "by keyboard");
    browser.close().await;
    env.close().await;
}

/// npm's oidc-provider, with a client of the page that has a secret: the provider demands it, and
/// no client of the command line gets it.
#[tokio::test(flavor = "multi_thread")]
async fn carol_signs_in_at_another_provider_with_a_client_that_has_a_secret() {
    let provider = Provider::start("ES256").await;
    let options = TestEnv::new().configuration(format!(
        "[[issuer]]\nname = \"npm\"\nurl = {:?}\nclient_id = \"daypass-page\"\nalgorithms = [\"ES256\"]\n\
         binding = \"nonce\"\nscopes = [\"openid\", \"email\", \"groups\"]\n\
         [[web.client]]\nissuer = \"npm\"\nsecret_file = \"../page.secret\"\n",
        provider.url()
    ));
    write_secret(&options.folder().join("page.secret"), PAGE_SECRET);
    let env = options.start().await;
    let signed_in = env.daypass("bob", "login --issuer dev --as bob").await;
    signed_in.exits("bob signs in", 0);
    let url = env.server.url();
    provider.register_page(&format!("{url}/web/callback")).await;
    let mut browser = Browser::start(&env).await;
    let id = asked(&env, "INC-7").await;
    let after = browser
        .run(format!(
            "const page = keep.carol = await open({{ phone: true }});
             await page.goto('{url}/web/requests/{id}');
             await page.click('#sign-in button[data-issuer=npm]');
             await page.fill('input[name=login]', 'carol');
             await page.fill('input[name=password]', 'any');
             await page.click('button[type=submit]');
             await page.waitForSelector('text=Authorize');
             await Promise.all([page.waitForURL(/\\/web\\/requests/), page.click('button[type=submit]')]);
             await page.waitForSelector('#decide:not([hidden])');
             await page.click('button.approve');
             await page.waitForSelector('[role=status] >> text=Approved');
             return page.troubles;"
        ))
        .await;
    assert_eq!(after, serde_json::json!([]));
    crate::support::ledger::assert_verifies(&env.api, &env.carol().token).await;
    browser.close().await;
    env.close().await;
}
