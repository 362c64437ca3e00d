//! The known hosts on the page: which revoked passes each of them refuses.

use serde_json::json;

use crate::{
    access::{logs_pass, visits},
    browser::Browser,
    support::{
        env::TestEnv,
        files,
        hosts::{SECTION, TestHost, joined, sync},
    },
};

/// A host that has joined, and reported this version of the list of revoked passes.
async fn reports(env: &TestEnv, name: &str, version: Option<u64>) -> TestHost {
    let (host, serials) = joined(env, name).await;
    let mut report = host.report(&[env_ca_key(env).await], &serials);
    report.krl_version = version;
    let request = host.reporting(env.api.server_name(), &report);
    sync(&env.api, request).await.unwrap();
    host
}

async fn env_ca_key(env: &TestEnv) -> String {
    let key = ssh_key::PublicKey::from_openssh(&env.ca_public_key().await).unwrap();
    key.fingerprint(ssh_key::HashAlg::Sha256).to_string()
}

/// The page only named a command that lists them.
#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_sees_which_hosts_have_an_old_list_of_revoked_passes() {
    let key = files::folder();
    let file = key.path().join("host_ca_key");
    files::write_key(&file, &files::new_key());
    let section = SECTION.replace("host_ca_key", &file.display().to_string());
    let options = TestEnv::new().configuration(section);
    let env = options.signed_in(&["bob", "carol"]).start().await;
    let serial = logs_pass(&env).await;
    reports(&env, "web-1", Some(0)).await;
    let words = format!("admin revoke {serial} --reason");
    let ended = env.run("carol", &words, &["stolen"]).await;
    ended.exits("a pass ends", 0);
    let newest = env.events(0).await.len() as u64;
    reports(&env, "web-2", Some(newest)).await;
    reports(&env, "web-3", None).await;
    env.carol().add_host("web-4", false).await.unwrap();
    let mut browser = Browser::start(&env).await;
    visits(&mut browser, &env, "carol", "/web/audit").await;
    let seen = browser
        .run(
            "const page = keep.carol;
             await follow(page, '.links >> text=Hosts');
             const texts = async () => (await page.locator('tbody tr').allInnerTexts())
               .map((it) => it.replace(/\\s+/g, ' '));
             const [all, main, found] = [await texts(), await page.innerText('main'), await axe(page)];
             await follow(page, 'text=Only hosts that are behind');
             const behind = await texts();
             await page.goto(new URL('/web/audit/hosts?after=web-3', page.url()).href);
             const rest = await texts();
             const status = async (query) => (await page.goto(
               new URL(`/web/audit/hosts?${query}`, page.url()).href)).status();
             const refused = [await status('after=%00'), await status('after=a&after=b')];
             return { all, main, behind, rest, found, refused, troubles: page.elsewhere };",
        )
        .await;
    let rows = seen["all"].as_array().unwrap();
    for (row, name, parts) in [
        (
            0,
            "web-1",
            &["version 0, outdated for", "group web", "current"][..],
        ),
        (1, "web-2", &["the newest", "ago", "current"]),
        (2, "web-3", &["none", "behind", "it has no revocation list"]),
        (3, "web-4", &["not known", "never", "expected"]),
    ] {
        let text = rows[row].as_str().unwrap();
        assert!(text.starts_with(name), "{seen}");
        for part in parts {
            assert!(text.contains(part), "{name}: {part}: {seen}");
        }
    }
    assert_eq!(rows.len(), 4, "{seen}");
    let main = seen["main"].as_str().unwrap();
    assert!(main.contains(&format!("has version {newest}")), "{main}");
    let behind = seen["behind"].as_array().unwrap();
    let name = "web-3 group web behind";
    assert!(
        behind.len() == 1 && behind[0].as_str().unwrap().starts_with(name),
        "{seen}"
    );
    let rest = seen["rest"].as_array().unwrap();
    assert!(
        rest.len() == 1 && rest[0].as_str().unwrap().starts_with("web-4 "),
        "{seen}"
    );
    assert_eq!(seen["found"], json!([]));
    assert_eq!(seen["refused"], json!([400, 400]));

    visits(&mut browser, &env, "mallory", "/web/requests").await;
    let refused = browser
        .run(
            "const page = keep.mallory;
             const answer = await page.goto(new URL('/web/audit/hosts', page.url()).href);
             return [answer.status(), await page.innerText('main')];",
        )
        .await;
    assert_eq!(refused[0], json!(403));
    assert!(!refused[1].to_string().contains("web-1"), "{refused}");
    browser.close().await;
    env.close().await;
}

/// A server without `[hosts]` says so instead of failing.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_knows_no_hosts_says_so() {
    let env = TestEnv::start().await;
    let mut browser = Browser::start(&env).await;
    visits(&mut browser, &env, "carol", "/web/audit/hosts").await;
    let text = browser.run("return keep.carol.innerText('main');").await;
    assert!(
        text.as_str().unwrap().contains("No host is known here"),
        "{text}"
    );
    browser.close().await;
    env.close().await;
}
