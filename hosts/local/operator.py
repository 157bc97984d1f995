"""Who runs longshore on this machine, as locks, audit logs and the journal name them."""

from __future__ import annotations

import getpass
import socket
from functools import cache


@cache
def operator_name() -> str:
    """Return user@machine, asked once: every line of an audit log has it, and getpass reads a file each time."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
