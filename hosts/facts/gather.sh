# One trip: everything that checks need from a host, in sections "<mark> NAME STATUS" after their content.
# POSIX sh; needs nothing but a shell, coreutils, grep, sed and the docker client. Reads only.
# What takes long runs in parallel with the others (`start`) and is printed when all are there (`report`).
mark="$1"
deadline="$2"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
within=
if command -v timeout >/dev/null 2>&1; then within="timeout $deadline"; fi
run() {
    name="$1"; shift
    $within "$@" >"$work/$name" 2>"$work/$name.error"
    echo $? >"$work/$name.status"
}
start() { run "$@" & }
report() {
    for name; do
        read -r status <"$work/$name.status"
        said=
        if [ -s "$work/$name.error" ]; then said=$(head -c 1000 "$work/$name.error" | tr '\n' ' '); fi
        printf '%s begin %s\n' "$mark" "$name"
        cat "$work/$name"
        printf '\n%s end %s %s %s\n' "$mark" "$name" "$status" "$said"
    done
}
section() { run "$@"; report "$1"; }
# What the kernel answers at once needs no deadline and no file between: a hundred hosts are a hundred times fewer programs.
exec 3>&1
quick() {
    name="$1"; shift
    printf '%s begin %s\n' "$mark" "$name"
    said=$("$@" 2>&1 >&3)
    status=$?
    if [ -n "$said" ]; then said=$(printf '%s' "$said" | head -c 1000 | tr '\n' ' '); fi
    printf '\n%s end %s %s %s\n' "$mark" "$name" "$status" "$said"
}
# A last line without its end is a line too.
one_line() { line=; IFS= read -r line <"$1" || [ -n "$line" ] || return 1; printf '%s\n' "$line"; }
lab_marker() { if [ -e /etc/longshore-lab ]; then echo lab; else return 1; fi; }

quick clock_first date +%s.%N
start docker docker version --format '{{json .}}'
quick kernel uname -srm
quick os cat /etc/os-release
quick machine one_line /etc/machine-id
quick lab lab_marker
quick memory cat /proc/meminfo
quick load one_line /proc/loadavg
quick cpus getconf _NPROCESSORS_ONLN
# -a: without it df leaves out a bind mount, and a volumes folder on another disk would be judged by the wrong one.
section disks df -P -k -a
section inodes df -P -i -a
quick mounts cat /proc/mounts
quick settings grep -H '' /proc/sys/vm/max_map_count /proc/sys/net/core/somaxconn /proc/sys/vm/overcommit_memory \
    /proc/sys/fs/file-max /proc/sys/net/ipv4/ip_forward /sys/kernel/mm/transparent_hugepage/enabled
quick users cat /etc/passwd
section synchronised sh -c '
    if command -v timedatectl >/dev/null 2>&1 && timedatectl show -p NTPSynchronized 2>/dev/null; then exit 0; fi
    if command -v chronyc >/dev/null 2>&1; then chronyc -n tracking; exit; fi
    if command -v ntpq >/dev/null 2>&1; then ntpq -c rv; exit; fi
    echo "neither timedatectl nor chronyc nor ntpq answers" >&2; exit 127'
start sockets ss -Hltnup
start connections sh -c 'ss -Htn state established | head -n 20000'
# An administrator has them in sbin, which a plain ssh command may not search.
start firewall sh -c '
    PATH="$PATH:/usr/sbin:/sbin"; found=127
    for tool in iptables-save ip6tables-save; do
        command -v $tool >/dev/null 2>&1 || continue
        echo "# by $tool"; $tool; found=$?
        [ "$found" = 0 ] || exit "$found"
    done
    if command -v nft >/dev/null 2>&1; then echo "# by nft"; nft list ruleset; found=$?; fi
    [ "$found" != 127 ] || echo "neither iptables-save nor nft is there" >&2
    exit "$found"'
