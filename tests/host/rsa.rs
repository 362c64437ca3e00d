//! An RSA key of the CA, which only an ssh-agent or a token may have: hosts and clients take it.

use std::fs;

use super::{
    host::Host,
    sshd::principals_user,
    support::{agent::Agent, env::TestEnv},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_and_a_client_take_an_rsa_ca_key() {
    let mut env = TestEnv::new().start().await;
    let world = env.folder().join("world");
    let agent = Agent::start(&world).await;
    agent.add_new(&world.join("made"), &["-t", "rsa", "-b", "3072"]);
    let configuration = world.join("daypass.toml");
    let text = fs::read_to_string(&configuration).unwrap();
    let lines = "file = \"made.pub\"\nagent = \"agent\"";
    fs::write(&configuration, text.replace("file = \"ca_key\"", lines)).unwrap();
    env.restart().await;

    let host = Host::new().await;
    let as_user = principals_user();
    let arguments = ["--group", "web", "--principals-user", &as_user];
    let (url, roots) = (env.server.url(), env.server.tls_ca());
    host.set_up_at(&url, &roots, &arguments).await;
    host.json(&["sync"]).await;
    let public = fs::read_to_string(world.join("made.pub")).unwrap();
    let blob = public.split_whitespace().nth(1).unwrap();
    let has_it = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(blob);
    assert!(host.everything().iter().any(|(_, _, bytes)| has_it(bytes)));

    let terminal = env.terminal("alice");
    terminal.sign_in("alice").await;
    let pass = env.folder().join("pass");
    let words = ["pass", "--role", "shell", "--out", pass.to_str().unwrap()];
    let done = terminal.run(&words).await;
    done.exits("a pass by an RSA key", 0);
    env.close().await;
}
