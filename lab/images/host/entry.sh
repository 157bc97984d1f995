#!/bin/bash
# Start a lab host: its identity from /identity (read-only), its disk from /disk, then sshd and dockerd.
set -eu

readonly ENGINE_DOWN=/run/lab-engine-down

make_kernel_files_writable() {
    # Without --privileged these mounts come read-only; a plain remount is not enough for cgroup v1.
    mount -o remount,rw /proc/sys || true
    mount -o remount,bind,rw /sys/fs/cgroup || true
    awk '$2 ~ "^/sys/fs/cgroup/" {print $2}' /proc/mounts | while read -r path; do
        mount -o remount,bind,rw "$path" || true
    done
    leave_the_root_cgroup
}

leave_the_root_cgroup() {
    # cgroup v2 delegates controllers only from a group without processes.
    [ -f /sys/fs/cgroup/cgroup.controllers ] || return 0
    mkdir -p /sys/fs/cgroup/init
    xargs -rn1 < /sys/fs/cgroup/cgroup.procs > /sys/fs/cgroup/init/cgroup.procs 2>/dev/null || true
    sed -e 's/ / +/g' -e 's/^/+/' < /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control || true
}

put_disk_in_place() {
    for path in /var/lib/docker /srv /var/lib/longshore /var/backups; do
        mkdir -p "$path" "/disk$path"
        mount --bind "/disk$path" "$path"
    done
}

put_identity_in_place() {
    install -m 0444 /identity/machine-id /etc/machine-id
    install -m 0600 /identity/engine-id /var/lib/docker/engine-id
    install -m 0600 /identity/ssh_host_ed25519_key /etc/ssh/ssh_host_ed25519_key
    for home in /root /home/ops; do
        install -d -m 0700 "$home/.ssh"
        [ -f "$home/.ssh/authorized_keys" ] || install -m 0600 /identity/authorized_keys "$home/.ssh/authorized_keys"
    done
    chown -R ops:ops /home/ops/.ssh
}

keep_engine_running() {
    # What an init system does: restart the engine, end it in good order, collect orphans. As process 1 the engine itself
    # could be neither frozen nor stopped (lab/faults.py). While $ENGINE_DOWN exists it stays down.
    local ending="" engine
    trap 'ending=yes; pkill -CONT -x dockerd || true; pkill -TERM -x dockerd || true' TERM INT
    while [ -z "$ending" ]; do
        if [ ! -e "$ENGINE_DOWN" ]; then
            rm -f /var/run/docker.pid /run/containerd/containerd.pid /run/docker/containerd/containerd.pid
            dockerd --shutdown-timeout 60 --log-level warn &
            engine=$!
            while kill -0 "$engine" 2>/dev/null; do wait "$engine" || true; done
        fi
        [ -n "$ending" ] || sleep 0.3
    done
}

make_kernel_files_writable
put_disk_in_place
put_identity_in_place
mkdir -p /run/sshd
/usr/sbin/sshd -o HostKey=/etc/ssh/ssh_host_ed25519_key -o PasswordAuthentication=no -o PermitRootLogin=prohibit-password
keep_engine_running
