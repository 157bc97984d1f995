# Try TCP connections from this host, all at once, and the largest packet that its peers' paths carry. Reads only.
# Arguments: seconds for one try, then ADDRESS:PORT …; prints tab-separated rows "try ADDRESS PORT STATUS WORDS" and
# "mtu ADDRESS STATUS WORDS". POSIX sh; connects with bash or, where that is missing, with nc.
deadline="$1"; shift
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
within=
if command -v timeout >/dev/null 2>&1; then within="timeout $deadline"; fi
export LC_ALL=C
attempt='begun=$EPOCHREALTIME; exec 3<>"/dev/tcp/$1/$2" || exit 1; echo "took $begun $EPOCHREALTIME"'
try() {
    if command -v bash >/dev/null 2>&1; then said=$($within bash -c "$attempt" try "$1" "$2" 2>&1)
    elif command -v nc >/dev/null 2>&1; then said=$($within nc -z -w "$deadline" "$1" "$2" 2>&1)
    else said="neither bash nor nc is there"; (exit 127)
    fi
    status=$?
    printf 'try\t%s\t%s\t%s\t%s\n' "$1" "$2" "$status" "$(printf '%s' "$said" | tr '\n\t' '  ')"
}
# Payloads of 1472, 1422, … bytes are packets of 1500, 1450 (VXLAN, WireGuard), 1400, 1300 and 1200 bytes (RFC 791: 28 of headers).
measure() {
    if ! command -v ping >/dev/null 2>&1; then printf 'mtu\t%s\t127\tno ping there\n' "$1"; return; fi
    if ! small=$(ping -c 1 -W 2 -s 56 "$1" 2>&1); then printf 'mtu\t%s\t1\tno answer to ping\n' "$1"; return; fi
    words=
    for payload in 1472 1422 1372 1272 1172; do
        if said=$(ping -M do -c 1 -W 1 -s "$payload" "$1" 2>&1); then printf 'mtu\t%s\t0\t%s %s\n' "$1" "$((payload + 28))" "$words"; return; fi
        case "$said" in
        *"too long"*|*"rag needed"*|*mtu*) words=reported ;;
        *usage*|*nvalid*|*nrecognized*) printf 'mtu\t%s\t127\tthis ping has no -M do\n' "$1"; return ;;
        *) words=${words:-silent} ;;
        esac
    done
    printf 'mtu\t%s\t0\t0 %s\n' "$1" "$words"
}
number=0
for pair; do
    number=$((number + 1))
    try "${pair%:*}" "${pair##*:}" >"$work/try$number" &
done
for address in $(for pair; do printf '%s\n' "${pair%:*}"; done | sort -u); do measure "$address" >"$work/mtu$address" & done
wait
cat "$work"/try* "$work"/mtu*
