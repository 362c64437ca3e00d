//! The manual's chapter on webhooks, with a pager and a chat over HTTPS.

use super::fleet::{Fleet, certify, first_block};

#[test]
fn a_request_reaches_the_pager_and_the_chat() {
    let fleet = Fleet::start_small();
    start_receiver(&fleet);
    configure(&fleet);
    fleet.sign_in("bob");
    fleet.sign_in("carol");
    let ask = "daypass request prod --host web-1 --reason INC-4711";
    fleet.laptop.fails("bob", ask, 5);
    let wait = |pattern: &str| {
        let line =
            format!("timeout 200 tail -n +1 -f receiver.out | grep --max-count=1 '{pattern}'");
        fleet.provider.says("root", &line)
    };
    assert_eq!(wait("^/daypass"), "/daypass signed requested");
    let chat = wait("^/chat");
    assert!(
        chat.contains("INC-4711") && chat.contains("bob@example.com"),
        "{chat}"
    );
    let listed = fleet.laptop.says("carol", "daypass admin webhooks");
    for name in ["oncall", "pager"] {
        assert!(listed.contains(name), "{listed}");
    }
}

/// Receives on the provider's machine, as pager.example.com.
pub(super) fn start_receiver(fleet: &Fleet) {
    let (root, certificate, key) = certify("pager.example.com");
    let receiver = &fleet.provider;
    receiver.write("root", "pager.pem", &certificate);
    receiver.write("root", "pager.key", &key);
    let secret = "openssl rand -base64 32";
    let secret = receiver.says(
        "root",
        &format!("echo whsec_$({secret}) | tee pager.secret"),
    );
    let node = super::fleet::node();
    receiver.says("root", &format!(
        "mkfifo heard\n({node} /mnt/repository/tests/fleet/receiver.mjs pager.pem pager.key pager.secret >heard) >/dev/null 2>&1 &\n\
         exec 3<heard; read -r line <&3; echo \"$line\"; cat <&3 >receiver.out &"
    ));
    let server = &fleet.server;
    server.write("root", "pager.pem", &root);
    server.says("root", "cat pager.pem >>/etc/ssl/certs/ca-certificates.crt");
    server.says("root", "sed -n 's/ id.example.com/ pager.example.com/p' /etc/hosts >names && cat names >>/etc/hosts");
    server.write("root", "pager.secret", &format!("{secret}\n"));
    server.write("root", "chat.url", "https://pager.example.com:8443/chat\n");
    server.says(
        "root",
        "install -m 600 -o daypass pager.secret chat.url /etc/daypass/",
    );
}

pub(super) fn configure(fleet: &Fleet) {
    let block = first_block("webhooks", "toml config")
        .replace("pager.example.com/", "pager.example.com:8443/")
        .replace(
            "# networks  = [\"10.0.0.0/8\"]",
            "networks = [\"192.0.2.0/24\", \"2001:db8:1::/64\"]",
        )
        // Each webhook's, also the chat's.
        .replace(
            "events   =",
            "networks = [\"192.0.2.0/24\", \"2001:db8:1::/64\"]\nevents   =",
        );
    let server = &fleet.server;
    server.write("root", "webhooks.toml", &format!("\n{block}"));
    server.says("root", "cat webhooks.toml >>/etc/daypass/daypass.toml");
    server.says(
        "root",
        "runuser -u daypass -- daypass serve --config /etc/daypass/daypass.toml --check",
    );
    server.says("root", "systemctl restart daypass");
}
