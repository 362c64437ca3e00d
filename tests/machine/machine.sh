#!/bin/bash
# Boots this machine's own systemd in a container, over its own files, whose changes stay in memory:
#
#   machine.sh NAME FOLDER
#
# FOLDER has `notify`, a socket that hears when the machine is up, and gets `console`. The machine
# sees it as /mnt/shared. It has a network of its own, with the loopback interface alone. When
# stdin closes, all of it ends.
set -euo pipefail

# In namespaces for mounts and processes. Their end takes everything along.
if [ "$1" = inside ]; then
    name=$2 folder=$3
    mount -t tmpfs -o mode=755 tmpfs /mnt
    # nspawn's own files.
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir /mnt/upper /mnt/work /mnt/root
    mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
    cd /mnt/root

    # A machine as it was installed, with none of this one's services and users.
    rm -rf etc/machine-id var/lib/dbus/machine-id var/lib/systemd usr/sbin/policy-rc.d
    tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
    rm -rf etc/systemd/system/*.wants etc/systemd/system/daypass* etc/systemd/system/default.target
    ln -s /lib/systemd/system/multi-user.target etc/systemd/system/default.target
    echo "$name" >etc/hostname
    printf '127.0.0.1 localhost %s daypass.example.com\n::1 localhost\n' "$name" >etc/hosts
    rm -rf usr/bin/daypass usr/local/bin/daypass etc/daypass var/lib/daypass
    rm -rf etc/ssh usr/lib/sysusers.d/daypass.conf etc/sysusers.d/daypass.conf
    mkdir -p etc/ssh/sshd_config.d etc/ssh/ssh_config.d
    cp usr/share/openssh/sshd_config etc/ssh/sshd_config
    ssh-keygen -q -t ed25519 -N '' -f etc/ssh/ssh_host_ed25519_key
    printf '%s %s\n' "$name" "$(cut -d' ' -f1,2 etc/ssh/ssh_host_ed25519_key.pub)" >etc/ssh/ssh_known_hosts
    # An installation would index all man pages anew.
    rm -f var/lib/man-db/auto-update
    for account in daypass deploy weblogs ada; do
        sed -i "/^$account:/d" etc/passwd etc/shadow etc/group etc/gshadow
    done
    for place in home root var/log var/tmp; do
        mount -t tmpfs -o mode=755 tmpfs "$place"
    done

    exec 3<&0
    NOTIFY_SOCKET=$folder/notify systemd-nspawn --quiet --register=no --keep-unit --private-network \
        --resolv-conf=off --timezone=off --notify-ready=yes --console=pipe --boot --machine="$name" \
        --bind="$folder:/mnt/shared" --directory=/mnt/root </dev/null >"$folder/console" 2>&1 &
    nspawn=$!
    { while read -r _; do :; done; kill -KILL $nspawn; } <&3 &
    wait $nspawn 2>/dev/null || true
    exit
fi

# It ends when stdin closes, also if a terminal's Ctrl-C ends the tests.
trap '' INT TERM HUP
# The container's control groups would outlive it, so they are in one of ours, in each hierarchy.
groups=()
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    if [ -e "$hierarchy/cgroup.procs" ]; then
        mkdir "$hierarchy/daypass-test-$$"
        groups+=("$hierarchy/daypass-test-$$")
    fi
done
exec 3<&0
(
    for group in "${groups[@]}"; do echo "$BASHPID" >"$group/cgroup.procs"; done
    exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc /bin/bash "$0" inside "$@"
) <&3 &
wait $! || true
for group in "${groups[@]}"; do
    # The kernel may still be at the last processes.
    for _ in {1..200}; do
        find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
        [ -e "$group" ] || break
        sleep 0.05
    done
done
