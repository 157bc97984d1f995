"""How many bytes a second a path carries: zeros into a listener that throws them away, for seconds."""

from __future__ import annotations

import re
from typing import Final

from engine.contracts.host import Host

LONGEST_S: Final = 3
SPARE_S: Final = 15.0
BLOCK: Final = 1 << 18
BLOCKS: Final = 1024
"""256 MiB at most: a tenth of a second on a fast link, cut off after LONGEST_S on a slow one."""
SEND: Final = (
    'exec 3>"/dev/tcp/$1/$2" || exit 1; LC_ALL=C timeout -s INT "$3" dd if=/dev/zero bs="$4" count="$5" 2>&1 >&3'
)
SENT: Final = re.compile(r"^(\d+) bytes .*copied, ([\d.]+) s", re.MULTILINE)
"""What dd prints at its end, and when it is interrupted (GNU coreutils)."""


def send_sample(host: Host, address: str, port: int) -> float | None:
    """Send zeros from a host to a listener and return bytes per second; None where bash, dd or timeout is not there or
    says nothing.
    """
    argv = ["bash", "-c", SEND, "send", address, str(port), str(LONGEST_S), str(BLOCK), str(BLOCKS)]
    answer = host.run(argv, timeout_s=LONGEST_S + SPARE_S)
    sent = SENT.search(answer.text)
    if sent is None or not float(sent[2]):
        return None
    return int(sent[1]) / float(sent[2])
