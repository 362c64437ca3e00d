//! The ledger is handed over to another key: a browser that remembers an older one follows the
//! signed handovers, and nothing else.

use daypass::ledger::{checkpoint::Signer, handover::Handover};
use serde_json::{Value, json};
use ssh_key::PrivateKey;

use crate::{
    access::{logs_pass, visits},
    browser::Browser,
    support::{env::TestEnv, files, handover::verifier_of},
};

/// The private key of a file of the world.
fn signer(env: &TestEnv, file: &str) -> Signer {
    let key = PrivateKey::read_openssh_file(&env.folder().join("world").join(file)).unwrap();
    let seed = key.key_data().ed25519().unwrap().private.to_bytes();
    Signer::new("localhost/ledger", &seed).unwrap()
}

/// The key of a signer, as the page names it.
fn name(signer: &Signer) -> String {
    verifier_of(
        signer,
        &Signer::new("localhost/ledger", &[255; 32]).unwrap(),
    )
    .to_string()
}

/// Gives the server `to` as the next key besides the present one, in the file `from`.
async fn add_key(env: &mut TestEnv, before: &str, from: &str, to: &str) {
    files::write_key(&env.folder().join("world").join(to), &files::new_key());
    let both = format!("key = \"{from}\"\nnext_key = \"{to}\"");
    env.edit("daypass.toml", before, &both);
    env.restart().await;
}

/// Carol hands the ledger over. Returns the index of the event.
async fn hand_over(env: &TestEnv, to: &str) -> u64 {
    let done = env.run("carol", "admin ledger-key", &[to]).await;
    let done = done.exits("the ledger is handed over", 0).json();
    done["index"].as_u64().unwrap()
}

/// Loads the page of an event that carol has open, and returns what it says of the proof, which key
/// the browser remembers then, and what axe finds.
async fn looked(browser: &mut Browser, before: &str) -> Value {
    let body = format!(
        "const page = keep.carol;
         {before}
         await page.reload();
         await page.waitForSelector('.lie, .proven');
         return {{ text: await page.innerText('#proof'), lie: await page.locator('.lie').count(),
           links: await page.locator('#proof a').evaluateAll((all) => all.map((it) => it.pathname)),
           key: await page.evaluate(() => localStorage.getItem('daypass-ledger-key')),
           axe: await axe(page), troubles: page.troubles }};"
    );
    browser.run(body).await
}

/// Expects that an honest answer is proven, and that exactly these handovers are told.
fn expect_followed(case: &str, seen: &Value, key: &str, handovers: &[u64]) {
    let text = seen["text"].as_str().unwrap();
    assert!(text.contains("Proven by your browser"), "{case}: {seen}");
    assert!(text.contains(key), "{case}: {seen}");
    let is_told = text.contains("key was changed properly");
    assert_eq!(is_told, !handovers.is_empty(), "{case}: {seen}");
    let links: Vec<String> = handovers
        .iter()
        .map(|it| format!("/web/audit/{it}"))
        .collect();
    assert_eq!(seen["links"], json!(links), "{case}");
    assert_eq!(seen["key"], key, "{case}");
    assert_eq!((&seen["axe"], &seen["troubles"]), (&json!([]), &json!([])));
}

fn remembers(key: &str) -> String {
    format!("await page.evaluate((it) => localStorage.setItem('daypass-ledger-key', it), '{key}');")
}

