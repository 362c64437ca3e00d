//! The ledger on the page: search, one event with its proof, timeline.

use serde_json::{Value, json};

use crate::{
    access::{logs_pass, visits},
    browser::Browser,
    story::asked,
    support::{
        api::{Caller, ask},
        env::TestEnv,
        policy::{APPROVAL, AUDIT_AND_ADMIN},
    },
};

fn has_all(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// Bob's pass for `prod` after carol's approval: the request and the serial.
pub(crate) async fn approved_pass(env: &TestEnv) -> (u64, u64) {
    let id = asked(env, "INC-7").await;
    let words = format!("approve {id} --yes --comment");
    let approved = env.run("carol", &words, &["go ahead"]).await;
    approved.exits("carol approves", 0);
    let pass = env.daypass("bob", format!("pass --role prod --request {id}"));
    let pass = pass.await.exits("bob redeems", 0).json();
    (id, pass["serial"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn carol_finds_an_event_and_her_browser_proves_it() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let mut browser = Browser::start(&env).await;
    let (id, serial) = approved_pass(&env).await;
    visits(&mut browser, &env, "carol", "/web/requests").await;
    let seen = browser
        .run(format!(
            "const page = keep.carol;
             await follow(page, 'nav >> text=Audit');
             await page.fill('#who', 'bob@example.com');
             await page.selectOption('#event', 'issued');
             await follow(page, '.search button');
             await page.waitForSelector('.events');
             const list = await page.innerText('.events');
             const csv = await page.evaluate(async (path) => (await fetch(path)).text(),
               await page.locator('text=CSV of these events').getAttribute('href'));
             await follow(page, '.events a >> text={serial}');
             await page.waitForSelector('.proven, .lie');
             const [proof, text] = [await page.innerText('#proof'), await page.innerText('main')];
             const links = await page.locator('.decisions a').allInnerTexts();
             await follow(page, '.decisions a >> text=/requested/');
             await page.waitForSelector('.proven, .lie');
             return {{ list, csv, proof, text, links, url: page.url(), again: await page.innerText('#proof'),
               back: await page.locator('.decisions a').allInnerTexts(), troubles: page.troubles }};"
        ))
        .await;
    let text = |name: &str| seen[name].as_str().unwrap().to_owned();
    has_all(
        &text("list"),
        &[
            &serial.to_string(),
            "bob@example.com",
            "prod",
            "carol@example.com",
        ],
    );
    // The same bytes as the command line prints.
    let csv = env.daypass(
        "carol",
        "ledger list --who bob@example.com --event issued --format csv",
    );
    assert_eq!(text("csv"), csv.await.stdout);
    let key = env.daypass("carol", "status").await.json()["ledger_key"].take();
    has_all(
        &text("proof"),
        &["Proven by your browser", key.as_str().unwrap()],
    );
    let whole = text("text");
    let place = |part: &str| {
        whole
            .find(part)
            .unwrap_or_else(|| panic!("{part}: {whole}"))
    };
    let order = [
        "\nWho\n",
        "bob@example.com",
        "\nWhat\n",
        "\nWhy\n",
        "INC-7",
        "\nWhen\n",
    ];
    assert!(order.map(place).is_sorted(), "{whole}");
    let links = seen["links"].as_array().unwrap();
    let kinds: Vec<&str> = links.iter().map(|it| it.as_str().unwrap()).collect();
    assert_eq!(kinds.len(), 2, "request and approval: {kinds:?}");
    assert!(
        kinds[0].contains("requested") && kinds[1].contains("approved"),
        "{kinds:?}"
    );
    assert!(text("url").ends_with(&format!("/web/audit/{id}")));
    has_all(&text("again"), &["Proven by your browser"]);
    let back = seen["back"].to_string();
    has_all(&back, &[&format!("Event {serial}: issued"), "approved"]);
    assert_eq!(seen["troubles"], json!([]));
    browser.close().await;
    env.close().await;
}

/// Each lie of a server, and the sentence that names it.
const LIES: [(&str, &str, &str); 9] = [
    (
        "another event",
        "page: text.replaceAll('INC-7', 'INC-8')",
        "not in the ledger",
    ),
    (
        "another reason, shown alone",
        "page: text.replace('data-field=\"/ask/reason\">INC-7', 'data-field=\"/ask/reason\">INC-8')",
        "shows another ask/reason",
    ),
    (
        "a field left out",
        "page: text.replace('data-field=\"/ask/reason\"', 'class=\"x\"')",
        "does not show ask/reason",
    ),
    (
        "an invented field",
        "page: text.replace('data-field=\"/ask/reason\"', 'data-field=\"/ask/invented\"')",
        "shows another ask/invented",
    ),
    (
        "another hash",
        "proof: { ...said, hashes: [said.hashes[1], ...said.hashes.slice(1)] }",
        "not in the ledger",
    ),
    ("no proof", "proof: { ...said, hashes: [] }", "too short"),
    (
        "a larger ledger",
        "proof: { ...said, checkpoint: said.checkpoint.replace(/\\n(\\d+)\\n/, (_, n) => `\\n${Number(n) + 1}\\n`) }",
        "signature of the checkpoint is false",
    ),
    (
        "another ledger's key",
        "proof: { ...said, key: keep.other }",
        "another ledger key",
    ),
    (
        "a key with another hash",
        "proof: { ...said, key: said.key.replace(/\\+[0-9a-f]{8}\\+/, '+00000000+') }",
        "another hash",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lies_about_an_event_is_shown_as_such() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let mut browser = Browser::start(&env).await;
    let (_, serial) = approved_pass(&env).await;
    visits(&mut browser, &env, "carol", &format!("/web/audit/{serial}")).await;
    browser
        .run(
            "const page = keep.carol;
             await page.waitForSelector('.proven');
             // Honest answers, for the lies to be made of.
             keep.honest = await page.context().newPage();
             await keep.honest.goto(page.url());
             // A whole key of another ledger with the same name.
             keep.other = await page.evaluate(async () => {
               const said = await (await fetch(`${location.pathname}/proof`)).json();
               const [name] = said.key.split('+');
               const pair = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify']);
               const key = new Uint8Array([1, ...new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey))]);
               const all = new Uint8Array([...new TextEncoder().encode(`${name}\\n`), ...key]);
               const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', all)).subarray(0, 4);
               const id = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
               return `${name}+${id}+${btoa(String.fromCharCode(...key))}`;
             });",
        )
        .await;
    for (case, change, sentence) in LIES {
        let seen = browser
            .run(format!(
                "const page = keep.carol;
                 await page.unrouteAll();
                 await page.route(/audit\\/{serial}(\\/proof)?$/, async (route) => {{
                   const url = route.request().url();
                   const text = await keep.honest.evaluate(async (it) => (await fetch(it)).text(), url);
                   const isProof = url.endsWith('/proof');
                   const said = isProof ? JSON.parse(text) : undefined;
                   const change = {{ {} }};
                   if (isProof) return route.fulfill({{ json: change.proof || said }});
                   return route.fulfill({{ contentType: 'text/html; charset=utf-8', body: change.page || text }});
                 }});
                 await page.reload();
                 await page.waitForSelector('.lie, .proven');
                 return {{ lie: await page.locator('.lie').count(), text: await page.innerText('#proof'),
                   role: await page.getAttribute('#proof', 'role') }};",
                // The proof's changes are made of the proof alone.
                change.replace("proof: {", "proof: isProof && {")
            ))
            .await;
        let text = seen["text"].as_str().unwrap();
        assert!(text.contains(sentence), "{case}: {text}");
        has_all(
            text,
            &[
                "Not proven",
                "Do not rely on this page",
                "daypass ledger show",
            ],
        );
        assert_eq!(
            (&seen["lie"], &seen["role"]),
            (&json!(1), &json!("alert")),
            "{case}"
        );
    }
    // An honest answer is proven again, and a browser without Ed25519 says that it cannot.
    let seen = browser
        .run(
            "const page = keep.carol;
             await page.unrouteAll();
             await page.reload();
             await page.waitForSelector('.proven');
             await page.addInitScript(() => {
               const original = SubtleCrypto.prototype.importKey;
               SubtleCrypto.prototype.importKey = function (form, key, algorithm, ...rest) {
                 if (algorithm === 'Ed25519') throw new DOMException('no', 'NotSupportedError');
                 return original.call(this, form, key, algorithm, ...rest);
               };
             });
             await page.reload();
             await page.waitForSelector('#proof >> text=no Ed25519');
             return page.innerText('#proof');",
        )
        .await;
    has_all(
        seen.as_str().unwrap(),
        &["Not verified", "daypass ledger show"],
    );
    browser.close().await;
    env.close().await;
}

/// A wrong condition led to a page without the form, and on to the requests.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_search_keeps_its_form_and_names_the_field() {
    let env = TestEnv::start().await;
    let mut browser = Browser::start(&env).await;
    visits(&mut browser, &env, "carol", "/web/audit").await;
    for (path, sentence) in [
        (
            "audit?who=bob&role=%3Cb%3E&since=x",
            "Since is not read as a time",
        ),
        (
            "audit?who=bob&role=%3Cb%3E&since=1d&until=2d",
            "Until is not after Since.",
        ),
        (
            "audit?who=bob&role=%3Cb%3E&before=0",
            "There is no such page.",
        ),
        (
            "audit?who=bob&role=%3Cb%3E&host=%07",
            "Host holds control characters",
        ),
        (
            "audit/timeline?who=bob&host=%3Cb%3E&since=x",
            "Since is not read as a time",
        ),
        (
            "audit/timeline?who=bob&host=%3Cb%3E&since=1d&until=2d",
            "Until is not after Since.",
        ),
        ("audit?who=bob&who=eve", "The search is malformed."),
        ("audit/timeline?who=bob&who=eve", "form is malformed"),
    ] {
        let seen = browser
            .run(format!(
                "const page = keep.carol;
                 const answer = await page.goto(new URL('/web/{path}', page.url()).href);
                 const other = page.locator('.search #role, .search #host').first();
                 return {{ status: answer.status(), alert: await page.innerText('[role=alert]:visible'),
                   who: await page.inputValue('.search #who'), other: await other.inputValue(),
                   axe: await axe(page) }};"
            ))
            .await;
        assert_eq!(seen["status"], json!(400), "{path}: {seen}");
        let alert = seen["alert"].as_str().unwrap();
        assert!(
            alert.contains(sentence) && !alert.contains("filter"),
            "{path}: {seen}"
        );
        let is_read = !path.contains("eve");
        assert_eq!(seen["who"], if is_read { "bob" } else { "" }, "{path}");
        assert_eq!(seen["other"], if is_read { "<b>" } else { "" }, "{path}");
        assert_eq!(seen["axe"], json!([]), "{path}");
    }
    browser.close().await;
    env.close().await;
}

/// A link to any other page than a request led to the list of requests after the sign-in.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_leads_to_its_page_after_the_sign_in() {
    let env = TestEnv::start().await;
    let mut browser = Browser::start(&env).await;
    let (url, password) = (env.server.url(), env.password());
    for (path, after) in [
        ("audit/3", "audit/3"),
        ("audit", "audit"),
        ("audit?who=bob", "audit"),
        ("audit/timeline?who=bob", "audit/timeline"),
        ("audit/hosts", "audit/hosts"),
        ("access", "access"),
        ("passkey", "passkey"),
        ("requests/2", "requests/2"),
        ("requests", "requests"),
        ("", "requests"),
        ("sign-in?to=//evil.example", "requests"),
        ("sign-in?to=sign-out", "requests"),
    ] {
        let seen = browser
            .run(format!(
                "const page = await open();
                 await page.goto('{url}/web/{path}');
                 await signIn(page, 'carol', '{password}');
                 const seen = page.url();
                 await page.context().close();
                 return seen;"
            ))
            .await;
        assert_eq!(seen, format!("{url}/web/{after}"), "{path}");
    }
    browser.close().await;
    env.close().await;
}

