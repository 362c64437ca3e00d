//! The README's chapters on server and host, as they stand, under a real systemd. The program is
//! there, and no checkout.

use super::company::Company;

#[test]
fn with_the_program_alone_the_chapters_set_up_server_and_host() {
    let company = Company::start();
    let build = "cargo build --release && install -m 755 target/release/daypass /usr/local/bin/";
    let server = block("Set up a server");
    assert!(server.contains(build), "{server}");
    let server = server
        .replace(build, "install -m 755 /mnt/shared/daypass /usr/local/bin/")
        .replace("https://id.example.com", company.issuer());
    company.write("root", "server.sh", &server);
    let said = company.says("root", "bash -e server.sh");
    let (_, fingerprint) = said.split_once("CA key").unwrap();
    let fingerprint = fingerprint.split_whitespace().next().unwrap();
    let copies = "cp /etc/daypass/tls.pem . && install -m 644 tls.pem /home/ada/";
    company.says("root", copies);
    let host = block("Set up a host").replace("SHA256:...", fingerprint);
    company.write("root", "host.sh", &host);
    let said = company.says("root", "bash -e host.sh");
    assert!(said.ends_with("Nothing is wrong."), "{said}");
    company.ada("daypass login --as alice");
    assert_eq!(company.ada("daypass ssh web-1 -- id -un"), "deploy");
    for unit in ["daypass.service", "daypass.socket", "daypass-sync.timer"] {
        assert_eq!(company.property(unit, "UnitFileState"), "enabled", "{unit}");
    }
    // The same once more changes nothing.
    let again = "daypass systemd install server && daypass systemd install host";
    let again = company.says("root", again);
    assert_eq!(again.matches("unchanged").count(), 5, "{again}");
}

/// The first shell block of a chapter of the README.
fn block(chapter: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, text) = text.split_once(&format!("\n## {chapter}\n")).unwrap();
    let (_, text) = text.split_once("\n```sh\n").unwrap();
    let (block, _) = text.split_once("\n```\n").unwrap();
    format!("{block}\n")
}
