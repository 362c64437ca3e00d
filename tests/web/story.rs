//! Approvals on the page, from the link to the ledger.

use serde_json::Value;

use crate::{browser::Browser, support::env::TestEnv};

/// Bob asks for `prod` and waits for nothing; returns the request's id.
pub(crate) async fn asked(env: &TestEnv, reason: &str) -> u64 {
    let asked = env.run("bob", "request prod --reason", &[reason]).await;
    asked.exits("a request waits", 5).json()["id"]
        .as_u64()
        .unwrap()
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

async fn events(env: &TestEnv) -> Vec<Value> {
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

    signed_in(&mut browser, &env, "carol", "{ phone: true }", id).await;
    let shown = browser
        .run(
            "await keep.carol.waitForSelector('#decide:not([hidden])');
             return keep.carol.innerText('main');",
        )
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

/// Pictures of the pages for a person to look at, in the target folder: on a phone and on a
/// desktop, light and dark. axe-core looks at each of them.
#[tokio::test(flavor = "multi_thread")]
async fn pages_are_accessible_and_fit_a_phone_and_a_desktop_light_and_dark() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let mut browser = Browser::start(&env).await;
    let id = asked(&env, "INC-7").await;
    asked(&env, "CHG-1234").await;
    let (url, password) = (env.server.url(), env.password());
    let folder = concat!(env!("CARGO_TARGET_TMPDIR"), "/web");
    let found = browser
        .run(format!(
            "const found = [];
             for (const [name, options] of Object.entries({{
               'phone-light': {{ phone: true }}, 'phone-dark': {{ phone: true, dark: true }},
               'desktop-light': {{}}, 'desktop-dark': {{ dark: true }} }})) {{
               const page = await open(options);
               const look = async (what) => {{
                 await page.screenshot({{ path: `{folder}/${{name}}-${{what}}.png`, fullPage: true }});
                 for (const one of await axe(page)) found.push(`${{name}} ${{what}}: ${{one}}`);
                 const wide = await page.evaluate(
                   'document.documentElement.scrollWidth - document.documentElement.clientWidth');
                 if (wide > 0) found.push(`${{name}} ${{what}} is ${{wide}} px too wide`);
               }};
               await page.goto('{url}/web/requests');
               await page.waitForSelector('#sign-in button:enabled');
               await look('sign-in');
               await signIn(page, 'carol', '{password}');
               await look('list');
               await page.goto('{url}/web/requests/{id}');
               await page.waitForSelector('#decide:not([hidden])');
               await look('request');
               await page.goto('{url}/web/requests/999');
               await look('missing');
               await page.context().close();
             }}
             return found;"
        ))
        .await;
    assert_eq!(found, serde_json::json!([]));
    browser.close().await;
    env.close().await;
}