/// A policy was one block of text, with `\u{a}` for each line break.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_shown_line_by_line_and_proven_as_it_is() {
    let env = TestEnv::new().signed_in(&["carol"]).start().await;
    let mut browser = Browser::start(&env).await;
    let present = std::fs::read_to_string(env.world().files().dir().join("policy.toml")).unwrap();
    // A line break at the beginning, which a parser of HTML leaves out; more than other texts have.
    let start = "\n\n# \u{202e}first \\u{a}\r\n\t# <b>second</b> &amp;\n";
    let policy = format!("{start}{}\n{present}", "# long\n".repeat(1000));
    env.replace_policy(&policy).await;
    let index = env.ledger_size().await - 1;
    visits(&mut browser, &env, "carol", &format!("/web/audit/{index}")).await;
    let seen = browser
        .run(format!(
            "const page = keep.carol;
             await page.waitForSelector('.lie, .proven');
             const shown = page.locator('[data-field=\"/text\"]');
             const honest = {{ proof: await page.innerText('#proof'), text: await shown.textContent(),
               height: (await shown.boundingBox()).height, axe: await axe(page) }};
             const other = await page.context().newPage();
             await other.goto(new URL('/web/access', page.url()).href);
             await page.route(/audit\\/{index}$/, async (route) => {{
               const text = await other.evaluate(async (it) => (await fetch(it)).text(), route.request().url());
               const body = text.replace('second&lt;', 'other&lt;');
               return route.fulfill({{ contentType: 'text/html; charset=utf-8', body }});
             }});
             await page.reload();
             await page.waitForSelector('.lie, .proven');
             return {{ ...honest, lie: await page.innerText('#proof') }};"
        ))
        .await;
    has_all(seen["proof"].as_str().unwrap(), &["Proven by your browser"]);
    let expected = policy
        .replace('\u{202e}', "\\u{202e}")
        .replace('\r', "\\u{d}");
    assert_eq!(seen["text"], expected);
    assert!(seen["height"].as_f64().unwrap() > 200.0, "many lines");
    assert_eq!(seen["axe"], json!([]));
    has_all(seen["lie"].as_str().unwrap(), &["shows another text"]);
    browser.close().await;
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_audit_is_told_so_in_words() {
    let env = TestEnv::new().signed_in(&["bob"]).start().await;
    let mut browser = Browser::start(&env).await;
    let serial = logs_pass(&env).await;
    visits(&mut browser, &env, "mallory", "/web/requests").await;
    let seen = browser
        .run(format!(
            "const page = keep.mallory;
             const links = await page.locator('nav').innerText();
             const answers = [];
             for (const path of ['', '.csv', '/timeline', '/{serial}']) {{
               const answer = await page.goto(new URL(`/web/audit${{path}}`, page.url()).href);
               answers.push([answer.status(), await page.innerText('main')]);
             }}
             const proof = await page.evaluate(async () => (await fetch('/web/audit/{serial}/proof')).status);
             await page.context().clearCookies();
             await page.goto(new URL('/web/audit/{serial}', page.url()).href);
             return {{ links, answers, proof, url: page.url() }};"
        ))
        .await;
    assert!(!seen["links"].as_str().unwrap().contains("Audit"), "{seen}");
    for answer in seen["answers"].as_array().unwrap() {
        assert_eq!(answer[0], json!(403), "{seen}");
        has_all(
            answer[1].as_str().unwrap(),
            &["does not let you read the ledger"],
        );
    }
    // Hashes prove, and show no event: they are open to every identity.
    assert_eq!(seen["proof"], json!(200));
    assert!(
        seen["url"]
            .as_str()
            .unwrap()
            .ends_with(&format!("/web/sign-in?to=audit/{serial}")),
        "{seen}"
    );
    browser.close().await;
    env.close().await;
}

