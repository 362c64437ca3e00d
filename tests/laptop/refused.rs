//! A pass on disk that the host refuses, and an ssh that is watched for that: one fresh try,
//! nothing lost, and for the user as if Daypass had become ssh.

use super::{
    signed_in_with_more_roles,
    support::laptop::{HOME, Laptop},
};

/// Puts a pass of another CA in the place of the one for `web-1`, as if the host had revoked it.
async fn spoil(laptop: &Laptop) {
    let pass = ".local/state/daypass/hosts/web-1/pass";
    let line = format!(
        "[ -e other ] || ssh-keygen -q -t ed25519 -N '' -f other; \
         ssh-keygen -q -s other -I x -n deploy -V +1h {pass}.pub"
    );
    laptop.says(&line).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_pass_is_replaced_once_and_no_input_is_lost() {
    let (env, laptop) = signed_in_with_more_roles().await;
    laptop.says("daypass ssh web-1 rm -f count").await;
    for (case, line, is_quiet) in [
        (
            "plain",
            "echo over | daypass ssh web-1 'cat; echo x >>count'",
            false,
        ),
        (
            "quiet",
            "echo over | daypass ssh -q web-1 'cat; echo x >>count'",
            true,
        ),
        (
            "verbose",
            "echo over | daypass ssh -v web-1 'cat; echo x >>count'",
            false,
        ),
        (
            "rsync's",
            "echo over >f && rsync -e 'daypass ssh' f web-1:f && daypass ssh web-1 'cat f; echo x >>count'",
            false,
        ),
    ] {
        spoil(&laptop).await;
        let done = laptop.sh(line).await;
        assert_eq!(
            (done.code, &*done.stdout),
            (0, "over\n"),
            "{case}: {done:?}"
        );
        let said = done.stderr.contains("Permission denied (publickey)");
        assert_eq!(said, !is_quiet, "{case}: {done:?}");
        let note =
            "daypass: web-1 refused the pass that was on disk; trying once more with a fresh one";
        assert_eq!(done.stderr.matches(note).count(), 1, "{case}: {done:?}");
        let again = laptop.sh(line).await;
        assert!(!again.stderr.contains(note), "{case}: {again:?}");
    }
    let count = laptop.says("daypass ssh web-1 cat count").await;
    assert_eq!(count, ["x"; 8].join("\n"), "each command ran once");

    spoil(&laptop).await;
    let fresh = laptop.sh("daypass ssh --fresh web-1 id -un").await;
    assert_eq!(
        (&*fresh.stdout, &*fresh.stderr),
        ("deploy\n", ""),
        "{fresh:?}"
    );

    // A fresh pass that is refused too: the host trusts another CA by now.
    let line = "daypass ssh -o HostKeyAlias=none -o StrictHostKeyChecking=yes web-1 id";
    let unknown = laptop.sh(line).await;
    assert_eq!(unknown.code, 255, "{unknown:?}");
    assert!(!unknown.stderr.contains("trying once more"), "{unknown:?}");
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_command_says_is_no_refusal() {
    let (env, laptop) = signed_in_with_more_roles().await;
    laptop.says("daypass ssh web-1 rm -f count").await;
    let line = "daypass ssh web-1 'echo x >>count; echo \"deploy@127.0.0.1: Permission denied (publickey).\" >&2; exit 255'";
    let done = laptop.sh(line).await;
    assert_eq!(done.code, 255, "{done:?}");
    assert!(!done.stderr.contains("trying"), "{done:?}");
    assert_eq!(laptop.says("daypass ssh web-1 cat count").await, "x");
    env.close().await;
}

/// Starts `daypass ssh` to `web-1` with these options, waits for the first line of the command that
/// runs there, then runs `then` with the process id as `$pid`.
fn started(options: &str, then: &str) -> String {
    // A `nohup` around the tests would have ssh ignore HUP.
    format!(
        "rm -f out; mkfifo out; env --default-signal=HUP,TERM daypass ssh {options} web-1 'echo up; sleep 60' >out 2>err & pid=$!; \
         read line <out; {then}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_and_exit_codes_are_as_if_daypass_had_become_ssh() {
    let (env, laptop) = signed_in_with_more_roles().await;
    laptop.says("daypass ssh web-1 true").await;
    for signal in ["TERM", "INT", "HUP", "QUIT"] {
        let end = format!("kill -{signal} $pid; wait $pid; echo $?");
        // A background job of a shell without job control ignores INT and QUIT, as ssh does then.
        if ["INT", "QUIT"].contains(&signal) {
            continue;
        }
        let became = laptop.says(&started("--fresh", &end)).await;
        let watched = laptop.says(&started("", &end)).await;
        assert_eq!(watched, became, "{signal}");
        let left = laptop
            .says("find .local/state/daypass -name 'ssh-log*'")
            .await;
        assert_eq!(left, "", "{signal}: the log is removed");
    }
    // A stopped ssh stops its parent, so that the shell shows the job as stopped.
    let state = "sed 's/.*) //; s/ .*//'";
    let stop = format!(
        "child=$(cat /proc/$pid/task/*/children | tr -d ' '); kill -STOP $child; \
         n=0; until [ \"$({state} /proc/$pid/stat)\" = T ] || [ $((n += 1)) = 400 ]; do sleep 0.05; done; \
         [ \"$({state} /proc/$child/stat)\" = T ] || echo early; \
         kill -CONT $pid; \
         n=0; until [ \"$({state} /proc/$child/stat)\" != T ] || [ $((n += 1)) = 400 ]; do sleep 0.05; done; \
         kill -TERM $pid; wait $pid; echo $?"
    );
    let stopped = laptop.says(&started("", &stop)).await;
    assert_eq!(stopped, "255");
    for (line, code) in [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 255)] {
        let done = laptop.sh(&format!("daypass ssh web-1 '{line}'")).await;
        assert_eq!(done.code, code, "{line}: {done:?}");
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_reaches_the_host_and_control_c_ends_the_command_there() {
    let (env, laptop) = signed_in_with_more_roles().await;
    laptop.says("daypass ssh web-1 true").await;
    // `script` lends a terminal. The interrupt is a character for the command on the host.
    let line = "daypass ssh -t web-1 'trap \"echo caught; exit 5\" INT; stty size; echo up; cat'";
    laptop.put("line", line);
    let typed = format!(
        "cd {HOME}; mkfifo in; (script -qec \"$(cat line)\" typed <in >seen; echo $? >code) & exec 3>in; \
         until grep -q up seen 2>/dev/null; do sleep 0.05; done; printf '\\003' >&3; wait; cat code; grep -c caught seen"
    );
    let seen = laptop.says(&typed).await;
    assert_eq!(seen, "5\n1");
    env.close().await;
}
