# One trip: everything that checks need from a host, in sections "<mark> NAME STATUS" after their content.
# POSIX sh; needs nothing but a shell, coreutils and the docker client. Reads only.
mark="$1"
deadline="$2"
section() {
    name="$1"; shift
    printf '%s begin %s\n' "$mark" "$name"
    if command -v timeout >/dev/null 2>&1; then timeout "$deadline" "$@" 2>"$errors"; else "$@" 2>"$errors"; fi
    status=$?
    printf '\n%s end %s %s %s\n' "$mark" "$name" "$status" "$(head -c 1000 "$errors" | tr '\n' ' ')"
}
errors=$(mktemp) || exit 1
trap 'rm -f "$errors"' EXIT
section clock_first date +%s.%N
section kernel uname -srm
section os cat /etc/os-release
section machine cat /etc/machine-id
section lab sh -c 'test -e /etc/longshore-lab && echo lab'
section memory cat /proc/meminfo
section load cat /proc/loadavg
section cpus getconf _NPROCESSORS_ONLN
# -a: without it df leaves out a bind mount, and a volumes folder on another disk would be judged by the wrong one.
section disks df -P -k -a
section inodes df -P -i -a
section sockets ss -Hltnup
section docker docker version --format '{{json .}}'
if [ "$status" = 0 ]; then
    section info docker info --format '{{json .}}'
    section containers sh -c 'ids=$(docker ps -aq --no-trunc) || exit; [ -z "$ids" ] || docker inspect --size=false $ids'
    # What is connected to what, as the kernel tells it in each container's own network: works for images without a shell.
    section connections sh -c 'ids=$(docker ps -q --no-trunc) || exit; [ -z "$ids" ] || docker inspect -f "{{.Id}} {{.State.Pid}}" $ids |
        while read -r id pid; do
            [ -r "/proc/$pid/net/tcp" ] || continue
            echo "@ $id"; cat "/proc/$pid/net/tcp" "/proc/$pid/net/tcp6" 2>/dev/null | grep -E "^ *[0-9]+: [0-9A-F]+:[0-9A-F]+ [0-9A-F]+:[0-9A-F]+ (01|0A) "
        done; true'
    section images sh -c 'ids=$(docker images -q --no-trunc) || exit; [ -z "$ids" ] || docker image inspect $(printf "%s\n" $ids | sort -u)'
    section volumes sh -c 'names=$(docker volume ls -q) || exit; [ -z "$names" ] || docker volume inspect $names'
    section networks sh -c 'ids=$(docker network ls -q --no-trunc) || exit; [ -z "$ids" ] || docker network inspect $ids'
    section sizes sh -c '
        { docker volume ls -q | while read -r name; do docker volume inspect -f "{{.Mountpoint}}" "$name"; done
          ids=$(docker ps -aq); [ -z "$ids" ] || docker inspect -f "{{range .Mounts}}{{if eq .Type \"bind\"}}{{println .Source}}{{end}}{{end}}" $ids
        } | grep -v -e "^$" -e "^/$" -e "^/var/run/docker.sock$" -e "^/proc" -e "^/sys" -e "^/dev" | sort -u |
        while read -r path; do [ -e "$path" ] && du -skx "$path"; done; true'
fi
section clock_last date +%s.%N
