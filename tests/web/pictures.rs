//! Pictures of the pages for a person to look at, in the target folder: on a phone and on a
//! desktop, light and dark. axe-core looks at each of them.
//!
//! `DAYPASS_WRITE_PICTURES=1` writes those of the README, too.

use std::{fs, path::Path};

use serde_json::json;

use crate::{audit::approved_pass, browser::Browser, story::asked, support::env::TestEnv};

/// A ledger with passes of two people: one after an approval and revoked, one for an emergency.
/// Returns a request that waits, and the revoked pass.
async fn busy(env: &TestEnv) -> (u64, u64) {
    let (_, revoked) = approved_pass(env).await;
    for (person, words, reason) in [
        (
            "alice",
            "pass --role shell --host web-1 --reason",
            "look at the load",
        ),
        (
            "alice",
            "pass --role logs --param unit=sshd --reason",
            "strange logins",
        ),
        (
            "bob",
            "pass --role logs --param unit=nginx --reason",
            "errors 502",
        ),
        (
            "bob",
            "pass --role prod --host web-1 --emergency --reason",
            "INC-9",
        ),
    ] {
        let pass = env.run(person, words, &[reason]).await;
        pass.exits("a pass", 0);
    }
    let words = format!("admin revoke {revoked} --reason");
    let ended = env.run("carol", &words, &["wrong host"]).await;
    ended.exits("a pass ends", 0);
    let words = "request prod --host web-1 --reason";
    let asked = env.run("bob", words, &["INC-4711"]).await;
    let id = asked.exits("a request waits", 5).json()["id"]
        .as_u64()
        .unwrap();
    (id, revoked)
}

/// The browsers that look: a name for the pictures, and options of `open`.
const KINDS: [(&str, &str); 4] = [
    ("phone-light", "{ phone: true }"),
    ("phone-dark", "{ phone: true, dark: true }"),
    ("desktop-light", "{}"),
    ("desktop-dark", "{ dark: true }"),
];

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_accessible_and_fit_a_phone_and_a_desktop_light_and_dark() {
    let env = TestEnv::new()
        .signed_in(&["alice", "bob", "carol"])
        .start()
        .await;
    let mut browser = Browser::start(&env).await;
    let (id, serial) = busy(&env).await;
    asked(&env, "CHG-1234").await;
    let (url, password) = (env.server.url(), env.password());
    let folder = concat!(env!("CARGO_TARGET_TMPDIR"), "/web");
    for (name, options) in KINDS {
        let found = browser
            .run(format!(
                "const found = [];
                 const at = (minutes) => new Date(Date.now() + minutes * 60_000).toISOString();
                 const timeline = `timeline?since=${{at(-5)}}&until=${{at(65)}}`;
                 const look = async (page, what) => {{
                   // Before the picture, which hides the caret by a style.
                   const inline = await page.evaluate(() => [...document.querySelectorAll('*')].filter((it) =>
                     it.matches('style, [style], script:not([src])')
                     || it.getAttributeNames().some((name) => name.startsWith('on'))).map((it) => it.outerHTML));
                   for (const one of inline) found.push(`{name} ${{what}}: ${{one}} is inline`);
                   await page.screenshot({{ path: `{folder}/{name}-${{what}}.png`, fullPage: true }});
                   for (const one of await axe(page)) found.push(`{name} ${{what}}: ${{one}}`);
                   const wide = await page.evaluate(
                     'document.documentElement.scrollWidth - document.documentElement.clientWidth');
                   if (wide > 0) found.push(`{name} ${{what}} is ${{wide}} px too wide`);
                   for (const one of page.elsewhere) found.push(`{name} ${{what}}: asked ${{one}}`);
                   for (const one of page.troubles) {{
                     // The answer to a page that is not there.
                     if (!/^Failed to load resource.* (404|400) /.test(one)) found.push(`{name} ${{what}}: ${{one}}`);
                   }}
                 }};
                 const page = await open({options});
                 await page.goto('{url}/web/requests');
                 await page.waitForSelector('#sign-in button:enabled');
                 await look(page, 'sign-in');
                 await signIn(page, 'carol', '{password}');
                 for (const [what, path, ready] of [
                   ['list', 'requests', 'h1'], ['request', 'requests/{id}', '#decide:not([hidden])'],
                   ['missing', 'requests/999', 'h1'], ['access', 'access', '#lock-me:not([hidden])'],
                   ['locked', 'locked', 'h1'], ['signed-out', 'signed-out', 'h1'],
                   ['audit', 'audit', '.events'],
                   ['passkey', 'passkey', '#passkey button:enabled'],
                   ['nothing', 'audit?who=bob%40example.con', '.notice'], ['hosts', 'audit/hosts', 'h1'],
                   ['event', 'audit/{serial}', '.proven'], ['timeline', `audit/${{timeline}}`, 'svg'],
                   ['empty', 'audit/timeline?who=dave', 'h1'], ['refused', 'audit?since=x', 'h1'],
                 ]) {{
                   await page.goto(`{url}/web/${{path}}`);
                   await page.waitForSelector(ready, {{ state: 'attached' }});
                   if (what === 'event') {{
                     for (const one of await page.locator('summary').all()) await one.click();
                   }}
                   await look(page, what);
                   if (what === 'timeline' && '{name}' === 'desktop-light') {{
                     await page.locator('.scroll').first().screenshot({{ path: '{folder}/README-timeline.png' }});
                   }}
                 }}
                 await page.context().close();
                 // Bob has passes and roles.
                 const bob = await open({options});
                 await bob.goto('{url}/web/requests');
                 await signIn(bob, 'bob', '{password}');
                 await bob.goto('{url}/web/access');
                 await bob.waitForSelector('#lock-me:not([hidden])');
                 await look(bob, 'access-bob');
                 await bob.context().close();
                 return found;"
            ))
            .await;
        assert_eq!(found, json!([]));
    }
    // For the README, from the head of the request to its buttons, small.
    browser
        .run(format!(
            "const context = await browser.newContext({{ viewport: {{ width: 390, height: 1400 }},
               isMobile: true, hasTouch: true, deviceScaleFactor: 0.75 }});
             const page = await context.newPage();
             await page.goto('{url}/web/requests');
             await signIn(page, 'carol', '{password}');
             await page.goto('{url}/web/requests/{id}');
             await page.waitForSelector('#decide:not([hidden])');
             const {{ y: top }} = await page.locator('h1').boundingBox();
             const {{ y, height }} = await page.locator('#decide').boundingBox();
             await page.screenshot({{ path: '{folder}/README-request.png', fullPage: true,
               clip: {{ x: 0, y: top - 8, width: 390, height: y + height - top + 16 }} }});
             await context.close();"
        ))
        .await;
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web/pictures");
    for name in ["request.png", "timeline.png"] {
        let made = Path::new(folder).join(format!("README-{name}"));
        if std::env::var_os("DAYPASS_WRITE_PICTURES").is_some() {
            fs::copy(&made, pictures.join(name)).unwrap();
        }
        for file in [made, pictures.join(name)] {
            let bytes = fs::read(&file).unwrap();
            assert!(bytes.starts_with(b"\x89PNG"), "{}", file.display());
            assert!(bytes.len() < 60_000, "{}: {}", file.display(), bytes.len());
        }
    }
    browser.close().await;
    env.close().await;
}