wait
report sockets connections firewall docker
if [ "$status" = 0 ]; then
    start info docker info --format '{{json .}}'
    start containers sh -c 'ids=$(docker ps -aq --no-trunc) || exit; [ -z "$ids" ] || docker inspect --size=false $ids'
    start images sh -c 'ids=$(docker images -q --no-trunc) || exit; [ -z "$ids" ] || docker image inspect $(printf "%s\n" $ids | sort -u)'
    start volumes sh -c 'names=$(docker volume ls -q) || exit; [ -z "$names" ] || docker volume inspect $names'
    start networks sh -c 'ids=$(docker network ls -q --no-trunc) || exit; [ -z "$ids" ] || docker network inspect $ids'
    wait
    report info containers images volumes networks
    # Paths, processes and names are in those answers: the engine is not asked again.
    sed -n -e 's/^ *"Mountpoint": "\(.*\)",*$/\1/p' "$work/volumes" >"$work/paths"
    sed -n -e 's/^ *"Source": "\(\/.*\)",*$/\1/p' "$work/containers" >"$work/sources"
    sed -e 's/\\u0026/\&/g' -e 's/\\u003c/</g' -e 's/\\u003e/>/g' -e 's/\\"/"/g' -e 's/\\\\/\\/g' "$work/paths" "$work/sources" |
        grep -v -e '^$' -e '^/$' -e '^/var/run/docker.sock$' -e '^/proc/' -e '^/proc$' -e '^/sys/' -e '^/sys$' -e '^/dev/' -e '^/dev$' | sort -u >"$work/places"
    sed -n -e 's/^ *"Pid": \([1-9][0-9]*\),*$/\1/p' "$work/containers" >"$work/pids"
    sed -n -e 's/^ *"Name": "\/\(.*\)",*$/\1/p' "$work/containers" | sort -u >"$work/names"
    start sizes sh -c 'while read -r path; do [ -e "$path" ] && du -skx "$path"; done <"$1/places"; true' sizes "$work"
    start owners sh -c 'while read -r path; do [ -e "$path" ] && stat -c "%u %g %n" "$path"; done <"$1/places"; true' owners "$work"
    # Established and listening sockets in the network of each container, as the kernel reports them: shell-less images have no ss.
    start namespaces sh -c '
        pattern="^ *[0-9]+: [0-9A-F]+:[0-9A-F]{4} [0-9A-F]+:[0-9A-F]{4} 0[1A] "
        while read -r pid; do echo /proc/$pid/net/tcp; echo /proc/$pid/net/tcp6; done <"$1/pids" |
            xargs -r grep -sHE "$pattern" | head -n 20000; true' namespaces "$work"
    start limits sh -c '
        engine=$(cat /run/docker.pid /var/run/docker.pid 2>/dev/null | head -n 1)
        { [ -z "$engine" ] || echo "/proc/$engine/limits"; while read -r pid; do echo "/proc/$pid/limits"; done <"$1/pids"; } |
            xargs -r grep -sH "^Max open files"; true; echo "engine $engine"' limits "$work"
    # Control groups version 2 and 1, with the systemd and the cgroupfs driver.
    start usage sh -c '
        cd /sys/fs/cgroup || exit
        for one in "" memory/; do for place in docker/ system.slice/docker-; do
            set -- "$@" $one$place*/memory.current $one$place*/memory.usage_in_bytes $one$place*/memory.stat
        done; done
        grep -sHE "^[0-9]+$|^(total_)?inactive_file |^usage_usec " "$@" docker/*/cpu.stat system.slice/docker-*/cpu.stat \
            cpuacct/docker/*/cpuacct.usage cpuacct/system.slice/docker-*/cpuacct.usage; true'
    # Who else could start a container: files of systemd and cron that mention its name.
    start mentions sh -c '
        names="$1/names"; shift
        [ -s "$names" ] || exit 0
        for place in /etc/systemd/system /usr/local/lib/systemd/system /etc/cron.d /etc/crontab /var/spool/cron /etc/rc.local /etc/init.d; do
            if [ -e "$place" ]; then set -- "$@" "$place"; fi
        done
        [ $# = 0 ] || grep -rsIoHF -f "$names" "$@"
        exit 0' mentions "$work"
    # Who removes stopped containers and unused volumes: files of systemd and cron, and the scripts in the usual places that they run.
    start prunes sh -c '
        for place in /etc/systemd/system /usr/local/lib/systemd/system /etc/crontab /etc/cron.d /etc/cron.hourly /etc/cron.daily \
            /etc/cron.weekly /etc/cron.monthly /var/spool/cron /usr/local/bin /usr/local/sbin; do
            if [ -e "$place" ]; then set -- "$@" "$place"; fi
        done
        [ $# = 0 ] || grep -rsIlE "(docker|podman)[^#]*[[:space:]]prune([[:space:]\";&|]|$)|docker-(gc|prune|cleanup)" "$@"
        exit 0'
    start units sh -c '
        for place in /etc/systemd/system /usr/local/lib/systemd/system; do
            if [ -e "$place" ]; then set -- "$@" "$place"; fi
        done
        [ $# = 0 ] || grep -rsIlE "docker|compose" "$@"
        exit 0'
    wait
    report sizes owners namespaces limits usage mentions prunes units
fi
quick clock_last date +%s.%N
