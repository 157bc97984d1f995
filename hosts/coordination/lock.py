"""The lock that each host carries: one operator at a time changes an environment's hosts.

A directory with the holder's words and a token. Every change on the host runs under a test of that token, on the host
itself (`hosts/coordination/fencing.py`), so a run that lost its lock changes nothing any more, however late its words
arrive. Who takes or breaks a lock excludes the changes that are running (flock(1)): it waits for them, and is refused
while one does not end.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Final

from engine.command_line import ANY, typed_command
from engine.constants import HOST_STATE_DIR
from engine.contracts.container import CommandResult
from engine.contracts.host import Host
from engine.errors import LockLostError, NotObservedError, RefusedError
from engine.finding import say

DIRECTORY: Final = f"{HOST_STATE_DIR}/lock"
FENCE: Final = f"{HOST_STATE_DIR}/fence"
"""Who changes something holds it shared, who takes or breaks the lock holds it alone. Empty; never removed."""
LOCK_S: Final = 20.0
PATIENCE_S: Final = 30
"""So long a new holder waits for the changes that are running."""
TAKE_S: Final = LOCK_S + PATIENCE_S
LOST: Final = 77
BUSY: Final = 75
NO_FLOCK: Final = 73
TAKEN: Final = "taken"
LEFT: Final = "/run/longshore-backup-* /run/longshore-drill-* /run/longshore-given.*"
"""Secrets that a killed backup or drill left in memory: whoever takes the lock uses none of them."""

_ALONE: Final = f"""\
umask 077
holder=$(cat; echo .); holder=${{holder%.}}
[ "$(printf %s "$holder" | wc -c)" -eq "$3" ] && whole=yes || whole=no
mkdir -p {HOST_STATE_DIR} || exit 1
command -v flock >/dev/null || {{ echo "flock is not there" >&2; exit {NO_FLOCK}; }}
exec 9>>{FENCE}
tries=0
until flock -n -x 9; do
    tries=$((tries + 1))
    if [ "$tries" -gt {PATIENCE_S} ]; then
        for pid in $(ls -l /proc/[0-9]*/fd/ 2>/dev/null |
          awk '/^\\/proc/ {{ split($1, at, "/") }} $NF == "{FENCE}" {{ print at[3] }}' | sort -u); do
            [ "$pid" = "$$" ] || printf '%s %s\\n' "$pid" "$(tr '\\0\\n' '  ' < "/proc/$pid/cmdline" | tail -c 100)" >&2
        done
        exit {BUSY}
    fi
    sleep 1
done
is_held_by() {{ [ "$(cat {DIRECTORY}/token 2>/dev/null)" = "$1" ]; }}
write() {{
    [ "$whole" = yes ] || {{ echo "the holder's words did not arrive whole" >&2; return 1; }}
    rm -rf {DIRECTORY}.new && mkdir {DIRECTORY}.new && printf %s "$1" > {DIRECTORY}.new/token \\
        && printf %s "$holder" > {DIRECTORY}.new/holder && sync {DIRECTORY}.new/token {DIRECTORY}.new/holder \\
        && rm -rf {DIRECTORY} && mv {DIRECTORY}.new {DIRECTORY} && echo {TAKEN} && rm -rf {LEFT}
}}
"""
"""`$1` is the new token, `$2` that of the lock that was seen, `$3` the length of the holder's words on standard input:
they are
read before anything is held, so that an operator's machine that sleeps holds nothing."""
_HELD: Final = f"[ -s {DIRECTORY}/token ] && [ -s {DIRECTORY}/holder ]"
TAKE: Final = (
    f'{_HELD} && cat {DIRECTORY}/holder && exit\n{_ALONE}if {_HELD}; then cat {DIRECTORY}/holder; else write "$1"; fi\n'
)
"""A lock without token or holder is one that a power cut left half made: it is nobody's."""
ENTER_AGAIN: Final = f'{_ALONE}is_held_by "$2" && write "$2"\n'
BREAK: Final = (
    f'{_ALONE}if is_held_by "$2"; then write "$1" || {{ rm -rf {DIRECTORY}; false; }}; else cat '
    f"{DIRECTORY}/holder; fi\n"
)
"""Under the same lock of FENCE the token is compared and replaced, so of two at once the second learns of the first.
"""
RELEASE: Final = (
    f'exec 9>>{FENCE} && flock -x 9 && [ "$(cat {DIRECTORY}/token 2>/dev/null)" = "$1" ] && rm -rf {DIRECTORY}'
)
READ: Final = f"cat {DIRECTORY}/holder {DIRECTORY}/token 2>/dev/null || true"

TOKEN_TEST: Final = (
    f'[ -z "$1" ] || [ "$(cat {DIRECTORY}/token 2>/dev/null)" = "$1" ] || {{ cat {DIRECTORY}/holder 2>/dev/null; '
    f"exit {LOST}; }}; "
)
"""Shell words that go before a change: `$1` is the token, empty where no lock is needed. They run while FENCE is held.
"""


