#!/usr/bin/env bash
# The two commands of a fresh Debian machine. Asks nothing, prints what it does, can be run again at any time.
#   ./bootstrap.sh demo    rehearse the migration of all thirteen services in the lab (three, where not all images can be had) and print where the evidence is
#   ./bootstrap.sh test    install what the tests need and pass them
#   ./bootstrap.sh setup   only install
# Add --here to use a machine that runs other people's containers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" DEBIAN_FRONTEND=noninteractive
unset PYTHONDONTWRITEBYTECODE # each of some hundred processes would compile every module anew
readonly CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/longshore"
readonly ENGINE_PID="$CACHE/dockerd.pid"
readonly ENGINE_LOG="$CACHE/dockerd.log"
readonly NEEDED_FREE_KB=$((10 * 1024 * 1024))
readonly NEEDED_FOR_ALL_KB=$((20 * 1024 * 1024))
STARTED_ENGINE=""
LAB_TESTS=""

say() { printf 'bootstrap: %s\n' "$*"; }
die() {
    printf 'bootstrap: %s\n' "$*" >&2
    exit 1
}
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

free_kb() { df -Pk . | awk 'NR==2 {print $4}'; }

check_machine() {
    [ "$(uname -s)" = Linux ] || die "this machine: $(uname -s). Expected: Linux with Docker. The lab needs its containers"
    case "$(uname -m)" in x86_64 | aarch64) ;; *) die "this machine: $(uname -m). Expected: x86_64 or aarch64" ;; esac
    [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || die "this user: neither root nor sudo without password. Expected: one of them. Try: sudo ./bootstrap.sh $*"
    command -v apt-get >/dev/null || die "this machine: no apt-get. Expected: Debian or a relative. Install docker, python3-venv and openssh-client by hand, then: .venv/bin/python -m commands demo"
    local free_kb
    free_kb=$(free_kb)
    [ "$free_kb" -ge "$NEEDED_FREE_KB" ] || die "this disk: $((free_kb / 1024)) MiB free. Expected: at least $((NEEDED_FREE_KB / 1024)) MiB. Make room: df -h ."
}

