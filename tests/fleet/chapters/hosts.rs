//! What an administrator of hosts types.

use super::Walk;
use crate::fleet::SERVER;

pub(super) fn host(walk: &Walk) {
    let web = &walk.fleet.web;
    let root = |line: &str| walk.says(web, "root", line);
    root("daypass host sync");
    assert!(root("daypass host doctor").ends_with("Nothing is wrong."));
    root("daypass host doctor --user deploy --address 192.0.2.2");
    root("daypass host doctor --max-age 1h");
    // Between two CAs: the other one's certificate logs in too, until it is not trusted any more.
    let ca = walk.fleet.fingerprint();
    let setup = format!(
        "daypass host setup --server {SERVER} --group web --ca-fingerprint {ca} --ca-file tls.pem"
    );
    root("ssh-keygen -q -t ed25519 -N '' -f other-ca");
    root(&format!(
        "{setup} --also-trust other-ca.pub && systemctl reload ssh"
    ));
    assert!(root("cat /etc/ssh/daypass/*").contains(&root("cut -d' ' -f2 other-ca.pub")));
    let line = "ssh-keygen -q -t ed25519 -N '' -f old && cat old.pub";
    let key = walk.user("alice", line);
    web.write("root", "old.pub", &key);
    root("ssh-keygen -q -s other-ca -I old -n deploy@web -V +5m old.pub");
    walk.fleet
        .laptop
        .write("alice", "old-cert.pub", &root("cat old-cert.pub"));
    let old = "ssh -F none -o BatchMode=yes -o IdentitiesOnly=yes -i old deploy@web-1 id -un";
    assert_eq!(walk.user("alice", old), "deploy");
    root(&format!(
        "{setup} && systemctl reload ssh && daypass host sync && daypass host doctor"
    ));
    walk.refuses("alice", old, 255);
    // By the certificate's fingerprint, in the place of a file.
    let line =
        "openssl x509 -in tls.pem -outform DER | openssl dgst -sha256 -binary | base64 | tr -d =";
    let fingerprint = root(line);
    let by_fingerprint = format!(
        "daypass host setup --server-fingerprint SHA256:{fingerprint} --server {SERVER} --group web --ca-fingerprint {ca}"
    );
    root(&format!("{by_fingerprint} && daypass host sync"));
    root("usermod -p '*' deploy");

    // Known hosts: the server is told of a key for them, and the host joins.
    walk.fleet.know_hosts();
    let carol = |line: &str| walk.user("carol", line);
    let code = |said: String| said.split_whitespace().last().unwrap().to_owned();
    let said = carol("daypass admin hosts add web-1 --group web --alias web-1.example.com");
    root(&format!("daypass host setup --join {}", code(said)));
    root("systemctl reload ssh");
    root("daypass host sync && daypass host doctor");
    let newcomer = "daypass ssh -o UserKnownHostsFile=none web-1 hostname";
    walk.fleet
        .laptop
        .says("root", "mv /etc/ssh/ssh_known_hosts known");
    assert_eq!(walk.user("alice", newcomer), "web-1");
    walk.fleet
        .laptop
        .says("root", "mv known /etc/ssh/ssh_known_hosts");
    let said = carol("daypass admin hosts add web-1 --rekey");
    root(&format!("daypass host setup --join {}", code(said)));

    root("daypass host remove");
    carol("daypass admin hosts remove web-1");
    root("systemctl reload ssh");
    root("daypass host remove");
    root("test ! -e /etc/ssh/daypass -a ! -e /etc/ssh/sshd_config.d/00-daypass.conf");
    walk.refuses("alice", "daypass ssh web-1 id", 255);
    root(&format!(
        "{setup} && systemctl reload ssh && daypass host sync && daypass host doctor"
    ));
    let said = carol("daypass admin hosts add web-1 --group web");
    let join = format!("daypass host setup --join {}", code(said));
    root(&format!("{join} && systemctl reload ssh"));
    assert_eq!(walk.user("alice", "daypass ssh web-1 id -un"), "deploy");
    // The bastion's chapter leaves `--ca-file` out: its root is the system's there.
    let bastion = &walk.fleet.bastion;
    walk.says(
        bastion,
        "root",
        "cat tls.pem >>/etc/ssl/certs/ca-certificates.crt",
    );
    let line = format!(
        "daypass host setup --server https://daypass.example.com:7443 --group edge --ca-fingerprint {ca}"
    );
    walk.says(bastion, "root", &line);
    walk.says(bastion, "root", "systemctl reload ssh");
}
