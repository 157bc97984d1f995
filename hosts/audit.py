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

FILE: Final = f"{HOST_STATE_DIR}/audit.jsonl"
APPEND: Final = f"umask 077; mkdir -p {HOST_STATE_DIR} && cat >> {FILE} && sync {FILE}"
APPEND_S: Final = 20.0


def append_audit(host: Host, record: Mapping[str, Any]) -> None:
    """Append one record as a JSON line and have it on disk; raises CouldNotLookError when that can't be done."""
    line = {"at": datetime.now(UTC).isoformat(), "by": f"{getpass.getuser()}@{socket.gethostname()}", **record}
    answer = host.run(["sh", "-c", APPEND], stdin=json.dumps(line).encode() + b"\n", timeout_s=APPEND_S)
    if answer.exit_code:
        raise CouldNotLookError(
            f"{host.name}: could not write {FILE}: {answer.error_text}. Expected: every deed is written down first. "
            f"Try: ssh {host.name} df -h {HOST_STATE_DIR}"
        )
