"""When two addresses of one host can't be listened on together: a wildcard takes every specific one, v4 and v6 are
apart.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Final

EVERY: Final = "*"
ANY_FAMILY: Final = frozenset({"", "*"})
Bound = tuple[str, str]
"""What is taken of IPv4 and of IPv6: nothing "", one address, or every one "*"."""


def bound_of(address: str, *, of_socket: bool = False) -> Bound:
    """Return what listening on an address takes.

    A published port without an address takes both families. `::` takes IPv4 too where an engine binds one socket for
    both, so a published port counts as taking both; of a socket the kernel shows it apart: `*` is both, `[::]` is IPv6
    only (ss).
    """
    bare = address.strip("[]")
    if bare in ANY_FAMILY:
        return EVERY, EVERY
    try:
        ip = ip_address(bare.partition("%")[0])
    except ValueError:
        return EVERY, EVERY  # not understood: what is not known to be apart must not be called free
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped:
            return str(ip.ipv4_mapped), ""
        if ip.is_unspecified:
            return ("", EVERY) if of_socket else (EVERY, EVERY)
        return "", str(ip)
    return (EVERY if ip.is_unspecified else str(ip)), ""


def overlap(one: Bound, other: Bound) -> bool:
    """Return whether two things can't both listen, their ports and protocols being the same."""
    return any(mine and its and (EVERY in {mine, its} or mine == its) for mine, its in zip(one, other, strict=True))
