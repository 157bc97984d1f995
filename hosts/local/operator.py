"""Who runs longshore on this machine, as locks, audit logs and the journal name them."""

from __future__ import annotations

import getpass
import socket
from functools import cache


@cache
def operator_name() -> str:
    """Return user@machine; asked once, since it goes into every line of an audit log and getpass reads /etc/passwd each time."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
