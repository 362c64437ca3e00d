//! "My access", and the lock on oneself.

use daypass::proto::v1::{LockMeRequest, PreviewLockMeRequest, lock_target};
use serde_json::{Value, json};

use crate::{
    browser::Browser,
    story::asked,
    support::{api::with_token, command::Done, env::TestEnv},
};

/// Signs this person in and opens a page. It is `keep.NAME`.
pub(crate) async fn visits(browser: &mut Browser, env: &TestEnv, person: &str, path: &str) {
    let (url, password) = (env.server.url(), env.password());
    browser
        .run(format!(
            "const page = keep.{person} = await open();
             await page.goto('{url}/web/requests');
             await signIn(page, '{person}', '{password}');
             await page.goto('{url}{path}');"
        ))
        .await;
}

/// Bob has a pass for the log of nginx. Returns its serial.
pub(crate) async fn logs_pass(env: &TestEnv) -> u64 {
    let pass = env
        .daypass("bob", "pass --role logs --param unit=nginx")
        .await;
    let pass = pass.exits("bob has a pass", 0).json();
    pass["serial"].as_u64().unwrap()
}

async fn locks(env: &TestEnv) -> Value {
    let locks = env.daypass("carol", "admin locks").await;
    locks.exits("carol lists locks", 0).json()["locks"].take()
}

fn has_all(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn my_access_shows_roles_passes_and_requests() {
    let env = TestEnv::new().signed_in(&["bob"]).start().await;
    let mut browser = Browser::start(&env).await;
    visits(&mut browser, &env, "bob", "/web/access").await;
    let text = browser.run("return keep.bob.innerText('main')").await;
    has_all(text.as_str().unwrap(), &["None.", "Needs no approval."]);
    let serial = logs_pass(&env).await;
    let id = asked(&env, "INC-7").await;
    let seen = browser
        .run(
            "const page = keep.bob;
             await follow(page, 'nav >> text=My access');
             await page.waitForSelector('#lock-me:not([hidden])');
             return { text: await page.innerText('main'), troubles: page.troubles };",
        )
        .await;
    has_all(
        seen["text"].as_str().unwrap(),
        &[
            "daypass ssh HOST --role logs --param unit=...",
            "daypass ssh HOST --role prod --reason '...'",
            "Needs the approval of another person.",
            "Needs the approval of 2 other people.",
            "/bin/echo 'logs of' nginx",
            &format!("Serial {serial}."),
            &format!("Request {id}. Waits for approval."),
            "INC-7",
            "your valid pass is revoked",
        ],
    );
    assert_eq!(seen["troubles"], json!([]));
    // The answer is of the caller alone.
    visits(&mut browser, &env, "carol", "/web/access").await;
    let text = browser.run("return keep.carol.innerText('main')").await;
    let text = text.as_str().unwrap();
    assert!(
        !text.contains("INC-7") && text.contains("gives you no role"),
        "{text}"
    );
    browser.close().await;
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_locks_themself_by_their_key_and_is_signed_out() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let mut browser = Browser::start(&env).await;
    let serial = logs_pass(&env).await;
    visits(&mut browser, &env, "bob", "/web/access").await;
    let seen = browser
        .run(
            "const page = keep.bob;
             await page.waitForSelector('#lock-me:not([hidden])');
             await page.click('text=Lock me');
             const unsure = page.url();
             await page.fill('#reason', 'laptop gone');
             await page.check('#sure');
             await page.dblclick('button.deny');
             await page.waitForURL(/locked/);
             const text = await page.innerText('main');
             const cookies = await page.context().cookies();
             await page.goBack();
             await page.waitForURL(/sign-in/);
             return { unsure, text, cookies: cookies.filter((it) => it.name === '__Host-daypass'),
               troubles: page.troubles };",
        )
        .await;
    assert!(
        seen["unsure"].as_str().unwrap().ends_with("/web/access"),
        "{seen}"
    );
    has_all(
        seen["text"].as_str().unwrap(),
        &["You are locked", "daypass admin unlock"],
    );
    assert_eq!(
        (&seen["cookies"], &seen["troubles"]),
        (&json!([]), &json!([]))
    );
    let locks = locks(&env).await;
    assert_eq!(
        locks.as_array().unwrap().len(),
        1,
        "one, of a double click: {locks}"
    );
    assert_eq!(locks[0]["target"], json!({ "identity": "bob" }));
    assert_eq!(locks[0]["by"], "bob@example.com");
    assert_eq!(locks[0]["reason"], "laptop gone");
    let locked = env.events(0).await;
    let locked = locked.iter().find(|it| it["type"] == "locked").unwrap();
    assert_eq!(locked["serials"], json!([serial]), "his pass is revoked");
    // Offline, with bob's key from the event alone.
    crate::support::ledger::assert_verifies(&env.api, &env.carol().token).await;
    let refused = env
        .daypass("bob", "pass --role logs --param unit=sshd")
        .await;
    refused.exits("bob gets no pass", 3);
    let unlocked = env.daypass("carol", "admin unlock bob").await;
    unlocked.exits("an administrator ends the lock", 0);
    logs_pass(&env).await;
    browser.close().await;
    env.close().await;
}

/// The cookie alone locks no one out: no service is denied by whom it was stolen.
#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_cookie_reads_my_access_and_locks_no_one() {
    let env = TestEnv::new().signed_in(&["carol"]).start().await;
    let mut browser = Browser::start(&env).await;
    visits(&mut browser, &env, "bob", "/web/access").await;
    let seen = browser
        .run(
            "const thief = await open();
             await thief.context().addCookies(await keep.bob.context().cookies());
             await thief.goto(keep.bob.url());
             await thief.waitForSelector('#trouble:not([hidden])');
             const form = await thief.locator('#lock-me').isVisible();
             const data = await thief.locator('#lock-me').evaluate((it) => ({ ...it.dataset }));
             const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti';
             const statuses = [];
             for (const change of [{}, { commitment: 'x' }, { signature: '' }, { public_key: '' }, { more: 1 },
               { after: -1 }, { reason: 'x'.repeat(100_000) }]) {
               const body = { commitment: data.commitment, reason: '', after: 0, public_key: key,
                 binding_secret: 'AAAA',
                 signature: '-----BEGIN SSH SIGNATURE-----\\nAAAA\\n-----END SSH SIGNATURE-----\\n', ...change };
               statuses.push(await thief.evaluate(async (body) => (await fetch('/web/access/lock', {
                 method: 'POST', headers: { 'content-type': 'application/json' },
                 body: JSON.stringify(body) })).status, body));
             }
             const still = await thief.evaluate(async () => (await fetch('/web/access')).redirected);
             return { form, statuses, still };",
        )
        .await;
    assert_eq!(
        (&seen["form"], &seen["still"]),
        (&json!(false), &json!(false)),
        "{seen}"
    );
    let statuses = seen["statuses"].as_array().unwrap();
    let is_refusal = |it: &Value| [400, 401, 403, 409, 413].contains(&it.as_u64().unwrap());
    assert!(statuses.iter().all(is_refusal), "{seen}");
    assert_eq!(locks(&env).await, json!([]));
    browser.close().await;
    env.close().await;
}

