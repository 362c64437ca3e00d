//! What people and programs see: each file of `tests/screens/` is a story with all its screens, in
//! a world of its own.
//!
//! A line `$ bob daypass ...` runs as bob, in a state folder of his. What changes from run to run
//! is `[..]` there, or a name. `TRYCMD=overwrite cargo test --test screens` writes the stories
//! anew: look at the difference before you keep it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use std::path::Path;

use support::{env::TestEnv, files::write_program};

/// The people of the dev world, and a guest who never signs in.
const PEOPLE: [&str; 6] = ["alice", "bob", "carol", "dave", "mallory", "guest"];

/// Runs its arguments as one person, from the world's folder.
fn write_person(env: &TestEnv, name: &str) {
    let folder = env.folder();
    let script = format!(
        "#!/bin/sh\ncd {world}\n. ./env\nexport DAYPASS_STATE_DIR={state} HOME={folder} NO_COLOR=1 COLUMNS=100\n\
         unset SSH_AUTH_SOCK DISPLAY DAYPASS_FORMAT\nexec \"$@\" </dev/null\n",
        world = env.world().files().dir().display(),
        state = env.state(name).display(),
        folder = folder.display(),
    );
    let path = folder.join(format!("{name}.sh"));
    write_program(&path, &script);
}

async fn tell(story: &'static str) {
    let env = TestEnv::new().with_sshd().start().await;
    let cases = trycmd::TestCases::new();
    for name in PEOPLE {
        write_person(&env, name);
        let script = env.folder().join(format!("{name}.sh"));
        cases.register_bin(name, trycmd::schema::Bin::Path(script));
    }
    let (server, _) = env.world().server();
    let variables = [
        ("[SERVER]", server.trim_end_matches('/').to_owned()),
        ("[ISSUER]", env.issuer().url().to_owned()),
        ("[WORLD]", env.world().files().dir().display().to_string()),
        ("[STATE]", env.folder().display().to_string()),
    ];
    for (name, value) in variables {
        cases.insert_var(name, value).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/screens")
        .join(story);
    assert!(path.exists(), "{}", path.display());
    let told = tokio::task::spawn_blocking(move || {
        cases.timeout(std::time::Duration::from_secs(180));
        cases.case(path);
        cases.run();
    });
    told.await.unwrap();
    env.close().await;
}

macro_rules! stories {
    ($($name:ident => $file:literal),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                tell($file).await;
            }
        )*
    };
}

stories! {
    requests_from_the_ask_to_the_pass => "requests.md",
    emergencies_and_their_reviews => "emergencies.md",
    locks_and_revocations => "admin.md",
    passes_and_what_is_refused => "passes.md",
    the_record => "ledger.md",
    the_policy_and_its_tools => "policy.md",
    what_help_says => "help.md",
    hosts_and_certificates => "host.md",
    a_server_that_is_checked => "server.md",
}
