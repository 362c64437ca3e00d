#!/bin/bash
# Makes a machine in the namespaces of this process: machine.sh NAME REPOSITORY DAYPASS
#
# It has its own /etc, /home, /root, /run, /tmp, /var and network, and no user of Daypass yet.
# Prints "ready PID", and stays until its stdin closes. Everything in it ends with it.
set -euo pipefail
name=$1 repository=$2 daypass=$3
# The real machine's number of this process: /proc is still the real one.
read -r pid _ </proc/self/stat

# What the machine needs of the real one, at places that nothing hides later.
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/repository /mnt/etc /mnt/local
touch /mnt/daypass
mount --bind "$repository" /mnt/repository
mount --bind "$daypass" /mnt/daypass
mount --bind /usr/local/bin /mnt/local
mount -t proc proc /proc

cp -a /etc/. /mnt/etc
mount --bind /mnt/etc /etc
rm -rf /etc/daypass /etc/ssh/* /etc/systemd/system/daypass*
mkdir /etc/ssh/sshd_config.d /etc/ssh/ssh_config.d
# As openssh-server installs it, except that no login waits for a name server.
if [ -e /usr/share/openssh/sshd_config ]; then cp /usr/share/openssh/sshd_config /etc/ssh/sshd_config; fi
for account in daypass deploy weblogs jump alice bob carol dave; do
    sed -i "/^$account:/d" /etc/passwd /etc/shadow /etc/group /etc/gshadow
done
for folder in /home /run /var/backups /var/lib /var/log /var/mail /var/tmp /usr/local/bin /root; do
    mount -t tmpfs -o mode=755 tmpfs "$folder"
done
mount -t tmpfs -o mode=1777 tmpfs /tmp
# Programs that are installed there, such as git.
for program in /mnt/local/*; do ln -s "$program" "/usr/local/bin/${program##*/}"; done
rm -f /usr/local/bin/daypass /usr/local/bin/systemctl

hostname "$name"
ip link set lo up
cd /
echo "ready $pid"
# Programs that lost their parent are children of this shell, which waits for them meanwhile.
while read -r _; do :; done
