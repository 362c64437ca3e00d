//! `daypass ssh` for the programs that run ssh: rsync, git, scp, sftp, and the options of ssh that
//! users type.

use super::{
    signed_in_with_more_roles,
    support::laptop::{HOME, Laptop},
};

/// A script for the shell, each line of which must succeed.
async fn steps(laptop: &Laptop, lines: &[&str]) {
    for line in lines {
        laptop.says(line).await;
    }
}

/// The laptop has no ssh configuration of Daypass, and a program named `daypass-ssh`.
async fn without_configuration(laptop: &Laptop) {
    laptop.says("daypass ssh-config remove").await;
    laptop
        .says("mkdir bin && ln -s /mnt/bin/daypass bin/daypass-ssh")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rsync_git_scp_and_sftp_run_daypass_ssh_in_the_place_of_ssh() {
    let (env, laptop) = signed_in_with_more_roles().await;
    without_configuration(&laptop).await;
    laptop.put("letter", "dear deploy\n");
    laptop.put("batch", "put letter by-sftp\n");
    let path = format!("PATH={HOME}/bin:$PATH");
    steps(
        &laptop,
        &[
            "rsync -e 'daypass ssh' letter web-1:by-rsync",
            "rsync -e 'daypass ssh -p 22 -o Port=1 -l deploy --role shell' letter web-1:by-role 2>&1 | grep refused",
            "rsync -e 'daypass ssh --role shell' letter deploy@web-1:by-role",
            &format!("{path} scp -q -S daypass-ssh letter web-1:by-scp"),
            &format!("{path} scp -q -O -S daypass-ssh letter deploy@web-1:by-old-scp"),
            &format!("{path} sftp -q -S daypass-ssh -b batch web-1"),
            &format!("{path} sftp -q -S {HOME}/bin/daypass-ssh -b batch -oCompression=yes deploy@web-1"),
        ],
    )
    .await;
    let all = "cat by-rsync by-role by-scp by-old-scp by-sftp";
    let read = laptop.says(&format!("daypass ssh web-1 {all}")).await;
    assert_eq!(read, ["dear deploy"; 5].join("\n"));

    let git = "git -c user.name=ada -c user.email=ada@example.com -c init.defaultBranch=main";
    laptop
        .says("daypass ssh web-1 rm -rf mine.git '&&' git init -q --bare mine.git")
        .await;
    steps(
        &laptop,
        &[
            &format!("{git} init -q here && cp letter here && cd here && {git} add . && {git} commit -q -m x"),
            &format!("cd here && GIT_SSH_COMMAND='daypass ssh' {git} push -q web-1:mine.git HEAD:main"),
            &format!("{path} GIT_SSH=daypass-ssh {git} clone -q -b main ssh://deploy@web-1/~/mine.git there"),
            "cmp letter there/letter",
        ],
    )
    .await;
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn git_asks_which_ssh_it_has_and_no_pass_is_asked_for() {
    let (env, laptop) = signed_in_with_more_roles().await;
    for line in [
        "daypass ssh -G -p 22 web-1",
        "daypass ssh -V",
        "daypass ssh -Q key",
    ] {
        laptop.says(line).await;
    }
    let status = laptop.says("daypass status --format json").await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["passes"], serde_json::json!([]), "{status}");
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ssh_takes_daypass_ssh_takes() {
    let (env, laptop) = signed_in_with_more_roles().await;
    without_configuration(&laptop).await;
    let port = laptop.says("ssh -G web-1 | sed -n 's/^port //p'").await;
    let forward = format!("-L {HOME}/forward:127.0.0.1:{port}");
    for (line, expected) in [
        ("daypass ssh web-1 id -un", "deploy"),
        (
            "daypass ssh -v -A -C -4 -T web-1 id -un 2>log; grep -c 'Exit status 0' log",
            "deploy\n1",
        ),
        ("daypass ssh -qtt web-1 'tty >x && id -un'", "deploy"),
        ("daypass ssh web-1 -l root -- id -un", "root"),
        ("daypass ssh -l root deploy@web-1 id -un", "root"),
        ("daypass ssh -oUser=root -l deploy web-1 id -un", "root"),
        ("daypass ssh --role admin -- web-1 id -un", "root"),
        (
            "daypass ssh -v --role logs web-1 --param unit=cron id 2>log",
            "the log of cron",
        ),
        (
            &format!("daypass ssh ssh://root@web-1:{port} id -un"),
            "root",
        ),
        (
            &format!("daypass ssh -p{port} -oHostName=::1 web-1 id 2>&1 | grep -c refused"),
            "1",
        ),
        (&format!("daypass ssh {forward} web-1 id -un"), "deploy"),
        ("echo over | daypass ssh web-1 cat", "over"),
        ("echo over | daypass ssh -n web-1 cat", ""),
        (
            "daypass ssh -W 127.0.0.1:1 web-1 2>&1 | grep -c 'forwarding failed'",
            "1",
        ),
        ("daypass ssh web-1 exit 7; echo $?", "7"),
        ("daypass ssh -f web-1 id -un", "deploy"),
        ("daypass ssh -E log web-1 id -un", "deploy"),
        ("daypass ssh -p22x web-1 2>/dev/null; echo $?", "2"),
    ] {
        assert_eq!(laptop.says(line).await, expected, "{line}");
    }
    env.close().await;
}
