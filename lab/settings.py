"""The lab's names and places: one set per machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
STATE: Final = ROOT / "state" / "lab"
"""What `up` generates and `down` removes: keys, ssh config, identities, passwords."""

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "longshore"

PREFIX: Final = "longshore-lab"
LABEL: Final = "longshore.lab"
NETWORK: Final = PREFIX
HOST_IMAGE: Final = f"{PREFIX}/host:1"
SUBNETS: Final = ("172.31.250.0/24", "10.213.77.0/24", "192.168.213.0/24")
INNER_SUBNET: Final = "172.30.5.0/24"


@dataclass(frozen=True)
class HostPlan:
    """One lab host: its name, the last number of its address, and the images it has from the start."""

    name: str
    last_octet: int
    images: tuple[str, ...]

    @property
    def container(self) -> str:
        """Return the name of the container that plays this host."""
        return f"{PREFIX}-{self.name}"

    @property
    def volume(self) -> str:
        """Return the name of the volume that is this host's disk."""
        return f"{PREFIX}-{self.name}-disk"


POSTGRES: Final = "postgres:17"
REDIS: Final = "redis:8"
PROMETHEUS: Final = "prom/prometheus:v2.53.3"
ORDERS: Final = f"{PREFIX}/orders:1"
TOOLBOX: Final = "longshore/toolbox:1"

HOSTS: Final = (
    HostPlan("wf005", 15, (POSTGRES, REDIS, PROMETHEUS, ORDERS, TOOLBOX)),
    HostPlan("wf001", 11, (PROMETHEUS, TOOLBOX)),  # redis is not there, so that an image really travels
    HostPlan("wf002", 12, (POSTGRES, TOOLBOX)),
)


def local_name(reference: str) -> str:
    """Return the name that this machine's engine keeps an image of the lab under: one that is nobody else's."""
    if reference.startswith((f"{PREFIX}/", "longshore/")):
        return reference
    return f"{PREFIX}/{reference.replace('/', '-')}"


SERVICES: Final = ("postgres", "prometheus", "redis", "orders")


class LabError(Exception):
    """The lab can't do that; the text says where, what was seen, what was expected, what to do next."""


class WrongWordsError(LabError):
    """The command line is not understood."""
