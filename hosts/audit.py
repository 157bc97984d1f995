"""The audit log that each host carries: what was done to it, by whom, written before it is done."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from engine.errors import CouldNotLookError
from engine.model import Host
from engine.product import HOST_STATE_DIR
from hosts.lock import LOST, TOKEN_TEST, lost_lock

FILE: Final = f"{HOST_STATE_DIR}/audit.jsonl"
APPEND: Final = TOKEN_TEST + f"umask 077; mkdir -p {HOST_STATE_DIR} && cat >> {FILE} && sync {FILE}"
"""Tests the lock's token in the same round trip, before it writes."""
APPEND_S: Final = 20.0


def append_audit(host: Host, record: Mapping[str, Any], *, token: str | None = None) -> None:
    """Append one record as a JSON line and have it on disk, if the host's lock is still that of `token`.

    Raises LockLostError when it is not, CouldNotLookError when the log can't be written: the deed must not follow then.
    """
    line = {"at": datetime.now(UTC).isoformat(), "by": f"{getpass.getuser()}@{socket.gethostname()}", **record}
    answer = host.run(["sh", "-c", APPEND, "audit", token or ""], stdin=json.dumps(line).encode() + b"\n", timeout_s=APPEND_S)
    if answer.exit_code == LOST:
        raise lost_lock(host.name, answer.text)
    if answer.exit_code:
        raise CouldNotLookError(
            f"{host.name}: could not write {FILE}: {answer.error_text}. Expected: every deed is written down first. "
            f"Try: ssh {host.name} df -h {HOST_STATE_DIR}"
        )
