"""What disks did, from the kernel's counters: a host's from /proc/diskstats, a container's from its control group.
Pure.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Final

from engine.journal.samples import OTHER_DISKS, DiskUse

SECTOR_BYTES: Final = 512
"""The unit of /proc/diskstats whatever the disk's own is (https://docs.kernel.org/admin-guide/iostats.html)."""
FIELDS: Final = 13
"""Up to the thirteenth, the milliseconds in which the disk was busy; later kernels have more."""
BLOCK_ROW: Final = re.compile(
    r".*?docker[/-](?P<id>[0-9a-f]{64})(?:\.scope)?/[a-z_.]+:(?:(?P<number>\d+:\d+) (?P<rest>.*))?$"
)
VERSION_2: Final = re.compile(r"\b(?P<what>rbytes|wbytes)=(?P<bytes>\d+)")
VERSION_1: Final = re.compile(r"^(?P<what>Read|Write) (?P<bytes>\d+)$")


def parse_disks(text: str, watched: Collection[str]) -> tuple[dict[str, DiskUse] | None, dict[str, str]]:
    """Return what the watched disks did (None: none of them is reported), and their names by their numbers (`8:0`)."""
    disks: dict[str, DiskUse] = {}
    numbers: dict[str, str] = {}
    for fields in (line.split() for line in text.splitlines()):
        if (
            len(fields) < FIELDS
            or fields[2] not in watched
            or not all(field.isdigit() for field in (*fields[:2], *fields[3:FIELDS]))
        ):
            continue
        numbers[f"{fields[0]}:{fields[1]}"] = fields[2]
        disks[fields[2]] = DiskUse(int(fields[12]) / 1000, int(fields[5]) * SECTOR_BYTES, int(fields[9]) * SECTOR_BYTES)
    return disks or None, numbers


def parse_blocks(text: str, numbers: Mapping[str, str]) -> dict[str, dict[str, DiskUse]]:
    """Return what each container read and wrote by disk, from io.stat or, in version 1,
    blkio.throttle.io_service_bytes_recursive.

    What is not one of the named disks counts as the others. A container with only the file's name there has
    neither read nor written; one without a file name there was not looked at.
    """
    moved: dict[str, dict[str, list[int]]] = {}
    for row in filter(None, map(BLOCK_ROW.match, text.splitlines())):
        mine = moved.setdefault(row["id"], defaultdict(lambda: [0, 0]))
        rest = row["rest"] or ""
        for found in (*VERSION_2.finditer(rest), *VERSION_1.finditer(rest)):
            mine[numbers.get(row["number"], OTHER_DISKS)][found["what"] in {"wbytes", "Write"}] += int(found["bytes"])
    return {
        one: {name: DiskUse(None, read, written) for name, (read, written) in disks.items()}
        for one, disks in moved.items()
    }
