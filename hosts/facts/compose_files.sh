# One trip: the compose files of a host, the .env next to each, and the texts at the paths named. Reads only.
# Arguments: deadline in seconds, where to search, depth (0: don't), largest file in bytes, Docker's root, then paths
# (of a directory: the settings in it).
# Answer: records of kind, path and content in base64, each ended by a NUL.
# POSIX sh, with find, base64 and wc as coreutils and busybox have them.
deadline="$1"; root="$2"; depth="$3"; export largest="$4"; docker_root="$5"
shift 5
export emit='
emit() {
    if [ ! -e "$2" ]; then printf "absent\000%s\000\000" "$2"
    elif [ ! -f "$2" ]; then printf "odd\000%s\000\000" "$2"
    elif [ ! -r "$2" ]; then printf "closed\000%s\000\000" "$2"
    elif [ "$(wc -c <"$2")" -gt "$largest" ]; then printf "large\000%s\000\000" "$2"
    else
        printf "%s\000%s\000" "$1" "$2"; base64 <"$2"; printf "\000"
        if [ "$1" = compose ] && [ ! -L "$2" ]; then printf "same\000%s\000" "$2"; stat -c %d:%i "$2" 2>/dev/null | base64; printf "\000"; fi
    fi
}'
in_time() { if command -v timeout >/dev/null 2>&1; then timeout "$deadline" "$@"; else "$@"; fi; }
printf 'ports\000/proc/sys/net/ipv4/ip_local_port_range\000'; base64 </proc/sys/net/ipv4/ip_local_port_range; printf '\000'
if [ "$depth" -gt 0 ]; then
    in_time find "$root" -maxdepth "$depth" \
        \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /boot -o -path /usr/bin -o -path /usr/lib -o -path /usr/share -o -path /usr/include -o -path /usr/src -o -path /lib -o -path /snap \
           -o -path /var/cache -o -path /var/log -o -path "$docker_root" -o -path /var/lib/docker -o -path /var/lib/containerd -o -path /var/lib/containers \
           -o -name node_modules -o -name .git -o -name site-packages -o -name lost+found \) -prune \
        -o \( -type f -o -type l \) \( -iname 'compose*.y*ml' -o -iname '*[-._]compose*.y*ml' \) \
        -exec sh -c 'eval "$emit"; for path; do emit compose "$path"; emit file "${path%/*}/.env"; done' sh {} + 2>/dev/null
    printf 'searched\000%s\000' "$root"; printf '%s' "$?" | base64; printf '\000'
fi
eval "$emit"
for path; do
    if [ -d "$path" ]; then
        in_time find "$path" -maxdepth 2 -type f \
            \( -name '*.y*ml' -o -name '*.json' -o -name '*.conf' -o -name '*.ini' -o -name '*.toml' -o -name '*.env' -o -name '*.properties' -o -iname '*caddyfile*' \) \
            -exec sh -c 'eval "$emit"; for path; do emit file "$path"; done' sh {} + 2>/dev/null
    else
        emit file "$path"
    fi
done