const HOSTILE: &str = r#"<img src=x onerror=alert(1)> "'></title><script>alert(2)</script> =1+1"#;

/// Hostile texts in every new place: passes, events, CSV, timeline, the search itself.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_texts_run_nowhere_in_access_audit_and_timeline() {
    let policy = format!(
        "[limits]\nttl = \"8h\"\nprincipals = [\"root\"]\n{AUDIT_AND_ADMIN}\n[[role]]\nname = \"prod\"\n\
         about = '''<b onclick=\"alert(3)\">'''\nallow = 'true'\nprincipals = [\"root\"]\n\
         command = [\"/bin/echo\", \"{{text}}\"]\nparams.text = {{ pattern = \"[^\\u0000]*\" }}\nttl = \"1h\"\n\
         [[role]]\nname = \"other\"\nallow = 'true'\nprincipals = [\"root\"]\nttl = \"1h\"\n{APPROVAL}\n"
    );
    let env = TestEnv::new()
        .policy(policy)
        .signed_in(&["carol"])
        .start()
        .await;
    let mut browser = Browser::start(&env).await;
    let hostile = HOSTILE;
    // Claims hold characters that no ask may hold.
    let caller = Caller::new();
    let mut claims = env.claims(&caller, "eve", &[]);
    claims["name"] = json!("\u{202e}\u{200b}<script>alert(4)</script>\r\n\u{7}");
    claims["n/e~st"] = json!({ "a": [{}, [], null, 1.5, -1, true, "x".repeat(5000)] });
    let eve = env.user_with("eve", caller, claims);
    eve.issue(ask("prod")).await.unwrap_err();
    let denied = env.ledger_size().await - 1;
    let long = format!("{hostile}{}", "x".repeat(900));
    let param = format!("text={hostile}");
    let words = ["--reason", &long, "--param", &param, "--host", "web-1"];
    let pass = env.run("carol", "pass --role prod", &words).await;
    let serial = pass.exits("a pass", 0).json()["serial"].as_u64().unwrap();
    visits(&mut browser, &env, "carol", "/web/access").await;
    let query = format!(
        "reason={}",
        url::form_urlencoded::byte_serialize(b"<script>").collect::<String>()
    );
    let seen = browser
        .run(format!(
            "const page = keep.carol;
             let alerts = 0;
             page.on('dialog', (dialog) => {{ alerts += 1; dialog.dismiss(); }});
             const texts = {{}};
             let elements = 0;
             let titles;
             for (const path of ['access', 'audit', 'audit?{query}', 'audit/{serial}', 'audit/timeline', 'audit/{denied}']) {{
               await page.goto(new URL(`/web/${{path}}`, page.url()).href);
               if (/\\d$/.test(path)) await page.waitForSelector('.proven, .lie');
               texts[path] = await page.innerText('main');
               if (path === 'audit/timeline') titles = await page.locator('svg a > title').allTextContents();
               elements += await page.locator('main img, main script, main b').count();
             }}
             const csv = await page.evaluate(async () => (await fetch('/web/audit.csv?role=prod')).text());
             const status = async (query) => (await fetch(`/web/audit?${{query}}`).catch(() => ({{}}))).status;
             const refused = await page.evaluate(`(async () => {{
               const status = ${{status}};
               return [await status('who=' + 'x'.repeat(100_000)), await status('who=a&who=b'),
                 await status('since=%3Cscript%3E'), await status('before=-1'), await status('who=%00'),
                 (await fetch('/web/audit/timeline?since=1d&until=2d')).status,
                 (await fetch('/web/audit/999999')).status, (await fetch('/web/audit/x')).status];
             }})()`);
             return {{ alerts, elements, texts, titles, csv, refused, troubles: page.troubles }};"
        ))
        .await;
    assert_eq!(
        (&seen["alerts"], &seen["elements"]),
        (&json!(0), &json!(0)),
        "{seen}"
    );
    let texts = seen["texts"].as_object().unwrap();
    for (path, text) in texts {
        let text = text.as_str().unwrap();
        if !path.ends_with(&denied.to_string()) {
            has_all(text, &["<img src=x onerror=alert(1)>"]);
        }
        assert!(
            !text.contains('\u{202e}') && !text.contains('\u{200b}'),
            "{path}"
        );
    }
    for index in [serial, denied] {
        let text = texts[&format!("audit/{index}")].to_string();
        has_all(&text, &["Proven by your browser"]);
    }
    has_all(seen["titles"][0].as_str().unwrap(), &["<img src=x"]);
    let csv = seen["csv"].as_str().unwrap();
    assert!(csv.contains("\"<img") && !csv.contains('\u{202e}'), "{csv}");
    for status in seen["refused"].as_array().unwrap() {
        assert!(
            (400..500).contains(&status.as_u64().unwrap_or(431)),
            "{seen}"
        );
    }
    browser.close().await;
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_shows_who_could_do_what_when_and_why() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let mut browser = Browser::start(&env).await;
    let (_, normal) = approved_pass(&env).await;
    let urgent = env
        .run("bob", "pass --role prod --emergency --reason", &["INC-9"])
        .await;
    let urgent = urgent.exits("an emergency", 0).json()["serial"]
        .as_u64()
        .unwrap();
    let locked = env
        .daypass("carol", "admin lock bob@example.com --reason stolen")
        .await;
    let locked = locked.exits("bob is locked", 0).json()["index"]
        .as_u64()
        .unwrap();
    visits(
        &mut browser,
        &env,
        "carol",
        "/web/audit/timeline?who=bob%40example.com&since=1h",
    )
    .await;
    let seen: Value = browser
        .run(
            "const page = keep.carol;
             return { titles: await page.locator('svg a > title').allTextContents(),
               marks: await page.locator('svg .mark, svg .end').allTextContents(),
               urgent: await page.locator('svg .urgent').count(),
               unused: await page.locator('svg .unused').count(),
               table: await page.innerText('.events'), text: await page.innerText('main'),
               scripts: await page.locator('svg script').count(), troubles: page.troubles };",
        )
        .await;
    let titles = seen["titles"].as_array().unwrap();
    assert_eq!(titles.len(), 2, "{seen}");
    let title = |serial: u64| {
        let mut titles = titles.iter().map(|it| it.as_str().unwrap());
        titles
            .find(|it| it.ends_with(&format!("Serial {serial}")))
            .unwrap()
    };
    has_all(
        title(normal),
        &["bob@example.com: prod", "Why: INC-7", "revoked"],
    );
    has_all(title(urgent), &["an emergency", "Why: INC-9", "revoked"]);
    let marks = seen["marks"].to_string();
    assert_eq!(
        (marks.matches('!').count(), marks.matches('\u{d7}').count()),
        (1, 2),
        "{marks}"
    );
    assert_eq!(seen["urgent"], json!(1));
    let ended = format!("revoked by event {locked}");
    let table = seen["table"].as_str().unwrap();
    assert_eq!(table.matches(&ended).count(), 2, "{table}");
    has_all(table, &["emergency", "INC-9", "INC-7"]);
    assert_eq!(seen["troubles"], json!([]));
    // Another person, and a host group.
    let texts = browser
        .run(
            "const page = keep.carol;
             const texts = [];
             for (const query of ['who=dave', 'host=web', 'who=bob%40example.con']) {
               await page.goto(new URL(`/web/audit/timeline?${query}`, page.url()).href);
               texts.push(await page.innerText('main'));
             }
             return texts;",
        )
        .await;
    has_all(texts[0].as_str().unwrap(), &["No pass was valid"]);
    has_all(texts[2].as_str().unwrap(), &["bob@example.com"]);
    browser.close().await;
    env.close().await;
}