/// A handover made the browser say for ever that the page is not to be relied on.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_follows_the_ledger_to_its_next_key_and_says_so_once() {
    let mut env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let serial = logs_pass(&env).await;
    add_key(
        &mut env,
        "key = \"ledger_key\"",
        "ledger_key",
        "ledger_key_2",
    )
    .await;
    let mut browser = Browser::start(&env).await;
    let event = format!("/web/audit/{serial}");
    visits(&mut browser, &env, "carol", &event).await;
    let [old, new] = ["ledger_key", "ledger_key_2"].map(|file| name(&signer(&env, file)));
    let seen = looked(&mut browser, "").await;
    expect_followed("before", &seen, &old, &[]);

    let first = hand_over(&env, &new).await;
    let seen = looked(&mut browser, "").await;
    expect_followed("after", &seen, &new, &[first]);
    let seen = looked(&mut browser, "").await;
    expect_followed("once", &seen, &new, &[]);

    // The old key is gone, and the ledger is handed over again.
    let before = "key = \"ledger_key\"\nnext_key = \"ledger_key_2\"";
    add_key(&mut env, before, "ledger_key_2", "ledger_key_3").await;
    let newest = name(&signer(&env, "ledger_key_3"));
    let second = hand_over(&env, &newest).await;
    let (url, password) = (env.server.url(), env.password());
    let again = format!(
        "await page.goto('{url}/web/sign-in'); await signIn(page, 'carol', '{password}');
         await page.goto('{url}{event}'); await page.waitForSelector('.lie, .proven');
         // Honest answers, for the lies to be made of.
         keep.honest = await page.context().newPage();
         await keep.honest.goto('{url}/web/access');"
    );
    browser
        .run(format!("const page = keep.carol; {again}"))
        .await;
    for (case, known, told) in [
        ("the second one", &new, vec![second]),
        ("both at once", &old, vec![first, second]),
        ("the newest key", &newest, vec![]),
    ] {
        let seen = looked(&mut browser, &remembers(known)).await;
        expect_followed(case, &seen, &newest, &told);
    }
    let never = "await page.evaluate(() => localStorage.clear());";
    let seen = looked(&mut browser, never).await;
    expect_followed("a browser that never saw the first", &seen, &newest, &[]);

    for lie in lies(&env, (first, second)) {
        let seen = looked(&mut browser, &lie.script(serial)).await;
        let (case, text) = (lie.case, seen["text"].as_str().unwrap());
        assert_eq!(seen["lie"], json!(1), "{case}: {seen}");
        for part in ["Not proven", "Do not rely on this page", lie.sentence] {
            assert!(text.contains(part), "{case}: {seen}");
        }
        assert_eq!(seen["key"], lie.known, "{case}: nothing else is remembered");
    }
    let honest = format!("await page.unrouteAll(); {}", remembers(&old));
    let seen = looked(&mut browser, &honest).await;
    expect_followed("after all lies", &seen, &newest, &[first, second]);
    browser.close().await;
    env.close().await;
}

/// An answer of a server that lies about the ledger's keys.
struct Lie {
    case: &'static str,
    /// The key that the browser remembers.
    known: String,
    /// The fields of the proof that differ from the honest ones.
    change: Value,
    sentence: &'static str,
}

impl Lie {
    fn script(&self, serial: u64) -> String {
        format!(
            "await page.unrouteAll();
             {}
             await page.route(/audit\\/{serial}\\/proof$/, async (route) => {{
               const said = await keep.honest.evaluate(async (it) => (await fetch(it)).json(), route.request().url());
               return route.fulfill({{ json: {{ ...said, ...{} }} }});
             }});",
            remembers(&self.known),
            self.change
        )
    }
}

/// The keys of the ledger in their order, a thief's, and the handovers of the ledger.
struct Keys {
    all: [Signer; 3],
    thief: Signer,
    first: Handover,
    second: Handover,
}

fn sign(old: &Signer, new: &Signer, size: u64) -> Handover {
    Handover::sign(old, new, size).unwrap()
}

/// The fields of a proof that name this key and these handovers.
fn leads_to(key: &Signer, handovers: &[&Handover]) -> Value {
    json!({ "key": name(key), "handovers": handovers })
}

/// What a server may say in place of the handovers at `first` and `second`.
fn lies(env: &TestEnv, (first, second): (u64, u64)) -> Vec<Lie> {
    let all = ["ledger_key", "ledger_key_2", "ledger_key_3"].map(|file| signer(env, file));
    let keys = Keys {
        thief: Signer::new("localhost/ledger", &[9; 32]).unwrap(),
        first: sign(&all[0], &all[1], first),
        second: sign(&all[1], &all[2], second),
        all,
    };
    let broken = broken_chains(&keys).into_iter();
    let broken = broken.map(|it| (it, "no chain of handovers leads to it"));
    let lies = broken.chain(forgeries(&keys));
    let lies = lies.map(|((case, known, change), sentence)| Lie {
        case,
        known: name(known),
        change,
        sentence,
    });
    lies.collect()
}

