//! What attackers and accidents do to the page.

use serde_json::{Value, json};

use crate::{
    browser::Browser,
    story::{asked, signed_in},
    support::{
        env::TestEnv,
        policy::{APPROVAL, AUDIT_AND_ADMIN},
    },
};

/// The kinds of all events about decisions, and denials.
async fn decisions(env: &TestEnv) -> Vec<String> {
    let listed = env.daypass("carol", "ledger list --from 0").await;
    let listed = listed.exits("carol reads", 0).json();
    let kinds = listed["events"].as_array().unwrap().iter();
    let kinds = kinds.map(|it| it["type"].as_str().unwrap().to_owned());
    let told = ["approved", "refused", "reviewed", "cancelled", "denied"];
    kinds.filter(|it| told.contains(&it.as_str())).collect()
}

/// A world in which bob waits for carol, who is signed in on the page of his request.
async fn waiting() -> (TestEnv, Browser, u64) {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let mut browser = Browser::start(&env).await;
    let id = asked(&env, "INC-7").await;
    signed_in(&mut browser, &env, "carol", "{}", id).await;
    browser
        .run("await keep.carol.waitForSelector('#decide:not([hidden])')")
        .await;
    (env, browser, id)
}

async fn ends(env: TestEnv, browser: Browser) {
    browser.close().await;
    env.close().await;
}

const HOSTILE: &str =
    r#"<img src=x onerror=alert(1)> "'><script>alert(2)</script> {{7*7}} &lt;b&gt; javascript:x"#;

#[tokio::test(flavor = "multi_thread")]
async fn hostile_texts_are_shown_and_run_nowhere() {
    let policy = format!(
        "[limits]\nttl = \"8h\"\nprincipals = [\"root\"]\n{AUDIT_AND_ADMIN}\n[[role]]\nname = \"prod\"\n\
         allow = 'true'\nprincipals = [\"root\"]\ncommand = [\"/bin/echo\", \"{{text}}\"]\n\
         params.text = {{ pattern = \"[^\\u0000]*\" }}\nttl = \"1h\"\n{APPROVAL}\n"
    );
    let env = TestEnv::new()
        .policy(policy)
        .signed_in(&["bob", "carol"])
        .start()
        .await;
    let mut browser = Browser::start(&env).await;
    let param = format!("text={HOSTILE}");
    let words = ["--reason", HOSTILE, "--param", &param, "--host", "web-1"];
    let asked = env.run("bob", "request prod", &words).await;
    let id = asked.exits("a request waits", 5).json()["id"]
        .as_u64()
        .unwrap();
    signed_in(&mut browser, &env, "carol", "{ phone: true }", id).await;
    let seen = browser
        .run(format!(
            "const page = keep.carol;
             let alerts = 0;
             page.on('dialog', (dialog) => {{ alerts += 1; dialog.dismiss(); }});
             await page.waitForSelector('#decide:not([hidden])');
             // 100 KB, as no field of ours takes it.
             await page.evaluate(() => document.getElementById('comment').removeAttribute('maxlength'));
             await page.fill('#comment', 'x'.repeat(100_000));
             await page.click('button.approve');
             await page.waitForSelector('#trouble:not([hidden])');
             const long = await page.innerText('#trouble');
             page.troubles.length = 0;
             await page.fill('#comment', {comment});
             await page.click('button.approve');
             await page.waitForSelector('.decisions .reason');
             const text = await page.innerText('main');
             await page.goto(new URL('/web/requests', page.url()).href);
             return {{ alerts, text, long, list: await page.innerText('main'), troubles: page.troubles,
               images: await page.locator('main img, main script').count() }};",
            comment = json!(HOSTILE)
        ))
        .await;
    let text = seen["text"].as_str().unwrap();
    assert!(
        text.matches(HOSTILE).count() >= 3,
        "reason, parameter, comment: {text}"
    );
    assert!(seen["list"].as_str().unwrap().contains(HOSTILE));
    assert!(
        seen["long"].as_str().unwrap().contains("too long"),
        "{seen}"
    );
    assert_eq!((&seen["alerts"], &seen["images"]), (&json!(0), &json!(0)));
    assert_eq!(seen["troubles"], json!([]));
    crate::support::ledger::assert_verifies(&env.api, &env.carol().token).await;
    ends(env, browser).await;
}

