"""The lock that each host carries: one operator at a time changes an environment's hosts.

A directory (mkdir is atomic) with the holder's words and a token. The same shell round trip that writes a deed into the
host's audit log tests that the token is still there, so an operator who was asleep while somebody else took over changes
nothing any more.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Final

from engine.errors import CouldNotLookError, LockLostError, RefusedError
from engine.model import Host
from engine.product import HOST_STATE_DIR

DIRECTORY: Final = f"{HOST_STATE_DIR}/lock"
LOCK_S: Final = 20.0
LOST: Final = 77

_HOLDER: Final = (
    f'cat > {DIRECTORY}/holder.new && [ "$(wc -c < {DIRECTORY}/holder.new)" -eq "$3" ] && mv {DIRECTORY}/holder.new {DIRECTORY}/holder '
    f"&& sync {DIRECTORY}/token {DIRECTORY}/holder && echo taken"
)
"""`$3` bytes, or the old holder stays: standard input also ends when the operator's machine dies."""
_WRITE: Final = f'{{ {{ printf %s "$1" > {DIRECTORY}/token && {_HOLDER}; }} || {{ rm -rf {DIRECTORY}; false; }}; }}'
TAKE: Final = f"umask 077; mkdir -p {HOST_STATE_DIR} && mkdir {DIRECTORY} 2>/dev/null && {_WRITE} || cat {DIRECTORY}/holder"
_IS_OURS: Final = f'[ "$(cat {DIRECTORY}/token 2>/dev/null)" = "$2" ]'
ENTER_AGAIN: Final = f"umask 077; {_IS_OURS} && {_HOLDER}"
BREAK: Final = f"umask 077; {_IS_OURS} && mv {DIRECTORY} {DIRECTORY}.broken.$2 && mkdir {DIRECTORY} && {_WRITE}; rm -rf {DIRECTORY}.broken.$2"
RELEASE: Final = f'[ "$(cat {DIRECTORY}/token 2>/dev/null)" = "$1" ] && mv {DIRECTORY} {DIRECTORY}.$1 && rm -rf {DIRECTORY}.$1'
READ: Final = f"cat {DIRECTORY}/holder {DIRECTORY}/token 2>/dev/null || true"

TOKEN_TEST: Final = f'[ -z "$1" ] || [ "$(cat {DIRECTORY}/token 2>/dev/null)" = "$1" ] || {{ cat {DIRECTORY}/holder 2>/dev/null; exit {LOST}; }}; '
"""Shell words that go before a change: `$1` is the token, empty where no lock is needed."""


@dataclass(frozen=True)
class Holder:
    """Who holds a host, since when and what for; `token` tells two holders apart and is no secret."""

    token: str
    environment: str
    operator: str
    command: str
    since: str
    why: str = ""

    def text(self) -> str:
        """Return the holder in words."""
        since = datetime.fromisoformat(self.since)
        return f'{self.operator}, "{self.command}" in environment {self.environment}, since {since:%Y-%m-%d %H:%M} UTC'


def take_lock(host: Host, holder: Holder, *, break_it: bool = False) -> Holder | None:
    """Take a host's lock: a free one, our own (same token) again, or anybody's when `break_it`.

    Returns the holder whose lock was broken, None otherwise. Raises RefusedError naming who holds it.
    """
    written = _written(holder)
    taken = host.run(["sh", "-c", TAKE, "take", holder.token, "", str(len(written))], stdin=written, timeout_s=LOCK_S)
    if taken.text.strip() == "taken":
        return None
    held = read_lock(host)
    if held is None:
        raise CouldNotLookError(f"{host.name}: could not write {DIRECTORY}: {taken.error_text or 'its holder is being written'}. Try again")
    ours = held.token == holder.token
    if not ours and not break_it:
        raise RefusedError(
            f"{host.name}: locked by {held.text()}. Expected: nobody else at work. Look: nox -s lock -- status; if that run is "
            'surely dead: the same command with --break-lock "reason"'
        )
    words = ["sh", "-c", ENTER_AGAIN if ours else BREAK, "take", holder.token, held.token, str(len(written))]
    again = host.run(words, stdin=written, timeout_s=LOCK_S)
    if again.text.strip() != "taken":
        raise RefusedError(f"{host.name}: somebody else took the lock in the same moment. Look: nox -s lock -- status")
    return None if ours else held


def read_lock(host: Host) -> Holder | None:
    """Return who holds a host's lock, None when it is free; raises CouldNotLookError for a lock that can't be read."""
    answer = host.run(["sh", "-c", READ], timeout_s=LOCK_S)
    if not answer.text.strip():
        return None
    try:
        data = json.loads(answer.text.splitlines()[0])
        return Holder(**{field.name: str(data[field.name]) for field in fields(Holder)})
    except (ValueError, KeyError, TypeError) as error:
        raise CouldNotLookError(
            f"{host.name}: {DIRECTORY}/holder can't be read. Expected: who holds it. Look: ssh {host.name} ls -l {DIRECTORY}"
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
        now = "nobody"
    return LockLostError(
        f"{host}: the lock of this run is gone; it is held by {now}. Expected: our own. Nothing more is changed from here, nothing is "
        "undone: whoever took over decides. Look: nox -s status"
    )


def _written(holder: Holder) -> bytes:
    return json.dumps(asdict(holder)).encode() + b"\n"