/// A case, the key that the browser remembers, and the changed fields.
type Case<'a> = (&'static str, &'a Signer, Value);

/// A chain of 65 handovers.
fn too_many(first: &Signer) -> Value {
    let others = (1..=65).map(|seed| Signer::new("localhost/ledger", &[seed; 32]).unwrap());
    let others: Vec<Signer> = others.collect();
    let olds = std::iter::once(first).chain(&others);
    let all = olds.zip(&others).zip(1..);
    let all = all.map(|((old, new), size)| sign(old, new, size));
    json!({ "key": name(&others[64]), "handovers": all.collect::<Vec<_>>() })
}

/// Handovers that do not lead from the remembered key to the one that is named.
fn broken_chains(keys: &Keys) -> Vec<Case<'_>> {
    let [a, b, c] = &keys.all;
    let (one, two, thief) = (&keys.first, &keys.second, &keys.thief);
    let handovers = |all: Value| json!({ "handovers": all });
    let back = [one, &sign(b, a, two.size), &sign(a, thief, two.size + 1)];
    vec![
        ("none", a, handovers(json!([]))),
        ("no list", a, handovers(json!(null))),
        ("nothing in the list", a, handovers(json!([null]))),
        ("a skipped link", a, handovers(json!([two]))),
        ("the last one left out", a, handovers(json!([one]))),
        ("another order", a, handovers(json!([two, one]))),
        ("twice", a, handovers(json!([one, one, two]))),
        (
            "a gap",
            a,
            leads_to(thief, &[one, &sign(c, thief, two.size)]),
        ),
        ("too many", a, too_many(a)),
        ("a stolen old key", b, leads_to(a, &[])),
        (
            "a fork by it",
            c,
            leads_to(thief, &[&sign(a, thief, one.size)]),
        ),
        (
            "a fork beside",
            b,
            leads_to(thief, &[one, &sign(a, thief, two.size)]),
        ),
        ("over an old key", a, leads_to(thief, &back)),
        (
            "back in time",
            a,
            leads_to(thief, &[one, &sign(b, thief, one.size)]),
        ),
    ]
}

/// Handovers that a key did not sign, and a checkpoint that is too old for the last one.
fn forgeries(keys: &Keys) -> Vec<(Case<'_>, &'static str)> {
    let [a, b, c] = &keys.all;
    let (one, two, thief) = (&keys.first, &keys.second, &keys.thief);
    let changed = |change: fn(&mut Handover)| {
        let mut handover = one.clone();
        change(&mut handover);
        json!({ "handovers": [handover, two] })
    };
    let swap = |it: &mut Handover| std::mem::swap(&mut it.old_signature, &mut it.new_signature);
    let taken = sign(a, thief, one.size);
    let forged = Handover {
        old_signature: taken.new_signature.clone(),
        ..taken.clone()
    };
    let unproven = Handover {
        new_signature: taken.old_signature.clone(),
        ..taken
    };
    let other = |seed| Signer::new("other.example/ledger", &[seed; 32]).unwrap();
    let crossing = Handover {
        old: one.old.clone(),
        ..sign(&other(1), &other(2), one.size)
    };
    let crossing = json!({ "key": crossing.new, "handovers": [crossing] });
    let unsigned = "is not signed by the old ledger key and the new one";
    let early = json!({ "checkpoint": c.sign(two.size, [1; 32]) });
    vec![
        (("moved", a, changed(|it| it.size -= 1)), unsigned),
        (("signatures swapped", a, changed(swap)), unsigned),
        (
            ("no signature", a, changed(|it| it.old_signature.clear())),
            unsigned,
        ),
        (
            ("no base64", a, changed(|it| it.old_signature = "*".into())),
            "the server\u{2019}s answer is malformed",
        ),
        (
            ("without the old key", a, leads_to(thief, &[&forged])),
            unsigned,
        ),
        (
            ("without the new key", a, leads_to(thief, &[&unproven])),
            unsigned,
        ),
        (("of another ledger", a, crossing), "to another ledger"),
        (
            ("an early checkpoint", b, early),
            "the checkpoint is from before a handover",
        ),
    ]
}
