//! Time on the page: whose clock counts, and what ends while a person reads.

use std::fs;

use serde_json::json;

use crate::{
    browser::Browser,
    story::{asked, events, signed_in},
    support::env::TestEnv,
};

/// The dev world, in which requests for `prod` end after `within`.
async fn ending(within: &str) -> TestEnv {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let path = env.folder().join("world/policy.toml");
    let policy = fs::read_to_string(path).unwrap();
    let changed = policy.replace("within = \"30m\"", &format!("within = \"{within}\""));
    assert_ne!(changed, policy);
    env.replace_policy(&changed).await;
    env
}

/// The kinds of the events that decide.
async fn decided(env: &TestEnv) -> Vec<String> {
    let events = events(env).await.into_iter();
    let kinds = events.map(|it| it["type"].as_str().unwrap().to_owned());
    let told = ["approved", "refused", "denied"];
    kinds.filter(|it| told.contains(&it.as_str())).collect()
}

/// Carol's machine is two hours ahead or behind, and its clock is set while she reads. The request
/// ends by the server's clock, and takes its form along without a word from the server.
#[tokio::test(flavor = "multi_thread")]
async fn a_countdown_is_by_the_servers_clock_and_its_end_takes_the_form_along() {
    let env = ending("90s").await;
    let mut browser = Browser::start(&env).await;
    let (url, password) = (env.server.url(), env.password());
    browser
        .run(format!(
            "const page = keep.carol = await open({{ phone: true }});
             await page.addInitScript(() => {{
               const real = Date.now;
               globalThis.shift = 7200_000;
               Date.now = () => real() + globalThis.shift;
             }});
             await page.goto('{url}/web/requests');
             await signIn(page, 'carol', '{password}');"
        ))
        .await;
    let id = asked(&env, "INC-7").await;
    let seen = browser
        .run(format!(
            "const page = keep.carol;
             await page.goto('{url}/web/requests/{id}');
             await page.waitForSelector('#decide:not([hidden])');
             const next = async () => {{
               const before = await page.innerText('#live time');
               const changed = (it) => document.querySelector('#live time').textContent !== it;
               await page.waitForFunction(changed, before);
               const left = /^(?:(\\d+)m)? ?(?:(\\d+)s)?$/.exec(await page.innerText('#live time'));
               return 60 * Number(left[1] ?? 0) + Number(left[2] ?? 0);
             }};
             const ahead = await next();
             await page.evaluate(() => {{ globalThis.shift = -7200_000; }});
             const behind = await next();
             const began = await page.evaluate(() => performance.timeOrigin);
             await page.waitForSelector('text=Expired', {{ timeout: 150_000 }});
             await page.waitForSelector('#decide', {{ state: 'detached' }});
             const same = began === await page.evaluate(() => performance.timeOrigin);
             return {{ ahead, behind, same, troubles: page.troubles }};"
        ))
        .await;
    let left = |name: &str| seen[name].as_i64().unwrap();
    assert!((8..90).contains(&left("ahead")), "{seen}");
    assert!((1..left("ahead")).contains(&left("behind")), "{seen}");
    assert_eq!(seen["same"], json!(true), "without a reload");
    assert_eq!(seen["troubles"], json!([]));
    assert_eq!(decided(&env).await, [""; 0]);
    browser.close().await;
    env.close().await;
}

/// Carol types a comment, and her token ends before she decides. The next sign-in leads back to
/// the request, and her decision counts once.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ends_in_the_middle_of_a_decision_costs_a_sign_in() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let mut browser = Browser::start(&env).await;
    let id = asked(&env, "INC-7").await;
    // Long enough to be signed in on a slow machine, too: a token that has ended is refused there.
    let short = "lifetime = 30\n".parse::<toml::Table>().unwrap();
    env.issuer().imitate(short.try_into().unwrap());
    signed_in(&mut browser, &env, "carol", "{ phone: true }", id).await;
    let password = env.password();
    let seen = browser
        .run(
            "const page = keep.carol;
             await page.waitForSelector('#decide:not([hidden])');
             // The news stop, so that only the decision finds that the token has ended.
             await page.route('**/web/events*', (route) => route.abort());
             await page.reload();
             await page.waitForSelector('#decide:not([hidden])');
             await page.fill('#comment', 'go ahead');
             const over = async () => (await fetch('/web/requests', { redirect: 'manual' })).type;
             while (await page.evaluate(over) !== 'opaqueredirect') await page.waitForTimeout(200);
             await page.click('button.approve');
             await page.waitForSelector('#trouble:not([hidden]) a');
             return { told: await page.innerText('#trouble'), comment: await page.inputValue('#comment') };",
        )
        .await;
    assert!(
        seen["told"].as_str().unwrap().contains("sign-in is over"),
        "{seen}"
    );
    assert_eq!(seen["comment"], json!("go ahead"), "it is not lost");
    assert_eq!(decided(&env).await, [""; 0]);
    let long = "lifetime = 600\n".parse::<toml::Table>().unwrap();
    env.issuer().imitate(long.try_into().unwrap());
    browser
        .run(format!(
            "const page = keep.carol;
             await page.click('#trouble a');
             await signIn(page, 'carol', '{password}');
             await page.waitForURL(/\\/web\\/requests\\/{id}$/);
             await page.waitForSelector('#decide:not([hidden])');
             await page.click('button.approve');
             await page.waitForSelector('[role=status] >> text=Approved');"
        ))
        .await;
    assert_eq!(decided(&env).await, ["approved"]);
    env.assert_verifies().await;
    browser.close().await;
    env.close().await;
}

