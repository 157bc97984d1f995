"""Print which TCP connections are opened in this network for some seconds: `PORT SECONDS [ADDRESS]`; with an address it
ends at the first to it.

Runs in the toolbox, in the network of another container: connections that live for milliseconds are in no list of the
kernel.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections import Counter

EVERY_PROTOCOL = 0x0003
TCP = 6
SYN, ACK = 0x02, 0x10
VERSION_4, VERSION_6 = 4, 6
HEADER_6 = 40
LARGEST = 65535


def opening(packet: bytes) -> tuple[str, str, int] | None:
    """Return from where to which address and port a packet opens a connection, None when it does not."""
    version = packet[0] >> 4 if packet else 0
    if version == VERSION_4 and packet[9] == TCP:
        start, family, ends = (packet[0] & 15) * 4, socket.AF_INET, (packet[12:16], packet[16:20])
    elif version == VERSION_6 and packet[6] == TCP:
        start, family, ends = HEADER_6, socket.AF_INET6, (packet[8:24], packet[24:40])
    else:
        return None
    segment = packet[start : start + 14]
    if len(segment) < 14 or segment[13] & (SYN | ACK) != SYN:  # noqa: PLR2004 where the flags are
        return None
    source, target = (socket.inet_ntop(family, end) for end in ends)
    return source, target, int(struct.unpack("!H", segment[2:4])[0])


def main(argv: list[str]) -> None:
    """Look, and print a line for each pair of ends."""
    port, ends = int(argv[0]), time.monotonic() + float(argv[1])
    wanted = argv[2] if len(argv) > 2 else None  # noqa: PLR2004 the third word
    seen: Counter[tuple[str, str]] = Counter()
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(EVERY_PROTOCOL)) as listening:
        while (left := ends - time.monotonic()) > 0:
            listening.settimeout(left)
            try:
                found = opening(listening.recv(LARGEST))
            except TimeoutError:
                break
            if found and found[2] == port:
                seen[found[0], found[1]] += 1
                if found[1] == wanted:
                    break
    for (source, target), count in seen.items():
        print(source, target, count)


if __name__ == "__main__":
    main(sys.argv[1:])
