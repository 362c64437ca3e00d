//! Approvals with a passkey: Chromium's virtual authenticator, over the whole way from the page on
//! which a passkey is made to the ledger.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use daypass::ledger::{approval, state::Verb, tree::leaf_hash};
use serde_json::{Value, json};

use crate::{
    browser::Browser,
    story::{asked, signed_in},
    support::env::TestEnv,
};

/// Gives the page another authenticator with a store of its own, `keep.authenticator`.
const AUTHENTICATOR: &str =
    "const cdp = keep.cdp ??= await keep.carol.context().newCDPSession(keep.carol);
     await cdp.send('WebAuthn.enable');
     if (keep.authenticator) {
       await cdp.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId: keep.authenticator });
     }
     keep.authenticator = (await cdp.send('WebAuthn.addVirtualAuthenticator', { options: {
       protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true,
       isUserVerified: true, automaticPresenceSimulation: true } })).authenticatorId;";

/// Makes a passkey on the page, and returns the text for the administrator.
async fn made(browser: &mut Browser, env: &TestEnv) -> String {
    let url = env.server.url();
    let text = browser
        .run(format!(
            "{AUTHENTICATOR}
             await keep.carol.goto('{url}/web/passkey');
             await keep.carol.click('#passkey button:enabled');
             await keep.carol.waitForSelector('#made:not([hidden])');
             return keep.carol.inputValue('#line');"
        ))
        .await;
    text.as_str().unwrap().to_owned()
}

/// The dev world's policy, whose `prod` is approved with presence, by these people's keys.
fn policy(env: &TestEnv, tables: &str) -> String {
    let text = fs::read_to_string(env.folder().join("world/policy.toml")).unwrap();
    let without = r#"approval = { count = 1, by = '"sre-lead" in claims.groups', within = "30m" }"#;
    let with = without.replace(" }", ", presence = true }");
    let changed = text.replacen(without, &with, 1);
    assert_ne!(changed, text);
    format!("{changed}\n{tables}")
}

async fn events(env: &TestEnv) -> Vec<(String, Value)> {
    let path = env.folder().join("export");
    let words = format!("ledger export --out {}", path.display());
    env.daypass("carol", words).await.exits("export", 0);
    let text = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let leaves = text.lines().take_while(|line| !line.is_empty());
    leaves
        .map(|leaf| (leaf.to_owned(), serde_json::from_str(leaf).unwrap()))
        .collect()
}

