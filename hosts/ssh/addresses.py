"""Which addresses a name means from here, and which are this machine's own."""

from __future__ import annotations

import ipaddress
import socket


def addresses_of(name: str) -> frozenset[str]:
    """Return the addresses behind a name or address as this machine resolves it; empty when it does not."""
    try:
        return frozenset(str(found[4][0]) for found in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM))
    except OSError:
        return frozenset()


def is_this_machine(name: str) -> bool:
    """Return whether a name is a Unix socket's directory or leads to this machine by loopback."""
    return name.startswith("/") or any(
        ipaddress.ip_address(one.partition("%")[0]).is_loopback for one in addresses_of(name)
    )


def own_names() -> frozenset[str]:
    """Return this machine's name, short and whole, and the addresses behind it."""
    name = socket.gethostname()
    return frozenset({name, name.partition(".")[0]}) | addresses_of(name)
