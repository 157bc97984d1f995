"""Facts of a host, gathered in one trip and typed; parsing is pure (`hosts.facts.parse`)."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from engine.contracts.host import Host
from engine.errors import NotObservedError
from engine.finding import say
from hosts.facts.model import HostFacts

SCRIPT: Final = (Path(__file__).parent / "gather.sh").read_bytes()
TRIP_S: Final = 60.0
SECTION_S: Final = 15


def gather_facts(host: Host) -> HostFacts:
    """Gather a host's facts in one exchange; raises CouldNotLookError when the trip itself fails."""
    from hosts.facts.parse import parse_facts  # noqa: PLC0415 parsing needs the types above

    mark = f"=={secrets.token_hex(8)}=="
    started = time.time()
    answer = host.run(["sh", "-s", "--", mark, str(SECTION_S)], stdin=SCRIPT, timeout_s=TRIP_S)
    ended = time.time()
    if answer.exit_code or mark not in answer.text:
        raise NotObservedError(
            say(
                "{name}: facts could not be gathered: {error_text}. Try: ssh {name} docker ps",
                name=host.name,
                error_text=answer.error_text or say("exit status {exit_code}", exit_code=answer.exit_code),
            )
        )
    now = datetime.now(UTC)
    return parse_facts(host.name, answer.text, mark, gathered_at=now, our_clock=(started, ended))