fn code(done: &Done) -> String {
    done.error()["reason"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_me_asks_first_and_counts_once() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let serial = logs_pass(&env).await;
    let unsure = env.daypass("bob", "lock-me").await.exits("no terminal", 2);
    assert_eq!(code(&unsure), "CONFIRMATION_NEEDED");
    let text = unsure.error()["message"].as_str().unwrap().to_owned();
    has_all(
        &text,
        &["your valid pass is revoked", "daypass lock-me --yes"],
    );
    assert_eq!(locks(&env).await, json!([]));
    let locked = env
        .run("bob", "lock-me --yes --reason", &["laptop gone"])
        .await;
    let locked = locked.exits("bob is locked", 0).json();
    assert_eq!(locked["target"], json!({ "identity": "bob" }));
    assert_eq!(locked["serials"], json!([serial]));
    let again = env.daypass("bob", "lock-me --yes").await;
    assert_eq!(code(&again.exits("he is locked already", 3)), "LOCKED");
    crate::support::ledger::assert_verifies(&env.api, &env.carol().token).await;
    env.close().await;
}

/// A person whose subject is the label of another locks no one else: an administrator does it.
#[tokio::test(flavor = "multi_thread")]
async fn lock_me_covers_no_one_else() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    logs_pass(&env).await;
    let eve = env.user("bob@example.com", &["oncall"]);
    let target = lock_target::Target::Identity("bob@example.com".to_owned());
    let order = eve.lock_request(target, 0).order;
    let request = with_token(LockMeRequest { order }, &eve.token);
    let refused = env.api.passes().lock_me(request).await.unwrap_err();
    assert!(
        refused.message().contains("ask an administrator"),
        "{refused}"
    );
    assert_eq!(locks(&env).await, json!([]));
    // Bob's name is not told to her, either.
    let preview = with_token(PreviewLockMeRequest {}, &eve.token);
    let preview = env.api.passes().preview_lock_me(preview).await.unwrap();
    let preview = preview.into_inner();
    let others = preview.covers.iter().filter(|it| it.subject == "bob");
    assert_eq!((others.count(), preview.near.len()), (0, 0));
    env.close().await;
}
