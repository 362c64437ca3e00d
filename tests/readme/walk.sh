#!/bin/bash
# Runs the README's chapters on this machine, then the commands that `daypass init` printed. Then
# logs in as a user whose name is not a login of the policy.
set -euo pipefail

# Of the dev world only its people are used.
ISSUER=$(sed -n 's/^url *= *"\(.*\)"$/\1/p' "$DAYPASS_DEV/daypass.toml" | head -n 1)
export ISSUER
people=$DAYPASS_DEV
unset "${!DAYPASS_@}"

# The server.
cd /mnt/repository
bash /mnt/chapters/server.sh | tee /mnt/server.txt

# The host, which has what the chapter says that it must have.
FINGERPRINT=$(sed -n 's/^CA key *//p' /mnt/server.txt | head -n 1)
export FINGERPRINT
mkdir /mnt/host && cd /mnt/host
cp /etc/daypass/tls.pem tls.pem
bash /mnt/chapters/host.sh

# Each command that `init` printed. The README's chapters have done all of them above.
sed -n '/^Next:/,/^Keep /s/^       //p' /mnt/server.txt >/mnt/printed.sh
for command in 'policy test' '--check' 'systemctl enable' 'host setup'; do grep -q -e "$command" /mnt/printed.sh; done
bash -ex /mnt/printed.sh

# A laptop: another user, who has the server's address and certificate.
useradd --create-home ada
install -m 644 -o ada tls.pem /home/ada/tls.pem
install -m 600 -o ada "$people/password" /home/ada/password
as_ada() {
    setpriv --reuid ada --regid ada --init-groups env -i HOME=/home/ada USER=ada PATH="$PATH" DAYPASS_DEV=/home/ada \
        DAYPASS_SERVER=https://daypass.example.com:7443 DAYPASS_CA_FILE=/home/ada/tls.pem \
        bash -c "cd && $1"
}
is() {
    [ "$1" = "$2" ] || { echo "expected $2, got: $1" >&2; cat /var/log/sshd.log /var/log/daypass.log >&2; exit 1; }
}
as_ada 'daypass login --as alice'
is "$(as_ada 'daypass ssh web-1 -- id -un')" deploy
as_ada 'daypass ssh-config install'
is "$(as_ada 'ssh -o BatchMode=yes web-1 id -un')" deploy
as_ada 'daypass pass --role web-logs --param unit=nginx.service --host web-1 --out logs'
cp /home/ada/logs-cert.pub .
daypass host doctor --pass logs-cert.pub
echo "the walk is done"
