"""The audit log that each host carries: what was done to it, by whom, written before it is done."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from engine.constants import HOST_STATE_DIR
from engine.contracts.host import Host
from engine.errors import NotObservedError
from engine.finding import say
from hosts.coordination.lock import FENCE, LOST, TOKEN_TEST, lost_lock
from hosts.local.operator import operator_name

FILE: Final = f"{HOST_STATE_DIR}/audit.jsonl"
APPEND: Final = f"""\
umask 077
lines=$(cat; echo .); lines=${{lines%.}}
[ "$(printf %s "$lines" | wc -c)" -eq "$2" ] || {{ echo "it did not arrive whole: the connection ended before" >&2;
  exit 75; }}
mkdir -p {HOST_STATE_DIR} || exit 73
exec 9>>{FENCE} 8>>{FILE} || exit 73
flock -s 9 && flock -x 8 || exit 73
{TOKEN_TEST}
[ -z "$(tail -c 1 {FILE})" ] || echo >&8
printf %s "$lines" >&8 && sync {FILE}
"""
"""`$1` is the token, `$2` how many bytes come. Appends one after the other, whole or not at all, while the token is
that of the lock.
A line that a power cut tore stays alone."""
APPEND_S: Final = 20.0
READ_S: Final = 60.0


def append_audit(host: Host, record: Mapping[str, Any], *, token: str | None = None) -> None:
    """Append one record as a JSON line and have it on disk; see `append_lines`."""
    append_lines(host, (record,), token=token)


def append_lines(host: Host, records: Iterable[Mapping[str, Any]], *, token: str | None = None) -> None:
    """Append records as JSON lines and have them on disk, if the host's lock is still that of `token`.

    Raises LockLostError when it is not, CouldNotLookError when the log can't be written: the deed must not follow then.
    """
    head = {"at": datetime.now(UTC).isoformat(), "by": operator_name()}
    lines = b"".join(json.dumps({**head, **record}).encode() + b"\n" for record in records)
    if not lines:
        return
    answer = host.run(["sh", "-c", APPEND, "audit", token or "", str(len(lines))], stdin=lines, timeout_s=APPEND_S)
    if answer.exit_code == LOST:
        raise lost_lock(host.name, answer.text)
    if answer.exit_code:
        raise NotObservedError(
            say(
                "{name}: could not write {file}: {error_text}. Expected: every deed is written down first. Try: ssh "
                "{name} df -h {host_state_dir}",
                name=host.name,
                file=FILE,
                error_text=answer.error_text,
                host_state_dir=HOST_STATE_DIR,
            )
        )


def read_audit(host: Host) -> list[str]:
    """Return the lines of a host's audit log, oldest first; none when no run ever touched it. Raises
    CouldNotLookError.
    """
    answer = host.run(["sh", "-c", f"[ ! -e {FILE} ] || cat {FILE}"], timeout_s=READ_S)
    if answer.exit_code:
        raise NotObservedError(
            say(
                "{name}: could not read {file}: {error_text}. Expected: its audit log. Try: ssh {name} ls -l {file}",
                name=host.name,
                file=FILE,
                error_text=answer.error_text,
            )
        )
    return [line for line in answer.text.splitlines() if line.strip()]