@dataclass(frozen=True)
class Holder:
    """Who holds a host, since when and what for; `token` distinguishes two holders and is no secret."""

    token: str
    environment: str
    operator: str
    command: str
    since: str
    why: str = ""

    def text(self) -> str:
        """Return the holder in words."""
        since = datetime.fromisoformat(self.since)
        return say(
            '{operator}, "{command}" in environment {environment}, since {since} UTC',
            operator=self.operator,
            command=self.command,
            environment=self.environment,
            since=f"{since:%Y-%m-%d %H:%M}",
        )


def take_lock(host: Host, holder: Holder, *, break_it: bool = False) -> Holder | None:
    """Take a host's lock: a free one, our own (same token) again, or anybody's when `break_it`.

    Returns the holder whose lock was broken, None otherwise. Raises RefusedError naming who holds it.
    """
    written = _written(holder)
    taken = host.run(["sh", "-c", TAKE, "take", holder.token, "", str(len(written))], stdin=written, timeout_s=TAKE_S)
    _refuse_busy(host, taken)
    if taken.text.strip() == TAKEN:
        return None
    held = read_lock(host)
    if held is None:
        raise NotObservedError(
            say(
                "{name}: could not write {directory}: {error_text}. Try again",
                name=host.name,
                directory=DIRECTORY,
                error_text=taken.error_text or say("its holder is being written"),
            )
        )
    ours, look = held.token == holder.token, typed_command("lock", "status", environment=holder.environment)
    if not ours and not break_it:
        raise RefusedError(
            say(
                "{name}: locked by {held}. Expected: nobody else at work. Look: {look}; if that run is surely dead: "
                'the same command with --break-lock "reason"',
                name=host.name,
                held=held.text(),
                look=look,
            )
        )
    words = ["sh", "-c", ENTER_AGAIN if ours else BREAK, "take", holder.token, held.token, str(len(written))]
    again = host.run(words, stdin=written, timeout_s=TAKE_S)
    _refuse_busy(host, again)
    if again.text.strip() != TAKEN:
        raise RefusedError(
            say(
                "{name}: somebody else took the lock in the same moment. Expected: {held}, as it was seen. Look: "
                "{look}",
                name=host.name,
                held=held.text(),
                look=look,
            )
        )
    return None if ours else held


def _refuse_busy(host: Host, answer: CommandResult) -> None:
    """Raise when changes of the run that holds the lock are running, or the host can't keep them apart."""
    if answer.exit_code == NO_FLOCK:
        raise NotObservedError(
            say(
                "{name}: has no flock. Expected: flock of util-linux or busybox; without it a run that lost its lock "
                "can't be kept out. Try: ssh {name} sudo apt-get install util-linux",
                name=host.name,
            )
        )
    if answer.exit_code == BUSY:
        running = answer.error_text.splitlines()
        pids = ",".join(line.split()[0] for line in running if line[:1].isdigit())
        raise RefusedError(
            say(
                "{name}: a change of the run that holds the lock has been running for {patience_s} s (process "
                "{running}). Expected: none. Wait for its end, or end it: ssh {name} sudo pkill -P {pids}; then give "
                "the same command again",
                name=host.name,
                patience_s=PATIENCE_S,
                running="; ".join(running[:3]),
                pids=pids,
            )
        )


def read_lock(host: Host) -> Holder | None:
    """Return who holds a host's lock, None when it is free; raises CouldNotLookError for a lock that can't be read."""
    answer = host.run(["sh", "-c", READ], timeout_s=LOCK_S)
    if not answer.text.strip():
        return None
    try:
        data = json.loads(answer.text.splitlines()[0])
        return Holder(**{field.name: str(data[field.name]) for field in fields(Holder)})
    except (ValueError, KeyError, TypeError) as error:
        raise NotObservedError(
            say(
                "{name}: {directory}/holder can't be read. Expected: who holds it. Look: ssh {name} ls -l {directory}",
                name=host.name,
                directory=DIRECTORY,
            )
        ) from error


def release_lock(host: Host, token: str) -> bool:
    """Release a host's lock when it is still that of `token`; return whether it was."""
    return host.run(["sh", "-c", RELEASE, "release", token], timeout_s=LOCK_S).exit_code == 0


def lost_lock(host: str, said: str) -> LockLostError:
    """Return the error of a change that was not made because the lock is somebody else's or gone."""
    try:
        data = json.loads(said.strip().splitlines()[0])
        now = Holder(**{field.name: str(data[field.name]) for field in fields(Holder)}).text()
    except (ValueError, KeyError, TypeError, IndexError):
        now = say("nobody")
    return LockLostError(
        say(
            "{host}: the lock of this run is gone; it is held by {now}. Expected: our own. Nothing more is changed "
            "from here, nothing is undone: whoever took over decides. Look: {command}",
            host=host,
            now=now,
            command=typed_command("status", environment=ANY),
        )
    )


def _written(holder: Holder) -> bytes:
    return json.dumps(asdict(holder)).encode() + b"\n"
