//! `daypass ssh` shares no connection, seen with a real sshd: a master would keep the rights of the
//! pass that opened it, also after that pass was revoked.

use crate::support::env::TestEnv;

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_shared_connection_opens_one_and_each_is_noted() {
    let env = TestEnv::new()
        .with_sshd()
        .signed_in(&["alice"])
        .start()
        .await;
    let terminal = env.terminal("alice");
    let socket = env.folder().join("master");
    let path = socket.display();
    for options in [
        format!("-M -S {path}"),
        format!("-oControlMaster=auto -oControlPersist=60 -oControlPath={path}"),
        format!("-o ControlMaster=yes -S{path}"),
    ] {
        let words = format!("ssh {options} web-1 test ! -e {path}");
        let words: Vec<&str> = words.split(' ').collect();
        let done = terminal.run(&words).await.exits(&options, 0);
        let note = "daypass: this connection is not shared";
        assert!(done.stderr.contains(note), "{options}: {done:?}");
        assert!(!socket.exists(), "{options}");
    }
    let done = terminal.run(&["ssh", "web-1", "echo", "-S", "x"]).await;
    let done = done.exits("words of the command are no options", 0);
    assert_eq!((done.stdout.trim(), done.stderr.as_str()), ("-S x", ""));
    env.close().await;
}