/// `ssh-keygen -Y verify` of the presence that the ledger keeps.
fn verify_with_openssh(env: &TestEnv, request: &str, approved: &Value) {
    let folder = env.folder();
    let text = |name: &str| approved["presence"][name].as_str().unwrap();
    fs::write(folder.join("allowed"), format!("carol {}\n", text("key"))).unwrap();
    let armored = format!(
        "-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n",
        text("signature")
    );
    fs::write(folder.join("signature"), armored).unwrap();
    let message = approval::Message {
        verb: Verb::Approve,
        server_name: env.api.server_name(),
        issuer: approved["who"]["issuer"].as_str().unwrap(),
        subject: approved["who"]["subject"].as_str().unwrap(),
        digest: &leaf_hash(request.as_bytes()),
        comment: approved["comment"].as_str().unwrap(),
    };
    let mut child = Command::new("ssh-keygen")
        .args(["-Y", "verify", "-I", "carol", "-n", "daypass-approve@v1"])
        .arg("-f")
        .arg(folder.join("allowed"))
        .arg("-s")
        .arg(folder.join("signature"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let bytes = message.to_bytes();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn carol_makes_a_passkey_and_approves_with_it_and_the_ledger_verifies_it() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let mut browser = Browser::start(&env).await;
    let id = asked(&env, "INC-1").await;
    signed_in(&mut browser, &env, "carol", "{ phone: true }", id).await;
    let table = made(&mut browser, &env).await;
    assert!(table.starts_with("[[presence_identity]]\n"), "{table}");
    // The administrator writes a label, and it is hostile.
    let labelled = table.replacen("\",\n]", " <img src=x onerror=alert(1)>\",\n]", 1);
    assert_ne!(labelled, table);
    env.replace_policy(&policy(&env, &labelled)).await;

    // The request from before is approved by the policy that is in force now.
    let url = env.server.url();
    let seen = browser
        .run(format!(
            "const page = keep.carol;
             await page.goto('{url}/web/requests/{id}');
             await page.waitForSelector('#decide:not([hidden])');
             const told = await page.innerText('main');
             const found = await axe(page);
             await page.screenshot({{ path: '{folder}/phone-presence.png', fullPage: true }});
             await page.fill('#comment', 'with my thumb');
             await page.click('button.approve');
             await page.waitForSelector('[role=status] >> text=Approved');
             await page.goto('{url}/web/passkey');
             await page.screenshot({{ path: '{folder}/phone-passkey.png', fullPage: true }});
             found.push(...await axe(page));
             return {{ told, found, listed: await page.innerText('.keys'), troubles: page.troubles,
               images: await page.locator('main img').count() }};",
            folder = concat!(env!("CARGO_TARGET_TMPDIR"), "/web"),
        ))
        .await;
    let told = seen["told"].as_str().unwrap();
    assert!(told.contains("takes a passkey or security key"), "{told}");
    let listed = seen["listed"].as_str().unwrap();
    assert!(
        listed.contains("passkey:") && listed.contains("<img"),
        "{listed}"
    );
    assert_eq!((&seen["found"], &seen["images"]), (&json!([]), &json!(0)));
    assert_eq!(seen["troubles"], json!([]));

    let redeemed = env.daypass("bob", format!("pass --role prod --request {id}"));
    redeemed.await.exits("bob goes on", 0);
    let verified = env.daypass("carol", "ledger verify --decisions").await;
    let verified = verified.exits("decided again", 0).json();
    assert_eq!(verified["decisions"]["wrong"], 0, "{verified}");
    let events = events(&env).await;
    let request = events.iter().find(|(_, it)| it["type"] == "requested");
    let approved = events.iter().find(|(_, it)| it["type"] == "approved");
    // Auditors see who came to have which key: the policy's text is in the ledger.
    let loaded = events.iter().rfind(|(_, it)| it["type"] == "policy_loaded");
    let hash = loaded.unwrap().1["policy"].as_str().unwrap();
    let text = env.daypass("carol", format!("ledger policy {hash}")).await;
    let text = text.exits("the policy", 0).stdout;
    assert!(
        text.contains("[[presence_identity]]") && text.contains("passkey:"),
        "{text}"
    );
    verify_with_openssh(&env, &request.unwrap().0, &approved.unwrap().1);
    browser.close().await;
    env.close().await;
}

/// Without her passkey carol can deny, and the page says what an approval takes. Nothing that her
/// browser sends without it counts.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_registered_passkey_the_page_offers_no_approval_and_the_server_takes_none() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let mut browser = Browser::start(&env).await;
    let id = asked(&env, "INC-2").await;
    signed_in(&mut browser, &env, "carol", "{}", id).await;
    let table = made(&mut browser, &env).await;
    // An open page that offers an approval, and a policy that comes to demand a passkey.
    let url = env.server.url();
    let issuer = env.issuer().url();
    let daves = table.replacen("subject = \"carol\"", "subject = \"dave\"", 1);
    assert_ne!(daves, table, "{table} of {issuer}");
    browser
        .run(format!(
            "await keep.carol.goto('{url}/web/requests/{id}');
             await keep.carol.waitForSelector('#decide:not([hidden])');"
        ))
        .await;
    env.replace_policy(&policy(&env, &daves)).await;
    let seen = browser
        .run(
            "const page = keep.carol;
             await page.click('button.approve');
             await page.waitForSelector('#trouble:not([hidden])');
             const refused = await page.innerText('#trouble');
             await page.reload();
             await page.waitForSelector('#decide:not([hidden])');
             const notice = await page.innerText('#no-passkey');
             return { refused, notice, found: await axe(page), approve: await page.locator('button.approve').count(),
               deny: await page.locator('button.deny').count() };",
        )
        .await;
    let text = |name: &str| seen[name].as_str().unwrap();
    assert!(text("refused").contains("/web/passkey"), "{seen}");
    assert!(text("notice").contains("no passkey of yours"), "{seen}");
    assert_eq!(seen["found"], json!([]));
    assert_eq!((&seen["approve"], &seen["deny"]), (&json!(0), &json!(1)));

    // Her own passkey is registered, and this device has lost it: the browser finds none.
    env.replace_policy(&policy(&env, &table)).await;
    let seen = browser
        .run(
            "const page = keep.carol;
             await keep.cdp.send('WebAuthn.clearCredentials', { authenticatorId: keep.authenticator });
             await page.reload();
             await page.waitForSelector('#decide:not([hidden])');
             await page.click('button.approve');
             await page.waitForSelector('#trouble:not([hidden])');
             const lost = await page.innerText('#trouble');
             await page.click('button.deny');
             await page.waitForSelector('text=Denied');
             return lost;",
        )
        .await;
    let lost = seen.as_str().unwrap();
    assert!(lost.contains("The passkey did not sign"), "{lost}");
    let kinds = events(&env).await.into_iter();
    let decided: Vec<_> = kinds
        .map(|(_, it)| it["type"].as_str().unwrap().to_owned())
        .filter(|it| ["approved", "refused"].contains(&it.as_str()))
        .collect();
    assert_eq!(decided, ["refused"]);
    browser.close().await;
    env.close().await;
}

/// A thief of the cookie makes a passkey of their own. It is not registered, so it approves
/// nothing: registration is a line of the policy.
#[tokio::test(flavor = "multi_thread")]
async fn a_thief_of_a_session_registers_no_passkey() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let mut browser = Browser::start(&env).await;
    let id = asked(&env, "INC-3").await;
    signed_in(&mut browser, &env, "carol", "{}", id).await;
    let before = events(&env).await.len();
    let stolen = made(&mut browser, &env).await;
    assert_eq!(events(&env).await.len(), before, "nothing was recorded");
    let seen = browser
        .run(
            "await keep.carol.reload();
             return keep.carol.innerText('main');",
        )
        .await;
    let seen = seen.as_str().unwrap();
    assert!(seen.contains("None of yours is registered"), "{seen}");
    // Carol's own passkey is another one, and the policy has that.
    let own = made(&mut browser, &env).await;
    assert_ne!(own, stolen);
    env.replace_policy(&policy(&env, &own)).await;
    let keys = env.daypass("carol", format!("requests show {id}")).await;
    assert_eq!(keys.exits("she sees it", 0).json()["presence"], true);
    let url = env.server.url();
    let known = browser
        .run(format!(
            "await keep.carol.goto('{url}/web/requests/{id}');
             return keep.carol.evaluate(async () => (await import('/web/passkey.js')).passkeys(
               document.getElementById('decide').dataset.presence).length);"
        ))
        .await;
    assert_eq!(known, 1, "hers alone");
    browser.close().await;
    env.close().await;
}
