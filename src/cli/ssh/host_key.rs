//! What helps if ssh refused a host key. ssh itself knows neither certificates that are missing nor
//! how a host gets them, and advises to remove the line that found the fault.

use crate::client::ssh::watched::HostKeyFault;

/// The words after ssh's own. `is_certified`: the server has said that the host has a certificate.
pub(super) fn advice(fault: HostKeyFault, host: &str, is_certified: bool) -> String {
    let another = "another machine may answer in its place";
    let join = format!(
        "an administrator runs `daypass admin hosts add {host} --rekey`, and then `daypass host setup --join CODE` on {host}"
    );
    match fault {
        HostKeyFault::Unknown | HostKeyFault::Other if is_certified => format!(
            "{host} did not show the host certificate that your server gave it: its host key was replaced, or {another}. Do \
             not connect, and tell its administrator. If the key was replaced on purpose: {join}. If the server has another \
             host CA key: `daypass host sync` on {host}"
        ),
        HostKeyFault::Unknown | HostKeyFault::Other => format!(
            "{host} has no host certificate that your server's CA signed, and no known_hosts file has its key. With a \
             certificate, ssh asks nothing: an administrator runs `daypass admin hosts add {host} --group GROUP`, and then `daypass host \
             setup --join CODE` on {host}"
        ),
        HostKeyFault::Changed => format!(
            "{host} showed another host key than the one in your known_hosts file: its host key was replaced, or {another}. Do \
             not remove the line before its administrator has said so. If the key was replaced on purpose: {join}. Its \
             certificate then counts, and the old line does no harm"
        ),
        HostKeyFault::Name => format!(
            "the host certificate of {host} is for other names. ssh compares HostKeyAlias, else HostName, else the name that \
             you typed. `daypass hosts` lists the names that it has. To give it this name too, an administrator lets it join \
             anew, with the other aliases that it has: `daypass admin hosts remove NAME`, then `daypass admin hosts add NAME \
             --group GROUP --alias {host}`, and on the host what that prints"
        ),
        HostKeyFault::Time => format!(
            "the host certificate of {host} is not valid now. Look whether the clock of this machine is right; on {host}, \
             `daypass host doctor` says why it was not renewed"
        ),
        HostKeyFault::Removed => format!(
            "the host certificate of {host} is revoked: an administrator removed the host, or it has joined again with other \
             host keys, or {another}. Do not connect, and tell its administrator. If it is to be a host again: an administrator \
             runs `daypass admin hosts add {host} --group GROUP`, and then `daypass host setup --join CODE` on {host}; on a host \
             with new host keys, sshd must be reloaded"
        ),
        HostKeyFault::Revoked => format!(
            "a known_hosts file says that the host key of {host} is revoked: {another}. Do not connect, and tell its \
             administrator. For a new host key: {join}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_names_the_host_and_what_an_administrator_does() {
        for fault in [
            HostKeyFault::Changed,
            HostKeyFault::Unknown,
            HostKeyFault::Name,
            HostKeyFault::Time,
            HostKeyFault::Revoked,
            HostKeyFault::Removed,
            HostKeyFault::Other,
        ] {
            for is_certified in [false, true] {
                let said = advice(fault, "web-1", is_certified);
                assert!(
                    said.contains("web-1") && said.contains("`daypass ")
                        || said.contains("daypass admin"),
                    "{said}"
                );
                assert!(!said.contains("ssh-keygen -R"), "{said}");
                // Without one of them the command exits with 2.
                for command in said.split("admin hosts add ").skip(1) {
                    let (command, _) = command.split_once('`').unwrap_or((command, ""));
                    let is_whole = command.contains("--group") || command.contains("--rekey");
                    assert!(is_whole, "{said}");
                }
            }
        }
    }
}