/// Everything on the new pages is reached and used by the keyboard.
#[tokio::test(flavor = "multi_thread")]
async fn access_audit_and_timeline_are_used_by_keyboard() {
    let env = TestEnv::new().signed_in(&["bob"]).start().await;
    let mut browser = Browser::start(&env).await;
    crate::access::logs_pass(&env).await;
    crate::access::visits(&mut browser, &env, "bob", "/web/audit").await;
    let seen = browser
        .run(
            "const page = keep.bob;
             const to = async (wanted) => {
               for (let step = 0; step < 60; step += 1) {
                 await page.keyboard.press('Tab');
                 if (await page.evaluate((it) => document.activeElement?.matches(it), wanted)) return;
               }
               throw new Error(`no way to ${wanted}`);
             };
             await to('#who');
             await page.keyboard.type('bob@example.com');
             await page.keyboard.press('Enter');
             await page.waitForURL(/who=bob/);
             await to('.events a');
             await page.keyboard.press('Enter');
             await page.waitForSelector('.proven');
             await to('a[href^=\"/web/audit/timeline\"]');
             await page.keyboard.press('Enter');
             await page.waitForSelector('svg');
             await to('nav a[href=\"/web/access\"]');
             await page.keyboard.press('Enter');
             await page.waitForSelector('#lock-me:not([hidden])');
             await to('#reason');
             await page.keyboard.type('gone');
             await to('#sure');
             await page.keyboard.press('Space');
             await to('#lock-me button');
             await page.keyboard.press('Enter');
             await page.waitForURL(/locked/);
             return page.troubles;",
        )
        .await;
    assert_eq!(seen, json!([]));
    browser.close().await;
    env.close().await;
}
