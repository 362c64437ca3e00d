#!/bin/bash
# Makes a machine in the namespaces of this process, and runs walk.sh in it:
# machine.sh REPOSITORY DAYPASS CHAPTERS SCRIPTS
set -euo pipefail
repository=$1 daypass=$2 chapters=$3 scripts=$4

# What the walk needs of the real machine, at places that nothing hides later.
mount -t tmpfs tmpfs /mnt
mkdir /mnt/repository /mnt/chapters /mnt/scripts /mnt/etc
touch /mnt/daypass
mount --bind "$repository" /mnt/repository
mount --bind "$chapters" /mnt/chapters
mount --bind "$scripts" /mnt/scripts
mount --bind "$daypass" /mnt/daypass
chmod 755 /mnt

# An /etc of its own, as freshly installed where this test looks at it.
cp -a /etc/. /mnt/etc
mount --bind /mnt/etc /etc
rm -rf /etc/daypass /etc/ssh/daypass /etc/ssh/sshd_config.d/* /etc/ssh/ssh_config.d/* /etc/systemd/system/daypass*
if [ -e /usr/share/openssh/sshd_config ]; then cp /usr/share/openssh/sshd_config /etc/ssh/sshd_config; fi
for account in daypass deploy weblogs ada; do
    sed -i "/^$account:/d" /etc/passwd /etc/shadow /etc/group /etc/gshadow
done
for folder in /home /run /var/lib /var/log /var/mail /usr/local/bin; do
    mount -t tmpfs -o mode=755 tmpfs "$folder"
done
install -m 755 /mnt/scripts/systemctl /usr/local/bin/systemctl
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# One network with every name on it.
ip link set lo up
printf '127.0.0.1 localhost daypass.example.com web-1\n' >/etc/hosts

# The host's sshd is there before Daypass is.
ssh-keygen -A >/dev/null
mkdir /run/sshd
printf 'web-1 %s\n' "$(cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub)" >/etc/ssh/ssh_known_hosts
/usr/sbin/sshd -E /var/log/sshd.log

# The identity provider is that of a dev world; nothing else of it is used.
exec /mnt/daypass dev --dir /mnt/world -- /bin/bash /mnt/scripts/walk.sh