/// Reading works without a script, and the page says what does not.
#[tokio::test(flavor = "multi_thread")]
async fn without_scripts_access_and_audit_are_readable() {
    let env = TestEnv::new().signed_in(&["bob"]).start().await;
    let mut browser = Browser::start(&env).await;
    let serial = logs_pass(&env).await;
    visits(&mut browser, &env, "carol", "/web/access").await;
    let seen = browser
        .run(format!(
            "const page = await open({{ script: false }});
             await page.context().addCookies(await keep.carol.context().cookies());
             const texts = [];
             for (const path of ['access', 'audit', 'audit/{serial}', 'audit/timeline?who=bob%40example.com']) {{
               await page.goto(new URL(`/web/${{path}}`, keep.carol.url()).href);
               texts.push(await page.innerText('main'));
             }}
             const form = await page.locator('#lock-me:visible').count();
             return {{ texts, form }};"
        ))
        .await;
    let text = |at: usize| seen["texts"][at].as_str().unwrap();
    has_all(text(0), &["needs JavaScript", "My laptop is gone"]);
    has_all(text(1), &["bob@example.com", "issued"]);
    has_all(text(2), &["Not verified yet", "bob@example.com"]);
    has_all(text(3), &["bob@example.com \u{b7} logs"]);
    assert_eq!(seen["form"], json!(0));
    browser.close().await;
    env.close().await;
}