/// A person who reads the list by keyboard stays at the link, although new requests arrive.
#[tokio::test(flavor = "multi_thread")]
async fn news_leave_the_focus_where_it_is() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let mut browser = Browser::start(&env).await;
    let id = asked(&env, "INC-7").await;
    signed_in(&mut browser, &env, "carol", "{}", id).await;
    let url = env.server.url();
    browser
        .run(format!(
            "await keep.carol.goto('{url}/web/requests');
             await keep.carol.focus('a[href=\"/web/requests/{id}\"]');"
        ))
        .await;
    asked(&env, "CHG-99").await;
    let focused = browser
        .run(
            "await keep.carol.waitForSelector('text=CHG-99');
             return keep.carol.evaluate(() => document.activeElement.getAttribute('href'));",
        )
        .await;
    assert_eq!(focused, json!(format!("/web/requests/{id}")));
    browser.close().await;
    env.close().await;
}

/// Carol's page of a request that waits, whose streams of events come only if `passes` says so.
async fn reading(env: &TestEnv, browser: &mut Browser, passes: &str) -> u64 {
    let id = asked(env, "INC-7").await;
    signed_in(browser, env, "carol", "{}", id).await;
    browser
        .run(format!(
            "const page = keep.carol;
             keep.streams = 0;
             await page.route('**/web/events*', (route) => {{
               keep.streams += 1;
               if ({passes}) route.continue();
             }});
             await page.addInitScript(() => {{
               const real = Date.now;
               globalThis.shift = 0;
               Date.now = () => real() + globalThis.shift;
             }});
             await page.reload();
             await page.waitForSelector('#decide:not([hidden])');"
        ))
        .await;
    id
}

/// A laptop that woke with the page on its screen showed a request that had long been decided: no
/// tab was left, and the connection that the server had ended was silent.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_asks_again_after_the_machine_slept() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let mut browser = Browser::start(&env).await;
    let id = reading(&env, &mut browser, "false").await;
    let deny = env.daypass("carol", format!("requests deny {id}"));
    deny.await.exits("carol denies at her desk", 0);
    let seen = browser
        .run(
            "const page = keep.carol;
             const before = await page.locator('[role=status] >> text=Denied').count();
             await page.evaluate(() => { globalThis.shift = 3600_000; });
             await page.waitForSelector('[role=status] >> text=Denied');
             await page.waitForSelector('#decide', { state: 'detached' });
             return before;",
        )
        .await;
    assert_eq!(seen, json!(0), "no stream tells it");
    browser.close().await;
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_went_silent_is_replaced() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let mut browser = Browser::start(&env).await;
    let id = reading(&env, &mut browser, "keep.streams > 1").await;
    let deny = env.daypass("carol", format!("requests deny {id}"));
    deny.await.exits("carol denies at her desk", 0);
    let seen = browser
        .run(
            "const page = keep.carol;
             await page.waitForSelector('[role=status] >> text=Denied');
             // Without its beats, two more would follow.
             const streams = keep.streams;
             await page.waitForTimeout(35_000);
             return { streams, more: keep.streams - streams, troubles: page.troubles };",
        )
        .await;
    assert!(seen["streams"].as_u64() >= Some(2), "{seen}");
    assert!(seen["more"].as_u64() < Some(2), "{seen}");
    assert_eq!(seen["troubles"], json!([]));
    browser.close().await;
    env.close().await;
}