find_python() {
    local candidate
    for candidate in python3.13 python3.12 python3.11 python3; do
        if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

install_packages() {
    local wanted=() package program
    for pair in git:git openssh-client:ssh jq:jq procps:pgrep mmdebstrap:mmdebstrap iptables:iptables docker.io:dockerd docker-cli:docker; do
        package=${pair%%:*} program=${pair##*:}
        command -v "$program" >/dev/null || wanted+=("$package")
    done
    if docker info >/dev/null 2>&1; then wanted=("${wanted[@]/docker.io/}"); fi
    [ -n "$(find_python)" ] || wanted+=(python3)
    "$(find_python || echo python3)" -c 'import ensurepip, venv' 2>/dev/null || wanted+=(python3-venv)
    local list="${wanted[*]:-}"
    [ -n "${list// /}" ] || return 0
    say "installing $list"
    as_root apt-get update -qq >"$CACHE/apt.log" 2>&1 || die "apt-get update: failed. Expected: Debian's packages answer. Read: $CACHE/apt.log"
    # In Debian 12 the client is part of docker.io.
    apt-cache show docker-cli >/dev/null 2>&1 || list="${list/docker-cli/}"
    # shellcheck disable=SC2086 # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $list >>"$CACHE/apt.log" 2>&1 </dev/null ||
        die "apt-get install $list: failed. Expected: all installed. Read: $CACHE/apt.log"
}

install_browser() {
    command -v chromium >/dev/null && command -v pdftotext >/dev/null && return
    say "installing chromium poppler-utils"
    as_root apt-get update -qq >"$CACHE/apt.log" 2>&1 || die "apt-get update: failed. Expected: Debian's packages answer. Read: $CACHE/apt.log"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium poppler-utils >>"$CACHE/apt.log" 2>&1 </dev/null ||
        die "apt-get install chromium poppler-utils: failed. Expected: both installed. Read: $CACHE/apt.log"
}

make_environment() {
    local python wanted
    python=$(find_python)
    [ -n "$python" ] || die "this machine: no Python 3.11 or newer. Expected: one. Try: apt-get install python3"
    wanted=$(sha256sum requirements.lock | cut -c1-64)
    if [ "$(cat .venv/.longshore-lock 2>/dev/null)" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null; then
        return
    fi
    say "making .venv with $($python --version) from requirements.lock"
    rm -rf .venv
    "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
    printf '%s' "$wanted" >.venv/.longshore-lock
}

engine_answers() { docker info >/dev/null 2>&1; }

start_engine() {
    engine_answers && return
    say "starting Docker Engine"
    if [ -d /run/systemd/system ]; then
        as_root systemctl start docker
    else
        as_root sh -c 'rm -f /var/run/docker.pid; exec setsid dockerd >"$1" 2>&1 </dev/null & echo $! >"$2"' sh "$ENGINE_LOG" "$ENGINE_PID"
        STARTED_ENGINE=yes
    fi
    local waited=0
    until engine_answers; do
        waited=$((waited + 1))
        [ "$waited" -le 60 ] || die "Docker Engine: no answer after 60 s. Expected: docker info works. Read: $ENGINE_LOG, or: journalctl -u docker"
        sleep 1
    done
}

stop_engine() {
    [ -n "$STARTED_ENGINE" ] && [ -f "$ENGINE_PID" ] || return 0
    say "stopping the Docker Engine that this run started"
    local pid
    pid=$(pgrep -x dockerd || true)
    [ -z "$pid" ] || as_root kill $pid 2>/dev/null || true
    for _ in $(seq 1 60); do
        pgrep -x dockerd >/dev/null || break
        sleep 0.5
    done
    rm -f "$ENGINE_PID"
}

refuse_busy_machine() {
    [ "$HERE" = yes ] && return
    local others
    others=$(docker ps --format '{{.Names}} {{.Label "longshore.lab"}}' | awk '$2 != "1" {print $1}' | head -5 | tr '\n' ' ')
    [ -z "$others" ] || die "this machine: runs containers that are not the lab's ($others). Expected: a machine to rehearse on, not a server. If that is meant: ./bootstrap.sh $COMMAND --here"
}

setup() {
    mkdir -p "$CACHE"
    check_machine
    install_packages
    make_environment
}

setup_with_engine() {
    setup
    start_engine
    refuse_busy_machine
}

demo() {
    setup_with_engine
    if [ "$(free_kb)" -lt "$NEEDED_FOR_ALL_KB" ]; then
        say "less than $((NEEDED_FOR_ALL_KB / 1024 / 1024)) GiB free: three services instead of thirteen"
        .venv/bin/python -m commands demo --services core
    else
        .venv/bin/python -m commands demo
    fi
}

leave_nothing() {
    [ -z "$LAB_TESTS" ] || { kill -- "-$LAB_TESTS" 2>/dev/null && wait "$LAB_TESTS" 2>/dev/null; } || true
    [ -d .venv ] && engine_answers && .venv/bin/python -m commands lab down || true
    stop_engine
}

# The longest part, in parallel with all others: it waits for hosts more often than it computes.
test_on_the_lab() {
    # reset, not up: a lab of another folder may be there, and untouched hosts are where the tests begin.
    .venv/bin/python -m commands lab reset --services core || return 1
    touch "$1/raised"
    .venv/bin/python -m nox -s lab_tests -- -m "not full and not no_hosts" --junit-xml="$1/lab.xml"
}

run_tests() {
    setup_with_engine
    trap leave_nothing EXIT
    local folder
    folder=$(mktemp -d)
    local failed=0
    say "the lab's tests on real Docker hosts begin, in parallel with those that need no hosts; their output comes at the end"
    set -m # a process group of its own, which can be ended as a whole
    test_on_the_lab "$folder" >"$folder/lab.log" 2>&1 </dev/null &
    LAB_TESTS=$!
    set +m
    say "style, types, rooms"
    nice .venv/bin/python -m nox -s lint types || failed=1
    say "unit tests and rules"
    nice .venv/bin/python -m nox -s tests -- --junit-xml="$folder/unit.xml" || failed=1
    say "the page in a browser"
    install_browser
    nice .venv/bin/python -m nox -s page_tests -- --junit-xml="$folder/page.xml" || failed=1
    say "Docker without the lab's hosts"
    while [ ! -e "$folder/raised" ] && kill -0 "$LAB_TESTS" 2>/dev/null; do sleep 1; done
    nice .venv/bin/python -m nox -s lab_tests -- -m "not full and no_hosts" --junit-xml="$folder/no_hosts.xml" || failed=1
    say "the lab: real Docker hosts"
    wait "$LAB_TESTS" || failed=1
    LAB_TESTS=""
    cat "$folder/lab.log"
    leave_nothing
    trap - EXIT
    .venv/bin/python .ci/count.py "$failed" "$folder"/{unit,page,no_hosts,lab}.xml
}

COMMAND="${1:-help}"
HERE=no
for argument in "$@"; do [ "$argument" = --here ] && HERE=yes; done
case "$COMMAND" in
    demo) demo ;;
    test) run_tests ;;
    setup) setup && say "installed. Next: ./bootstrap.sh demo" ;;
    *)
        sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        [ "$COMMAND" = help ] || die "command \"$COMMAND\": not known. Expected: demo, test or setup"
        ;;
esac
