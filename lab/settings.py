"""The lab's names and places: one set per machine, and one more for each name in LONGSHORE_LAB."""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
STATE: Final = Path(os.environ.get("LONGSHORE_PROJECT") or ROOT).resolve() / "state" / "lab"
"""In the project: what `up` generates and `down` removes: keys, ssh config, identities, passwords."""

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "longshore"

IMAGES: Final = "longshore-lab"
"""Where all labs of a machine have their images: they are the same wherever their files are."""

LABEL: Final = "longshore.lab"
VARIABLE: Final = "LONGSHORE_LAB"
NAME_FORM: Final = re.compile(r"[a-z][a-z0-9]{0,11}")
TAKEN_NAMES: Final = frozenset({"wf005", "wf001", "wf002", "wf006", "golden", "kept", "copying", "host"})
"""Words that the default lab's own names begin with."""


@dataclass(frozen=True)
class LabNames:
    """What keeps the labs of one machine apart; the lab without a name has the plain ones."""

    name: str

    @property
    def problem(self) -> str:
        """Return why the name can't be one; empty when it can."""
        if not self.name or (NAME_FORM.fullmatch(self.name) and self.name not in TAKEN_NAMES):
            return ""
        return (
            f"{VARIABLE}: {self.name!r} can't be the name of a lab. Expected: up to 12 small letters and digits, "
            "first a letter"
        )

    @property
    def prefix(self) -> str:
        """Return how containers, disks and the network of the lab begin."""
        return f"longshore-lab-{self.name}" if self.name else "longshore-lab"

    @property
    def golden_label(self) -> str:
        """Return the label of the kept disks."""
        return f"{LABEL}.{self.name}.golden" if self.name else f"{LABEL}.golden"

    @property
    def subnets(self) -> tuple[str, ...]:
        """Return where the hosts' network may be, best first: away from what the lab without a name wants."""
        if not self.name:
            return ("172.31.250.0/24", "10.213.77.0/24", "192.168.213.0/24")
        number = 100 + zlib.crc32(self.name.encode()) % 100
        return (f"172.31.{number}.0/24", f"10.213.{number}.0/24", f"10.214.{number}.0/24")

    @property
    def kept(self) -> Path:
        """Return the folder of the lab's lock and of the passwords of its kept disks."""
        return CACHE / f"lab-{self.name}" if self.name else CACHE


NAMES: Final = LabNames(os.environ.get(VARIABLE, ""))
PREFIX: Final = NAMES.prefix
NETWORK: Final = PREFIX
KEPT: Final = NAMES.kept
HOST_IMAGE: Final = f"{IMAGES}/host:1"
INNER_SUBNET: Final = "172.30.5.0/24"


class Choice(StrEnum):
    """Which services a lab has: those that the tests of every change need, or all thirteen."""

    CORE = "core"
    ALL = "all"


@dataclass(frozen=True)
class HostPlan:
    """One lab host: its name, the last number of its address, and the images it has from the start."""

    name: str
    last_octet: int
    all_images: tuple[str, ...]

    def images(self, choice: Choice) -> tuple[str, ...]:
        """Return the images that the host has in a lab of that choice."""
        return (
            self.all_images
            if choice is Choice.ALL
            else tuple(image for image in self.all_images if image in CORE_IMAGES)
        )

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
RABBITMQ: Final = "rabbitmq:4-management"
CADDY: Final = "caddy:2"
MINIO: Final = "quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z"
LOKI: Final = "grafana/loki:3.5.5"
KEYCLOAK: Final = "quay.io/keycloak/keycloak:26.4.7"
N8N: Final = "docker.n8n.io/n8nio/n8n:2.40.7"
GRAFANA: Final = "grafana/grafana:12.2.0"
METABASE: Final = "metabase/metabase:v0.56.4"
WAHA: Final = "devlikeapro/waha:latest-2026.7.1"
TEMPORAL: Final = f"{IMAGES}/temporal:1"
ORDERS: Final = f"{IMAGES}/orders:1"
PARCELS: Final = f"{IMAGES}/parcels:1"
TOOLBOX: Final = "longshore/toolbox:1"

SOURCE_IMAGES: Final = (
    POSTGRES,
    REDIS,
    PROMETHEUS,
    RABBITMQ,
    CADDY,
    MINIO,
    LOKI,
    TEMPORAL,
    KEYCLOAK,
    N8N,
    GRAFANA,
    METABASE,
    WAHA,
    ORDERS,
    PARCELS,
    TOOLBOX,
)
CORE_IMAGES: Final = frozenset({POSTGRES, REDIS, PROMETHEUS, ORDERS, TOOLBOX})
BACKUP_HOST: Final = "wf006"
FOURTH_VARIABLE: Final = "LONGSHORE_LAB_FOURTH"
"""Set, the lab has a fourth host that nothing moves to or from: it carries the backup, so that no target does."""
FOURTH: Final[tuple[HostPlan, ...]] = (
    (HostPlan(BACKUP_HOST, 16, (TOOLBOX,)),) if os.environ.get(FOURTH_VARIABLE) else ()
)
HOSTS: Final[tuple[HostPlan, ...]] = (
    HostPlan("wf005", 15, SOURCE_IMAGES),
    HostPlan(
        "wf001", 11, (PROMETHEUS, RABBITMQ, MINIO, LOKI, TEMPORAL, N8N, GRAFANA, TOOLBOX)
    ),  # not redis, so that an image really travels
    HostPlan("wf002", 12, (POSTGRES, CADDY, KEYCLOAK, METABASE, WAHA, TOOLBOX)),
    *FOURTH,
)


def local_name(reference: str) -> str:
    """Return the name that this machine's engine keeps an image of the lab under: one that is nobody else's."""
    if reference.startswith((f"{IMAGES}/", "longshore/")):
        return reference
    return f"{IMAGES}/{reference.replace('/', '-')}"


CORE_SERVICES: Final = ("postgres", "prometheus", "redis", "orders")
SERVICES: Final = (
    "n8n",
    "postgres",
    "keycloak",
    "grafana",
    "prometheus",
    "loki",
    "redis",
    "minio",
    "rabbitmq",
    "caddy",
    "waha",
    "metabase",
    "temporal",
    "orders",
    "parcels",
)


def services_of(choice: Choice) -> tuple[str, ...]:
    """Return the services of a lab of that choice."""
    return SERVICES if choice is Choice.ALL else CORE_SERVICES


OWN_PROGRAM: Final = "a program with its HTTP API"
STAND_INS: Final = {
    MINIO: ("minio", "SeaweedFS"),
    LOKI: ("loki", OWN_PROGRAM),
    GRAFANA: ("grafana", OWN_PROGRAM),
    METABASE: ("metabase", OWN_PROGRAM),
    WAHA: ("waha", OWN_PROGRAM + ", without WhatsApp"),
}
"""What plays an image that no registry gives: its service, and what it is."""


class LabError(Exception):
    """The lab can't do that; the text says where, what was seen, what was expected, what to do next."""


class WrongWordsError(LabError):
    """The command line is not understood."""