/// The cookie reads what carol may read. It decides nothing, with no signature or a false one.
#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_cookie_reads_and_decides_nothing() {
    let (env, mut browser, id) = waiting().await;
    let seen = browser
        .run(format!(
            "const thief = keep.thief = await open();
             await thief.context().addCookies(await keep.carol.context().cookies());
             await thief.goto(keep.carol.url());
             await thief.waitForSelector('#trouble:not([hidden])');
             const form = await thief.locator('#decide').isVisible();
             const text = await thief.innerText('main');
             const data = await thief.locator('#decide').evaluate((it) => ({{ ...it.dataset }}));
             const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti';
             const statuses = [];
             for (const [signature, secret] of [['', ''], ['x', 'AAAA'],
               ['-----BEGIN SSH SIGNATURE-----\\nAAAA\\n-----END SSH SIGNATURE-----\\n', 'A'.repeat(43) + '=']]) {{
               const body = {{ commitment: data.commitment, comment: '', public_key: key,
                 binding_secret: secret, signature }};
               statuses.push(await thief.evaluate(async ([body]) => (await fetch('/web/requests/{id}/approve', {{
                 method: 'POST', headers: {{ 'content-type': 'application/json' }},
                 body: JSON.stringify(body) }})).status, [body]));
             }}
             const still = await thief.evaluate(async () => (await fetch('/web/requests')).redirected);
             const reads = [];
             for (const path of ['requests', 'access', 'audit', 'audit.csv', 'audit/{id}', 'audit/{id}/proof',
               'audit/timeline', 'passkey']) {{
               const read = async (path) => {{
                 const answer = await fetch(`/web/${{path}}`);
                 return [path, answer.status, await answer.text()];
               }};
               reads.push(await thief.evaluate(read, path));
             }}
             return {{ form, text, statuses, still, reads }};"
        ))
        .await;
    assert_eq!(seen["form"], json!(false));
    let text = seen["text"].as_str().unwrap();
    assert!(
        text.contains("INC-7") && text.contains("is not in this browser"),
        "{text}"
    );
    for status in seen["statuses"].as_array().unwrap() {
        assert!(
            [400, 401, 403].contains(&status.as_u64().unwrap()),
            "{seen}"
        );
    }
    assert_eq!(
        seen["still"],
        json!(false),
        "a refused decision ends no session"
    );
    // What carol may read, and no secret by which the thief would become her elsewhere.
    for read in seen["reads"].as_array().unwrap() {
        assert_eq!(read[1], json!(200), "{read}");
        let text = read[2].as_str().unwrap();
        assert!(!text.contains("eyJ"), "a token: {read}");
    }
    let events = decisions(&env).await;
    assert!(
        events.iter().all(|it| it == "denied") && !events.is_empty(),
        "{events:?}"
    );
    ends(env, browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_its_session_decides_nothing() {
    let (env, mut browser, _) = waiting().await;
    let seen = browser
        .run(
            "const page = keep.carol;
             await page.context().clearCookies();
             await page.click('button.approve');
             await page.waitForSelector('#trouble:not([hidden])');
             const text = await page.innerText('#trouble');
             await page.reload();
             return { text, url: page.url() };",
        )
        .await;
    assert!(
        seen["text"].as_str().unwrap().contains("sign-in is over"),
        "{seen}"
    );
    assert!(
        seen["url"]
            .as_str()
            .unwrap()
            .contains("/web/sign-in?to=requests/"),
        "{seen}"
    );
    assert_eq!(decisions(&env).await, [""; 0]);
    ends(env, browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_key_and_a_second_tab_are_told_and_a_new_sign_in_helps() {
    let (env, mut browser, id) = waiting().await;
    let password = env.password();
    let seen = browser
        .run(format!(
            "const page = keep.carol;
             const old = await page.context().newPage();
             await old.goto(page.url());
             await old.waitForSelector('#decide:not([hidden])');
             await page.evaluate(() => new Promise((resolve) => {{
               const opening = indexedDB.open('daypass', 1);
               opening.onsuccess = () => {{
                 const store = opening.result.transaction('keys', 'readwrite').objectStore('keys');
                 store.clear().onsuccess = () => {{ opening.result.close(); resolve(); }};
               }};
             }}));
             await page.reload();
             await page.waitForSelector('#trouble:not([hidden])');
             const lost = await page.innerText('#trouble');
             const form = await page.locator('#decide').isVisible();
             await page.click('#trouble a');
             await signIn(page, 'carol', '{password}');
             await page.waitForSelector('#decide:not([hidden])');
             await old.click('button.approve');
             await old.waitForSelector('#trouble:not([hidden])');
             const tab = await old.innerText('#trouble');
             await page.dblclick('button.approve');
             await page.waitForSelector('[role=status] >> text=Approved');
             await page.goto(new URL('/web/requests', page.url()).href);
             await page.goBack();
             await page.waitForSelector('[role=status] >> text=Approved');
             return {{ lost, form, tab, again: await page.locator('#decide').count(), url: page.url() }};"
        ))
        .await;
    assert!(
        seen["lost"]
            .as_str()
            .unwrap()
            .contains("not in this browser"),
        "{seen}"
    );
    assert_eq!(seen["form"], json!(false));
    assert!(
        seen["tab"].as_str().unwrap().contains("another tab"),
        "{seen}"
    );
    assert_eq!(
        seen["again"],
        json!(0),
        "the back button offers no second decision"
    );
    assert!(
        seen["url"]
            .as_str()
            .unwrap()
            .ends_with(&format!("/web/requests/{id}"))
    );
    assert_eq!(
        decisions(&env).await,
        ["approved"],
        "one, of a double click"
    );
    ends(env, browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_ends_while_it_is_read_takes_its_form_along() {
    let (env, mut browser, id) = waiting().await;
    browser
        .run("await keep.carol.fill('#comment', 'typing')")
        .await;
    let cancelled = env.daypass("bob", format!("requests cancel {id}")).await;
    cancelled.exits("bob withdraws", 0);
    let seen = browser
        .run(
            "await keep.carol.waitForSelector('text=Withdrawn');
             await keep.carol.waitForSelector('#decide', { state: 'detached' });
             return keep.carol.troubles;",
        )
        .await;
    assert_eq!(seen, json!([]));
    // The list is live, too.
    browser
        .run("await keep.carol.goto(new URL('/web/requests', keep.carol.url()).href);")
        .await;
    asked(&env, "CHG-99").await;
    browser
        .run("await keep.carol.waitForSelector('text=CHG-99')")
        .await;
    ends(env, browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_a_lock_and_a_sign_out_end_the_session() {
    let (env, mut browser, id) = waiting().await;
    let (url, password) = (env.server.url(), env.password());
    // A sign-out ends the session at the server, not only in the browser.
    let seen = browser
        .run(format!(
            "const cookies = await keep.carol.context().cookies();
             await keep.carol.click('text=Sign out');
             await keep.carol.waitForURL(/signed-out/);
             await keep.carol.context().addCookies(cookies);
             await keep.carol.goto('{url}/web/requests');
             return keep.carol.url();"
        ))
        .await;
    assert!(seen.as_str().unwrap().ends_with("/web/sign-in"), "{seen}");
    // Bob's own request is there for him to read, and a lock ends that.
    signed_in(&mut browser, &env, "bob", "{}", id).await;
    let own = browser.run("return keep.bob.innerText('main')").await;
    assert!(own.as_str().unwrap().contains("nothing to decide"), "{own}");
    let locked = env.daypass("carol", "admin lock bob --reason stolen").await;
    locked.exits("bob is locked", 0);
    let seen = browser
        .run(format!(
            "await keep.bob.goto('{url}/web/requests');
             const locked = await keep.bob.innerText('main');
             await keep.bob.goto('{url}/web/sign-in');
             await keep.bob.locator('#sign-in button').first().click();
             await keep.bob.fill('input[name=login]', 'bob');
             await keep.bob.fill('input[name=password]', '{password}');
             await keep.bob.click('button[type=submit]');
             await keep.bob.waitForURL(/callback/);
             return [locked, await keep.bob.innerText('main')];"
        ))
        .await;
    for text in seen.as_array().unwrap() {
        assert!(text.as_str().unwrap().contains("locked"), "{seen}");
    }
    // A token that ends while its page is open.
    let short = "lifetime = 20\n".parse::<toml::Table>().unwrap();
    env.issuer().imitate(short.try_into().unwrap());
    signed_in(&mut browser, &env, "carol", "{}", id).await;
    browser
        .run("await keep.carol.waitForSelector('text=Your sign-in is over', { timeout: 120_000 })")
        .await;
    assert_eq!(decisions(&env).await, [""; 0]);
    ends(env, browser).await;
}

/// A cookie that an attacker planted never becomes a session, and a page of another site neither
/// frames ours nor sends a form with the cookie.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_not_fixed_and_pages_are_not_framed() {
    let (env, mut browser, id) = waiting().await;
    let (url, password, other) = (
        env.server.url(),
        env.password(),
        env.issuer().url().to_owned(),
    );
    let seen = browser
        .run(format!(
            "const planted = 'A'.repeat(43);
             const page = await open();
             const cookie = {{ name: '__Host-daypass', value: planted, url: '{url}/', secure: true }};
             await page.context().addCookies([cookie]);
             await page.goto('{url}/web/requests/{id}');
             const before = page.url();
             await signIn(page, 'carol', '{password}');
             const value = async () => (await page.context().cookies('{url}')).find(
               (it) => it.name === '__Host-daypass');
             const first = await value();
             await page.goto('{url}/web/sign-in?to=requests/{id}');
             await signIn(page, 'carol', '{password}');
             const second = await value();
             await page.context().addCookies([{{ ...first }}]);
             await page.goto('{url}/web/requests');
             const old = page.url();
             await page.context().addCookies([{{ ...second }}]);
             await page.goto('{other}/nothing');
             const framed = await page.evaluate(async (target) => {{
               const frame = document.createElement('iframe');
               frame.src = target;
               document.body.append(frame);
               await new Promise((resolve) => frame.addEventListener('load', resolve));
               try {{ return frame.contentDocument?.body.innerText ?? 'nothing'; }}
               catch {{ return 'nothing'; }}
             }}, '{url}/web/requests/{id}');
             const inside = await page.frames().at(-1).evaluate('document.body.innerText').catch(() => '');
             await page.evaluate((target) => {{
               const form = document.createElement('form');
               Object.assign(form, {{ method: 'post', action: target }});
               document.body.append(form);
               form.submit();
             }}, '{url}/web/sign-out');
             await page.waitForURL(/sign-out/);
             const refused = await page.innerText('body');
             await page.goto('{url}/web/requests');
             return {{ before, planted, first, second, old, framed, inside, refused, after: page.url() }};"
        ))
        .await;
    let text = |name: &str| seen[name].as_str().unwrap().to_owned();
    assert!(text("before").contains("/web/sign-in"), "{seen}");
    let value = |name: &str| seen[name]["value"].as_str().unwrap().to_owned();
    assert_ne!(value("first"), text("planted"));
    assert_ne!(value("first"), value("second"), "a new one at each sign-in");
    assert_eq!(seen["second"]["httpOnly"], json!(true));
    assert!(
        text("old").ends_with("/web/sign-in"),
        "the old one is over: {seen}"
    );
    assert!(
        !text("inside").contains("INC-7") && !text("framed").contains("INC-7"),
        "{seen}"
    );
    assert!(text("refused").contains("not sent by a page of"), "{seen}");
    assert!(
        text("after").ends_with("/web/requests"),
        "still signed in: {seen}"
    );
    ends(env, browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scripts_the_page_says_what_is_needed() {
    let env = TestEnv::start().await;
    let mut browser = Browser::start(&env).await;
    let url = env.server.url();
    let seen: Value = browser
        .run(format!(
            "const page = await open({{ script: false }});
             await page.goto('{url}/web/requests/3');
             return {{ text: await page.innerText('main'), url: page.url(),
               buttons: await page.locator('#sign-in button:enabled').count() }};"
        ))
        .await;
    assert!(
        seen["text"].as_str().unwrap().contains("needs JavaScript"),
        "{seen}"
    );
    assert!(
        seen["url"]
            .as_str()
            .unwrap()
            .ends_with("/web/sign-in?to=requests/3")
    );
    assert_eq!(seen["buttons"], json!(0));
    ends(env, browser).await;
}

/// Without a place for keys, or without cryptography, there is no sign-in, and the page says why.
#[tokio::test(flavor = "multi_thread")]
async fn without_keys_the_page_says_what_is_needed() {
    let env = TestEnv::start().await;
    let mut browser = Browser::start(&env).await;
    let url = env.server.url();
    let seen: Value = browser
        .run(format!(
            "const seen = [];
             for (const lost of ['indexedDB', 'isSecureContext']) {{
               const page = await open({{ phone: true }});
               await page.addInitScript((name) => {{
                 Object.defineProperty(globalThis, name, {{ value: undefined }});
               }}, lost);
               await page.goto('{url}/web/requests/3');
               await page.waitForSelector('#trouble:not([hidden])');
               seen.push([await page.innerText('#trouble'), await page.locator('#sign-in button:enabled').count(),
                 await axe(page), page.troubles]);
             }}
             // A private window in which the store is there, and opens nothing.
             const page = await open();
             await page.addInitScript(() => {{
               IDBFactory.prototype.open = () => {{ throw new DOMException('not in this window', 'SecurityError'); }};
             }});
             await page.goto('{url}/web/sign-in');
             await page.locator('#sign-in button').first().click();
             await page.waitForSelector('#trouble:not([hidden])');
             seen.push([await page.innerText('#trouble'), 0, await axe(page), page.troubles]);
             return seen;"
        ))
        .await;
    for (seen, told) in
        seen.as_array()
            .unwrap()
            .iter()
            .zip(["keeps no keys", "needs https", "not in this window"])
    {
        assert!(seen[0].as_str().unwrap().contains(told), "{seen}");
        assert_eq!(seen[1], json!(0), "{seen}");
        assert_eq!((&seen[2], &seen[3]), (&json!([]), &json!([])), "{seen}");
    }
    ends(env, browser).await;
}

/// A browser without Ed25519 signs with P-256. Mpints of 31 bytes and with a leading zero come up
/// among as many signatures.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_without_ed25519_signs_with_p256() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let mut browser = Browser::start(&env).await;
    let (url, password) = (env.server.url(), env.password());
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(asked(&env, &format!("INC-{number}")).await);
    }
    browser
        .run(format!(
            "const page = keep.carol = await open({{ phone: true }});
             await page.addInitScript(() => {{
               const real = crypto.subtle.generateKey.bind(crypto.subtle);
               crypto.subtle.generateKey = async (algorithm, ...rest) => {{
                 if (algorithm === 'Ed25519') throw new DOMException('no', 'NotSupportedError');
                 return real(algorithm, ...rest);
               }};
             }});
             await page.goto('{url}/web/sign-in');
             await signIn(page, 'carol', '{password}');
             for (const [index, id] of {ids:?}.entries()) {{
               await page.goto(`{url}/web/requests/${{id}}`);
               await page.waitForSelector('#decide:not([hidden])');
               await page.click(index % 2 ? 'button.deny' : 'button.approve');
               await page.waitForSelector(`[role=status] >> text=${{index % 2 ? 'Denied' : 'Approved'}}`);
             }}"
        ))
        .await;
    assert_eq!(decisions(&env).await, ["approved", "refused"].repeat(2));
    crate::support::ledger::assert_verifies(&env.api, &env.carol().token).await;
    ends(env, browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn carol_reviews_an_emergency_on_the_page() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let mut browser = Browser::start(&env).await;
    let pass = env
        .daypass("bob", "pass --role prod --reason INC-9 --emergency")
        .await;
    let pass = pass.exits("an emergency", 0).json();
    let id = pass["serial"].as_u64().unwrap();
    signed_in(&mut browser, &env, "carol", "{ phone: true }", id).await;
    let seen = browser
        .run(
            "await keep.carol.waitForSelector('#decide:not([hidden])');
             const text = await keep.carol.innerText('main');
             await keep.carol.fill('#comment', 'was needed');
             await keep.carol.click('button.review');
             await keep.carol.waitForSelector('text=Reviewed');
             return text;",
        )
        .await;
    let seen = seen.as_str().unwrap();
    assert!(
        seen.contains("Emergency") && seen.contains("INC-9"),
        "{seen}"
    );
    assert_eq!(decisions(&env).await, ["reviewed"]);
    crate::support::ledger::assert_verifies(&env.api, &env.carol().token).await;
    ends(env, browser).await;
}
